/* The crash tests' likes with a real Dragonfly under concurrent writes of every kind. Needs
 * DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/kills.h"
#include "tests/support/testing.h"
#include "tests/support/workload.h"

enum { SHARDS = 2, KILL_EVERY_MS = 200, BEFORE = 20000 };

static struct run run;
static struct workload *load;
static struct kills kills;

static int teardown(void **state)
{
    (void)state;
    if (load)
        workload_stop(load);
    load = NULL;
    kills = (struct kills){0};
    run_end(&run);
    return 0;
}

static void begin(void)
{
    if (!run_begin_live(&run, SHARDS, NULL))
        skip();
}

static void write_some(uint64_t commands, uint64_t rate)
{
    struct workload_options o;
    workload_options_init(&o, run.dragonfly.port);
    o.databases = 8;
    o.commands = commands;
    o.rate = rate;
    o.seed = commands + 1;
    load = workload_start(&o);
    if (!commands)
        return;
    workload_finish(load);
    load = NULL;
}

static void assert_comes_out_equal(void)
{
    struct state_rules rules = {.read = {.stream_details = true}, .field_ttl_tolerance_ms = 3000};
    uint64_t keys = 0;
    if (load)
        workload_stop(load);
    load = NULL;
    bool applied = run_wait_applied(&run);
    bool equal = applied && run_equals_dragonfly(&run, &rules, &keys);
    if (!equal)
        df2redis_print(&run.program);
    assert_true(equal);
    assert_true(keys > 0);
}

static void assert_last_sync(const char *kind, const char *reason)
{
    cJSON *status = df2redis_status(&run.program);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    const char *was = df2redis_text(sync, "kind"), *said = df2redis_text(sync, "reason");
    bool as_expected = strcmp(was, kind) == 0 && strstr(said, reason);
    if (!as_expected)
        fprintf(stderr, "last sync: %s, %s\n", was, said);
    cJSON_Delete(status);
    assert_true(as_expected);
}

static void assert_one_session(void)
{
    redisContext *c = server_connect(run.dragonfly.port);
    char *replicas = server_info(c, "replication", "connected_slaves");
    redisFree(c);
    assert_string_equal(replicas, "1");
    free(replicas);
    assert_true(df2redis_status_number(&run.program, "sessions") == 1);
}

static uint32_t storm_seconds(void)
{
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    return wanted && *wanted && *wanted != '0' ? 60 : 10;
}

static void kill_for(uint64_t duration_ms)
{
    uint64_t end_ms = clock_monotonic_ms() + duration_ms;
    for (uint32_t turn = 0; clock_monotonic_ms() < end_ms; turn++) {
        uint64_t due_ms = clock_monotonic_ms() + KILL_EVERY_MS;
        kill_worker(&kills, &run.program, turn % SHARDS);
        while (clock_monotonic_ms() < due_ms)
            poll(NULL, 0, 5);
    }
}

static void workers_killed_in_stable_sync_lose_nothing(void **state)
{
    (void)state;
    begin();
    write_some(BEFORE, 0);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    write_some(0, 1500);
    kill_for(storm_seconds() * 1000);
    assert_true(kills.count > 20);
    assert_one_session();
    assert_comes_out_equal();
    kills_print(&kills, "Dragonfly, stable sync");
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool is_stable(void *arg)
{
    (void)arg;
    kill_worker(&kills, &run.program, (uint32_t)(kills.count % SHARDS));
    return df2redis_said(&run.program, "stable: every FLOW follows") ||
           !process_running(&run.program.process);
}

/* With a rate so low that the full sync lasts, and writes all the while. */
static void workers_killed_in_full_sync_lose_nothing(void **state)
{
    (void)state;
    static const char *const slowly[] = {"--max-rate", "1m", "--restore-limit", "2k", NULL};
    begin();
    write_some(BEFORE, 0);
    redisContext *c = server_connect(run.dragonfly.port);
    freeReplyObject(server_command(c, "DEBUG POPULATE 20000 key 100 RAND TYPE string"));
    freeReplyObject(server_command(c, "DEBUG POPULATE 20 large 20 RAND TYPE hash ELEMENTS 3000"));
    freeReplyObject(server_command(c, "DEBUG POPULATE 20 line 20 RAND TYPE list ELEMENTS 3000"));
    redisFree(c);
    write_some(0, 500);
    run_replicate(&run, slowly);
    assert_true(df2redis_wait_said(&run.program, "full sync: the source streams", RUN_DEADLINE_MS));
    assert_true(wait_until(is_stable, NULL, RUN_DEADLINE_MS));
    assert_true(kills.count > 5);
    assert_one_session();
    assert_comes_out_equal();
    kills_print(&kills, "Dragonfly, full sync");
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void kill_everything(void)
{
    assert_true(run.program.process.pid > 0);
    kill(-run.program.process.pid, SIGKILL);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), 128 + SIGKILL);
}

static void everything_killed_again_and_again_resumes(void **state)
{
    (void)state;
    struct random r = {5};
    begin();
    write_some(BEFORE, 0);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    write_some(0, 500);
    for (unsigned round = 0; round < 12; round++) {
        uint64_t due_ms = clock_monotonic_ms() + random_below(&r, 700);
        while (clock_monotonic_ms() < due_ms)
            poll(NULL, 0, 5);
        kill_everything();
        run_replicate(&run, NULL);
    }
    assert_comes_out_equal();
    assert_last_sync("partial", "still has the journal");
    assert_int_equal(run_terminate(&run), EX_OK);
    write_some(300, 0);
    run_replicate(&run, NULL);
    assert_comes_out_equal();
    assert_last_sync("partial", "still has the journal");
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Not one write since the FLOWs were opened: the next LSN wanted is 1. */
static void flows_without_an_entry_resume(void **state)
{
    (void)state;
    begin();
    write_some(1000, 0);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_true(df2redis_status_number(&run.program, "flows.0.lsn_applied") == 1);
    kill_everything();
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_last_sync("partial", "still has the journal");
    write_some(1000, 0);
    assert_comes_out_equal();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void journal_that_was_overwritten_leads_to_a_full_sync(void **state)
{
    (void)state;
    begin();
    write_some(BEFORE, 0);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    kill_everything();
    write_some(12000, 0); /* by each of four clients; a shard's ring holds 8192 entries */
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_last_sync("full", "no longer goes back");
    assert_comes_out_equal();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void source_that_stood_still_is_resumed(void **state)
{
    (void)state;
    static const char *const quickly[] = {"--connect-timeout", "1s", NULL};
    begin();
    write_some(BEFORE, 0);
    run_replicate(&run, quickly);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    process_signal(&run.dragonfly.process, SIGSTOP);
    assert_true(df2redis_wait_said(&run.program, "the session with the source is over", RUN_DEADLINE_MS));
    process_signal(&run.dragonfly.process, SIGCONT);
    write_some(300, 0);
    assert_comes_out_equal();
    assert_last_sync("partial", "still has the journal");
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void source_started_again_empty_leaves_the_copy(void **state)
{
    (void)state;
    begin();
    write_some(BEFORE, 0);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    uint64_t keys = run_target_keys(&run);
    assert_true(keys > 0);
    dragonfly_restart(&run.dragonfly, SHARDS, NULL);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_TEMPFAIL);
    assert_true(df2redis_said(&run.program, "the copy is left as it is"));
    assert_int_equal(run_target_keys(&run), keys);
}

/* While nothing ran, so that it has its data when it is met again. */
static void source_started_again_with_data_is_synced_anew(void **state)
{
    (void)state;
    begin();
    write_some(BEFORE, 0);
    run_replicate(&run, NULL);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
        process_signal(&run.program.process, SIGKILL);
        process_wait(&run.program.process, RUN_DEADLINE_MS);
        dragonfly_restart(&run.dragonfly, SHARDS + round, NULL);
        write_some(BEFORE + 2000, 0);
        run_replicate(&run, NULL);
        assert_comes_out_equal();
        assert_last_sync("full", round ? "the source has 3 FLOWs, and had 2" : "its master id is");
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(workers_killed_in_stable_sync_lose_nothing, teardown),
        cmocka_unit_test_teardown(workers_killed_in_full_sync_lose_nothing, teardown),
        cmocka_unit_test_teardown(everything_killed_again_and_again_resumes, teardown),
        cmocka_unit_test_teardown(flows_without_an_entry_resume, teardown),
        cmocka_unit_test_teardown(journal_that_was_overwritten_leads_to_a_full_sync, teardown),
        cmocka_unit_test_teardown(source_that_stood_still_is_resumed, teardown),
        cmocka_unit_test_teardown(source_started_again_empty_leaves_the_copy, teardown),
        cmocka_unit_test_teardown(source_started_again_with_data_is_synced_anew, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
