/* Copies a part of a dead worker's spool. */
#include "supervisor/flow/poison.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/ipc/spool_layout.h"

#define BEHIND_BYTES (UINT64_C(1) << 20)
#define MOST_BYTES (UINT64_C(16) << 20)
enum { PIECE_BYTES = 65536 };

static bool read_header(int fd, struct spool_header *h)
{
    return pread(fd, (void *)h, sizeof *h, 0) == (ssize_t)sizeof *h &&
           memcmp(h->magic, SPOOL_MAGIC, sizeof h->magic) == 0 && h->ring_bytes > 0;
}

/* *from: the first byte not applied. Returns the number of bytes to keep. */
static uint64_t choose_range(const struct spool_header *h, const struct cursor_marks *marks, uint64_t *from)
{
    uint64_t oldest = statefile_load(&h->oldest), end = statefile_load(&h->ring_end);
    uint64_t until = cursor_get(&marks->decoded_offset) + BEHIND_BYTES;
    *from = cursor_get(&marks->applied_offset);
    if (*from < oldest)
        *from = oldest;
    if (*from >= end)
        return 0;
    return least(least(until > *from ? until - *from : BEHIND_BYTES, end - *from), MOST_BYTES);
}

static bool copy_range(int ring, int out, const struct spool_header *h, uint64_t from, uint64_t bytes)
{
    static uint8_t piece[PIECE_BYTES];
    while (bytes) {
        uint64_t at = from % h->ring_bytes, n = least(least(bytes, sizeof piece), h->ring_bytes - at);
        ssize_t got = pread(ring, piece, (size_t)n, (off_t)(SPOOL_DATA_AT + at));
        if (got <= 0 || write(out, piece, (size_t)got) != got)
            return false;
        from += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return true;
}

char *poison_save(const char *directory, uint32_t flow, const struct cursor_marks *marks, struct error *error)
{
    struct spool_header h;
    uint64_t from;
    char *ring_path = statefile_path(directory, "flow-%u.ring", flow);
    char *path = statefile_path(directory, "flow-%u.poison", flow);
    int ring = statefile_open(directory, ring_path, O_RDONLY, error);
    int out = ring < 0 ? -1 : statefile_open(directory, path, O_WRONLY | O_CREAT | O_TRUNC, error);
    bool ok = out >= 0;
    if (ok && !read_header(ring, &h))
        ok = error_set(error, ERROR_RETRY, "%s: not a whole spool", ring_path);
    if (ok) {
        uint64_t bytes = choose_range(&h, marks, &from);
        if (!copy_range(ring, out, &h, from, bytes))
            ok = statefile_error(error, directory, path, "write to it", errno);
    }
    if (ring >= 0)
        close(ring);
    if (out >= 0)
        close(out);
    free(ring_path);
    if (ok)
        return path;
    free(path);
    return NULL;
}
