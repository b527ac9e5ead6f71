/* The start of a session, up to SYNC: control connection, handshakes of the FLOWs, preparation of the target, start of
 * the workers. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/invariant.h"
#include "common/log/log.h"
#include "supervisor/rules/databases.h"
#include "supervisor/run/resume.h"
#include "supervisor/run/run.h"

static void on_connected(void *arg)
{
    run_post(arg, EVENT_CONNECTED);
}

static void on_greeted(const struct greeting *greeting, void *arg)
{
    struct run *run = arg;
    run->greeting = *greeting;
    run->greeted = true;
    run_meet_master(run);
    log_info("source %s: Dragonfly, %u FLOW%s, protocol version %u, master id %s, %s", run->source_name,
             greeting->flow_count, greeting->flow_count == 1 ? "" : "s", greeting->version,
             greeting->master_id, greeting->sync_id);
    if (greeting->version > SOURCE_MAX_VERSION)
        log_warning(
            "source %s speaks version %u of its protocol, newer than the %d known here; it was asked for %d",
            run->source_name, greeting->version, SOURCE_MAX_VERSION, SOURCE_MAX_VERSION);
    if (run_find_on_source(run))
        run_post(run, EVENT_GREETED);
}

static void on_phase_answered(bool ok, const char *text, void *arg)
{
    struct run *run = arg;
    struct error error = {0};
    if (!ok) {
        error_set(&error, ERROR_RETRY, "source %s refuses DFLY %s: %.200s", run->source_name,
                  run->session.state == SESSION_SYNC_SENT ? "SYNC" : "STARTSTABLE", text);
        run_session_over(run, EVENT_PHASE_REFUSED, &error);
        return;
    }
    run_post(run, EVENT_PHASE_OK);
    if (run->session.state == SESSION_SYNC_SENT && run->session.partial) {
        log_info("the source sends what the target lacks of its journal");
    } else if (run->session.state == SESSION_SYNC_SENT) {
        run->streamed = run->target_written = true;
        log_info("full sync: the source streams its snapshot on %u FLOW%s", run->flow_count,
                 run->flow_count == 1 ? "" : "s");
    }
}

/* Before the greeting: tries the next address at once. */
static void address_failed(struct run *run, const struct error *error)
{
    struct error all = *error;
    run->other.greeted = false; /* the next address follows already */
    if (addresses_next(&run->addresses, error, &all)) {
        run->cause = *error;
        run->next_address = true;
        run_post(run, EVENT_LINK_LOST);
    } else {
        run_round_ended(run);
        run_link_lost(run, &all);
    }
}

static void on_source_failed(const struct error *error, void *arg)
{
    struct run *run = arg;
    if (run->session.state == SESSION_CONNECTING || run->session.state == SESSION_HANDSHAKE)
        address_failed(run, error);
    else
        run_link_lost(run, error);
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
    run_leave_other_master(run);
    const struct uri *uri = addresses_current(&run->addresses, &error);
    if (!uri) {
        run_link_lost(run, &error);
        return;
    }
    uri_copy(&run->source_uri, uri);
    uri_display(uri, run->source_name, sizeof run->source_name);
    run->source =
        source_connect(run->base, run->settings, &run->source_uri, run->client_id, &callbacks, &error);
    if (!run->source)
        address_failed(run, &error);
}

/* Returns a unique number that grows, also over restarts of the supervisor. */
static uint64_t new_session_id(const struct run *run)
{
    uint64_t now = (uint64_t)clock_unix_ms() * 1000;
    return now > run->session_id ? now : run->session_id + 1;
}

void run_check_flows_answered(struct run *run)
{
    const struct session *s = &run->session;
    struct error error = {0};
    if (s->state != SESSION_FLOWS || s->full + s->partial != run->flow_count)
        return;
    if ((s->full && resume_ask_again(run, &error)) ||
        (s->partial == run->flow_count && resume_ask_to_be_sure(run, &error))) {
        run->other.asked_again = true;
        run_session_over(run, EVENT_FLOWS_AGAIN, &error);
    } else if ((s->full || !resume_is_sure(run, &error)) && run_pass_over(run, &error)) {
        run_session_over(run, EVENT_FLOWS_AGAIN, &error);
    } else if (s->full == run->flow_count) {
        if (run->flows[0].begin.lsn)
            resume_refused(run);
        run_post(run, EVENT_FLOWS_FULL);
    } else if (s->partial == run->flow_count && !resume_is_sure(run, &error)) {
        run_session_over(run, EVENT_FLOWS_MIXED, &error);
    } else if (s->partial == run->flow_count) {
        resume_granted(run);
        run_accept_master(run);
        run_post(run, s->sync_after_partial ? EVENT_FLOWS_BLOBS : EVENT_FLOWS_PARTIAL);
    } else {
        error_set(&error, ERROR_RETRY,
                  "source %s no longer has the journal that the target lacks, of %u of %u FLOWs",
                  run->source_name, s->full, run->flow_count);
        run_session_over(run, EVENT_FLOWS_MIXED, &error);
    }
}

static void on_flow_closed(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct flow *f = arg;
    struct error error = {0};
    error_set(&error, ERROR_RETRY, "source %s has closed FLOW %u", f->run->source_name, f->number);
    run_link_lost(f->run, &error);
}

static void on_flow_opened(uint32_t number, const struct flow_opened *opened, void *arg)
{
    struct run *run = arg;
    struct flow *f = &run->flows[number];
    flow_take_socket(f, opened, on_flow_closed);
    session_flow_answered(&run->session, f->full);
    run_check_flows_answered(run);
}

static void on_flow_open_failed(uint32_t number, const struct error *error, void *arg)
{
    (void)number;
    run_link_lost(arg, error);
}

static void start_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        struct error error = {0};
        if (!flow_worker_alive(f) &&
            !flow_start_worker(f, f->begin.lsn && !f->full ? START_PARTIAL : START_FULL, &error)) {
            run_link_lost(run, &error);
            return;
        }
    }
}

void run_open_flows(struct run *run)
{
    bool tls = run->settings->source.tls;
    uint32_t count = run->greeting.flow_count;
    run->flows = x_calloc(count, sizeof *run->flows);
    run->session_id = new_session_id(run);
    run->sessions++;
    flow_set_init(&run->snapshots_done, count);
    globals_init(&run->globals, count);
    session_flows_asked(&run->session, count);
    session_sync_after_partial(&run->session, resume_wants_sync(run));
    bool resume = resume_plan(run, count);
    struct flow_open_callbacks callbacks = {
        .arg = run, .opened = on_flow_opened, .failed = on_flow_open_failed};
    for (uint32_t i = 0; i < count; i++) {
        struct flow *f = &run->flows[i];
        flow_init(f, run, &run->flow_context, i);
        f->session = run->session_id;
        if (resume)
            resume_begin(run, f);
        f->progress_ms = clock_monotonic_ms();
    }
    run->flow_count = count;
    run_watch_source(run);
    if (tls) {
        /* (Without LSNs the target is not touched before it is prepared.) */
        if (resume)
            run_save_record(run, RUN_COPY_COMPLETE);
        /* TLS state cannot be handed over: each worker does its own handshake and reports FLOW_OPENED. */
        start_workers(run);
        return;
    }
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        struct error error = {0};
        struct buf asked = {0};
        if (f->begin.lsn)
            run_put_question(run, f, &asked);
        f->open = flow_open_start(run->base, run->settings, &run->source_uri, &run->greeting, i,
                                  buf_slice(&asked), &callbacks, &error);
        buf_free(&asked);
        if (!f->open) {
            run_link_lost(run, &error);
            return;
        }
    }
}

bool run_may_begin(struct run *run, uint64_t keys, const struct target_marks *marks, struct error *error)
{
    struct flush_facts facts;
    run_flush_facts(run, keys, marks, &facts);
    enum flush_verdict verdict = flush_guard(&facts);
    run->target_owned = verdict == FLUSH_NOT_NEEDED || verdict == FLUSH_NOW;
    if (verdict >= FLUSH_STOP)
        flush_guard_explain(verdict, &facts, run->settings, run->source_name, "", run->sync_reason, error);
    return verdict < FLUSH_STOP;
}

static enum target_order write_over(struct run *run, const struct flush_facts *facts)
{
    bool given = facts->resync == ON_FULL_RESYNC_KEEP || facts->resync == ON_FULL_RESYNC_PRUNE;
    run->copy.kept |= run->target_written && given;
    run->target_owned &= run->target_written && facts->holds > FLUSH_HOLDS_DONE;
    run->comparison.prunes = comparison_can_prune(run);
    run_save_record(run, RUN_COPY_PARTIAL);
    if (!run->target_written)
        return TARGET_CLAIM;
    if (run->comparison.prunes) {
        log_info(
            "a full sync over the keys the target %s has: those that the source lacks are removed after it",
            run->target_name);
        return TARGET_CLAIM;
    }
    log_warning(
        "a full sync over the keys the target %s has: what was deleted on the source meanwhile stays there",
        run->target_name);
    divergences_add(&run->divergences, 0, DIVERGENCE_RESYNC_KEPT, "full sync", "all keys", 1);
    return TARGET_CLAIM;
}

static enum target_order refuse_target(struct run *run, enum flush_verdict verdict,
                                       const struct flush_facts *facts)
{
    struct error error = {0};
    flush_guard_explain(verdict, facts, run->settings, run->source_name, run->copy.source, run->sync_reason,
                        &error);
    run_fatal(run, &error);
    return TARGET_LEAVE;
}

/* The record marks the copy as incomplete before the target is touched. */
static enum target_order on_decide(uint64_t keys, const struct target_marks *marks, void *arg)
{
    struct run *run = arg;
    struct flush_facts facts;
    run_flush_facts(run, keys, marks, &facts);
    enum flush_verdict verdict = flush_guard(&facts);
    run->copies_anew = run->comparison.prunes = false;
    if (verdict < FLUSH_STOP) /* the copy that begins is one of this history */
        run->role_changes = run->greeting.role_changes;
    switch (verdict) {
    case FLUSH_NOT_NEEDED:
        run->target_owned = true;
        run->copy.kept = false;
        run->copies_anew = true;
        return TARGET_CLAIM_EMPTY;
    case FLUSH_WRITE_OVER:
        return write_over(run, &facts);
    case FLUSH_NOW:
        INVARIANT(2.1, run->session.state == SESSION_PREPARING && !run->session.sync_sent);
        run->target_owned = true;
        run->copy.kept = false;
        run_save_record(run, RUN_COPY_PARTIAL);
        run->copies_anew = true;
        log_info("target %s: flushing it, %llu keys%s", run->target_name, (unsigned long long)keys,
                 run->target_written ? ", for the new full sync" : "");
        return TARGET_FLUSH;
    default:
        return refuse_target(run, verdict, &facts);
    }
}

static void on_target_ready(const struct capabilities *capabilities, void *arg)
{
    struct run *run = arg;
    (void)capabilities;
    if (run->copy.session != run->session_id)
        run_save_record(run, RUN_COPY_PARTIAL);
    if (run->copies_anew) {
        divergences_begin(&run->divergences);
        run_watch_target(run, false);
    } else if (run->comparison.prunes) {
        divergences_begin(&run->divergences); /* every key comes anew, and all of them are compared */
    }
    run_post(run, EVENT_TARGET_READY);
}

static void on_target_failed(const struct error *error, void *arg)
{
    if (error->class == ERROR_FATAL)
        run_fatal(arg, error);
    else
        run_link_lost(arg, error);
}

static void prepare_target(struct run *run)
{
    struct error error = {0};
    struct target_callbacks callbacks = {
        .arg = run, .decide = on_decide, .done = on_target_ready, .failed = on_target_failed};
    target_free(run->target_job);
    run->target_job = target_start(run->base, run->settings, TARGET_PREPARE, run->session_id,
                                   &run->target_nodes, &callbacks, &error);
    if (!run->target_job)
        run_link_lost(run, &error);
}

/* Every FLOW is FULL: without a flush, keys that were deleted on the source since would stay for ever. */
void run_prepare_target(struct run *run)
{
    struct error error = {0};
    if (!*run->sync_reason)
        snprintf(run->sync_reason, sizeof run->sync_reason, "first start");
    size_t count;
    const uint32_t *databases = source_databases(run->source, &count);
    uint32_t has = run->target.cluster ? 1 : run->target.databases_told ? run->target.databases : UINT32_MAX;
    if (!run->settings->target.null_sink &&
        !databases_fit(run->settings, databases, count, run->source_name, has, run->target.cluster, &error)) {
        run_fatal(run, &error);
        return;
    }
    log_info("full sync: %s", run->sync_reason);
    if (run->settings->target.null_sink)
        run_post(run, EVENT_TARGET_READY);
    else
        prepare_target(run);
}

void run_begin_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        const struct flow *f = &run->flows[i];
        INVARIANT(1.2, f->answered && (f->full || f->begin.lsn));
        flow_open_free(run->flows[i].open);
        run->flows[i].open = NULL;
    }
    target_free(run->target_job);
    run->target_job = NULL;
    if (run->session.state == SESSION_WORKERS_PARTIAL || run->session.state == SESSION_WORKERS_BLOBS) {
        log_info("no full sync: %s", run->sync_reason);
        run_save_record(run, RUN_COPY_COMPLETE);
    }
    if (run->settings->source.tls)
        run_post(run, EVENT_WORKERS_READY);
    else
        start_workers(run);
}
