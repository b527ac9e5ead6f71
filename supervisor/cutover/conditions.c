#include "supervisor/cutover/conditions.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "supervisor/run/run.h"

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* Dragonfly 1.40 reads what Redis up to 7.2 and Valkey up to 8 send. Later ones, too, but for hash fields with a time to
 * live: then it asks for a full copy again and again, and has nothing. */
static bool dragonfly_follows(const struct capabilities *target)
{
    return target->kind == SERVER_VALKEY ? target->version < 90000 : target->version < 70400;
}

static bool refuse(struct error *error, const char *why)
{
    return error_fatal(error, EX_CONFIG,
                       "--then reverse is not possible: %s. Choose --then stop or --then takeover", why);
}

bool conditions_reversible(const struct settings *settings, const char *source_host,
                           const struct capabilities *target, struct error *error)
{
    const struct uri *uri = &settings->target;
    char text[200];
    if (target->cluster)
        return refuse(error, "the target is a cluster, which the source cannot follow as a replica");
    if (!dragonfly_follows(target)) {
        snprintf(text, sizeof text,
                 "%s %s may hold hash fields with a time to live, which Dragonfly cannot replicate (Redis up "
                 "to 7.2 and "
                 "Valkey up to 8 have none)",
                 target->kind == SERVER_VALKEY ? "Valkey" : "Redis", target->version_text);
        return refuse(error, text);
    }
    if (target->json || target->bloom || target->cuckoo || target->cms || target->topk)
        return refuse(error, "the target has modules whose values Dragonfly does not read");
    if (uri->unix_socket)
        return refuse(error, "the target is given as a Unix socket, and the source needs host and port");
    if (uri->tls)
        return refuse(error,
                      "the target is given with TLS (rediss:), which df2redis cannot set up in the source");
    if (is_loopback(uri->host) && !is_loopback(source_host))
        return refuse(error,
                      "the target's address leads to this machine itself, and the source is on another");
    if (settings->include || settings->exclude || settings->db_map_count)
        return refuse(error,
                      "only a part of the source is copied (--include, --exclude, --db), and the source "
                      "would lose the rest");
    return true;
}

bool conditions_accepted(unsigned long long divergences, unsigned long long unknown, bool accept,
                         struct error *error)
{
    if (accept || (!divergences && !unknown))
        return true;
    if (!divergences)
        return error_fatal(error, EX_DATAERR,
                           "%llu key%s perhaps not as on the source (suspects: unknown): df2redis verify "
                           "--repair, then --accept-divergences",
                           unknown, unknown == 1 ? " is" : "s are");
    return error_fatal(error, EX_DATAERR,
                       "%llu divergence%s: this is not, or not exactly, on the target (df2redis status, "
                       "divergences.log). If that is as it should be: --accept-divergences",
                       divergences, divergences == 1 ? "" : "s");
}

void conditions_check(struct run *run, const struct cutover_order *order, struct error *error)
{
    char reason[IN_STEP_REASON_BYTES];
    struct totals t;
    *error = (struct error){0};
    totals_of(run, clock_monotonic_ms(), &t);
    if (run->settings->target.null_sink)
        error_fatal(error, EX_CONFIG, "the target is null:, which nobody can use");
    else if (run->session.state != SESSION_STABLE || run->ending || run->stop_requested)
        error_fatal(error, EX_TEMPFAIL,
                    "the run is in phase %s: a cut-over needs a run that is in step; try "
                    "again after df2redis wait --in-step",
                    session_phase_name(run->session.state));
    else if (run_failed_flows(run))
        error_fatal(error, EX_TEMPFAIL, "%u FLOW%s given up, the copy is not complete: see df2redis status",
                    run_failed_flows(run), run_failed_flows(run) == 1 ? " was" : "s were");
    else if (order->then == CUTOVER_THEN_REVERSE &&
             !conditions_reversible(run->settings, run->source_uri.host, &run->target, error))
        return;
    else
        conditions_accepted(run->divergences.total, t.suspects_unknown, order->accept_divergences, error);
    if (error->class != ERROR_NONE)
        return;
    if (!run_in_step(run, NULL, reason, sizeof reason))
        error_set(error, ERROR_RETRY, "not in step: %s", reason);
    else if (t.suspects_pending)
        error_set(error, ERROR_RETRY, "%llu key%s still to be compared with the source",
                  (unsigned long long)t.suspects_pending, t.suspects_pending == 1 ? " is" : "s are");
}
