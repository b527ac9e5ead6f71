/* Adds elements to a digest, of a value or a piece of it, and compares two digests. */
#include "worker/compare/digest.h"

#include <stdlib.h>

void digest_free(struct digest *d)
{
    buf_free(&d->times);
    *d = (struct digest){0};
}

/* ---- elements ---- */

static void put_list(struct digest_pieces *p, struct slice item)
{
    struct hasher h = hash_begin(DIGEST_LIST);
    hash_bytes(&h, item);
    p->d->parts[DIGEST_ENTRIES] += hash_mix(h.a ^ h.b);
    hash_bytes(&p->order, item);
    p->d->count++;
}

static void put_set(struct digest_pieces *p, struct slice member)
{
    struct hasher h = hash_begin(DIGEST_SET);
    hash_bytes(&h, member);
    hash_add(p->d->hash, &h);
    p->d->count++;
}

static void put_zset(struct digest_pieces *p, struct slice member, double score)
{
    struct hasher h = hash_begin(DIGEST_ZSET);
    hash_bytes(&h, member);
    hash_double(&h, score);
    hash_add(p->d->hash, &h);
    p->d->count++;
}

static void put_hash(struct digest_pieces *p, struct slice field, struct slice value, int64_t expire_ms)
{
    struct hasher h = hash_begin(DIGEST_HASH);
    if (expire_ms > 0 && expire_ms <= p->now_ms)
        return;
    hash_bytes(&h, field);
    if (expire_ms > 0 && p->d->times.len / sizeof(struct digest_time) == DIGEST_TIMES_MAX) {
        buf_free(&p->d->times);
        p->d->times_unknown = true;
    }
    if (expire_ms > 0 && !p->d->times_unknown) {
        struct digest_time time = {hash_mix(h.a ^ h.b), expire_ms};
        buf_put(&p->d->times, &time, sizeof time);
    }
    hash_bytes(&h, value);
    hash_add(p->d->hash, &h);
    p->d->count++;
}

/* ---- a value in pieces ---- */

void digest_pieces_begin(struct digest_pieces *p, struct digest *d, enum digest_kind kind, int64_t now_ms)
{
    digest_free(d);
    d->kind = kind;
    *p = (struct digest_pieces){.d = d, .order = hash_begin(kind), .now_ms = now_ms};
}

void digest_pieces_text(struct digest_pieces *p, struct slice text)
{
    hash_bytes(&p->order, text);
    p->d->count += text.len;
}

void digest_pieces_elements(struct digest_pieces *p, enum element_class class, const struct element *e,
                            size_t n)
{
    for (size_t i = 0; i < n; i++)
        switch (class) {
        case ELEMENT_LIST:
            put_list(p, e[i].a);
            break;
        case ELEMENT_SET: /* Redis has no times to live of members */
            if (e[i].expire_ms <= 0 || e[i].expire_ms > p->now_ms)
                put_set(p, e[i].a);
            break;
        case ELEMENT_HASH:
            put_hash(p, e[i].a, e[i].b, e[i].expire_ms);
            break;
        default:
            put_zset(p, e[i].a, e[i].score);
        }
}

static int by_field(const void *a, const void *b)
{
    const struct digest_time *x = a, *y = b;
    if (x->field != y->field)
        return x->field < y->field ? -1 : 1;
    return (x->expire_ms > y->expire_ms) - (x->expire_ms < y->expire_ms);
}

void digest_sort_times(struct digest *d)
{
    if (d->times.len)
        qsort(d->times.data, d->times.len / sizeof(struct digest_time), sizeof(struct digest_time), by_field);
}

void digest_pieces_end(struct digest_pieces *p)
{
    struct digest *d = p->d;
    if (d->kind == DIGEST_STRING || d->kind == DIGEST_LIST)
        hash_add(d->hash, &p->order);
    else if (d->count == 0 && d->kind != DIGEST_FOREIGN)
        d->kind = DIGEST_NOTHING;
    digest_sort_times(d);
}

/* ---- equal or not ---- */

static bool same_times(const struct digest *a, const struct digest *b, int64_t tolerance_ms)
{
    size_t n = a->times.len / sizeof(struct digest_time);
    if (a->times_unknown || b->times_unknown)
        return true;
    if (a->times.len != b->times.len)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct digest_time x, y;
        memcpy(&x, a->times.data + i * sizeof x, sizeof x);
        memcpy(&y, b->times.data + i * sizeof y, sizeof y);
        int64_t apart;
        if (x.field != y.field || __builtin_sub_overflow(x.expire_ms, y.expire_ms, &apart) ||
            apart > tolerance_ms || apart < -tolerance_ms)
            return false;
    }
    return true;
}

bool digest_equal(const struct digest *a, const struct digest *b, int64_t tolerance_ms)
{
    if (a->kind == DIGEST_FOREIGN || a->kind != b->kind)
        return false;
    if (a->kind == DIGEST_NOTHING)
        return true;
    return a->count == b->count && a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1] &&
           same_times(a, b, tolerance_ms);
}

static enum verify_kind stream_difference(const struct digest *source, const struct digest *target)
{
    if (source->count != target->count || source->parts[DIGEST_ENTRIES] != target->parts[DIGEST_ENTRIES])
        return VERIFY_ENTRY;
    return source->parts[DIGEST_GROUPS] != target->parts[DIGEST_GROUPS] ? VERIFY_GROUP : VERIFY_PENDING_ENTRY;
}

enum verify_kind digest_difference(const struct digest *source, const struct digest *target,
                                   int64_t tolerance_ms)
{
    bool same_hash = source->hash[0] == target->hash[0] && source->hash[1] == target->hash[1];
    if (source->kind == DIGEST_NOTHING || target->kind == DIGEST_NOTHING)
        return source->kind == DIGEST_NOTHING ? VERIFY_EXTRA : VERIFY_MISSING;
    if (source->kind != target->kind)
        return VERIFY_TYPE;
    if (same_hash && source->count == target->count)
        return same_times(source, target, tolerance_ms) ? VERIFY_TTL : VERIFY_FIELD_TTL;
    switch (source->kind) {
    case DIGEST_LIST:
        return source->count == target->count &&
                       source->parts[DIGEST_ENTRIES] == target->parts[DIGEST_ENTRIES]
                   ? VERIFY_ORDER
                   : VERIFY_ELEMENT;
    case DIGEST_SET:
    case DIGEST_HASH:
    case DIGEST_ZSET:
        return VERIFY_ELEMENT;
    case DIGEST_STREAM:
        return stream_difference(source, target);
    default:
        return VERIFY_VALUE;
    }
}
