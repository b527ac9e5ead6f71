/* Inside the spool: what its parts offer each other. A file calls what stands to its right or below it.
 *
 *   spool.c ─┬─ spool_overflow.c   segment files and staging buffer
 *            ├─ spool_ring.c       the ring's file
 *            └─ spool_arrivals.c   when bytes came
 *
 * common/ipc/spool_layout.h has the ring file's header, whose marks say where every byte is. */
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
    uint64_t oldest_before;              /* the read under way: oldest, should it read less than it might */
    uint64_t shrink_not_before;          /* applied: after a failed shrink */
    uint64_t arrival_hint;               /* where the last one was found */
};

static inline uint64_t stored_end(const struct spool_header *h) /* of what is in ring and segments */
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
/* Before ring bytes up to `end` are written: what they overwrite is no longer kept. */
static inline void ring_give_up(struct spool_header *h, uint64_t end)
{
    if (end > h->ring_bytes && end - h->ring_bytes > statefile_load(&h->oldest))
        statefile_store(&h->oldest, end - h->ring_bytes);
}

/* spool_ring.c */
enum ring_found { RING_FOUND, RING_NONE, RING_FAILED };
char *ring_path(const char *directory, uint32_t flow, const char *suffix);
/* The file as it is, if resume. RING_NONE: there is none, or nothing this program, session and boot can use;
 * what there is stays locked until ring_close. */
enum ring_found ring_open(struct spool_ring *r, const struct spool_config *config, bool resume,
                          struct error *error);
/* A new file under a name of its own, with these marks (ring_bytes says how large); ring_publish gives it the
 * ring's name in one step. */
bool ring_create(struct spool_ring *r, const char *directory, uint32_t flow, const struct spool_header *marks,
                 struct error *error);
bool ring_publish(const char *directory, uint32_t flow, struct error *error);
void ring_close(struct spool_ring *r);
/* Moves everything from `from` on to a ring of another size. */
bool ring_resize(struct spool *s, uint64_t ring_bytes, uint64_t from, struct error *error);

/* spool_arrivals.c */
/* Bytes from `offset` on have come. */
void arrivals_note(struct spool_header *h, uint64_t offset, int64_t now_ms);
/* Of a dead process: in order again. */
void arrivals_take_over(struct spool_header *h);

/* spool_overflow.c */
/* Space for the next bytes' segment, and where they wait until they are written. SOME, LIMIT or ERROR. */
enum spool_read overflow_begin(struct spool *s, uint8_t **at, uint64_t *room, struct error *error);
/* Writes what is in the staging buffer. False with ERROR_RETRY when the disk is full: it stays there. */
bool overflow_flush(struct spool *s, struct error *error);
/* Up to `room` bytes back into the ring. 1 some, 0 there are none, -1 *error. */
int overflow_take(struct spool *s, uint64_t room, struct error *error);
/* Deletes segments that hold nothing any more; all: also the one that would be written next. */
void overflow_drop(struct spool *s, bool all);
/* The segment files that are there: numbers are taken over, or (unused) deleted. */
void overflow_find(struct spool *s);
void overflow_remove_all(const char *directory, uint32_t flow);
void overflow_close(struct spool *s);

#endif
