/* Compressed blobs: begin and end in the stream, and their plain text.
 *
 *   201 | 202   length   frame        plain: opcodes, as outside of a blob, the last of them 203
 */
#include <inttypes.h>

#include "worker/decode/decoder_internal.h"

/* opcode, packed length, frame. The offset stays at the opcode until the frame has been read. */
enum step decoder_begin_blob(struct decoder *d, struct text *t)
{
    uint64_t bytes;
    bool again = d->in_blob; /* restored inside the blob */
    if (again && d->blob_begun)
        return decoder_broken(d, "a compressed blob in a compressed blob");
    if (again && t->p[0] != OPCODE_LZ4_BLOB && t->p[0] != OPCODE_ZSTD_BLOB)
        return decoder_broken(d, "the saved position is not at a compressed blob");
    unsigned used = packed_read(t->p + 1, t->n - 1, &bytes);
    if (used == PACKED_MORE)
        return decoder_more(t, t->n + 1);
    if (used == PACKED_BROKEN || bytes == 0 || bytes > RDB_LENGTH_MAX)
        return decoder_broken(d, "invalid length of a compressed blob");
    if (!again && d->in_chunk && d->chunk_left != 1 + used + bytes)
        return decoder_broken(d, "a chunk of %u bytes left holds a compressed blob of %" PRIu64,
                              d->chunk_left, bytes);
    if (!again) {
        d->in_blob = true;
        d->in_chunk = false;
        d->blob_position = 0;
    }
    d->blob_head = 1 + used;
    d->blob_begun = true;
    d->blob_need = 0;
    blob_begin(&d->blob, t->p[0] == OPCODE_LZ4_BLOB ? BLOB_LZ4 : BLOB_ZSTD, bytes, d->blob_position);
    return STEP_ON;
}

/* The blob is consumed: continues after it. */
static enum step leave_blob(struct decoder *d)
{
    if (d->in_chunk || d->open != NO_VALUE || d->skipping || d->journal_given || blob_there(&d->blob))
        return decoder_broken(d, "a compressed blob ends within an entry");
    d->offset += d->blob_head + d->blob.compressed_bytes;
    d->in_blob = d->blob_begun = false;
    d->blob_position = 0;
    blob_end(&d->blob);
    return STEP_ON;
}

enum step decoder_blob_text(struct decoder *d, struct text stream, struct text *t)
{
    static const uint8_t nothing[1]; /* address of an empty text */
    uint64_t wanted;
    /* 0 for an open value, which may end, or be suspended, at the blob's last byte. */
    size_t need = d->blob_need ? d->blob_need : d->open == NO_VALUE;
    if (blob_there(&d->blob) < need) {
        struct slice frame = slice_of(stream.p + d->blob_head, stream.n - d->blob_head);
        switch (blob_fill(&d->blob, frame, need, &wanted, &d->why)) {
        case BLOB_MORE:
            t->wanted = d->blob_head + (size_t)wanted;
            return STEP_MORE;
        case BLOB_BROKEN:
            return STEP_ERROR;
        case BLOB_ENDED:
            return leave_blob(d);
        case BLOB_OK:
            break;
        }
    }
    t->p = d->blob.plain.data ? d->blob.plain.data + d->blob.at : nothing;
    t->n = blob_there(&d->blob);
    return STEP_ON;
}
