/* When the bytes came: (stream offset, Unix ms) samples in the spool's header, so that a successor has them.
 *
 *   bytes from offset[i] on, up to offset[i + 1], came at at_ms[i] or a little later
 *
 * At most one sample each ARRIVAL_STEP_MS. When there is no room, what the ring no longer holds is forgotten,
 * and samples that are close together for their age: those of the last seconds stay exact, older ones are off
 * by less than a hundredth of their age. A SIGKILL in the middle of that leaves samples out of order, which a
 * successor leaves out. */
#include "worker/spool/spool_internal.h"

#include "common/base/clock.h"

enum { ARRIVAL_STEP_MS = 10 };

static uint64_t offset_of(const struct spool_header *h, uint64_t i)
{
    return statefile_load(&h->arrivals[i].offset);
}

static int64_t time_of(const struct spool_header *h, uint64_t i)
{
    return (int64_t)statefile_load(&h->arrivals[i].at_ms);
}

static void put(struct spool_header *h, uint64_t i, uint64_t offset, int64_t at_ms)
{
    statefile_store(&h->arrivals[i].offset, offset);
    statefile_store(&h->arrivals[i].at_ms, (uint64_t)at_ms);
}

static uint64_t count_of(const struct spool_header *h)
{
    uint64_t n = statefile_load(&h->arrival_count);
    return n < SPOOL_ARRIVALS ? n : SPOOL_ARRIVALS;
}

/* Leaves out what is closer to its neighbours than a `part`th of its age; the first and the last stay. */
static uint64_t thin_out(struct spool_header *h, uint64_t n, int64_t now_ms, int64_t part)
{
    uint64_t kept = 1;
    for (uint64_t i = 1; i < n; i++) {
        bool needed =
            i + 1 == n || time_of(h, i + 1) - time_of(h, kept - 1) > (now_ms - time_of(h, i)) / part;
        if (needed) {
            put(h, kept, offset_of(h, i), time_of(h, i));
            kept++;
        }
    }
    return kept;
}

static void make_room(struct spool_header *h, int64_t now_ms)
{
    uint64_t n = count_of(h), oldest = statefile_load(&h->oldest), gone = 0;
    while (gone + 1 < n && offset_of(h, gone + 1) <= oldest)
        gone++;
    for (uint64_t i = gone; gone > 0 && i < n; i++)
        put(h, i - gone, offset_of(h, i), time_of(h, i));
    n -= gone;
    for (int64_t part = 512; n > SPOOL_ARRIVALS / 4 * 3 && part > 0; part /= 2)
        n = thin_out(h, n, now_ms, part);
    statefile_store(&h->arrival_count, n < SPOOL_ARRIVALS ? n : SPOOL_ARRIVALS / 2);
}

void arrivals_note(struct spool_header *h, uint64_t offset, int64_t now_ms)
{
    uint64_t n = count_of(h);
    if (n > 0 && now_ms >= time_of(h, n - 1) && now_ms - time_of(h, n - 1) < ARRIVAL_STEP_MS)
        return;
    if (n == SPOOL_ARRIVALS) {
        make_room(h, now_ms);
        n = count_of(h);
    }
    put(h, n, offset, now_ms);
    statefile_store(&h->arrival_count, n + 1);
}

void arrivals_take_over(struct spool_header *h)
{
    uint64_t n = count_of(h), kept = 0;
    for (uint64_t i = 0; i < n; i++)
        if (kept == 0 || offset_of(h, i) > offset_of(h, kept - 1)) {
            put(h, kept, offset_of(h, i), time_of(h, i));
            kept++;
        }
    statefile_store(&h->arrival_count, kept);
}

static bool covers(const struct spool_header *h, uint64_t n, uint64_t i, uint64_t offset)
{
    return i < n && offset_of(h, i) <= offset && (i + 1 == n || offset < offset_of(h, i + 1));
}

int64_t spool_arrived_ms(struct spool *s, uint64_t offset)
{
    const struct spool_header *h = s->ring.header;
    uint64_t n = count_of(h), from = 0, to = n;
    if (n == 0)
        return clock_unix_ms();
    for (uint64_t i = s->arrival_hint; i < s->arrival_hint + 2; i++)
        if (covers(h, n, i, offset)) {
            s->arrival_hint = i;
            return time_of(h, i);
        }
    while (to - from > 1) {
        uint64_t middle = from + (to - from) / 2;
        if (offset_of(h, middle) <= offset)
            from = middle;
        else
            to = middle;
    }
    s->arrival_hint = from;
    return time_of(h, from);
}
