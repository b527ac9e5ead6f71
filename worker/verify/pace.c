#include "worker/verify/pace.h"

#include <stdlib.h>

#include "common/base/crc.h"

enum {
    KEYS = 4096, /* remembered */
    KEYS_PER_SECOND = 200,
    BATCH_BYTES_PER_MS = (16 << 20) / 1000,
    KEY_BYTES_PER_MS = (1 << 20) / 1000,
    BATCH_MAX_MS = 10000,
};

struct rest {
    uint64_t hash, begun_ms; /* 0: unused */
    uint32_t ms;
};

struct pace {
    struct rest rests[KEYS];
    bool ends;
};

struct pace *pace_new(void)
{
    return x_calloc(1, sizeof(struct pace));
}

void pace_free(struct pace *p)
{
    free(p);
}

void pace_ends(struct pace *p)
{
    p->ends = true;
}

static uint64_t limited(uint64_t ms, uint64_t least, uint64_t most)
{
    if (ms < least)
        return least;
    return ms < most ? ms : most;
}

void pace_compared(struct pace *p, uint32_t db, struct slice key, uint64_t bytes, uint64_t now_ms)
{
    uint64_t hash = crc64(db, key.data, key.len);
    uint64_t ms = limited(bytes / KEY_BYTES_PER_MS, PACE_REST_MIN_MS, PACE_REST_MAX_MS);
    p->rests[hash % KEYS] = (struct rest){.hash = hash, .begun_ms = now_ms, .ms = (uint32_t)ms};
}

uint64_t pace_due_ms(const struct pace *p, uint32_t db, struct slice key)
{
    uint64_t hash = crc64(db, key.data, key.len);
    const struct rest *r = &p->rests[hash % KEYS];
    if (r->hash != hash || !r->begun_ms)
        return 0;
    return r->begun_ms + (p->ends ? PACE_REST_MIN_MS : r->ms);
}

uint64_t pace_batch_ms(const struct pace *p, size_t keys, uint64_t bytes)
{
    uint64_t of_keys = keys * 1000 / KEYS_PER_SECOND, of_bytes = bytes / BATCH_BYTES_PER_MS;
    if (p->ends)
        return 0;
    return limited(of_bytes, of_keys, BATCH_MAX_MS);
}
