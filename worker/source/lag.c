/* Samples of offset and time of receipt. */
#include "worker/source/lag.h"

#include <string.h>

enum { FIRST_STEP_MS = 50 };

/* Drops every second sample; keeps the first. */
static void thin_out(struct lag *w)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->count; i += 2, kept++) {
        w->offset[kept] = w->offset[i];
        w->at_ms[kept] = w->at_ms[i];
    }
    w->count = kept;
    w->step_ms *= 2;
}

void lag_received(struct lag *w, uint64_t offset, uint64_t now_ms)
{
    if (w->count == 0)
        w->step_ms = FIRST_STEP_MS;
    else if (now_ms - w->at_ms[w->count - 1] < w->step_ms)
        return;
    if (w->count == LAG_SAMPLES)
        thin_out(w);
    w->offset[w->count] = offset;
    w->at_ms[w->count++] = now_ms;
}

uint64_t lag_oldest_ms(struct lag *w, uint64_t applied, uint64_t received)
{
    unsigned past = 0;
    if (applied >= received)
        w->count = 0;
    if (w->count == 0)
        return 0;
    while (past + 1 < w->count && w->offset[past + 1] <= applied)
        past++;
    w->count -= past;
    memmove(w->offset, w->offset + past, w->count * sizeof *w->offset);
    memmove(w->at_ms, w->at_ms + past, w->count * sizeof *w->at_ms);
    return w->at_ms[0];
}
