/* A bounded set of 64-bit hashes of keys. */
#ifndef DF2REDIS_WORKER_VERIFIER_HASH_SET_H
#define DF2REDIS_WORKER_VERIFIER_HASH_SET_H

#include "common/base/mem.h"

enum { HASH_SET_MAX = 262144 };

/* Zero-initialised: empty. */
struct hash_set {
    uint64_t *list; /* 0: free */
    size_t size, count;
};

/* False: it is there already, or there is no room. */
bool hash_set_add(struct hash_set *s, uint64_t hash);
bool hash_set_has(const struct hash_set *s, uint64_t hash);
void hash_set_free(struct hash_set *s);

#endif
