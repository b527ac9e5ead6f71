/* A FLOW's bytes.
 *
 *   "REDIS0009" AUX… { blob | entry | JOURNAL_BLOB }… FULLSYNC_END 8×0
 *   JOURNAL_OFFSET lsn EOF 8×0 token journal…
 *
 * blob: 202, packed length, LZ4 frame of whole entries, which begin with SELECTDB.
 * chunk: 224, stream id and length in 4 bytes each, a piece of one entry. */
#include "tests/support/stream_writer.h"

#include <lz4frame.h>
#include <stdlib.h>

#include "tests/support/testing.h"

enum {
    OP_LZ4_BLOB = 202,
    OP_JOURNAL_BLOB = 210,
    OP_JOURNAL_OFFSET = 211,
    OP_FULLSYNC_END = 200,
    OP_TAGGED_CHUNK = 224,
    OP_AUX = 250,
    OP_EXPIRETIME_MS = 252,
    OP_SELECTDB = 254,
    OP_EOF = 255,
    JOURNAL_SELECT = 6,
    JOURNAL_OP_COMMAND = 10,
    JOURNAL_OP_PING = 13,
    JOURNAL_OP_LSN = 15,
    /* A blob that shrinks by less is sent as it is; so is a small or a large one. */
    SMALLEST_BLOB = 256,
    LARGEST_BLOB = 1 << 20,
    WORTHWHILE_PERCENT = 95,
};

void write_packed(struct buf *out, uint64_t v)
{
    uint8_t b[9];
    size_t n = v < 64 ? 1 : v < 16384 ? 2 : v <= UINT32_MAX ? 5 : 9;
    for (size_t i = n; i-- > 0; v >>= 8)
        b[i] = (uint8_t)v;
    if (n == 2)
        b[0] |= 0x40;
    else if (n > 2)
        b[0] = n == 5 ? 0x80 : 0x81;
    buf_put(out, b, n);
}

void write_string(struct buf *out, struct slice bytes)
{
    write_packed(out, bytes.len);
    buf_put(out, bytes.data, bytes.len);
}

static void aux(struct stream_writer *w, const char *name, const char *value)
{
    buf_put_u8(&w->out, OP_AUX);
    write_string(&w->out, slice_str(name));
    write_string(&w->out, slice_str(value));
}

void writer_begin(struct stream_writer *w, size_t blob_bytes, const char *token)
{
    *w = (struct stream_writer){.blob_bytes = blob_bytes, .next_lsn = 1};
    w->flow.close_at = NEVER;
    memcpy(w->flow.token, token, sizeof w->flow.token);
    buf_put(&w->out, "REDIS0009", 9);
    aux(w, "redis-ver", "6.2.11");
    aux(w, "df-ver", "df-v1.40.1");
    aux(w, "redis-bits", "64");
}

static void put_blob(struct stream_writer *w)
{
    LZ4F_preferences_t how = {.frameInfo = {.contentSize = w->pending.len}, .compressionLevel = 2};
    size_t most = LZ4F_compressFrameBound(w->pending.len, &how);
    uint8_t *frame = x_malloc(most);
    size_t n = LZ4F_compressFrame(frame, most, w->pending.data, w->pending.len, &how);
    if (LZ4F_isError(n))
        die("LZ4: %s", LZ4F_getErrorName(n));
    if (w->pending.len >= SMALLEST_BLOB && w->pending.len <= LARGEST_BLOB &&
        n <= w->pending.len / 100 * WORTHWHILE_PERCENT) {
        buf_put_u8(&w->out, OP_LZ4_BLOB);
        write_string(&w->out, slice_of(frame, n));
    } else {
        buf_put(&w->out, w->pending.data, w->pending.len);
    }
    free(frame);
}

static void flush_pending(struct stream_writer *w)
{
    if (!w->pending.len)
        return;
    w->plain_bytes += w->pending.len;
    if (w->blob_bytes)
        put_blob(w);
    else
        buf_put(&w->out, w->pending.data, w->pending.len);
    buf_clear(&w->pending);
}

void writer_select(struct stream_writer *w, uint32_t db)
{
    buf_put_u8(&w->pending, OP_SELECTDB);
    write_packed(&w->pending, db);
}

struct buf *writer_entry(struct stream_writer *w, uint8_t type, struct slice key, int64_t expire_ms)
{
    if (!w->pending.len)
        writer_select(w, 0);
    w->entry_at = w->pending.len;
    w->in_chunks = false;
    if (expire_ms) {
        buf_put_u8(&w->pending, OP_EXPIRETIME_MS);
        buf_put(&w->pending, &expire_ms, sizeof expire_ms);
    }
    buf_put_u8(&w->pending, type);
    write_string(&w->pending, key);
    return &w->pending;
}

/* What there is of the entry becomes a chunk, and is sent with all before it. */
static void put_chunk(struct stream_writer *w)
{
    uint8_t head[9] = {OP_TAGGED_CHUNK};
    uint32_t len = (uint32_t)(w->pending.len - w->entry_at);
    w->chunk_id += !w->in_chunks;
    w->in_chunks = true;
    memcpy(head + 1, &w->chunk_id, 4);
    memcpy(head + 5, &len, 4);
    buf_reserve(&w->pending, sizeof head);
    memmove(w->pending.data + w->entry_at + sizeof head, w->pending.data + w->entry_at, len);
    memcpy(w->pending.data + w->entry_at, head, sizeof head);
    w->pending.len += sizeof head;
    flush_pending(w);
    w->entry_at = 0;
}

void writer_element_end(struct stream_writer *w)
{
    if (w->chunk_bytes && w->pending.len - w->entry_at >= w->chunk_bytes)
        put_chunk(w);
}

void writer_entry_end(struct stream_writer *w)
{
    if (w->in_chunks && w->pending.len > w->entry_at)
        put_chunk(w);
    w->in_chunks = false;
    if (w->pending.len >= (w->blob_bytes ? w->blob_bytes : 65536))
        flush_pending(w);
}

void writer_string(struct stream_writer *w, struct slice key, struct slice value)
{
    write_string(writer_entry(w, 0, key, 0), value);
    writer_entry_end(w);
}

void writer_fullsync_end(struct stream_writer *w)
{
    static const uint8_t end[9] = {OP_FULLSYNC_END};
    flush_pending(w);
    buf_put(&w->out, end, sizeof end);
    w->flow.fullsync_end = w->flow.at_startstable = w->out.len;
}

void writer_stable(struct stream_writer *w, uint64_t first_lsn)
{
    static const uint8_t eof[9] = {OP_EOF};
    w->flow.at_startstable = w->out.len;
    buf_put_u8(&w->out, OP_JOURNAL_OFFSET);
    buf_put(&w->out, &first_lsn, sizeof first_lsn);
    buf_put(&w->out, eof, sizeof eof);
    buf_put(&w->out, w->flow.token, 40);
    w->flow.first_lsn = w->next_lsn = first_lsn;
    w->flow.journal_at = w->out.len;
}

void write_journal_args(struct buf *out, uint32_t db, uint64_t txid, size_t argc, const struct slice *argv)
{
    uint64_t total = 0;
    for (size_t i = 0; i < argc; i++)
        total += argv[i].len;
    write_packed(out, JOURNAL_SELECT);
    write_packed(out, db);
    write_packed(out, JOURNAL_OP_COMMAND);
    write_packed(out, txid);
    write_packed(out, 1);
    write_packed(out, argc);
    write_packed(out, total);
    for (size_t i = 0; i < argc; i++)
        write_string(out, argv[i]);
}

void write_journal(struct buf *out, uint32_t db, uint64_t txid, const char *words)
{
    struct slice argv[64];
    size_t argc = 0;
    for (const char *at = words; argc < 64; at++) {
        size_t len = strcspn(at, " ");
        argv[argc++] = slice_of(at, len);
        at += len;
        if (!*at)
            break;
    }
    write_journal_args(out, db, txid, argc, argv);
}

void writer_command(struct stream_writer *w, uint32_t db, uint64_t txid, size_t argc,
                    const struct slice *argv)
{
    w->next_lsn++;
    if (w->flow.journal_at) {
        write_journal_args(&w->out, db, txid, argc, argv);
        return;
    }
    struct buf entry = {0};
    write_journal_args(&entry, db, txid, argc, argv);
    flush_pending(w);
    buf_put_u8(&w->out, OP_JOURNAL_BLOB);
    write_packed(&w->out, 1);
    write_string(&w->out, buf_slice(&entry));
    w->flow.at_startstable = w->out.len;
    buf_free(&entry);
}

void writer_ping(struct stream_writer *w)
{
    w->next_lsn++;
    write_packed(&w->out, JOURNAL_OP_PING);
}

void writer_lsn(struct stream_writer *w)
{
    write_packed(&w->out, JOURNAL_OP_LSN);
    write_packed(&w->out, w->next_lsn - 1);
}

struct scripted_flow writer_finish(struct stream_writer *w)
{
    struct scripted_flow flow = w->flow;
    flow.bytes = w->out;
    buf_free(&w->pending);
    *w = (struct stream_writer){0};
    return flow;
}

/* 4 bytes of length, 2 of count, items, 255. */
void listpack_begin(struct buf *out)
{
    buf_put(out, "\0\0\0\0\0\0", 6);
}

/* Encoding and length, the bytes, and how long all that is, 7 bits a byte, for walking back. */
void listpack_item(struct buf *out, struct slice bytes)
{
    size_t begin = out->len;
    if (bytes.len < 64) {
        buf_put_u8(out, (uint8_t)(0x80 | bytes.len));
    } else if (bytes.len < 4096) {
        buf_put_u8(out, (uint8_t)(0xe0 | bytes.len >> 8));
        buf_put_u8(out, (uint8_t)bytes.len);
    } else {
        uint32_t len = (uint32_t)bytes.len;
        buf_put_u8(out, 0xf0);
        buf_put(out, &len, sizeof len);
    }
    buf_put(out, bytes.data, bytes.len);
    uint8_t back[5];
    size_t n = 0;
    for (size_t len = out->len - begin; len || !n; len >>= 7)
        back[n++] = (uint8_t)(len & 127);
    for (size_t i = n; i-- > 0;)
        buf_put_u8(out, (uint8_t)(back[i] | (i + 1 < n ? 128 : 0)));
}

void listpack_end(struct buf *out, size_t begin, uint32_t count)
{
    buf_put_u8(out, 255);
    uint32_t total = (uint32_t)(out->len - begin);
    uint16_t items = count < 65535 ? (uint16_t)count : 65535;
    memcpy(out->data + begin, &total, sizeof total);
    memcpy(out->data + begin + 4, &items, sizeof items);
}
