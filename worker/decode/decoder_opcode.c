/* The opcodes of a snapshot: attributes, skipped data, and entries without a key.
 *
 *   250 name value                       AUX                  200 zero:8          FULLSYNC_END
 *   254 db   251 n n   244 n n n         SELECTDB, …          211 lsn:8           JOURNAL_OFFSET
 *   252 ms:8   253 s:4   249 n:1   248 n  expiry, FREQ, IDLE  255 zero:8          EOF
 *   220 flags:4 [memcache flags:4]       DF_MASK              222, 223, 245, 247  walk_programs.c
 *   201, 202 length frame                blobs: decoder_blob.c  224                 chunks: decoder_value.c
 *   210 count string                     decoder_journal.c
 */
#include <inttypes.h>

#include "worker/decode/decoder_internal.h"

/* Opcode and `count` packed numbers; the first is *first. */
static enum step numbers(struct decoder *d, struct text *t, unsigned count, uint64_t *first)
{
    size_t at = 1;
    for (unsigned i = 0; i < count; i++) {
        uint64_t v;
        unsigned used = packed_read(t->p + at, t->n - at, &v);
        if (used == PACKED_MORE)
            return decoder_more(t, t->n + 1);
        if (used == PACKED_BROKEN)
            return decoder_broken(d, "opcode %u is followed by byte 0x%02x, not a packed number", t->p[0],
                                  t->p[at]);
        if (i == 0)
            *first = v;
        at += used;
    }
    decoder_consume(d, t, at);
    return STEP_ON;
}

static enum step select_db(struct decoder *d, struct text *t)
{
    uint64_t db = 0;
    enum step step = numbers(d, t, 1, &db);
    if (step != STEP_ON)
        return step;
    if (db > DB_MAX)
        return decoder_broken(d, "SELECTDB of database %" PRIu64 ", above %d", db, DB_MAX);
    d->db = (uint32_t)db;
    return STEP_ON;
}

static enum step expire_time(struct decoder *d, struct text *t)
{
    bool seconds = t->p[0] == OPCODE_EXPIRETIME;
    size_t bytes = seconds ? 5 : 9;
    if (t->n < bytes)
        return decoder_more(t, bytes);
    d->attributes.expire_ms =
        seconds ? (int64_t)(int32_t)load_le32(t->p + 1) * 1000 : (int64_t)load_le64(t->p + 1);
    decoder_consume(d, t, bytes);
    return STEP_ON;
}

static enum step df_mask(struct decoder *d, struct text *t)
{
    if (t->n < 5)
        return decoder_more(t, 5);
    uint32_t mask = load_le32(t->p + 1);
    size_t bytes = mask & KEY_MEMCACHE_FLAGS ? 9 : 5;
    if (t->n < bytes)
        return decoder_more(t, bytes);
    d->attributes.flags = mask & (KEY_STICKY | KEY_MEMCACHE_FLAGS);
    if (bytes == 9)
        d->attributes.mc_flags = load_le32(t->p + 5);
    decoder_consume(d, t, bytes);
    return STEP_ON;
}

static enum step full_sync_end(struct decoder *d, struct text *t, struct entry *out)
{
    if (t->n < 9)
        return decoder_more(t, 9);
    decoder_give(d, out, ENTRY_FULLSYNC_END, 1);
    decoder_consume(d, t, 9);
    return STEP_ENTRY;
}

static enum step journal_offset(struct decoder *d, struct text *t, struct entry *out)
{
    if (t->n < 9)
        return decoder_more(t, 9);
    uint64_t lsn = load_le64(t->p + 1);
    if (d->config.in_blobs && lsn != d->next_lsn)
        return decoder_broken(d, "JOURNAL_OFFSET says LSN %" PRIu64 " after a journal counted up to %" PRIu64,
                              lsn, d->next_lsn);
    d->next_lsn = lsn;
    decoder_give(d, out, ENTRY_JOURNAL_OFFSET, 1);
    out->lsn = d->next_lsn;
    decoder_consume(d, t, 9);
    return STEP_ENTRY;
}

static enum step end_of_file(struct decoder *d, struct text *t)
{
    if (t->n < 9)
        return decoder_more(t, 9);
    if (d->value_count) {
        struct open_value *v = d->values[0];
        return decoder_broken(d,
                              "the snapshot ends with %zu values incomplete; one is a %s in database %u with "
                              "a key of %zu bytes",
                              d->value_count, rdb_type_name(v->type), v->db, v->key.len);
    }
    decoder_consume(d, t, 9);
    d->phase = PHASE_TOKEN;
    return STEP_ON;
}

static enum step aux(struct decoder *d, struct text *t, struct entry *out)
{
    struct slice name, value;
    size_t used = 0, more = 0, wanted = 0;
    buf_clear(&d->key);
    buf_clear(&d->value);
    enum value_status status = rdb_string_read(slice_of(t->p + 1, t->n - 1), RDB_STRING_MAX_BYTES, &d->key,
                                               &name, &used, &wanted, &d->why);
    if (status == VALUE_OK)
        status = rdb_string_read(slice_of(t->p + 1 + used, t->n - 1 - used), RDB_STRING_MAX_BYTES, &d->value,
                                 &value, &more, &wanted, &d->why);
    if (status == VALUE_MORE)
        return decoder_more(t, 1 + used + wanted);
    if (status == VALUE_BROKEN)
        return STEP_ERROR;

    enum step step = STEP_ENTRY;
    if (slice_eq(name, slice_str("lua")))
        decoder_give(d, out, ENTRY_SCRIPT, 1);
    else if (slice_eq(name, slice_str("search-index")) || slice_eq(name, slice_str("search-synonyms")))
        decoder_give(d, out, ENTRY_INDEX, 1);
    else
        step = STEP_ON;
    if (step == STEP_ENTRY)
        out->value = value;
    decoder_consume(d, t, 1 + used + more);
    return step;
}

static const struct walk_step *skipped_program(uint8_t opcode)
{
    switch (opcode) {
    case OPCODE_VECTOR_INDEX:
        return walk_vector_index;
    case OPCODE_DOC_INDEX:
        return walk_doc_index;
    case OPCODE_MODULE_AUX:
        return walk_module_aux;
    case OPCODE_FUNCTION2:
        return walk_one_string;
    default:
        return NULL;
    }
}

bool decoder_skipping_valid(uint8_t opcode, const struct value_skip *walk)
{
    const struct walk_step *program = skipped_program(opcode);
    return program && value_walk_valid(walk, program);
}

static enum step begin_skipping(struct decoder *d, struct text *t)
{
    d->skipping = t->p[0];
    d->walk = (struct value_skip){0};
    decoder_consume(d, t, 1);
    return STEP_ON;
}

enum step decoder_skip_on(struct decoder *d, struct text *t, struct entry *out)
{
    size_t used;
    enum value_status status =
        value_walk(&d->walk, skipped_program(d->skipping), slice_of(t->p, t->n), &used, &d->why);
    if (status == VALUE_BROKEN)
        return STEP_ERROR;
    if (status == VALUE_MORE) {
        decoder_consume(d, t, used);
        return decoder_more(t, t->n + 1);
    }
    bool index = d->skipping == OPCODE_VECTOR_INDEX || d->skipping == OPCODE_DOC_INDEX;
    d->skipping = 0;
    decoder_consume(
        d, t, used); /* before decoder_give(): the offset of the entry must not depend on how bytes arrived */
    if (index)
        decoder_give(d, out, ENTRY_INDEX, 1);
    return index ? STEP_ENTRY : STEP_ON;
}

enum step decoder_opcode(struct decoder *d, struct text *t, struct entry *out)
{
    uint64_t ignored;
    uint8_t code = t->p[0];
    bool stands_alone = code != OPCODE_EXPIRETIME_MS && code != OPCODE_EXPIRETIME && code != OPCODE_FREQ &&
                        code != OPCODE_IDLE && code != OPCODE_DF_MASK && code != OPCODE_SELECTDB &&
                        code != OPCODE_LZ4_BLOB && code != OPCODE_ZSTD_BLOB;
    if (d->in_chunk && stands_alone)
        return decoder_broken(d, "opcode %u in a chunk of stream id %u", code, d->chunk_id);

    switch (code) {
    case OPCODE_SELECTDB:
        return select_db(d, t);
    case OPCODE_EXPIRETIME_MS:
    case OPCODE_EXPIRETIME:
        return expire_time(d, t);
    case OPCODE_DF_MASK:
        return df_mask(d, t);
    case OPCODE_FREQ:
        return decoder_pass(d, t, 2);
    case OPCODE_IDLE:
        return numbers(d, t, 1, &ignored);
    case OPCODE_RESIZEDB:
        return numbers(d, t, 2, &ignored);
    case OPCODE_SLOT_INFO:
        return numbers(d, t, 3, &ignored);
    case OPCODE_TAGGED_CHUNK:
        return decoder_chunk(d, t);
    case OPCODE_ZSTD_BLOB:
    case OPCODE_LZ4_BLOB:
        return decoder_begin_blob(d, t);
    case OPCODE_BLOB_END:
        return d->in_blob ? decoder_pass(d, t, 1)
                          : decoder_broken(d, "the end of a compressed blob outside of one");
    case OPCODE_JOURNAL_BLOB:
        return decoder_journal_blob(d, t, out);
    case OPCODE_AUX:
        return aux(d, t, out);
    case OPCODE_FULLSYNC_END:
        return full_sync_end(d, t, out);
    case OPCODE_JOURNAL_OFFSET:
        return journal_offset(d, t, out);
    case OPCODE_EOF:
        return end_of_file(d, t);
    case OPCODE_VECTOR_INDEX:
    case OPCODE_DOC_INDEX:
    case OPCODE_MODULE_AUX:
    case OPCODE_FUNCTION2:
        return begin_skipping(d, t);
    default:
        return decoder_broken(d, "opcode or type %u is not known", code);
    }
}
