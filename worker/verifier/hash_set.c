/* Open addressing, at most half full. */
#include "worker/verifier/hash_set.h"

#include <stdlib.h>

static size_t place_of(const struct hash_set *s, uint64_t hash)
{
    size_t place = (size_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->size - 1);
    while (s->list[place] && s->list[place] != hash)
        place = (place + 1) & (s->size - 1);
    return place;
}

static void grow(struct hash_set *s)
{
    struct hash_set before = *s;
    s->size = before.size ? before.size * 2 : 256;
    s->list = x_calloc(s->size, sizeof *s->list);
    for (size_t i = 0; i < before.size; i++)
        if (before.list[i])
            s->list[place_of(s, before.list[i])] = before.list[i];
    free(before.list);
}

bool hash_set_add(struct hash_set *s, uint64_t hash)
{
    hash |= !hash;
    if (s->count == HASH_SET_MAX || hash_set_has(s, hash))
        return false;
    if (s->count * 2 >= s->size)
        grow(s);
    s->list[place_of(s, hash)] = hash;
    s->count++;
    return true;
}

bool hash_set_has(const struct hash_set *s, uint64_t hash)
{
    hash |= !hash;
    return s->size && s->list[place_of(s, hash)];
}

void hash_set_free(struct hash_set *s)
{
    free(s->list);
    *s = (struct hash_set){0};
}
