/* The messages of workers. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/run/run.h"

static bool in_state(const struct run *run, enum session_state state)
{
    return run->session.state == state;
}

/* Returns true once STARTSTABLE was answered: workers may get ENTER_STABLE. */
static bool entered_stable(const struct run *run)
{
    return in_state(run, SESSION_ENTERING) || in_state(run, SESSION_STABLE) ||
           in_state(run, SESSION_SETTLING) || in_state(run, SESSION_DRAINING);
}

void run_on_worker_log(struct slice lines, void *flow)
{
    (void)flow;
    log_relay(lines);
}

static void tell_global(struct run *run, uint32_t flow, enum message_type type, uint64_t txid,
                        const char *command)
{
    struct message m = {.type = type, .fd = -1, .global.txid = txid};
    snprintf(m.global.command, sizeof m.global.command, "%s", command);
    m.global.arrival = globals_arrival(&run->globals, txid, flow);
    m.global.age_ms = globals_age_ms(&run->globals, txid, clock_monotonic_ms());
    m.global.unheld = globals_unheld(&run->globals, txid, flow);
    worker_process_send(&run->flows[flow].worker, &m);
}

static void session_resync(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void session_resync(struct run *run, const char *format, ...)
{
    va_list args;
    run->cause = (struct error){.class = ERROR_REDIRECT, .exit_code = EX_TEMPFAIL};
    va_start(args, format);
    vsnprintf(run->cause.text, sizeof run->cause.text, format, args);
    va_end(args);
    run_post(run, EVENT_RESYNC);
}

static void run_globals(struct run *run)
{
    const struct global *confirmed;
    while ((confirmed = globals_confirm(&run->globals, clock_monotonic_ms()))) {
        log_debug("%s (txid %llu) has reached every FLOW: FLOW %u runs it", confirmed->command,
                  (unsigned long long)confirmed->txid, confirmed->runner);
        tell_global(run, confirmed->runner, MESSAGE_RUN_GLOBAL, confirmed->txid, confirmed->command);
    }
}

/* A master that becomes a replica journals a flush like any other, but not the data that it loads then: after a change
 * of its role a full sync is needed. */
static void on_role(bool master, int64_t role_changes, const char *text, void *arg)
{
    struct run *run = arg;
    struct error error = run->broken_stream;
    bool changed = run->role_changes >= 0 && role_changes >= 0 && role_changes != run->role_changes;
    if (master && error.class != ERROR_NONE) {
        run_fatal(run, &error);
    } else if (!master) {
        error_set(&error, ERROR_RETRY,
                  "source %s is no master any more (%.200s): what it flushed then was not run on the target",
                  run->source_name, text);
        run_link_lost(run, &error);
        run_check_drained(run);
    } else if (changed && in_state(run, SESSION_DRAINING)) {
        run_check_drained(run); /* the next start meets the command again */
    } else if (changed) {
        session_resync(
            run,
            "source %s was made a replica, or a master again, and flushed: what it has loaded then is in "
            "no journal",
            run->source_name);
    } else {
        run_globals(run);
    }
}

/* While the link is lost the role is unknown: the FLOWs stay before the command, and the next session meets it again. */
void run_confirm_globals(struct run *run)
{
    if (run->source && !in_state(run, SESSION_SETTLING))
        source_ask_role(run->source, on_role);
    else
        run_check_drained(run);
}

static void on_at_global(struct flow *f, const struct message *m)
{
    struct run *run = f->run;
    switch (globals_arrive(&run->globals, f->number, m->global.txid, m->global.command, m->global.arrival,
                           clock_monotonic_ms())) {
    case GLOBAL_HOLD:
        run_check_drained(run);
        break;
    case GLOBAL_ASK:
        run_confirm_globals(run);
        break;
    case GLOBAL_PASS:
        tell_global(run, f->number, MESSAGE_PASS_GLOBAL, m->global.txid, m->global.command);
        break;
    }
}

/* The FLOW has lost its connection to the target, and may have to apply again what stands before the command. */
static void on_left_global(struct flow *f)
{
    globals_forget(&f->run->globals, f->number);
    run_check_drained(f->run);
}

static void on_global_done(struct flow *f, const struct message *m)
{
    struct run *run = f->run;
    const struct global *done = globals_done(&run->globals, f->number, m->global.txid, clock_monotonic_ms());
    if (!done)
        return;
    log_info("%s of the source was run on the target", m->global.command);
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (i != f->number && done->arrived.member[i])
            tell_global(run, i, MESSAGE_PASS_GLOBAL, done->txid, done->command);
}

static void note_snapshot_done(struct flow *f)
{
    struct run *run = f->run;
    if (!flow_set_add(&run->snapshots_done, f->number))
        return;
    session_snapshot_done(&run->session);
    log_info("FLOW %u: its snapshot is complete (%u of %u)", f->number, run->snapshots_done.count,
             run->flow_count);
    run_check_snapshots(run);
}

static void note_stable(struct flow *f)
{
    f->stable = true;
    run_check_stable(f->run);
}

static void check_workers_ready(struct run *run)
{
    if (!in_state(run, SESSION_WORKERS_FULL) && !in_state(run, SESSION_WORKERS_PARTIAL) &&
        !in_state(run, SESSION_WORKERS_BLOBS))
        return;
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (!run->flows[i].hello)
            return;
    run_post(run, EVENT_WORKERS_READY);
}

/* A predecessor may have died after it stored its phase and before it reported it. */
static void catch_up(struct flow *f)
{
    const struct cursor_marks *marks = flow_marks(f);
    uint64_t phase = marks ? cursor_get(&marks->phase) : CURSOR_STARTING;
    if ((!f->restarts && !f->inherited) || phase == CURSOR_FAILED)
        return;
    if ((f->full || f->run->session.sync_after_partial) && phase >= CURSOR_FULL_SYNC_END)
        note_snapshot_done(f);
    if (phase >= CURSOR_STABLE)
        note_stable(f);
}

static void on_hello(struct flow *f, const struct message *m)
{
    struct run *run = f->run;
    struct error error = {0};
    if (m->hello.version != MESSAGE_VERSION) {
        error_fatal(
            &error, EX_CONFIG,
            "df2redis and %s are of different versions (messages %d and %u): install both from one package",
            run->worker_path, MESSAGE_VERSION, m->hello.version);
        run_fatal(run, &error);
        return;
    }
    f->hello = true;
    catch_up(f);
    if (entered_stable(run)) {
        f->enter_sent = true;
        worker_process_send_plain(&f->worker, MESSAGE_ENTER_STABLE);
    }
    if (in_state(run, SESSION_DRAINING) || in_state(run, SESSION_SETTLING))
        run_drain_flow(f);
    check_workers_ready(run);
}

static void on_flow_opened(struct flow *f, const struct message *m)
{
    if (f->answered || !in_state(f->run, SESSION_FLOWS))
        return;
    if (!m->flow_opened.full && !f->begin.lsn)
        return; /* PARTIAL was not asked for: the worker ends */
    f->answered = true;
    f->full = m->flow_opened.full != 0;
    snprintf(f->token, sizeof f->token, "%s", m->flow_opened.token);
    session_flow_answered(&f->run->session, f->full);
    run_check_flows_answered(f->run);
}

/* A master that became a replica writes its refusal of an ACK into the stream, perhaps into the middle of an entry.
 * The data decoded from there on is wrong: a full sync is needed. */
static void doubt_stream(struct run *run, const struct error *error)
{
    run->broken_stream = *error;
    source_ask_role(run->source, on_role);
}

static void on_failed(struct flow *f, const struct message *m)
{
    struct error error = {.class = (enum error_class)m->failed.class, .exit_code = (int)m->failed.exit_code};
    snprintf(error.text, sizeof error.text, "%s", m->failed.text);
    snprintf(f->failure, sizeof f->failure, "%s", m->failed.text);
    f->failure_class = error.class;
    f->failure_exit_code = error.exit_code;
    f->kill_due_ms = clock_monotonic_ms() + RUN_STOP_LIMIT_MS;
    if (error.class == ERROR_FATAL) {
        snprintf(error.text, sizeof error.text, "FLOW %u: %.400s", f->number, m->failed.text);
        if (error.exit_code == EX_PROTOCOL && f->stable && f->run->source && entered_stable(f->run))
            doubt_stream(f->run, &error);
        else
            run_fatal(f->run, &error);
    } else if (error.class == ERROR_REDIRECT) {
        /* A flush in the middle of the snapshot, or a target that lost data which exists nowhere else. */
        snprintf(error.text, sizeof error.text, "FLOW %u: %.400s", f->number, m->failed.text);
        run_resync(f->run, &error);
    }
}

static void on_break(struct flow *f, const struct message *m)
{
    struct error error = {0};
    error_set(&error, ERROR_RETRY, "FLOW %u: %.400s", f->number, m->source_break.text);
    run_link_lost(f->run, &error);
}

/* Closes the FLOW before the source's clients have to wait. The received data is applied, and the next session asks for
 * the rest. */
static void on_spool_full(struct flow *f, const struct message *m)
{
    struct run *run = f->run;
    struct error error = {0};
    if (f->failed)
        return;
    if (in_state(run, SESSION_SETTLING) || in_state(run, SESSION_DRAINING)) {
        flow_close_source(
            f); /* the end of the run needs only the spool, or the next session asks for the rest */
        return;
    }
    error_set(&error, ERROR_RETRY,
              "the spool of FLOW %u is full, and the session with the source was ended before its clients "
              "have to wait "
              "(--on-spool-full): %.300s",
              f->number, m->spool_full.text);
    run->spool_full = true;
    run->spool_full_flow = f->number;
    run->spool_full_why = error;
    /* Received data is applied only from stable sync on: a session that has just resumed the journal is nearly
     * there. */
    bool nearly = in_state(run, SESSION_PARTIAL_SENT) || in_state(run, SESSION_ENTERING);
    if (nearly && !f->full)
        run->spool_full_waits = true;
    else
        run_end_full_session(run);
}

void run_end_full_session(struct run *run)
{
    struct error why = {0};
    run->spool_full_waits = false;
    run->told_why = true;
    log_error("%s", run->spool_full_why.text);
    error_set(&why, ERROR_RETRY, "the spool of FLOW %u was full", run->spool_full_flow);
    run_link_lost(run, &why);
    if (run->spool_full_flow < run->flow_count)
        flow_close_source(&run->flows[run->spool_full_flow]);
}

static void on_divergence(struct flow *f, const struct message *m)
{
    struct divergence_line line = {
        f->number, m->divergence.id, m->divergence.reason, m->divergence.command, m->divergence.key, 1};
    divergences_count(&f->run->divergences, &line, m->divergence.text);
}

/* Also from workers whose session is over: the entries are applied, and not reported again. */
static bool on_report(struct flow *f, const struct message *m)
{
    if (m->type == MESSAGE_DIVERGENCE)
        on_divergence(f, m);
    else if (m->type == MESSAGE_LOGGED)
        divergences_read_on(&f->run->divergences);
    return m->type == MESSAGE_DIVERGENCE || m->type == MESSAGE_LOGGED;
}

void run_on_message(struct worker_process *w, struct message *m, void *arg)
{
    struct flow *f = arg;
    struct run *run = f->run;
    (void)w;
    if (on_report(f, m) || run->ending || in_state(run, SESSION_WAITING))
        return;
    switch (m->type) {
    case MESSAGE_HELLO:
        on_hello(f, m);
        break;
    case MESSAGE_FLOW_OPENED:
        on_flow_opened(f, m);
        break;
    case MESSAGE_SNAPSHOT_DONE:
        note_snapshot_done(f);
        break;
    case MESSAGE_STABLE:
        note_stable(f);
        break;
    case MESSAGE_PING:
        ack_ping(&f->ack);
        if (entered_stable(run) && flow_marks(f))
            ack_poll(&f->ack, flow_marks(f), flow_applied_lsn(f), clock_monotonic_ms());
        break;
    case MESSAGE_AT_GLOBAL:
        on_at_global(f, m);
        break;
    case MESSAGE_LEFT_GLOBAL:
        on_left_global(f);
        break;
    case MESSAGE_GLOBAL_DONE:
        on_global_done(f, m);
        break;
    case MESSAGE_SPOOL_FULL:
        on_spool_full(f, m);
        break;
    case MESSAGE_COMPARE_ALL:
        comparison_need(run, m->compare_all.reason);
        break;
    case MESSAGE_WENT_BACK:
        comparison_target_went_back(run, f->number, m->went_back.seq);
        break;
    case MESSAGE_HEALED:
        divergences_note_healed(&run->divergences, f->number, m->divergence.reason, m->divergence.command,
                                m->divergence.key);
        break;
    case MESSAGE_FAILED:
        on_failed(f, m);
        break;
    case MESSAGE_BREAK:
        on_break(f, m);
        break;
    case MESSAGE_DRAINED:
        f->drained = true;
        run_check_drained(run);
        break;
    default:
        log_error("unexpected message %s from the worker of FLOW %u", message_name(m->type), f->number);
    }
}
