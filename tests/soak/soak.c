/* Random faults for as long as one likes, under load: `soak [MINUTES [SEED]]`.
 *
 * In rounds: faults come one after the other, some while the last one is not over; then the load stops, and
 * the target must come to hold what the source holds, key by key. With DF2REDIS_TEST_DRAGONFLY the source is
 * a real Dragonfly under concurrent writes of every kind, else the scripted one with commands that must not
 * run twice. The seed, which is printed, decides the order of the faults; not their moments, which are the
 * machine's. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/soak/faults.h"
#include "tests/support/testing.h"

enum { ROUND_FAULTS = 12, SETTLE_LIMIT_MS = 180000, FLOWS = 3, RATE = 700, DATABASES = 16 };

static struct soak soak;
static struct workload *load;

static void begin_source(struct soak *s)
{
    static const struct journal_snapshot small = {
        .strings = 300, .collections = 1, .elements = 300, .commands = 30};
    s->live = dragonfly_available();
    s->flows = FLOWS;
    if (s->live) {
        run_begin(&s->run, NULL);
        dragonfly_start(&s->run.dragonfly, s->flows, NULL);
        s->to_source = proxy_start(s->run.dragonfly.port);
        return;
    }
    struct scripted_options options;
    journal_script_init(&s->script, s->flows, s->seed);
    scripted_options_init(&options);
    scripted_options_add(&options, journal_script_session(&s->script, &small));
    run_begin(&s->run, &options);
}

static void begin_load(struct soak *s)
{
    struct workload_options o;
    if (!s->live)
        return;
    workload_options_init(&o, s->run.dragonfly.port);
    o.seed = s->seed + s->rounds * 1000;
    o.databases = DATABASES;
    o.short_ttls = true;
    o.rate = RATE;
    load = workload_start(&o);
}

static void end_load(void)
{
    if (load)
        workload_stop(load);
    load = NULL;
}

/* A Dragonfly deletes, and journals so, what has expired when somebody comes across it. */
static void come_across_all_keys(uint16_t port)
{
    redisContext *c = server_connect(port);
    for (unsigned db = 0; db < DATABASES; db++) {
        char *select = format_text("SELECT %u", db), cursor[32] = "0";
        server_ok(c, select);
        free(select);
        do {
            char *scan = format_text("SCAN %s COUNT 1000", cursor);
            redisReply *r = server_command(c, scan);
            snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
            freeReplyObject(r);
            free(scan);
        } while (strcmp(cursor, "0") != 0);
    }
    redisFree(c);
}

/* Acknowledged to the last entry, and in step by the program's own word. */
static bool has_settled(void *arg)
{
    struct soak *s = arg;
    if (!process_running(&s->run.program.process))
        return true;
    if (!df2redis_status_true(&s->run.program, "in_step"))
        return false;
    if (!s->live)
        return scripted_wait_acked(s->run.source, 0) || *scripted_violation(s->run.source);
    redisContext *c = server_connect(s->run.dragonfly.port);
    redisReply *offsets = server_command(c, "DFLY REPLICAOFFSET");
    bool all =
        offsets->elements == s->flows && df2redis_status_number(&s->run.program, "suspects.pending") == 0;
    for (size_t i = 0; all && i < offsets->elements; i++) {
        char *path = format_text("flows.%zu.lsn_applied", i);
        all = df2redis_status_number(&s->run.program, path) >= (double)offsets->element[i]->integer;
        free(path);
    }
    freeReplyObject(offsets);
    redisFree(c);
    return all;
}

static bool equals_scripted(struct soak *s)
{
    struct state_server expected, actual;
    struct state_report report;
    struct state_rules rules = {.read = {.stream_details = true}};
    if (!s->expected.port)
        redis_start(&s->expected, NULL);
    redisContext *c = server_connect(s->expected.port);
    server_ok(c, "FLUSHALL");
    redisFree(c);
    journal_script_expect(&s->script, s->expected.port);
    state_open(&expected, s->expected.port, NULL);
    state_open(&actual, s->run.target.port, NULL);
    bool equal = state_compare_servers(&expected, &actual, &rules, &report);
    if (!equal)
        fprintf(stderr, "of %llu keys %llu differ:\n%s", (unsigned long long)report.keys,
                (unsigned long long)report.different, (const char *)report.text.data);
    else
        printf("  equal: %llu keys\n", (unsigned long long)report.keys);
    state_report_free(&report);
    state_close(&expected);
    state_close(&actual);
    return equal;
}

static bool equals_live(struct soak *s)
{
    struct state_rules rules = {.read = {.stream_details = true, .field_ttls = true},
                                .field_ttl_tolerance_ms = 3000};
    uint64_t keys = 0;
    bool equal = run_equals_dragonfly(&s->run, &rules, &keys);
    if (equal)
        printf("  equal: %llu keys\n", (unsigned long long)keys);
    return equal;
}

static bool fail(struct soak *s, const char *what)
{
    printf("soak: %s in round %llu; repeat with seed %llu\n", what, (unsigned long long)s->rounds,
           (unsigned long long)s->seed);
    fflush(stdout);
    if (s->run.source)
        fprintf(stderr, "%s\n", scripted_violation(s->run.source));
    df2redis_print(&s->run.program);
    return false;
}

static bool play_round(struct soak *s)
{
    s->rounds++;
    printf("round %llu\n", (unsigned long long)s->rounds);
    begin_load(s);
    for (int i = 0; i < ROUND_FAULTS; i++) {
        const struct fault *fault = soak_choose(s);
        printf("  %s\n", fault->name);
        fflush(stdout);
        fault->make(s);
        uint32_t pause_ms = random_below(&s->random, 4) ? 50 + (uint32_t)random_below(&s->random, 1500) : 0;
        if (!soak_go_on(s, pause_ms))
            return fail(s, "the program ended by itself");
    }
    end_load();
    if (s->live)
        come_across_all_keys(s->run.dragonfly.port);
    wait_until(has_settled, s, SETTLE_LIMIT_MS);
    if (!process_running(&s->run.program.process))
        return fail(s, "the program ended by itself");
    if (!has_settled(s))
        return fail(s, "not in step in time");
    if (s->run.source && *scripted_violation(s->run.source))
        return fail(s, "the protocol was violated");
    if (!(s->live ? equals_live(s) : equals_scripted(s)))
        return fail(s, "the target is not equal");
    printf("  sessions %.0f, restarts %.0f, %.0f ms up\n",
           df2redis_status_number(&s->run.program, "sessions"),
           df2redis_status_number(&s->run.program, "flows.0.restarts"),
           df2redis_status_number(&s->run.program, "uptime_ms"));
    return true;
}

static void end_all(struct soak *s)
{
    end_load();
    run_end(&s->run);
    server_stop(&s->expected);
    proxy_stop(s->to_source);
    proxy_stop(s->to_target);
    journal_script_free(&s->script);
}

int main(int argc, char **argv)
{
    struct soak *s = &soak;
    uint64_t minutes = 1;
    s->seed = clock_monotonic_ms();
    if ((argc > 1 && !slice_to_u64(slice_str(argv[1]), &minutes)) ||
        (argc > 2 && *argv[2] && !slice_to_u64(slice_str(argv[2]), &s->seed))) {
        fprintf(stderr, "usage: soak [MINUTES [SEED]]\n");
        return 64;
    }
    s->random.state = s->seed;
    begin_source(s);
    printf("soak: %llu minutes, seed %llu, %s\n", (unsigned long long)minutes, (unsigned long long)s->seed,
           s->live ? "a real Dragonfly" : "the scripted Dragonfly");
    static const char *const with_data[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};
    redis_restart(&s->run.target, with_data);
    s->to_target = proxy_start(s->run.target.port);
    soak_start_program(s);
    uint64_t end_ms = clock_monotonic_ms() + minutes * 60000;
    bool good = true;
    do
        good = play_round(s);
    while (good && clock_monotonic_ms() < end_ms);
    if (good)
        printf("soak: %llu rounds, %u starts, all equal\n", (unsigned long long)s->rounds, s->starts);
    end_all(s);
    return good ? 0 : 1;
}
