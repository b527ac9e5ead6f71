/* The entries of one stream node: a listpack with a master id.
 *
 *   master entry: entries  deleted  fields  name …  0
 *   each entry:   flags  ms offset  seq offset  [fields  name value …]  value …  items
 *
 * flags: 1 deleted, 2 the same fields as the master entry (then only values follow). `items` counts the
 * listpack items before it. Source: Redis t_stream.c. */
#include <stdlib.h>
#include <sysexits.h>

#include "worker/rdb/packed.h"
#include "worker/rdb/rdb_string.h"
#include "worker/rdb/stream.h"

enum { ENTRY_DELETED = 1, ENTRY_SAME_FIELDS = 2, NUMBER_BYTES = 24 };

struct stream_node_reader {
    struct stream_id master;
    struct slice listpack;
    size_t position;
    uint64_t left; /* remaining entries, with deleted ones */
    struct slice *names;
    size_t name_count, name_capacity;
    struct slice *fields;
    size_t field_capacity;
    /* Texts of integers, of the master's names and of the current entry. Not reallocated while in use. */
    struct buf name_text, field_text;
};

struct stream_node_reader *stream_node_reader_new(void)
{
    return x_calloc(1, sizeof(struct stream_node_reader));
}

void stream_node_reader_free(struct stream_node_reader *r)
{
    if (!r)
        return;
    free(r->names);
    free(r->fields);
    buf_free(&r->name_text);
    buf_free(&r->field_text);
    free(r);
}

static bool node_broken(struct error *error, const char *what)
{
    return error_fatal(error, EX_DATAERR, "stream node: %s", what);
}

static bool integer(struct stream_node_reader *r, int64_t *v)
{
    struct packed_item item;
    if (listpack_next(r->listpack, &r->position, &item) != 1)
        return false;
    if (item.text.data)
        return slice_to_i64(item.text, v);
    *v = item.number;
    return true;
}

/* A count is limited by the listpack's size, as an item takes at least two bytes. */
static bool count(struct stream_node_reader *r, uint64_t *v)
{
    int64_t n;
    if (!integer(r, &n) || n < 0 || (uint64_t)n > r->listpack.len / 2)
        return false;
    *v = (uint64_t)n;
    return true;
}

static bool text(struct stream_node_reader *r, struct buf *numbers, struct slice *out)
{
    struct packed_item item;
    if (listpack_next(r->listpack, &r->position, &item) != 1)
        return false;
    *out = item.text;
    if (!item.text.data) {
        uint8_t *to = numbers->data + numbers->len; /* room was made for each */
        *out = slice_of(to, format_i64((char *)to, item.number));
        numbers->len += out->len;
    }
    return true;
}

static void node_make_room(struct slice **slices, size_t *capacity, size_t n, struct buf *numbers)
{
    if (n > *capacity) {
        *capacity = n;
        *slices = x_realloc(*slices, n * sizeof **slices);
    }
    buf_clear(numbers);
    buf_reserve(numbers, n * NUMBER_BYTES);
}

bool stream_node_begin(struct stream_node_reader *r, struct slice master_id, struct slice listpack,
                       struct error *error)
{
    uint64_t items, entries, deleted, names;
    int64_t terminator;
    r->left = 0;
    r->listpack = listpack;
    r->position = packed_begin(PACKED_LISTPACK, listpack, &items);
    if (master_id.len != 16 || r->position == 0)
        return node_broken(error, "invalid id or listpack");
    r->master = (struct stream_id){load_be64(master_id.data), load_be64(master_id.data + 8)};
    if (!count(r, &entries) || !count(r, &deleted) || !count(r, &names))
        return node_broken(error, "its master entry is broken");
    node_make_room(&r->names, &r->name_capacity, (size_t)names, &r->name_text);
    for (uint64_t i = 0; i < names; i++)
        if (!text(r, &r->name_text, &r->names[i]))
            return node_broken(error, "its master entry is broken");
    if (!integer(r, &terminator) || terminator != 0)
        return node_broken(error, "its master entry does not end with 0");
    r->name_count = (size_t)names;
    r->left = entries + deleted;
    return true;
}

/* Names and values of the current entry. */
static bool entry_fields(struct stream_node_reader *r, bool same, struct stream_entry *out)
{
    uint64_t n = r->name_count;
    if (!same && !count(r, &n))
        return false;
    node_make_room(&r->fields, &r->field_capacity, (size_t)n * 2, &r->field_text);
    for (size_t i = 0; i < n; i++) {
        if (same)
            r->fields[2 * i] = r->names[i];
        else if (!text(r, &r->field_text, &r->fields[2 * i]))
            return false;
        if (!text(r, &r->field_text, &r->fields[2 * i + 1]))
            return false;
    }
    out->fields = r->fields;
    out->field_count = (size_t)n * 2;
    return true;
}

int stream_node_next(struct stream_node_reader *r, struct stream_entry *out, struct error *error)
{
    while (r->left) {
        int64_t flags, ms, seq, items;
        if (!integer(r, &flags) || !integer(r, &ms) || !integer(r, &seq) ||
            !entry_fields(r, flags & ENTRY_SAME_FIELDS, out) || !integer(r, &items))
            return node_broken(error, "an entry is broken") ? 1 : -1;
        r->left--;
        if (flags & ENTRY_DELETED)
            continue;
        /* Offsets wrap, as they do in Redis. */
        out->id = (struct stream_id){r->master.ms + (uint64_t)ms, r->master.seq + (uint64_t)seq};
        return 1;
    }
    return 0;
}
