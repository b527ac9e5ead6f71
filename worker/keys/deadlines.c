/* The table, what is not kept there yet, and the list of what was put off. */
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
    RECENT_MIN = 1024,
    RECENT_MAX = 1 << 18,
    PAST_MS = 10 * 60 * 1000, /* so long ago by the stream's time, and the source has let it expire, too */
    UNKNOWN_MS = 3600 * 1000,
};

#define NOT_PUT_OFF UINT64_MAX
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

/* What the file does not have yet. */
struct recent {
    uint64_t hash; /* 0: free */
    uint64_t seq;
    int64_t at_ms;
};

struct latest {
    uint64_t hash; /* 0: free */
    uint64_t at;   /* in the list; NOT_PUT_OFF: it has another time, or none */
    int64_t target_ms;
};

struct deadlines {
    uint8_t *file;
    size_t file_bytes;
    struct header *header;
    _Atomic uint64_t *slots;
    uint64_t buckets;
    uint8_t *list;
    uint64_t list_bytes;
    int64_t stream_ms; /* where the stream is */
    struct recent *recent;
    size_t recent_size, recent_count; /* size: a power of two */
    struct latest *latest;            /* of each key in the list, its last record */
    size_t latest_size, latest_count; /* size: a power of two */
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
           statefile_load(&h->list_end) <= d->list_bytes;
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

static void know_list(struct deadlines *d);

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
    d->list_bytes = list_of(table_bytes);
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
    d->list = d->file + HEADER_BYTES + table_bytes;
    if (fresh || !is_usable(d, table_bytes) || !statefile_is_of_this_boot(d->header->boot_id))
        begin_anew(d, table_bytes, fresh);
    know_list(d);
    return d;
}

void deadlines_close(struct deadlines *d)
{
    if (!d)
        return;
    munmap(d->file, d->file_bytes);
    free(d->recent);
    free(d->latest);
    free(d);
}

void deadlines_remove_file(const char *directory, uint32_t flow)
{
    char *path = file_path(directory, flow);
    unlink(path);
    free(path);
}

/* ---- the table ---- */

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static uint64_t hash_bytes(uint64_t h, struct slice s)
{
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.data + i, sizeof word);
        h = mix(h, word);
    }
    uint64_t rest = 0;
    for (; i < s.len; i++)
        rest = rest << 8 | s.data[i];
    return mix(mix(h, rest), s.len);
}

uint64_t deadlines_hash(uint32_t db, struct slice key, struct slice field)
{
    uint64_t h = hash_bytes(mix(UINT64_C(0x2545F4914F6CDD1D), db), key);
    if (field.data)
        h = hash_bytes(h, field);
    h = mix(h, UINT64_C(0x5851F42D4C957F2D));
    return h ? h : 1;
}

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

static struct recent *recent_find(const struct deadlines *d, uint64_t hash)
{
    if (!d->recent_size)
        return NULL;
    size_t i = hash & (d->recent_size - 1);
    while (d->recent[i].hash && d->recent[i].hash != hash)
        i = (i + 1) & (d->recent_size - 1);
    return &d->recent[i];
}

static void recent_grow(struct deadlines *d)
{
    struct recent *old = d->recent;
    size_t size = d->recent_size;
    d->recent_size = size ? size * 2 : RECENT_MIN;
    d->recent = x_calloc(d->recent_size, sizeof *d->recent);
    for (size_t i = 0; i < size; i++)
        if (old[i].hash)
            *recent_find(d, old[i].hash) = old[i];
    free(old);
}

void deadlines_set(struct deadlines *d, uint64_t hash, uint64_t seq, int64_t at_ms, int64_t stream_ms)
{
    if (at_ms < 0 || (uint64_t)at_ms > TIME_MASK)
        at_ms = 0; /* in a hundred years */
    if (stream_ms)
        d->stream_ms = stream_ms;
    if (at_ms)
        statefile_store(&d->header->any, 1);
    if (d->recent_count >= RECENT_MAX)
        deadlines_keep(d, UINT64_MAX);
    if (d->recent_count * 2 >= d->recent_size)
        recent_grow(d);
    struct recent *r = recent_find(d, hash);
    d->recent_count += r->hash == 0;
    *r = (struct recent){hash, seq, at_ms};
}

int64_t deadlines_get(const struct deadlines *d, uint64_t hash)
{
    const struct recent *r = d->recent_count ? recent_find(d, hash) : NULL;
    if (r && r->hash)
        return r->at_ms;
    return table_get(d, hash);
}

bool deadlines_none(const struct deadlines *d)
{
    return !statefile_load(&d->header->any);
}

void deadlines_announce(struct deadlines *d, uint64_t seq)
{
    for (size_t i = 0; d->recent_count && i < d->recent_size; i++) {
        const struct recent *r = &d->recent[i];
        if (!r->hash || !r->at_ms || r->seq > seq)
            continue;
        int64_t known_ms = table_get(d, r->hash);
        if (!known_ms || r->at_ms < known_ms)
            table_set(d, r->hash, r->at_ms);
    }
}

void deadlines_keep(struct deadlines *d, uint64_t seq)
{
    struct recent *old = d->recent;
    size_t size = d->recent_size;
    if (!d->recent_count)
        return;
    d->recent = NULL;
    d->recent_size = d->recent_count = 0;
    for (size_t i = 0; i < size; i++) {
        if (!old[i].hash)
            continue;
        if (old[i].seq <= seq)
            table_set(d, old[i].hash, old[i].at_ms);
        else
            deadlines_set(d, old[i].hash, old[i].seq, old[i].at_ms, 0);
    }
    free(old);
}

void deadlines_forget(struct deadlines *d)
{
    free(d->recent);
    d->recent = NULL;
    d->recent_size = d->recent_count = 0;
}

/* ---- what was put off:  u32 bytes of the record | u32 db | i64 source | i64 target | u32 key, field | key |
 * field
 * ---- */

struct record {
    uint32_t bytes, db;
    int64_t source_ms, target_ms;
    uint32_t key_bytes, field_bytes; /* UINT32_MAX: no field */
};

static struct latest *latest_find(const struct deadlines *d, uint64_t hash)
{
    size_t i = hash & (d->latest_size - 1);
    while (d->latest[i].hash && d->latest[i].hash != hash)
        i = (i + 1) & (d->latest_size - 1);
    return &d->latest[i];
}

static void latest_grow(struct deadlines *d)
{
    struct latest *old = d->latest;
    size_t size = d->latest_size;
    d->latest_size = size ? size * 2 : RECENT_MIN;
    d->latest = x_calloc(d->latest_size, sizeof *d->latest);
    for (size_t i = 0; i < size; i++)
        if (old[i].hash)
            *latest_find(d, old[i].hash) = old[i];
    free(old);
}

static void latest_set(struct deadlines *d, uint64_t hash, uint64_t at, int64_t target_ms)
{
    if (d->latest_count * 2 >= d->latest_size)
        latest_grow(d);
    struct latest *l = latest_find(d, hash);
    d->latest_count += l->hash == 0;
    *l = (struct latest){hash, at, target_ms};
}

/* Returns the bytes of the record there; 0: the list is over. */
static uint64_t read_record(const struct deadlines *d, uint64_t at, struct put_off *p)
{
    struct record r;
    uint64_t end = statefile_load(&d->header->list_end);
    if (at > end || end - at < sizeof r)
        return 0;
    memcpy(&r, d->list + at, sizeof r);
    bool has_field = r.field_bytes != UINT32_MAX;
    uint64_t needed = sizeof r + (uint64_t)r.key_bytes + (has_field ? r.field_bytes : 0);
    if (r.bytes != needed || needed > end - at)
        return 0;
    *p = (struct put_off){.db = r.db, .source_ms = r.source_ms, .target_ms = r.target_ms};
    p->key = slice_of(d->list + at + sizeof r, r.key_bytes);
    if (has_field)
        p->field = slice_of(d->list + at + sizeof r + r.key_bytes, r.field_bytes);
    return needed;
}

static void know_list(struct deadlines *d)
{
    struct put_off p;
    uint64_t at = statefile_load(&d->header->list_begin), bytes;
    for (; (bytes = read_record(d, at, &p)) != 0; at += bytes)
        latest_set(d, deadlines_hash(p.db, p.key, p.field), at, p.target_ms);
}

bool deadlines_put_off(struct deadlines *d, const struct put_off *p)
{
    struct header *h = d->header;
    uint64_t at = statefile_load(&h->list_end), bytes = sizeof(struct record) + p->key.len + p->field.len;
    struct record r = {(uint32_t)bytes,      p->db,
                       p->source_ms,         p->target_ms,
                       (uint32_t)p->key.len, p->field.data ? (uint32_t)p->field.len : UINT32_MAX};
    if (bytes > d->list_bytes || at > d->list_bytes - bytes)
        return false;
    memcpy(d->list + at, &r, sizeof r);
    memcpy(d->list + at + sizeof r, p->key.data, p->key.len);
    if (p->field.len)
        memcpy(d->list + at + sizeof r + p->key.len, p->field.data, p->field.len);
    statefile_store(&h->list_end, at + bytes);
    latest_set(d, deadlines_hash(p->db, p->key, p->field), at, p->target_ms);
    return true;
}

void deadlines_not_put_off(struct deadlines *d, uint64_t hash)
{
    struct latest *l = d->latest_size ? latest_find(d, hash) : NULL;
    if (l && l->hash)
        l->at = NOT_PUT_OFF;
}

/* Two times that the target cannot tell apart: only the later of both was told. */
static bool is_hidden(const struct latest *l, uint64_t at, int64_t target_ms)
{
    return l->at == NOT_PUT_OFF || (l->at != at && l->target_ms - target_ms <= DEADLINES_SAME_MS &&
                                    target_ms - l->target_ms <= DEADLINES_SAME_MS);
}

bool deadlines_next_put_off(const struct deadlines *d, uint64_t *position, struct put_off *p)
{
    uint64_t at = *position, begin = statefile_load(&d->header->list_begin), bytes;
    if (at < begin)
        at = begin;
    while ((bytes = read_record(d, at, p)) != 0) {
        *position = at + bytes;
        const struct latest *l = latest_find(d, deadlines_hash(p->db, p->key, p->field));
        p->last = l->at == at;
        if (!is_hidden(l, at, p->target_ms))
            return true;
        at += bytes;
    }
    return false;
}

void deadlines_put_right(struct deadlines *d, uint64_t position)
{
    struct header *h = d->header;
    if (position < statefile_load(&h->list_end)) {
        statefile_store(&h->list_begin, position);
        return;
    }
    statefile_store(&h->list_begin, 0); /* first: those that are put right once more stay right */
    statefile_store(&h->list_end, 0);
    free(d->latest);
    d->latest = NULL;
    d->latest_size = d->latest_count = 0;
}
