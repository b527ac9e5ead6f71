/* Open addressing with linear probing, at most half full. */
#include "supervisor/state/id_set.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { FIRST_SIZE = 256 };

/* The slot of the id, used or free. */
static uint64_t *find_slot(const struct id_set *s, uint64_t id)
{
    size_t i = id & (s->size - 1);
    while (s->slots[i] && s->slots[i] != id)
        i = (i + 1) & (s->size - 1);
    return &s->slots[i];
}

static void grow(struct id_set *s)
{
    struct id_set larger = *s;
    larger.size = s->size ? 2 * s->size : FIRST_SIZE;
    larger.slots = x_calloc(larger.size, sizeof *larger.slots);
    for (size_t i = 0; i < s->size; i++)
        if (s->slots[i])
            *find_slot(&larger, s->slots[i]) = s->slots[i];
    free(s->slots);
    *s = larger;
}

bool id_set_add(struct id_set *s, uint64_t id)
{
    if (s->count >= s->size / 2 && s->count < (s->limit ? s->limit : ID_SET_LIMIT))
        grow(s);
    uint64_t *slot = find_slot(s, id);
    if (*slot)
        return false;
    if (s->count < (s->limit ? s->limit : ID_SET_LIMIT)) {
        *slot = id;
        s->count++;
    }
    return true;
}

void id_set_clear(struct id_set *s)
{
    free(s->slots);
    *s = (struct id_set){.limit = s->limit};
}
