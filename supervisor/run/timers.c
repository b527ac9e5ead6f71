/* The timer: ACKs, FLOWs without progress, due restarts, deadlines of the end, log lines of progress. It runs every
 * 15 ms while there is traffic to acknowledge, else every 250 ms. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "common/log/log.h"
#include "supervisor/rules/stalled_flow.h"
#include "supervisor/run/run.h"
#include "supervisor/run/totals.h"

enum {
    FAST_MS = 15,
    SLOW_MS = 250,
    QUIET_MS = 1000, /* without traffic: slow */
    RATE_MS = 1000,
    REPORT_SYNC_MS = 10000,
    REPORT_STABLE_MS = 60000,
};

/* Returns the command whose answer is awaited in this state, or NULL. */
static const char *awaited_answer(enum session_state state)
{
    switch (state) {
    case SESSION_SYNC_SENT:
        return "DFLY SYNC";
    case SESSION_BARRIER:
    case SESSION_PARTIAL_SENT:
        return "DFLY STARTSTABLE";
    default:
        return NULL;
    }
}

/* Returns true if the session waits for this FLOW. */
static bool flow_is_awaited(const struct flow *f)
{
    switch (f->run->session.state) {
    case SESSION_WORKERS_FULL:
    case SESSION_WORKERS_PARTIAL:
    case SESSION_WORKERS_BLOBS:
        return !f->hello;
    case SESSION_FULL_SYNC:
        return !f->run->snapshots_done.member[f->number];
    case SESSION_ENTERING:
        return !f->stable;
    default:
        return false;
    }
}

static void warn_stuck(struct flow *f, uint64_t now_ms)
{
    const struct settings *settings = f->run->settings;
    if (now_ms - f->progress_ms < settings->stuck_warning_ms ||
        now_ms - f->warned_ms < settings->stuck_warning_ms)
        return;
    const struct cursor_marks *m = flow_marks(f);
    f->warned_ms = now_ms;
    if (!f->hello) {
        log_warning("FLOW %u: its worker (pid %ld) has not sent HELLO: is it stopped?", f->number,
                    (long)f->worker.pid);
        return;
    }
    if (flow_worker_stands_still(f, now_ms)) {
        log_warning("FLOW %u: its worker (pid %ld) does not move, in %s: is it stopped?", f->number,
                    (long)f->worker.pid, session_phase_name(f->run->session.state));
        return;
    }
    log_warning("FLOW %u: no progress for %llu s in %s; received %s, applied %s%s", f->number,
                (unsigned long long)((now_ms - f->progress_ms) / 1000),
                session_phase_name(f->run->session.state), size_text(m ? cursor_get(&m->received_offset) : 0),
                size_text(m ? cursor_done_offset(m) : 0),
                m && cursor_get(&m->received_offset) > cursor_done_offset(m) ? ": the target does not take it"
                                                                             : ": the source sends nothing");
}

/* Notes the progress of all FLOWs, and warns of awaited ones that stand still. */
static void watch_progress(struct run *run, uint64_t now_ms)
{
    struct error error = {0};
    uint64_t newest_ms = run->state_ms;
    bool any_awaited = awaited_answer(run->session.state) != NULL;
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        const struct cursor_marks *m = flow_marks(f);
        uint64_t progress = m ? cursor_get(&m->received_offset) + cursor_get(&m->decoded_offset) +
                                    cursor_get(&m->applied_offset)
                              : 0;
        if (progress != f->last_progress || f->progress_ms < run->state_ms) {
            f->last_progress = progress;
            f->progress_ms = f->warned_ms = now_ms;
        }
        if (f->progress_ms > newest_ms)
            newest_ms = f->progress_ms;
        if (flow_is_awaited(f)) {
            any_awaited = true;
            warn_stuck(f, now_ms);
        }
    }
    if (!any_awaited || now_ms - newest_ms < run->settings->barrier_timeout_ms)
        return;
    const char *answer = awaited_answer(run->session.state);
    error_fatal(&error, EX_TEMPFAIL,
                "no progress on any FLOW for %llu s in %s%s%s: giving up (--barrier-timeout)",
                (unsigned long long)((now_ms - newest_ms) / 1000), session_phase_name(run->session.state),
                answer ? ", waiting for the source's answer to " : "", answer ? answer : "");
    run_fatal(run, &error);
}

static void warn_globals(struct run *run, uint64_t now_ms)
{
    for (size_t i = 0; i < run->globals.count; i++) {
        struct global *g = &run->globals.list[i];
        uint64_t since_ms = g->warned_ms ? g->warned_ms : g->since_ms;
        if (g->phase == GLOBAL_DONE || now_ms - since_ms < run->settings->stuck_warning_ms)
            continue;
        g->warned_ms = now_ms;
        struct buf missing = {0};
        for (uint32_t f = 0; f < run->flow_count; f++)
            if (!g->arrived.member[f] && !run->flows[f].failed)
                buf_printf(&missing, " %u", f);
        buf_put_u8(&missing, '\0');
        log_warning("%s (txid %llu) waits for %llu s %s%s", g->command, (unsigned long long)g->txid,
                    (unsigned long long)((now_ms - g->since_ms) / 1000),
                    g->phase == GLOBAL_RUNNING ? "for the target to run it" : "for FLOW",
                    g->phase == GLOBAL_RUNNING ? "" : (const char *)missing.data);
        buf_free(&missing);
    }
}

/* Returns true if the source's LSN shows that this shard has no further entries. */
static bool is_known_idle(const struct run *run, uint32_t flow)
{
    const struct cursor_marks *m = flow_marks(&run->flows[flow]);
    uint64_t lsn = run_source_lsn(run, flow);
    return lsn && m && cursor_get(&m->received_lsn) >= lsn;
}

/* In stable sync: warns of a FLOW that receives nothing while others do, although its shard has entries. */
static void watch_health(struct run *run, uint64_t now_ms)
{
    uint64_t limit_ms = run->settings->stuck_warning_ms;
    if (run->session.state != SESSION_STABLE || now_ms - run->health_ms < limit_ms / HEALTH_CHECKS)
        return;
    run->health_ms = now_ms;
    uint64_t *received_ms = x_calloc(run->flow_count, sizeof *received_ms);
    for (uint32_t i = 0; i < run->flow_count; i++) {
        const struct cursor_marks *m = flow_marks(&run->flows[i]);
        received_ms[i] = m && !run->flows[i].failed ? cursor_get(&m->last_received_ms) : 0;
    }
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (health_stands_still(received_ms, run->flow_count, i, now_ms, limit_ms) && !is_known_idle(run, i))
            log_warning(
                "FLOW %u: nothing has come from the source for %llu s, while other FLOWs are active: look at "
                "this shard, and at the network to it",
                i, (unsigned long long)((now_ms - received_ms[i]) / 1000));
    free(received_ms);
}

static void measure_rates(struct run *run, uint64_t now_ms)
{
    struct totals t;
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        const struct cursor_marks *m = flow_marks(f);
        uint64_t applied = m ? cursor_done_offset(m) : 0;
        if (now_ms - f->rate_ms < RATE_MS)
            continue;
        if (f->rate_ms && applied >= f->rate_offset)
            f->rate_bytes = (applied - f->rate_offset) * 1000 / (now_ms - f->rate_ms);
        f->rate_offset = applied;
        f->rate_ms = now_ms;
    }
    totals_of(run, now_ms, &t);
    throughput_note(&run->throughput, now_ms, run->past.applied_bytes + t.applied_bytes);
}

static void report_progress(struct run *run, uint64_t now_ms)
{
    struct totals t;
    bool syncing = run->session.state == SESSION_FULL_SYNC || run->session.state == SESSION_DRAINING;
    uint64_t since_ms = run->report_ms > run->state_ms ? run->report_ms : run->state_ms;
    if ((!syncing && run->session.state != SESSION_STABLE) || run->observer.shows_progress() ||
        now_ms - since_ms < (syncing ? REPORT_SYNC_MS : REPORT_STABLE_MS))
        return;
    run->report_ms = now_ms;
    totals_of(run, now_ms, &t);
    if (run->session.state == SESSION_FULL_SYNC)
        log_info("full sync: %u of %u snapshots complete, %llu keys, %s received, %s applied, %s/s",
                 run->snapshots_done.count, run->flow_count, (unsigned long long)t.keys,
                 size_text(t.received_bytes), size_text(t.applied_bytes), size_text(t.rate_bytes));
    else
        log_info("%s: %llu commands applied, lag %s, %llu ms, %s/s%s", session_phase_name(run->session.state),
                 (unsigned long long)t.commands, size_text(t.lag_bytes),
                 (unsigned long long)t.oldest_waiting_ms, size_text(t.rate_bytes),
                 run_failed_flows(run) ? ", degraded" : "");
}

static void watch_ending(struct run *run, uint64_t now_ms)
{
    if (now_ms < run->stop_deadline_ms)
        return;
    for (uint32_t i = 0; i < run->flow_count; i++)
        worker_process_kill(&run->flows[i].worker);
    if (run_workers_gone(run))
        event_base_loopbreak(run->base);
}

static void turn_running(struct run *run, uint64_t now_ms)
{
    run_restart_due(run, now_ms);
    if (run->session.state == SESSION_STABLE && run->source)
        source_ping(run->source, now_ms);
    source_watch_turn(run->source_watch, now_ms);
    target_watch_turn(run->target_watch, now_ms);
    watch_progress(run, now_ms);
    warn_globals(run, now_ms);
    watch_health(run, now_ms);
    comparison_turn(run, now_ms);
    measure_rates(run, now_ms);
    run_tell_in_step(run, now_ms);
    report_progress(run, now_ms);
    run_drain_turn(run, now_ms);
}

static void slow_turn(struct run *run, uint64_t now_ms)
{
    run->slow_ms = now_ms;
    if (run->ending)
        watch_ending(run, now_ms);
    else
        turn_running(run, now_ms);
    run->observer.tick(run, now_ms);
}

static void acknowledge_flows(struct run *run, uint64_t now_ms)
{
    uint64_t activity = 0;
    bool pings = false;
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        const struct cursor_marks *m = flow_marks(f);
        if (!m || !f->stable || f->failed)
            continue;
        ack_poll(&f->ack, m, flow_applied_lsn(f), now_ms);
        activity += cursor_get(&m->decoded_seq) + cursor_get(&m->applied_seq);
        pings |= f->ack.ping;
    }
    if (activity != run->activity || pings)
        run->activity_ms = now_ms;
    run->activity = activity;
}

static void set_interval(struct run *run, bool fast)
{
    struct timeval interval = {.tv_usec = (fast ? FAST_MS : SLOW_MS) * 1000};
    run->tick_fast = fast;
    event_add(run->tick, &interval);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct run *run = arg;
    uint64_t now_ms = clock_monotonic_ms();
    bool acknowledging = run->session.state == SESSION_ENTERING || run->session.state == SESSION_STABLE ||
                         run->session.state == SESSION_DRAINING;
    if (acknowledging)
        acknowledge_flows(run, now_ms);
    if (now_ms - run->slow_ms >= SLOW_MS - FAST_MS)
        slow_turn(run, now_ms);
    bool fast = acknowledging && now_ms - run->activity_ms < QUIET_MS;
    if (fast != run->tick_fast)
        set_interval(run, fast);
}

bool run_watch_start(struct run *run)
{
    run->tick = event_new(run->base, -1, EV_PERSIST, on_tick, run);
    if (!run->tick)
        return false;
    set_interval(run, false);
    throughput_note(&run->throughput, clock_monotonic_ms(), 0);
    return true;
}

void run_watch_stop(struct run *run)
{
    if (run->tick)
        event_free(run->tick);
    run->tick = NULL;
}
