/* The status document as a table. */
#include <string.h>
#include <sysexits.h>

#include "common/base/size_text.h"
#include "supervisor/cli/status.h"
#include "supervisor/run/totals.h"

enum { ADVICE_COLUMNS = 118 }; /* as wide as the table */

static const char *text_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static uint64_t number_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);
    return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}

static bool true_of(const cJSON *json, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItem(json, name));
}

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
    snprintf(rate, sizeof rate, "%s/s", size_text(number_of(flow, "rate_bytes")));
    fprintf(out, "%4llu %7llu %-13s %10s %10s %12s %9llu %10s %7.1f %10s %8llu\n",
            (unsigned long long)number_of(flow, "id"), (unsigned long long)number_of(flow, "pid"),
            text_of(flow, "phase"), size_text(number_of(flow, "received_bytes")),
            size_text(number_of(flow, "applied_bytes")), rate,
            (unsigned long long)number_of(flow, number_of(flow, "lsn_source") ? "lag_source" : "lag_entries"),
            size_text(number_of(flow, "lag_bytes")), (double)number_of(flow, "lag_ms") / 1000.0,
            size_text(number_of(flow, "spool_bytes")), (unsigned long long)number_of(flow, "restarts"));
}

/* Prints nothing without suspects. */
static void print_suspects(const cJSON *status, FILE *out)
{
    const cJSON *s = cJSON_GetObjectItem(status, "suspects");
    uint64_t pending = number_of(s, "pending"), equal = number_of(s, "equal"),
             healed = number_of(s, "healed"), permanent = number_of(s, "permanent"),
             unknown = number_of(s, "unknown");
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
            if (strcmp(text_of(example, "reason"), one->string) == 0) {
                fprintf(out, "  as %s %s", text_of(example, "command"), text_of(example, "key"));
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
        rtt_us = number_of(one, "rtt_us") > rtt_us ? number_of(one, "rtt_us") : rtt_us;
        used += number_of(one, "used_memory_bytes");
        evicted += number_of(one, "evicted_keys");
    }
    if (!cJSON_GetArraySize(targets))
        return;
    fputs("answers  ", out);
    print_round_trip("source", number_of(status, "source_rtt_us"), out);
    print_round_trip(", target", rtt_us, out);
    if (used)
        fprintf(out, "; target's memory %s, %llu keys evicted", size_text(used), (unsigned long long)evicted);
    fputc('\n', out);
    cJSON_ArrayForEach(one, targets)
    {
        const char *trouble = text_of(one, "trouble");
        if (strncmp(trouble, "target: ", 8) == 0)
            trouble += 8;
        if (*trouble)
            fprintf(out, "beware   target %s: %s\n", text_of(one, "address"), trouble);
        if (true_of(one, "evicts"))
            fprintf(out,
                    "beware   target %s evicts keys at %s: set its maxmemory-policy to noeviction (now %s)\n",
                    text_of(one, "address"), size_text(number_of(one, "maxmemory_bytes")),
                    text_of(one, "maxmemory_policy"));
    }
}

void status_print_head(const cJSON *status, FILE *out)
{
    fprintf(out, "run %s (%s, pid %llu): %s for ", text_of(status, "name"), text_of(status, "mode"),
            (unsigned long long)number_of(status, "pid"), text_of(status, "phase"));
    print_duration(number_of(status, "phase_ms"), out);
    fprintf(out, ", %s%s\n", true_of(status, "in_step") ? "in step" : "not in step",
            true_of(status, "degraded") ? ", DEGRADED" : "");
    if (*text_of(status, "in_step_reason") && strcmp(text_of(status, "phase"), "stable") == 0)
        fprintf(out, "because  %s\n", text_of(status, "in_step_reason"));
    fprintf(out, "source   %s\ntarget   %s\nstarted  %s, up ", text_of(status, "source"),
            text_of(status, "target"), text_of(status, "started"));
    print_duration(number_of(status, "uptime_ms"), out);
    fprintf(out, ", session %llu\n", (unsigned long long)number_of(status, "sessions"));
    print_targets(status, out);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    if (sync && *text_of(sync, "reason"))
        fprintf(out, "begun    by %s sync: %s\n", text_of(sync, "kind"), text_of(sync, "reason"));
    if (cJSON_GetObjectItem(status, "retry_in_ms"))
        fprintf(out, "waiting  %.1f s to the next attempt: %s\n",
                (double)number_of(status, "retry_in_ms") / 1000.0, text_of(status, "waiting_because"));
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
