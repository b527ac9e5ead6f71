/* The report of a verification: there and back, and broken bytes refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/ipc/verify_report.h"

static struct verify_report report, again;

static void fill(void)
{
    report = (struct verify_report){.phase = VERIFY_SOURCE_KEYS, .exact = 1, .to_scan = 10, .exit_code = 65};
    report.kinds[VERIFY_EXTRA] = 3;
    snprintf(report.trouble, sizeof report.trouble, "trouble");
    verify_row(&report, 0, 1)->keys = 5;
    verify_row(&report, 3, 2)->different = 7;
    verify_row(&report, 0, 1)->healed++;
}

static void a_report_comes_back_as_it_was(void **state)
{
    (void)state;
    struct buf bytes = {0}, more = {0};
    fill();
    verify_report_encode(&report, &bytes);
    assert_true(verify_report_decode(&again, buf_slice(&bytes)));
    verify_report_encode(&again, &more);
    assert_true(slice_eq(buf_slice(&bytes), buf_slice(&more)));
    assert_int_equal(again.row_count, 2);
    assert_int_equal(again.kinds[VERIFY_EXTRA], 3);
    assert_string_equal(again.trouble, "trouble");
    struct verify_row sum = verify_total(&again);
    assert_int_equal(sum.keys, 5);
    assert_int_equal(sum.different, 7);
    assert_int_equal(sum.healed, 1);
    buf_free(&bytes);
    buf_free(&more);
}

static void a_part_of_a_report_is_refused(void **state)
{
    (void)state;
    struct buf bytes = {0};
    fill();
    verify_report_encode(&report, &bytes);
    for (size_t len = 0; len < bytes.len; len++)
        assert_false(verify_report_decode(&again, slice_of(bytes.data, len)));
    buf_put_u8(&bytes, 0);
    assert_false(verify_report_decode(&again, buf_slice(&bytes)));
    buf_free(&bytes);
}

static void too_many_types_and_databases_share_the_last_row(void **state)
{
    (void)state;
    report = (struct verify_report){0};
    for (uint32_t db = 0; db < VERIFY_ROWS_MAX + 10; db++)
        verify_row(&report, db, 1)->keys++;
    assert_int_equal(report.row_count, VERIFY_ROWS_MAX);
    assert_int_equal(verify_total(&report).keys, VERIFY_ROWS_MAX + 10);
}

static void every_kind_and_phase_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERIFY_KINDS; i++)
        assert_string_not_equal(verify_kind_name((enum verify_kind)i), "unknown");
    for (unsigned i = 0; i < VERIFY_PHASES; i++)
        assert_string_not_equal(verify_phase_name((enum verify_phase)i), "unknown");
    for (unsigned i = 0; i < VERIFY_TYPES; i++)
        assert_string_not_equal(verify_type_name(i), "unknown");
    assert_string_equal(verify_type_name(VERIFY_TYPES), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_comes_back_as_it_was),
        cmocka_unit_test(a_part_of_a_report_is_refused),
        cmocka_unit_test(too_many_types_and_databases_share_the_last_row),
        cmocka_unit_test(every_kind_and_phase_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
