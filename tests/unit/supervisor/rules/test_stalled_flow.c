/* Which FLOW stands still among its neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "supervisor/rules/stalled_flow.h"

enum { LIMIT_MS = 60000, NOW_MS = 1000000 };

static bool stands_still(uint64_t idle0_ms, uint64_t idle1_ms, uint64_t idle2_ms)
{
    const uint64_t received_ms[] = {NOW_MS - idle0_ms, NOW_MS - idle1_ms, NOW_MS - idle2_ms};
    return health_stands_still(received_ms, 3, 1, NOW_MS, LIMIT_MS);
}

static void flow_without_anything_for_a_minute_stands_still_when_another_lives(void **state)
{
    (void)state;
    assert_true(stands_still(0, LIMIT_MS, LIMIT_MS));
    assert_true(stands_still(LIMIT_MS * 9, LIMIT_MS, LIMIT_MS / 2 - 1));
}

static void flow_that_got_something_within_the_minute_does_not(void **state)
{
    (void)state;
    assert_false(stands_still(0, LIMIT_MS - 1, 0));
}

static void flows_that_are_all_silent_do_not(void **state)
{
    (void)state;
    assert_false(stands_still(LIMIT_MS * 2, LIMIT_MS * 2, LIMIT_MS * 2));
    assert_false(stands_still(LIMIT_MS / 2, LIMIT_MS, LIMIT_MS / 2));
}

static void failed_flows_count_for_nothing(void **state)
{
    (void)state;
    assert_false(stands_still(0, NOW_MS, 0));
    assert_false(stands_still(NOW_MS, LIMIT_MS, NOW_MS));
}

static void only_flow_has_no_neighbours(void **state)
{
    (void)state;
    const uint64_t received_ms[] = {1};
    assert_false(health_stands_still(received_ms, 1, 0, NOW_MS, LIMIT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flow_without_anything_for_a_minute_stands_still_when_another_lives),
        cmocka_unit_test(flow_that_got_something_within_the_minute_does_not),
        cmocka_unit_test(flows_that_are_all_silent_do_not),
        cmocka_unit_test(failed_flows_count_for_nothing),
        cmocka_unit_test(only_flow_has_no_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
