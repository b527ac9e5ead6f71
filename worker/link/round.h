/* A round: batches that are sent together, and the position of the FLOW once all of them are acknowledged.
 *
 *   standalone   one batch
 *   cluster      one plain batch per node, and one once batch per slot with a once command: MULTI … EXEC with
 *                the slot's mark, sent when the node has acknowledged all batches before it
 *
 * Rounds are acknowledged in order, independently of the speed of the links. */
#ifndef DF2REDIS_WORKER_LINK_ROUND_H
#define DF2REDIS_WORKER_LINK_ROUND_H

#include "common/redis/journal_check.h"
#include "worker/link/batch.h"

/* The position of the FLOW after a round, for the cursor's restart record and the marks. */
struct checkpoint {
    struct buf record; /* decoder_save */
    uint64_t offset;   /* stream offset of the next entry */
    uint64_t seq;
    uint64_t next_lsn;
    struct journal_check check; /* the last command before it */
};

struct round {
    struct round *next;
    struct batch **plain;           /* by node, `nodes` elements; NULL: no batch for the node */
    struct batch *once, *last_once; /* cluster: list of once batches, one per slot */
    uint32_t nodes, once_count;
    uint32_t pending; /* number of unacknowledged batches */
    /* Sums over all batches. */
    uint32_t commands;
    size_t bytes, borrowed;
    bool has_once;
    bool alone;         /* takes no further entry */
    bool marked;        /* has a mark of the whole FLOW */
    bool in_trouble;    /* a batch of it was dropped */
    uint64_t done_seq;  /* entries up to it are done with the round; `end` may be before it (commit.c) */
    uint64_t after_seq; /* done_seq of the round before it */
    struct checkpoint end;
    uint64_t entries, keys; /* numbers in the round */
    uint64_t sent_at_us;
};

struct round *round_new(void);
/* Frees its remaining batches, too. */
void round_free(struct round *r);
/* Empties the round for a number of nodes. Its batches must have been removed. */
void round_reset(struct round *r, uint32_t nodes);

static inline bool round_empty(const struct round *r)
{
    return r->commands == 0;
}

/* Counts a command written into b, which had `commands` and `bytes` before. */
static inline void round_count(struct round *r, const struct batch *b, uint32_t commands, size_t bytes)
{
    r->commands += b->commands - commands;
    r->bytes += b->out.len + b->borrowed_bytes - bytes;
    r->borrowed += b->borrowed_count > 0;
    r->has_once |= b->once;
}

#endif
