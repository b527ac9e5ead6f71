/* The list's records:  u32 bytes of the record | u32 db | i64 source | i64 target | u32 key, field | key | field
 *
 * The highest bit of db: the time is doubted. */
#include "worker/keys/put_off.h"

#include <string.h>

#include "common/ipc/statefile.h"

#define NOT_PUT_OFF UINT64_MAX
#define DOUBTED (UINT32_C(1) << 31) /* no server has so many databases */

struct record {
    uint32_t bytes, db;
    int64_t source_ms, target_ms;
    uint32_t key_bytes, field_bytes; /* UINT32_MAX: no field */
};

/* Returns the length in bytes of the record at `at`; 0: end of the list. */
static uint64_t read_record(const struct put_off_list *l, uint64_t at, struct put_off *p)
{
    struct record r;
    uint64_t end = statefile_load(l->end);
    if (at > end || end - at < sizeof r)
        return 0;
    memcpy(&r, l->bytes + at, sizeof r);
    bool has_field = r.field_bytes != UINT32_MAX;
    uint64_t needed = sizeof r + (uint64_t)r.key_bytes + (has_field ? r.field_bytes : 0);
    if (r.bytes != needed || needed > end - at)
        return 0;
    *p = (struct put_off){.db = r.db & ~DOUBTED,
                          .source_ms = r.source_ms,
                          .target_ms = r.target_ms,
                          .doubted = (r.db & DOUBTED) != 0};
    p->key = slice_of(l->bytes + at + sizeof r, r.key_bytes);
    if (has_field)
        p->field = slice_of(l->bytes + at + sizeof r + r.key_bytes, r.field_bytes);
    return needed;
}

void put_off_open(struct put_off_list *l)
{
    struct put_off p;
    uint64_t at = statefile_load(l->begin), bytes;
    for (; (bytes = read_record(l, at, &p)) != 0; at += bytes)
        times_set(&l->latest, deadlines_hash(p.db, p.key, p.field), at, p.target_ms);
}

bool put_off_add(struct put_off_list *l, const struct put_off *p)
{
    uint64_t at = statefile_load(l->end), bytes = sizeof(struct record) + p->key.len + p->field.len;
    struct record r = {(uint32_t)bytes,      p->db | (p->doubted ? DOUBTED : 0),
                       p->source_ms,         p->target_ms,
                       (uint32_t)p->key.len, p->field.data ? (uint32_t)p->field.len : UINT32_MAX};
    if (bytes > l->size || at > l->size - bytes)
        return false;
    memcpy(l->bytes + at, &r, sizeof r);
    memcpy(l->bytes + at + sizeof r, p->key.data, p->key.len);
    if (p->field.data)
        memcpy(l->bytes + at + sizeof r + p->key.len, p->field.data, p->field.len);
    statefile_store(l->end, at + bytes);
    times_set(&l->latest, deadlines_hash(p->db, p->key, p->field), at, p->target_ms);
    return true;
}

void put_off_forget(struct put_off_list *l, uint64_t hash)
{
    struct timed *last = times_find(&l->latest, hash);
    if (last)
        last->at = NOT_PUT_OFF;
}

bool put_off_doubted(const struct put_off_list *l, uint64_t hash)
{
    const struct timed *last = times_find(&l->latest, hash);
    struct put_off p;
    return last && last->at != NOT_PUT_OFF && read_record(l, last->at, &p) && p.doubted;
}

/* Whether to skip the record: its key is forgotten, or the target cannot distinguish its time from that of the key's
 * last record, which is used instead. */
static bool record_is_skipped(const struct timed *last, uint64_t at, int64_t target_ms)
{
    return last->at == NOT_PUT_OFF || (last->at != at && last->ms - target_ms <= PUT_OFF_SAME_MS &&
                                       target_ms - last->ms <= PUT_OFF_SAME_MS);
}

bool put_off_next(const struct put_off_list *l, uint64_t *position, struct put_off *p)
{
    uint64_t at = *position, begin = statefile_load(l->begin), bytes;
    if (at < begin)
        at = begin;
    while ((bytes = read_record(l, at, p)) != 0) {
        *position = at + bytes;
        const struct timed *last = times_find(&l->latest, deadlines_hash(p->db, p->key, p->field));
        p->last = last->at == at;
        if (!record_is_skipped(last, at, p->target_ms))
            return true;
        at += bytes;
    }
    return false;
}

void put_off_put_right(struct put_off_list *l, uint64_t position)
{
    if (position < statefile_load(l->end)) {
        statefile_store(l->begin, position);
        return;
    }
    statefile_store(l->begin, 0); /* first: a SIGKILL in between repeats corrections, which does no harm */
    statefile_store(l->end, 0);
    times_forget(&l->latest);
}
