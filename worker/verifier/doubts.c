/* A hash table with chains, and a binary heap by due_ms. */
#include "worker/verifier/doubts.h"

#include <stdlib.h>

#include "common/base/crc.h"

enum { BUCKETS = 1 << 14 };

struct doubts {
    struct doubt *buckets[BUCKETS];
    struct doubt **heap;
    size_t heap_count, heap_size, count, bytes;
};

struct doubts *doubts_new(void)
{
    return x_calloc(1, sizeof(struct doubts));
}

static void free_doubt(struct doubt *k)
{
    free((void *)(uintptr_t)k->key.data);
    free(k);
}

void doubts_free(struct doubts *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct doubt *k = d->buckets[i], *next; k; k = next) {
            next = k->in_bucket;
            free_doubt(k);
        }
    free(d->heap);
    free(d);
}

/* ---- the heap ---- */

static void place_at(struct doubts *d, struct doubt *k, size_t place)
{
    d->heap[place] = k;
    k->place = place;
}

static void sift_up(struct doubts *d, struct doubt *k, size_t place)
{
    while (place && d->heap[(place - 1) / 2]->due_ms > k->due_ms) {
        place_at(d, d->heap[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    place_at(d, k, place);
}

static void sift_down(struct doubts *d, struct doubt *k, size_t place)
{
    for (size_t child; (child = place * 2 + 1) < d->heap_count; place = child) {
        if (child + 1 < d->heap_count && d->heap[child + 1]->due_ms < d->heap[child]->due_ms)
            child++;
        if (d->heap[child]->due_ms >= k->due_ms)
            break;
        place_at(d, d->heap[child], place);
    }
    place_at(d, k, place);
}

static void heap_add(struct doubts *d, struct doubt *k)
{
    if (d->heap_count == d->heap_size) {
        d->heap_size = d->heap_size ? d->heap_size * 2 : 256;
        d->heap = x_realloc(d->heap, d->heap_size * sizeof(struct doubt *));
    }
    sift_up(d, k, d->heap_count++);
}

/* ---- the set ---- */

struct doubt *doubts_add(struct doubts *d, uint32_t db, struct slice key)
{
    uint64_t hash = crc64(db, key.data, key.len);
    struct doubt **bucket = &d->buckets[hash % BUCKETS];
    for (struct doubt *k = *bucket; k; k = k->in_bucket)
        if (k->hash == hash && k->db == db && slice_eq(k->key, key))
            return NULL;
    struct doubt *k = x_calloc(1, sizeof *k);
    uint8_t *bytes = x_malloc(key.len + 1);
    if (key.len)
        memcpy(bytes, key.data, key.len);
    k->db = db;
    k->key = slice_of(bytes, key.len);
    k->hash = hash;
    k->in_bucket = *bucket;
    *bucket = k;
    d->count++;
    d->bytes += key.len;
    heap_add(d, k);
    return k;
}

size_t doubts_count(const struct doubts *d)
{
    return d->count;
}

bool doubts_are_enough(const struct doubts *d)
{
    return d->count >= DOUBTS_ENOUGH || d->bytes >= DOUBTS_ENOUGH_BYTES;
}

struct doubt *doubts_first(const struct doubts *d)
{
    return d->heap_count ? d->heap[0] : NULL;
}

void doubts_take(struct doubts *d, struct doubt *k)
{
    size_t place = k->place;
    struct doubt *last = d->heap[--d->heap_count];
    k->place = SIZE_MAX;
    if (last == k)
        return;
    if (place && d->heap[(place - 1) / 2]->due_ms > last->due_ms)
        sift_up(d, last, place);
    else
        sift_down(d, last, place);
}

void doubts_put_back(struct doubts *d, struct doubt *k, uint64_t due_ms)
{
    k->due_ms = due_ms;
    heap_add(d, k);
}

void doubts_settle(struct doubts *d, struct doubt *k)
{
    struct doubt **at = &d->buckets[k->hash % BUCKETS];
    while (*at != k)
        at = &(*at)->in_bucket;
    *at = k->in_bucket;
    d->count--;
    d->bytes -= k->key.len;
    free_doubt(k);
}

void doubts_each(const struct doubts *d, void (*tell)(void *arg, const struct doubt *k), void *arg)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct doubt *k = d->buckets[i]; k; k = k->in_bucket)
            tell(arg, k);
}
