/* Keys that a plain comparison could not decide, until the exact comparison has: a bounded set by database and key,
 * ordered by the time of the next comparison. */
#ifndef DF2REDIS_WORKER_VERIFIER_DOUBTS_H
#define DF2REDIS_WORKER_VERIFIER_DOUBTS_H

#include "worker/compare/comparison.h"

enum { DOUBTS_ENOUGH = 20000, DOUBTS_ENOUGH_BYTES = 8 << 20 };

struct doubt {
    uint32_t db; /* the target's */
    struct slice key;
    uint64_t due_ms, first_ms; /* CLOCK_MONOTONIC; first_ms: of the first comparison, 0: none yet */
    uint32_t tries;            /* comparisons that were aborted */
    uint32_t differed;         /* comparisons that found it different, in a row */
    bool alone, by_elements;   /* comparison.h */
    bool large;                /* not looked at by the plain comparison */
    bool of_target;            /* found among the names of the target */
    bool repair;               /* is a difference, and is now repaired */
    bool rewritten;            /* to be found equal */
    enum verify_kind kind;
    enum digest_kind type;
    uint64_t difference; /* comparison.h */
    /* private */
    uint64_t hash;
    size_t place; /* in the heap; SIZE_MAX: taken */
    struct doubt *in_bucket;
};

struct doubts;

struct doubts *doubts_new(void);
void doubts_free(struct doubts *d);
/* NULL: the key is in the set already. Due at once. */
struct doubt *doubts_add(struct doubts *d, uint32_t db, struct slice key);
size_t doubts_count(const struct doubts *d);
/* Whether some keys should be settled before others are added. */
bool doubts_are_enough(const struct doubts *d);
/* The key that is due first and not taken; NULL: none. */
struct doubt *doubts_first(const struct doubts *d);
/* It is being compared: doubts_first() passes it over. */
void doubts_take(struct doubts *d, struct doubt *k);
void doubts_put_back(struct doubts *d, struct doubt *k, uint64_t due_ms);
/* Frees it; must be taken. */
void doubts_settle(struct doubts *d, struct doubt *k);
/* Each key of the set, in no order. */
void doubts_each(const struct doubts *d, void (*tell)(void *arg, const struct doubt *k), void *arg);

#endif
