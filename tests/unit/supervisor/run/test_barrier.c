/* What waits for every FLOW: the end of the snapshot, and global commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "supervisor/run/barrier.h"

static struct globals g;
static uint32_t runner;

static int setup(void **state)
{
    (void)state;
    globals_init(&g, 3);
    runner = 99;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    globals_free(&g);
    return 0;
}

/* The source is asked, and says at once that it is a master. */
static enum global_answer arrive(uint32_t flow, uint64_t txid)
{
    enum global_answer answer = globals_arrive(&g, flow, txid, "FLUSHALL", 0, 1000);
    if (answer != GLOBAL_ASK)
        return answer;
    const struct global *one = globals_confirm(&g, 1000);
    assert_non_null(one);
    assert_int_equal(one->txid, txid);
    runner = one->runner;
    assert_null(globals_confirm(&g, 1000));
    return answer;
}

static void nothing_is_run_before_the_source_is_known_to_be_a_master(void **state)
{
    (void)state;
    for (uint32_t flow = 0; flow < 2; flow++)
        assert_int_equal(globals_arrive(&g, flow, 5, "FLUSHALL", 0, 1000), GLOBAL_HOLD);
    assert_int_equal(globals_arrive(&g, 2, 5, "FLUSHALL", 0, 1000), GLOBAL_ASK);
    for (uint32_t flow = 0; flow < 3; flow++)
        assert_true(globals_holds(&g, flow)); /* the session may end here, before it */
    assert_int_equal(globals_age_ms(&g, 5, 2000), 0);
    globals_forget(&g, 0); /* the worker of the one that would run it died */
    assert_int_equal(globals_arrive(&g, 0, 5, "FLUSHALL", 0, 1000), GLOBAL_ASK);
    assert_non_null(globals_confirm(&g, 3000));
    for (uint32_t flow = 0; flow < 3; flow++)
        assert_false(globals_holds(&g, flow));
    assert_int_equal(globals_age_ms(&g, 5, 3000), 1);
    globals_forget(&g,
                   0); /* it may have run it; others may have left, which a new question brings to light */
    assert_int_equal(globals_arrive(&g, 0, 5, "FLUSHALL", 0, 1000), GLOBAL_ASK);
}

static void set_is_full_after_each_flow_once(void **state)
{
    (void)state;
    struct flow_set set;
    flow_set_init(&set, 2);
    assert_true(flow_set_add(&set, 1));
    assert_false(flow_set_add(&set, 1));
    assert_false(flow_set_full(&set));
    assert_false(flow_set_add(&set, 7));
    assert_true(flow_set_add(&set, 0));
    assert_true(flow_set_full(&set));
    assert_true(flow_set_remove(&set, 0));
    assert_false(flow_set_remove(&set, 0));
    assert_false(flow_set_full(&set));
    flow_set_clear(&set);
    assert_int_equal(set.count, 0);
    flow_set_free(&set);
}

/* Only of what was given to a runner here: what is known to be done may have been done by an earlier
 * supervisor. */
static void age_is_that_of_what_was_run_here(void **state)
{
    (void)state;
    assert_int_equal(globals_age_ms(&g, 5, 1000), 0);
    arrive(2, 5);
    arrive(0, 5);
    assert_int_equal(globals_age_ms(&g, 5, 1000), 0);
    arrive(1, 5);
    assert_int_equal(globals_age_ms(&g, 5, 1000), 1);
    assert_int_equal(globals_age_ms(&g, 5, 3000), 2001);
    assert_int_equal(globals_arrive(&g, 0, 5, "FLUSHALL", 0, 2500), GLOBAL_ASK); /* again */
    assert_non_null(globals_confirm(&g, 2500));
    assert_int_equal(globals_age_ms(&g, 5, 3000), 2001);
    arrive(2, 6);
    globals_done(&g, 0, 6, 1000);
    assert_int_equal(globals_age_ms(&g, 6, 3000), 0);
}

static void last_arrival_lets_the_lowest_flow_run_it(void **state)
{
    (void)state;
    assert_int_equal(arrive(2, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(0, 5), GLOBAL_HOLD);
    assert_true(globals_holds(&g, 0));
    assert_false(globals_holds(&g, 1));
    assert_int_equal(arrive(1, 5), GLOBAL_ASK);
    assert_int_equal(runner, 0);
    const struct global *done = globals_done(&g, 0, 5, 1000);
    assert_non_null(done);
    assert_true(done->arrived.member[1] && done->arrived.member[2]);
    assert_false(globals_holds(&g, 1));
}

static void arriving_twice_counts_once(void **state)
{
    (void)state;
    assert_int_equal(arrive(0, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(0, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(1, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
}

static void several_may_wait_at_once(void **state)
{
    (void)state;
    assert_int_equal(arrive(0, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(1, 6), GLOBAL_HOLD);
    assert_int_equal(arrive(2, 6), GLOBAL_HOLD);
    assert_int_equal(arrive(1, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    assert_non_null(globals_done(&g, 0, 5, 1000));
    assert_int_equal(arrive(0, 6), GLOBAL_ASK);
}

static void successor_of_a_passed_worker_is_passed_and_runs_nothing(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    arrive(2, 5);
    assert_non_null(globals_done(&g, 0, 5, 1000));
    globals_forget(&g, 0);
    assert_int_equal(arrive(0, 5), GLOBAL_PASS);
    assert_null(globals_done(&g, 0, 5, 1000));
}

static void runner_that_dies_before_it_is_done_runs_it_again(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    globals_forget(&g, 0);
    assert_null(globals_next_ready(&g));
    assert_int_equal(arrive(0, 5), GLOBAL_ASK);
    assert_int_equal(runner, 0);
}

/* The runner lost its target and comes again, while the worker of another FLOW has died: that one may have gone back to
 * before the command, and what it writes again would come behind it. */
static void runner_that_comes_again_waits_for_one_that_died_meanwhile(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    globals_forget(&g, 1);
    assert_int_equal(arrive(0, 5), GLOBAL_HOLD);
    assert_null(globals_next_ready(&g));
    assert_int_equal(arrive(1, 5), GLOBAL_ASK);
    assert_int_equal(runner, 0);
}

/* The same while the source is being asked for its role. */
static void command_is_not_confirmed_without_one_that_died(void **state)
{
    (void)state;
    for (uint32_t flow = 0; flow < 2; flow++)
        assert_int_equal(globals_arrive(&g, flow, 5, "FLUSHALL", 0, 1000), GLOBAL_HOLD);
    assert_int_equal(globals_arrive(&g, 2, 5, "FLUSHALL", 0, 1000), GLOBAL_ASK);
    globals_forget(&g, 1);
    assert_null(globals_confirm(&g, 1000));
    assert_int_equal(arrive(1, 5), GLOBAL_ASK);
    assert_int_equal(runner, 0);
}

/* It left while the command was out: what it applies again may come behind the command. */
static void flow_that_leaves_during_the_run_is_told_so(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    globals_forget(&g, 1);
    assert_int_equal(arrive(1, 5), GLOBAL_HOLD); /* no note was there yet */
    assert_false(globals_unheld(&g, 5, 1));
    assert_non_null(globals_done(&g, 0, 5, 1000));
    assert_true(globals_unheld(&g, 5, 1));
    assert_false(globals_unheld(&g, 5, 2));
}

static void flow_that_left_before_the_run_is_not_told_so(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    globals_forget(&g, 1);
    arrive(2, 5);
    assert_int_equal(arrive(1, 5), GLOBAL_ASK);
    assert_non_null(globals_done(&g, 0, 5, 1000));
    assert_false(globals_unheld(&g, 5, 1));
}

/* The target was restarted: the later run comes behind all that was applied again. */
static void later_run_makes_up_for_having_left(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    for (uint32_t flow = 0; flow < 3; flow++)
        globals_forget(&g, flow);
    assert_int_equal(arrive(1, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(0, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    assert_non_null(globals_done(&g, 0, 5, 1000));
    for (uint32_t flow = 0; flow < 3; flow++)
        assert_false(globals_unheld(&g, 5, flow));
}

/* A note that another FLOW reads may be of the earlier run, in the midst of what was applied again. */
static void later_run_does_not_when_the_note_is_of_an_earlier_one(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    for (uint32_t flow = 0; flow < 3; flow++)
        globals_forget(&g, flow);
    arrive(1, 5);
    arrive(0, 5);
    assert_non_null(globals_done(&g, 2, 5, 1000));
    assert_true(globals_unheld(&g, 5, 0));
    assert_true(globals_unheld(&g, 5, 1));
}

static void flow_that_arrives_after_the_run_is_told_so(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    assert_int_equal(arrive(2, 5), GLOBAL_ASK);
    assert_non_null(globals_done(&g, 0, 5, 1000));
    assert_false(globals_unheld(&g, 5, 2));
    globals_forget(&g, 2);
    assert_int_equal(arrive(2, 5), GLOBAL_PASS);
    assert_true(globals_unheld(&g, 5, 2));
}

static void answer_is_to_the_last_arrival(void **state)
{
    (void)state;
    assert_int_equal(globals_arrival(&g, 5, 1), 0);
    assert_int_equal(globals_arrive(&g, 1, 5, "FLUSHALL", 3, 1000), GLOBAL_HOLD);
    globals_forget(&g, 1);
    assert_int_equal(globals_arrive(&g, 1, 5, "FLUSHALL", 4, 1000), GLOBAL_HOLD);
    assert_int_equal(globals_arrival(&g, 5, 1), 4);
    globals_done(&g, 0, 5, 1000);
    globals_arrive(&g, 1, 5, "FLUSHALL", 5, 1000);
    assert_int_equal(globals_arrival(&g, 5, 1), 5);
}

/* It knows from the target's mark that its predecessor had run it, and does not stop there. */
static void done_counts_when_the_runners_successor_says_it(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    arrive(2, 5);
    globals_forget(&g, 0);
    const struct global *done = globals_done(&g, 0, 5, 1000);
    assert_non_null(done);
    assert_true(done->arrived.member[1] && done->arrived.member[2]);
    assert_int_equal(arrive(1, 5), GLOBAL_PASS);
}

static void held_worker_that_dies_is_waited_for_again(void **state)
{
    (void)state;
    arrive(0, 5);
    arrive(1, 5);
    globals_forget(&g, 1);
    assert_int_equal(arrive(2, 5), GLOBAL_HOLD);
    assert_int_equal(arrive(1, 5), GLOBAL_ASK);
}

static void failed_flow_is_no_longer_waited_for(void **state)
{
    (void)state;
    arrive(1, 5);
    arrive(2, 5);
    assert_null(globals_next_ready(&g));
    globals_give_up(&g, 0);
    const struct global *ready = globals_next_ready(&g);
    assert_non_null(ready);
    assert_int_equal(ready->runner, 1);
    assert_null(globals_next_ready(&g));
    assert_true(globals_confirm(&g, 1000) == ready);
    assert_int_equal(arrive(2, 6), GLOBAL_HOLD);
    assert_int_equal(arrive(1, 6), GLOBAL_ASK);
    assert_int_equal(runner, 1);
}

static void many_done_ones_are_forgotten_in_the_end(void **state)
{
    (void)state;
    assert_int_equal(arrive(0, 1000000), GLOBAL_HOLD);
    for (uint64_t txid = 1; txid <= 10 * GLOBALS_KEPT; txid++) {
        arrive(0, txid);
        arrive(1, txid);
        assert_int_equal(arrive(2, txid), GLOBAL_ASK);
        assert_non_null(globals_done(&g, 0, txid, 1000));
    }
    assert_true(g.count <= GLOBALS_KEPT + 2);
    assert_int_equal(arrive(1, 10 * GLOBALS_KEPT), GLOBAL_PASS);
    /* The one that still waits is kept. */
    assert_int_equal(arrive(1, 1000000), GLOBAL_HOLD);
    assert_int_equal(arrive(2, 1000000), GLOBAL_ASK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_is_full_after_each_flow_once),
        TEST(age_is_that_of_what_was_run_here),
        TEST(last_arrival_lets_the_lowest_flow_run_it),
        TEST(nothing_is_run_before_the_source_is_known_to_be_a_master),
        TEST(arriving_twice_counts_once),
        TEST(several_may_wait_at_once),
        TEST(successor_of_a_passed_worker_is_passed_and_runs_nothing),
        TEST(runner_that_dies_before_it_is_done_runs_it_again),
        TEST(runner_that_comes_again_waits_for_one_that_died_meanwhile),
        TEST(command_is_not_confirmed_without_one_that_died),
        TEST(done_counts_when_the_runners_successor_says_it),
        TEST(held_worker_that_dies_is_waited_for_again),
        TEST(flow_that_leaves_during_the_run_is_told_so),
        TEST(flow_that_left_before_the_run_is_not_told_so),
        TEST(later_run_makes_up_for_having_left),
        TEST(later_run_does_not_when_the_note_is_of_an_earlier_one),
        TEST(flow_that_arrives_after_the_run_is_told_so),
        TEST(answer_is_to_the_last_arrival),
        TEST(failed_flow_is_no_longer_waited_for),
        TEST(many_done_ones_are_forgotten_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
