/* The layout of a spool's ring file, for the worker that owns it, and for the supervisor, which keeps a part of a dead
 * worker's spool.
 *
 * flow-N.ring:   | header 64 KiB | staging buffer 1 MiB | to 2 MiB | ring data (mapped twice) |
 *
 * Three marks say where every byte is; each step moves one of them, with one store, after the bytes are in
 * place:
 *
 *      oldest      applied      ring_end             overflow_end           staged_end
 *        |- kept tail -|- in ring -|- in segment files ---|- in staging buffer -|
 *
 * received is the greatest of the last three; a part whose end is not greater than the one before it is
 * empty. So a SIGKILL at any instruction leaves a whole state; only the last read(2) may be missing from it,
 * and `place`, set before each read, says where its bytes went. */
#ifndef DF2REDIS_COMMON_IPC_SPOOL_LAYOUT_H
#define DF2REDIS_COMMON_IPC_SPOOL_LAYOUT_H

#include "common/ipc/statefile.h"

#define SPOOL_MAGIC "df2spl1"
#define SPOOL_STAGING_BYTES (UINT64_C(1) << 20)
#define SPOOL_DATA_AT (UINT64_C(2) << 20) /* where the ring's data begins in its file */
#define SPOOL_ARRIVALS 3072

enum spool_place { SPOOL_PLACE_NONE, SPOOL_PLACE_RING, SPOOL_PLACE_STAGING };

struct spool_header {
    char magic[8];
    char boot_id[STATEFILE_BOOT_BYTES];
    uint64_t session;
    uint64_t ring_bytes; /* now */
    uint64_t base_bytes; /* where it shrinks back to */
    uint64_t
        segment_bytes; /* the byte at stream offset o is in segment o / segment_bytes, at o % segment_bytes */
    _Atomic uint64_t oldest, applied, ring_end, overflow_end;
    _Atomic uint64_t staged_base; /* stream offset of the staging buffer's first byte */
    _Atomic uint64_t staged_end;
    _Atomic uint64_t place;     /* enum spool_place of the read that began last */
    _Atomic uint64_t grown_for; /* it stays large until this is released */
    _Atomic uint64_t arrival_count;
    struct {
        _Atomic uint64_t offset, at_ms;
    } arrivals[SPOOL_ARRIVALS]; /* worker/spool/spool_arrivals.c */
};
_Static_assert(sizeof(struct spool_header) <= STATEFILE_HEADER_BYTES, "the header has room for it");

/* Of two offsets, or numbers of bytes. */
static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
