/* The end of a session, after which another begins, and the end of the run. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/run/run.h"

bool run_workers_gone(const struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (flow_worker_alive(&run->flows[i]))
            return false;
    return true;
}

void run_stop_workers(struct run *run)
{
    uint64_t now_ms = clock_monotonic_ms();
    run->stop_deadline_ms = now_ms + RUN_STOP_LIMIT_MS;
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        f->restart_due_ms = 0;
        if (flow_worker_alive(f) && !worker_process_send_plain(&f->worker, MESSAGE_STOP))
            worker_process_kill(&f->worker);
    }
}

void run_close_source(struct run *run)
{
    source_watch_free(run->source_watch);
    run->source_watch = NULL;
    source_free(run->source);
    run->source = NULL;
    for (uint32_t i = 0; i < run->flow_count; i++)
        flow_close_source(&run->flows[i]);
}

void run_free_flows(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++)
        flow_free(&run->flows[i]);
    free(run->flows);
    run->flows = NULL;
    run->flow_count = 0;
    flow_set_free(&run->snapshots_done);
    globals_free(&run->globals);
}

/* Every FLOW has applied its received data, or ran out of time. If all have, the next session asks for the rest of the
 * journal from there. */
static void remember_lsns(struct run *run)
{
    free(run->resume);
    run->resume = NULL;
    struct resume_point *points = x_calloc(run->flow_count, sizeof *points);
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        if (flow_marks(f) && run_flow_settled(f))
            points[i] = flow_resume_point(f);
        if (!points[i].lsn) {
            snprintf(run->sync_reason, sizeof run->sync_reason,
                     "FLOW %u could not resume from the journal: %.180s", i,
                     run->flows[i].failure[0] ? run->flows[i].failure : run->cause.text);
            log_info("FLOW %u cannot resume from the journal: a full sync will be needed", i);
            free(points);
            return;
        }
    }
    run->resume = points;
    run->resume_by_marks = false;
    run->resume_count = run->flow_count;
    memcpy(run->resume_master_id, run->greeting.master_id, sizeof run->resume_master_id);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct run *run = arg;
    struct timeval soon = {.tv_usec = 20000};
    uint64_t now_ms = clock_monotonic_ms();
    bool gone = run_workers_gone(run);
    /* The spools belong to the old session's workers until they end. */
    if (!gone && now_ms >= run->stop_deadline_ms)
        for (uint32_t i = 0; i < run->flow_count; i++)
            worker_process_kill(&run->flows[i].worker);
    if (gone && now_ms >= run->retry_due_ms)
        run_post(run, EVENT_RETRY);
    else
        event_add(run->retry, &soon);
}

void run_restart(struct run *run, bool with_lsns)
{
    uint32_t random = 0, pause_ms;
    struct totals session;
    struct timeval soon = {0};
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint32_t)clock_monotonic_ms();
    pause_ms = run->next_address ? 0 : backoff_next_ms(&run->backoff, random);
    if (!with_lsns) {
        free(run->resume);
        run->resume = NULL;
        snprintf(run->sync_reason, sizeof run->sync_reason, "%.230s", run->cause.text);
    } else if (run->flow_count && run->flows[0].stable && !run->resume) {
        remember_lsns(run);
    } /* else: of an attempt that did not become stable; the LSNs it had are still good, as the target's marks tell what
         came since */
    if (run->next_address)
        log_info("%s; the next address is tried", run->cause.text);
    else if (run->told_why && with_lsns && run->resume)
        log_info("what was received is applied: the source is asked for what comes after it in %.1f s",
                 (double)pause_ms / 1000.0);
    else
        log_warning("the session with the source is over: %s; next attempt in %.1f s", run->cause.text,
                    (double)pause_ms / 1000.0);
    run->next_address = run->told_why = false;
    totals_of(run, clock_monotonic_ms(), &session);
    totals_add(&run->past, &session);
    run_forget_events(run);
    run->broken_stream = (struct error){0};
    target_free(run->target_job);
    run->target_job = NULL;
    run_stop_workers(run);
    run_close_source(run);
    run->spool_full_waits = false;
    run->retry_due_ms = clock_monotonic_ms() + pause_ms;
    if (!run->retry)
        run->retry = event_new(run->base, -1, 0, on_retry, run);
    soon.tv_sec = (time_t)(pause_ms / 1000);
    soon.tv_usec = (suseconds_t)(pause_ms % 1000 * 1000);
    event_add(run->retry, &soon);
}

/* The last state: the event loop ends with the last worker (run_reap(), or SIGKILL from timers.c). */
static void finish_run(struct run *run)
{
    run->ending = true;
    run_forget_events(run);
    target_free(run->target_job); /* it may be about to flush */
    run->target_job = NULL;
    run_stop_workers(run);
    run_close_source(run);
    if (run_workers_gone(run))
        event_base_loopbreak(run->base);
}

void run_end(struct run *run)
{
    char lacking[400], compares[200];
    struct totals t;
    bool comparing = comparison_stop(run, compares, sizeof compares);
    totals_of(run, clock_monotonic_ms(), &t);
    bool diverged =
        run->divergences.total || run_failed_flows(run) || t.suspects_pending > t.suspects_perhaps;
    bool all = run_drained_all(run, lacking, sizeof lacking);
    if (!all) {
        run->exit_code = EX_TEMPFAIL;
        log_warning(
            "stopped with what was received, and not known to be complete: %s; a new start goes on from here",
            lacking);
    } else if (comparing) {
        run->exit_code = EX_TEMPFAIL;
        log_warning(
            "stopped before all keys were compared with the source's: %s; a new start goes on with that",
            compares);
    } else if (run->exit_code == 0 && diverged) {
        run->exit_code = EX_DATAERR;
    }
    bool migrated = run->settings->migrate && !comparing;
    if (all && !run_failed_flows(run))
        run_save_record(run, migrated ? RUN_COPY_MIGRATED : RUN_COPY_ENDED);
    else if (all && migrated)
        state_dir_forget_run(&run->dir);
    if (all && migrated)
        state_dir_forget_evictions(&run->dir);
    run->observer.summarize(run);
    finish_run(run);
}

void run_end_early(struct run *run)
{
    run->exit_code = EX_TEMPFAIL;
    if (run->stable_before)
        log_warning(
            "stopped while the link to the source was down: the target is behind by what was written since");
    else
        log_warning("stopped before the copy was complete: the target holds a part of the data");
    run->observer.summarize(run);
    finish_run(run);
}

void run_fail(struct run *run)
{
    int found = run_tell_findings(run);
    run->exit_code = found ? found : run->cause.exit_code ? run->cause.exit_code : EX_SOFTWARE;
    log_error("%s", run->cause.text);
    if (run->streamed)
        run->observer.summarize(run);
    finish_run(run);
}
