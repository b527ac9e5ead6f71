/* Interfaces between the files of the spool. A file calls those to its right or below it.
 *
 *   spool.c ─┬─ spool_overflow.c   segment files and staging buffer
 *            ├─ spool_ring.c       the ring's file
 *            └─ spool_arrivals.c   times of receipt
 *
 * common/ipc/spool_layout.h has the ring file's header, with the positions that say where every byte is. */
#ifndef DF2REDIS_WORKER_SPOOL_SPOOL_INTERNAL_H
#define DF2REDIS_WORKER_SPOOL_SPOOL_INTERNAL_H

#include "common/ipc/spool_layout.h"
#include "worker/spool/spool.h"

#define SPOOL_READ_BYTES (UINT64_C(1) << 20) /* of one read: stays in the CPU's cache while it is decoded */
#define SPOOL_SEGMENT_MIN_BYTES (UINT64_C(1) << 20)
#define SPOOL_SEGMENT_MAX_BYTES (UINT64_C(64) << 20)

struct spool_ring {
    int fd; /* locked: one process uses it at a time */
    struct spool_header *header;
    uint8_t *staging; /* SPOOL_STAGING_BYTES */
    uint8_t *data;    /* 2 × bytes */
    uint64_t bytes;
};

struct spool_segment {
    int fd; /* -1: none open */
    uint64_t index;
};

struct spool {
    char *directory;
    uint32_t flow;
    uint64_t ring_max_bytes, limit_bytes;
    uint64_t read_bytes; /* of one spool_read_fd */
    struct spool_ring ring;
    struct spool_segment writing, reading;
    uint64_t segments_from, segments_to; /* files with these numbers may exist: [from, to) */
    uint64_t oldest_before;              /* `oldest` before the current read, which may overwrite less */
    uint64_t shrink_not_before;          /* value of `applied`, after a failed shrink */
    uint64_t arrival_hint;               /* index of the last sample found */
};

static inline uint64_t stored_end(const struct spool_header *h) /* end of the bytes in ring and segments */
{
    uint64_t ring = statefile_load(&h->ring_end), overflow = statefile_load(&h->overflow_end);
    return ring > overflow ? ring : overflow;
}
static inline uint64_t received_end(const struct spool_header *h)
{
    uint64_t stored = stored_end(h), staged = statefile_load(&h->staged_end);
    return stored > staged ? stored : staged;
}
static inline uint64_t ring_room(const struct spool_header *h)
{
    return h->ring_bytes - (statefile_load(&h->ring_end) - statefile_load(&h->applied));
}
static inline uint8_t *ring_at(const struct spool_ring *r, uint64_t offset)
{
    return r->data + offset % r->bytes;
}
/* Call before ring bytes up to `end` are written: moves `oldest` past the bytes that they overwrite. */
static inline void ring_give_up(struct spool_header *h, uint64_t end)
{
    if (end > h->ring_bytes && end - h->ring_bytes > statefile_load(&h->oldest))
        statefile_store(&h->oldest, end - h->ring_bytes);
}

/* spool_ring.c */
enum ring_found { RING_FOUND, RING_NONE, RING_FAILED };
char *ring_path(const char *directory, uint32_t flow, const char *suffix);
/* Opens the existing file, if resume. RING_NONE: no file, or one of another version, session or boot, which stays
 * locked until ring_close. */
enum ring_found ring_open(struct spool_ring *r, const struct spool_config *config, bool resume,
                          struct error *error);
/* Creates flow-N.ring.new with a copy of `marks` as its header and a ring of marks->ring_bytes; ring_publish renames it
 * to flow-N.ring. */
bool ring_create(struct spool_ring *r, const char *directory, uint32_t flow, const struct spool_header *marks,
                 struct error *error);
bool ring_publish(const char *directory, uint32_t flow, struct error *error);
void ring_close(struct spool_ring *r);
/* Replaces the ring by one of another size, with the bytes from `from` on. */
bool ring_resize(struct spool *s, uint64_t ring_bytes, uint64_t from, struct error *error);

/* spool_arrivals.c */
/* Bytes from `offset` on were received. */
void arrivals_note(struct spool_header *h, uint64_t offset, int64_t now_ms);
/* After a restart: drops samples that are out of order. */
void arrivals_take_over(struct spool_header *h);

/* spool_overflow.c */
/* Allocates space in the segment of the next bytes; *at, *room: the staging buffer for them. SOME, LIMIT or ERROR. */
enum spool_read overflow_begin(struct spool *s, uint8_t **at, uint64_t *room, struct error *error);
/* Writes the staging buffer to its segment. False with ERROR_RETRY if the disk is full; the bytes stay in the
 * buffer. */
bool overflow_flush(struct spool *s, struct error *error);
/* Copies up to `room` bytes back into the ring. 1: some, 0: none, -1: *error. */
int overflow_take(struct spool *s, uint64_t room, struct error *error);
/* Deletes segments without unread bytes; all: including the one that would be written next. */
void overflow_drop(struct spool *s, bool all);
/* Finds the segment files by the header's positions, and deletes unused ones. */
void overflow_find(struct spool *s);
void overflow_remove_all(const char *directory, uint32_t flow);
void overflow_close(struct spool *s);

#endif
