/* Streaming decompression into a buffer; consumed bytes at its front are dropped. */
#include "worker/decode/blob.h"

#include <lz4frame.h>
#include <sysexits.h>
#include <zstd.h>

enum { PLAIN_BYTES = 256 << 10, PLAIN_KEEP_BYTES = 1 << 20, ZSTD_WINDOW_LOG_MAX = 27 };

void blob_free(struct blob *b)
{
    LZ4F_freeDecompressionContext(b->lz4);
    ZSTD_freeDCtx(b->zstd);
    buf_free(&b->plain);
    *b = (struct blob){0};
}

static void reset_lz4(struct blob *b)
{
    LZ4F_dctx *context = b->lz4;
    if (context)
        LZ4F_resetDecompressionContext(context);
    else if (!LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        b->lz4 = context;
}

static void reset_zstd(struct blob *b)
{
    if (!b->zstd) {
        b->zstd = ZSTD_createDCtx();
        if (b->zstd)
            ZSTD_DCtx_setParameter(b->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    } else {
        ZSTD_DCtx_reset(b->zstd, ZSTD_reset_session_only);
    }
}

void blob_begin(struct blob *b, enum blob_kind kind, uint64_t compressed_bytes, uint64_t discard_bytes)
{
    b->kind = kind;
    b->compressed_bytes = compressed_bytes;
    b->discard_bytes = discard_bytes;
    b->fed_bytes = 0;
    b->ended = false;
    b->plain.len = b->at = 0;
    b->hint = 1;
    if (kind == BLOB_LZ4)
        reset_lz4(b);
    else
        reset_zstd(b);
}

void blob_end(struct blob *b)
{
    b->plain.len = b->at = 0;
    if (b->plain.cap > PLAIN_KEEP_BYTES)
        buf_free(&b->plain);
}

/* Drops the consumed front; makes room for at least one more byte after the rest. */
static void make_room(struct blob *b)
{
    struct buf *plain = &b->plain;
    if (b->at) {
        memmove(plain->data, plain->data + b->at, plain->len - b->at);
        plain->len -= b->at;
        b->at = 0;
    }
    if (plain->cap < PLAIN_BYTES)
        buf_reserve(plain, PLAIN_BYTES - plain->len);
    else if (plain->len == plain->cap)
        buf_reserve(plain, plain->cap);
}

static void blob_discard(struct blob *b)
{
    size_t n = blob_there(b);
    if (n > b->discard_bytes)
        n = (size_t)b->discard_bytes;
    b->discard_bytes -= n;
    b->at += n;
}

static bool blob_broken(const struct blob *b, const char *why, struct error *error)
{
    return error_fatal(error, EX_DATAERR, "compressed blob (%s, %llu bytes): %s",
                       b->kind == BLOB_LZ4 ? "LZ4" : "zstd", (unsigned long long)b->compressed_bytes, why);
}

/* One call of the decompressor. *used, *made: bytes. */
static bool run_lz4(struct blob *b, struct slice in, size_t *used, size_t *made, struct error *error)
{
    *used = in.len;
    *made = b->plain.cap - b->plain.len;
    size_t hint = LZ4F_decompress(b->lz4, b->plain.data + b->plain.len, made, in.data, used, NULL);
    if (LZ4F_isError(hint))
        return blob_broken(b, LZ4F_getErrorName(hint), error);
    b->ended = hint == 0;
    b->hint = hint;
    return true;
}

static bool run_zstd(struct blob *b, struct slice in, size_t *used, size_t *made, struct error *error)
{
    ZSTD_inBuffer from = {in.data, in.len, 0};
    ZSTD_outBuffer to = {b->plain.data, b->plain.cap, b->plain.len};
    size_t hint = ZSTD_decompressStream(b->zstd, &to, &from);
    if (ZSTD_isError(hint))
        return blob_broken(b, ZSTD_getErrorName(hint), error);
    *used = from.pos;
    *made = to.pos - b->plain.len;
    b->ended = hint == 0;
    b->hint = 1; /* the hint of the decompressor may be larger than the rest of the frame */
    return true;
}

/* Decompresses until the buffer is full or no progress is made. */
static bool blob_run(struct blob *b, struct slice frame, struct error *error)
{
    size_t used = 1, made = 1;
    while (!b->ended && (used || made) && b->plain.len < b->plain.cap) {
        struct slice in = slice_of(frame.data + b->fed_bytes, frame.len - (size_t)b->fed_bytes);
        bool ok =
            b->kind == BLOB_LZ4 ? run_lz4(b, in, &used, &made, error) : run_zstd(b, in, &used, &made, error);
        if (!ok)
            return false;
        b->fed_bytes += used;
        b->plain.len += made;
        blob_discard(b);
        if (b->discard_bytes)
            b->plain.len = b->at = 0;
    }
    if (b->ended && b->fed_bytes != b->compressed_bytes)
        return blob_broken(b, "trailing bytes after its frame", error);
    return true;
}

enum blob_status blob_fill(struct blob *b, struct slice frame, size_t need, uint64_t *wanted,
                           struct error *error)
{
    if (frame.len > b->compressed_bytes)
        frame.len = (size_t)b->compressed_bytes;
    if (b->kind == BLOB_LZ4 ? !b->lz4 : !b->zstd) {
        blob_broken(b, "out of memory for its decompressor", error);
        return BLOB_BROKEN;
    }
    while (blob_there(b) < need && !b->ended) {
        uint64_t fed = b->fed_bytes, discarding = b->discard_bytes;
        size_t there = blob_there(b);
        if (frame.len < fed) { /* the input is shorter than before */
            *wanted = fed;
            return BLOB_MORE;
        }
        make_room(b);
        if (!blob_run(b, frame, error))
            return BLOB_BROKEN;
        if (b->fed_bytes == fed && blob_there(b) == there && b->discard_bytes == discarding)
            break;
    }
    if (blob_there(b) >= need)
        return BLOB_OK;
    if (b->ended)
        return BLOB_ENDED;
    if (b->fed_bytes < frame.len || b->fed_bytes == b->compressed_bytes) {
        blob_broken(b, "truncated frame", error);
        return BLOB_BROKEN;
    }
    uint64_t left = b->compressed_bytes - b->fed_bytes;
    *wanted = b->fed_bytes + (b->hint && b->hint < left ? b->hint : left);
    return BLOB_MORE;
}
