/* The restart record: the state of a decoder before the next entry.
 *
 *   head  walk of skipped data (if any)  open values, each: head, key
 *
 * In the machine's byte order, as it is read by a restarted worker on the same machine. Validated as untrusted
 * input. */
#include <sysexits.h>

#include "worker/decode/decoder_internal.h"

#define MAGIC UINT64_C(0x3230307274736466) /* "fdstr002": name and version */

enum { IN_BLOB = 1, IN_CHUNK = 2 };

struct saved_head {
    uint64_t magic;
    uint64_t restore_limit_bytes, offset, blob_position, seq, snapshot_lsn, next_lsn, journal_given;
    struct journal_check check, check_before;
    int64_t expire_ms;
    uint32_t chunk_id, chunk_left, db, snapshot_journal_db, journal_db, mc_flags, value_count;
    int32_t open;
    uint32_t rdb_version;
    uint8_t phase, where, flags, skipping;
};

struct saved_walk {
    uint64_t remaining[4];
    uint64_t stage;
};

struct saved_value {
    int64_t expire_ms;
    uint64_t total, remaining, extra; /* of struct value_reader */
    uint32_t id, db, mc_flags, key_len;
    uint8_t flags, type, passing, stage;
    uint32_t unused;
};

_Static_assert(sizeof(struct saved_head) == 13 * 8 + 9 * 4 + 4,
               "no padding, which would be saved uninitialized");
_Static_assert(sizeof(struct saved_walk) == 5 * 8, "no padding");
_Static_assert(sizeof(struct saved_value) == 4 * 8 + 4 * 4 + 8, "no padding");

static void save_walk(const struct value_skip *s, struct buf *out)
{
    struct saved_walk w = {.stage = s->stage};
    memcpy(w.remaining, s->remaining, sizeof w.remaining);
    buf_put(out, &w, sizeof w);
}

static void save_value(const struct open_value *v, struct buf *out)
{
    struct saved_value s = {.expire_ms = v->attributes.expire_ms,
                            .total = v->reader.total,
                            .remaining = v->reader.remaining,
                            .extra = v->reader.extra,
                            .id = v->id,
                            .db = v->db,
                            .mc_flags = v->attributes.mc_flags,
                            .key_len = (uint32_t)v->key.len,
                            .flags = v->attributes.flags,
                            .type = v->type,
                            .passing = v->passing,
                            .stage = v->reader.stage};
    buf_put(out, &s, sizeof s);
    if (v->passing)
        save_walk(&v->walk, out);
    buf_put(out, v->key.data, v->key.len);
}

void decoder_save(const struct decoder *d, struct buf *out)
{
    struct saved_head h = {.magic = MAGIC,
                           .restore_limit_bytes = d->restore_limit_bytes,
                           .offset = d->offset,
                           .blob_position = d->blob_position,
                           .seq = d->seq,
                           .snapshot_lsn = d->snapshot_lsn,
                           .next_lsn = d->next_lsn,
                           .journal_given = d->journal_given,
                           .check = decoder_check(d, UINT64_MAX),
                           .check_before = decoder_check(d, d->last[d->newest].lsn),
                           .expire_ms = d->attributes.expire_ms,
                           .chunk_id = d->chunk_id,
                           .chunk_left = d->chunk_left,
                           .db = d->db,
                           .snapshot_journal_db = d->snapshot_journal_db,
                           .journal_db = d->journal_db,
                           .mc_flags = d->attributes.mc_flags,
                           .value_count = (uint32_t)d->value_count,
                           .open = d->open,
                           .rdb_version = d->rdb_version,
                           .phase = (uint8_t)d->phase,
                           .where = (uint8_t)((d->in_blob ? IN_BLOB : 0) | (d->in_chunk ? IN_CHUNK : 0)),
                           .flags = d->attributes.flags,
                           .skipping = d->skipping};
    buf_put(out, &h, sizeof h);
    if (d->skipping)
        save_walk(&d->walk, out);
    for (size_t i = 0; i < d->value_count; i++)
        save_value(d->values[i], out);
}

static bool take_bytes(struct slice *from, void *to, size_t bytes)
{
    if (from->len < bytes)
        return false;
    memcpy(to, from->data, bytes);
    from->data += bytes;
    from->len -= bytes;
    return true;
}

static bool restore_walk(struct slice *from, struct value_skip *s)
{
    struct saved_walk w;
    if (!take_bytes(from, &w, sizeof w) || w.stage > UINT8_MAX)
        return false;
    *s = (struct value_skip){.stage = (uint8_t)w.stage, .begun = 1};
    memcpy(s->remaining, w.remaining, sizeof s->remaining);
    return true;
}

/* A value with an id is suspended, or current within its chunk; one without an id is current. */
static bool value_is_placed_right(const struct decoder *d, const struct open_value *v, bool at_hand)
{
    if (v->id == 0)
        return at_hand && !d->in_chunk;
    return at_hand == (d->in_chunk && d->chunk_id == v->id);
}

static bool restore_value(struct decoder *d, struct slice *from, bool at_hand)
{
    struct saved_value s;
    if (!take_bytes(from, &s, sizeof s) || s.db > DB_MAX || (s.flags & ~(KEY_STICKY | KEY_MEMCACHE_FLAGS)) ||
        s.passing > 1)
        return false;
    struct open_value *v = decoder_value_add(d);
    if (!v)
        return false;
    v->id = s.id;
    v->db = s.db;
    v->attributes = (struct attributes){s.expire_ms, s.mc_flags, s.flags};
    v->type = s.type;
    v->passing = s.passing;
    v->reader = (struct value_reader){s.stage, s.total, s.remaining, s.extra};
    if (v->passing) {
        if (!rdb_type_unsupported(v->type) || !restore_walk(from, &v->walk) ||
            !value_walk_valid(&v->walk, walk_of_type(v->type)))
            return false;
    } else if (value_type_is_packed(v->type) || !value_reader_valid(&v->reader, v->type)) {
        return false;
    }
    if (s.key_len > from->len || !decoder_value_set_key(d, v, slice_of(from->data, s.key_len)))
        return false;
    from->data += s.key_len;
    from->len -= s.key_len;
    return value_is_placed_right(d, v, at_hand);
}

static bool head_is_valid(const struct saved_head *h)
{
    bool snapshot = h->phase == PHASE_SNAPSHOT;
    if (h->magic != MAGIC || h->phase > PHASE_JOURNAL || h->where > (IN_BLOB | IN_CHUNK) ||
        (h->flags & ~(KEY_STICKY | KEY_MEMCACHE_FLAGS)))
        return false;
    if (h->db > DB_MAX || h->snapshot_journal_db > DB_MAX || h->journal_db > DB_MAX ||
        h->value_count > OPEN_VALUES_MAX || h->open < NO_VALUE || h->open >= (int32_t)h->value_count)
        return false;
    if ((h->where & IN_CHUNK) && h->chunk_id == 0)
        return false;
    if (!(h->where & IN_BLOB) && h->blob_position)
        return false;
    return snapshot || (!h->value_count && !h->skipping && !h->journal_given && !(h->where & IN_CHUNK) &&
                        (!(h->where & IN_BLOB) || h->phase == PHASE_TOKEN));
}

static void restore_head(struct decoder *d, const struct saved_head *h)
{
    d->phase = h->phase;
    d->rdb_version = h->rdb_version;
    d->restore_limit_bytes = h->restore_limit_bytes;
    d->offset = h->offset;
    d->in_blob = h->where & IN_BLOB;
    d->in_chunk = h->where & IN_CHUNK;
    d->blob_position = h->blob_position;
    d->chunk_id = h->chunk_id;
    d->chunk_left = h->chunk_left;
    d->seq = h->seq;
    d->snapshot_lsn = h->snapshot_lsn;
    d->next_lsn = h->next_lsn;
    decoder_note_check(d, h->check, h->check_before);
    d->db = h->db;
    d->snapshot_journal_db = h->snapshot_journal_db;
    d->journal_db = h->journal_db;
    d->attributes = (struct attributes){h->expire_ms, h->mc_flags, h->flags};
    d->journal_given = h->journal_given;
    d->skipping = h->skipping;
}

bool decoder_restore(struct decoder *d, struct slice state, struct error *error)
{
    struct saved_head h;
    decoder_values_free(d);
    d->open = NO_VALUE;
    decoder_forget(d);

    bool ok = take_bytes(&state, &h, sizeof h) && head_is_valid(&h);
    if (ok) {
        restore_head(d, &h);
        ok =
            !d->skipping || (restore_walk(&state, &d->walk) && decoder_skipping_valid(d->skipping, &d->walk));
    }
    for (int32_t i = 0; ok && i < (int32_t)h.value_count; i++)
        ok = restore_value(d, &state, i == h.open);
    if (ok && state.len == 0) {
        d->open = h.open;
        return true;
    }
    decoder_values_free(d);
    d->open = NO_VALUE;
    error_fatal(&d->failed, EX_DATAERR, "the decoder's restart record is damaged or of another version");
    return error_fatal(error, EX_DATAERR, "%s", d->failed.text);
}
