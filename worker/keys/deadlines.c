/* The table in the file, and the times in memory that are not in the table yet. */
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
    TABLE_MAX_BYTES = 1 << 30, /* a file with more is damaged */
    RECENT_MAX = 1 << 18,
    PAST_MS = 10 * 60 * 1000, /* so long before the stream's time a key has expired on the source, too */
    UNKNOWN_MS = 3600 * 1000,
};

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

static const char deadlines_magic[8] = "df2dln2";

struct header {
    char magic[8];
    char boot_id[STATEFILE_BOOT_BYTES];
    uint64_t table_bytes;
    _Atomic uint64_t any; /* not 0: a time was set since the file was created */
    _Atomic uint64_t unknown_from, unknown_to;
    _Atomic uint64_t list_begin, list_end; /* in the list */
    _Atomic uint64_t lost_to; /* the entry up to which the target has lost what it had; 0: none */
};

struct deadlines {
    uint8_t *file;
    size_t file_bytes;
    struct header *header;
    _Atomic uint64_t *slots;
    uint64_t buckets;
    struct put_off_list list;
    int64_t stream_ms;   /* receipt of the newest entry, Unix ms */
    struct times recent; /* times that are not in the file; at: the entry that set them */
};

/* ---- the file ---- */

static char *file_path(const char *directory, uint32_t flow)
{
    return statefile_path(directory, "flow-%u.deadlines", flow);
}

/* Whether the mapped file is of this version and boot, and was mapped at the size in its header. */
static bool table_is_usable(const struct deadlines *d, uint64_t table_bytes)
{
    const struct header *h = d->header;
    return memcmp(h->magic, deadlines_magic, sizeof deadlines_magic) == 0 && h->table_bytes == table_bytes &&
           statefile_load(&h->list_begin) <= statefile_load(&h->list_end) &&
           statefile_load(&h->list_end) <= d->list.size;
}

static uint64_t list_bytes_for(uint64_t table_bytes)
{
    return table_bytes / 2;
}

static uint64_t file_bytes_for(uint64_t table_bytes)
{
    return HEADER_BYTES + table_bytes + list_bytes_for(table_bytes);
}

/* Bytes of the table in the existing file, which may differ from the configured size; 0: no file. */
static uint64_t existing_table_bytes(const char *path)
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
        (h.table_bytes & (h.table_bytes - 1)) || (uint64_t)st.st_size != file_bytes_for(h.table_bytes))
        return 0;
    return h.table_bytes;
}

static void table_reset(struct deadlines *d, uint64_t table_bytes, bool fresh)
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

static bool table_map(struct deadlines *d, const char *directory, const char *path, uint64_t bytes,
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
    uint64_t left = fresh ? 0 : existing_table_bytes(path);
    table_bytes = left ? left : table_bytes;
    d->list.size = list_bytes_for(table_bytes);
    d->file_bytes = (size_t)file_bytes_for(table_bytes);
    bool ok = table_map(d, directory, path, d->file_bytes, error);
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
    if (fresh || !table_is_usable(d, table_bytes) || !statefile_is_of_this_boot(d->header->boot_id))
        table_reset(d, table_bytes, fresh);
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

static bool slot_has_hash(uint64_t slot, uint64_t hash)
{
    return slot && slot >> TIME_BITS == hash >> TIME_BITS;
}

static int64_t slot_time(uint64_t slot)
{
    return (int64_t)(slot & TIME_MASK);
}

static int64_t table_get(const struct deadlines *d, uint64_t hash)
{
    const _Atomic uint64_t *bucket = bucket_of(d, hash);
    for (int i = 0; i < WAYS; i++)
        if (slot_has_hash(statefile_load(&bucket[i]), hash))
            return slot_time(statefile_load(&bucket[i]));
    return 0;
}

/* A time that does not fit into the table. */
static void note_unknown_time(struct deadlines *d, int64_t at_ms)
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
        if (slot_has_hash(statefile_load(&bucket[i]), hash))
            into = &bucket[i];
    if (!into && at_ms == 0)
        return;
    for (int i = 0; i < WAYS && !into; i++)
        if (!statefile_load(&bucket[i]) || slot_time(statefile_load(&bucket[i])) < stream_ms - PAST_MS)
            into = &bucket[i];
    for (int i = 0, furthest = 0; i < WAYS && !into; i++) {
        if (slot_time(statefile_load(&bucket[i])) > slot_time(statefile_load(&bucket[furthest])))
            furthest = i;
        if (i + 1 < WAYS)
            continue;
        int64_t last_ms = slot_time(statefile_load(&bucket[furthest]));
        note_unknown_time(d, last_ms > at_ms ? last_ms : at_ms);
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

/* ---- times not in the table yet ---- */

void deadlines_set(struct deadlines *d, uint64_t hash, uint64_t seq, int64_t at_ms, int64_t stream_ms)
{
    if (at_ms < 0 || (uint64_t)at_ms > TIME_MASK)
        at_ms = 0; /* does not fit into a slot: beyond the year 2100 */
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

void deadlines_set_lost(struct deadlines *d, uint64_t seq)
{
    statefile_store(&d->header->lost_to, seq);
}

uint64_t deadlines_lost(const struct deadlines *d)
{
    return statefile_load(&d->header->lost_to);
}

struct put_off_list *deadlines_list(struct deadlines *d)
{
    return &d->list;
}
