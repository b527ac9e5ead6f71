/* A status document as Prometheus text (version 0.0.4): base units, and _total for counters. A FLOW's counters begin at
 * 0 with each session; rate() treats that as a restart. */
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/ipc/cursor.h"
#include "supervisor/observe/http.h"
#include "supervisor/observe/json.h"
#include "supervisor/observe/proc_stat.h"

struct flow_metric {
    const char *name, *type, *field;
    double unit; /* the field's unit in the metric's */
    const char *help;
};

static const struct flow_metric flow_metrics[] = {
    {"received_bytes_total", "counter", "received_bytes", 1,
     "Bytes received from the source in this session"},
    {"applied_bytes_total", "counter", "applied_bytes", 1,
     "Bytes of the stream that the target has acknowledged"},
    {"entries_total", "counter", "entries", 1, "Entries of the stream applied"},
    {"keys_total", "counter", "keys", 1, "Keys of the snapshot applied"},
    {"commands_total", "counter", "commands", 1, "Commands acknowledged by the target"},
    {"errors_total", "counter", "errors", 1, "Errors that ended a worker"},
    {"target_waits_total", "counter", "target_waits", 1, "How often the target had to be waited for"},
    {"restarts_total", "counter", "restarts", 1, "Restarts of the worker"},
    {"source_lsn", "gauge", "lsn_source", 1,
     "Next journal entry of the shard, as the source says; 0 when not known"},
    {"source_lag_entries", "gauge", "lag_source", 1, "Entries that the source has and the target lacks"},
    {"received_lsn", "gauge", "lsn_received", 1, "Next journal entry expected after all that is decoded"},
    {"applied_lsn", "gauge", "lsn_applied", 1, "Next journal entry wanted after all that is applied"},
    {"acknowledged_lsn", "gauge", "lsn_acknowledged", 1, "Journal position the source was told"},
    {"lag_entries", "gauge", "lag_entries", 1, "Entries decoded but not applied"},
    {"lag_bytes", "gauge", "lag_bytes", 1, "Bytes received but not applied"},
    {"lag_seconds", "gauge", "lag_ms", 1e-3, "How long the oldest byte not applied has waited"},
    {"spool_bytes", "gauge", "spool_bytes", 1, "Bytes kept because they are not applied"},
    {"spool_overflow_bytes", "gauge", "spool_overflow_bytes", 1,
     "Part of the spool that is in overflow files"},
    {"snapshot_expected_keys", "gauge", "snapshot_total_keys", 1, "Keys the snapshot has, 0 when not known"},
};

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP df2redis_%s %s.\n# TYPE df2redis_%s %s\n", name, help, name, type);
}

static void put_value(struct buf *out, double value)
{
    buf_printf(out, value == floor(value) && fabs(value) < 9e15 ? " %.0f\n" : " %.14g\n", value);
}

static void put_single(struct buf *out, const char *name, const char *type, double value, const char *help)
{
    put_head(out, name, type, help);
    buf_printf(out, "df2redis_%s", name);
    put_value(out, value);
}

static void put_label(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "{%s=\"", name);
    for (; *value; value++)
        if (*value == '"' || *value == '\\')
            buf_printf(out, "\\%c", *value);
        else
            buf_printf(out, *value == '\n' ? "\\n" : "%c", *value);
    buf_printf(out, "\"}");
}

static void put_flow_value(struct buf *out, const char *name, const cJSON *flow, double value)
{
    buf_printf(out, "df2redis_flow_%s{flow=\"%.0f\"}", name, json_number(flow, "id"));
    put_value(out, value);
}

static void put_run(const cJSON *status, struct buf *out)
{
    static const char *const phases[] = {"connecting", "handshake", "flows",   "full-sync", "barrier",
                                         "stable",     "draining",  "stopped", "failed",    NULL};
    put_head(out, "build_info", "gauge", "Always 1; the version stands in the label");
    buf_printf(out, "df2redis_build_info{version=\"%s\"} 1\n", DF2REDIS_VERSION);
    put_single(out, "in_step", "gauge", json_is_true(status, "in_step"),
               "Whether the target has what the source has");
    put_single(out, "source_round_trip_seconds", "gauge", json_number(status, "source_rtt_us") / 1e6,
               "Time to the source's answer to DFLY REPLICAOFFSET, 0 when not known");
    put_single(out, "degraded", "gauge", json_is_true(status, "degraded"), "Whether a FLOW was given up");
    put_single(out, "sessions_total", "counter", json_number(status, "sessions"),
               "Sessions with the source that were begun");
    put_single(out, "flows", "gauge", cJSON_GetArraySize(cJSON_GetObjectItem(status, "flows")),
               "FLOWs of the source");
    put_head(out, "phase", "gauge", "1 for the phase that the run is in");
    for (const char *const *p = phases; *p; p++) {
        buf_printf(out, "df2redis_phase");
        put_label(out, "phase", *p);
        put_value(out, strcmp(*p, json_text(status, "phase")) == 0);
    }
    put_head(out, "divergences_total", "counter",
             "What could not be carried over, by reason: each command and key once");
    const cJSON *one;
    cJSON_ArrayForEach(one, cJSON_GetObjectItem(status, "divergences"))
    {
        buf_printf(out, "df2redis_divergences_total");
        put_label(out, "reason", one->string);
        put_value(out, one->valuedouble);
    }
}

/* Of the cut-over that is under way, or the last one. */
static void put_cutover(const cJSON *status, struct buf *out)
{
    const cJSON *cutover = cJSON_GetObjectItem(status, "cutover");
    put_single(out, "cutover_under_way", "gauge", cutover && !*json_text(cutover, "outcome"),
               "Whether a cut-over is being carried out");
    put_single(out, "cutover_paused_seconds", "gauge", json_number(cutover, "paused_ms") / 1e3,
               "For how long it has held back writes on the source");
}

/* Of the verification that runs, or the last one. */
static void put_verify(const cJSON *status, struct buf *out)
{
    static const struct {
        const char *label, *field;
    } outcomes[] = {{"compared", "keys"},
                    {"different", "different"},
                    {"repaired", "repaired"},
                    {"undecided", "undecided"},
                    {"incomparable", "incomparable"}};
    const cJSON *verify = cJSON_GetObjectItem(status, "verify");
    put_single(out, "verify_under_way", "gauge",
               verify && !json_is_true(verify, "ended") && !json_is_true(verify, "interrupted"),
               "Whether df2redis verify compares the keys");
    put_single(out, "verify_expected_names", "gauge", json_number(verify, "to_scan"),
               "Names that it reads, of both sides, as counted at its beginning");
    put_single(out, "verify_scanned_names", "gauge", json_number(verify, "scanned"),
               "How many of them it has read");
    put_head(out, "verify_keys", "gauge", "Keys, by what it found");
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        buf_printf(out, "df2redis_verify_keys");
        put_label(out, "outcome", outcomes[i].label);
        put_value(out, json_number(verify, outcomes[i].field));
    }
}

static void put_suspects(const cJSON *status, struct buf *out)
{
    static const char *const ends[] = {"equal", "healed", "permanent", "unknown", NULL};
    const cJSON *suspects = cJSON_GetObjectItem(status, "suspects");
    put_single(out, "suspects_pending", "gauge", json_number(suspects, "pending"),
               "Suspect keys that are still to be compared with the source's");
    put_single(out, "suspects_perhaps", "gauge", json_number(suspects, "perhaps"),
               "Those of them that are only perhaps not as on the source");
    put_head(out, "suspects_total", "counter", "Suspect keys that were compared, by what came of it");
    for (const char *const *end = ends; *end; end++) {
        buf_printf(out, "df2redis_suspects_total");
        put_label(out, "outcome", *end);
        put_value(out, json_number(suspects, *end));
    }
}

/* Of each master of the target that has answered. */
static const struct flow_metric target_metrics[] = {
    {"round_trip_seconds", "gauge", "rtt_us", 1e-6, "Time to the answer to INFO"},
    {"evicted_keys_total", "counter", "evicted_keys", 1,
     "Keys evicted by the target since the run first saw it"},
    {"used_memory_bytes", "gauge", "used_memory_bytes", 1, "Memory that the target uses"},
    {"maxmemory_bytes", "gauge", "maxmemory_bytes", 1, "Its maxmemory, 0: none"},
    {"evicts", "gauge", "evicts", 1, "1 when it evicts keys at its maxmemory"},
};

static void put_targets(const cJSON *targets, struct buf *out)
{
    const cJSON *one;
    for (size_t i = 0; i < sizeof target_metrics / sizeof *target_metrics; i++) {
        const struct flow_metric *m = &target_metrics[i];
        char name[80];
        snprintf(name, sizeof name, "target_%s", m->name);
        put_head(out, name, m->type, m->help);
        cJSON_ArrayForEach(one, targets)
        {
            const cJSON *value = cJSON_GetObjectItem(one, m->field);
            if (!value)
                continue;
            buf_printf(out, "df2redis_%s", name);
            put_label(out, "target", json_text(one, "address"));
            put_value(out, cJSON_IsTrue(value) ? 1 : json_number(one, m->field) * m->unit);
        }
    }
}

static void put_flows(const cJSON *flows, struct buf *out)
{
    const cJSON *flow;
    for (size_t i = 0; i < sizeof flow_metrics / sizeof *flow_metrics; i++) {
        const struct flow_metric *m = &flow_metrics[i];
        char name[80];
        snprintf(name, sizeof name, "flow_%s", m->name);
        put_head(out, name, m->type, m->help);
        cJSON_ArrayForEach(flow, flows)
        {
            put_flow_value(out, m->name, flow, json_number(flow, m->field) * m->unit);
        }
    }
    put_head(out, "flow_last_received_timestamp_seconds", "gauge", "When something was last received");
    cJSON_ArrayForEach(flow, flows)
    {
        if (json_number(flow, "received_bytes") > 0)
            put_flow_value(out, "last_received_timestamp_seconds", flow,
                           ((double)clock_unix_ms() - json_number(flow, "idle_ms")) / 1000);
    }
}

static void put_histograms(const cJSON *flows, struct buf *out)
{
    const cJSON *flow;
    put_head(out, "flow_batch_duration_seconds", "histogram", "From sending a batch to the target's answer");
    cJSON_ArrayForEach(flow, flows)
    {
        const cJSON *counts = cJSON_GetObjectItem(flow, "batch_histogram");
        double below = 0, id = json_number(flow, "id");
        for (int i = 0; i < CURSOR_BATCH_BUCKETS; i++) {
            const cJSON *count = cJSON_GetArrayItem(counts, i);
            char bound[32] = "+Inf";
            below += cJSON_IsNumber(count) ? count->valuedouble : 0;
            if (i + 1 < CURSOR_BATCH_BUCKETS)
                snprintf(bound, sizeof bound, "%g", (double)cursor_batch_bounds_us[i] / 1e6);
            buf_printf(out, "df2redis_flow_batch_duration_seconds_bucket{flow=\"%.0f\",le=\"%s\"}", id,
                       bound);
            put_value(out, below);
        }
        put_flow_value(out, "batch_duration_seconds_sum", flow, json_number(flow, "batch_us_total") / 1e6);
        put_flow_value(out, "batch_duration_seconds_count", flow, below);
    }
}

static void put_workers(const cJSON *flows, struct buf *out)
{
    static const char cpu[] = "worker_cpu_seconds_total", memory[] = "worker_resident_memory_bytes";
    struct process_figures p;
    const cJSON *flow;
    put_head(out, "flow_worker_cpu_seconds_total", "counter", "CPU time of the FLOW's present worker");
    cJSON_ArrayForEach(flow, flows)
    {
        if (process_figures_of((long)json_number(flow, "pid"), &p))
            put_flow_value(out, cpu, flow, p.cpu_seconds);
    }
    put_head(out, "flow_worker_resident_memory_bytes", "gauge", "Memory of the FLOW's present worker");
    cJSON_ArrayForEach(flow, flows)
    {
        if (process_figures_of((long)json_number(flow, "pid"), &p))
            put_flow_value(out, memory, flow, p.resident_bytes);
    }
}

static void put_process_figure(struct buf *out, const char *name, const char *type, double value,
                               const char *help)
{
    buf_printf(out, "# HELP process_%s %s.\n# TYPE process_%s %s\nprocess_%s", name, help, name, type, name);
    put_value(out, value);
}

/* The metrics' names are those of Prometheus's client libraries. */
static void put_process(struct buf *out)
{
    struct process_figures p;
    struct rlimit files;
    if (!process_figures_of((long)getpid(), &p))
        return;
    put_process_figure(out, "cpu_seconds_total", "counter", p.cpu_seconds, "CPU time of the supervisor");
    put_process_figure(out, "resident_memory_bytes", "gauge", p.resident_bytes, "Memory of the supervisor");
    put_process_figure(out, "virtual_memory_bytes", "gauge", p.virtual_bytes,
                       "Address space of the supervisor");
    put_process_figure(out, "start_time_seconds", "gauge", p.start_unix_seconds,
                       "When the supervisor started");
    put_process_figure(out, "open_fds", "gauge", p.open_files, "Open file descriptors of the supervisor");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put_process_figure(out, "max_fds", "gauge", (double)files.rlim_cur, "How many it may open");
}

void metrics_write(const cJSON *status, struct buf *out)
{
    const cJSON *flows = cJSON_GetObjectItem(status, "flows");
    put_run(status, out);
    put_suspects(status, out);
    put_cutover(status, out);
    put_verify(status, out);
    put_targets(cJSON_GetObjectItem(status, "targets"), out);
    put_flows(flows, out);
    put_histograms(flows, out);
    put_workers(flows, out);
    put_process(out);
}
