/* From the bytes of a FLOW to its entries: finds the next bytes, and dispatches by their first one.
 *
 *   "REDIS" version:4
 *   opcode … opcode …            snapshot; some hold more of the same: compressed blobs, chunks
 *   255 zero:8 token:40
 *   journal entries
 *
 * Each step reads the current text (the stream, or the plain bytes of a blob), and either consumes bytes, returns an
 * entry, asks for more bytes, or fails. A step that asks for more consumes nothing and is repeated from the same byte;
 * decoder.wanted avoids repetitions before enough bytes are there. */
#include "worker/decode/decoder.h"

#include <stdlib.h>

#include "worker/decode/decoder_internal.h"

enum { HEADER_BYTES = 9, RDB_VERSION_MIN = 5, RDB_VERSION_MAX = 12 };

static const uint8_t nothing[1]; /* address of an empty text */

struct decoder *decoder_new(const struct decoder_config *config)
{
    struct decoder *d = x_calloc(1, sizeof *d);
    d->config = *config;
    d->config.token[sizeof d->config.token - 1] = '\0';
    d->restore_limit_bytes = config->restore_limit_bytes;
    d->snapshot_lsn = 1;
    d->open = NO_VALUE;
    if (config->first_lsn) {
        d->phase = config->in_blobs ? PHASE_HEADER : PHASE_JOURNAL;
        d->next_lsn = config->asked_lsn ? config->asked_lsn : config->first_lsn;
        decoder_note_check(d, config->check, (struct journal_check){0});
    }
    return d;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    decoder_values_free(d);
    blob_free(&d->blob);
    buf_free(&d->key);
    buf_free(&d->value);
    buf_free(&d->journal_text);
    value_scratch_free(&d->scratch);
    journal_args_free(&d->args);
    free(d);
}

void decoder_forget(struct decoder *d)
{
    d->wanted = 0;
    d->blob_need = 0;
    d->blob_begun = false;
    d->scanning = false;
    d->scan = d->tail_scan = (struct value_skip){0};
    d->journal_blob.ready = false;
    d->failed.class = ERROR_NONE;
}

static enum step read_header(struct decoder *d, struct text *t)
{
    if (t->n < HEADER_BYTES)
        return decoder_more(t, HEADER_BYTES);
    unsigned version = 0;
    for (int i = 5; i < HEADER_BYTES; i++)
        version = version * 10 + (uint8_t)(t->p[i] - '0');
    if (memcmp(t->p, "REDIS", 5) != 0)
        return decoder_broken(d, "the stream does not begin with REDIS, so is not a snapshot");
    if (version < RDB_VERSION_MIN || version > RDB_VERSION_MAX)
        return decoder_broken(d, "RDB version %u is not supported (%d to %d are)", version, RDB_VERSION_MIN,
                              RDB_VERSION_MAX);
    d->rdb_version = version;
    d->phase = PHASE_SNAPSHOT;
    decoder_consume(d, t, HEADER_BYTES);
    return STEP_ON;
}

static enum step read_token(struct decoder *d, struct text *t, struct entry *out)
{
    if (d->in_blob)
        return decoder_broken(d, "a compressed blob continues after EOF");
    if (t->n < TOKEN_BYTES)
        return decoder_more(t, TOKEN_BYTES);
    if (memcmp(t->p, d->config.token, TOKEN_BYTES) != 0)
        return decoder_broken(d, "the token after EOF is not this FLOW's: the stream is out of step");
    decoder_give(d, out, ENTRY_EOF, 1);
    decoder_consume(d, t, TOKEN_BYTES);
    d->phase = PHASE_JOURNAL;
    return STEP_ENTRY;
}

static enum step take_step(struct decoder *d, struct text *t, struct entry *out)
{
    switch (d->phase) {
    case PHASE_JOURNAL:
        return decoder_journal_entry(d, t, out);
    case PHASE_HEADER:
        return read_header(d, t);
    case PHASE_TOKEN:
        if (d->in_blob && t->n && t->p[0] == OPCODE_BLOB_END)
            return decoder_pass(d, t, 1);
        return read_token(d, t, out);
    case PHASE_SNAPSHOT:
        break;
    }
    if (d->open != NO_VALUE)
        return decoder_open_value(d, t, out);
    if (t->n == 0)
        return decoder_more(t, 1);
    if (d->skipping)
        return decoder_skip_on(d, t, out);
    if (rdb_type_known(t->p[0]))
        return decoder_entry(d, t, out);
    return decoder_opcode(d, t, out);
}

/* The bytes of the stream from d->offset on. */
static struct text stream_text(const struct decoder *d, struct slice input, uint64_t input_offset)
{
    size_t at = (size_t)(d->offset - input_offset);
    return (struct text){.p = input.data + at, .n = input.len - at};
}

/* A step needs t->wanted bytes of its text. STEP_ON: decompressing more may supply them. */
static enum step need_text(struct decoder *d, const struct text *t)
{
    if (d->in_chunk && t->wanted > d->chunk_left)
        return decoder_broken(d, "a chunk of stream id %u ends within an element", d->chunk_id);
    if (t->wanted > t->n && t->wanted - t->n > INT32_MAX)
        return decoder_broken(d, "an element of %zu bytes; no more than %d can be held", t->wanted,
                              INT32_MAX);
    if (t->wanted <= t->n)
        return decoder_broken(d, "no progress");
    if (d->in_blob) {
        d->blob_need = t->wanted;
        return STEP_ON;
    }
    d->wanted = t->wanted;
    return STEP_MORE;
}

/* Sets *t to the bytes of the next step. STEP_ON with t->p NULL: call again. */
static enum step find_text(struct decoder *d, struct text stream, struct text *t)
{
    enum step step;
    if (!d->in_blob) {
        *t = stream;
        return STEP_ON;
    }
    if (d->blob_begun) {
        step = decoder_blob_text(d, stream, t);
    } else {
        *t = stream;
        step = stream.n ? decoder_begin_blob(d, t) : decoder_more(t, 1);
        t->p = NULL;
    }
    if (step == STEP_MORE && t->wanted - stream.n > INT32_MAX)
        return decoder_broken(d, "a compressed blob with a block of %zu bytes", t->wanted - stream.n);
    if (step == STEP_MORE)
        d->wanted = t->wanted;
    return step;
}

static enum step next_step(struct decoder *d, struct slice input, uint64_t input_offset, struct entry *out)
{
    struct text t = {0};
    enum step step = find_text(d, stream_text(d, input, input_offset), &t);
    if (step != STEP_ON || !t.p)
        return step;
    if (d->in_chunk && t.n > d->chunk_left)
        t.n = d->chunk_left;
    step = take_step(d, &t, out);
    if (step == STEP_MORE)
        return need_text(d, &t);
    d->blob_need = 0;
    return step;
}

enum decode_status decoder_next(struct decoder *d, struct slice input, struct entry *out, struct error *error)
{
    uint64_t input_offset = d->offset;
    enum step step;

    if (d->failed.class != ERROR_NONE) {
        if (error)
            *error = d->failed;
        return DECODE_ERROR;
    }
    if (input.len < d->wanted)
        return DECODE_MORE;
    if (!input.data)
        input.data = nothing;
    d->wanted = 0;
    do
        step = next_step(d, input, input_offset, out);
    while (step == STEP_ON);
    if (step == STEP_ENTRY)
        return DECODE_ENTRY;
    if (step == STEP_BREAK) {
        if (error)
            *error = d->why;
        return DECODE_BREAK;
    }
    return step == STEP_MORE ? DECODE_MORE : decoder_fail(d, error);
}

uint64_t decoder_offset(const struct decoder *d)
{
    return d->offset;
}

uint64_t decoder_wanted(const struct decoder *d)
{
    return d->wanted ? d->wanted : 1;
}

uint64_t decoder_seq(const struct decoder *d)
{
    return d->seq;
}

bool decoder_in_journal(const struct decoder *d)
{
    return d->phase == PHASE_JOURNAL;
}
