/* The spool: where new bytes are stored, and when old ones are dropped.
 *
 * New bytes go to the ring if it has room and the overflow is empty, else to the end of the overflow. The room of the
 * ring is its size less the unreleased bytes; released bytes stay readable until they are overwritten. */
#include "worker/spool/spool_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"

#define REFILL_BYTES (UINT64_C(4) << 20) /* per call: bounds the time outside the event loop */

static bool config_check(const struct spool_config *config, struct error *error)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (config->ring_bytes == 0 || config->ring_bytes % page || config->ring_bytes > SIZE_MAX / 4)
        return error_fatal(error, EX_CONFIG,
                           "the ring size %llu is not a multiple of the page size %llu: change --ring-size",
                           (unsigned long long)config->ring_bytes, (unsigned long long)page);
    return true;
}

static bool create_ring_file(struct spool *s, const struct spool_config *config, struct error *error)
{
    uint64_t segment = config->ring_bytes;
    if (segment < SPOOL_SEGMENT_MIN_BYTES)
        segment = SPOOL_SEGMENT_MIN_BYTES;
    struct spool_header marks = {
        .session = config->session,
        .ring_bytes = config->ring_bytes,
        .base_bytes = config->ring_bytes,
        .segment_bytes = least(segment, SPOOL_SEGMENT_MAX_BYTES),
    };
    if (!ring_create(&s->ring, s->directory, s->flow, &marks, error))
        return false;
    if (ring_publish(s->directory, s->flow, error))
        return true;
    ring_close(&s->ring);
    return false;
}

struct spool *spool_open(const struct spool_config *config, bool resume, struct error *error)
{
    if (!config_check(config, error))
        return NULL;
    struct spool_ring found_ring;
    enum ring_found found = ring_open(&found_ring, config, resume, error);
    if (found == RING_FAILED)
        return NULL;
    struct spool *s = x_calloc(1, sizeof *s);
    s->directory = x_strdup(config->directory);
    s->flow = config->flow;
    s->ring_max_bytes = config->ring_max_bytes;
    s->limit_bytes = config->limit_bytes;
    s->read_bytes = SPOOL_READ_BYTES;
    s->ring.fd = s->writing.fd = s->reading.fd = -1;
    if (found == RING_FOUND) {
        s->ring = found_ring;
        arrivals_take_over(s->ring.header);
    } else {
        /* Files of another session: frees their space first. */
        overflow_remove_all(s->directory, s->flow);
        bool made = create_ring_file(s, config, error);
        ring_close(&found_ring); /* its lock is held until the new file has the name */
        if (!made) {
            spool_close(s);
            return NULL;
        }
    }
    overflow_find(s);
    return s;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    overflow_close(s);
    ring_close(&s->ring);
    free(s->directory);
    free(s);
}

void spool_set_limit(struct spool *s, uint64_t limit_bytes)
{
    s->limit_bytes = limit_bytes;
}

void spool_set_read(struct spool *s, uint64_t bytes)
{
    s->read_bytes = bytes;
}

void spool_remove(const char *directory, uint32_t flow)
{
    static const char *const suffixes[] = {"", ".new"};
    for (int i = 0; i < 2; i++) {
        char *path = ring_path(directory, flow, suffixes[i]);
        unlink(path);
        free(path);
    }
    overflow_remove_all(directory, flow);
}

/* Decides where the next bytes go, and stores the decision before they are read. */
static enum spool_read place_begin(struct spool *s, uint8_t **at, uint64_t *room, struct error *error)
{
    struct spool_header *h = s->ring.header;
    struct error failed = {0};
    if (!overflow_flush(s, &failed)) {
        if (error)
            *error = failed;
        return failed.class == ERROR_RETRY ? SPOOL_READ_LIMIT : SPOOL_READ_ERROR;
    }
    uint64_t end = statefile_load(&h->ring_end), free_bytes = ring_room(h);
    if (statefile_load(&h->overflow_end) > end || free_bytes == 0)
        return overflow_begin(s, at, room, error);
    *room = least(free_bytes, SPOOL_READ_BYTES);
    *at = ring_at(&s->ring, end);
    s->oldest_before = statefile_load(&h->oldest);
    ring_give_up(h, end + *room);
    statefile_store(&h->place, SPOOL_PLACE_RING);
    return SPOOL_READ_SOME;
}

/* `got` bytes are in place. False: they stay in the staging buffer, and writing them to a file failed. */
static bool place_end(struct spool *s, uint64_t got, struct error *error)
{
    struct spool_header *h = s->ring.header;
    if (got > 0)
        arrivals_note(h, received_end(h), clock_unix_ms());
    if (statefile_load(&h->place) == SPOOL_PLACE_STAGING) {
        statefile_store(&h->staged_end, statefile_load(&h->staged_base) + got);
        return overflow_flush(s, error);
    }
    uint64_t end = statefile_load(&h->ring_end) + got;
    statefile_store(&h->ring_end, end);
    /* place_begin moved `oldest` for a read of full size: moves it back by the bytes that were not overwritten. */
    uint64_t oldest = end > h->ring_bytes ? end - h->ring_bytes : 0;
    statefile_store(&h->oldest, oldest > s->oldest_before ? oldest : s->oldest_before);
    return true;
}

static enum spool_read socket_read_failed(int errnum, struct error *error)
{
    if (errnum == EAGAIN || errnum == EWOULDBLOCK)
        return SPOOL_READ_AGAIN;
    error_set(error, ERROR_RETRY, "reading from the source: %s", strerror(errnum));
    return SPOOL_READ_ERROR;
}

enum spool_read spool_read_fd(struct spool *s, int fd, size_t *got, struct error *error)
{
    uint8_t *at;
    uint64_t room;
    *got = 0;
    enum spool_read status = place_begin(s, &at, &room, error);
    if (status != SPOOL_READ_SOME)
        return status;
    ssize_t n;
    do
        n = read(fd, at, (size_t)least(room, s->read_bytes));
    while (n < 0 && errno == EINTR);
    int errnum = errno;
    *got = n > 0 ? (size_t)n : 0;
    struct error failed = {0};
    if (!place_end(s, *got, &failed) && failed.class != ERROR_RETRY) {
        if (error)
            *error = failed;
        return SPOOL_READ_ERROR;
    }
    if (n < 0)
        return socket_read_failed(errnum, error);
    return n == 0 ? SPOOL_READ_EOF : SPOOL_READ_SOME;
}

uint8_t *spool_write_begin(struct spool *s, size_t *room, struct error *error)
{
    uint8_t *at;
    uint64_t bytes;
    *room = 0;
    if (place_begin(s, &at, &bytes, error) != SPOOL_READ_SOME)
        return NULL;
    *room = (size_t)bytes;
    return at;
}

bool spool_write_end(struct spool *s, size_t got, struct error *error)
{
    struct error failed = {0};
    if (place_end(s, got, &failed) || failed.class == ERROR_RETRY)
        return true;
    if (error)
        *error = failed;
    return false;
}

static bool adopt_failed(uint64_t have, uint64_t received, const char *why, struct error *error)
{
    return error_fatal(
        error, EX_SOFTWARE,
        "%llu bytes of this FLOW were read from the kernel, but its spool ends at %llu (%s); a full sync is "
        "needed",
        (unsigned long long)received, (unsigned long long)have, why);
}

bool spool_adopt(struct spool *s, uint64_t received, struct error *error)
{
    struct spool_header *h = s->ring.header;
    uint64_t have = received_end(h), place = statefile_load(&h->place);
    if (received < have)
        return adopt_failed(have, received, "the spool is of another connection", error);
    uint64_t more = received - have;
    if (more == 0)
        return true;
    arrivals_note(h, have, clock_unix_ms());
    if (place == SPOOL_PLACE_RING && statefile_load(&h->ring_end) == have &&
        more <= least(ring_room(h), SPOOL_READ_BYTES)) {
        statefile_store(&h->ring_end, received);
        return true;
    }
    if (place == SPOOL_PLACE_STAGING && statefile_load(&h->staged_base) == have &&
        more <= SPOOL_STAGING_BYTES) {
        statefile_store(&h->staged_end, received);
        return true; /* the next read or refill writes them to a segment */
    }
    return adopt_failed(have, received, "the difference is more than one read", error);
}

struct slice spool_peek(const struct spool *s, uint64_t offset)
{
    const struct spool_header *h = s->ring.header;
    uint64_t end = statefile_load(&h->ring_end);
    if (offset < statefile_load(&h->oldest) || offset >= end)
        return slice_of(NULL, 0);
    return slice_of(ring_at(&s->ring, offset), (size_t)(end - offset));
}

bool spool_refill(struct spool *s, struct error *error)
{
    struct spool_header *h = s->ring.header;
    uint64_t left = REFILL_BYTES;
    if (error)
        error->class = ERROR_NONE;
    while (left > 0) {
        uint64_t before = statefile_load(&h->ring_end);
        if (overflow_take(s, least(left, ring_room(h)), error) != 1)
            break;
        left -= statefile_load(&h->ring_end) - before;
    }
    return left < REFILL_BYTES;
}

bool spool_grow(struct spool *s, uint64_t offset, uint64_t bytes, struct error *error)
{
    struct spool_header *h = s->ring.header;
    uint64_t keep = statefile_load(&h->applied), max = h->base_bytes, need, until;
    if (s->ring_max_bytes > max)
        max = s->ring_max_bytes - s->ring_max_bytes % (uint64_t)sysconf(_SC_PAGESIZE);
    if (offset < keep || offset > received_end(h))
        return error_fatal(error, EX_SOFTWARE,
                           "the ring cannot grow for offset %llu, which is released or not yet received",
                           (unsigned long long)offset);
    if (bytes > max || __builtin_add_overflow(offset, bytes, &until))
        return error_fatal(
            error, EX_UNAVAILABLE,
            "an element of %llu bytes at offset %llu does not fit into the ring, which may grow to "
            "%llu bytes; split the key on the source",
            (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)max);
    need = until - keep;
    if (need > h->base_bytes && need <= max && until > statefile_load(&h->grown_for))
        statefile_store(&h->grown_for, until);
    if (need <= h->ring_bytes)
        return true;
    if (need > max)
        return error_set(
            error, ERROR_RETRY,
            "an element of %llu bytes at offset %llu waits until the target has the entries before it",
            (unsigned long long)bytes, (unsigned long long)offset);
    uint64_t larger = h->base_bytes;
    while (larger < need)
        larger = larger > max / 2 ? max : larger * 2;
    return ring_resize(s, larger, statefile_load(&h->oldest), error);
}

/* Once the element that the ring grew for is released, and few bytes are left to copy. */
static void ring_shrink_if_due(struct spool *s)
{
    const struct spool_header *h = s->ring.header;
    uint64_t base = h->base_bytes, end = statefile_load(&h->ring_end), applied = statefile_load(&h->applied);
    if (h->ring_bytes == base || applied < statefile_load(&h->grown_for) || applied < s->shrink_not_before)
        return;
    if (end - applied > base / 2 || received_end(h) > end)
        return;
    uint64_t from = statefile_load(&h->oldest);
    if (end > base && end - base > from)
        from = end - base;
    struct error error = {0};
    if (!ring_resize(s, base, from, &error)) {
        log_warning("the spool's ring cannot shrink and stays at %llu bytes: %s",
                    (unsigned long long)h->ring_bytes, error.text);
        s->shrink_not_before = applied + base;
    }
}

void spool_release(struct spool *s, uint64_t applied)
{
    struct spool_header *h = s->ring.header;
    uint64_t end = statefile_load(&h->ring_end);
    applied = least(applied, end);
    if (applied <= statefile_load(&h->applied))
        return;
    statefile_store(&h->applied, applied);
    if (h->ring_bytes != h->base_bytes)
        ring_shrink_if_due(s);
    h = s->ring.header;
    if (s->segments_from < s->segments_to && received_end(h) == end && end - applied <= h->ring_bytes / 2)
        overflow_drop(s, true);
}

bool spool_seek_back(struct spool *s, uint64_t offset)
{
    struct spool_header *h = s->ring.header;
    if (offset < statefile_load(&h->oldest) || offset > statefile_load(&h->ring_end))
        return false;
    if (offset < statefile_load(&h->applied))
        statefile_store(&h->applied, offset);
    return true;
}

uint64_t spool_received(const struct spool *s)
{
    return received_end(s->ring.header);
}

uint64_t spool_ring_end(const struct spool *s)
{
    return statefile_load(&s->ring.header->ring_end);
}

uint64_t spool_oldest(const struct spool *s)
{
    return statefile_load(&s->ring.header->oldest);
}

uint64_t spool_overflow_bytes(const struct spool *s)
{
    return received_end(s->ring.header) - statefile_load(&s->ring.header->ring_end);
}
