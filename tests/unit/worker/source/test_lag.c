/* How long the oldest byte has waited: never told too young. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/source/lag.h"

static void nothing_waits_when_all_is_applied(void **state)
{
    (void)state;
    struct lag w = {0};
    assert_int_equal(lag_oldest_ms(&w, 0, 0), 0);
    lag_received(&w, 0, 1000);
    assert_int_equal(lag_oldest_ms(&w, 0, 10), 1000);
    assert_int_equal(lag_oldest_ms(&w, 10, 10), 0);
    lag_received(&w, 10, 5000);
    assert_int_equal(lag_oldest_ms(&w, 10, 20), 5000);
}

static void applying_the_older_bytes_does_not_make_the_newer_ones_young(void **state)
{
    (void)state;
    struct lag w = {0};
    lag_received(&w, 0, 1000);
    lag_received(&w, 100, 2000);
    lag_received(&w, 200, 3000);
    assert_int_equal(lag_oldest_ms(&w, 99, 300), 1000);
    assert_int_equal(lag_oldest_ms(&w, 100, 300), 2000);
    assert_int_equal(lag_oldest_ms(&w, 250, 300), 3000);
}

/* A source that sends a byte each millisecond, a target that is `lag` behind. */
static void steady_lag_is_told_within_a_sixteenth(void **state)
{
    (void)state;
    for (uint64_t lag = 10; lag <= 100000; lag *= 10) {
        struct lag w = {0};
        for (uint64_t now = 1; now < lag * 5 + 1000; now++) {
            lag_received(&w, now, now);
            uint64_t applied = now > lag ? now - lag : 0, since = lag_oldest_ms(&w, applied, now + 1);
            uint64_t truth = applied ? applied : 1;
            assert_true(since <= truth);
            assert_true(truth - since <= 50 + lag / 16);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_waits_when_all_is_applied),
        cmocka_unit_test(applying_the_older_bytes_does_not_make_the_newer_ones_young),
        cmocka_unit_test(steady_lag_is_told_within_a_sixteenth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
