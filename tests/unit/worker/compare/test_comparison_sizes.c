/* What the sizes of the values decide before one of them is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/compare/comparison_internal.h"
#include "common/ipc/divergence.h"

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

static void a_value_too_large_to_compare_names_size_limit_and_way_out(void **state)
{
    (void)state;
    struct comparison *x = of_sizes((const uint64_t[]){40 * MIB, 32 * MIB}, 2);
    const struct compared *large = &x->pairs[0].told;
    assert_int_equal(large->outcome, COMPARISON_IMPOSSIBLE);
    assert_string_equal(large->reason, DIVERGENCE_TOO_LARGE_TO_COMPARE);
    assert_non_null(strstr(large->text, "40.0 MiB"));
    assert_non_null(strstr(large->text, "above 32.0 MiB"));
    assert_non_null(strstr(large->text, "write it anew on the source"));
    assert_non_null(strstr(large->text, "copy it by hand")); /* not cut off */
    assert_int_not_equal(x->pairs[1].told.outcome, COMPARISON_IMPOSSIBLE);
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
        cmocka_unit_test(a_value_too_large_to_compare_names_size_limit_and_way_out),
        cmocka_unit_test(what_does_not_fit_with_the_others_comes_another_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
