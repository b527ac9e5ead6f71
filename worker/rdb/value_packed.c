/* Reading the packed encodings (listpack, ziplist, intset, zipmap) of small values and of list nodes.
 *
 * A packed encoding is read item by item, and consumed with its last item; value_reader.extra is the position in it (0:
 * not begun). */
#include <math.h>
#include <stdlib.h>

#include "worker/rdb/packed.h"
#include "worker/rdb/value_group.h"

static struct slice item_text(struct group *g, const struct packed_item *item)
{
    if (item->text.data)
        return item->text;
    struct buf *b = &g->scratch->bytes;
    uint8_t *to = b->data + b->len; /* has ELEMENT_ROOM */
    size_t len = format_i64((char *)to, item->number);
    b->len += len;
    return slice_of(to, len);
}

static bool item_score(const struct packed_item *item, double *score)
{
    char text[128];
    if (!item->text.data) {
        *score = (double)item->number;
        return true;
    }
    if (item->text.len == 0 || item->text.len >= sizeof text)
        return false;
    memcpy(text, item->text.data, item->text.len);
    text[item->text.len] = '\0';
    char *end;
    *score = strtod(text, &end);
    return end == text + item->text.len && !isnan(*score);
}

/* Number of items per element. */
static unsigned items_of(enum element_class class)
{
    return class == ELEMENT_HASH || class == ELEMENT_ZSET ? 2 : 1;
}

static int next_items(enum packed_kind kind, struct slice blob, size_t *position, unsigned n,
                      struct packed_item *items)
{
    if (kind == PACKED_ZIPMAP)
        return packed_next(kind, blob, position, items);
    int got = packed_next(kind, blob, position, &items[0]);
    if (got <= 0 || n == 1)
        return got;
    return packed_next(kind, blob, position, &items[1]) == 1 ? 1 : -1;
}

/* Reads items from extra on. GROUP_ON: to the end (extra is 0 again), GROUP_FULL: not. */
static enum group_step give_items(struct group *g, enum packed_kind kind, struct slice blob)
{
    uint64_t announced;
    size_t begin = packed_begin(kind, blob, &announced), position = g->reader->extra;
    unsigned n = items_of(g->class);
    if (begin == 0)
        return group_broken(g, "invalid header of a packed encoding");
    if (position == 0)
        position = begin;
    for (;;) {
        struct packed_item items[2] = {0};
        size_t next = position;
        int got = next_items(kind, blob, &next, n, items);
        if (got < 0)
            return group_broken(g, "invalid item of a packed encoding");
        if (got == 0) {
            g->reader->extra = 0;
            return GROUP_ON;
        }
        if (g->count >= g->max_elements || !group_room(g, ELEMENT_ROOM)) {
            g->reader->extra = position;
            return GROUP_FULL;
        }
        struct element *e = group_slot(g);
        *e = (struct element){.a = item_text(g, &items[0])};
        if (g->class == ELEMENT_HASH)
            e->b = item_text(g, &items[1]);
        if (g->class == ELEMENT_ZSET && !item_score(&items[1], &e->score))
            return group_broken(g, "invalid score");
        g->count++;
        position = next;
    }
}

/* Decodes the string at p; keeps room for one element after it, so that the first element always fits. GROUP_ON: *out
 * is the string, *bytes its size in the input. */
static enum group_step whole_string(struct group *g, const uint8_t *p, size_t there, struct slice *out,
                                    size_t *bytes)
{
    struct rdb_string_head head;
    const uint8_t *content;
    size_t plain;
    enum group_step step = group_strings(g, p, there, 1, &head, &content, bytes, &plain);
    if (step != GROUP_ON)
        return step;
    if (!group_room(g, plain + ELEMENT_ROOM))
        return GROUP_FULL;
    return rdb_string_decode(&head, content, &g->scratch->bytes, out) ? GROUP_ON
                                                                      : group_broken(g, "invalid LZF");
}

static enum packed_kind kind_of(uint8_t type)
{
    switch (type) {
    case RDB_SET_INTSET:
        return PACKED_INTSET;
    case RDB_HASH_ZIPMAP:
        return PACKED_ZIPMAP;
    case RDB_LIST_ZIPLIST:
    case RDB_ZSET_ZIPLIST:
    case RDB_HASH_ZIPLIST:
    case RDB_LIST_QUICKLIST:
        return PACKED_ZIPLIST;
    default:
        return PACKED_LISTPACK;
    }
}

enum group_step group_packed_value(struct group *g)
{
    struct slice blob;
    size_t bytes;
    enum group_step step = whole_string(g, g->input.data, g->input.len, &blob, &bytes);
    if (step != GROUP_ON)
        return step;
    if (g->reader->total == 0 && packed_begin(kind_of(g->type), blob, &g->reader->total))
        g->reader->total /= items_of(g->class);
    step = give_items(g, kind_of(g->type), blob);
    if (step == GROUP_ON) {
        g->consumed = bytes;
        g->reader->remaining = 0;
    }
    return step;
}

enum group_step group_list_node(struct group *g)
{
    enum { PLAIN = 1, PACKED = 2 };
    const uint8_t *p = g->input.data + g->consumed;
    size_t there = g->input.len - g->consumed, head = 0, bytes;
    uint64_t container = PACKED;
    struct slice node;

    if (g->type == RDB_LIST_QUICKLIST_2) {
        unsigned used = packed_read(p, there, &container);
        if (used == PACKED_MORE) {
            g->wanted = g->input.len + 1;
            return GROUP_MORE;
        }
        if (used == PACKED_BROKEN || container < PLAIN || container > PACKED)
            return group_broken(g, "a list node of unknown kind");
        head = used;
    }
    enum group_step step = whole_string(g, p + head, there - head, &node, &bytes);
    if (step != GROUP_ON)
        return step;
    if (container == PLAIN)
        *group_slot(g) = (struct element){.a = node}, g->count++;
    else
        step = give_items(g, kind_of(g->type), node);
    if (step == GROUP_ON) {
        g->consumed += head + bytes;
        g->reader->remaining--;
    }
    return step;
}
