/* Times by key, in memory: a map by hash that only grows, and is freed as a whole. */
#ifndef DF2REDIS_WORKER_KEYS_TIMES_H
#define DF2REDIS_WORKER_KEYS_TIMES_H

#include "common/base/mem.h"

struct timed {
    uint64_t hash; /* 0: free */
    uint64_t at;   /* set by the owner: an entry's seq, or a position in a list */
    int64_t ms;
};

/* Zero-initialised: empty. */
struct times {
    struct timed *list;
    size_t size, count; /* size: a power of two */
};

/* Hash of a key, or of a field of it; never 0. */
uint64_t deadlines_hash(uint32_t db, struct slice key, struct slice field);
struct timed *times_find(const struct times *t, uint64_t hash); /* NULL: not in the map */
void times_set(struct times *t, uint64_t hash, uint64_t at, int64_t ms);
void times_forget(struct times *t);

#endif
