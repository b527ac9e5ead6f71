/* What the sizes of the values decide before one of them is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "worker/compare/comparison_internal.h"

#define MIB (UINT64_C(1) << 20)

static struct comparison *of_sizes(const uint64_t *bytes, size_t count)
{
    struct comparison *x = x_calloc(1, sizeof *x);
    for (size_t i = 0; i < count; i++)
        x->pairs[i].bytes = bytes[i];
    x->count = count;
    comparison_choose_by_size(x);
    return x;
}

static void a_large_value_is_compared_alone_and_in_pieces(void **state)
{
    (void)state;
    struct comparison *x = of_sizes((const uint64_t[]){40 * MIB, 32 * MIB}, 2);
    assert_true(x->pairs[0].decided && x->pairs[0].told.alone && !x->pairs[0].large);
    assert_int_equal(x->pairs[0].told.outcome, COMPARISON_AGAIN);
    assert_false(x->pairs[1].decided || x->pairs[1].large);
    free(x);
    x = of_sizes((const uint64_t[]){40 * MIB}, 1);
    assert_true(x->pairs[0].large && !x->pairs[0].decided);
    free(x);
}

static void what_does_not_fit_with_the_others_comes_another_time(void **state)
{
    (void)state;
    struct comparison *x = of_sizes((const uint64_t[]){30 * MIB, 30 * MIB, 0}, 3);
    assert_false(x->pairs[0].decided);
    assert_true(x->pairs[1].decided);
    assert_int_equal(x->pairs[1].told.outcome, COMPARISON_AGAIN);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_value_is_compared_alone_and_in_pieces),
        cmocka_unit_test(what_does_not_fit_with_the_others_comes_another_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
