/* The last two minutes, a number a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "supervisor/run/throughput.h"

enum { BEGIN_MS = 5000, TICK_MS = 250 };

static struct throughput t;

static int setup(void **state)
{
    (void)state;
    t = (struct throughput){0};
    return 0;
}

static double at(int i)
{
    cJSON *list = throughput_list(&t);
    double value = cJSON_GetNumberValue(cJSON_GetArrayItem(list, i));
    cJSON_Delete(list);
    return value;
}

static int count(void)
{
    cJSON *list = throughput_list(&t);
    int n = cJSON_GetArraySize(list);
    cJSON_Delete(list);
    return n;
}

static void nothing_was_measured_yet(void **state)
{
    (void)state;
    assert_int_equal(count(), 0);
}

static void one_number_a_second_whatever_the_timer(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms <= 10000; ms += TICK_MS)
        throughput_note(&t, BEGIN_MS + ms, ms * 7);
    assert_int_equal(count(), 10);
    for (int i = 0; i < 10; i++)
        assert_true(at(i) == 7000);
    t = (struct throughput){0};
    for (uint64_t ms = 0; ms <= 30000; ms += 300) /* late by up to 200 ms each time */
        throughput_note(&t, BEGIN_MS + ms, ms * 7);
    assert_int_equal(count(), 30);
    assert_true(at(0) == 7000 && at(29) == 7000);
}

static void burst_of_the_first_second_counts(void **state)
{
    (void)state;
    throughput_note(&t, BEGIN_MS, 0);
    throughput_note(&t, BEGIN_MS + TICK_MS, 4096);
    throughput_note(&t, BEGIN_MS + 1000, 4096);
    assert_int_equal(count(), 1);
    assert_true(at(0) == 4096);
}

static void after_a_long_pause_it_does_not_run_after_the_clock(void **state)
{
    (void)state;
    throughput_note(&t, BEGIN_MS, 0);
    throughput_note(&t, BEGIN_MS + 60000, 60000);
    throughput_note(&t, BEGIN_MS + 60000 + TICK_MS, 60000);
    assert_int_equal(count(), 1);
    assert_true(at(0) == 1000);
}

static void counter_that_began_anew_is_nothing(void **state)
{
    (void)state;
    throughput_note(&t, BEGIN_MS, 5000);
    throughput_note(&t, BEGIN_MS + 1000, 10);
    throughput_note(&t, BEGIN_MS + 2000, 30);
    assert_int_equal(count(), 2);
    assert_true(at(0) == 0 && at(1) == 20);
}

static void the_oldest_give_way(void **state)
{
    (void)state;
    uint64_t applied = 0;
    for (uint64_t i = 0; i <= THROUGHPUT_SECONDS + 7; i++)
        throughput_note(&t, BEGIN_MS + i * 1000, applied += i);
    assert_int_equal(count(), THROUGHPUT_SECONDS);
    assert_true(at(0) == 8 && at(THROUGHPUT_SECONDS - 1) == THROUGHPUT_SECONDS + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_was_measured_yet, setup),
        cmocka_unit_test_setup(one_number_a_second_whatever_the_timer, setup),
        cmocka_unit_test_setup(burst_of_the_first_second_counts, setup),
        cmocka_unit_test_setup(after_a_long_pause_it_does_not_run_after_the_clock, setup),
        cmocka_unit_test_setup(counter_that_began_anew_is_nothing, setup),
        cmocka_unit_test_setup(the_oldest_give_way, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
