/* Commands over several slots wait for the replicas of the node they write to, before anything else goes on:
 * where there are any, and never for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>

#include "tests/support/cluster_crash.h"

enum { MASTERS = 3, LATE_MS = 500 };

static void line(unsigned flow, const char *words)
{
    journal_script_line(&crash.script, crash.run.source, flow, words);
}

/* Calls of WAIT, of all masters. */
static uint64_t waits(void)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < MASTERS; i++) {
        redisContext *c = redis_cluster_connect(&cluster, i);
        char *text = server_info(c, "commandstats", "cmdstat_wait");
        if (text)
            calls += strtoull(text + strlen("calls="), NULL, 10);
        free(text);
        redisFree(c);
    }
    return calls;
}

/* Two that move something, one that gathers it, one that finds nothing to move. */
static void go_across(void)
{
    line(0, "SADD from 1 2 3");
    line(0, "SMOVE from to 1");
    line(0, "SMOVE from to 99");
    line(0, "SET old value");
    line(0, "RENAME old new");
    line(0, "SADD some 4 5");
    line(0, "SUNIONSTORE all some to");
    assert_true(run_wait_in_step(&crash.run));
}

static void replicas_are_waited_for_before_anything_else_goes_on(void **state)
{
    (void)state;
    assert_true(crash_begin_in_step(&crash, &cluster, MASTERS, 1));
    uint64_t before = waits();
    go_across();
    assert_int_equal(waits() - before, 4);
    assert_equal_after(1);
}

static void without_replicas_nothing_is_waited_for(void **state)
{
    (void)state;
    assert_true(crash_begin_in_step(&crash, &cluster, MASTERS, 0));
    uint64_t before = waits();
    go_across();
    assert_int_equal(waits() - before, 0);
    assert_equal_after(1);
}

/* Refusals would be counted, and NOPERM ends a run. */
static void a_user_who_may_not_wait_goes_on_without(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, MASTERS, 1);
    assert_true(redis_cluster_wait_replicas(&cluster, 1));
    redis_cluster_each(&cluster, "ACL SETUSER default -wait");
    crash_begin_in(&crash, &cluster, FLOWS, &crash_small);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    go_across();
    assert_int_equal(waits(), 0);
    assert_equal_after(1);
}

/* A replica that comes after the greeting is heard of within the next looks at the cluster's slots. */
static bool waits_now(void *arg)
{
    uint64_t before = waits();
    (void)arg;
    line(0, "SADD from 1");
    line(0, "SMOVE from to 1");
    return run_wait_in_step(&crash.run) && waits() > before;
}

static void replicas_that_come_later_are_waited_for(void **state)
{
    (void)state;
    assert_true(crash_begin_in_step(&crash, &cluster, MASTERS, 0));
    redis_cluster_add(&cluster, redis_cluster_owner(&cluster, key_slot(slice_str("to"))));
    assert_true(wait_until(waits_now, NULL, RUN_DEADLINE_MS));
    assert_equal_after(1);
}

static void stop_replicas(int signal)
{
    for (size_t i = MASTERS; i < cluster.count; i++)
        process_signal(&cluster.members[i].server.process, signal);
}

/* Each FLOW waits once for each node in 10 s. */
static void replicas_that_stand_still_hold_up_nothing(void **state)
{
    enum { TIMES = 600 };
    char words[64];
    (void)state;
    assert_true(crash_begin_in_step(&crash, &cluster, MASTERS, 1));
    stop_replicas(SIGSTOP);
    uint64_t begun_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < TIMES; i++) {
        snprintf(words, sizeof words, "SADD from:%u 1", i);
        line(i % FLOWS, words);
        snprintf(words, sizeof words, "SMOVE from:%u to:%u 1", i, i);
        line(i % FLOWS, words);
    }
    assert_true(run_wait_in_step(&crash.run));
    assert_in_range(clock_monotonic_ms() - begun_ms, 0, TIMES / FLOWS * LATE_MS / 2);
    assert_true(df2redis_said(&crash.run.program, "replicas keep up"));
    stop_replicas(SIGCONT);
    assert_equal_after(1);
}

/* ---- a failover between the steps ---- */

static bool has(size_t member, const char *words)
{
    redisContext *c = redis_cluster_connect(&cluster, member);
    bool yes = server_integer(c, words) == 1;
    redisFree(c);
    return yes;
}

static bool destination_is_written(void *arg)
{
    return has(*(const size_t *)arg, "SISMEMBER to 1");
}

/* The replica is cut off, so that it lacks the step that writes the destination, and its master dies. True:
 * the command stood between its steps then. */
static bool die_between_the_steps(void)
{
    size_t from = redis_cluster_owner(&cluster, key_slot(slice_str("from")));
    size_t to = redis_cluster_owner(&cluster, key_slot(slice_str("to")));
    struct process *replica = &cluster.members[to + MASTERS].server.process;
    assert_int_not_equal(from, to);
    line(0, "SADD from 1 2");
    line(0, "SADD to 3");
    assert_true(run_wait_in_step(&crash.run));
    process_signal(replica, SIGSTOP);
    redisContext *c = redis_cluster_connect(&cluster, to);
    freeReplyObject(server_command(c, "CLIENT KILL TYPE replica"));
    redisFree(c);
    line(0, "SMOVE from to 1");
    assert_true(wait_until(destination_is_written, &to, RUN_DEADLINE_MS));
    redis_cluster_kill(&cluster, to);
    bool between = has(from, "SISMEMBER from 1");
    process_signal(replica, SIGCONT);
    return between && redis_cluster_wait_promoted(&cluster, to);
}

/* The moment lasts half a second: on a busy machine it may be missed. */
static void a_step_that_a_promoted_replica_lacks_is_taken_again(void **state)
{
    enum { TRIES = 4 };
    bool met = false;
    for (int i = 0; i < TRIES && !met; i++) {
        teardown(state);
        assert_true(crash_begin_in_step(&crash, &cluster, MASTERS, 1));
        met = die_between_the_steps();
    }
    assert_true(met);
    go_across();
    run_follow(&crash.run, &cluster);
    assert_equal_after(1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(replicas_are_waited_for_before_anything_else_goes_on, teardown),
        cmocka_unit_test_teardown(without_replicas_nothing_is_waited_for, teardown),
        cmocka_unit_test_teardown(a_user_who_may_not_wait_goes_on_without, teardown),
        cmocka_unit_test_teardown(replicas_that_come_later_are_waited_for, teardown),
        cmocka_unit_test_teardown(replicas_that_stand_still_hold_up_nothing, teardown),
        cmocka_unit_test_teardown(a_step_that_a_promoted_replica_lacks_is_taken_again, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
