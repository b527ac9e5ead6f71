/* Times by key, in memory: a map of hashes that grows and is freed as a whole. */
#ifndef DF2REDIS_WORKER_KEYS_TIMES_H
#define DF2REDIS_WORKER_KEYS_TIMES_H

#include "common/base/mem.h"

struct timed {
    uint64_t hash; /* 0: free */
    uint64_t at;   /* the owner's: an entry, or where it lies */
    int64_t ms;
};

/* All zero: empty. */
struct times {
    struct timed *list;
    size_t size, count; /* size: a power of two */
};

/* Of a key, or of a field of it; never 0. */
uint64_t deadlines_hash(uint32_t db, struct slice key, struct slice field);
struct timed *times_find(const struct times *t, uint64_t hash); /* NULL: there is none */
void times_set(struct times *t, uint64_t hash, uint64_t at, int64_t ms);
void times_forget(struct times *t);

#endif
