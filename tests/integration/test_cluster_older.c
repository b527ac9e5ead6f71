/* Nodes that are started anew from what they had on their disk: a mark in it does not vouch for keys that came later, and
 * one that has lost nothing costs no full sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>

#include "tests/support/cluster_doubt.h"

/* Started anew: who is connected to it then, what every FLOW asks, and some looks more. */
static void idle_is_started_anew(void)
{
    static const char *const clients[FLOWS] = {"df2redis:default:flow-0", "df2redis:default:flow-1",
                                               "df2redis:default:flow-2"};
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    for (size_t i = 0; i < FLOWS; i++)
        assert_true(redis_cluster_wait_client(&cluster, IDLE, clients[i]));
    assert_true(
        redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FLOWS * MASTERS + SOME_LOOKS));
}

static void a_master_that_was_started_anew_before_slots_came_costs_no_full_sync(void **state)
{
    (void)state;
    begin(FLOWS);
    line("APPEND {%s}grows 1");
    assert_in_step();
    idle_is_started_anew();
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    line("APPEND {%s}grows 2");
    assert_equal_after(1);
}

enum { OWNER = 1, OF_OWNER = 6000 };

static void owners_line(const char *format)
{
    char words[80];
    snprintf(words, sizeof words, format, slot_tag(OF_OWNER));
    journal_script_line(&crash.script, crash.run.source, 0, words);
}

/* What OWNER would be started anew from has all marks, and lacks the last key. */
static void begin_with_an_older_copy(void)
{
    begin(1);
    owners_line("SET {%s}early 1");
    wait_marks();
    tell(OWNER, "SAVE", NULL);
    owners_line("SET {%s}lost 1");
}

static void an_owner_that_lost_keys_is_not_vouched_for_by_a_mark_that_has_gone(void **state)
{
    (void)state;
    begin_with_an_older_copy();
    owners_line("INCR {%s}counter");
    assert_in_step();
    assert_true(redis_cluster_begin_slot(&cluster, OF_OWNER, 0, 0));
    move_mark(OF_OWNER, OWNER, 0);
    redis_cluster_kill(&cluster, OWNER);
    redis_cluster_revive(&cluster, OWNER);
    assert_true(redis_cluster_wait_ok(&cluster));
    owners_line("SET {%s}early 2");
    assert_in_step();
    assert_true(redis_cluster_move_slot(&cluster, OF_OWNER, 0));
    assert_equal();
    assert_ends_well();
}

/* With its older copy; what it lost is on its way to it again, and waits. The worker stands still meanwhile, so that it
 * does not meet a node that takes writes. */
static void owner_returns_and_takes_no_writes(void)
{
    pid_t worker = worker_pid(&crash.run.program, 0);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    redis_cluster_kill(&cluster, OWNER);
    redis_cluster_revive(&cluster, OWNER);
    assert_true(redis_cluster_wait_ok(&cluster));
    tell(OWNER, "CONFIG SET maxmemory 1", NULL);
    assert_int_equal(kill(worker, SIGCONT), 0);
    assert_true(df2redis_wait_said(&crash.run.program, "OOM", RUN_DEADLINE_MS));
}

/* No mark was lost; the process that the node is now is known, when the worker dies. */
static void what_is_brought_again_is_so_by_a_successor_too(void **state)
{
    (void)state;
    begin_with_an_older_copy();
    assert_in_step();
    owner_returns_and_takes_no_writes();
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    tell(OWNER, "CONFIG SET maxmemory 0", NULL);
    owners_line("SET {%s}end 1");
    assert_equal_after(1);
}

/* The slot goes to a master with a later mark. */
static void a_slot_that_lost_keys_gets_them_where_it_goes(void **state)
{
    (void)state;
    begin_with_an_older_copy();
    wait_marks();
    owner_returns_and_takes_no_writes();
    assert_true(redis_cluster_move_slot(&cluster, OF_OWNER, 0));
    tell(OWNER, "CONFIG SET maxmemory 0", NULL);
    owners_line("SET {%s}end 1");
    assert_equal();
    assert_ends_well();
}

static void begin_to_move_the_slot(void)
{
    begin(1);
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 0));
}

/* From what it wrote to its disk while the slot came: with what had come first, and nothing else. */
static void assert_equal_after_a_start_from_this(void)
{
    tell(IDLE, "SAVE", NULL);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    line("SET {%s}early 2");
    assert_equal();
    assert_ends_well();
}

static void a_copy_from_while_a_slot_came_is_not_vouched_for_by_its_mark(void **state)
{
    (void)state;
    begin_to_move_the_slot();
    move_mark(SLOT, 0, IDLE);
    assert_equal_after_a_start_from_this();
}

/* The counter comes before its mark does: without that it must not be counted again. */
static void a_copy_that_has_keys_and_no_mark_is_not_written_to_again(void **state)
{
    (void)state;
    begin_to_move_the_slot();
    move_key("{%s}counter", IDLE);
    assert_equal_after_a_start_from_this();
}

/* Its FLOW had nothing to send since the slot came: a mark tells nevertheless. */
static void a_node_that_a_slot_came_to_and_that_lost_nothing_costs_no_full_sync(void **state)
{
    (void)state;
    begin(1);
    write_what_is_lost();
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    tell(IDLE, "SAVE", NULL);
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    line("INCR {%s}counter");
    assert_equal_after(1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_master_that_was_started_anew_before_slots_came_costs_no_full_sync,
                                  teardown),
        cmocka_unit_test_teardown(an_owner_that_lost_keys_is_not_vouched_for_by_a_mark_that_has_gone,
                                  teardown),
        cmocka_unit_test_teardown(what_is_brought_again_is_so_by_a_successor_too, teardown),
        cmocka_unit_test_teardown(a_slot_that_lost_keys_gets_them_where_it_goes, teardown),
        cmocka_unit_test_teardown(a_copy_from_while_a_slot_came_is_not_vouched_for_by_its_mark, teardown),
        cmocka_unit_test_teardown(a_copy_that_has_keys_and_no_mark_is_not_written_to_again, teardown),
        cmocka_unit_test_teardown(a_node_that_a_slot_came_to_and_that_lost_nothing_costs_no_full_sync,
                                  teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
