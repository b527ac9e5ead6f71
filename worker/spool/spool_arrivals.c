/* When bytes were received: (stream offset, Unix ms) samples in the spool's header, for a restarted worker as well.
 *
 *   bytes from offset[i] on, up to offset[i + 1], were received at at_ms[i] or a little later
 *
 * At most one sample per ARRIVAL_STEP_MS. If there is no room, samples of bytes that the ring no longer has are
 * dropped, and samples close together for their age: those of the last seconds stay exact, older ones are off by less
 * than a hundredth of their age. A SIGKILL meanwhile leaves samples out of order, which a restarted worker drops. */
#include "worker/spool/spool_internal.h"

#include "common/base/clock.h"

enum { ARRIVAL_STEP_MS = 10 };

static uint64_t sample_offset(const struct spool_header *h, uint64_t i)
{
    return statefile_load(&h->arrivals[i].offset);
}

static int64_t sample_ms(const struct spool_header *h, uint64_t i)
{
    return (int64_t)statefile_load(&h->arrivals[i].at_ms);
}

static void sample_put(struct spool_header *h, uint64_t i, uint64_t offset, int64_t at_ms)
{
    statefile_store(&h->arrivals[i].offset, offset);
    statefile_store(&h->arrivals[i].at_ms, (uint64_t)at_ms);
}

static uint64_t sample_count(const struct spool_header *h)
{
    uint64_t n = statefile_load(&h->arrival_count);
    return n < SPOOL_ARRIVALS ? n : SPOOL_ARRIVALS;
}

/* Drops samples closer to their neighbours than a `part`th of their age; keeps the first and the last. Returns the
 * number kept. */
static uint64_t samples_thin_out(struct spool_header *h, uint64_t n, int64_t now_ms, int64_t part)
{
    uint64_t kept = 1;
    for (uint64_t i = 1; i < n; i++) {
        bool needed =
            i + 1 == n || sample_ms(h, i + 1) - sample_ms(h, kept - 1) > (now_ms - sample_ms(h, i)) / part;
        if (needed) {
            sample_put(h, kept, sample_offset(h, i), sample_ms(h, i));
            kept++;
        }
    }
    return kept;
}

static void samples_make_room(struct spool_header *h, int64_t now_ms)
{
    uint64_t n = sample_count(h), oldest = statefile_load(&h->oldest), gone = 0;
    while (gone + 1 < n && sample_offset(h, gone + 1) <= oldest)
        gone++;
    for (uint64_t i = gone; gone > 0 && i < n; i++)
        sample_put(h, i - gone, sample_offset(h, i), sample_ms(h, i));
    n -= gone;
    for (int64_t part = 512; n > SPOOL_ARRIVALS / 4 * 3 && part > 0; part /= 2)
        n = samples_thin_out(h, n, now_ms, part);
    statefile_store(&h->arrival_count, n < SPOOL_ARRIVALS ? n : SPOOL_ARRIVALS / 2);
}

void arrivals_note(struct spool_header *h, uint64_t offset, int64_t now_ms)
{
    uint64_t n = sample_count(h);
    if (n > 0 && now_ms >= sample_ms(h, n - 1) && now_ms - sample_ms(h, n - 1) < ARRIVAL_STEP_MS)
        return;
    if (n == SPOOL_ARRIVALS) {
        samples_make_room(h, now_ms);
        n = sample_count(h);
    }
    sample_put(h, n, offset, now_ms);
    statefile_store(&h->arrival_count, n + 1);
}

void arrivals_take_over(struct spool_header *h)
{
    uint64_t n = sample_count(h), kept = 0;
    for (uint64_t i = 0; i < n; i++)
        if (kept == 0 || sample_offset(h, i) > sample_offset(h, kept - 1)) {
            sample_put(h, kept, sample_offset(h, i), sample_ms(h, i));
            kept++;
        }
    statefile_store(&h->arrival_count, kept);
}

static bool sample_covers(const struct spool_header *h, uint64_t n, uint64_t i, uint64_t offset)
{
    return i < n && sample_offset(h, i) <= offset && (i + 1 == n || offset < sample_offset(h, i + 1));
}

int64_t spool_arrived_ms(struct spool *s, uint64_t offset)
{
    const struct spool_header *h = s->ring.header;
    uint64_t n = sample_count(h), from = 0, to = n;
    if (n == 0)
        return clock_unix_ms();
    for (uint64_t i = s->arrival_hint; i < s->arrival_hint + 2; i++)
        if (sample_covers(h, n, i, offset)) {
            s->arrival_hint = i;
            return sample_ms(h, i);
        }
    while (to - from > 1) {
        uint64_t middle = from + (to - from) / 2;
        if (sample_offset(h, middle) <= offset)
            from = middle;
        else
            to = middle;
    }
    s->arrival_hint = from;
    return sample_ms(h, from);
}
