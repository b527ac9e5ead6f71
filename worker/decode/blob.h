/* A compressed blob (LZ4 or zstd frame) read as a stream: never whole in memory. */
#ifndef DF2REDIS_WORKER_DECODE_BLOB_H
#define DF2REDIS_WORKER_DECODE_BLOB_H

#include "common/base/error.h"
#include "common/base/mem.h"

enum blob_kind { BLOB_ZSTD, BLOB_LZ4 };

struct blob {
    enum blob_kind kind;
    uint64_t compressed_bytes; /* of the whole frame */
    uint64_t fed_bytes;        /* of it, given to the decompressor */
    uint64_t discard_bytes;    /* plain bytes still to pass by, after a restart */
    bool ended;                /* the frame is complete */
    struct buf plain;
    size_t at;   /* of the first byte of plain not used yet */
    size_t hint; /* compressed bytes the decompressor would like next */
    void *lz4, *zstd;
};

void blob_free(struct blob *b);
/* Begins with a frame of so many bytes; the first discard_bytes of what it holds are passed by. */
void blob_begin(struct blob *b, enum blob_kind kind, uint64_t compressed_bytes, uint64_t discard_bytes);
/* After its last byte: gives memory back that a large element needed. */
void blob_end(struct blob *b);

static inline size_t blob_there(const struct blob *b)
{
    return b->plain.len - b->at;
}

enum blob_status {
    BLOB_OK,     /* at least `need` plain bytes are there, at plain.data + at */
    BLOB_MORE,   /* *wanted bytes of the frame are needed */
    BLOB_ENDED,  /* that was all: fewer than `need` bytes are left */
    BLOB_BROKEN, /* not a frame */
};
/* frame: what is there of it, from its first byte. What plain.data + at pointed to moves. */
enum blob_status blob_fill(struct blob *b, struct slice frame, size_t need, uint64_t *wanted,
                           struct error *error);

#endif
