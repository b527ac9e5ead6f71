/* A 128-bit hash of its input, in order; not collision-resistant against an attacker. */
#ifndef DF2REDIS_WORKER_COMPARE_DIGEST_HASH_H
#define DF2REDIS_WORKER_COMPARE_DIGEST_HASH_H

#include "common/base/mem.h"

struct hasher {
    uint64_t a, b;
};

static inline uint64_t hash_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline struct hasher hash_begin(uint64_t seed)
{
    return (struct hasher){hash_mix(seed + UINT64_C(0x9e3779b97f4a7c15)), hash_mix(~seed)};
}

static inline void hash_u64(struct hasher *h, uint64_t v)
{
    h->a = (h->a ^ v) * UINT64_C(0x9fb21c651e98df25);
    h->a ^= h->a >> 29;
    h->b = (h->b + v) * UINT64_C(0xd6e8feb86659fd93);
    h->b ^= h->b >> 32;
}

static inline void hash_bytes(struct hasher *h, struct slice s)
{
    hash_u64(h, s.len);
    while (s.len >= 8) {
        uint64_t word;
        memcpy(&word, s.data, sizeof word);
        hash_u64(h, word);
        s = slice_of(s.data + 8, s.len - 8);
    }
    uint64_t rest = 0;
    if (s.len) {
        memcpy(&rest, s.data, s.len);
        hash_u64(h, rest);
    }
}

static inline void hash_double(struct hasher *h, double v)
{
    uint64_t bits;
    v = v == 0 ? 0 : v; /* -0 */
    memcpy(&bits, &v, sizeof bits);
    hash_u64(h, bits);
}

/* Adds the hash of one of several items whose order does not count. */
static inline void hash_add(uint64_t sum[2], const struct hasher *h)
{
    sum[0] += hash_mix(h->a);
    sum[1] += hash_mix(h->b ^ h->a);
}

#endif
