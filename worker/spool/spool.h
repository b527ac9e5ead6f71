/* A FLOW's bytes in order: read from the source at once, kept until the target has them.
 *
 *        oldest kept        applied            decoded      ring end     received
 *           |  retained tail  |   in flight      |  to decode  |   overflow  |
 *           [=================== ring (memory-mapped file) =====][== segment files ==]
 *
 * The ring is one preallocated file mapped twice back to back, so every piece of it is contiguous;
 * its bytes are found at offset modulo its size. When it is full the newest bytes go to segment
 * files, through a buffer in the shared file so that a SIGKILL between read(2) and write(2) loses
 * none; when it has room again they come back from there. Marks stand in the ring file's first page.
 * Every offset is a stream offset (0 at the session's first byte). One process uses it at a time. */
#ifndef DF2REDIS_WORKER_SPOOL_SPOOL_H
#define DF2REDIS_WORKER_SPOOL_SPOOL_H

#include "common/base/error.h"
#include "common/base/mem.h"

struct spool_config {
    const char *directory; /* of the run's state; files are flow-N.ring, flow-N.NNNN.spool */
    uint32_t flow;         /* the N */
    uint64_t ring_bytes;   /* multiple of the page size; 64 MiB by default; a successor keeps what is there */
    uint64_t ring_max_bytes; /* how far it may grow for one large element; 1 GiB by default */
    uint64_t limit_bytes;    /* of the overflow on disk; 0 = none allowed */
    uint64_t session;        /* a spool of another session (or boot of the machine) is emptied when opened */
};

struct spool;

/* Opens the FLOW's spool, or makes one. resume: keep what is there if it is of the same session
 * (a successor); else start empty at offset 0. A full disk, a missing or read-only directory are errors
 * here, never a signal later. */
struct spool *spool_open(const struct spool_config *config, bool resume, struct error *error);
/* Unmaps and closes; the files stay. */
void spool_close(struct spool *s);
/* Another limit_bytes from now on; what is over it stays. */
void spool_set_limit(struct spool *s, uint64_t limit_bytes);
/* spool_read_fd takes no more at a time from now on: for tests. */
void spool_set_read(struct spool *s, uint64_t bytes);
/* Deletes the FLOW's files. */
void spool_remove(const char *directory, uint32_t flow);

enum spool_read { SPOOL_READ_SOME, SPOOL_READ_AGAIN, SPOOL_READ_EOF, SPOOL_READ_LIMIT, SPOOL_READ_ERROR };
/* Reads once, at most 1 MiB, from fd (a non-blocking socket), straight into the ring, or on its way to the
 * overflow. *got: bytes.
 * LIMIT: nothing was read, since limit_bytes is reached or the disk is full; *error (ERROR_RETRY) says which
 * and what to do. It goes on by itself once there is room again. ERROR: ERROR_RETRY when the connection
 * broke, ERROR_FATAL when the spool's files fail. */
enum spool_read spool_read_fd(struct spool *s, int fd, size_t *got, struct error *error);
/* The same from memory (TLS): where the next bytes may be put, at most *room, then how many were; nothing may
 * be written past those. NULL: as LIMIT above (ERROR_RETRY), or ERROR_FATAL. */
uint8_t *spool_write_begin(struct spool *s, size_t *room, struct error *error);
bool spool_write_end(struct spool *s, size_t got, struct error *error);
/* A successor, before its first read: what the dead process had read but not yet marked. The kernel says how
 * much was read from the socket in all (worker/source/received.h); the bytes are in place already. */
bool spool_adopt(struct spool *s, uint64_t received, struct error *error);

/* The contiguous bytes from offset to the ring's end; empty when there are none yet. What is not released is
 * valid until the next spool_grow or spool_release (which may shrink the ring again). */
struct slice spool_peek(const struct spool *s, uint64_t offset);
/* Brings overflow bytes back into the ring while there is room, a few MiB a call. True when some came; else
 * error->class is ERROR_NONE when there was nothing to do, ERROR_REDIRECT when what an overflow file held is
 * lost, ERROR_FATAL when the state directory is. */
bool spool_refill(struct spool *s, struct error *error);
/* Makes the ring large enough to hold `bytes` contiguous bytes from offset on, beside what is before them and
 * not yet released (the retained tail may be given up); shrinks back by itself when what it grew for is
 * released. ERROR_RETRY: not while so much before it is unreleased, or the disk is full; ERROR_FATAL: never.
 */
bool spool_grow(struct spool *s, uint64_t offset, uint64_t bytes, struct error *error);
/* Everything before `applied` may be dropped; the ring keeps its last half behind it all the same. */
void spool_release(struct spool *s, uint64_t applied);
/* Takes releases back: everything from offset on is needed again (the target went back in time). False, and
 * nothing changes, when the ring no longer has it. */
bool spool_seek_back(struct spool *s, uint64_t offset);

/* Unix ms at which the byte at `offset` came from the source: within 10 ms for the last seconds, coarser the
 * older it is. Never later than it came; of a successor's adopted bytes, later by as long as there was no
 * worker. */
int64_t spool_arrived_ms(struct spool *s, uint64_t offset);

uint64_t spool_received(const struct spool *s); /* one past the newest byte */
uint64_t spool_ring_end(const struct spool *s); /* one past the newest byte that spool_peek can show */
uint64_t spool_oldest(const struct spool *s);   /* the oldest byte that spool_peek can still show */
uint64_t spool_overflow_bytes(const struct spool *s);

#endif
