/* The rates at which suspects are compared. */
#include "worker/verify/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MIB = 1 << 20, NOW_MS = 50000 };

static struct pace *pace;

static int setup(void **state)
{
    (void)state;
    pace = pace_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pace_free(pace);
    return 0;
}

static uint64_t rest_of(uint64_t bytes)
{
    pace_compared(pace, 0, slice_str("k"), bytes, NOW_MS);
    return pace_due_ms(pace, 0, slice_str("k")) - NOW_MS;
}

static void key_rests_by_its_size(void **state)
{
    (void)state;
    assert_int_equal(rest_of(0), 1000);
    assert_int_equal(rest_of(100), 1000);
    assert_in_range(rest_of(5 * MIB), 5000, 5100);
    assert_int_equal(rest_of(30 * MIB), 10000);
    assert_int_equal(rest_of(UINT64_C(100) << 30), 10000);
}

static void other_keys_do_not_rest(void **state)
{
    (void)state;
    pace_compared(pace, 0, slice_str("k"), 100, NOW_MS);
    assert_int_equal(pace_due_ms(pace, 1, slice_str("k")), 0);
    assert_int_equal(pace_due_ms(pace, 0, slice_str("l")), 0);
}

static void batch_takes_its_time_by_keys_and_bytes(void **state)
{
    (void)state;
    assert_int_equal(pace_batch_ms(pace, 1, 100), 5);
    assert_int_equal(pace_batch_ms(pace, 32, 100), 160);
    assert_in_range(pace_batch_ms(pace, 1, 32 * MIB), 2000, 2010);
    assert_int_equal(pace_batch_ms(pace, 1, UINT64_C(100) << 30), 10000);
}

static void end_of_the_run_shortens_it(void **state)
{
    (void)state;
    rest_of(30 * MIB);
    pace_ends(pace);
    assert_int_equal(pace_due_ms(pace, 0, slice_str("k")), NOW_MS + 1000);
    assert_int_equal(pace_batch_ms(pace, 32, 48 * MIB), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(key_rests_by_its_size),
        TEST(other_keys_do_not_rest),
        TEST(batch_takes_its_time_by_keys_and_bytes),
        TEST(end_of_the_run_shortens_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
