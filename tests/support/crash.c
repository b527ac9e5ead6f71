/* The set-up of the crash tests. */
#include "tests/support/crash.h"

#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/testing.h"

enum { MAX_FLOWS = 8 };

const struct journal_snapshot crash_mixed = {
    .strings = 100, .collections = 1, .elements = 100, .commands = 30, .journal = 300};

static void prepare(struct crash *c, uint32_t flows, const struct journal_snapshot *what, bool one_database,
                    struct scripted_options *options)
{
    *c = (struct crash){0};
    journal_script_init(&c->script, flows, 7);
    c->script.one_database = one_database;
    scripted_options_init(options);
    scripted_options_add(options, journal_script_session(&c->script, what));
}

void crash_begin(struct crash *c, uint32_t flows, const struct journal_snapshot *what)
{
    struct scripted_options options;
    prepare(c, flows, what, false, &options);
    run_begin(&c->run, &options);
}

void crash_begin_in(struct crash *c, struct redis_cluster *cluster, uint32_t flows,
                    const struct journal_snapshot *what)
{
    struct scripted_options options;
    prepare(c, flows, what, true, &options);
    run_begin_in(&c->run, cluster, &options);
}

bool crash_start(struct crash *c, uint32_t flows, const struct journal_snapshot *what,
                 const char *const *extra)
{
    crash_begin(c, flows, what);
    run_replicate(&c->run, extra);
    return run_wait_in_step(&c->run);
}

void crash_end(struct crash *c)
{
    run_end(&c->run);
    server_stop(&c->expected);
    journal_script_free(&c->script);
}

bool crash_target_equal(struct crash *c)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    uint64_t keys = 0;
    if (!c->expected.port)
        redis_start(&c->expected, NULL);
    server_tell(c->expected.port, "FLUSHALL");
    journal_script_expect(&c->script, c->expected.port);
    return run_equals_server(&c->run, c->expected.port, &rules, &keys) && keys > 0;
}

static bool is_as_of_lost_times(const struct crash *c, const cJSON *divergences)
{
    const cJSON *one = divergences ? divergences->child : NULL;
    return c->times_lost && one && !one->next && strcmp(one->string, "expired_on_target") == 0;
}

int crash_terminate(struct crash *c)
{
    int code = run_terminate(&c->run);
    return c->times_told && code == EX_DATAERR ? EX_OK : code;
}

bool crash_came_out_equal(struct crash *c)
{
    if (!run_wait_in_step(&c->run))
        return false;
    bool equal = crash_target_equal(c);
    cJSON *status = df2redis_status(&c->run.program);
    const cJSON *divergences = cJSON_GetObjectItem(status, "divergences");
    c->times_told = is_as_of_lost_times(c, divergences);
    bool diverged = !divergences || (divergences->child && !c->times_told);
    if (diverged)
        fprintf(stderr, divergences ? "divergences were counted\n" : "the run tells no status\n");
    cJSON_Delete(status);
    if (!equal || diverged)
        df2redis_print(&c->run.program);
    return equal && !diverged;
}

bool crash_resumed_equal(struct crash *c, size_t sessions)
{
    if (!run_wait_source(&c->run, NULL, "DFLY STARTSTABLE", sessions) || !crash_came_out_equal(c))
        return false;
    size_t full_syncs = crash_full_syncs(c);
    const char *violation = scripted_violation(c->run.source);
    int code = crash_terminate(c);
    bool ok = full_syncs == 1 && !*violation && code == EX_OK;
    if (!ok)
        fprintf(stderr, "%zu full syncs, exit code %d %s\n", full_syncs, code, violation);
    return ok;
}

size_t crash_full_syncs(struct crash *c)
{
    return scripted_count(c->run.source, NULL, "DFLY SYNC");
}

/* A zombie that nobody has reaped yet is gone, too. */
static bool is_gone(void *arg)
{
    char state = process_state(*(const pid_t *)arg);
    return state == 0 || state == 'Z';
}

/* No worker may outlive its supervisor, however that ended. */
bool crash_kill(struct crash *c, bool whole_group)
{
    pid_t supervisor = c->run.program.process.pid, workers[MAX_FLOWS];
    for (uint32_t f = 0; f < c->script.flows && f < MAX_FLOWS; f++)
        workers[f] = worker_pid(&c->run.program, f);
    if (supervisor <= 0 || kill(whole_group ? -supervisor : supervisor, SIGKILL) != 0)
        return false;
    bool gone = true;
    for (uint32_t f = 0; f < c->script.flows && f < MAX_FLOWS; f++)
        gone &= wait_until(is_gone, &workers[f], RUN_DEADLINE_MS);
    return process_wait(&c->run.program.process, RUN_DEADLINE_MS) == 128 + SIGKILL && gone;
}

void crash_remove(struct crash *c, const char *pattern)
{
    char *command = format_text("rm -f %s/default/%s", c->run.program.dir, pattern);
    if (system(command) != 0)
        die("%s failed", command);
    free(command);
    c->times_lost |= fnmatch(pattern, "flow-0.deadlines", 0) == 0;
}

bool crash_last_sync(struct crash *c, const char *kind, const char *reason)
{
    cJSON *status = df2redis_status(&c->run.program);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    const char *was = df2redis_text(sync, "kind"), *why = df2redis_text(sync, "reason");
    bool ok = strcmp(was, kind) == 0 && strstr(why, reason) && df2redis_said(&c->run.program, reason);
    if (!ok)
        fprintf(stderr, "the last sync was \"%s\", because \"%s\"\n", was, why);
    cJSON_Delete(status);
    return ok;
}

bool crash_all_received(void *crash)
{
    struct crash *c = crash;
    bool all = scripted_all_sent(c->run.source);
    for (uint32_t f = 0; all && f < c->script.flows; f++)
        all = worker_received(&c->run.program, f) >= scripted_sent(c->run.source, f);
    return all;
}

const struct journal_snapshot crash_small = {
    .strings = 300, .collections = 1, .elements = 300, .commands = 30, .journal = 300};

bool crash_begin_in_step(struct crash *c, struct redis_cluster *cluster, unsigned masters, unsigned replicas)
{
    redis_cluster_start(cluster, masters, replicas);
    if (!redis_cluster_wait_replicas(cluster, replicas))
        return false;
    crash_begin_in(c, cluster, CRASH_CLUSTER_FLOWS, &crash_small);
    run_replicate(&c->run, NULL);
    return run_wait_in_step(&c->run);
}

void crash_end_in(struct crash *c, struct redis_cluster *cluster, struct redis_cluster_mover **mover)
{
    if (*mover)
        redis_cluster_mover_stop(*mover);
    *mover = NULL;
    crash_end(c);
    redis_cluster_stop(cluster);
}
