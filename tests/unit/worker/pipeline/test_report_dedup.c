/* What was told is not told again, and what was not is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/pipeline/report_dedup.h"

static void each_report_of_an_entry_is_told_once(void **state)
{
    (void)state;
    struct reports r = {0};
    assert_true(reports_next(&r, REPORT_TRANSLATED, 5));
    assert_true(reports_next(&r, REPORT_TRANSLATED, 5));
    assert_true(reports_next(&r, REPORT_TRANSLATED, 9));
    reports_rewound(&r);
    for (int i = 0; i < 2; i++)
        assert_false(reports_next(&r, REPORT_TRANSLATED, 5));
    assert_false(reports_next(&r, REPORT_TRANSLATED, 9));
    assert_true(reports_next(&r, REPORT_TRANSLATED, 9));
    assert_true(reports_next(&r, REPORT_TRANSLATED, 10));
}

static void successor_goes_on_within_an_entry(void **state)
{
    (void)state;
    struct reports r = {.told[REPORT_ANSWERED] = {7, 2}};
    assert_false(reports_next(&r, REPORT_ANSWERED, 3));
    assert_false(reports_next(&r, REPORT_ANSWERED, 7));
    assert_false(reports_next(&r, REPORT_ANSWERED, 7));
    assert_true(reports_next(&r, REPORT_ANSWERED, 7));
    assert_int_equal(r.told[REPORT_ANSWERED].seq, 7);
    assert_int_equal(r.told[REPORT_ANSWERED].number, 3);
}

/* Twice from the same entry on, with nothing in between. */
static void rewinding_begins_to_count_anew(void **state)
{
    (void)state;
    struct reports r = {0};
    assert_true(reports_next(&r, REPORT_TRANSLATED, 4));
    reports_rewound(&r);
    assert_false(reports_next(&r, REPORT_TRANSLATED, 4));
    reports_rewound(&r);
    assert_false(reports_next(&r, REPORT_TRANSLATED, 4));
    assert_true(reports_next(&r, REPORT_TRANSLATED, 4));
}

static void streams_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct reports r = {0};
    assert_true(reports_next(&r, REPORT_TRANSLATED, 100));
    assert_true(reports_next(&r, REPORT_NOT_QUEUED, 60));
    assert_true(reports_next(&r, REPORT_ANSWERED, 50));
    assert_true(reports_next(&r, REPORT_ANSWERED, 60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_report_of_an_entry_is_told_once),
        cmocka_unit_test(successor_goes_on_within_an_entry),
        cmocka_unit_test(rewinding_begins_to_count_anew),
        cmocka_unit_test(streams_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
