/* Log lines: one event a line, in both forms, with the FLOW it is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

#include "common/log.h"

static char line[4096];

static void take(struct slice text)
{
    assert_true(text.len < sizeof line);
    memcpy(line, text.data, text.len);
    line[text.len] = '\0';
}

static int setup(void **state)
{
    (void)state;
    log_set_sink(take);
    log_set_flow(-1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    *line = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_set_sink(NULL);
    log_set_flow(-1);
    return 0;
}

static void text_is_one_line_with_time_level_and_flow(void **state)
{
    (void)state;
    log_set_flow(3);
    log_warning("two\nlines");
    assert_int_equal(line[4], '-');
    assert_string_equal(strchr(line, 'Z'), "Z warning flow=3 two lines\n");
    *line = '\0';
    log_debug("not at this level");
    assert_string_equal(line, "");
}

/* -1: no such member. */
static int json_flow(const char *text)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("%s", text);
    cJSON *json = cJSON_Parse(line);
    if (!json)
        fail_msg("no JSON: %s", line);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "message")), text);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "level")), "info");
    const cJSON *flow = cJSON_GetObjectItem(json, "flow");
    int n = flow ? flow->valueint : -1;
    cJSON_Delete(json);
    return n;
}

static void json_line_about_one_flow_has_its_number(void **state)
{
    (void)state;
    assert_int_equal(json_flow("FLOW 12: its snapshot is complete (1 of 13)"), 12);
    assert_int_equal(json_flow("not carried over: \"a\" from FLOW 0"), 0);
    assert_int_equal(json_flow("FLOW 7 failed: five deaths"), 7);
    log_set_flow(2);
    assert_int_equal(json_flow("target: away"), 2);
}

static void json_line_about_several_or_no_flow_has_none(void **state)
{
    (void)state;
    assert_int_equal(json_flow("FLUSHALL waits for FLOW 1 2 4"), -1);
    assert_int_equal(json_flow("full sync: the source streams its snapshot on 2 FLOWs"), -1);
    assert_int_equal(json_flow("stable: every FLOW follows the journal"), -1);
    assert_int_equal(json_flow("OVERFLOW 3"), -1);
    assert_int_equal(json_flow("\"quoted\\ and \t a tab\""), -1);
}

static void key_is_quoted_and_shortened(void **state)
{
    (void)state;
    assert_string_equal(log_key(slice_of("a\"\\\n\xff", 5)), "\"a\\\"\\\\\\x0a\\xff\"");
    char longer[200];
    memset(longer, 'k', sizeof longer);
    assert_int_equal(strlen(log_key(slice_of(longer, sizeof longer))), 96 + 2 + 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_is_one_line_with_time_level_and_flow),
        TEST(json_line_about_one_flow_has_its_number),
        TEST(json_line_about_several_or_no_flow_has_none),
        TEST(key_is_quoted_and_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
