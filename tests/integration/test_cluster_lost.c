/* Nodes that have lost what they had while keys of a slot were on their way to them or from them: nothing
 * that lies elsewhere, no mark among it, vouches for keys that are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>

#include "tests/support/cluster_doubt.h"

static void what_an_importing_node_has_lost_is_brought_to_it_again(void **state)
{
    (void)state;
    begin_between(FLOWS);
    tell(IDLE, "SAVE", NULL);
    line("APPEND {%s}grows 3");
    line("SET {%s}lost 4");
    wait_marks();
    redis_cluster_kill(&cluster, IDLE);
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    bring_back();
    line("SET {%s}end 5");
    end_between();
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

/* Of a FLOW that has its marks there. */
static void an_importing_node_that_failed_and_has_lost_nothing_costs_no_full_sync(void **state)
{
    (void)state;
    begin_between(1);
    line("APPEND {%s}grows 3");
    wait_marks();
    tell(IDLE, "SAVE", NULL);
    kill_until_failed();
    line("APPEND {%s}grows 4");
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    bring_back();
    end_between();
    assert_equal_after(1);
}

static void begin_with_a_key_on_its_way(void)
{
    begin(1);
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 0));
    move_key("{%s}lost", IDLE);
}

static void lose_it(void)
{
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    assert_int_equal(redis_cluster_keys_in_slot(&cluster, SLOT, IDLE), 0);
}

static void a_node_that_lost_keys_of_a_slot_on_its_way_is_not_trusted(void **state)
{
    (void)state;
    begin_with_a_key_on_its_way();
    lose_it();
    end_between();
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

/* Its owner is started anew from a copy that does not have the key yet: what the importing node has is not written
 * again. */
static void a_key_on_its_way_from_a_node_that_lost_it_is_not_counted_twice(void **state)
{
    (void)state;
    begin(1);
    write_what_is_lost();
    tell(0, "SAVE", NULL);
    line("INCR {%s}fresh");
    assert_in_step();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 0));
    move_key("{%s}fresh", IDLE);
    redis_cluster_kill(&cluster, 0);
    redis_cluster_revive(&cluster, 0);
    assert_true(redis_cluster_wait_ok(&cluster));
    line("SET {%s}end 1");
    end_between();
    assert_equal();
    assert_ends_well();
}

/* Its replica was cut off when they came: what is promoted lacks them. */
static void keys_on_their_way_to_a_master_that_fails_over_are_not_lost(void **state)
{
    (void)state;
    enum { TO = 1, ITS_REPLICA = MASTERS + TO };
    start_cluster(0, 1);
    crash_begin_in(&crash, &cluster, 1, &crash_small);
    replicate();
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, TO, 0));
    process_signal(&cluster.members[ITS_REPLICA].server.process, SIGSTOP);
    redisContext *c = redis_cluster_connect(&cluster, TO);
    freeReplyObject(server_command(c, "CLIENT KILL TYPE replica"));
    redisFree(c);
    move_key("{%s}lost", TO);
    redis_cluster_kill(&cluster, TO);
    process_signal(&cluster.members[ITS_REPLICA].server.process, SIGCONT);
    notice_failures();
    assert_true(redis_cluster_wait_promoted(&cluster, TO));
    assert_true(df2redis_wait_said(&crash.run.program, "it is unknown which keys are left", RUN_DEADLINE_MS));
    tell(0, "CLUSTER SETSLOT 100 STABLE", NULL); /* as redis-cli --cluster fix does */
    line("INCR {%s}counter");
    assert_equal();
    assert_ends_well();
}

/* It stands still until then, so that it does not meet the node that was started anew by itself. */
static void a_successor_does_not_trust_a_node_that_lost_keys(void **state)
{
    (void)state;
    begin_with_a_key_on_its_way();
    assert_int_equal(kill(worker_pid(&crash.run.program, 0), SIGSTOP), 0);
    lose_it();
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    line("INCR {%s}counter");
    assert_in_step();
    end_between();
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

/* For longer than the session that begins then, to the second. */
static bool is_up_for_long(void *arg)
{
    (void)arg;
    redisContext *c = redis_cluster_connect(&cluster, IDLE);
    redisReply *r = server_command(c, "INFO server");
    const char *at = strstr(r->str, "uptime_in_seconds:");
    bool is = at && strtoul(at + strlen("uptime_in_seconds:"), NULL, 10) > 4;
    freeReplyObject(r);
    redisFree(c);
    return is;
}

static void a_session_that_goes_on_with_an_earlier_one_does_not_trust_a_node_that_lost_keys(void **state)
{
    (void)state;
    begin_with_a_key_on_its_way();
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*"); /* as a reboot does */
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    assert_true(wait_until(is_up_for_long, NULL, RUN_DEADLINE_MS));
    line("INCR {%s}counter");
    replicate();
    end_between();
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

static bool is_noticed(void *arg)
{
    (void)arg;
    return df2redis_said(&crash.run.program, "it is unknown which keys are left") ||
           df2redis_said(&crash.run.program, "stays open between two nodes");
}

/* Redis to 7.x: its replica does not know that the slot is on its way, and answers for what is not there. */
static void an_owner_that_fails_over_does_not_hide_keys_on_their_way(void **state)
{
    (void)state;
    enum { FROM = 0, TO = 1 };
    start_cluster(0, 1);
    crash_begin_in(&crash, &cluster, 1, &crash_small);
    replicate();
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, TO, 0));
    move_key("{%s}lost", TO);
    assert_true(redis_cluster_wait_ok(&cluster)); /* its replica has heard of it */
    redis_cluster_kill(&cluster, FROM);
    notice_failures();
    line("APPEND {%s}lost 2");
    assert_true(wait_until(is_noticed, NULL, RUN_DEADLINE_MS));
    if (df2redis_said(&crash.run.program, "it is unknown which keys are left"))
        tell(TO, "CLUSTER SETSLOT 100 STABLE", NULL); /* till then it takes the dead one for its master */
    assert_in_step();
    assert_true(redis_cluster_move_slot(&cluster, SLOT, TO));
    assert_equal();
    assert_ends_well();
}

/* It came while the run went on, and nothing was written to the slot that goes there. */
static void a_master_that_joined_is_known_before_slots_come(void **state)
{
    (void)state;
    begin(1);
    write_what_is_lost();
    size_t joined = redis_cluster_add(&cluster, CLUSTER_MEMBERS);
    assert_true(redis_cluster_wait_client(&cluster, joined, "df2redis:default:flow-0"));
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, joined, 0));
    move_key("{%s}lost", joined);
    redis_cluster_kill(&cluster, joined);
    redis_cluster_revive(&cluster, joined);
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_true(redis_cluster_move_slot(&cluster, SLOT, joined));
    line("INCR {%s}counter");
    assert_equal();
    assert_ends_well();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_an_importing_node_has_lost_is_brought_to_it_again, teardown),
        cmocka_unit_test_teardown(an_importing_node_that_failed_and_has_lost_nothing_costs_no_full_sync,
                                  teardown),
        cmocka_unit_test_teardown(a_node_that_lost_keys_of_a_slot_on_its_way_is_not_trusted, teardown),
        cmocka_unit_test_teardown(a_key_on_its_way_from_a_node_that_lost_it_is_not_counted_twice, teardown),
        cmocka_unit_test_teardown(keys_on_their_way_to_a_master_that_fails_over_are_not_lost, teardown),
        cmocka_unit_test_teardown(a_successor_does_not_trust_a_node_that_lost_keys, teardown),
        cmocka_unit_test_teardown(
            a_session_that_goes_on_with_an_earlier_one_does_not_trust_a_node_that_lost_keys, teardown),
        cmocka_unit_test_teardown(an_owner_that_fails_over_does_not_hide_keys_on_their_way, teardown),
        cmocka_unit_test_teardown(a_master_that_joined_is_known_before_slots_come, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
