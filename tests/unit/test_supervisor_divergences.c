/* Divergences: counts without limit, examples and log with one. */
#include "tests/unit/supervisor_testing.h"

#include "common/log.h"
#include "supervisor/divergences.h"

static struct divergences d;
static char log_path[96];

static int setup(void **state)
{
    if (make_dir(state) != 0)
        return -1;
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    snprintf(log_path, sizeof log_path, "%s/divergences.log", testing_dir);
    return divergences_init(&d, log_path, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
    divergences_free(&d);
    return remove_dir(state);
}

static void reasons_are_counted_apart(void **state)
{
    (void)state;
    divergences_add(&d, 0, "type_not_in_target", "JSON", "\"a\"", 1);
    divergences_add(&d, 1, "set_member_ttl_lost", "SADDEX", "\"b\"", 5);
    divergences_add(&d, 2, "type_not_in_target", "JSON", "\"c\"", 2);
    assert_int_equal(d.total, 8);
    assert_int_equal(d.reason_count, 2);
    assert_int_equal(d.list[0].count, 3);
    assert_int_equal(d.list[1].count, 5);
    assert_int_equal(d.list[0].example_count, 2);
    assert_string_equal(d.list[0].examples[1].key, "\"c\"");
    assert_int_equal(d.list[0].examples[1].flow, 2);
}

static void examples_are_bounded_and_counts_are_not(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * DIVERGENCE_EXAMPLES; i++)
        divergences_add(&d, 0, "refused_by_target", "SET", "\"k\"", 1);
    assert_int_equal(d.list[0].count, 3 * DIVERGENCE_EXAMPLES);
    assert_int_equal(d.list[0].example_count, DIVERGENCE_EXAMPLES);
}

static void too_many_reasons_become_other(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * DIVERGENCE_REASONS; i++) {
        char reason[32];
        snprintf(reason, sizeof reason, "reason_%d", i);
        divergences_add(&d, 0, reason, "SET", "\"k\"", 1);
    }
    assert_int_equal(d.reason_count, DIVERGENCE_REASONS);
    assert_string_equal(d.list[DIVERGENCE_REASONS - 1].reason, "other");
    assert_int_equal(d.list[DIVERGENCE_REASONS - 1].count, DIVERGENCE_REASONS + 1);
    assert_int_equal(d.total, 2 * DIVERGENCE_REASONS);
}

static void log_names_every_one(void **state)
{
    (void)state;
    divergences_add(&d, 3, "lost_by_source", "SORT", "\"sorted\"", 1);
    char *text = file_text(log_path);
    assert_non_null(strstr(text, "flow=3 lost_by_source SORT \"sorted\""));
    free(text);
}

static void log_of_an_earlier_run_is_continued(void **state)
{
    (void)state;
    divergences_add(&d, 0, "first", "SET", "\"a\"", 1);
    divergences_free(&d);
    assert_true(divergences_init(&d, log_path, NULL));
    divergences_add(&d, 0, "second", "SET", "\"b\"", 1);
    char *text = file_text(log_path);
    assert_non_null(strstr(text, "first"));
    assert_non_null(strstr(text, "second"));
    free(text);
}

static void full_log_says_so_and_grows_no_more(void **state)
{
    (void)state;
    d.log_limit_bytes = 200;
    for (int i = 0; i < 100; i++)
        divergences_add(&d, 0, "refused_by_target", "SET", "\"k\"", 1);
    char *text = file_text(log_path);
    assert_true(strlen(text) < 400);
    assert_non_null(strstr(text, "log is full"));
    assert_int_equal(d.total, 100);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reasons_are_counted_apart),          TEST(examples_are_bounded_and_counts_are_not),
        TEST(too_many_reasons_become_other),      TEST(log_names_every_one),
        TEST(log_of_an_earlier_run_is_continued), TEST(full_log_says_so_and_grows_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
