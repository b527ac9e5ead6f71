/* Scores that the source's journal has cut.
 *
 * ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE, ZRANGESTORE and the GEO commands with STORE are journaled as their result, in one
 * transaction:
 *
 *   DEL key
 *   ZADD key score member [score member ...]      scores with at most 6 significant digits
 *
 * Whether a score had more digits the text does not tell: 1.0000004 is journaled as 1. So the key of such a ZADD is a
 * suspect, unless a score has more digits: then a client has sent the two commands in a transaction. */
#ifndef DF2REDIS_WORKER_PIPELINE_CUT_SCORES_H
#define DF2REDIS_WORKER_PIPELINE_CUT_SCORES_H

#include "worker/rdb/entry.h"

struct flow;

/* What stood before the entry. Zero: unknown, as for the first entry after a restart. */
struct cut_scores {
    bool known;
    bool deleted; /* a DEL of one key */
    uint64_t txid, key_hash;
};

/* For each entry, also those that the target has. */
void cut_scores_note(struct cut_scores *c, struct flow *f, const struct entry *e);
/* Whether the scores of a ZADD may have been cut. */
bool cut_scores_possible(const struct entry *e);

#endif
