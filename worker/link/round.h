/* A round: the batches that go out together, and where the FLOW stands once all of them are acknowledged.
 *
 *   standalone   one batch
 *   cluster      one plain batch for each node, and one for each slot that sees a command that must not run
 *                twice: MULTI … EXEC with the slot's mark, sent when the node has acknowledged all before it
 *
 * Rounds are acknowledged in order, whatever link is the fastest. */
#ifndef DF2REDIS_WORKER_LINK_ROUND_H
#define DF2REDIS_WORKER_LINK_ROUND_H

#include "common/redis/journal_check.h"
#include "worker/link/batch.h"

/* Where the FLOW stands after a round: what the cursor's restart record and the marks say. */
struct checkpoint {
    struct buf record; /* decoder_save */
    uint64_t offset;   /* stream offset the decoder begins at after it */
    uint64_t seq;
    uint64_t next_lsn;
    struct journal_check check; /* the last command before it */
};

struct round {
    struct round *next;
    struct batch **plain;           /* by node: `nodes` of them; NULL where nothing goes there */
    struct batch *once, *last_once; /* cluster: a chain by slot */
    uint32_t nodes, once_count;
    uint32_t pending; /* batches that are not acknowledged */
    /* Of all batches. */
    uint32_t commands;
    size_t bytes, borrowed;
    bool has_once;
    bool alone;      /* it goes out before the next entry */
    bool marked;     /* it holds a mark of the whole FLOW */
    bool in_trouble; /* a part of it was given up */
    uint64_t
        done_seq; /* entries up to it are done with the round; its end may stand before that (commit.c) */
    uint64_t after_seq; /* done_seq of the round before it */
    struct checkpoint end;
    uint64_t entries, keys; /* carried */
    uint64_t sent_at_us;
};

struct round *round_new(void);
/* With the batches that it still has. */
void round_free(struct round *r);
/* Empty again, for so many nodes. Its batches must have been taken out. */
void round_reset(struct round *r, uint32_t nodes);

static inline bool round_empty(const struct round *r)
{
    return r->commands == 0;
}

/* A command was written into b, which had so much before. */
static inline void round_count(struct round *r, const struct batch *b, uint32_t commands, size_t bytes)
{
    r->commands += b->commands - commands;
    r->bytes += b->out.len + b->borrowed_bytes - bytes;
    r->borrowed += b->borrowed_count > 0;
    r->has_once |= b->once;
}

#endif
