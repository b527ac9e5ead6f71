/* The session table's actions: the phases; session_start.c and session_end.c have the beginnings and ends.
 * Each action ends with an event, posted at once or after an answer. */
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/invariant.h"
#include "common/log/log.h"
#include "supervisor/run/run.h"

static double seconds_since(uint64_t then_ms)
{
    return (double)(clock_monotonic_ms() - then_ms) / 1000.0;
}

/* The target moves on, and the LSNs become stale. */
static void forget_resume_lsns(struct run *run)
{
    free(run->resume);
    run->resume = NULL;
}

static void send_phase(struct run *run, enum phase_command command)
{
    struct error error = {0};
    if (command == PHASE_SYNC && run->session.full) {
        forget_resume_lsns(run);
        run->last_master_id[0] = '\0';
        run->role_changes = run->greeting.role_changes;
        comparison_full_sync(run);
    }
    INVARIANT(1.1, command != PHASE_STARTSTABLE || run->session.state == SESSION_PARTIAL_SENT ||
                       flow_set_full(&run->snapshots_done));
    if (source_send_phase(run->source, &run->session, command))
        return;
    error_fatal(&error, EX_SOFTWARE,
                "DFLY %s is not allowed in this state (%s) and was not sent; please report this",
                command == PHASE_SYNC ? "SYNC" : "STARTSTABLE", session_state_name(run->session.state));
    run_fatal(run, &error);
}

static void enter_stable(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        if (f->hello && !f->enter_sent) {
            f->enter_sent = true;
            worker_process_send_plain(&f->worker, MESSAGE_ENTER_STABLE);
        }
    }
    log_info("barrier: the source has switched to its journal");
    run_check_stable(run);
}

static void announce_stable(struct run *run)
{
    log_info("stable: every FLOW follows the journal, %.1f s after the session's start",
             seconds_since(run->session_ms));
    run->stable_before = true;
    forget_resume_lsns(run);
    run_save_record(run, run_failed_flows(run) ? RUN_COPY_DEGRADED : RUN_COPY_COMPLETE);
    run->in_step_told = false;
    backoff_reset(&run->backoff);
    run_doubt_times(run);
    bool compares = comparison_stable(run);
    if (run->settings->migrate && !compares)
        run_post(run, EVENT_COMPLETE);
    if (run->spool_full_waits)
        run_end_full_session(run);
}

void run_perform(struct run *run, enum session_action action)
{
    switch (action) {
    case ACTION_NONE:
        run_check_snapshots(run); /* a short snapshot may overtake the +OK to SYNC */
        break;
    case ACTION_CONNECT:
        run_connect(run);
        break;
    case ACTION_GREET:
        source_greet(run->source);
        break;
    case ACTION_OPEN_FLOWS:
        run_open_flows(run);
        break;
    case ACTION_PREPARE_TARGET:
        run_prepare_target(run);
        break;
    case ACTION_START_WORKERS:
        if (run->session.state == SESSION_WORKERS_PARTIAL)
            run_expect_databases(run);
        run_begin_workers(run);
        break;
    case ACTION_SEND_SYNC:
        send_phase(run, PHASE_SYNC);
        break;
    case ACTION_SEND_STARTSTABLE:
        if (run->session.state == SESSION_BARRIER && run->session.full)
            log_info("barrier: every FLOW's snapshot is complete after %.1f s",
                     seconds_since(run->session_ms));
        send_phase(run, PHASE_STARTSTABLE);
        break;
    case ACTION_ENTER_STABLE:
        enter_stable(run);
        break;
    case ACTION_ANNOUNCE_STABLE:
        announce_stable(run);
        break;
    case ACTION_DRAIN:
        run_drain(run);
        break;
    case ACTION_SETTLE:
        if (run->told_why)
            log_info("applying what was received");
        else
            log_warning("the link to the source broke: %s; applying what was received", run->cause.text);
        run_settle(run);
        break;
    case ACTION_SETTLE_PREVIOUS:
        run->told_why = true;
        log_info("applying what the run before had received");
        run_settle(run);
        break;
    case ACTION_RESTART:
        run_restart(run, true);
        break;
    case ACTION_RESTART_FULL:
        run_restart(run, false);
        break;
    case ACTION_END:
        run_end(run);
        break;
    case ACTION_END_EARLY:
        run_end_early(run);
        break;
    case ACTION_FORBIDDEN:
    case ACTION_FAIL:
    case SESSION_ACTIONS:
        run_fail(run);
        break;
    }
}
