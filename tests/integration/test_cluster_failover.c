/* Masters whose replicas take over, up to date or not, masters that come back empty, a cluster that is away: nothing is
 * lost and nothing is done twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>

#include "tests/support/cluster_crash.h"

/* Killed under load; its replica, which may lack the last of what was acknowledged, takes over. */
static void replica_takes_over_under_load(unsigned masters)
{
    begin_in_step(masters, 1);
    for (int i = 0; i < 40; i++)
        load_some(60);
    redis_cluster_kill(&cluster, 1);
    for (int i = 0; i < 40; i++)
        load_some(60);
    assert_true(redis_cluster_wait_promoted(&cluster, 1));
    for (int i = 0; i < 20; i++)
        load_some(60);
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
        load_some(500);
        size_t member = redis_cluster_owner(&cluster, (uint16_t)(round * CLUSTER_SLOTS / 3));
        redis_cluster_kill(&cluster, member);
        load_some(500);
        assert_true(redis_cluster_wait_promoted(&cluster, member));
        redis_cluster_revive(&cluster, member);
        assert_true(redis_cluster_wait_ok(&cluster));
    }
    load_some(500);
    assert_equal_after(1);
}

static void workers_and_masters_may_die_together(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    load_some(1000);
    redis_cluster_kill(&cluster, 2);
    for (uint32_t f = 0; f < FLOWS; f++) {
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
        load_some(100);
    }
    assert_true(redis_cluster_wait_promoted(&cluster, 2));
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    load_some(300);
    assert_equal_after(1);
}

/* The address that was given leads nowhere any more: whoever is new asks the others. */
static void the_node_that_was_named_may_die(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    load_some(500);
    redis_cluster_kill(&cluster, 0);
    assert_true(redis_cluster_wait_promoted(&cluster, 0));
    for (uint32_t f = 0; f < FLOWS; f++) {
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
        load_some(100);
    }
    assert_equal_after(1);
}

/* The replica stood still while its master acknowledged more and more: what it lacks comes from the spool. */
static void what_a_lagging_replica_lacks_comes_from_the_spool(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    load_some(300);
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
    load_some(300);
    assert_equal_after(1);
}

/* For a moment it is a replica of its own replica, which lags, and nothing is written to it meanwhile: the topology is
 * as before, and no connection was closed. */
static void a_master_that_was_a_replica_for_a_moment_gets_what_it_lacks(void **state)
{
    (void)state;
    begin_in_step(3, 1);
    redisContext *master = redis_cluster_connect(&cluster, 0), *replica = redis_cluster_connect(&cluster, 3);
    server_ok(replica, "CONFIG SET repl-diskless-sync-delay 0");
    server_ok(replica, "CONFIG SET masterauth wrong");
    server_ok(master, "CLIENT KILL TYPE replica");
    for (unsigned n = 0; n < 600; n++) {
        char line[64];
        snprintf(line, sizeof line, "APPEND grows:%u %u,", n % 60, n / 60);
        journal_script_line(&crash.script, crash.run.source, n % FLOWS, line);
    }
    assert_true(run_wait_in_step(&crash.run));
    server_ok(replica, "CLUSTER FAILOVER TAKEOVER");
    freeReplyObject(server_commandf(replica, "CONFIG SET masterauth %s", ""));
    assert_true(wait_until(redis_is_in_sync, &cluster.members[0].server, RUN_DEADLINE_MS));
    server_ok(master, "CLUSTER FAILOVER TAKEOVER");
    redisFree(master);
    redisFree(replica);
    assert_true(redis_cluster_wait_ok(&cluster));
    load_some(300);
    assert_equal();
    assert_ends_well();
}

static bool has_said(void *text)
{
    return df2redis_said(&crash.run.program, text) || !process_running(&crash.run.program.process);
}

/* No replica, no data any more: that part of the keys is gone, and only another full sync brings it back. */
static void a_master_that_comes_back_empty_is_noticed(void **state)
{
    (void)state;
    begin_in_step(3, 0);
    redis_cluster_kill(&cluster, 1);
    redis_cluster_revive(&cluster, 1);
    assert_true(redis_cluster_wait_ok(&cluster));
    load_some(300);
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
        cmocka_unit_test_teardown(a_master_of_3_may_die, teardown),
        cmocka_unit_test_teardown(a_master_of_6_may_die, teardown),
        cmocka_unit_test_teardown(masters_may_die_one_after_the_other_and_come_back, teardown),
        cmocka_unit_test_teardown(workers_and_masters_may_die_together, teardown),
        cmocka_unit_test_teardown(the_node_that_was_named_may_die, teardown),
        cmocka_unit_test_teardown(what_a_lagging_replica_lacks_comes_from_the_spool, teardown),
        cmocka_unit_test_teardown(a_master_that_was_a_replica_for_a_moment_gets_what_it_lacks, teardown),
        cmocka_unit_test_teardown(a_master_that_comes_back_empty_is_noticed, teardown),
        cmocka_unit_test_teardown(a_cluster_that_is_away_is_waited_for, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
