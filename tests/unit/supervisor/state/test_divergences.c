/* Divergences: counts without limit, examples and log with one. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "common/log/log.h"
#include "supervisor/state/divergences.h"

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

static void add(uint32_t flow, const char *reason, const char *command, const char *key, uint64_t count)
{
    divergences_add(&d, &(struct divergence_source){.flow = flow}, reason, command, key, count);
}

static void reasons_are_counted_apart(void **state)
{
    (void)state;
    add(0, "type_not_in_target", "JSON", "\"a\"", 1);
    add(1, "set_member_ttl_lost", "SADDEX", "\"b\"", 5);
    add(2, "type_not_in_target", "JSON", "\"c\"", 2);
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
        add(0, "refused_by_target", "SET", "\"k\"", 1);
    assert_int_equal(d.list[0].count, 3 * DIVERGENCE_EXAMPLES);
    assert_int_equal(d.list[0].example_count, DIVERGENCE_EXAMPLES);
}

static void too_many_reasons_become_other(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * DIVERGENCE_REASONS; i++) {
        char reason[32];
        snprintf(reason, sizeof reason, "reason_%d", i);
        add(0, reason, "SET", "\"k\"", 1);
    }
    assert_int_equal(d.reason_count, DIVERGENCE_REASONS);
    assert_string_equal(d.list[DIVERGENCE_REASONS - 1].reason, "other");
    assert_int_equal(d.list[DIVERGENCE_REASONS - 1].count, DIVERGENCE_REASONS + 1);
    assert_int_equal(d.total, 2 * DIVERGENCE_REASONS);
}

static void log_names_every_one(void **state)
{
    (void)state;
    add(3, "lost_by_source", "SORT", "\"sorted\"", 1);
    char *text = file_text(log_path);
    assert_non_null(strstr(text, "flow=3 lost_by_source SORT \"sorted\""));
    free(text);
}

static void log_of_an_earlier_run_is_continued(void **state)
{
    (void)state;
    add(0, "first", "SET", "\"a\"", 1);
    divergences_free(&d);
    assert_true(divergences_init(&d, log_path, NULL));
    add(0, "second", "SET", "\"b\"", 1);
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
        add(0, "refused_by_target", "SET", "\"k\"", 1);
    char *text = file_text(log_path);
    assert_true(strlen(text) < 400);
    assert_non_null(strstr(text, "log is full"));
    assert_int_equal(d.total, 100);
    free(text);
}

static void add_told(uint32_t flow, uint64_t session, enum report_stream stream, uint64_t seq,
                     uint32_t number)
{
    struct divergence_source source = {flow, session, stream, {seq, number}, NULL};
    divergences_add(&d, &source, "refused_by_target", "SET", "\"a key ×2\"", 2);
}

/* A worker's reports of this session that are in the log need not be told again; the others do. */
static void log_tells_how_far_reports_had_come(void **state)
{
    (void)state;
    struct report_position told[2][REPORT_STREAMS] = {{{0}}};
    add_told(0, 7, REPORT_ANSWERED, 99, 1);
    add(1, "lost_by_source", "SORT", "\"sorted\"", 1);
    add_told(1, 8, REPORT_TRANSLATED, 20, 1);
    add_told(1, 8, REPORT_TRANSLATED, 20, 2);
    add_told(1, 8, REPORT_ANSWERED, 12, 3);
    add_told(5, 8, REPORT_ANSWERED, 12, 3);
    divergences_free(&d);
    assert_true(divergences_init(&d, log_path, NULL));
    divergences_recall(&d, log_path, 8, told, 2);
    assert_int_equal(d.total, 5 * 2 + 1);
    assert_string_equal(d.list[0].examples[0].key, "\"a key ×2\"");
    for (int stream = 0; stream < REPORT_STREAMS; stream++)
        assert_int_equal(told[0][stream].seq, 0);
    assert_int_equal(told[1][REPORT_TRANSLATED].seq, 20);
    assert_int_equal(told[1][REPORT_TRANSLATED].number, 2);
    assert_int_equal(told[1][REPORT_NOT_QUEUED].seq, 0);
    assert_int_equal(told[1][REPORT_ANSWERED].seq, 12);
    assert_int_equal(told[1][REPORT_ANSWERED].number, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reasons_are_counted_apart),          TEST(examples_are_bounded_and_counts_are_not),
        TEST(too_many_reasons_become_other),      TEST(log_names_every_one),
        TEST(log_of_an_earlier_run_is_continued), TEST(full_log_says_so_and_grows_no_more),
        TEST(log_tells_how_far_reports_had_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
