/* A compressed blob (LZ4 or zstd frame), decompressed as a stream, never as a whole. */
#ifndef DF2REDIS_WORKER_DECODE_BLOB_H
#define DF2REDIS_WORKER_DECODE_BLOB_H

#include "common/base/error.h"
#include "common/base/mem.h"

enum blob_kind { BLOB_ZSTD, BLOB_LZ4 };

struct blob {
    enum blob_kind kind;
    uint64_t compressed_bytes; /* of the whole frame */
    uint64_t fed_bytes;        /* compressed bytes passed to the decompressor */
    uint64_t discard_bytes;    /* plain bytes still to be skipped after a restart */
    bool ended;                /* the frame is complete */
    struct buf plain;
    size_t at;   /* position of the first unconsumed byte of `plain` */
    size_t hint; /* compressed bytes that the decompressor asks for next */
    void *lz4, *zstd;
};

void blob_free(struct blob *b);
/* Begins a frame of compressed_bytes; skips its first discard_bytes plain bytes. */
void blob_begin(struct blob *b, enum blob_kind kind, uint64_t compressed_bytes, uint64_t discard_bytes);
/* Call after its last byte: frees memory that a large element needed. */
void blob_end(struct blob *b);

static inline size_t blob_there(const struct blob *b)
{
    return b->plain.len - b->at;
}

enum blob_status {
    BLOB_OK,     /* at least `need` plain bytes are at plain.data + at */
    BLOB_MORE,   /* *wanted bytes of the frame are needed */
    BLOB_ENDED,  /* end of the blob: fewer than `need` bytes are left */
    BLOB_BROKEN, /* not a frame */
};
/* frame: the received bytes of the frame, from its first. Invalidates pointers to plain.data. */
enum blob_status blob_fill(struct blob *b, struct slice frame, size_t need, uint64_t *wanted,
                           struct error *error);

#endif
