/* Deaths of workers, of the supervisor, of all of df2redis beside a cluster. Nothing is lost and nothing is done twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/support/cluster_crash.h"

enum { KILL_EVERY_MS = 200 };

static uint32_t storm_seconds(void)
{
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    return wanted && *wanted && *wanted != '0' ? 60 : 8;
}

/* ---- workers ---- */

/* The journal goes on all the time; every 200 ms one of the workers, in turn, is killed. */
static void storm(unsigned masters, bool flushes, bool moves)
{
    begin_in_step(masters, 0);
    if (moves)
        mover = redis_cluster_mover_start(&cluster, 9, NULL, 0);
    uint64_t end_ms = clock_monotonic_ms() + storm_seconds() * 1000;
    for (uint64_t turn = 0; clock_monotonic_ms() < end_ms; turn++) {
        uint64_t due_ms = clock_monotonic_ms() + KILL_EVERY_MS;
        assert_true(kill_worker(&crash.kills, &crash.run.program, (uint32_t)(turn % FLOWS)));
        while (clock_monotonic_ms() < due_ms) {
            load_some(60);
            if (flushes && random_below(&crash.script.random, 6) == 0)
                journal_script_flush(&crash.script, crash.run.source);
        }
    }
    if (moves)
        assert_true(redis_cluster_mover_stop(mover) > 0);
    mover = NULL;
    load_some(100);
    assert_equal_after(1);
    kills_print(&crash.kills, "workers, a cluster");
}

static void workers_killed_every_200_ms_lose_nothing_in_3_masters(void **state)
{
    (void)state;
    storm(3, false, false);
}

static void workers_killed_every_200_ms_lose_nothing_in_6_masters(void **state)
{
    (void)state;
    storm(6, false, false);
}

static void workers_killed_among_flushes_lose_nothing(void **state)
{
    (void)state;
    storm(3, true, false);
}

static void workers_killed_while_slots_move_lose_nothing(void **state)
{
    (void)state;
    storm(3, false, true);
}

static void workers_killed_in_full_sync_are_succeeded(void **state)
{
    (void)state;
    static const struct journal_snapshot large = {.strings = 3000,
                                                  .collections = 4,
                                                  .elements = 3000,
                                                  .commands = 200,
                                                  .chunk_bytes = 4000,
                                                  .journal = 500};
    redis_cluster_start(&cluster, 3, 0);
    crash_begin_in(&crash, &cluster, FLOWS, &large);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 0);
    run_replicate(&crash.run, (const char *const[]){"--restore-limit", "8k", "--ring-size", "1m", NULL});
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    for (unsigned stop = 1; stop <= 25; stop++)
        for (uint32_t f = 0; f < FLOWS; f++) {
            scripted_hold(crash.run.source, f, stop * 20000);
            assert_true(kill_worker(&crash.kills, &crash.run.program, f));
        }
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, NEVER);
    assert_equal_after(1);
}

/* ---- the supervisor ---- */

static void killed_supervisor_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    begin_in_step(3, 0);
    for (int i = 0; i < 3; i++) {
        journal_script_append(&crash.script, crash.run.source, 1500);
        assert_true(crash_kill(&crash, i == 1));
        journal_script_append(&crash.script, crash.run.source, 500);
        /* Any node leads to the same run. */
        snprintf(crash.run.target.uri, sizeof crash.run.target.uri, "%s", cluster.members[i].server.uri);
        run_replicate(&crash.run, NULL);
        assert_true(run_wait_in_step(&crash.run));
    }
    assert_true(crash_last_sync(&crash, "partial", "the source still has the journal"));
    assert_equal_after(1);
}

static void marks_alone_tell_where_to_go_on(void **state)
{
    (void)state;
    begin_in_step(3, 0);
    load_some(500);
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    crash_remove(&crash, "flow-*");
    load_some(500);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_said(&crash.run.program, "going on from the target's marks"));
    assert_equal_after(1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(workers_killed_every_200_ms_lose_nothing_in_3_masters, teardown),
        cmocka_unit_test_teardown(workers_killed_every_200_ms_lose_nothing_in_6_masters, teardown),
        cmocka_unit_test_teardown(workers_killed_among_flushes_lose_nothing, teardown),
        cmocka_unit_test_teardown(workers_killed_while_slots_move_lose_nothing, teardown),
        cmocka_unit_test_teardown(workers_killed_in_full_sync_are_succeeded, teardown),
        cmocka_unit_test_teardown(killed_supervisor_goes_on_without_a_full_sync, teardown),
        cmocka_unit_test_teardown(marks_alone_tell_where_to_go_on, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
