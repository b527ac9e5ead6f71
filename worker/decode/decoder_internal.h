/* Shared by decoder*.c only. A file calls those to its right.
 *
 *   decoder_state.c ── decoder.c ── decoder_opcode.c ─┬─ decoder_value.c ── decoder_values.c
 *                                                     ├─ decoder_journal.c ── journal.c
 *                                                     └─ decoder_blob.c ── blob.c
 *
 *   decoder.c          finds the next bytes, dispatches by their first one
 *   decoder_opcode.c   opcodes of the snapshot
 *   decoder_value.c    keys and values, as a whole or element by element; chunks
 *   decoder_values.c   the table of open values
 *   decoder_journal.c  JOURNAL_BLOBs and the journal stream
 *   decoder_blob.c     compressed blobs
 *   decoder_step.c     errors; called by all of them
 *   decoder_state.c    the restart record
 */
#ifndef DF2REDIS_WORKER_DECODE_DECODER_INTERNAL_H
#define DF2REDIS_WORKER_DECODE_DECODER_INTERNAL_H

#include "worker/decode/blob.h"
#include "worker/decode/decoder.h"
#include "worker/decode/journal.h"
#include "worker/rdb/rdb_string.h"
#include "worker/rdb/value_reader.h"
#include "worker/rdb/value_walk.h"

enum {
    OPCODE_FULLSYNC_END = 200,
    OPCODE_ZSTD_BLOB = 201,
    OPCODE_LZ4_BLOB = 202,
    OPCODE_BLOB_END = 203,
    OPCODE_JOURNAL_BLOB = 210,
    OPCODE_JOURNAL_OFFSET = 211,
    OPCODE_DF_MASK = 220,
    OPCODE_VECTOR_INDEX = 222,
    OPCODE_DOC_INDEX = 223,
    OPCODE_TAGGED_CHUNK = 224,
    OPCODE_SLOT_INFO = 244,
    OPCODE_FUNCTION2 = 245,
    OPCODE_MODULE_AUX = 247,
    OPCODE_IDLE = 248,
    OPCODE_FREQ = 249,
    OPCODE_AUX = 250,
    OPCODE_RESIZEDB = 251,
    OPCODE_EXPIRETIME_MS = 252,
    OPCODE_EXPIRETIME = 253,
    OPCODE_SELECTDB = 254,
    OPCODE_EOF = 255,
};

enum {
    TOKEN_BYTES = 40,
    DB_MAX = 65535,
    OPEN_VALUES_MAX = 4096,
    OPEN_KEYS_MAX_BYTES = 64 << 20,
    NO_VALUE = -1
};

enum phase { PHASE_HEADER, PHASE_SNAPSHOT, PHASE_TOKEN, PHASE_JOURNAL };

/* Attributes before an entry. */
struct attributes {
    int64_t expire_ms;
    uint32_t mc_flags;
    uint8_t flags;
};

/* A value that is returned element by element, or skipped. With an id it may be suspended between two chunks. */
struct open_value {
    uint32_t id, db;
    struct attributes attributes;
    uint8_t type;
    bool passing; /* unsupported: skipped */
    struct value_reader reader;
    struct value_skip walk;
    struct buf key;
};

/* The bytes for a step: of the stream or of a blob, up to the end of the current chunk. */
struct text {
    const uint8_t *p;
    size_t n;
    size_t wanted; /* with STEP_MORE: number of bytes needed from p on */
};

enum step { STEP_ON, STEP_ENTRY, STEP_MORE, STEP_BREAK, STEP_ERROR };

/* A command of the journal, for its check. */
struct noted_command {
    uint64_t lsn; /* 0: none */
    bool summed;  /* `checksum` is set: from the configuration, not decoded */
    uint64_t checksum;
    struct journal_sum sum;
};

struct decoder {
    struct decoder_config config;

    /* Saved state. */
    enum phase phase;
    uint32_t rdb_version;
    uint64_t restore_limit_bytes;
    uint64_t offset; /* stream offset of the next byte; in a blob: of its opcode */
    bool in_blob;
    uint64_t blob_position; /* consumed plain bytes of the blob */
    bool in_chunk;
    uint32_t chunk_id, chunk_left;
    uint64_t seq;
    uint64_t snapshot_lsn;        /* of the next entry in a JOURNAL_BLOB: counted from 1 */
    uint64_t next_lsn;            /* of the journal stream; 0: unknown */
    struct noted_command last[2]; /* the last two commands, alternating */
    unsigned newest;              /* 0 or 1 */
    uint32_t db, snapshot_journal_db, journal_db;
    struct attributes attributes;
    uint64_t journal_given; /* returned entries of the current JOURNAL_BLOB */
    uint8_t skipping;       /* opcode of index or module data that is skipped; 0: none */
    struct value_skip walk; /* of that data */
    struct open_value **values;
    size_t value_count;
    int open; /* index of the value that the next bytes belong to, or NO_VALUE */

    /* State that can be rebuilt from the bytes. */
    uint64_t wanted;
    size_t blob_need; /* plain bytes that the last step needs */
    size_t blob_head; /* bytes of opcode and length */
    bool blob_begun;
    struct blob blob;
    bool scanning; /* value_skip of the current entry has begun */
    struct value_skip scan;
    struct value_skip tail_scan; /* of a stream's tail */
    struct {
        bool ready, lzf;
        size_t content_at, total; /* in its text */
        uint64_t count;
        size_t position; /* in the content */
        size_t content_len;
    } journal_blob;
    size_t values_capacity, open_keys_bytes;

    struct buf key, value, journal_text; /* decoded strings */
    struct value_scratch scratch;
    struct journal_args args;
    struct error why, failed;
};

/* Consumes n bytes of the text. */
static inline void decoder_consume(struct decoder *d, struct text *t, size_t n)
{
    t->p += n;
    t->n -= n;
    if (d->in_blob)
        d->blob.at += n, d->blob_position += n;
    else
        d->offset += n;
    if (d->in_chunk)
        d->chunk_left -= (uint32_t)n;
}

static inline enum step decoder_more(struct text *t, size_t wanted)
{
    t->wanted = wanted;
    return STEP_MORE;
}

/* Sets the members of *out common to all kinds; takes `count` sequence numbers. */
static inline void decoder_give(struct decoder *d, struct entry *out, enum entry_kind kind, uint64_t count)
{
    *out = (struct entry){.kind = kind,
                          .in_snapshot = d->phase != PHASE_JOURNAL,
                          .first_seq = d->seq + 1,
                          .seq = d->seq + count,
                          .offset = d->offset,
                          .db = d->db};
    d->seq += count;
}

/* Skips `bytes` bytes once they are there. */
static inline enum step decoder_pass(struct decoder *d, struct text *t, size_t bytes)
{
    if (t->n < bytes)
        return decoder_more(t, bytes);
    decoder_consume(d, t, bytes);
    return STEP_ON;
}

/* decoder_step.c: sets the error of a STEP_ERROR; converts it for decoder_next(). */
enum step decoder_broken(struct decoder *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum decode_status decoder_fail(struct decoder *d, struct error *error);

/* decoder_value.c: an entry (type, key, value) begins; more of a value; a chunk begins. */
enum step decoder_entry(struct decoder *d, struct text *t, struct entry *out);
enum step decoder_open_value(struct decoder *d, struct text *t, struct entry *out);
enum step decoder_chunk(struct decoder *d, struct text *t);

/* decoder_values.c: the table of open values. */
struct open_value *decoder_value_add(struct decoder *d); /* NULL: too many; d->open is its index */
void decoder_value_remove(struct decoder *d, int index);
int decoder_value_find(const struct decoder *d, uint32_t id);
bool decoder_value_set_key(struct decoder *d, struct open_value *v, struct slice key);
void decoder_values_free(struct decoder *d);

/* decoder_blob.c: begin of a compressed blob; its plain text, at least d->blob_need bytes. */
enum step decoder_begin_blob(struct decoder *d, struct text *t);
enum step decoder_blob_text(struct decoder *d, struct text stream, struct text *t);

/* decoder_journal.c */
enum step decoder_journal_blob(struct decoder *d, struct text *t, struct entry *out);
enum step decoder_journal_entry(struct decoder *d, struct text *t, struct entry *out);
/* The last two commands, as they are told from elsewhere. */
void decoder_note_check(struct decoder *d, struct journal_check newest, struct journal_check before);

/* decoder_opcode.c: an opcode of the snapshot. */
enum step decoder_opcode(struct decoder *d, struct text *t, struct entry *out);
/* Continues skipping index or module data. */
enum step decoder_skip_on(struct decoder *d, struct text *t, struct entry *out);
bool decoder_skipping_valid(uint8_t opcode, const struct value_skip *walk);

/* decoder.c: resets the state that is not saved, after a restore. */
void decoder_forget(struct decoder *d);

#endif
