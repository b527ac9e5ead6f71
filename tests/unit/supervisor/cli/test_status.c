/* What people are shown: the status table, sizes, progress lines. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "common/base/size_text.h"
#include "supervisor/observe/progress.h"
#include "supervisor/cli/status.h"
#include "supervisor/run/totals.h"

static const char running[] =
    "{\"name\":\"blue\",\"mode\":\"replicate\",\"pid\":77,\"phase\":\"stable\",\"phase_ms\":3723000,"
    "\"source\":\"redis://a:6379\",\"target\":\"redis://b:6379\",\"started\":\"2024-05-01T10:00:00Z\","
    "\"uptime_ms\":90061000,\"sessions\":2,\"flows\":[{\"id\":0,\"pid\":78,\"phase\":\"stable\","
    "\"received_bytes\":3145728,\"applied_bytes\":3145728,\"lag_bytes\":0,\"rate_bytes\":2048,\"restarts\":1}"
    ","
    "{\"id\":1,\"pid\":79,\"phase\":\"stable\",\"received_bytes\":10,\"lag_bytes\":5,\"lag_entries\":17,"
    "\"lag_ms\":1500}],"
    "\"divergences\":{\"type_not_in_target\":12},\"divergence_examples\":[{\"reason\":\"type_not_in_target\","
    "\"command\":\"JSON\",\"key\":\"\\\"doc:1\\\"\"}],\"degraded\":true,\"in_step\":true}";

static char *table_of(const char *json)
{
    char *text = NULL;
    size_t bytes;
    cJSON *status = cJSON_Parse(json);
    assert_non_null(status);
    FILE *out = open_memstream(&text, &bytes);
    status_print(status, out);
    fclose(out);
    cJSON_Delete(status);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void table_tells_what_an_operator_asks(void **state)
{
    (void)state;
    char *text = table_of(running);
    assert_has(text, "run blue (replicate, pid 77): stable for 01:02:03, in step, DEGRADED");
    assert_has(text, "redis://a:6379");
    assert_has(text, "up 1 d 01:01:01, session 2");
    assert_has(text,
               "   0      78 stable           3.0 MiB    3.0 MiB    2.0 KiB/s         0        0 B     0.0");
    assert_has(text, "        17        5 B     1.5");
    assert_has(text, "type_not_in_target                     12  as JSON \"doc:1\"");
    free(text);
}

static void waiting_run_says_for_what(void **state)
{
    (void)state;
    char *text = table_of("{\"phase\":\"connecting\",\"retry_in_ms\":2500,\"waiting_because\":\"link lost\","
                          "\"flows\":[],\"divergences\":{}}");
    assert_has(text, "waiting  2.5 s to the next attempt: link lost");
    assert_has(text, "not in step");
    assert_has(text, "divergences: none");
    assert_null(strstr(text, "FLOW "));
    free(text);
}

static void exit_code_tells_whether_it_is_in_step(void **state)
{
    (void)state;
    cJSON *in_step = cJSON_Parse(running), *not_in_step = cJSON_Parse("{\"in_step\":false}");
    assert_int_equal(status_exit_code(in_step), EX_OK);
    assert_int_equal(status_exit_code(not_in_step), EX_TEMPFAIL);
    cJSON_Delete(in_step);
    cJSON_Delete(not_in_step);
}

static void sizes_have_the_unit_that_keeps_them_short(void **state)
{
    (void)state;
    assert_string_equal(size_text(0), "0 B");
    assert_string_equal(size_text(1023), "1023 B");
    assert_string_equal(size_text(1536), "1.5 KiB");
    assert_string_equal(size_text(UINT64_C(5) << 40), "5.0 TiB");
    assert_string_equal(size_text(UINT64_MAX), "16384.0 PiB");
}

static void progress_line_shows_the_share_and_fits(void **state)
{
    (void)state;
    char out[256];
    struct progress_line line = {.flow = 3, .phase = "full-sync", .share = 0.5, .received_bytes = 1 << 20};
    progress_format(&line, 200, out, sizeof out);
    assert_has(out, "FLOW 3   full-sync     [############............]");
    line.share = 7;
    progress_format(&line, 200, out, sizeof out);
    assert_has(out, "[########################]");
    line.share = -1;
    line.lag_bytes = 2048;
    line.lag_ms = 1500;
    progress_format(&line, 200, out, sizeof out);
    assert_has(out, "[........................]");
    assert_has(out, "lag 2.0 KiB 1.5 s");
    progress_format(&line, 40, out, sizeof out);
    assert_int_equal(strlen(out), 40);
}

static void advises(const char *json, const char *what)
{
    char *text = table_of(json), *at = strstr(text, "next     ");
    if (!at || strncmp(at + 9, what, strlen(what)) != 0)
        fail_msg("not \"%s\" but\n%s", what, text);
    free(text);
}

#define FLOW(phase, contact) "{\"id\":0,\"phase\":\"" phase "\",\"in_contact\":" contact "}"
#define RUN(phase, flow, more)                                                                               \
    "{\"name\":\"n\",\"phase\":\"" phase "\",\"flows\":[" flow "]," more "\"target\":\"redis://t\"}"

static void every_state_has_its_advice(void **state)
{
    (void)state;
    advises(RUN("full-sync", FLOW("full-sync", "true"), ""), "wait: df2redis wait --in-step -n n");
    advises(RUN("full-sync", FLOW("full-sync", "true"), "\"mode\":\"migrate\","), "wait: the run ends when");
    advises(RUN("stable", FLOW("stable", "true"), "\"in_step\":true,"),
            "leave it running; or, to move the clients to");
    advises(RUN("stable", FLOW("stable", "true"), ""),
            "wait: df2redis wait --in-step -n n. If the lag grows");
    advises(RUN("stable", FLOW("stable", "false"), ""), "the target cannot be reached by FLOW 0: start it");
    advises(RUN("connecting", "", "\"retry_in_ms\":5,"), "nothing; it retries automatically");
    advises(RUN("stable", FLOW("failed", "true"), "\"degraded\":true,"), "FLOW 0 was given up");
    advises(RUN("draining", FLOW("stable", "true"), ""), "wait: what was received is applied");
    advises(RUN("failed", "", ""), "nothing; the run is ending. Its log");
    char *text = table_of(running);
    assert_has(text, "\n         read divergences.log");
    free(text);
}

static void advice_is_wrapped_between_words(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    cJSON *status = cJSON_Parse(RUN("stable", FLOW("stable", "true"), "\"in_step\":true,"));
    FILE *out = open_memstream(&text, &bytes);
    status_print_advice(status, 40, out);
    fclose(out);
    cJSON_Delete(status);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 40);
        assert_memory_equal(line, line == text ? "next     " : "         ", 9);
        assert_true(line[9] != ' ');
    }
    assert_has(text, "or, to move\n         the clients to redis://t:\n");
    free(text);
}

static char *printed_with(const char *extra)
{
    char *text = NULL;
    size_t bytes = 0;
    char *document = NULL;
    assert_true(asprintf(&document, "{\"name\":\"n\",\"phase\":\"stable\",\"flows\":[],%s}", extra) > 0);
    cJSON *status = cJSON_Parse(document);
    assert_non_null(status);
    FILE *out = open_memstream(&text, &bytes);
    status_print_head(status, out);
    fclose(out);
    cJSON_Delete(status);
    free(document);
    return text;
}

static void cutover_is_shown_as_it_runs_and_afterwards(void **state)
{
    (void)state;
    char *now = printed_with("\"cutover\":{\"state\":\"switching\",\"then\":\"takeover\",\"paused_ms\":1200,"
                             "\"pause_left_ms\":8800}");
    assert_has(now,
               "cut-over switching, then takeover; writes on the source are paused for 1.2 s, at most 8.8 s");
    free(now);
    char *over =
        printed_with("\"cutover\":{\"state\":\"none\",\"outcome\":\"undone\",\"text\":\"for a reason\"}");
    assert_has(over, "cut-over undone: for a reason\n");
    free(over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_tells_what_an_operator_asks),
        cmocka_unit_test(waiting_run_says_for_what),
        cmocka_unit_test(every_state_has_its_advice),
        cmocka_unit_test(advice_is_wrapped_between_words),
        cmocka_unit_test(cutover_is_shown_as_it_runs_and_afterwards),
        cmocka_unit_test(exit_code_tells_whether_it_is_in_step),
        cmocka_unit_test(sizes_have_the_unit_that_keeps_them_short),
        cmocka_unit_test(progress_line_shows_the_share_and_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
