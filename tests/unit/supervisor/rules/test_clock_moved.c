/* Whether a server's clock, or that of this machine, was set; never by load, drift or slow answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "supervisor/rules/clock_moved.h"

#define MS INT64_C(1000)
#define S INT64_C(1000000)
#define UNIX_US (INT64_C(1790000000) * S)

static struct clock_watch watch;
static int64_t boot_us, own_us,
    ahead_us; /* now; Unix time of this machine at its boot; the server's clock, of ours */
static int64_t by_us;

static int setup(void **state)
{
    (void)state;
    watch = (struct clock_watch){0};
    boot_us = 1000 * S;
    own_us = UNIX_US;
    ahead_us = 0;
    return 0;
}

static struct clock_pair now(void)
{
    return (struct clock_pair){own_us + boot_us, boot_us};
}

/* The server reads its clock after `there_us`, and its answer is read after `back_us` more. */
static enum clock_verdict ask(int64_t there_us, int64_t back_us)
{
    struct clock_reading r = {.asked = now()};
    boot_us += there_us;
    r.told_us = now().unix_us + ahead_us;
    boot_us += back_us;
    r.answered = now();
    return clock_watch_take(&watch, &r, &by_us);
}

static void assert_as_before(int64_t there_us, int64_t back_us)
{
    assert_int_equal(ask(there_us, back_us), CLOCK_AS_BEFORE);
    assert_int_equal(by_us, 0);
    assert_true(watch.known);
}

static void assert_knows_the_difference(void)
{
    assert_true(watch.least_us <= ahead_us && ahead_us <= watch.most_us);
}

static void a_clock_that_was_wrong_from_the_start_is_no_change(void **state)
{
    (void)state;
    ahead_us = -3600 * S;
    assert_as_before(1 * MS, 1 * MS);
    boot_us += S;
    assert_as_before(1 * MS, 1 * MS);
    assert_knows_the_difference();
}

static void set_forward_and_back_by_a_minute(void **state)
{
    (void)state;
    assert_as_before(1 * MS, 1 * MS);
    ahead_us += 60 * S;
    assert_int_equal(ask(1 * MS, 1 * MS), CLOCK_SET);
    assert_in_range(by_us, 60 * S - 4 * MS, 60 * S);
    assert_knows_the_difference();
    assert_as_before(1 * MS, 1 * MS); /* told once */
    ahead_us -= 60 * S;
    assert_int_equal(ask(1 * MS, 1 * MS), CLOCK_SET);
    assert_in_range(-by_us, 60 * S - 4 * MS, 60 * S);
    assert_knows_the_difference();
}

static void the_tolerance_lies_beyond_the_round_trip(void **state)
{
    (void)state;
    assert_as_before(0, 0);
    ahead_us = CLOCK_TOLERANCE_US - 10 * MS;
    assert_as_before(0, 0);
    assert_knows_the_difference(); /* measured again */
    ahead_us += CLOCK_TOLERANCE_US + 10 * MS;
    assert_int_equal(ask(0, 0), CLOCK_SET);
    ahead_us -= S;
    assert_as_before(2 * S, 2 * S);                   /* it cannot be told from a slow answer … */
    assert_int_equal(ask(1 * MS, 1 * MS), CLOCK_SET); /* … but from the next one */
    assert_knows_the_difference();
}

static void slow_answers_are_no_change(void **state)
{
    (void)state;
    srand(7);
    ahead_us = 700 * MS;
    for (int i = 0; i < 10000; i++) {
        int64_t there_us = rand() % 7 ? rand() % 300 : rand() % (20 * S),
                back_us = rand() % 5 ? rand() % 300 : rand() % (20 * S);
        assert_as_before(there_us, back_us);
        assert_knows_the_difference();
        boot_us += rand() % (3 * S);
    }
}

/* 500 ppm, over a distance of a tenth of a second: 43 s a day. */
static void drift_is_followed_and_no_change(void **state)
{
    (void)state;
    for (int i = 0; i < 86400; i++) {
        assert_as_before(50 * MS, 50 * MS);
        assert_knows_the_difference();
        boot_us += 900 * MS;
        ahead_us += 500;
    }
    assert_true(watch.most_us - watch.least_us <= 102 * MS);
}

static void the_clock_of_this_machine_is_told_apart(void **state)
{
    (void)state;
    assert_as_before(1 * MS, 1 * MS);
    own_us -= 30 * S;
    ahead_us += 30 * S;
    assert_int_equal(ask(1 * MS, 1 * MS), CLOCK_OWN_SET);
    assert_int_equal(by_us, -30 * S);
    assert_knows_the_difference();
    assert_as_before(1 * MS, 1 * MS);
}

static void set_while_the_answer_was_on_its_way_it_is_told_by_the_next_one(void **state)
{
    (void)state;
    assert_as_before(1 * MS, 1 * MS);
    struct clock_reading r = {.asked = now(), .told_us = now().unix_us};
    own_us += 30 * S;
    ahead_us -= 30 * S;
    r.answered = now();
    assert_int_equal(clock_watch_take(&watch, &r, &by_us), CLOCK_AS_BEFORE);
    assert_int_equal(ask(1 * MS, 1 * MS), CLOCK_OWN_SET);
    assert_int_equal(by_us, 30 * S);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_clock_that_was_wrong_from_the_start_is_no_change, setup),
        cmocka_unit_test_setup(set_forward_and_back_by_a_minute, setup),
        cmocka_unit_test_setup(the_tolerance_lies_beyond_the_round_trip, setup),
        cmocka_unit_test_setup(slow_answers_are_no_change, setup),
        cmocka_unit_test_setup(drift_is_followed_and_no_change, setup),
        cmocka_unit_test_setup(the_clock_of_this_machine_is_told_apart, setup),
        cmocka_unit_test_setup(set_while_the_answer_was_on_its_way_it_is_told_by_the_next_one, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
