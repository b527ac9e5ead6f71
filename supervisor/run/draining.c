/* Draining.
 *
 * At the end of a run the source is asked for its LSNs. Every FLOW then continues until it has applied up to them,
 * including entries that are still on the network. Only then the run is complete. If the source cannot be asked, the
 * received data is applied, and the run reports that it may not be all.
 *
 * At the end of a session (settling) the received data is applied, and the next session asks for the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "common/log/log.h"
#include "supervisor/run/run.h"

enum {
    ASK_LIMIT_MS = 30000, /* on a slow link an answer may queue behind much data */
    TARGET_LIMIT_MS = 3000,
    UNREACHABLE_LIMIT_MS = 5000, /* without a connection to the source */
};

static bool in_state(const struct run *run, enum session_state state)
{
    return run->session.state == state;
}

void run_drain_flow(struct flow *f)
{
    const struct drain *d = &f->run->drain;
    struct message m = {.type = MESSAGE_DRAIN, .fd = -1};
    if (!f->hello || f->failed || d->asking)
        return;
    m.drain.lsn = d->lsns ? d->lsns[f->number] : 0;
    if (worker_process_send(&f->worker, &m))
        f->drained = false;
}

static void tell_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++)
        run_drain_flow(&run->flows[i]);
    run_check_drained(run);
}

static void drain_begin(struct run *run)
{
    struct drain *d = &run->drain;
    uint64_t now_ms = clock_monotonic_ms();
    free(d->lsns);
    *d = (struct drain){.progress_ms = now_ms, .contact_ms = now_ms, .warned_ms = now_ms};
}

void run_settle(struct run *run)
{
    drain_begin(run);
    tell_workers(run);
}

/* ---- the LSNs ---- */

static void lsns_known(struct run *run, const uint64_t *lsns)
{
    struct drain *d = &run->drain;
    uint64_t missing = 0;
    d->asking = false;
    d->lsns = x_calloc(run->flow_count, sizeof *lsns);
    d->progress_ms = clock_monotonic_ms();
    for (uint32_t i = 0; i < run->flow_count; i++) {
        uint64_t applied = flow_applied_lsn(&run->flows[i]);
        d->lsns[i] = lsns[i];
        missing += lsns[i] > applied ? lsns[i] - applied : 0;
    }
    log_info("draining: %llu entries that the source had when it was asked are still to be applied",
             (unsigned long long)missing);
    tell_workers(run);
}

static void lsns_unknown(struct run *run)
{
    struct drain *d = &run->drain;
    const char *trouble = source_watch_trouble(run->source_watch);
    d->asking = false;
    d->progress_ms = clock_monotonic_ms();
    snprintf(d->unknown, sizeof d->unknown, "%s", trouble[0] ? trouble : "it does not answer");
    log_warning("draining: the source cannot be asked for its LSNs: %s; applying what was received",
                d->unknown);
    tell_workers(run);
}

static void drain_ask(struct run *run, uint64_t now_ms)
{
    struct drain *d = &run->drain;
    const struct source_lsns *answers;
    uint64_t limit_ms = source_watch_connected(run->source_watch) ? ASK_LIMIT_MS : UNREACHABLE_LIMIT_MS;
    if (source_watch_answers(run->source_watch, &answers) && answers[0].asked_ms >= d->asked_ms)
        lsns_known(run, answers[0].lsns);
    else if (source_watch_over(run->source_watch) || now_ms - d->asked_ms >= limit_ms)
        lsns_unknown(run);
}

void run_drain(struct run *run)
{
    drain_begin(run);
    if (run->final_lsns) {
        lsns_known(run, run->final_lsns);
        return;
    }
    run->drain.asking = true;
    run->drain.asked_ms = clock_monotonic_ms();
    log_info("draining: the source is asked for its last LSNs");
    source_watch_ask(run->source_watch, run->drain.asked_ms);
    drain_ask(run, run->drain.asked_ms);
}

void run_source_told(struct run *run)
{
    if (in_state(run, SESSION_DRAINING) && run->drain.asking)
        drain_ask(run, clock_monotonic_ms());
}

/* ---- the end ---- */

/* A FLOW held at a global command has applied everything before it. If all others are drained, that command has not
 * reached every FLOW, or the source cannot be asked about it: it lies after the cut. */
bool run_flow_settled(const struct flow *f)
{
    return f->drained || globals_holds(&f->run->globals, f->number);
}

/* Returns true once the target has reported evictions up to now, or does not answer. */
static bool target_has_told(struct run *run)
{
    struct drain *d = &run->drain;
    uint64_t now_ms = clock_monotonic_ms();
    if (!d->target_asked_ms) {
        d->target_asked_ms = now_ms;
        target_watch_ask(run->target_watch, now_ms);
    }
    if (target_watch_told_since(run->target_watch, d->target_asked_ms))
        return true;
    if (now_ms - d->target_asked_ms < TARGET_LIMIT_MS)
        return false;
    log_warning("the target could not be asked whether it has evicted keys");
    return true;
}

void run_check_drained(struct run *run)
{
    bool draining = in_state(run, SESSION_DRAINING);
    if ((!draining && !in_state(run, SESSION_SETTLING)) || (draining && run->drain.asking))
        return;
    /* A flush that has reached every FLOW runs, or not, once it is answered. */
    if (draining && source_role_is_asked(run->source))
        return;
    for (uint32_t i = 0; i < run->flow_count; i++) {
        const struct flow *f = &run->flows[i];
        if (!f->failed && !run_flow_settled(f))
            return;
    }
    if (draining && !target_has_told(run))
        return;
    run_post(run, draining ? EVENT_DRAINED : EVENT_SETTLED);
}

bool run_drained_all(struct run *run, char *lacking, size_t bytes)
{
    const struct drain *d = &run->drain;
    if (!d->lsns) {
        snprintf(lacking, bytes, "the source could not be asked whether it has more: %s", d->unknown);
        return false;
    }
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        uint64_t applied = flow_applied_lsn(f);
        if (f->failed || applied >= d->lsns[i])
            continue;
        snprintf(lacking, bytes, "FLOW %u lacks %llu entries that the source had, %s", i,
                 (unsigned long long)(d->lsns[i] - applied),
                 globals_holds(&run->globals, i) ? "from a flush on that has not reached every FLOW"
                                                 : "which never came: its connection broke");
        return false;
    }
    return true;
}

/* ---- no progress ---- */

static bool target_is_away(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        const struct cursor_marks *m = flow_marks(f);
        if (!f->failed && !run_flow_settled(f) && m && !cursor_get(&m->in_contact))
            return true;
    }
    return false;
}

/* A target that is away is awaited for ever: a full sync would need it, too. A target that is there and takes nothing
 * is awaited for a limited time. */
static void watch_settling(struct run *run, uint64_t now_ms)
{
    const struct settings *settings = run->settings;
    struct drain *d = &run->drain;
    uint64_t stood_ms = now_ms - d->progress_ms;
    bool away = target_is_away(run);
    if (away)
        d->contact_ms = now_ms;
    uint64_t since_ms = d->contact_ms > d->progress_ms ? d->contact_ms : d->progress_ms;
    if (!away && now_ms - since_ms >= settings->barrier_timeout_ms) {
        log_warning(
            "the target has taken nothing for %llu s: what was received is given up (--barrier-timeout)",
            (unsigned long long)stood_ms / 1000);
        run_post(run, EVENT_SETTLED);
    } else if (stood_ms >= settings->stuck_warning_ms &&
               now_ms - d->warned_ms >= settings->stuck_warning_ms) {
        d->warned_ms = now_ms;
        log_warning("no progress for %llu s with what was received before the link to the source broke: the "
                    "target %s; "
                    "the source is asked for the rest after it",
                    (unsigned long long)stood_ms / 1000, away ? "is away or refuses" : "takes nothing");
    }
}

static const struct flow *find_still(struct run *run)
{
    uint64_t now_ms = clock_monotonic_ms();
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (!run_flow_settled(&run->flows[i]) && flow_worker_stands_still(&run->flows[i], now_ms))
            return &run->flows[i];
    return NULL;
}

static void drain_give_up(struct run *run, uint64_t lag_bytes)
{
    struct error error = {0};
    char lacking[300] = "";
    const struct flow *still = find_still(run);
    if (still)
        error_fatal(
            &error, EX_TEMPFAIL,
            "the worker of FLOW %u (pid %ld) does not move: ended, although not all is applied; a new start "
            "goes on from here",
            still->number, (long)still->worker.pid);
    else if (lag_bytes || run_drained_all(run, lacking, sizeof lacking))
        error_fatal(&error, EX_TEMPFAIL,
                    "the target has taken nothing for %d s: ended with %s received but not applied",
                    RUN_DRAIN_LIMIT_MS / 1000, size_text(lag_bytes));
    else
        error_fatal(
            &error, EX_TEMPFAIL,
            "nothing has come from the source for %d s: ended, although %s; a new start goes on from here",
            RUN_DRAIN_LIMIT_MS / 1000, lacking);
    run_fatal(run, &error);
}

void run_drain_turn(struct run *run, uint64_t now_ms)
{
    struct totals t;
    struct drain *d = &run->drain;
    bool settling = in_state(run, SESSION_SETTLING);
    if (!in_state(run, SESSION_DRAINING) && !settling)
        return;
    if (!settling && d->asking) {
        drain_ask(run, now_ms);
        return;
    }
    run_check_drained(run);
    totals_of(run, now_ms, &t);
    uint64_t progress = t.applied_bytes + (settling ? 0 : t.received_bytes) + t.suspects_equal +
                        t.suspects_healed + t.suspects_confirmed + t.suspects_permanent + t.suspects_unknown;
    if (progress != d->progress) {
        d->progress = progress;
        d->progress_ms = now_ms;
    }
    if (settling)
        watch_settling(run, now_ms);
    else if (now_ms - d->progress_ms >= RUN_DRAIN_LIMIT_MS)
        drain_give_up(run, t.lag_bytes);
}
