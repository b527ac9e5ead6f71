/* The overflow: segment files for bytes that do not fit into the ring, written and read in order.
 *
 * The place of a byte follows from its stream offset, so the positions in the header are all the state of the segments.
 * A restarted worker may write again what the dead one has written. */
#include "worker/spool/spool_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static const struct spool_segment no_segment = {.fd = -1};

static char *segment_path(const char *directory, uint32_t flow, uint64_t index)
{
    return statefile_path(directory, "flow-%u.%04llu.spool", flow, (unsigned long long)index);
}

static void segment_close(struct spool_segment *g)
{
    if (g->fd >= 0)
        close(g->fd);
    *g = no_segment;
}

static void segment_unlink(struct spool *s, uint64_t index)
{
    if (s->writing.index == index)
        segment_close(&s->writing);
    if (s->reading.index == index)
        segment_close(&s->reading);
    char *path = segment_path(s->directory, s->flow, index);
    unlink(path);
    free(path);
}

/* Opens the segment of `offset`, with space allocated to its end; repeating the allocation after a restart is free. */
static bool segment_for_writing(struct spool *s, uint64_t offset, struct error *error)
{
    uint64_t bytes = s->ring.header->segment_bytes, index = offset / bytes, at = offset % bytes;
    if (s->writing.fd >= 0 && s->writing.index == index)
        return true;
    segment_close(&s->writing);
    overflow_drop(s, false);
    char *path = segment_path(s->directory, s->flow, index);
    int fd = statefile_open(s->directory, path, O_RDWR | O_CREAT, error);
    bool ok = fd >= 0 && statefile_allocate(fd, at, bytes - at, s->directory, path, error);
    if (fd >= 0) {
        if (s->segments_from == s->segments_to)
            s->segments_from = index;
        s->segments_to = index + 1;
    }
    if (ok)
        s->writing = (struct spool_segment){.fd = fd, .index = index};
    else if (fd >= 0)
        close(fd);
    free(path);
    return ok;
}

/* The contents of an overflow file are lost. A missing state directory needs an operator; after any other error a full
 * sync restores the bytes. */
static bool segment_lost(const struct error *why, struct error *error)
{
    if (why->class == ERROR_FATAL && why->exit_code == EX_CANTCREAT)
        return error_fatal(error, EX_CANTCREAT, "%s", why->text);
    return error_set(error, ERROR_REDIRECT, "%.400s (its contents are lost: a full sync is needed)",
                     why->text);
}

static bool segment_for_reading(struct spool *s, uint64_t index, struct error *error)
{
    if (s->reading.fd >= 0 && s->reading.index == index)
        return true;
    segment_close(&s->reading);
    char *path = segment_path(s->directory, s->flow, index);
    struct error failed = {0};
    int fd = statefile_open(s->directory, path, O_RDONLY, &failed);
    free(path);
    if (fd < 0)
        return segment_lost(&failed, error);
    s->reading = (struct spool_segment){.fd = fd, .index = index};
    return true;
}

static bool segment_failed(struct spool *s, uint64_t index, const char *doing, int errnum,
                           struct error *error)
{
    char *path = segment_path(s->directory, s->flow, index);
    statefile_error(error, s->directory, path, doing, errnum);
    free(path);
    return false;
}

enum spool_read overflow_begin(struct spool *s, uint8_t **at, uint64_t *room, struct error *error)
{
    struct spool_header *h = s->ring.header;
    struct error failed = {0};
    uint64_t end = stored_end(h), used = end - statefile_load(&h->ring_end);
    if (used >= s->limit_bytes) {
        error_set(
            error, ERROR_RETRY,
            "the ring is full and the overflow has %llu bytes of at most %llu (--spool-limit); raise the "
            "limit or make the target faster",
            (unsigned long long)used, (unsigned long long)s->limit_bytes);
        return SPOOL_READ_LIMIT;
    }
    if (!segment_for_writing(s, end, &failed)) {
        if (error)
            *error = failed;
        return failed.class == ERROR_RETRY ? SPOOL_READ_LIMIT : SPOOL_READ_ERROR;
    }
    *room = least(SPOOL_STAGING_BYTES, s->limit_bytes - used);
    *room = least(*room, h->segment_bytes - end % h->segment_bytes);
    *at = s->ring.staging;
    statefile_store(&h->staged_base, end);
    statefile_store(&h->place, SPOOL_PLACE_STAGING);
    return SPOOL_READ_SOME;
}

bool overflow_flush(struct spool *s, struct error *error)
{
    struct spool_header *h = s->ring.header;
    uint64_t at = stored_end(h), end = statefile_load(&h->staged_end);
    if (end <= at)
        return true;
    while (at < end) {
        if (!segment_for_writing(s, at, error))
            return false;
        const uint8_t *from = s->ring.staging + (at - statefile_load(&h->staged_base));
        uint64_t bytes = least(end - at, h->segment_bytes - at % h->segment_bytes);
        ssize_t n = pwrite(s->writing.fd, from, (size_t)bytes, (off_t)(at % h->segment_bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return segment_failed(s, s->writing.index, "write to it", n < 0 ? errno : ENOSPC, error);
        at += (uint64_t)n;
    }
    statefile_store(&h->overflow_end, end);
    return true;
}

static int segment_take(struct spool *s, uint64_t at, uint64_t bytes, struct error *error)
{
    struct spool_header *h = s->ring.header;
    uint64_t index = at / h->segment_bytes, in_segment = at % h->segment_bytes;
    if (!segment_for_reading(s, index, error))
        return -1;
    bytes = least(bytes, h->segment_bytes - in_segment);
    ring_give_up(h, at + bytes);
    ssize_t n;
    do
        n = pread(s->reading.fd, ring_at(&s->ring, at), (size_t)bytes, (off_t)in_segment);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        struct error failed = {0};
        segment_failed(s, index, n < 0 ? "read from it" : "read past its end, it was truncated",
                       n < 0 ? errno : EIO, &failed);
        segment_lost(&failed, error);
        return -1;
    }
    statefile_store(&h->ring_end, at + (uint64_t)n);
    overflow_drop(s, false);
    return 1;
}

int overflow_take(struct spool *s, uint64_t room, struct error *error)
{
    struct spool_header *h = s->ring.header;
    uint64_t at = statefile_load(&h->ring_end), stored = statefile_load(&h->overflow_end),
             staged = statefile_load(&h->staged_end);
    if (room == 0)
        return 0;
    if (at < stored)
        return segment_take(s, at, least(room, stored - at), error);
    if (at >= staged)
        return 0;
    uint64_t bytes = least(room, staged - at);
    ring_give_up(h, at + bytes);
    memcpy(ring_at(&s->ring, at), s->ring.staging + (at - statefile_load(&h->staged_base)), (size_t)bytes);
    statefile_store(&h->ring_end, at + bytes);
    return 1;
}

void overflow_drop(struct spool *s, bool all)
{
    const struct spool_header *h = s->ring.header;
    uint64_t needed_from = statefile_load(&h->ring_end) / h->segment_bytes;
    while (s->segments_from < s->segments_to && (all || s->segments_from < needed_from))
        segment_unlink(s, s->segments_from++);
}

/* flow-N.<number>.spool */
static bool segment_number(const char *name, uint32_t flow, uint64_t *index)
{
    char head[32];
    int head_len = snprintf(head, sizeof head, "flow-%u.", flow);
    size_t len = strlen(name), tail_len = sizeof ".spool" - 1;
    if (len <= (size_t)head_len + tail_len || strncmp(name, head, (size_t)head_len) != 0 ||
        strcmp(name + len - tail_len, ".spool") != 0)
        return false;
    return slice_to_u64(slice_of(name + head_len, len - (size_t)head_len - tail_len), index);
}

static void each_segment(const char *directory, uint32_t flow,
                         void (*found)(void *arg, const char *path, uint64_t index), void *arg)
{
    DIR *d = opendir(directory);
    if (!d)
        return;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        uint64_t index;
        if (!segment_number(e->d_name, flow, &index))
            continue;
        char *path = segment_path(directory, flow, index);
        found(arg, path, index);
        free(path);
    }
    closedir(d);
}

static void segment_remove_unused(void *arg, const char *path, uint64_t index)
{
    struct spool *s = arg;
    const struct spool_header *h = s->ring.header;
    uint64_t from = statefile_load(&h->ring_end), to = statefile_load(&h->overflow_end);
    if (from >= to || index < from / h->segment_bytes || index > (to - 1) / h->segment_bytes)
        unlink(path);
}

void overflow_find(struct spool *s)
{
    const struct spool_header *h = s->ring.header;
    uint64_t from = statefile_load(&h->ring_end), to = statefile_load(&h->overflow_end);
    s->writing = s->reading = no_segment;
    s->segments_from = s->segments_to = 0;
    if (from < to) {
        s->segments_from = from / h->segment_bytes;
        s->segments_to = (to - 1) / h->segment_bytes + 1;
    }
    each_segment(s->directory, s->flow, segment_remove_unused, s);
}

static void segment_remove(void *arg, const char *path, uint64_t index)
{
    (void)arg;
    (void)index;
    unlink(path);
}

void overflow_remove_all(const char *directory, uint32_t flow)
{
    each_segment(directory, flow, segment_remove, NULL);
}

void overflow_close(struct spool *s)
{
    segment_close(&s->writing);
    segment_close(&s->reading);
}
