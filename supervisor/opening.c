/* From nothing to FLOWs that wait for SYNC: the control connection, the FLOWs' handshakes, the target made
 * ready, the workers started. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/log.h"
#include "supervisor/run.h"

static void on_connected(void *arg)
{
    run_post(arg, EVENT_CONNECTED);
}

static void on_greeted(const struct greeting *greeting, void *arg)
{
    struct run *run = arg;
    run->greeting = *greeting;
    run->greeted = true;
    log_info("source %s: Dragonfly, %u FLOW%s, protocol version %u, master id %s, %s", run->source_name,
             greeting->flow_count, greeting->flow_count == 1 ? "" : "s", greeting->version,
             greeting->master_id, greeting->sync_id);
    if (greeting->version > SOURCE_MAX_VERSION)
        log_warning(
            "source %s speaks version %u of its protocol, newer than the %d known here; it was asked for %d",
            run->source_name, greeting->version, SOURCE_MAX_VERSION, SOURCE_MAX_VERSION);
    run_post(run, EVENT_GREETED);
}

static void on_phase_answered(bool ok, const char *text, void *arg)
{
    struct run *run = arg;
    if (!ok)
        error_set(&run->cause, ERROR_RETRY, "source %s refuses DFLY %s: %.200s", run->source_name,
                  run->session.state == SESSION_SYNC_SENT ? "SYNC" : "STARTSTABLE", text);
    run_post(run, ok ? EVENT_PHASE_OK : EVENT_PHASE_REFUSED);
    if (ok && run->session.state == SESSION_SYNC_SENT) {
        run->streamed = run->target_written = true;
        log_info("full sync: the source streams its snapshot on %u FLOW%s", run->flow_count,
                 run->flow_count == 1 ? "" : "s");
    }
}

static void on_source_failed(const struct error *error, void *arg)
{
    run_link_lost(arg, error);
}

void run_connect(struct run *run)
{
    struct error error = {0};
    struct source_callbacks callbacks = {.arg = run,
                                         .connected = on_connected,
                                         .greeted = on_greeted,
                                         .phase_answered = on_phase_answered,
                                         .failed = on_source_failed};
    target_free(run->target_job);
    run->target_job = NULL;
    run_free_flows(run);
    run->session_ms = clock_monotonic_ms();
    run->source = source_connect(run->base, run->settings, run->client_id, &callbacks, &error);
    if (!run->source)
        run_link_lost(run, &error);
}

/* Unique and growing, also over restarts of the supervisor. */
static uint64_t new_session_id(const struct run *run)
{
    uint64_t now = (uint64_t)clock_unix_ms() * 1000;
    return now > run->session_id ? now : run->session_id + 1;
}

void run_check_flows_answered(struct run *run)
{
    const struct session *s = &run->session;
    if (s->state != SESSION_FLOWS || s->full + s->partial != run->flow_count)
        return;
    if (s->full == run->flow_count) {
        run_post(run, EVENT_FLOWS_FULL);
    } else if (s->partial == run->flow_count) {
        run_post(run, EVENT_FLOWS_PARTIAL);
    } else {
        error_set(&run->cause, ERROR_RETRY,
                  "source %s answers FULL on %u FLOWs and PARTIAL on %u: no phase command may follow a mix",
                  run->source_name, s->full, s->partial);
        run_post(run, EVENT_FLOWS_MIXED);
    }
}

static void on_flow_opened(uint32_t number, const struct flow_opened *opened, void *arg)
{
    struct run *run = arg;
    struct flow *f = &run->flows[number];
    flow_take_socket(f, opened, run_on_flow_closed);
    session_flow_answered(&run->session, f->full);
    run_check_flows_answered(run);
}

static void on_flow_open_failed(uint32_t number, const struct error *error, void *arg)
{
    (void)number;
    run_link_lost(arg, error);
}

/* The record a later run resumes from. A disk that cannot take it is not worth ending a run for. */
static void save_run(struct run *run)
{
    struct error error = {0};
    struct run_record record = {.session = run->session_id, .flow_count = run->flow_count};
    snprintf(record.master_id, sizeof record.master_id, "%s", run->greeting.master_id);
    snprintf(record.sync_id, sizeof record.sync_id, "%s", run->greeting.sync_id);
    snprintf(record.lineage, sizeof record.lineage, "%s", run->greeting.lineage);
    if (!state_dir_save_run(&run->dir, &record, &error))
        log_warning("%s", error.text);
}

static void start_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        struct error error = {0};
        if (!flow_worker_alive(f) &&
            !flow_start_worker(f, f->first_lsn && !f->full ? START_PARTIAL : START_FULL, &error)) {
            run_link_lost(run, &error);
            return;
        }
    }
}

void run_open_flows(struct run *run)
{
    bool tls = run->settings->source.tls;
    run->flow_count = run->greeting.flow_count;
    run->flows = x_calloc(run->flow_count, sizeof *run->flows);
    run->session_id = new_session_id(run);
    run->sessions++;
    flow_set_init(&run->snapshots_done, run->flow_count);
    globals_init(&run->globals, run->flow_count);
    session_flows_asked(&run->session, run->flow_count);
    /* An LSN of another master's journal would mean something else, and might even be found in it. */
    bool resume = run->resume_lsns && run->resume_count == run->flow_count &&
                  strcmp(run->resume_master_id, run->greeting.master_id) == 0;
    struct flow_open_callbacks callbacks = {
        .arg = run, .opened = on_flow_opened, .failed = on_flow_open_failed};
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        flow_init(f, run, i);
        f->session = run->session_id;
        f->first_lsn = resume ? run->resume_lsns[i] : 0;
        f->progress_ms = clock_monotonic_ms();
    }
    save_run(run);
    if (tls) {
        /* TLS state cannot be handed on: each worker does its own handshake and reports FLOW_OPENED. */
        start_workers(run);
        return;
    }
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        struct error error = {0};
        f->open =
            flow_open_start(run->base, run->settings, &run->greeting, i, f->first_lsn, &callbacks, &error);
        if (!f->open) {
            run_link_lost(run, &error);
            return;
        }
    }
}

static void on_flushed(const struct capabilities *capabilities, void *arg)
{
    struct run *run = arg;
    (void)capabilities;
    log_info("target %s: flushed", run->target_name);
    run->flush_first = false;
    run_post(run, EVENT_TARGET_READY);
}

static void on_flush_failed(const struct error *error, void *arg)
{
    run_link_lost(arg, error);
}

static void flush_target(struct run *run)
{
    struct error error = {0};
    struct target_callbacks callbacks = {.arg = run, .done = on_flushed, .failed = on_flush_failed};
    target_free(run->target_job);
    run->target_job = target_start(run->base, run->settings, true, &callbacks, &error);
    if (!run->target_job)
        run_link_lost(run, &error);
}

/* Every FLOW is FULL: keys of an earlier session, deleted since on the source, would stay for ever. */
void run_prepare_target(struct run *run)
{
    struct error error = {0};
    bool again = run->target_written;
    if (run->settings->target.null_sink || (!again && !run->flush_first)) {
        run_post(run, EVENT_TARGET_READY);
        return;
    }
    if (again && run->settings->on_full_resync == ON_FULL_RESYNC_STOP) {
        error_fatal(&error, EX_TEMPFAIL,
                    "a new full sync is needed (%.200s), and --on-full-resync stop was given or follows from "
                    "--on-conflict: the target is left as it is. Start again with --flush-target, or with "
                    "--on-full-resync keep",
                    run->cause.text);
        run_fatal(run, &error);
        return;
    }
    if (run->flush_first || (run->settings->on_full_resync == ON_FULL_RESYNC_FLUSH && run->target_owned)) {
        log_info("target %s: flushing it%s", run->target_name, again ? " for the new full sync" : "");
        flush_target(run);
        return;
    }
    log_warning(
        "a full sync over the keys the target %s has: what was deleted on the source meanwhile stays there",
        run->target_name);
    divergences_add(&run->divergences, 0, DIVERGENCE_RESYNC_KEPT, "full sync", "all keys", 1);
    run_post(run, EVENT_TARGET_READY);
}

void run_begin_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        flow_open_free(run->flows[i].open);
        run->flows[i].open = NULL;
    }
    target_free(run->target_job);
    run->target_job = NULL;
    if (run->settings->source.tls)
        run_post(run, EVENT_WORKERS_READY);
    else
        start_workers(run);
}
