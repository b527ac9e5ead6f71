/* A group of elements that is being read: private to value_*.c. A file calls those to its right.
 *
 *   value_reader.c ── value_packed.c ── value_group.c
 *   any value         packed ones       strings
 */
#ifndef DF2REDIS_WORKER_RDB_VALUE_GROUP_H
#define DF2REDIS_WORKER_RDB_VALUE_GROUP_H

#include "worker/rdb/rdb_string.h"

enum { NUMBER_ROOM = 24 /* text of one int64 */, ELEMENT_ROOM = 4 * NUMBER_ROOM };

struct group {
    struct value_reader *reader;
    uint8_t type;
    struct slice input;
    size_t max_elements, max_bytes;
    struct value_scratch *scratch;
    enum element_class class;
    size_t count, consumed, wanted;
    struct error *error;
};

enum group_step {
    GROUP_ON,     /* an element or a node was read */
    GROUP_FULL,   /* the group ends, as the scratch memory would have to be reallocated */
    GROUP_MORE,   /* group.wanted bytes of input are needed */
    GROUP_BROKEN, /* group.error is set */
};

/* Makes room for `bytes` in the scratch memory. Elements point into it, so it is enlarged for the first element of a
 * group only. False: no room. */
static inline bool group_room(struct group *g, size_t bytes)
{
    struct buf *b = &g->scratch->bytes;
    if (b->cap - b->len >= bytes)
        return true;
    if (g->count)
        return false;
    b->len = 0;
    buf_reserve(b, bytes);
    return true;
}

static inline struct element *group_slot(struct group *g)
{
    struct value_scratch *s = g->scratch;
    if (g->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 64;
        s->elements = x_realloc(s->elements, s->capacity * sizeof *s->elements);
    }
    return &s->elements[g->count];
}

/* value_group.c */

enum group_step group_broken(struct group *g, const char *what);
/* Reads the heads of `n` strings, with the bytes after the last one; GROUP_ON: complete. *bytes: their size in the
 * input, *plain: the scratch memory they need. content[i]: address of the content of string i. */
enum group_step group_strings(struct group *g, const uint8_t *p, size_t there, unsigned n,
                              struct rdb_string_head *heads, const uint8_t **content, size_t *bytes,
                              size_t *plain);

/* value_packed.c */

/* A value that is one packed encoding in one string. */
enum group_step group_packed_value(struct group *g);
/* One node of a quicklist, or the items of it that fit. */
enum group_step group_list_node(struct group *g);

static inline bool group_is_full(const struct group *g)
{
    return g->count >= g->max_elements || (g->count && g->consumed >= g->max_bytes);
}

#endif
