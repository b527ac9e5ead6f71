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
    divergences_add(&d, flow, reason, command, key, count);
}

/* Of a worker, which has a log of its own; NULL: the message alone came. */
static void report(struct divergence_log *log, const char *key)
{
    struct divergence_line line = {
        1, divergence_id("refused_by_target", "SET", 0, slice_str(key)), "refused_by_target", "SET", key, 1};
    if (log)
        divergence_log_add(log, &line);
    divergences_count(&d, &line, "");
}

/* Appended by a worker that was killed before it could tell. */
static void append(const char *key)
{
    struct divergence_log log;
    struct divergence_line line = {
        1, divergence_id("refused_by_target", "SET", 0, slice_str(key)), "refused_by_target", "SET", key, 1};
    assert_true(divergence_log_open(&log, log_path, NULL));
    assert_true(divergence_log_add(&log, &line));
    divergence_log_close(&log);
}

static void restart(void)
{
    divergences_free(&d);
    assert_true(divergences_init(&d, log_path, NULL));
    divergences_recall(&d);
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
    struct divergence_log worker;
    assert_true(divergence_log_open(&worker, log_path, NULL));
    d.log.limit_bytes = worker.limit_bytes = 400;
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "\"%d\"", i);
        add(0, "evicted_by_target", "eviction", "node", 2);
        report(&worker, key);
    }
    divergence_log_close(&worker);
    char *text = file_text(log_path);
    assert_true(strlen(text) < 700);
    char *full = strstr(text, "log is full");
    assert_non_null(full);
    assert_null(strstr(full + 1, "log is full"));
    assert_int_equal(d.total, 150);
    free(text);
}

static void reports_of_one_identity_count_once(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        report(NULL, "\"k\"");
        report(NULL, "\"l\"");
    }
    assert_int_equal(d.total, 2);
    assert_int_equal(d.list[0].count, 2);
    assert_int_equal(d.list[0].example_count, 2);
}

/* Of the same node, again and again. */
static void what_the_supervisor_notices_adds_up(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        add(0, DIVERGENCE_EVICTED, "eviction", "127.0.0.1:6379", 3);
    assert_int_equal(d.total, 15);
    restart();
    assert_int_equal(d.total, 15);
}

static void repeated_lines_are_recalled_once(void **state)
{
    (void)state;
    append("\"k\"");
    append("\"l\"");
    append("\"k\"");
    restart();
    assert_int_equal(d.total, 2);
    report(NULL, "\"k\""); /* a successor reports it again */
    report(NULL, "\"m\"");
    assert_int_equal(d.total, 3);
}

static void lines_of_earlier_versions_are_recalled(void **state)
{
    (void)state;
    static const char lines[] = "1.000 flow=1 entry=20.1.0@8 refused_by_target SET \"a key ×2\" ×2\n"
                                "1.000 flow=1 entry=20.2.0@8 refused_by_target SET \"a key ×2\" ×2\n"
                                "1.000 flow=1 entry=21.1.0@8 refused_by_target SET \"another\" ×1\n"
                                "1.000 flow=0 evicted_by_target eviction 127.0.0.1:1 ×5\n"
                                "1.000 flow=0 evicted_by_target eviction 127.0.0.1:1 ×6\n";
    FILE *f = fopen(log_path, "ae");
    assert_non_null(f);
    fputs(lines, f);
    fclose(f);
    restart();
    assert_int_equal(d.total, 2 + 11);
    assert_string_equal(d.list[0].examples[0].key, "\"a key ×2\"");
}

static void lines_that_no_message_told_are_counted(void **state)
{
    (void)state;
    add(0, DIVERGENCE_EVICTED, "eviction", "127.0.0.1:6379", 3);
    append("\"k\"");
    append("\"l\"");
    report(NULL, "\"k\"");
    for (int i = 0; i < 2; i++) {
        divergences_read_on(&d);
        assert_int_equal(d.total, 3 + 2);
    }
    append("\"m\"");
    divergences_read_on(&d);
    assert_int_equal(d.total, 3 + 3);
}

/* It is read when it is whole. */
static void line_that_is_being_written_waits(void **state)
{
    (void)state;
    append("\"k\"");
    char *text = file_text(log_path);
    size_t half = strlen(text) / 2;
    assert_int_equal(truncate(log_path, (off_t)half), 0);
    divergences_read_on(&d);
    assert_int_equal(d.total, 0);
    FILE *f = fopen(log_path, "ae");
    fputs(text + half, f);
    fclose(f);
    free(text);
    divergences_read_on(&d);
    assert_int_equal(d.total, 1);
}

static void new_copy_counts_anew(void **state)
{
    (void)state;
    append("\"k\"");
    append("\"l\"");
    divergences_read_on(&d);
    divergences_begin(&d);
    assert_int_equal(d.total, 0);
    append("\"k\"");
    divergences_read_on(&d);
    assert_int_equal(d.total, 1);
    restart();
    assert_int_equal(d.total, 1);
}

/* Those that are known count no more; others at each report. */
static void beyond_the_limit_of_identities_a_report_counts_at_least_once(void **state)
{
    (void)state;
    d.counted.limit = 2;
    for (int i = 0; i < 3; i++) {
        report(NULL, "\"k\"");
        report(NULL, "\"l\"");
        report(NULL, "\"m\"");
    }
    assert_int_equal(d.total, 2 + 3);
    assert_int_equal(d.counted.count, 2);
}

static void set_grows_and_knows_all_it_has(void **state)
{
    (void)state;
    struct id_set set = {0};
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 20000; i++)
            assert_int_equal(id_set_add(&set, divergence_id("r", "SET", i, slice_str("k"))), round == 0);
    assert_int_equal(set.count, 20000);
    id_set_clear(&set);
    assert_true(id_set_add(&set, 1));
    id_set_clear(&set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reasons_are_counted_apart),
        TEST(examples_are_bounded_and_counts_are_not),
        TEST(too_many_reasons_become_other),
        TEST(log_names_every_one),
        TEST(log_of_an_earlier_run_is_continued),
        TEST(full_log_says_so_and_grows_no_more),
        TEST(reports_of_one_identity_count_once),
        TEST(what_the_supervisor_notices_adds_up),
        TEST(repeated_lines_are_recalled_once),
        TEST(lines_of_earlier_versions_are_recalled),
        TEST(lines_that_no_message_told_are_counted),
        TEST(line_that_is_being_written_waits),
        TEST(new_copy_counts_anew),
        TEST(beyond_the_limit_of_identities_a_report_counts_at_least_once),
        TEST(set_grows_and_knows_all_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
