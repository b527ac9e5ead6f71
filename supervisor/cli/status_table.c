/* The status document as a table. */
#include <string.h>
#include <sysexits.h>

#include "common/base/size_text.h"
#include "supervisor/cli/status.h"
#include "supervisor/observe/json.h"
#include "supervisor/run/totals.h"

enum { ADVICE_COLUMNS = 118 }; /* as wide as the table */

static void print_duration(uint64_t ms, FILE *out)
{
    uint64_t s = ms / 1000;
    if (s >= 86400)
        fprintf(out, "%llu d ", (unsigned long long)(s / 86400));
    fprintf(out, "%02llu:%02llu:%02llu", (unsigned long long)(s / 3600 % 24),
            (unsigned long long)(s / 60 % 60), (unsigned long long)(s % 60));
}

static void print_flow(const cJSON *flow, FILE *out)
{
    char rate[40];
    snprintf(rate, sizeof rate, "%s/s", size_text(json_u64(flow, "rate_bytes")));
    fprintf(out, "%4llu %7llu %-13s %10s %10s %12s %9llu %10s %7.1f %10s %8llu\n",
            (unsigned long long)json_u64(flow, "id"), (unsigned long long)json_u64(flow, "pid"),
            json_text(flow, "phase"), size_text(json_u64(flow, "received_bytes")),
            size_text(json_u64(flow, "applied_bytes")), rate,
            (unsigned long long)json_u64(flow, json_u64(flow, "lsn_source") ? "lag_source" : "lag_entries"),
            size_text(json_u64(flow, "lag_bytes")), (double)json_u64(flow, "lag_ms") / 1000.0,
            size_text(json_u64(flow, "spool_bytes")), (unsigned long long)json_u64(flow, "restarts"));
}

/* Prints nothing without suspects. */
static void print_suspects(const cJSON *status, FILE *out)
{
    const cJSON *s = cJSON_GetObjectItem(status, "suspects");
    uint64_t pending = json_u64(s, "pending"), equal = json_u64(s, "equal"), healed = json_u64(s, "healed"),
             permanent = json_u64(s, "permanent"), unknown = json_u64(s, "unknown");
    if (pending + equal + healed + permanent + unknown)
        fprintf(out, "suspects: %llu pending, %llu equal, %llu healed, %llu permanent, %llu unknown\n",
                (unsigned long long)pending, (unsigned long long)equal, (unsigned long long)healed,
                (unsigned long long)permanent, (unsigned long long)unknown);
}

void status_print_divergences(const cJSON *status, FILE *out)
{
    const cJSON *one, *counts = cJSON_GetObjectItem(status, "divergences");
    print_suspects(status, out);
    if (cJSON_GetArraySize(counts) == 0) {
        fputs("divergences: none\n", out);
        return;
    }
    fputs("divergences: these are not, or not exactly, on the target\n", out);
    cJSON_ArrayForEach(one, counts)
    {
        fprintf(out, "  %-28s %12.0f", one->string, one->valuedouble);
        const cJSON *example, *examples = cJSON_GetObjectItem(status, "divergence_examples");
        cJSON_ArrayForEach(example, examples)
        {
            if (strcmp(json_text(example, "reason"), one->string) == 0) {
                fprintf(out, "  as %s %s", json_text(example, "command"), json_text(example, "key"));
                break;
            }
        }
        fputc('\n', out);
    }
}

static void print_round_trip(const char *side, uint64_t us, FILE *out)
{
    if (us)
        fprintf(out, "%s %.1f ms", side, (double)us / 1000.0);
    else
        fprintf(out, "%s not known", side);
}

/* For a cluster: the slowest round trip, and the sums. */
static void print_targets(const cJSON *status, FILE *out)
{
    const cJSON *one, *targets = cJSON_GetObjectItem(status, "targets");
    uint64_t rtt_us = 0, used = 0, evicted = 0;
    cJSON_ArrayForEach(one, targets)
    {
        rtt_us = json_u64(one, "rtt_us") > rtt_us ? json_u64(one, "rtt_us") : rtt_us;
        used += json_u64(one, "used_memory_bytes");
        evicted += json_u64(one, "evicted_keys");
    }
    if (!cJSON_GetArraySize(targets))
        return;
    fputs("answers  ", out);
    print_round_trip("source", json_u64(status, "source_rtt_us"), out);
    print_round_trip(", target", rtt_us, out);
    if (used)
        fprintf(out, "; target's memory %s, %llu keys evicted", size_text(used), (unsigned long long)evicted);
    fputc('\n', out);
    cJSON_ArrayForEach(one, targets)
    {
        const char *trouble = json_text(one, "trouble");
        if (strncmp(trouble, "target: ", 8) == 0)
            trouble += 8;
        if (*trouble)
            fprintf(out, "beware   target %s: %s\n", json_text(one, "address"), trouble);
        if (json_is_true(one, "evicts"))
            fprintf(out,
                    "beware   target %s evicts keys at %s: set its maxmemory-policy to noeviction (now %s)\n",
                    json_text(one, "address"), size_text(json_u64(one, "maxmemory_bytes")),
                    json_text(one, "maxmemory_policy"));
    }
}

/* Prints nothing if none was ordered. */
static void print_cutover(const cJSON *status, FILE *out)
{
    const cJSON *c = cJSON_GetObjectItem(status, "cutover");
    if (!c)
        return;
    if (*json_text(c, "outcome"))
        fprintf(out, "cut-over %s: %s\n", json_text(c, "outcome"), json_text(c, "text"));
    else
        fprintf(out, "cut-over %s, then %s; writes on the source %s for %.1f s, at most %.1f s more\n",
                json_text(c, "state"), json_text(c, "then"),
                json_u64(c, "pause_left_ms") ? "are paused" : "were paused",
                (double)json_u64(c, "paused_ms") / 1000.0, (double)json_u64(c, "pause_left_ms") / 1000.0);
}

static void print_verify(const cJSON *verify, FILE *out)
{
    uint64_t to_scan = json_u64(verify, "to_scan"), scanned = json_u64(verify, "scanned");
    if (!verify)
        return;
    fprintf(out, "verify   %s, ",
            json_is_true(verify, "interrupted") ? "interrupted" : json_text(verify, "phase"));
    if (!json_is_true(verify, "ended") && to_scan)
        fprintf(out, "%.0f %%, ", scanned < to_scan ? (double)scanned * 100 / (double)to_scan : 99);
    fprintf(out, "%llu keys, %llu different, %llu repaired, %llu undecided\n",
            (unsigned long long)json_u64(verify, "keys"), (unsigned long long)json_u64(verify, "different"),
            (unsigned long long)json_u64(verify, "repaired"),
            (unsigned long long)json_u64(verify, "undecided"));
}

void status_print_head(const cJSON *status, FILE *out)
{
    fprintf(out, "run %s (%s, pid %llu): %s for ", json_text(status, "name"), json_text(status, "mode"),
            (unsigned long long)json_u64(status, "pid"), json_text(status, "phase"));
    print_duration(json_u64(status, "phase_ms"), out);
    fprintf(out, ", %s%s\n", json_is_true(status, "in_step") ? "in step" : "not in step",
            json_is_true(status, "degraded") ? ", DEGRADED" : "");
    if (*json_text(status, "in_step_reason") && strcmp(json_text(status, "phase"), "stable") == 0)
        fprintf(out, "because  %s\n", json_text(status, "in_step_reason"));
    fprintf(out, "source   %s\ntarget   %s\nstarted  %s, up ", json_text(status, "source"),
            json_text(status, "target"), json_text(status, "started"));
    print_duration(json_u64(status, "uptime_ms"), out);
    fprintf(out, ", session %llu\n", (unsigned long long)json_u64(status, "sessions"));
    print_targets(status, out);
    print_verify(cJSON_GetObjectItem(status, "verify"), out);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    if (sync && *json_text(sync, "reason"))
        fprintf(out, "begun    by %s sync: %s\n", json_text(sync, "kind"), json_text(sync, "reason"));
    if (cJSON_GetObjectItem(status, "retry_in_ms"))
        fprintf(out, "waiting  %.1f s to the next attempt: %s\n",
                (double)json_u64(status, "retry_in_ms") / 1000.0, json_text(status, "waiting_because"));
    print_cutover(status, out);
}

void status_print(const cJSON *status, FILE *out)
{
    const cJSON *flow, *flows = cJSON_GetObjectItem(status, "flows");
    status_print_head(status, out);
    if (cJSON_GetArraySize(flows))
        fprintf(out, "\n%4s %7s %-13s %10s %10s %12s %9s %10s %7s %10s %8s\n", "FLOW", "PID", "PHASE",
                "RECEIVED", "APPLIED", "RATE", "LAG: NO.", "BYTES", "SECONDS", "SPOOL", "RESTARTS");
    cJSON_ArrayForEach(flow, flows)
    {
        print_flow(flow, out);
    }
    if (cJSON_GetArraySize(flows))
        fputc('\n', out);
    status_print_divergences(status, out);
    status_print_advice(status, ADVICE_COLUMNS, out);
}
