/* The table, and what is not kept there yet. */
#include "worker/keys/deadlines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ipc/statefile.h"

enum {
    WAYS = 8,
    TIME_BITS = 42,
    HEADER_BYTES = 4096,
    TABLE_MIN_BYTES = 4096,
    TABLE_MAX_BYTES = 1 << 30, /* of a file that says more something else is wrong */
    RECENT_MAX = 1 << 18,
    PAST_MS = 10 * 60 * 1000, /* so long ago by the stream's time, and the source has let it expire, too */
    UNKNOWN_MS = 3600 * 1000,
};

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

static const char deadlines_magic[8] = "df2dln2";

struct header {
    char magic[8];
    char boot_id[STATEFILE_BOOT_BYTES];
    uint64_t table_bytes;
    _Atomic uint64_t any; /* something was set since it was made */
    _Atomic uint64_t unknown_from, unknown_to;
    _Atomic uint64_t list_begin, list_end; /* in the list */
};

struct deadlines {
    uint8_t *file;
    size_t file_bytes;
    struct header *header;
    _Atomic uint64_t *slots;
    uint64_t buckets;
    struct put_off_list list;
    int64_t stream_ms;   /* where the stream is */
    struct times recent; /* what the file does not have yet, by the entry that set it */
};

/* ---- the file ---- */

static char *file_path(const char *directory, uint32_t flow)
{
    return statefile_path(directory, "flow-%u.deadlines", flow);
}

/* One mapped at the size that the file itself names. */
static bool is_usable(const struct deadlines *d, uint64_t table_bytes)
{
    const struct header *h = d->header;
    return memcmp(h->magic, deadlines_magic, sizeof deadlines_magic) == 0 && h->table_bytes == table_bytes &&
           statefile_load(&h->list_begin) <= statefile_load(&h->list_end) &&
           statefile_load(&h->list_end) <= d->list.size;
}

static uint64_t list_of(uint64_t table_bytes)
{
    return table_bytes / 2;
}

static uint64_t file_of(uint64_t table_bytes)
{
    return HEADER_BYTES + table_bytes + list_of(table_bytes);
}

/* Of the table that a predecessor has left, which may have been told another size; 0: there is none. */
static uint64_t bytes_left(const char *path)
{
    struct header h;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    bool read_all = pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h && fstat(fd, &st) == 0;
    close(fd);
    bool known = read_all && memcmp(h.magic, deadlines_magic, sizeof deadlines_magic) == 0;
    if (!known || h.table_bytes < TABLE_MIN_BYTES || h.table_bytes > TABLE_MAX_BYTES ||
        (h.table_bytes & (h.table_bytes - 1)) || (uint64_t)st.st_size != file_of(h.table_bytes))
        return 0;
    return h.table_bytes;
}

static void begin_anew(struct deadlines *d, uint64_t table_bytes, bool fresh)
{
    struct header *h = d->header;
    memset(d->file, 0, HEADER_BYTES + (size_t)table_bytes);
    h->table_bytes = table_bytes;
    if (!fresh) {
        statefile_store(&h->unknown_from, 1);
        statefile_store(&h->unknown_to, (uint64_t)clock_unix_ms() + UNKNOWN_MS);
    }
    statefile_boot_id(h->boot_id);
    memcpy(h->magic, deadlines_magic, sizeof deadlines_magic);
}

static bool map_file(struct deadlines *d, const char *directory, const char *path, uint64_t bytes,
                     struct error *error)
{
    struct stat st;
    int fd = statefile_open(directory, path, O_RDWR | O_CREAT, error);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && ((uint64_t)st.st_size == bytes || ftruncate(fd, 0) == 0) &&
              ((uint64_t)st.st_size == bytes || statefile_allocate(fd, 0, bytes, directory, path, error));
    if (ok) {
        d->file = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ok = d->file != MAP_FAILED || statefile_error(error, directory, path, "map it", errno);
        d->file = ok ? d->file : NULL;
    }
    close(fd);
    return ok;
}

struct deadlines *deadlines_open(const char *directory, uint32_t flow, uint64_t bytes, bool fresh,
                                 struct error *error)
{
    uint64_t table_bytes = TABLE_MIN_BYTES;
    while (table_bytes * 2 <= bytes)
        table_bytes *= 2;
    struct deadlines *d = x_calloc(1, sizeof *d);
    char *path = file_path(directory, flow);
    uint64_t left = fresh ? 0 : bytes_left(path);
    table_bytes = left ? left : table_bytes;
    d->list.size = list_of(table_bytes);
    d->file_bytes = (size_t)file_of(table_bytes);
    bool ok = map_file(d, directory, path, d->file_bytes, error);
    free(path);
    if (!ok) {
        free(d);
        return NULL;
    }
    d->header = (void *)d->file;
    d->slots = (void *)(d->file + HEADER_BYTES);
    d->buckets = table_bytes / (WAYS * sizeof *d->slots);
    d->list.bytes = d->file + HEADER_BYTES + table_bytes;
    d->list.begin = &d->header->list_begin;
    d->list.end = &d->header->list_end;
    if (fresh || !is_usable(d, table_bytes) || !statefile_is_of_this_boot(d->header->boot_id))
        begin_anew(d, table_bytes, fresh);
    put_off_open(&d->list);
    return d;
}

void deadlines_close(struct deadlines *d)
{
    if (!d)
        return;
    munmap(d->file, d->file_bytes);
    times_forget(&d->recent);
    times_forget(&d->list.latest);
    free(d);
}

void deadlines_remove_file(const char *directory, uint32_t flow)
{
    char *path = file_path(directory, flow);
    unlink(path);
    free(path);
}

/* ---- the table ---- */

static _Atomic uint64_t *bucket_of(const struct deadlines *d, uint64_t hash)
{
    return d->slots + hash % d->buckets * WAYS;
}

static bool is_of(uint64_t slot, uint64_t hash)
{
    return slot && slot >> TIME_BITS == hash >> TIME_BITS;
}

static int64_t time_of(uint64_t slot)
{
    return (int64_t)(slot & TIME_MASK);
}

static int64_t table_get(const struct deadlines *d, uint64_t hash)
{
    const _Atomic uint64_t *bucket = bucket_of(d, hash);
    for (int i = 0; i < WAYS; i++)
        if (is_of(statefile_load(&bucket[i]), hash))
            return time_of(statefile_load(&bucket[i]));
    return 0;
}

/* One that the table does not have. */
static void note_unknown(struct deadlines *d, int64_t at_ms)
{
    struct header *h = d->header;
    uint64_t at = (uint64_t)at_ms;
    if (!statefile_load(&h->unknown_from) || at < statefile_load(&h->unknown_from))
        statefile_store(&h->unknown_from, at);
    if (at > statefile_load(&h->unknown_to))
        statefile_store(&h->unknown_to, at);
}

static void table_set(struct deadlines *d, uint64_t hash, int64_t at_ms)
{
    int64_t stream_ms = d->stream_ms;
    _Atomic uint64_t *bucket = bucket_of(d, hash), *into = NULL;
    uint64_t value = (hash >> TIME_BITS) << TIME_BITS | ((uint64_t)at_ms & TIME_MASK);
    for (int i = 0; i < WAYS && !into; i++)
        if (is_of(statefile_load(&bucket[i]), hash))
            into = &bucket[i];
    if (!into && at_ms == 0)
        return;
    for (int i = 0; i < WAYS && !into; i++)
        if (!statefile_load(&bucket[i]) || time_of(statefile_load(&bucket[i])) < stream_ms - PAST_MS)
            into = &bucket[i];
    for (int i = 0, furthest = 0; i < WAYS && !into; i++) {
        if (time_of(statefile_load(&bucket[i])) > time_of(statefile_load(&bucket[furthest])))
            furthest = i;
        if (i + 1 < WAYS)
            continue;
        int64_t last_ms = time_of(statefile_load(&bucket[furthest]));
        note_unknown(d, last_ms > at_ms ? last_ms : at_ms);
        if (last_ms <= at_ms)
            return;
        into = &bucket[furthest];
    }
    if (into)
        statefile_store(into, at_ms ? value : 0);
    if (statefile_load(&d->header->unknown_to) &&
        (int64_t)statefile_load(&d->header->unknown_to) < stream_ms - PAST_MS) {
        statefile_store(&d->header->unknown_from, 0);
        statefile_store(&d->header->unknown_to, 0);
    }
}

bool deadlines_unknown(const struct deadlines *d, int64_t from_ms, int64_t to_ms)
{
    int64_t from = (int64_t)statefile_load(&d->header->unknown_from),
            to = (int64_t)statefile_load(&d->header->unknown_to);
    return to != 0 && from <= to_ms && to >= from_ms;
}

/* ---- what is not there yet ---- */

void deadlines_set(struct deadlines *d, uint64_t hash, uint64_t seq, int64_t at_ms, int64_t stream_ms)
{
    if (at_ms < 0 || (uint64_t)at_ms > TIME_MASK)
        at_ms = 0; /* in a hundred years */
    if (stream_ms)
        d->stream_ms = stream_ms;
    if (at_ms)
        statefile_store(&d->header->any, 1);
    if (d->recent.count >= RECENT_MAX)
        deadlines_keep(d, UINT64_MAX);
    times_set(&d->recent, hash, seq, at_ms);
}

int64_t deadlines_get(const struct deadlines *d, uint64_t hash)
{
    const struct timed *r = times_find(&d->recent, hash);
    return r ? r->ms : table_get(d, hash);
}

bool deadlines_none(const struct deadlines *d)
{
    return !statefile_load(&d->header->any);
}

void deadlines_announce(struct deadlines *d, uint64_t seq)
{
    for (size_t i = 0; i < d->recent.size; i++) {
        const struct timed *r = &d->recent.list[i];
        if (!r->hash || !r->ms || r->at > seq)
            continue;
        int64_t known_ms = table_get(d, r->hash);
        if (!known_ms || r->ms < known_ms)
            table_set(d, r->hash, r->ms);
    }
}

void deadlines_keep(struct deadlines *d, uint64_t seq)
{
    struct times old = d->recent;
    d->recent = (struct times){0};
    for (size_t i = 0; i < old.size; i++) {
        const struct timed *r = &old.list[i];
        if (r->hash && r->at <= seq)
            table_set(d, r->hash, r->ms);
        else if (r->hash)
            deadlines_set(d, r->hash, r->at, r->ms, 0);
    }
    times_forget(&old);
}

void deadlines_forget(struct deadlines *d)
{
    times_forget(&d->recent);
}

struct put_off_list *deadlines_list(struct deadlines *d)
{
    return &d->list;
}
