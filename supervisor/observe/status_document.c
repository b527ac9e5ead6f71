/* The status document, and the summary at the end of a run.
 *
 * 64-bit counts are JSON numbers: exact up to 2^53, more than any count reaches. */
#include "supervisor/observe/status_document.h"

#include <stdio.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "common/base/version.h"
#include "common/log/log.h"
#include "supervisor/cutover/cutover.h"
#include "supervisor/observe/verify_status.h"
#include "supervisor/run/run.h"
#include "supervisor/run/totals.h"

enum { SUMMARY_EXAMPLES = 3, STATUS_EXAMPLES = 10 };

static void put_number(cJSON *object, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(object, name, (double)value);
}

static uint64_t difference_or_zero(uint64_t larger, uint64_t smaller)
{
    return larger > smaller ? larger - smaller : 0;
}

static const char *flow_phase(const struct flow *f, const struct cursor_marks *m)
{
    if (f->failed)
        return cursor_phase_name(CURSOR_FAILED);
    return cursor_phase_name(m ? (enum cursor_phase)cursor_get(&m->phase) : CURSOR_STARTING);
}

static void add_histogram(cJSON *json, const struct cursor_marks *m)
{
    cJSON *counts = cJSON_AddArrayToObject(json, "batch_histogram");
    for (size_t i = 0; i < CURSOR_BATCH_BUCKETS; i++)
        cJSON_AddItemToArray(counts, cJSON_CreateNumber((double)cursor_get(&m->batch_buckets[i])));
}

static cJSON *flow_status(struct flow *f, uint64_t now_ms)
{
    static const struct cursor_marks none;
    const struct cursor_marks *m = flow_marks(f);
    cJSON *json = cJSON_CreateObject();
    put_number(json, "id", f->number);
    put_number(json, "pid", (uint64_t)f->worker.pid);
    cJSON_AddStringToObject(json, "phase", flow_phase(f, m));
    if (!m)
        m = &none;
    uint64_t received = cursor_get(&m->received_offset), applied = cursor_done_offset(m);
    uint64_t received_ms = cursor_get(&m->last_received_ms), waiting_ms = cursor_get(&m->waiting_since_ms);
    uint64_t batches = cursor_get(&m->batches);
    put_number(json, "received_bytes", received);
    put_number(json, "applied_bytes", applied);
    put_number(json, "entries", cursor_get(&m->entries));
    put_number(json, "keys", cursor_get(&m->keys));
    put_number(json, "commands", cursor_get(&m->commands));
    put_number(json, "lsn_received", cursor_get(&m->received_lsn));
    put_number(json, "lsn_applied", flow_applied_lsn(f));
    put_number(json, "lsn_acknowledged", f->ack.sent_lsn);
    uint64_t source_lsn = run_source_lsn(f->run, f->number);
    put_number(json, "lsn_source", source_lsn);
    put_number(json, "lag_source", m == &none ? 0 : difference_or_zero(source_lsn, flow_applied_lsn(f)));
    put_number(json, "lag_entries", difference_or_zero(cursor_get(&m->decoded_seq), cursor_done_seq(m)));
    put_number(json, "lag_bytes", difference_or_zero(received, applied));
    put_number(json, "lag_ms", waiting_ms ? difference_or_zero(now_ms, waiting_ms) : 0);
    put_number(json, "rate_bytes", f->rate_bytes);
    put_number(json, "spool_bytes", cursor_get(&m->spool_bytes));
    put_number(json, "spool_overflow_bytes", cursor_get(&m->spool_overflow_bytes));
    put_number(json, "snapshot_total_keys", totals_expected_keys(f->run));
    put_number(json, "restarts", f->restarts);
    put_number(json, "idle_ms", received_ms ? difference_or_zero(now_ms, received_ms) : 0);
    put_number(json, "batches", batches);
    put_number(json, "batch_us_total", cursor_get(&m->batch_micros));
    add_histogram(json, m);
    put_number(json, "batch_us", batches ? cursor_get(&m->batch_micros) / batches : 0);
    put_number(json, "target_waits", cursor_get(&m->target_waits));
    cJSON_AddBoolToObject(json, "in_contact", cursor_get(&m->in_contact) != 0);
    put_number(json, "errors", cursor_get(&m->errors));
    return json;
}

static void add_divergences(cJSON *json, const struct divergences *d)
{
    cJSON *counts = cJSON_AddObjectToObject(json, "divergences");
    cJSON *examples = cJSON_AddArrayToObject(json, "divergence_examples");
    for (size_t i = 0; i < d->reason_count; i++) {
        const struct divergence *one = &d->list[i];
        put_number(counts, one->reason, one->count);
        for (size_t j = 0; j < one->example_count && j < STATUS_EXAMPLES; j++) {
            cJSON *example = cJSON_CreateObject();
            cJSON_AddStringToObject(example, "reason", one->reason);
            cJSON_AddStringToObject(example, "command", one->examples[j].command);
            cJSON_AddStringToObject(example, "key", one->examples[j].key);
            put_number(example, "flow", one->examples[j].flow);
            cJSON_AddItemToArray(examples, example);
        }
    }
}

static void add_suspects(cJSON *json, struct run *run)
{
    struct totals t;
    cJSON *suspects = cJSON_AddObjectToObject(json, "suspects");
    totals_of(run, clock_monotonic_ms(), &t);
    totals_add(&t, &run->past);
    put_number(suspects, "pending", t.suspects_pending);
    put_number(suspects, "perhaps", t.suspects_perhaps);
    put_number(suspects, "equal", t.suspects_equal);
    put_number(suspects, "healed", t.suspects_healed);
    put_number(suspects, "permanent", t.suspects_permanent);
    put_number(suspects, "unknown", t.suspects_unknown);
}

static void add_time(cJSON *json, const char *name, int64_t unix_ms)
{
    char text[40];
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    cJSON_AddStringToObject(json, name, text);
}

cJSON *run_status(struct run *run)
{
    uint64_t now_ms = clock_monotonic_ms();
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", run->settings->name);
    cJSON_AddStringToObject(json, "mode", run->settings->migrate ? "migrate" : "replicate");
    cJSON_AddStringToObject(json, "version", DF2REDIS_VERSION);
    put_number(json, "pid", (uint64_t)getpid());
    cJSON_AddStringToObject(json, "phase", session_phase_name(run->session.state));
    put_number(json, "phase_ms", now_ms - run->state_ms);
    cJSON_AddStringToObject(json, "source", run->source_name);
    cJSON_AddStringToObject(json, "target", run->target_name);
    cJSON_AddStringToObject(json, "master_id", run->greeting.master_id);
    add_time(json, "started", run->started_unix_ms);
    put_number(json, "uptime_ms", now_ms - run->started_ms);
    put_number(json, "sessions", run->sessions);
    cJSON *sync = cJSON_AddObjectToObject(json, "last_sync");
    cJSON_AddStringToObject(
        sync, "kind", run->flow_count && run->flows[0].answered && !run->flows[0].full ? "partial" : "full");
    cJSON_AddStringToObject(sync, "reason", run->sync_reason);
    if (run->session.state == SESSION_WAITING) {
        put_number(json, "retry_in_ms", difference_or_zero(run->retry_due_ms, now_ms));
        cJSON_AddStringToObject(json, "waiting_because", run->cause.text);
    }
    cJSON_AddBoolToObject(json, "spool_full", run->spool_full);
    cJSON *flows = cJSON_AddArrayToObject(json, "flows");
    for (uint32_t i = 0; i < run->flow_count; i++)
        cJSON_AddItemToArray(flows, flow_status(&run->flows[i], now_ms));
    cJSON_AddItemToObject(json, "throughput_bytes", throughput_list(&run->throughput));
    add_divergences(json, &run->divergences);
    add_suspects(json, run);
    cJSON_AddBoolToObject(json, "degraded", run_failed_flows(run) > 0);
    char reason[IN_STEP_REASON_BYTES];
    uint64_t age_ms;
    bool in_step = run_in_step(run, &age_ms, reason, sizeof reason);
    cJSON_AddItemToObject(json, "targets", target_watch_status(run->target_watch, now_ms));
    cJSON *cutover = cutover_status(run->cutover);
    if (cutover)
        cJSON_AddItemToObject(json, "cutover", cutover);
    put_number(json, "source_rtt_us", source_watch_rtt_us(run->source_watch));
    cJSON_AddBoolToObject(json, "in_step", in_step);
    if (in_step)
        put_number(json, "in_step_age_ms", age_ms);
    else
        cJSON_AddStringToObject(json, "in_step_reason", reason);
    cJSON *verified = run->dir.path ? verify_status(run->dir.path) : NULL;
    if (verified)
        cJSON_AddItemToObject(json, "verify", verified);
    return json;
}

void run_summary(struct run *run)
{
    struct totals t;
    uint64_t now_ms = clock_monotonic_ms();
    totals_of(run, now_ms, &t);
    totals_add(&t, &run->past);
    const struct divergences *d = &run->divergences;
    log_info("%s: %llu keys of the snapshot read, %llu commands written, %s received, %.1f s, %u session%s, "
             "%llu worker restart%s",
             run->session.state == SESSION_FAILED ? "failed"
             : run->exit_code == EX_DATAERR       ? "completed with divergences"
             : run->exit_code                     ? "stopped"
                                                  : "completed",
             (unsigned long long)t.keys, (unsigned long long)t.commands, size_text(t.received_bytes),
             (double)(now_ms - run->started_ms) / 1000.0, run->sessions, run->sessions == 1 ? "" : "s",
             (unsigned long long)t.restarts, t.restarts == 1 ? "" : "s");
    if (run_failed_flows(run))
        log_error("degraded: %u of %u FLOWs were given up", run_failed_flows(run), run->flow_count);
    if (t.suspects_healed)
        log_info("%llu suspect key%s not as on the source, and healed (divergences.log)",
                 (unsigned long long)t.suspects_healed, t.suspects_healed == 1 ? " was" : "s were");
    if (t.suspects_pending)
        log_warning(
            "%llu suspect key%s not compared with the source's yet (%llu of them may well be right): the "
            "next run does it",
            (unsigned long long)t.suspects_pending, t.suspects_pending == 1 ? " was" : "s were",
            (unsigned long long)t.suspects_perhaps);
    if (t.suspects_unknown)
        log_warning("%llu key%s perhaps not as on the source, and could not be compared: see df2redis(1), "
                    "DIVERGENCES",
                    (unsigned long long)t.suspects_unknown, t.suspects_unknown == 1 ? " is" : "s are");
    if (d->total)
        log_warning(
            "%llu divergence%s: these are not, or not exactly, on the target; see divergences.log and "
            "df2redis(1), DIVERGENCES",
            (unsigned long long)d->total, d->total == 1 ? "" : "s");
    for (size_t i = 0; i < d->reason_count; i++) {
        const struct divergence *one = &d->list[i];
        struct buf names = {0};
        for (size_t j = 0; j < one->example_count && j < SUMMARY_EXAMPLES; j++)
            buf_printf(&names, "%s %s %s", j ? "," : "", one->examples[j].command, one->examples[j].key);
        log_write_always(LOG_LEVEL_WARNING, "  %s: %llu, as%.*s%s", one->reason,
                         (unsigned long long)one->count, (int)names.len, (const char *)names.data,
                         one->example_count > SUMMARY_EXAMPLES ? ", … (see divergences.log)" : "");
        buf_free(&names);
    }
}
