/* Counting evicted keys over processes of the target, and over ours. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/target/evictions.h"

static struct evictions e;
static char path[200];

static int setup(void **state)
{
    if (make_dir(state) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/evictions", testing_dir);
    e = (struct evictions){0};
    return 0;
}

static int teardown(void **state)
{
    evictions_free(&e);
    return remove_dir(state);
}

static void only_growth_since_the_copy_began_counts(void **state)
{
    (void)state;
    evictions_before(&e, "a", 100);
    evictions_before(&e, "a", 90); /* probed again */
    assert_int_equal(evictions_note(&e, "a", 100, 1, true), 0);
    assert_int_equal(evictions_note(&e, "a", 103, 2, true), 3);
    assert_int_equal(evictions_note(&e, "b", 7, 1, false), 0);
    assert_int_equal(evictions_note(&e, "a", 104, 3, false), 1);
}

static void growth_before_the_first_answer_counts(void **state)
{
    (void)state;
    evictions_before(&e, "a", 100);
    assert_int_equal(evictions_note(&e, "a", 105, 1, false), 5);
}

static void process_that_was_not_probed_counts_from_its_begin(void **state)
{
    (void)state;
    assert_int_equal(evictions_note(&e, "a", 5, 1, true), 5);
    assert_int_equal(evictions_note(&e, "a", 6, 2, true), 1);
}

static void process_without_an_id_is_none(void **state)
{
    (void)state;
    evictions_before(&e, "", 5);
    assert_int_equal(e.count, 0);
}

static void statistics_that_were_reset_count_from_0(void **state)
{
    (void)state;
    evictions_note(&e, "a", 100, 5000, false);
    assert_int_equal(evictions_note(&e, "a", 2, 10, false), 2);
    /* More were evicted since than before. */
    assert_int_equal(evictions_note(&e, "a", 7, 3, false), 7);
}

static void whole_seconds_tell_when_a_process_was_started(void **state)
{
    (void)state;
    assert_false(evictions_started_since(&e, 0, 1000000));
    e.since_ms = 1000000;
    assert_true(evictions_started_since(&e, 0, 1000000));
    assert_true(evictions_started_since(&e, 3, 1005000));
    assert_true(evictions_started_since(&e, 6, 1005000));
    assert_false(evictions_started_since(&e, 7, 1005000));
}

static void clock_that_was_set_back_makes_no_process_new(void **state)
{
    (void)state;
    e.since_ms = 1000000;
    assert_true(evictions_started_since(&e, 1, 500000));
    assert_false(evictions_started_since(&e, 2, 500000));
    assert_false(evictions_started_since(&e, 100000, 500000));
}

static void only_a_full_process_may_have_evicted_unseen(void **state)
{
    (void)state;
    struct evictions_end end = {"allkeys-lru", 95, 100, 0, 1000};
    assert_true(evictions_may_be_unseen(&end));
    end.used_bytes = 80;
    assert_false(evictions_may_be_unseen(&end));
    end.max_bytes = 0;
    assert_false(evictions_may_be_unseen(&end));
}

static void policy_that_spares_keys_needs_an_eviction_to_be_suspicious(void **state)
{
    (void)state;
    struct evictions_end end = {"volatile-lru", 99, 100, 0, 1000};
    assert_false(evictions_may_be_unseen(&end));
    end.evicted = 1;
    assert_true(evictions_may_be_unseen(&end));
    end.policy = "noeviction";
    assert_false(evictions_may_be_unseen(&end));
}

static void room_that_nothing_can_fill_in_that_time_is_room(void **state)
{
    (void)state;
    const uint64_t gib = 1 << 30;
    struct evictions_end end = {"allkeys-lru", 95 * gib, 100 * gib, 7, 1000};
    assert_false(evictions_may_be_unseen(&end));
    end.unseen_ms = 6000;
    assert_true(evictions_may_be_unseen(&end));
}

static void file_carries_the_count_on(void **state)
{
    (void)state;
    e.since_ms = 1796000000123;
    evictions_note(&e, "a", 100, 50, false);
    evictions_note(&e, "b", 1, 50, false);
    assert_true(evictions_save(&e, path));
    evictions_free(&e);
    assert_true(evictions_load(&e, path));
    assert_int_equal(e.count, 2);
    assert_int_equal(e.since_ms, 1796000000123);
    assert_int_equal(evictions_note(&e, "a", 110, 70, false), 10);
    assert_int_equal(evictions_note(&e, "b", 1, 70, false), 0);
}

static void file_of_an_older_release_does_not_say_since_when(void **state)
{
    (void)state;
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs("a 100\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_true(evictions_load(&e, path));
    assert_int_equal(e.since_ms, 0);
    assert_int_equal(evictions_note(&e, "a", 110, 1, false), 10);
}

static void no_file_is_no_count(void **state)
{
    (void)state;
    assert_false(evictions_load(&e, path));
    assert_int_equal(e.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_growth_since_the_copy_began_counts),
        TEST(growth_before_the_first_answer_counts),
        TEST(process_that_was_not_probed_counts_from_its_begin),
        TEST(process_without_an_id_is_none),
        TEST(statistics_that_were_reset_count_from_0),
        TEST(whole_seconds_tell_when_a_process_was_started),
        TEST(clock_that_was_set_back_makes_no_process_new),
        TEST(only_a_full_process_may_have_evicted_unseen),
        TEST(policy_that_spares_keys_needs_an_eviction_to_be_suspicious),
        TEST(room_that_nothing_can_fill_in_that_time_is_room),
        TEST(file_carries_the_count_on),
        TEST(file_of_an_older_release_does_not_say_since_when),
        TEST(no_file_is_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
