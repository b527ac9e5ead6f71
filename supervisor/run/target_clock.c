/* The clock by which the target's keys expire was set, or its import mode has begun or ended: which keys have expired
 * early, or live on, is not known, and all are compared. */
#include <stdio.h>
#include <stdlib.h>

#include "common/ipc/divergence.h"
#include "common/log/log.h"
#include "supervisor/run/run.h"

enum { CLOCK_STEP_MS = 10 }; /* smaller changes are not told to the workers */

/* Between two sessions there is nothing to compare with, and the record is not to be changed. */
static bool may_compare(const struct run *run)
{
    return run->session.state >= SESSION_SYNC_SENT && run->session.state <= SESSION_SETTLING;
}

/* Which keys have expired early, or live on, is not known. */
void run_doubt_times(struct run *run)
{
    if (!run->clock.doubt[0] || !may_compare(run))
        return;
    if (settings_repairs(run->settings))
        comparison_need(run, run->clock.doubt);
    else /* which of its keys are the source's is not known */
        divergences_add(&run->divergences, 0, DIVERGENCE_EXPIRED, "keys not kept track of", "", 1);
    run->clock.doubt[0] = '\0';
}

void run_on_clock_set(const char *node, int64_t by_ms, int64_t ahead_ms, void *arg)
{
    struct run *run = arg;
    char whose[300] = "this machine", advice[200] = "";
    run->clock.was_set = true;
    const char *early = ahead_ms > 0 ? "early" : "late";
    if (node)
        snprintf(whose, sizeof whose, "target %s", node);
    if (llabs((long long)ahead_ms) > RUN_WRONG_CLOCK_MS)
        snprintf(advice, sizeof advice,
                 ": keys with a time to live expire too %s by that; set the clocks (NTP)", early);
    log_warning("the clock of %s was set %s by %.1f s, and %s %.1f s %s that of this machine now%s", whose,
                by_ms < 0 ? "back" : "forward", (double)llabs((long long)by_ms) / 1000,
                node ? "is" : "the target's is", (double)llabs((long long)ahead_ms) / 1000,
                ahead_ms < 0 ? "behind" : "ahead of", advice);
    snprintf(run->clock.doubt, sizeof run->clock.doubt, "the clock of %.100s was set, by which keys expire",
             whose);
    run_doubt_times(run);
}

void run_on_import_mode(const char *node, bool on, void *arg)
{
    struct run *run = arg;
    run->clock.anew = true;
    if (on) {
        log_info("target %s is in import mode now: from here on it expires no keys of the copy", node);
        return;
    }
    log_warning("target %s is not in import mode any more (import-mode no): its keys expire by its clock",
                node);
    snprintf(run->clock.doubt, sizeof run->clock.doubt,
             "target %.100s has left import mode, and keys may have expired", node);
    run_doubt_times(run);
}

void run_tell_clock(struct run *run)
{
    struct message m = {.type = MESSAGE_CLOCK, .fd = -1};
    int64_t ahead_ms;
    bool told = true;
    if (!target_watch_clock(run->target_watch, &ahead_ms))
        return;
    bool same = run->clock.told && llabs((long long)(ahead_ms - run->clock.ahead_ms)) < CLOCK_STEP_MS;
    if (same && !run->clock.anew)
        return;
    m.clock.ahead_ms = ahead_ms;
    m.clock.anew = run->clock.anew;
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (run->flows[i].hello)
            told &= worker_process_send(&run->flows[i].worker, &m);
    run->clock.told = told;
    run->clock.ahead_ms = ahead_ms;
    run->clock.anew = false;
}
