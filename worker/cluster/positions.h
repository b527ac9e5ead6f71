/* Where a cluster stands, slot by slot, told from what is remembered and what its nodes carry.
 *
 * Four things tell how far a slot is:
 *   memory    what its node acknowledged to this process, or to the one before it (the cursor)
 *   its mark  written in the same MULTI as each command that must not run twice
 *   the mark of its node: all that this FLOW sent there before it is done
 *   the marks of an earlier session of the same master, by LSN
 *
 * Memory counts only while the node is the process that it was, with the history that it had: run id and
 * replication id are the same. A replica that was promoted, or a node that was started anew, may have lost
 * what was acknowledged; then the marks alone tell. A node that is new here, and was never a promoted
 * replica, has its slots from nodes that we know, by MIGRATE, with their data.
 *
 * A slot comes key by key, its mark among them, perhaps as the first. So in what a node was started anew
 * from, a mark tells of the whole slot only when it was written after the slot had come:
 *
 *        mark ──> slot comes: mark, key, key … ──> came[slot] ──> mark
 *                             └─ an older copy of this: has the mark, lacks keys */
#ifndef DF2REDIS_WORKER_CLUSTER_POSITIONS_H
#define DF2REDIS_WORKER_CLUSTER_POSITIONS_H

#include "common/base/error.h"
#include "common/redis/topology.h"

/* What the marks of a slot or of a node say. */
struct position_mark {
    bool in_session;
    uint64_t seq; /* in_session */
    uint64_t lsn; /* of an earlier session of this master; 0: none */
    bool
        not_shared; /* lsn is of the master before, and beyond where the journal of the promoted one was asked for */
};

struct position_node {
    bool intact;               /* it has lost nothing: memory counts */
    bool unchanged;            /* since its own mark was written, or since the session began */
    bool split;                /* two in one, each with a part of the slot */
    struct position_mark mark; /* written when it served the slots that it serves */
};

struct positions {
    /* Memory: done up to seq, of a journal that was resumed before lsn. */
    uint64_t seq[CLUSTER_SLOTS], lsn[CLUSTER_SLOTS];
    bool known; /* seq counts even where it is 0: the session is ours from its begin */
    /* Work of which no answer came: memory ends before it. UINT64_MAX: none. */
    uint64_t doubt[CLUSTER_SLOTS];
    struct position_mark mark[CLUSTER_SLOTS];
    /* What was sent, or marked, when the slot was first seen where it is; at least 1. 0: it has always been
     * there. */
    uint64_t arrived_seq[CLUSTER_SLOTS];
    /* The result's extremes. */
    uint64_t least_seq, most_seq, least_lsn, most_lsn;
};

void positions_init(struct positions *p, uint64_t applied_seq, uint64_t first_lsn);
/* Everything that was sent and is not in doubt is done: up to seq. Doubts are over. */
void positions_settle(struct positions *p, uint64_t sent_seq);
/* also_at: NULL, or for each slot another node that has a part of it, since it is on its way there: both have
 * to vouch. It is an index, or one of these. */
enum importing { IMPORTING_NONE = 0xffff, IMPORTING_UNKNOWN = 0xfffe };

/* Memory becomes what is known now. first_lsn: of the session, 0 when it began with a snapshot. False
 * (ERROR_REDIRECT): some slot lacks what came before the session, or nobody can tell what it lacks; or it has
 * what a promoted master may not have had. */
bool positions_resolve(struct positions *p, const struct topology *t, const struct position_node *nodes,
                       const uint16_t *importing_node, uint64_t first_lsn, struct error *error);

#endif
