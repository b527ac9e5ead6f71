/* A hash map with open addressing, at most half full. */
#include "worker/keys/times.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE_MIN = 1024 };

static uint64_t times_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static uint64_t hash_bytes(uint64_t h, struct slice s)
{
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.data + i, sizeof word);
        h = times_mix(h, word);
    }
    uint64_t rest = 0;
    for (; i < s.len; i++)
        rest = rest << 8 | s.data[i];
    return times_mix(times_mix(h, rest), s.len);
}

uint64_t deadlines_hash(uint32_t db, struct slice key, struct slice field)
{
    uint64_t h = hash_bytes(times_mix(UINT64_C(0x2545F4914F6CDD1D), db), key);
    if (field.data)
        h = hash_bytes(h, field);
    h = times_mix(h, UINT64_C(0x5851F42D4C957F2D));
    return h ? h : 1;
}

/* The slot of the hash, used or free. */
static struct timed *times_slot(const struct times *t, uint64_t hash)
{
    size_t i = hash & (t->size - 1);
    while (t->list[i].hash && t->list[i].hash != hash)
        i = (i + 1) & (t->size - 1);
    return &t->list[i];
}

static void times_grow(struct times *t)
{
    struct timed *old = t->list;
    size_t size = t->size;
    t->size = size ? size * 2 : SIZE_MIN;
    t->list = x_calloc(t->size, sizeof *t->list);
    for (size_t i = 0; i < size; i++)
        if (old[i].hash)
            *times_slot(t, old[i].hash) = old[i];
    free(old);
}

struct timed *times_find(const struct times *t, uint64_t hash)
{
    struct timed *found = t->count ? times_slot(t, hash) : NULL;
    return found && found->hash ? found : NULL;
}

void times_set(struct times *t, uint64_t hash, uint64_t at, int64_t ms)
{
    if (t->count * 2 >= t->size)
        times_grow(t);
    struct timed *place = times_slot(t, hash);
    t->count += place->hash == 0;
    *place = (struct timed){hash, at, ms};
}

void times_forget(struct times *t)
{
    free(t->list);
    *t = (struct times){0};
}
