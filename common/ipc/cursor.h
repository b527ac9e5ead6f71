/* One small shared file per FLOW beside the spool: where its worker is.
 *
 * Written by the worker alone; read by its successor, and by the supervisor for status, metrics and
 * ACKs. Plain 64-bit fields, each written atomically. A SIGKILL leaves it whole: the restart record
 * has two copies with a generation number, written in turn. Not meant to survive the machine. */
#ifndef DF2REDIS_COMMON_IPC_CURSOR_H
#define DF2REDIS_COMMON_IPC_CURSOR_H

#include <stdatomic.h>

#include "common/base/error.h"
#include "common/base/mem.h"

enum cursor_phase {
    CURSOR_STARTING,
    CURSOR_FULL_SYNC,     /* static data */
    CURSOR_FULL_SYNC_END, /* FULLSYNC_END decoded; waiting at the barrier */
    CURSOR_STABLE,        /* in the journal stream */
    CURSOR_DRAINED,
    CURSOR_FAILED,
};
const char *cursor_phase_name(enum cursor_phase phase);

/* Round trips of batches: how many took at most so long; the last bucket has no bound. */
enum { CURSOR_BATCH_BUCKETS = 12 };
static const uint64_t cursor_batch_bounds_us[CURSOR_BATCH_BUCKETS - 1] = {
    250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000};

/* Times are CLOCK_MONOTONIC milliseconds, offsets are stream offsets in bytes. Each of the four
 * positions only grows within a session, but for a rewind of decoded and sent to applied. */
struct cursor_marks {
    _Atomic uint64_t session;
    _Atomic uint64_t pid;
    _Atomic uint64_t phase; /* enum cursor_phase */
    _Atomic uint64_t received_offset, decoded_offset, sent_offset, applied_offset;
    _Atomic uint64_t decoded_seq, sent_seq, applied_seq;
    /* While the FLOW is held at a command, all before it is applied, and applied_* stay at the restart record. */
    _Atomic uint64_t held_offset, held_seq;
    _Atomic uint64_t received_lsn; /* next LSN expected after all that is decoded */
    _Atomic uint64_t applied_lsn;  /* next LSN wanted after all that the target acknowledged: the ACK */
    _Atomic uint64_t check_lsn, check_sum;    /* the last command before it (journal_check.h) */
    _Atomic uint64_t ping_lsn;                /* applied_lsn must pass this before the PING is answered */
    _Atomic uint64_t entries, keys, commands; /* applied so far */
    _Atomic uint64_t spool_bytes, spool_overflow_bytes;
    _Atomic uint64_t alive_ms; /* set by the worker several times a second */
    _Atomic uint64_t last_received_ms, last_applied_ms;
    _Atomic uint64_t waiting_since_ms; /* when the oldest byte not applied was received; 0: none waits */
    _Atomic uint64_t errors, divergences, target_waits;
    _Atomic uint64_t suspects_pending; /* keys that are still to be compared with the source's */
    _Atomic uint64_t compare_all;      /* times that single keys were not enough */
    _Atomic uint64_t suspects_perhaps; /* of these: they are mostly right */
    _Atomic uint64_t suspects_equal, suspects_healed, suspects_permanent; /* what became of others */
    _Atomic uint64_t suspects_confirmed;    /* equal after they were healed; counted as healed already */
    _Atomic uint64_t suspects_unknown;      /* these are mostly right, and could not be compared */
    _Atomic uint64_t batches, batch_micros; /* acknowledged batches, and the sum of their round trips */
    _Atomic uint64_t batch_buckets[CURSOR_BATCH_BUCKETS];
    /* Not 0: the target is connected and has what was decoded before the contact broke. The same number for all FLOWs
     * that are connected to the same process of it. */
    _Atomic uint64_t in_contact;
    _Atomic uint64_t busy; /* 1 while entries are decoded and translated: did what it read kill it? */
};

struct cursor_header;

struct cursor {
    struct cursor_marks *marks;
    /* private */
    struct cursor_header *header; /* mapped alone, so that marks never moves */
    uint8_t *records;             /* writer only: what stands behind the header */
    size_t records_bytes;
    char *directory, *path;
    int fd;
};

/* Makes or opens DIRECTORY/flow-N.cursor. fresh: all marks zero and no restart record; done in place, so that
 * a reader's mapping stays the right one. What an earlier boot of the machine left counts as nothing. */
bool cursor_open(struct cursor *c, const char *directory, uint32_t flow, bool fresh, struct error *error);
/* For reading; false with ERROR_RETRY while there is none. */
bool cursor_open_readonly(struct cursor *c, const char *directory, uint32_t flow, struct error *error);
void cursor_close(struct cursor *c);
void cursor_remove(const char *directory, uint32_t flow);

/* The restart record: any bytes up to 64 MiB (the file grows). The older copy is overwritten, and stays as it
 * was when this fails (ERROR_RETRY: the disk is full). */
bool cursor_save_record(struct cursor *c, struct slice record, struct error *error);
/* Of a writable or a read-only cursor: the newest whole copy, appended to *out; false when there is none. */
bool cursor_load_record(const struct cursor *c, struct buf *out);

static inline void cursor_set(_Atomic uint64_t *field, uint64_t v)
{
    atomic_store_explicit(field, v, memory_order_relaxed);
}
static inline void cursor_add(_Atomic uint64_t *field, uint64_t v)
{
    atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + v, memory_order_relaxed);
}
static inline void cursor_count_batch(struct cursor_marks *m, uint64_t micros)
{
    size_t i = 0;
    while (i + 1 < CURSOR_BATCH_BUCKETS && micros > cursor_batch_bounds_us[i])
        i++;
    cursor_add(&m->batches, 1);
    cursor_add(&m->batch_micros, micros);
    cursor_add(&m->batch_buckets[i], 1);
}
static inline uint64_t cursor_get(const _Atomic uint64_t *field)
{
    return atomic_load_explicit((_Atomic uint64_t *)field, memory_order_relaxed);
}
/* What the target has, for display: of a FLOW that is held, beyond the restart record. */
static inline uint64_t cursor_done_offset(const struct cursor_marks *m)
{
    uint64_t applied = cursor_get(&m->applied_offset), held = cursor_get(&m->held_offset);
    return held > applied ? held : applied;
}
static inline uint64_t cursor_done_seq(const struct cursor_marks *m)
{
    uint64_t applied = cursor_get(&m->applied_seq), held = cursor_get(&m->held_seq);
    return held > applied ? held : applied;
}

#endif
