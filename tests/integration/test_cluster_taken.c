/* Slots that are taken, without their keys, from a master that is dead, hangs or was started anew, also while nobody looks:
 * they are not taken for whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>

#include "tests/support/cluster_doubt.h"

/* As --cluster fix --cluster-fix-with-unreachable-masters does: without the keys. */
static void a_slot_that_was_taken_from_a_dead_master_is_not_taken_for_whole(void **state)
{
    (void)state;
    begin(1);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    write_what_is_lost();
    kill_until_failed();
    assert_true(redis_cluster_take_slot(&cluster, SLOT, 0));
    line("INCR {%s}counter");
    assert_equal();
    assert_ends_well();
}

enum end { DIES, DIES_AND_IS_FORGOTTEN, HANGS_AND_IS_FORGOTTEN };

/* The slot is taken from its master while the worker does not look, and then that gets the signal. */
static void taken_unseen(enum end end, int signal)
{
    begin(1);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    write_what_is_lost();
    pid_t worker = worker_pid(&crash.run.program, 0);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    if (end == DIES)
        kill_until_failed();
    else if (end == DIES_AND_IS_FORGOTTEN)
        redis_cluster_kill(&cluster, IDLE);
    else
        process_signal(&cluster.members[IDLE].server.process, SIGSTOP);
    assert_true(redis_cluster_take_slot(&cluster, SLOT, 0));
    for (size_t i = 0; end != DIES && i < IDLE; i++)
        tell(i, "CLUSTER FORGET %s", cluster.members[IDLE].id);
    assert_int_equal(kill(worker, signal), 0);
    line("INCR {%s}counter");
    if (end == HANGS_AND_IS_FORGOTTEN) {
        assert_in_step();
        redis_cluster_kill(&cluster, IDLE); /* nobody compares with it */
    }
    assert_equal();
    assert_ends_well();
}

static void a_slot_of_a_dead_and_forgotten_master_is_not_taken_for_whole(void **state)
{
    (void)state;
    taken_unseen(DIES_AND_IS_FORGOTTEN, SIGCONT);
}

/* Its link tells nothing of that. */
static void a_slot_of_a_hanging_and_forgotten_master_is_not_taken_for_whole(void **state)
{
    (void)state;
    taken_unseen(HANGS_AND_IS_FORGOTTEN, SIGCONT);
}

/* It came back without its data, gave the slot away and was forgotten, all while the judgement waited for
 * what another one had not answered. */
static void a_slot_of_a_restarted_and_forgotten_master_is_not_taken_for_whole(void **state)
{
    (void)state;
    size_t hangs = SOURCE, idle = IDLE;
    char give[80];
    begin(1);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    write_what_is_lost();
    process_signal(&cluster.members[hangs].server.process, SIGSTOP);
    line("SET c hangs");
    assert_true(wait_until(is_unread, &hangs, RUN_DEADLINE_MS));
    redis_cluster_kill(&cluster, IDLE);
    redis_cluster_revive(&cluster, IDLE);
    wait_met(IDLE);
    snprintf(give, sizeof give, "CLUSTER SETSLOT %u NODE %s", SLOT, cluster.members[0].id);
    /* Before the slot: what the other one says meanwhile would take it back, and forgetting that leave it to nobody. */
    redisContext *c = redis_cluster_connect(&cluster, 0);
    freeReplyObject(server_command(c, "CLUSTER BUMPEPOCH"));
    redisFree(c);
    tell(0, give, NULL);
    /* It may have heard of that, and be a replica by now, which takes no SETSLOT. */
    c = redis_cluster_connect(&cluster, IDLE);
    freeReplyObject(server_command(c, give));
    redisFree(c);
    tell(2, give, NULL);
    for (size_t i = 0; i < IDLE; i++)
        if (i != hangs)
            tell(i, "CLUSTER FORGET %s", cluster.members[IDLE].id);
    assert_true(wait_until(is_left, &idle, RUN_DEADLINE_MS));
    process_signal(&cluster.members[hangs].server.process, SIGCONT);
    tell(hangs, "CLUSTER FORGET %s", cluster.members[IDLE].id);
    tell(hangs, give, NULL);
    line("INCR {%s}counter");
    assert_in_step();
    redis_cluster_kill(&cluster, IDLE); /* nobody compares with it */
    assert_equal();
    assert_ends_well();
}

static void a_successor_does_not_take_a_slot_of_a_dead_master_for_whole(void **state)
{
    (void)state;
    taken_unseen(DIES, SIGKILL);
}

static void a_successor_does_not_take_a_slot_of_a_forgotten_master_for_whole(void **state)
{
    (void)state;
    taken_unseen(DIES_AND_IS_FORGOTTEN, SIGKILL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_slot_that_was_taken_from_a_dead_master_is_not_taken_for_whole, teardown),
        cmocka_unit_test_teardown(a_slot_of_a_dead_and_forgotten_master_is_not_taken_for_whole, teardown),
        cmocka_unit_test_teardown(a_slot_of_a_hanging_and_forgotten_master_is_not_taken_for_whole, teardown),
        cmocka_unit_test_teardown(a_slot_of_a_restarted_and_forgotten_master_is_not_taken_for_whole,
                                  teardown),
        cmocka_unit_test_teardown(a_successor_does_not_take_a_slot_of_a_dead_master_for_whole, teardown),
        cmocka_unit_test_teardown(a_successor_does_not_take_a_slot_of_a_forgotten_master_for_whole, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
