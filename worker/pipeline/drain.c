/* When a drain begins, and what it waits for. */
#include "worker/pipeline/drain.h"

#include "common/base/clock.h"

enum {
    HEAL_AT_END_MS = 10000, /* without a comparison finished */
    HEAL_AT_END_MAX_MS = 60000,
    COMPARISON_MS = 10000, /* more for a comparison that is under way: of a large value, on a busy machine */
};

/* A suspect is compared at a point of the journal, so it needs the journal to advance. */
void drain_order(struct drain *d, uint64_t lsn)
{
    d->due_ms = clock_monotonic_ms() + HEAL_AT_END_MS;
    d->latest_ms = clock_monotonic_ms() + HEAL_AT_END_MAX_MS;
    d->lsn = lsn;
    heal_ends(d->heal);
}

void drain_begin(struct drain *d)
{
    d->on = true;
    d->offset = d->lsn ? UINT64_MAX : spool_received(d->spool);
}

/* While suspects are being compared the drain waits, for any number of them. A replication has a limit, latest_ms, as a
 * source in use may add suspects forever. */
void drain_put_off(struct drain *d)
{
    const struct cursor_marks *m = d->flow->cursor.marks;
    uint64_t now = clock_monotonic_ms();
    if (!d->due_ms)
        return;
    uint64_t done = cursor_get(&m->suspects_equal) + cursor_get(&m->suspects_healed) +
                    cursor_get(&m->suspects_confirmed) + cursor_get(&m->suspects_permanent) +
                    cursor_get(&m->suspects_unknown);
    if (done != d->progress)
        d->due_ms = now + HEAL_AT_END_MS;
    if (!d->flow->settings.migrate && d->due_ms > d->latest_ms)
        d->due_ms = d->latest_ms;
    d->progress = done;
}

static bool suspects_are_over(const struct drain *d)
{
    uint64_t due_ms = d->due_ms + (heal_compares(d->heal) ? COMPARISON_MS : 0);
    return !heal_has_work(d->heal) || clock_monotonic_ms() >= due_ms;
}

bool drain_is_due(const struct drain *d)
{
    return d->due_ms && !d->on && suspects_are_over(d);
}

bool drain_reached_lsn(const struct drain *d)
{
    return d->on && d->lsn && decoder_in_journal(d->flow->decoder) &&
           decoder_next_lsn(d->flow->decoder) >= d->lsn;
}

bool drain_waits_for_suspects(struct drain *d)
{
    if (suspects_are_over(d))
        return false;
    d->on = false;
    return true;
}
