/* kill -9 of workers, at any moment: a successor goes on, the source notices nothing, nothing is applied
 * twice or lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3, KILL_EVERY_MS = 200 };

static struct crash crash;

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static const char *const small_limits[] = {"--restore-limit", "8k", "--ring-size", "1m", NULL};

static void assert_source_noticed_nothing(void)
{
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(scripted_count(crash.run.source, NULL, "REPLCONF capa dragonfly"), 1);
    assert_string_equal(scripted_violation(crash.run.source), "");
}

static void assert_comes_out_equal(void)
{
    assert_true(crash_came_out_equal(&crash));
    assert_source_noticed_nothing();
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

struct position {
    uint32_t flow;
    uint64_t at;
};

static bool has_received(void *arg)
{
    const struct position *p = arg;
    return worker_received(&crash.run.program, p->flow) >= p->at ||
           !process_running(&crash.run.program.process);
}

/* Each FLOW is let on a bit at a time, and its worker killed at each stop. */
static void kill_along_the_stream(uint32_t flows, unsigned stops, const uint64_t *begin, const uint64_t *end)
{
    for (unsigned stop = 1; stop <= stops; stop++) {
        for (uint32_t f = 0; f < flows; f++)
            scripted_hold(crash.run.source, f,
                          begin[f] + (end[f] - begin[f]) * stop / stops - (stop < stops ? stop % 7 : 0));
        for (uint32_t f = 0; f < flows; f++) {
            struct position p = {f, begin[f] + (end[f] - begin[f]) * stop / stops - 7};
            if (stop < stops)
                assert_true(wait_until(has_received, &p, RUN_DEADLINE_MS));
            assert_true(kill_worker(&crash.kills, &crash.run.program, f));
        }
    }
    for (uint32_t f = 0; f < flows; f++)
        scripted_hold(crash.run.source, f, NEVER);
}

static void begin_held(const struct journal_snapshot *what, uint64_t *snapshot_end, uint64_t *all)
{
    struct scripted_options options;
    crash = (struct crash){0};
    journal_script_init(&crash.script, FLOWS, 7);
    scripted_options_init(&options);
    scripted_options_add(&options, journal_script_session(&crash.script, what));
    for (uint32_t f = 0; f < FLOWS; f++) {
        snapshot_end[f] = options.sessions[0].flows[f].fullsync_end;
        all[f] = options.sessions[0].flows[f].bytes.len;
    }
    run_begin(&crash.run, &options);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 0);
}

static void full_sync_with_kills(const struct journal_snapshot *what)
{
    static const uint64_t zero[FLOWS];
    uint64_t snapshot_end[FLOWS], all[FLOWS];
    begin_held(what, snapshot_end, all);
    run_replicate(&crash.run, small_limits);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    kill_along_the_stream(FLOWS, 25, zero, snapshot_end);
    assert_comes_out_equal();
    kills_print(&crash.kills, "full sync");
}

static const struct journal_snapshot large = {
    .strings = 300, .collections = 2, .elements = 3000, .commands = 200, .chunk_bytes = 4000, .journal = 500};

static void workers_killed_in_full_sync_are_succeeded(void **state)
{
    (void)state;
    full_sync_with_kills(&large);
}

/* Larger than the restore limit, so DEL and then pieces; uncompressed, so that any byte is a place to stop
 * at. */
static void workers_killed_inside_large_collections_are_succeeded(void **state)
{
    (void)state;
    static const struct journal_snapshot plain = {
        .strings = 30, .collections = 1, .elements = 3000, .commands = 60, .plain = true, .journal = 100};
    full_sync_with_kills(&plain);
}

static void workers_killed_inside_chunked_collections_are_succeeded(void **state)
{
    (void)state;
    static const struct journal_snapshot chunked = {.strings = 30,
                                                    .collections = 1,
                                                    .elements = 3000,
                                                    .commands = 60,
                                                    .plain = true,
                                                    .chunk_bytes = 1500,
                                                    .journal = 100};
    full_sync_with_kills(&chunked);
}

static void workers_killed_in_the_journal_are_succeeded(void **state)
{
    (void)state;
    static const struct journal_snapshot what = {.strings = 30, .journal = 4000};
    uint64_t snapshot_end[FLOWS], all[FLOWS];
    begin_held(&what, snapshot_end, all);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, snapshot_end[f]);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 1));
    kill_along_the_stream(FLOWS, 30, snapshot_end, all);
    assert_comes_out_equal();
    kills_print(&crash.kills, "journal");
}

static uint32_t storm_seconds(void)
{
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    return wanted && *wanted && *wanted != '0' ? 60 : 8;
}

/* The journal goes on all the time; every 200 ms one of the workers, in turn, is killed. */
static void storm(bool flushes)
{
    static const struct journal_snapshot what = {
        .strings = 300, .collections = 1, .elements = 300, .commands = 30};
    assert_true(crash_start(&crash, FLOWS, &what, NULL));
    uint64_t end_ms = clock_monotonic_ms() + storm_seconds() * 1000;
    for (uint64_t due_ms = 0, turn = 0; clock_monotonic_ms() < end_ms; turn++) {
        due_ms = clock_monotonic_ms() + KILL_EVERY_MS;
        assert_true(kill_worker(&crash.kills, &crash.run.program, (uint32_t)(turn % FLOWS)));
        while (clock_monotonic_ms() < due_ms) {
            journal_script_append(&crash.script, crash.run.source, 60);
            if (flushes && random_below(&crash.script.random, 6) == 0)
                journal_script_flush(&crash.script, crash.run.source);
            poll(NULL, 0, 15);
        }
    }
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_comes_out_equal();
    kills_print(&crash.kills, flushes ? "every 200 ms, with FLUSHALLs" : "every 200 ms");
}

static void workers_killed_every_200_ms_lose_nothing(void **state)
{
    (void)state;
    storm(false);
}

static void workers_killed_every_200_ms_among_flushes_lose_nothing(void **state)
{
    (void)state;
    storm(true);
}

/* All at the same time, as an OOM killer or an operator might. */
static void all_workers_killed_at_once_are_succeeded(void **state)
{
    (void)state;
    static const struct journal_snapshot what = {.strings = 300, .journal = 500};
    assert_true(crash_start(&crash, FLOWS, &what, NULL));
    for (unsigned round = 0; round < 10; round++) {
        pid_t pids[FLOWS];
        journal_script_append(&crash.script, crash.run.source, 300);
        for (uint32_t f = 0; f < FLOWS; f++)
            assert_true((pids[f] = worker_pid(&crash.run.program, f)) > 0);
        for (uint32_t f = 0; f < FLOWS; f++)
            kill(pids[f], SIGKILL);
        for (uint32_t f = 0; f < FLOWS; f++)
            assert_true(worker_replaced(&crash.run.program, f, pids[f]));
    }
    assert_comes_out_equal();
}

static void assert_no_flow_failed(void)
{
    assert_false(df2redis_status_true(&crash.run.program, "degraded"));
    assert_false(df2redis_said(&crash.run.program, "times in a row"));
}

static void idle_worker_may_be_killed_as_often_as_one_likes(void **state)
{
    (void)state;
    static const struct journal_snapshot what = {.strings = 30, .journal = 50};
    assert_true(crash_start(&crash, FLOWS, &what, NULL));
    for (unsigned i = 0; i < 12; i++)
        assert_true(kill_worker(&crash.kills, &crash.run.program, 1));
    assert_no_flow_failed();
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_comes_out_equal();
}

/* A target that does not answer for a while is not the fault of what the worker reads. */
static void worker_that_waits_for_the_target_may_be_killed_as_often_as_one_likes(void **state)
{
    (void)state;
    static const struct journal_snapshot what = {.strings = 30, .journal = 50};
    assert_true(crash_start(&crash, FLOWS, &what, NULL));
    process_signal(&crash.run.target.process, SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 2000);
    for (unsigned i = 0; i < 12; i++)
        assert_true(kill_worker(&crash.kills, &crash.run.program, i % 2));
    assert_no_flow_failed();
    process_signal(&crash.run.target.process, SIGCONT);
    assert_comes_out_equal();
}

/* Nor is it when somebody kills it in the midst of its work, however often: no entry brings that about. */
static void busy_worker_may_be_killed_as_often_as_one_likes(void **state)
{
    (void)state;
    static const struct journal_snapshot what = {.strings = 30, .journal = 50};
    assert_true(crash_start(&crash, FLOWS, &what, NULL));
    /* A target without memory lets everybody in, and takes nothing: all die at one place. */
    redisContext *target = server_connect(crash.run.target.port);
    server_ok(target, "CONFIG SET maxmemory 1");
    journal_script_append(&crash.script, crash.run.source, 20000);
    for (unsigned i = 0; i < 8; i++)
        assert_true(kill_busy_worker(&crash.kills, &crash.run.program, 1, RUN_DEADLINE_MS));
    server_ok(target, "CONFIG SET maxmemory 0");
    redisFree(target);
    assert_no_flow_failed();
    assert_false(df2redis_said(&crash.run.program, "restarted in"));
    assert_comes_out_equal();
    kills_print(&crash.kills, "in the midst of decoding");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(workers_killed_in_full_sync_are_succeeded, teardown),
        cmocka_unit_test_teardown(workers_killed_inside_large_collections_are_succeeded, teardown),
        cmocka_unit_test_teardown(workers_killed_inside_chunked_collections_are_succeeded, teardown),
        cmocka_unit_test_teardown(workers_killed_in_the_journal_are_succeeded, teardown),
        cmocka_unit_test_teardown(workers_killed_every_200_ms_lose_nothing, teardown),
        cmocka_unit_test_teardown(workers_killed_every_200_ms_among_flushes_lose_nothing, teardown),
        cmocka_unit_test_teardown(all_workers_killed_at_once_are_succeeded, teardown),
        cmocka_unit_test_teardown(idle_worker_may_be_killed_as_often_as_one_likes, teardown),
        cmocka_unit_test_teardown(busy_worker_may_be_killed_as_often_as_one_likes, teardown),
        cmocka_unit_test_teardown(worker_that_waits_for_the_target_may_be_killed_as_often_as_one_likes,
                                  teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
