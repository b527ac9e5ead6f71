/* Deaths, on both sides of a cluster: workers, the supervisor, all of df2redis, masters whose replicas take
 * over (up to date or not), masters that come back empty. Nothing is lost and nothing is done twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>

#include "tests/support/cluster_crash.h"

enum { KILL_EVERY_MS = 200 };

static void begin_in_step(unsigned masters, unsigned replicas)
{
    assert_true(crash_begin_in_step(&crash, &cluster, masters, replicas));
}

static uint32_t storm_seconds(void)
{
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    return wanted && *wanted && *wanted != '0' ? 60 : 8;
}

static void load(unsigned commands)
{
    journal_script_append(&crash.script, crash.run.source, commands);
    poll(NULL, 0, 15);
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
            load(60);
            if (flushes && random_below(&crash.script.random, 6) == 0)
                journal_script_flush(&crash.script, crash.run.source);
        }
    }
    if (moves)
        assert_true(redis_cluster_mover_stop(mover) > 0);
    mover = NULL;
    load(100);
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
    load(500);
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    crash_remove(&crash, "flow-*");
    load(500);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_said(&crash.run.program, "going on from the target's marks"));
    assert_equal_after(1);
}

/* ---- masters ---- */

static bool has_said(void *text)
{
    return df2redis_said(&crash.run.program, text) || !process_running(&crash.run.program.process);
}

/* Killed under load; its replica, which may lack the last of what was acknowledged, takes over. */
static void replica_takes_over_under_load(unsigned masters)
{
    begin_in_step(masters, 1);
    for (int i = 0; i < 40; i++)
        load(60);
    redis_cluster_kill(&cluster, 1);
    for (int i = 0; i < 40; i++)
        load(60);
    assert_true(redis_cluster_wait_promoted(&cluster, 1));
    for (int i = 0; i < 20; i++)
        load(60);
    assert_equal_after(1);
}

static void a_master_of_3_may_die(void **state)
{
    (void)state;
    replica_takes_over_under_load(3);
}

static void a_master_of_6_may_die(void **state)
{
    (void)state;
    replica_takes_over_under_load(6);
}

static void masters_may_die_one_after_the_other_and_come_back(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    for (size_t round = 0; round < 3; round++) {
        load(500);
        size_t member = redis_cluster_owner(&cluster, (uint16_t)(round * CLUSTER_SLOTS / 3));
        redis_cluster_kill(&cluster, member);
        load(500);
        assert_true(redis_cluster_wait_promoted(&cluster, member));
        redis_cluster_revive(&cluster, member);
        assert_true(redis_cluster_wait_ok(&cluster));
    }
    load(500);
    assert_equal_after(1);
}

static void workers_and_masters_may_die_together(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    load(1000);
    redis_cluster_kill(&cluster, 2);
    for (uint32_t f = 0; f < FLOWS; f++) {
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
        load(100);
    }
    assert_true(redis_cluster_wait_promoted(&cluster, 2));
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    load(300);
    assert_equal_after(1);
}

/* The address that was given leads nowhere any more: whoever is new asks the others. */
static void the_node_that_was_named_may_die(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    load(500);
    redis_cluster_kill(&cluster, 0);
    assert_true(redis_cluster_wait_promoted(&cluster, 0));
    for (uint32_t f = 0; f < FLOWS; f++) {
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
        load(100);
    }
    assert_equal_after(1);
}

/* The replica stood still while its master acknowledged more and more: what it lacks comes from the spool. */
static void what_a_lagging_replica_lacks_comes_from_the_spool(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    load(300);
    assert_true(run_wait_in_step(&crash.run));
    process_signal(&cluster.members[3].server.process, SIGSTOP);
    /* Each in one slot: what a RENAME or LMOVE took from another is gone with the replica's lag. */
    for (unsigned n = 0; n < 6000; n++) {
        char line[64];
        snprintf(line, sizeof line, "APPEND grows:%u %u,", n % 60, n / 60);
        journal_script_line(&crash.script, crash.run.source, n % FLOWS, line);
    }
    assert_true(run_wait_in_step(&crash.run));
    redis_cluster_kill(&cluster, 0);
    process_signal(&cluster.members[3].server.process, SIGCONT);
    assert_true(redis_cluster_wait_promoted(&cluster, 0));
    load(300);
    assert_equal_after(1);
}

/* No replica, no data any more: that part of the keys is gone, and only another full sync brings it back. */
static void a_master_that_comes_back_empty_is_noticed(void **state)
{
    (void)state;
    begin_in_step(3, 0);
    redis_cluster_kill(&cluster, 1);
    redis_cluster_revive(&cluster, 1);
    assert_true(redis_cluster_wait_ok(&cluster));
    load(300);
    /* By its mark, or earlier by a RENAME to a slot there from one that has gone on. */
    assert_true(wait_until(has_said, (void *)(uintptr_t) "has lost writes", RUN_DEADLINE_MS));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 2));
}

/* Everything is kept until it is back. */
static void a_cluster_that_is_away_is_waited_for(void **state)
{
    (void)state;
    begin_in_step(3, 0);
    for (size_t i = 0; i < 3; i++)
        process_signal(&cluster.members[i].server.process, SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 3000);
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
    for (size_t i = 0; i < 3; i++)
        process_signal(&cluster.members[i].server.process, SIGCONT);
    assert_true(redis_cluster_wait_ok(&cluster));
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
        cmocka_unit_test_teardown(a_master_of_3_may_die, teardown),
        cmocka_unit_test_teardown(a_master_of_6_may_die, teardown),
        cmocka_unit_test_teardown(masters_may_die_one_after_the_other_and_come_back, teardown),
        cmocka_unit_test_teardown(workers_and_masters_may_die_together, teardown),
        cmocka_unit_test_teardown(the_node_that_was_named_may_die, teardown),
        cmocka_unit_test_teardown(what_a_lagging_replica_lacks_comes_from_the_spool, teardown),
        cmocka_unit_test_teardown(a_master_that_comes_back_empty_is_noticed, teardown),
        cmocka_unit_test_teardown(a_cluster_that_is_away_is_waited_for, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
