/* df2redis verify against a thousand differences of every kind, on one target with several databases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/thousand_case.h"

static const uint32_t databases[] = {0, 3, 9};

static void a_thousand_differences_are_found_named_and_repaired(void **state)
{
    (void)state;
    begin_thousand(false, databases, 3, 1);
    all_are_found_named_and_repaired(false);
    assert_equal_sides();
}

static void the_same_while_other_keys_are_written(void **state)
{
    (void)state;
    begin_thousand(true, databases, 3, 2);
    all_are_found_named_and_repaired(true);
}

static void the_same_beside_a_real_dragonfly(void **state)
{
    (void)state;
    live = true;
    begin_thousand(false, databases, 3, 5);
    all_are_found_named_and_repaired(false);
    assert_equal_sides();
}

static void and_while_other_keys_are_written_there(void **state)
{
    (void)state;
    live = true;
    begin_thousand(true, databases, 3, 7);
    all_are_found_named_and_repaired(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_thousand_differences_are_found_named_and_repaired, teardown_thousand),
        cmocka_unit_test_teardown(the_same_while_other_keys_are_written, teardown_thousand),
        cmocka_unit_test_teardown(the_same_beside_a_real_dragonfly, teardown_thousand),
        cmocka_unit_test_teardown(and_while_other_keys_are_written_there, teardown_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
