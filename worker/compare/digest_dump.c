/* The digest of a payload of DUMP, in any encoding. */
#include "worker/compare/digest.h"

#include <stdlib.h>

#include "worker/rdb/dump.h"
#include "worker/rdb/packed.h"
#include "worker/rdb/rdb_string.h"
#include "worker/rdb/stream.h"
#include "worker/rdb/value_reader.h"
#include "worker/rdb/value_walk.h"

/* Encodings of newer servers, which Dragonfly does not send. */
enum {
    RDB_HASH_FIELD_TTL = 22, /* Valkey ≥ 9: n, n × (field, value, int64 LE ms; negative: none) */
    RDB_HASH_METADATA =
        24, /* Redis ≥ 7.4: int64 LE ms, n, n × (packed ms after it + 1; 0: none, field, value) */
    RDB_HASH_LISTPACK_TTL = 25,  /* Redis ≥ 7.4: int64 LE ms, listpack of (field, value, ms; 0: none) */
    RDB_STREAM_LISTPACKS_4 = 26, /* Redis ≥ 8.6: as 21, followed by two additions */
    GROUP_ELEMENTS = 512,
    GROUP_BYTES = 256 * 1024,
};

struct digest_scratch {
    struct value_scratch values;
    struct buf first, second;
    struct stream_node_reader *node;
};

struct digester {
    struct digest *d;
    struct digest_pieces pieces; /* of the value; their order counts for strings, lists and streams */
    const struct digest_options *options;
    struct digest_scratch *scratch;
    struct error *error;
};

struct digest_scratch *digest_scratch_new(void)
{
    struct digest_scratch *s = x_calloc(1, sizeof *s);
    s->node = stream_node_reader_new();
    return s;
}

void digest_scratch_free(struct digest_scratch *s)
{
    if (!s)
        return;
    value_scratch_free(&s->values);
    buf_free(&s->first);
    buf_free(&s->second);
    stream_node_reader_free(s->node);
    free(s);
}

static bool digest_broken(struct digester *g, const char *what)
{
    return error_set(g->error, ERROR_DIVERGENCE, "%s value: %s", rdb_type_name(g->d->type), what);
}

/* ---- elements ---- */

static bool digest_elements(struct digester *g, struct slice value)
{
    struct value_reader reader = {0};
    while (!value_reader_done(&reader)) {
        enum element_class class;
        size_t count, consumed, wanted;
        enum value_status status =
            value_reader_next(&reader, g->d->type, value, GROUP_ELEMENTS, GROUP_BYTES, &g->scratch->values,
                              &class, &count, &consumed, &wanted, g->error);
        if (status != VALUE_OK)
            return digest_broken(g, status == VALUE_MORE ? "truncated" : "invalid element");
        digest_pieces_elements(&g->pieces, class, g->scratch->values.elements, count);
        value = slice_of(value.data + consumed, value.len - consumed);
    }
    return value.len == 0 || digest_broken(g, "trailing bytes");
}

/* ---- pieces of a value ---- */

static bool read_string(struct digester *g, struct slice *in, struct buf *scratch, struct slice *out)
{
    struct error why = {0};
    size_t consumed, wanted;
    buf_clear(scratch);
    if (rdb_string_read(*in, RDB_STRING_MAX_BYTES, scratch, out, &consumed, &wanted, &why) != VALUE_OK)
        return digest_broken(g, "invalid string");
    *in = slice_of(in->data + consumed, in->len - consumed);
    return true;
}

static bool read_length(struct digester *g, struct slice *in, uint64_t *out)
{
    unsigned used = packed_read(in->data, in->len, out);
    if (used == PACKED_MORE || used == PACKED_BROKEN)
        return digest_broken(g, "invalid number");
    *in = slice_of(in->data + used, in->len - used);
    return true;
}

static bool read_ms(struct digester *g, struct slice *in, int64_t *out)
{
    if (in->len < 8)
        return digest_broken(g, "truncated");
    *out = (int64_t)load_le64(in->data);
    *in = slice_of(in->data + 8, in->len - 8);
    return true;
}

/* ---- hashes of newer servers ---- */

static void put_field(struct digester *g, struct slice field, struct slice value, int64_t expire_ms)
{
    struct element e = {.a = field, .b = value, .expire_ms = expire_ms};
    digest_pieces_elements(&g->pieces, ELEMENT_HASH, &e, 1);
}

static bool digest_hash_22(struct digester *g, struct slice in)
{
    uint64_t n = 0;
    struct slice field, value;
    int64_t expire_ms = 0;
    if (!read_length(g, &in, &n))
        return false;
    for (; n; n--) {
        if (!read_string(g, &in, &g->scratch->first, &field) ||
            !read_string(g, &in, &g->scratch->second, &value) || !read_ms(g, &in, &expire_ms))
            return false;
        put_field(g, field, value, expire_ms);
    }
    return in.len == 0 || digest_broken(g, "trailing bytes");
}

static bool digest_hash_24(struct digester *g, struct slice in)
{
    uint64_t n = 0, after = 0;
    struct slice field, value;
    int64_t from_ms = 0, expire_ms;
    if (!read_ms(g, &in, &from_ms) || !read_length(g, &in, &n))
        return false;
    for (; n; n--) {
        if (!read_length(g, &in, &after) || !read_string(g, &in, &g->scratch->first, &field) ||
            !read_string(g, &in, &g->scratch->second, &value))
            return false;
        if (__builtin_add_overflow(from_ms, after, &expire_ms))
            return digest_broken(g, "invalid time to live");
        put_field(g, field, value, after ? expire_ms - 1 : 0);
    }
    return in.len == 0 || digest_broken(g, "trailing bytes");
}

/* An item of a listpack as text; room: buffer for a number. */
static struct slice item_text(const struct packed_item *item, char room[24])
{
    return item->text.data ? item->text : slice_of(room, format_i64(room, item->number));
}

static bool digest_hash_25(struct digester *g, struct slice in)
{
    int64_t unused;
    struct slice blob;
    uint64_t announced;
    if (!read_ms(g, &in, &unused) || !read_string(g, &in, &g->scratch->first, &blob))
        return false;
    size_t at = packed_begin(PACKED_LISTPACK, blob, &announced);
    if (!at || in.len)
        return digest_broken(g, "invalid listpack");
    for (;;) {
        struct packed_item items[3] = {0};
        char rooms[2][24];
        int got = packed_next(PACKED_LISTPACK, blob, &at, &items[0]);
        if (got == 0)
            return true;
        if (got < 0 || packed_next(PACKED_LISTPACK, blob, &at, &items[1]) != 1 ||
            packed_next(PACKED_LISTPACK, blob, &at, &items[2]) != 1 || items[2].text.data)
            return digest_broken(g, "invalid listpack");
        put_field(g, item_text(&items[0], rooms[0]), item_text(&items[1], rooms[1]), items[2].number);
    }
}

/* ---- streams ---- */

static void put_id(struct hasher *h, struct stream_id id)
{
    hash_u64(h, id.ms);
    hash_u64(h, id.seq);
}

static void on_stream_head(void *arg, const struct stream_tail *t)
{
    struct digester *g = arg;
    hash_u64(&g->pieces.order, t->length);
    put_id(&g->pieces.order, t->last_id);
    if (!g->options->stream_counters)
        return;
    put_id(&g->pieces.order, t->max_deleted_id);
    hash_u64(&g->pieces.order, t->entries_added);
}

static void on_stream_group(void *arg, struct slice name, struct stream_id last, uint64_t entries_read)
{
    struct digester *g = arg;
    struct hasher h = hash_begin(1);
    hash_bytes(&h, name);
    put_id(&h, last);
    if (g->options->stream_counters && g->options->entries_read)
        hash_u64(&h, entries_read);
    hash_add(g->d->hash, &h);
    g->d->parts[DIGEST_GROUPS] += hash_mix(h.a ^ h.b);
}

static void on_stream_consumer(void *arg, struct slice group, struct slice name, int64_t seen, int64_t active)
{
    struct digester *g = arg;
    struct hasher h = hash_begin(2);
    (void)seen, (void)active;
    hash_bytes(&h, group);
    hash_bytes(&h, name);
    hash_add(g->d->hash, &h);
    g->d->parts[DIGEST_GROUPS] += hash_mix(h.a ^ h.b);
}

static void on_stream_pending(void *arg, struct slice group, struct slice consumer, struct stream_id id,
                              int64_t delivered_ms, uint64_t deliveries)
{
    struct digester *g = arg;
    struct hasher h = hash_begin(3);
    (void)delivered_ms;
    hash_bytes(&h, group);
    hash_bytes(&h, consumer);
    put_id(&h, id);
    hash_u64(&h, deliveries);
    hash_add(g->d->hash, &h);
    g->d->parts[DIGEST_PENDING] += hash_mix(h.a ^ h.b);
}

static bool digest_node(struct digester *g, struct slice master_id, struct slice listpack)
{
    struct stream_entry e;
    int got;
    if (!stream_node_begin(g->scratch->node, master_id, listpack, g->error))
        return digest_broken(g, "invalid node");
    while ((got = stream_node_next(g->scratch->node, &e, g->error)) == 1) {
        put_id(&g->pieces.order, e.id);
        hash_u64(&g->pieces.order, e.field_count);
        for (size_t i = 0; i < e.field_count; i++)
            hash_bytes(&g->pieces.order, e.fields[i]);
        g->d->count++;
    }
    return got == 0 || digest_broken(g, "invalid node");
}

static bool digest_stream(struct digester *g, struct slice in, uint8_t type)
{
    const struct stream_tail_visitor visitor = {g, on_stream_head, on_stream_group, on_stream_consumer,
                                                on_stream_pending};
    struct value_skip skip = {0};
    struct slice id, listpack;
    struct error why;
    uint64_t n = 0;
    size_t tail;
    if (!read_length(g, &in, &n))
        return false;
    for (; n; n--)
        if (!read_string(g, &in, &g->scratch->first, &id) ||
            !read_string(g, &in, &g->scratch->second, &listpack) || !digest_node(g, id, listpack))
            return false;
    if (value_walk(&skip, walk_of_stream_tail(type), in, &tail, &why) != VALUE_OK ||
        (tail < in.len && g->d->type == type) ||
        !stream_tail_visit(slice_of(in.data, tail), type, &visitor, &why))
        return digest_broken(g, "invalid tail");
    return true;
}

/* ---- whole values ---- */

enum digest_kind digest_kind_of(uint8_t type)
{
    switch (type) {
    case RDB_STRING:
        return DIGEST_STRING;
    case RDB_LIST:
    case RDB_LIST_ZIPLIST:
    case RDB_LIST_QUICKLIST:
    case RDB_LIST_QUICKLIST_2:
        return DIGEST_LIST;
    case RDB_SET:
    case RDB_SET_INTSET:
    case RDB_SET_LISTPACK:
    case RDB_SET_WITH_EXPIRY:
        return DIGEST_SET;
    case RDB_ZSET:
    case RDB_ZSET_2:
    case RDB_ZSET_ZIPLIST:
    case RDB_ZSET_LISTPACK:
        return DIGEST_ZSET;
    case RDB_HASH:
    case RDB_HASH_ZIPMAP:
    case RDB_HASH_ZIPLIST:
    case RDB_HASH_LISTPACK:
    case RDB_HASH_WITH_EXPIRY:
    case RDB_HASH_FIELD_TTL:
    case RDB_HASH_METADATA:
    case RDB_HASH_LISTPACK_TTL:
        return DIGEST_HASH;
    case RDB_STREAM_LISTPACKS:
    case RDB_STREAM_LISTPACKS_2:
    case RDB_STREAM_LISTPACKS_3:
    case RDB_STREAM_LISTPACKS_4:
        return DIGEST_STREAM;
    case RDB_JSON:
        return DIGEST_JSON;
    default:
        return DIGEST_FOREIGN;
    }
}

static bool digest_string(struct digester *g, struct slice in)
{
    struct slice text;
    if (!read_string(g, &in, &g->scratch->first, &text) || in.len)
        return digest_broken(g, "invalid string");
    if (g->d->kind == DIGEST_JSON)
        return digest_json(g->d, text, g->error);
    hash_bytes(&g->pieces.order, text);
    g->d->count = text.len;
    return true;
}

static bool digest_value(struct digester *g, struct slice value)
{
    switch (g->d->type) {
    case RDB_STRING:
    case RDB_JSON:
        return digest_string(g, value);
    case RDB_HASH_FIELD_TTL:
        return digest_hash_22(g, value);
    case RDB_HASH_METADATA:
        return digest_hash_24(g, value);
    case RDB_HASH_LISTPACK_TTL:
        return digest_hash_25(g, value);
    case RDB_STREAM_LISTPACKS_4:
        return digest_stream(g, value, RDB_STREAM_LISTPACKS_3);
    default:
        return g->d->kind == DIGEST_STREAM ? digest_stream(g, value, g->d->type) : digest_elements(g, value);
    }
}

bool digest_dump(struct digest *d, struct slice payload, const struct digest_options *options,
                 struct digest_scratch *scratch, struct error *error)
{
    struct digester g = {.d = d, .options = options, .scratch = scratch, .error = error};
    struct slice value;
    digest_free(d);
    if (!dump_parse(payload, &d->type, &value))
        return error_set(error, ERROR_DIVERGENCE, "invalid payload of DUMP");
    d->kind = digest_kind_of(d->type);
    g.pieces = (struct digest_pieces){.d = d, .order = hash_begin(d->kind), .now_ms = options->now_ms};
    if (d->kind == DIGEST_FOREIGN)
        return true;
    if (!digest_value(&g, value)) {
        digest_free(d);
        d->kind = DIGEST_FOREIGN;
        return false;
    }
    if (d->kind != DIGEST_STRING && d->kind != DIGEST_STREAM && d->kind != DIGEST_JSON && d->count == 0)
        d->kind = DIGEST_NOTHING;
    if (d->kind == DIGEST_STRING || d->kind == DIGEST_LIST || d->kind == DIGEST_STREAM)
        hash_add(d->hash, &g.pieces.order);
    if (d->kind == DIGEST_STREAM)
        d->parts[DIGEST_ENTRIES] = hash_mix(g.pieces.order.a ^ g.pieces.order.b);
    digest_sort_times(d);
    return true;
}
