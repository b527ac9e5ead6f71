/* The received bytes of a FLOW, in order, kept until the target has them.
 *
 *        oldest kept        applied            decoded      ring end     received
 *           |  retained tail  |   in flight      |  to decode  |   overflow  |
 *           [=================== ring (memory-mapped file) =====][== segment files ==]
 *
 * The ring is one preallocated file mapped twice back to back, so every piece of it is contiguous; a byte is at its
 * offset modulo the ring's size. When the ring is full new bytes go to segment files, through a staging buffer in the
 * ring file, so that a SIGKILL between read(2) and write(2) loses none; when it has room again they are copied back.
 * The positions are in the ring file's header. Every offset is a stream offset (0 at the session's first byte). One
 * process uses the spool at a time. */
#ifndef DF2REDIS_WORKER_SPOOL_SPOOL_H
#define DF2REDIS_WORKER_SPOOL_SPOOL_H

#include "common/base/error.h"
#include "common/base/mem.h"

struct spool_config {
    const char *directory;   /* of the run's state; files are flow-N.ring, flow-N.NNNN.spool */
    uint32_t flow;           /* the N */
    uint64_t ring_bytes;     /* multiple of the page size; 64 MiB by default; ignored if a spool is resumed */
    uint64_t ring_max_bytes; /* to which it may grow for one large element; 1 GiB by default */
    uint64_t limit_bytes;    /* of the overflow on disk; 0: no overflow */
    uint64_t session;        /* a spool of another session, or boot of the machine, is emptied when opened */
};

struct spool;

/* Opens or creates the FLOW's spool. resume: keep the bytes of the same session (a restarted worker); else start empty
 * at offset 0. A full disk and a missing or read-only directory are errors here, not a SIGBUS later. */
struct spool *spool_open(const struct spool_config *config, bool resume, struct error *error);
/* Unmaps and closes; the files stay. */
void spool_close(struct spool *s);
/* Sets limit_bytes; bytes over the new limit stay. */
void spool_set_limit(struct spool *s, uint64_t limit_bytes);
/* For tests: sets the maximum of one spool_read_fd. */
void spool_set_read(struct spool *s, uint64_t bytes);
/* Deletes the FLOW's files. */
void spool_remove(const char *directory, uint32_t flow);

enum spool_read { SPOOL_READ_SOME, SPOOL_READ_AGAIN, SPOOL_READ_EOF, SPOOL_READ_LIMIT, SPOOL_READ_ERROR };
/* Reads once, at most 1 MiB, from fd (a non-blocking socket) into the ring, or into the overflow. *got: bytes. LIMIT:
 * nothing was read, as limit_bytes is reached or the disk is full; *error (ERROR_RETRY) says which and what to do. A
 * later call succeeds once there is room. ERROR: ERROR_RETRY if the connection broke, ERROR_FATAL if a file of the
 * spool failed. */
enum spool_read spool_read_fd(struct spool *s, int fd, size_t *got, struct error *error);
/* The same from memory (TLS): spool_write_begin returns the address for the next bytes, at most *room;
 * spool_write_end takes their number. NULL: LIMIT as above (ERROR_RETRY), or ERROR_FATAL. */
uint8_t *spool_write_begin(struct spool *s, size_t *room, struct error *error);
bool spool_write_end(struct spool *s, size_t got, struct error *error);
/* For a restarted worker, before its first read: accounts for bytes that the dead worker had read but not stored in the
 * header. `received`: the bytes read from the socket so far (worker/source/received.h). The bytes are in place. */
bool spool_adopt(struct spool *s, uint64_t received, struct error *error);

/* The contiguous bytes from offset to the ring's end; empty if there are none yet. Valid until the next spool_grow or
 * spool_release (which may shrink the ring), if not released. */
struct slice spool_peek(const struct spool *s, uint64_t offset);
/* Copies overflow bytes back into the ring while it has room, a few MiB per call. True: some were copied. Else
 * error->class is ERROR_NONE: nothing to do, ERROR_REDIRECT: an overflow file is lost, ERROR_FATAL: the state directory
 * is. */
bool spool_refill(struct spool *s, struct error *error);
/* Makes the ring large enough for `bytes` contiguous bytes from offset on, and the unreleased bytes before them; may
 * drop the retained tail. The ring shrinks again once they are released. ERROR_RETRY: too many bytes before them are
 * unreleased, or the disk is full; ERROR_FATAL: larger than the maximum. */
bool spool_grow(struct spool *s, uint64_t offset, uint64_t bytes, struct error *error);
/* Bytes before `applied` may be overwritten; the ring keeps up to half its size of them, for spool_seek_back. */
void spool_release(struct spool *s, uint64_t applied);
/* Undoes releases: bytes from offset on are needed again (the target lost writes). False, without a change, if the ring
 * no longer has them. */
bool spool_seek_back(struct spool *s, uint64_t offset);

/* Unix ms at which the byte at `offset` was received: exact to 10 ms for the last seconds, coarser with age. Never
 * later than the receipt, except for adopted bytes: later by the time without a worker. */
int64_t spool_arrived_ms(struct spool *s, uint64_t offset);

uint64_t spool_received(const struct spool *s); /* one past the newest byte */
uint64_t spool_ring_end(const struct spool *s); /* one past the newest byte that spool_peek can show */
uint64_t spool_oldest(const struct spool *s);   /* the oldest byte that spool_peek can still show */
uint64_t spool_overflow_bytes(const struct spool *s);

#endif
