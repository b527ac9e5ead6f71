/* The ring file: created, mapped, checked, and replaced by one of another size. */
#include "worker/spool/spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log/log.h"

static const char ring_magic[8] = SPOOL_MAGIC;

/* The data begins, in the file and in memory, at a multiple of 2 MiB: Linux then maps many pages with one
 * fault, which makes the first lap of a ring on ext4 5 times cheaper (64 MiB: 24 ms instead of 120). */
#define HUGE_BYTES (UINT64_C(2) << 20)
#define DATA_AT SPOOL_DATA_AT
#define HEAD_BYTES (STATEFILE_HEADER_BYTES + SPOOL_STAGING_BYTES)
_Static_assert(DATA_AT == HUGE_BYTES && HEAD_BYTES <= DATA_AT,
               "header and staging buffer stand before the data");

static const struct spool_ring no_ring = {.fd = -1};

char *ring_path(const char *directory, uint32_t flow, const char *suffix)
{
    return statefile_path(directory, "flow-%u.ring%s", flow, suffix);
}

void ring_close(struct spool_ring *r)
{
    if (r->header)
        munmap(r->header, HEAD_BYTES);
    if (r->data)
        munmap(r->data, (size_t)r->bytes * 2);
    if (r->fd >= 0)
        close(r->fd);
    *r = no_ring;
}

static bool ring_map_data(struct spool_ring *r, uint64_t bytes)
{
    size_t one = (size_t)bytes, whole = one * 2 + HUGE_BYTES;
    uint8_t *area = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        return false;
    size_t before = (HUGE_BYTES - (uintptr_t)area % HUGE_BYTES) % HUGE_BYTES;
    uint8_t *at = area + before;
    if (before)
        munmap(area, before);
    if (before < HUGE_BYTES)
        munmap(at + one * 2, HUGE_BYTES - before);
    r->data = at;
    r->bytes = bytes;
    for (int i = 0; i < 2; i++)
        if (mmap(at + (size_t)i * one, one, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd,
                 (off_t)DATA_AT) == MAP_FAILED)
            return false;
    return true;
}

static bool ring_map_header(struct spool_ring *r)
{
    void *p = mmap(NULL, HEAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (p == MAP_FAILED)
        return false;
    r->header = p;
    r->staging = (uint8_t *)p + STATEFILE_HEADER_BYTES;
    return true;
}

/* False: the positions contradict each other, which no order of this program's stores can cause. */
static bool header_is_valid(const struct spool_header *h, uint64_t file_bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), stored = stored_end(h);
    uint64_t oldest = statefile_load(&h->oldest), applied = statefile_load(&h->applied),
             end = statefile_load(&h->ring_end);
    uint64_t staged_base = statefile_load(&h->staged_base), staged_end = statefile_load(&h->staged_end);
    if (file_bytes < DATA_AT || h->ring_bytes == 0 || h->ring_bytes % page ||
        h->ring_bytes > file_bytes - DATA_AT)
        return false;
    if (h->base_bytes == 0 || h->base_bytes % page || h->base_bytes > h->ring_bytes)
        return false;
    if (h->segment_bytes < SPOOL_SEGMENT_MIN_BYTES || statefile_load(&h->place) > SPOOL_PLACE_STAGING)
        return false;
    if (oldest > applied || applied > end || end - oldest > h->ring_bytes)
        return false;
    return staged_end <= stored || (staged_base <= stored && staged_end - staged_base <= SPOOL_STAGING_BYTES);
}

static bool ring_lock(struct spool_ring *r, const char *path, struct error *error)
{
    if (flock(r->fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    return error_set(error, ERROR_RETRY, "%s is in use by another process: waiting for its end", path);
}

static enum ring_found ring_open_checked(struct spool_ring *r, const struct spool_config *config, bool resume,
                                         const char *path, struct error *error)
{
    struct error failed = {0};
    struct stat st;
    r->fd = statefile_open(config->directory, path, O_RDWR, &failed);
    if (r->fd < 0) {
        if (failed.class == ERROR_RETRY)
            return RING_NONE;
        if (error)
            *error = failed;
        return RING_FAILED;
    }
    if (!ring_lock(r, path, error))
        return RING_FAILED;
    if (!resume || fstat(r->fd, &st) != 0 || (uint64_t)st.st_size < DATA_AT || !ring_map_header(r))
        return RING_NONE;
    if (memcmp(r->header->magic, ring_magic, sizeof ring_magic) != 0 || r->header->session != config->session)
        return RING_NONE;
    if (!statefile_is_of_this_boot(r->header->boot_id)) {
        log_warning("%s is from an earlier boot of this machine: starting without it", path);
        return RING_NONE;
    }
    if (!header_is_valid(r->header, (uint64_t)st.st_size)) {
        error_fatal(error, EX_DATAERR,
                    "%s: the positions in its header contradict each other; delete it, a full sync follows",
                    path);
        return RING_FAILED;
    }
    if (!ring_map_data(r, r->header->ring_bytes)) {
        statefile_error(error, config->directory, path, "map it", errno);
        return RING_FAILED;
    }
    return RING_FOUND;
}

enum ring_found ring_open(struct spool_ring *r, const struct spool_config *config, bool resume,
                          struct error *error)
{
    char *path = ring_path(config->directory, config->flow, "");
    *r = no_ring;
    enum ring_found found = ring_open_checked(r, config, resume, path, error);
    if (found == RING_FAILED)
        ring_close(r);
    free(path);
    return found;
}

static bool ring_create_at(struct spool_ring *r, const char *directory, const char *path,
                           const struct spool_header *marks, struct error *error)
{
    r->fd = statefile_open(directory, path, O_RDWR | O_CREAT | O_EXCL, error);
    if (r->fd < 0 || !ring_lock(r, path, error))
        return false;
    if (!statefile_allocate(r->fd, 0, DATA_AT + marks->ring_bytes, directory, path, error))
        return false;
    if (!ring_map_header(r) || !ring_map_data(r, marks->ring_bytes))
        return statefile_error(error, directory, path, "map it", errno);
    memcpy((void *)r->header, (const void *)marks, sizeof *marks);
    memcpy(r->header->magic, ring_magic, sizeof ring_magic);
    statefile_boot_id(r->header->boot_id);
    return true;
}

bool ring_create(struct spool_ring *r, const char *directory, uint32_t flow, const struct spool_header *marks,
                 struct error *error)
{
    char *path = ring_path(directory, flow, ".new");
    *r = no_ring;
    unlink(path); /* left by a process that died before ring_publish */
    bool ok = ring_create_at(r, directory, path, marks, error);
    if (!ok) {
        ring_close(r);
        unlink(path);
    }
    free(path);
    return ok;
}

bool ring_publish(const char *directory, uint32_t flow, struct error *error)
{
    char *from = ring_path(directory, flow, ".new"), *to = ring_path(directory, flow, "");
    bool ok = rename(from, to) == 0;
    if (!ok) {
        statefile_error(error, directory, to, "put it in place", errno);
        unlink(from);
    }
    free(from);
    free(to);
    return ok;
}

/* By pwrite(2), not through the mapping: saves a page fault for each page, most of which are not written again. */
static bool ring_write(struct spool_ring *to, uint64_t offset, const uint8_t *from, uint64_t bytes)
{
    while (bytes > 0) {
        uint64_t in_ring = offset % to->bytes, part = least(bytes, to->bytes - in_ring);
        ssize_t n = pwrite(to->fd, from, (size_t)part, (off_t)(DATA_AT + in_ring));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        offset += (uint64_t)n;
        from += n;
        bytes -= (uint64_t)n;
    }
    return true;
}

bool ring_resize(struct spool *s, uint64_t ring_bytes, uint64_t from, struct error *error)
{
    struct spool_ring *old = &s->ring, fresh;
    struct spool_header marks;
    uint64_t end = statefile_load(&old->header->ring_end);
    memcpy((void *)&marks, (const void *)old->header, sizeof marks);
    marks.ring_bytes = ring_bytes;
    statefile_store(&marks.oldest, from);
    if (!ring_create(&fresh, s->directory, s->flow, &marks, error))
        return false;
    if (received_end(old->header) > stored_end(old->header))
        memcpy(fresh.staging, old->staging, SPOOL_STAGING_BYTES);
    bool ok = ring_write(&fresh, from, ring_at(old, from), end - from);
    if (!ok) {
        char *path = ring_path(s->directory, s->flow, ".new");
        statefile_error(error, s->directory, path, "copy the ring to it", errno);
        unlink(path);
        free(path);
    }
    if (!ok || !ring_publish(s->directory, s->flow, error)) {
        ring_close(&fresh);
        return false;
    }
    log_debug("the spool's ring has %llu bytes now, had %llu", (unsigned long long)ring_bytes,
              (unsigned long long)old->bytes);
    ring_close(old);
    *old = fresh;
    return true;
}
