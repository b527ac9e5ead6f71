/* Keys and values.
 *
 *   entry   type key value                                   attributes may precede it
 *   chunk   224 id:4 length:4 payload                        payload of the first: attributes, entry;
 *                                                            of later ones of the same id: more of the value
 *
 * A value that ends within restore_limit bytes, and within its chunk, is returned as a whole. This depends on the bytes
 * of the stream only, not on how they arrived. A larger one is returned element by element; if its chunk ends first, it
 * is suspended until the next chunk of its id. */
#include <inttypes.h>

#include "worker/decode/decoder_internal.h"

/* The key of the current entry. */
struct key_head {
    struct rdb_string_head head;
    size_t at;       /* position of its content */
    size_t value_at; /* position of the value */
};

static enum step read_key_head(struct decoder *d, struct text *t, struct key_head *k)
{
    enum value_status status = rdb_string_head(t->p + 1, t->n - 1, &k->head);
    if (status == VALUE_MORE)
        return decoder_more(t, t->n + 1);
    if (status == VALUE_BROKEN)
        return decoder_broken(d, "a key that begins with byte 0x%02x, or is too long", t->p[1]);
    k->at = 1 + k->head.head_bytes;
    k->value_at = k->at + (size_t)k->head.stored_bytes;
    return k->value_at > t->n ? decoder_more(t, k->value_at) : STEP_ON;
}

static bool read_key(struct decoder *d, const struct text *t, const struct key_head *k, struct slice *key)
{
    if (k->head.encoding == RDB_PLAIN) {
        *key = slice_of(t->p + k->at, (size_t)k->head.stored_bytes);
        return true;
    }
    buf_clear(&d->key);
    return rdb_string_decode(&k->head, t->p + k->at, &d->key, key);
}

/* Returns an entry of the current key, and resets its attributes. */
static void give_key(struct decoder *d, struct entry *out, enum entry_kind kind, uint8_t type,
                     struct slice key)
{
    decoder_give(d, out, kind, 1);
    out->key = key;
    out->type = type;
    out->flags = d->attributes.flags;
    out->mc_flags = d->attributes.mc_flags;
    out->expire_ms = d->attributes.expire_ms;
    out->id = d->in_chunk ? d->chunk_id : 0;
    d->attributes = (struct attributes){0};
}

/* False: the entry has `bytes` bytes, and its chunk has more. */
static bool fills_chunk(struct decoder *d, size_t bytes)
{
    if (d->in_chunk && bytes != d->chunk_left) {
        decoder_broken(d, "a chunk of stream id %u has %zu bytes more than its value", d->chunk_id,
                       d->chunk_left - bytes);
        return false;
    }
    return true;
}

static enum step give_whole(struct decoder *d, struct text *t, struct entry *out, size_t bytes)
{
    out->id = 0;
    decoder_consume(d, t, bytes);
    d->in_chunk = false;
    return STEP_ENTRY;
}

/* A value that is one string: returned decoded (strings, JSON) or unchanged (packed encodings). */
static enum step string_entry(struct decoder *d, struct text *t, const struct key_head *k, struct entry *out,
                              uint8_t type)
{
    struct rdb_string_head head;
    const uint8_t *p = t->p + k->value_at;
    size_t there = t->n - k->value_at;
    enum value_status status = rdb_string_head(p, there, &head);
    if (status == VALUE_MORE)
        return decoder_more(t, t->n + 1);
    if (status == VALUE_BROKEN)
        return decoder_broken(d, "a value that begins with byte 0x%02x, or is too long", p[0]);
    size_t value_bytes = head.head_bytes + (size_t)head.stored_bytes, bytes = k->value_at + value_bytes;
    if (bytes > t->n)
        return decoder_more(t, bytes);

    struct slice key, value = slice_of(p, value_bytes);
    if (!fills_chunk(d, bytes))
        return STEP_ERROR;
    if (!read_key(d, t, k, &key))
        return decoder_broken(d, "invalid LZF of a key");
    if (!value_type_is_packed(type)) {
        if (head.encoding == RDB_PLAIN)
            value = slice_of(p + head.head_bytes, (size_t)head.stored_bytes);
        else if (buf_clear(&d->value), !rdb_string_decode(&head, p + head.head_bytes, &d->value, &value))
            return decoder_broken(d, "invalid LZF of a value");
    }
    give_key(d, out, type == RDB_STRING ? ENTRY_STRING : ENTRY_VALUE, type, key);
    out->value = value;
    return give_whole(d, t, out, bytes);
}

/* Opens a value, and keeps its key: the bytes that follow belong to it. */
static enum step open_value(struct decoder *d, struct text *t, const struct key_head *k, uint8_t type,
                            struct slice *key)
{
    struct open_value *v;
    if (!read_key(d, t, k, key))
        return decoder_broken(d, "invalid LZF of a key");
    v = decoder_value_add(d);
    if (!v)
        return decoder_broken(d, "more than %d values are open at once", OPEN_VALUES_MAX);
    if (!decoder_value_set_key(d, v, *key)) {
        decoder_value_remove(d, d->open);
        return decoder_broken(d, "the keys of the values open at once are longer than %d bytes",
                              OPEN_KEYS_MAX_BYTES);
    }
    v->id = d->in_chunk ? d->chunk_id : 0;
    v->db = d->db;
    v->attributes = d->attributes;
    v->type = type;
    *key = buf_slice(&v->key);
    return STEP_ON;
}

static enum step begin_passing(struct decoder *d, struct text *t, const struct key_head *k, uint8_t type)
{
    struct slice key;
    enum step step = open_value(d, t, k, type, &key);
    if (step != STEP_ON)
        return step;
    d->values[d->open]->passing = true;
    d->attributes = (struct attributes){0};
    decoder_consume(d, t, k->value_at);
    return STEP_ON;
}

static enum step begin_elements(struct decoder *d, struct text *t, const struct key_head *k,
                                struct entry *out, uint8_t type)
{
    struct slice key;
    uint64_t total;
    unsigned used = packed_read(t->p + k->value_at, t->n - k->value_at, &total);
    if (used == PACKED_MORE)
        return decoder_more(t, t->n + 1);
    if (used == PACKED_BROKEN)
        return decoder_broken(d, "invalid element count of a %s", rdb_type_name(type));
    enum step step = open_value(d, t, k, type, &key);
    if (step != STEP_ON)
        return step;
    give_key(d, out, ENTRY_BEGIN, type, key);
    out->total_elements = total;
    d->tail_scan = (struct value_skip){0};
    d->scanning = false;
    decoder_consume(d, t, k->value_at);
    return STEP_ENTRY;
}

/* A collection of several strings: as a whole, or element by element. */
static enum step collection_entry(struct decoder *d, struct text *t, const struct key_head *k,
                                  struct entry *out, uint8_t type)
{
    struct slice value = slice_of(t->p + k->value_at, t->n - k->value_at), key;
    uint64_t limit = d->restore_limit_bytes;

    if (!d->scanning) {
        d->scan = (struct value_skip){0};
        d->scanning = true;
    }
    if (value.len > limit)
        value.len = (size_t)limit;
    enum value_status status = value_skip(&d->scan, type, value, &d->why);
    if (status == VALUE_BROKEN)
        return STEP_ERROR;
    if (status == VALUE_MORE) {
        size_t wanted = k->value_at + d->scan.wanted;
        if (d->scan.wanted > limit || (d->in_chunk && wanted > d->chunk_left))
            return begin_elements(d, t, k, out, type);
        return decoder_more(t, wanted);
    }
    value.len = d->scan.position;
    d->scanning = false;
    if (!fills_chunk(d, k->value_at + value.len))
        return STEP_ERROR;
    if (!read_key(d, t, k, &key))
        return decoder_broken(d, "invalid LZF of a key");
    give_key(d, out, ENTRY_VALUE, type, key);
    out->value = value;
    return give_whole(d, t, out, k->value_at + value.len);
}

enum step decoder_entry(struct decoder *d, struct text *t, struct entry *out)
{
    struct key_head k = {0};
    uint8_t type = t->p[0];
    /* In RDB versions before 10 the type number of Redis's set listpacks is Dragonfly's JSON. */
    if (type == RDB_SET_LISTPACK && d->rdb_version < 10)
        type = RDB_JSON;

    enum step step = read_key_head(d, t, &k);
    if (step != STEP_ON)
        return step;
    if (type == RDB_STRING || type == RDB_JSON || value_type_is_packed(type))
        return string_entry(d, t, &k, out, type);
    if (rdb_type_unsupported(type))
        return begin_passing(d, t, &k, type);
    return collection_entry(d, t, &k, out, type);
}

/* 224 id:4 length:4 */
enum step decoder_chunk(struct decoder *d, struct text *t)
{
    if (t->n < 9)
        return decoder_more(t, 9);
    uint32_t id = load_le32(t->p + 1), left = load_le32(t->p + 5);
    if (id == 0 || left == 0)
        return decoder_broken(d, "a chunk of stream id %u with %u bytes", id, left);
    decoder_consume(d, t, 9);
    d->in_chunk = true;
    d->chunk_id = id;
    d->chunk_left = left;
    d->open = decoder_value_find(d, id);
    d->tail_scan = (struct value_skip){0};
    return STEP_ON;
}

/* Returns an entry of the open value. */
static void give_open(struct decoder *d, struct open_value *v, struct entry *out, enum entry_kind kind,
                      uint64_t count)
{
    decoder_give(d, out, kind, count);
    out->db = v->db;
    out->key = buf_slice(&v->key);
    out->type = v->type;
    out->flags = v->attributes.flags;
    out->mc_flags = v->attributes.mc_flags;
    out->expire_ms = v->attributes.expire_ms;
    out->id = v->id;
}

/* The last entry of a complete value. Its key stays valid until the next call. */
static enum step give_last(struct decoder *d, struct open_value *v, struct entry *out, enum entry_kind kind)
{
    if (d->in_chunk && d->chunk_left)
        return decoder_broken(d, "a chunk of stream id %u has %u bytes more than its value", d->chunk_id,
                              d->chunk_left);
    buf_clear(&d->key);
    buf_put(&d->key, v->key.data, v->key.len);
    give_open(d, v, out, kind, 1);
    out->key = buf_slice(&d->key);
    decoder_value_remove(d, d->open);
    d->in_chunk = false;
    return STEP_ENTRY;
}

/* The chunk ends before the value: suspends the value until the next chunk of its id. */
static enum step suspend(struct decoder *d)
{
    d->open = NO_VALUE;
    d->in_chunk = false;
    return STEP_ON;
}

static bool chunk_is_over(const struct decoder *d)
{
    return d->in_chunk && d->chunk_left == 0;
}

static enum step pass_on(struct decoder *d, struct text *t, struct open_value *v, struct entry *out)
{
    size_t used;
    enum value_status status =
        value_walk(&v->walk, walk_of_type(v->type), slice_of(t->p, t->n), &used, &d->why);
    if (status == VALUE_BROKEN)
        return STEP_ERROR;
    decoder_consume(d, t, used);
    if (status == VALUE_OK)
        return give_last(d, v, out, ENTRY_UNSUPPORTED);
    if (chunk_is_over(d) && v->walk.remaining[3] == 0)
        return suspend(d);
    return decoder_more(t, t->n + 1);
}

/* The tail of a stream is one element of any length: finds its end incrementally. */
static enum step wait_for_tail(struct decoder *d, struct text *t, const struct open_value *v)
{
    size_t used;
    struct value_skip *s = &d->tail_scan;
    if (s->position > t->n)
        return decoder_more(t, s->wanted);
    enum value_status status = value_walk(s, walk_of_stream_tail(v->type),
                                          slice_of(t->p + s->position, t->n - s->position), &used, &d->why);
    if (status == VALUE_BROKEN)
        return STEP_ERROR;
    return status == VALUE_MORE ? decoder_more(t, s->wanted) : STEP_ON;
}

static enum step give_elements(struct decoder *d, struct text *t, struct open_value *v, struct entry *out)
{
    enum element_class class;
    size_t count, used, wanted;
    if (value_reader_at_tail(&v->reader)) {
        enum step step = wait_for_tail(d, t, v);
        if (step != STEP_ON)
            return step;
    }
    enum value_status status =
        value_reader_next(&v->reader, v->type, slice_of(t->p, t->n), d->config.group_elements,
                          d->config.group_bytes, &d->scratch, &class, &count, &used, &wanted, &d->why);
    if (status == VALUE_BROKEN)
        return STEP_ERROR;
    if (count) {
        give_open(d, v, out, ENTRY_ELEMENTS, count);
        out->class = class;
        out->elements = d->scratch.elements;
        out->element_count = count;
        decoder_consume(d, t, used);
        d->tail_scan = (struct value_skip){0};
        return STEP_ENTRY;
    }
    decoder_consume(d, t, used);
    if (status == VALUE_OK || chunk_is_over(d))
        return STEP_ON;
    return decoder_more(t, wanted - used);
}

enum step decoder_open_value(struct decoder *d, struct text *t, struct entry *out)
{
    struct open_value *v = d->values[d->open];
    if (v->passing) {
        if (chunk_is_over(d))
            return suspend(d);
        return pass_on(d, t, v, out);
    }
    if (value_reader_done(&v->reader))
        return give_last(d, v, out, ENTRY_END);
    if (chunk_is_over(d))
        return suspend(d);
    return give_elements(d, t, v, out);
}
