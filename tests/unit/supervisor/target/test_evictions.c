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

static void only_growth_since_the_first_sight_counts(void **state)
{
    (void)state;
    assert_int_equal(evictions_note(&e, "a", 100, false), 0);
    assert_int_equal(evictions_note(&e, "a", 100, false), 0);
    assert_int_equal(evictions_note(&e, "a", 103, false), 3);
    assert_int_equal(evictions_note(&e, "b", 7, false), 0);
    assert_int_equal(evictions_note(&e, "a", 104, false), 1);
}

static void process_that_began_under_our_eyes_counts_from_its_begin(void **state)
{
    (void)state;
    assert_int_equal(evictions_note(&e, "a", 5, true), 5);
    assert_int_equal(evictions_note(&e, "a", 6, true), 1);
}

static void statistics_that_were_reset_count_from_0(void **state)
{
    (void)state;
    evictions_note(&e, "a", 100, false);
    assert_int_equal(evictions_note(&e, "a", 2, false), 2);
}

static void file_carries_the_count_on(void **state)
{
    (void)state;
    evictions_note(&e, "a", 100, false);
    evictions_note(&e, "b", 1, false);
    assert_true(evictions_save(&e, path));
    evictions_free(&e);
    assert_true(evictions_load(&e, path));
    assert_int_equal(e.count, 2);
    assert_int_equal(evictions_note(&e, "a", 110, false), 10);
    assert_int_equal(evictions_note(&e, "b", 1, false), 0);
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
        TEST(only_growth_since_the_first_sight_counts),
        TEST(process_that_began_under_our_eyes_counts_from_its_begin),
        TEST(statistics_that_were_reset_count_from_0),
        TEST(file_carries_the_count_on),
        TEST(no_file_is_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
