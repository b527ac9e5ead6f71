#include "supervisor/run/totals.h"

#include <stdio.h>

#include "supervisor/run/run.h"

void totals_of(struct run *run, uint64_t now_ms, struct totals *out)
{
    *out = (struct totals){.suspects_healed = run->comparison.repaired,
                           .suspects_unknown = run->comparison.undecided};
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        const struct cursor_marks *m = flow_marks(f);
        out->restarts += f->restarts;
        if (!m)
            continue;
        uint64_t received = cursor_get(&m->received_offset), applied = cursor_done_offset(m);
        uint64_t decoded_seq = cursor_get(&m->decoded_seq), applied_seq = cursor_done_seq(m);
        uint64_t waiting_since_ms = cursor_get(&m->waiting_since_ms);
        uint64_t waited_ms = waiting_since_ms && now_ms > waiting_since_ms ? now_ms - waiting_since_ms : 0;
        out->received_bytes += received;
        out->applied_bytes += applied;
        out->lag_bytes += received > applied ? received - applied : 0;
        out->spool_bytes += cursor_get(&m->spool_bytes) + cursor_get(&m->spool_overflow_bytes);
        out->rate_bytes += f->rate_bytes;
        out->entries += cursor_get(&m->entries);
        out->keys += cursor_get(&m->keys);
        out->commands += cursor_get(&m->commands);
        out->lag_entries += decoded_seq > applied_seq ? decoded_seq - applied_seq : 0;
        out->errors += cursor_get(&m->errors);
        out->suspects_pending += cursor_get(&m->suspects_pending);
        out->suspects_perhaps += cursor_get(&m->suspects_perhaps);
        out->suspects_equal += cursor_get(&m->suspects_equal);
        out->suspects_healed += cursor_get(&m->suspects_healed);
        out->suspects_confirmed += cursor_get(&m->suspects_confirmed);
        out->suspects_permanent += cursor_get(&m->suspects_permanent);
        out->suspects_unknown += cursor_get(&m->suspects_unknown);
        if (waited_ms > out->oldest_waiting_ms)
            out->oldest_waiting_ms = waited_ms;
    }
}

uint64_t totals_expected_keys(const struct run *run)
{
    return run->flow_count ? source_keys(run->source) / run->flow_count : 0;
}

void totals_add(struct totals *to, const struct totals *more)
{
    to->received_bytes += more->received_bytes;
    to->applied_bytes += more->applied_bytes;
    to->entries += more->entries;
    to->keys += more->keys;
    to->commands += more->commands;
    to->errors += more->errors;
    to->suspects_equal += more->suspects_equal;
    to->suspects_healed += more->suspects_healed;
    to->suspects_permanent += more->suspects_permanent;
    to->suspects_unknown += more->suspects_unknown;
    to->restarts += more->restarts;
}
