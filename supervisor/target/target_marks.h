/* What df2redis has left in a target.
 *
 *   standalone  hash df2redis:NAME: fields flow-N, the workers', and run, the supervisor's
 *   a cluster   hash df2redis:NAME:{tag} of each master's lowest slot: field node-N, what that FLOW's worker
 *               says of the whole node; hash df2redis:NAME: field run
 *
 * Their text: common/redis/marks.h. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_MARKS_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_MARKS_H

#include <hiredis/hiredis.h>

#include "common/redis/marks.h"

struct target_mark {
    uint32_t flow;
    uint64_t session;
    struct resume_point at; /* lsn 0: of the snapshot */
    char master_id[41];
};
struct target_marks {
    bool there;           /* the hash without a tag */
    uint64_t run_session; /* field run; 0: none */
    /* Of a mark of any node, whatever slots it had then. */
    char seen_id[41]; /* "": there is none */
    bool seen_stable; /* one is of the journal */
    struct target_mark *list;
    size_t count;
};

/* From the reply to HGETALL, of a standalone target or of the hash without a tag. What is not ours to read,
 * or not as we write it, is left out. Replaces *m, which was zeroed or filled before. */
void target_marks_read(struct target_marks *m, const redisReply *reply);
/* Of one node: only marks made while it served the slots that it serves now. */
void target_marks_read_node(struct target_marks *m, const redisReply *reply, uint64_t fingerprint);
/* What holds for all nodes: of the FLOWs that every node has a mark of, with the same master id, the smallest
 * LSN and the earliest session. *out keeps its run_session; what is seen on one node is enough. */
void target_marks_common(struct target_marks *out, const struct target_marks *nodes, size_t count);
void target_marks_free(struct target_marks *m);

#endif
