/* Marks: what df2redis writes into a target to resume from it.
 *
 *   standalone  hash df2redis:NAME: fields flow-N, the workers', and run, the supervisor's
 *   a cluster   hash df2redis:NAME:{tag} of each master's lowest slot: field node-N, the position of that FLOW
 *               for the whole node; hash df2redis:NAME: field run
 *
 * Their text: common/redis/marks.h. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_MARKS_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_MARKS_H

#include <hiredis/hiredis.h>

#include "common/redis/marks.h"

struct target_mark {
    uint32_t flow;
    uint64_t session;
    struct resume_point at; /* lsn 0: written during the snapshot */
    char master_id[41];
};
struct target_marks {
    bool there;           /* the hash without a tag exists */
    uint64_t run_session; /* field run; 0: none */
    size_t databases;     /* that the hash names as marked */
    /* From a mark of any node, whatever slots that node had then. */
    char seen_id[41]; /* master id; "": no mark */
    bool seen_stable; /* at least one mark was written during stable sync */
    struct target_mark *list;
    size_t count;
};

/* From the reply to HGETALL of the hash without a tag. Fields of another form are left out. Replaces *m, which is
 * initialised with zeros or was filled before. */
void target_marks_read(struct target_marks *m, const redisReply *reply);
/* From the reply to HGETALL of a node's hash. Only marks written for the slots that the node serves now count. */
void target_marks_read_node(struct target_marks *m, const redisReply *reply, uint64_t fingerprint);
/* The marks that hold for all nodes: a FLOW counts if every node has its mark with the same master id; the smallest LSN
 * and the earliest session win. *out keeps its run_session; seen_id and seen_stable need one node only. */
void target_marks_common(struct target_marks *out, const struct target_marks *nodes, size_t count);
void target_marks_free(struct target_marks *m);

#endif
