/* The position of each slot of a cluster, determined from memory and marks.
 *
 *   memory             what the slot's node has acknowledged to this process, or to its predecessor (the cursor)
 *   mark of the slot   written in the same MULTI as each once command
 *   mark of the node   covers everything that this FLOW sent to the node before it
 *   earlier marks      marks of an earlier session of the same master, by LSN
 *
 * Memory counts only while the node is the same process with the same history: run id and replication id are the same.
 * A promoted replica, or a restarted node, may have lost acknowledged writes; then only marks count. A new node that
 * was never a replica has its slots from nodes that are known, by MIGRATE, with their data.
 *
 * A slot moves key by key, and its mark may be the first key. A node may be restarted with data that was saved in the
 * middle of a move. So on such a node a mark covers the whole slot only if it was written after the arrival:
 *
 *        mark ──> slot moves: mark, key, key … ──> arrived_seq[slot] ──> mark
 *                             └─ saved here: has the mark, lacks keys */
#ifndef DF2REDIS_WORKER_CLUSTER_POSITIONS_H
#define DF2REDIS_WORKER_CLUSTER_POSITIONS_H

#include "common/base/error.h"
#include "common/redis/topology.h"

/* A mark of a slot or of a node, as seen from this session. */
struct position_mark {
    bool in_session;
    uint64_t seq;    /* in_session */
    uint64_t lsn;    /* of an earlier session of this master; 0: none */
    bool not_shared; /* lsn is of the previous master, past first_lsn: the promoted master may lack entries */
};

struct position_node {
    bool intact;    /* it has lost no acknowledged writes: memory counts */
    bool unchanged; /* it has lost nothing since its mark was written, or since the session began */
    bool split;     /* two nodes merged, each with a part of the slot */
    struct position_mark mark; /* the latest mark that covers it */
};

struct positions {
    /* Memory: the slot has the entries up to seq, and the journal before lsn. */
    uint64_t seq[CLUSTER_SLOTS], lsn[CLUSTER_SLOTS];
    uint64_t
        resolved_seq[CLUSTER_SLOTS]; /* seq as it was determined last; since then seq may have advanced */
    bool known;                      /* seq counts even if it is 0: the beginning of the session is known */
    /* seq before the first unanswered command: memory ends there. UINT64_MAX: none. */
    uint64_t doubt[CLUSTER_SLOTS];
    struct position_mark mark[CLUSTER_SLOTS];
    /* Greatest seq that was sent or marked when the slot was first seen on its node; at least 1. 0: it has always been
     * there. */
    uint64_t arrived_seq[CLUSTER_SLOTS];
    /* Extremes of the result. */
    uint64_t least_seq, most_seq, least_lsn, most_lsn;
};

void positions_init(struct positions *p, uint64_t applied_seq, uint64_t first_lsn);
/* All that was sent is answered or in doubt: memory advances to sent_seq, or to the doubt, which is cleared. */
void positions_settle(struct positions *p, uint64_t sent_seq);
/* Values of importing_node besides the index of a node. */
enum importing { IMPORTING_NONE = 0xffff, IMPORTING_UNKNOWN = 0xfffe };

/* Determines the position of each slot; memory becomes that position. first_lsn: of the session, 0 if it began with a
 * snapshot. importing_node: NULL, or for each slot the node that it is migrating to, which has a part of it: then both
 * nodes must cover the position. False (ERROR_REDIRECT): a slot lacks entries from before the session, its position is
 * unknown, or it has entries that the promoted master may lack. */
bool positions_resolve(struct positions *p, const struct topology *t, const struct position_node *nodes,
                       const uint16_t *importing_node, uint64_t first_lsn, struct error *error);
/* Whether a slot lacked entries before entry seq, with lsn (0: none), when the positions were determined. */
bool positions_lacked_before(const struct positions *p, uint64_t seq, uint64_t lsn);

#endif
