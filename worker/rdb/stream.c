/* Stream values: conversion for older targets, and reading the tail after the nodes.
 *
 *   nodes, each: master id (string of 16 bytes), listpack (string)
 *   length  last ms  last seq  [first ms  first seq  max deleted ms  max deleted seq  entries added] 19, 21
 *   groups, each: name  last ms  last seq  [entries read] 19, 21 pending, each: id:16 delivered:8 deliveries
 *                 consumers, each: name  seen:8  [active:8]  n, n × id:16 21 */
#include "worker/rdb/stream.h"

#include <stdlib.h>
#include <sysexits.h>

#include "worker/rdb/rdb_string.h"

struct pending {
    struct stream_id id;
    int64_t delivered_ms;
    uint64_t deliveries;
};

struct tail_reader {
    const uint8_t *p, *end;
    uint8_t type;
    struct error *error;
    /* Conversion: the value is copied to out in the layout of `to_type`. */
    struct buf *out;
    uint8_t to_type;
    /* Visiting. */
    const struct stream_tail_visitor *visitor;
    struct buf group_name, consumer_name;
    struct pending *pending;
    size_t pending_count, pending_capacity;
};

static bool tail_broken(struct tail_reader *r, const char *what)
{
    return error_fatal(r->error, EX_DATAERR, "stream value: %s", what);
}

static bool type_has_counters(uint8_t type)
{
    return type >= RDB_STREAM_LISTPACKS_2;
}

static bool has_active_time(uint8_t type)
{
    return type >= RDB_STREAM_LISTPACKS_3;
}

static void copy(struct tail_reader *r, const uint8_t *from)
{
    if (r->out)
        buf_put(r->out, from, (size_t)(r->p - from));
}

static bool number(struct tail_reader *r, uint64_t *v, bool keep)
{
    const uint8_t *from = r->p;
    unsigned used = packed_read(r->p, (size_t)(r->end - r->p), v);
    if (used == PACKED_MORE || used == PACKED_BROKEN)
        return tail_broken(r, "truncated, or an invalid number");
    r->p += used;
    if (keep)
        copy(r, from);
    return true;
}

static bool bytes(struct tail_reader *r, size_t n, const uint8_t **at, bool keep)
{
    if ((size_t)(r->end - r->p) < n)
        return tail_broken(r, "truncated");
    *at = r->p;
    r->p += n;
    if (keep)
        copy(r, *at);
    return true;
}

/* A string, decoded into `text` if not NULL. */
static bool string(struct tail_reader *r, struct buf *text)
{
    const uint8_t *from = r->p;
    struct slice s;
    struct rdb_string_head h;
    size_t there = (size_t)(r->end - r->p);
    if (rdb_string_head(r->p, there, &h) != VALUE_OK || h.head_bytes + h.stored_bytes > there)
        return tail_broken(r, "truncated, or an invalid string");
    if (text) {
        buf_clear(text);
        if (!rdb_string_decode(&h, r->p + h.head_bytes, text, &s))
            return tail_broken(r, "invalid LZF");
        if (h.encoding == RDB_PLAIN)
            buf_put(text, s.data, s.len);
    }
    r->p += h.head_bytes + h.stored_bytes;
    copy(r, from);
    return true;
}

static struct stream_id id_of(const uint8_t *p)
{
    return (struct stream_id){load_be64(p), load_be64(p + 8)};
}

static bool head(struct tail_reader *r)
{
    struct stream_tail t = {0};
    bool keep = r->out && type_has_counters(r->to_type);
    if (!number(r, &t.length, true) || !number(r, &t.last_id.ms, true) || !number(r, &t.last_id.seq, true))
        return false;
    t.entries_added = t.length;
    if (type_has_counters(r->type) &&
        (!number(r, &t.first_id.ms, keep) || !number(r, &t.first_id.seq, keep) ||
         !number(r, &t.max_deleted_id.ms, keep) || !number(r, &t.max_deleted_id.seq, keep) ||
         !number(r, &t.entries_added, keep)))
        return false;
    if (r->visitor && r->visitor->head)
        r->visitor->head(r->visitor->arg, &t);
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;
    if (x->id.ms != y->id.ms)
        return x->id.ms < y->id.ms ? -1 : 1;
    return (x->id.seq > y->id.seq) - (x->id.seq < y->id.seq);
}

static bool pending_list(struct tail_reader *r)
{
    uint64_t n;
    bool sorted = true;
    if (!number(r, &n, true))
        return false;
    r->pending_count = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct pending p;
        const uint8_t *at = NULL;
        if (!bytes(r, 24, &at, true) || !number(r, &p.deliveries, true))
            return false;
        if (!r->visitor)
            continue;
        p.id = id_of(at);
        p.delivered_ms = (int64_t)load_le64(at + 16);
        if (r->pending_count == r->pending_capacity) {
            r->pending_capacity = r->pending_capacity ? r->pending_capacity * 2 : 64;
            r->pending = x_realloc(r->pending, r->pending_capacity * sizeof *r->pending);
        }
        sorted = sorted && (i == 0 || by_id(&r->pending[i - 1], &p) < 0);
        r->pending[r->pending_count++] = p;
    }
    if (!sorted)
        qsort(r->pending, r->pending_count, sizeof *r->pending, by_id);
    return true;
}

/* The ids of a consumer's pending entries; each is in the group's list. */
static bool owned_ids(struct tail_reader *r)
{
    uint64_t n;
    if (!number(r, &n, true))
        return false;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *at = NULL;
        if (!bytes(r, 16, &at, true))
            return false;
        if (!r->visitor || !r->visitor->pending)
            continue;
        struct pending wanted = {.id = id_of(at)};
        struct pending *p =
            r->pending_count ? bsearch(&wanted, r->pending, r->pending_count, sizeof *p, by_id) : NULL;
        if (!p)
            return tail_broken(r, "a consumer has a pending entry that its group lacks");
        r->visitor->pending(r->visitor->arg, buf_slice(&r->group_name), buf_slice(&r->consumer_name), p->id,
                            p->delivered_ms, p->deliveries);
    }
    return true;
}

static bool consumer(struct tail_reader *r)
{
    const uint8_t *seen = NULL, *active;
    if (!string(r, r->visitor ? &r->consumer_name : NULL) || !bytes(r, 8, &seen, true))
        return false;
    active = seen;
    if (has_active_time(r->type) && !bytes(r, 8, &active, r->out && has_active_time(r->to_type)))
        return false;
    if (r->visitor && r->visitor->consumer)
        r->visitor->consumer(r->visitor->arg, buf_slice(&r->group_name), buf_slice(&r->consumer_name),
                             (int64_t)load_le64(seen), (int64_t)load_le64(active));
    return owned_ids(r);
}

static bool group(struct tail_reader *r)
{
    struct stream_id last;
    uint64_t read = 0, consumers;
    if (!string(r, r->visitor ? &r->group_name : NULL) || !number(r, &last.ms, true) ||
        !number(r, &last.seq, true))
        return false;
    if (type_has_counters(r->type) && !number(r, &read, r->out && type_has_counters(r->to_type)))
        return false;
    if (r->visitor && r->visitor->group)
        r->visitor->group(r->visitor->arg, buf_slice(&r->group_name), last, read);
    if (!pending_list(r) || !number(r, &consumers, true))
        return false;
    for (uint64_t i = 0; i < consumers; i++)
        if (!consumer(r))
            return false;
    return true;
}

static bool tail(struct tail_reader *r)
{
    uint64_t groups;
    if (!head(r) || !number(r, &groups, true))
        return false;
    for (uint64_t i = 0; i < groups; i++)
        if (!group(r))
            return false;
    return r->p == r->end || tail_broken(r, "trailing bytes");
}

bool stream_convert(struct slice value, uint8_t from_type, uint8_t to_type, struct buf *out,
                    struct error *error)
{
    struct tail_reader r = {.p = value.data,
                            .end = value.data + value.len,
                            .type = from_type,
                            .error = error,
                            .out = out,
                            .to_type = to_type};
    uint64_t nodes;
    if (!rdb_type_is_stream(from_type) || !rdb_type_is_stream(to_type) || to_type > from_type)
        return error_fatal(error, EX_SOFTWARE, "no conversion of RDB type %u to %u", from_type, to_type);
    if (!number(&r, &nodes, true))
        return false;
    for (uint64_t i = 0; i < nodes; i++)
        if (!string(&r, NULL) || !string(&r, NULL))
            return false;
    return tail(&r);
}

bool stream_tail_visit(struct slice tail_bytes, uint8_t type, const struct stream_tail_visitor *visitor,
                       struct error *error)
{
    struct tail_reader r = {.p = tail_bytes.data,
                            .end = tail_bytes.data + tail_bytes.len,
                            .type = type,
                            .error = error,
                            .visitor = visitor};
    bool ok = rdb_type_is_stream(type) ? tail(&r) : tail_broken(&r, "not a stream's type");
    buf_free(&r.group_name);
    buf_free(&r.consumer_name);
    free(r.pending);
    return ok;
}
