/* Log lines: one event a line, in both forms, with the FLOW it is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

#include "common/log/log.h"
#include "common/log/log_kinds.h"
#include "common/log/log_queue.h"

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
    log_kinds_reset();
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

static void control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    log_warning("ERR \x1b[2J\x07 gone\x7f\ttab");
    assert_string_equal(strstr(line, "ERR"), "ERR  [2J  gone  tab\n");
    log_warning("ERR \xc2\x9b"
                "31m \xff\xc3 caf\xc3\xa9 \xe2\x86\x92 \xed\xa0\x80 \xe2\x86");
    assert_string_equal(strstr(line, "ERR"), "ERR  31m ?? caf\xc3\xa9 \xe2\x86\x92 ??? ??\n");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_warning("ERR \xff \xe2\x86\x92");
    assert_non_null(strstr(line, "\"ERR ? \xe2\x86\x92\""));
}

static unsigned told;

static void count_line(struct slice text)
{
    told++;
    take(text);
}

static void say_one_kind(int n)
{
    log_warning("a thing of one kind, number %d", n);
}

static void repeated_kind_is_told_ten_times_and_then_counted(void **state)
{
    (void)state;
    told = 0;
    log_set_sink(count_line);
    for (int i = 0; i < 1000; i++)
        say_one_kind(i);
    assert_int_equal(told, LOG_KIND_WARNINGS);
    log_warning("one of another kind");
    assert_int_equal(told, LOG_KIND_WARNINGS + 1);
    log_turn(); /* the minute is not over */
    assert_int_equal(told, LOG_KIND_WARNINGS + 1);
    log_end();
    assert_int_equal(told, LOG_KIND_WARNINGS + 2);
    assert_non_null(strstr(line, "990 more of this kind within "));
    assert_non_null(strstr(line, "the last: a thing of one kind, number 999\n"));
    log_end();
    assert_int_equal(told, LOG_KIND_WARNINGS + 2);
}

static char kind_text[512];
static enum log_level kind_level;

static void take_kind(enum log_level level, const char *text)
{
    kind_level = level;
    snprintf(kind_text, sizeof kind_text, "%s", text);
}

static void kind_is_told_anew_when_its_minute_is_over(void **state)
{
    (void)state;
    static const char format[] = "format";
    uint64_t now = 5000;
    for (int i = 0; i < LOG_KIND_WARNINGS; i++)
        assert_true(log_kinds_take(LOG_LEVEL_ERROR, format, "x", now));
    assert_false(log_kinds_take(LOG_LEVEL_ERROR, format, "first", now + 1000));
    assert_false(log_kinds_take(LOG_LEVEL_ERROR, format, "second", now + 59000));
    log_kinds_tell(now + 59999, false, take_kind);
    assert_string_equal(kind_text, "");
    log_kinds_tell(now + 60000, false, take_kind);
    assert_string_equal(kind_text, "2 more of this kind within 60 s, the last: second");
    assert_int_equal(kind_level, LOG_LEVEL_ERROR);
    assert_true(log_kinds_take(LOG_LEVEL_ERROR, format, "x", now + 60001));
    /* Slowly, all are told. */
    for (int i = 0; i < 100; i++)
        assert_true(log_kinds_take(LOG_LEVEL_WARNING, "slow", "x", now + (uint64_t)i * 7000));
}

static void list_and_debug_lines_are_not_limited(void **state)
{
    (void)state;
    told = 0;
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_set_sink(count_line);
    for (int i = 0; i < 500; i++) {
        log_debug("state %d", i);
        log_write_always(LOG_LEVEL_WARNING, "item %d", i);
    }
    assert_int_equal(told, 1000);
}

/* ---- the queue ---- */

static void queue_counts_what_it_has_no_room_for_and_tells_it_once(void **state)
{
    (void)state;
    struct log_queue q = {.limit_bytes = 1000, .reason = "why"};
    for (unsigned i = 0; i < 300; i++)
        log_queue_put(&q, slice_str("ten bytes\n"));
    assert_int_equal(q.kept.len, 1000);
    assert_int_equal(q.lost_lines, 200);
    buf_consume(&q.kept, 100);
    log_queue_put(&q, slice_str("not in order if now\n"));
    assert_int_equal(q.lost_lines, 201);
    buf_consume(&q.kept, 500);
    log_queue_put(&q, slice_str("again\n"));
    buf_put_u8(&q.kept, 0);
    const char *note =
        strstr((const char *)q.kept.data, "warning 201 log lines were lost here: why\nagain\n");
    assert_non_null(note);
    log_queue_free(&q);
}

static void line_about_lost_ones_that_is_lost_itself_counts_them_again(void **state)
{
    (void)state;
    struct log_queue q = {.limit_bytes = 1000, .reason = "why"};
    log_queue_lose(&q, slice_str("a\nb\nc\n"));
    log_queue_tell_lost(&q);
    assert_int_equal(q.lost_lines, 0);
    log_queue_lose(&q, buf_slice(&q.kept));
    buf_clear(&q.kept);
    assert_int_equal(q.lost_lines, 3);
    log_queue_tell_lost(&q);
    log_queue_arrived(&q);
    log_queue_lose(&q, slice_str("d\n"));
    assert_int_equal(q.lost_lines, 1);
    log_queue_free(&q);
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
        TEST(control_characters_do_not_reach_the_terminal),
        TEST(repeated_kind_is_told_ten_times_and_then_counted),
        TEST(kind_is_told_anew_when_its_minute_is_over),
        TEST(list_and_debug_lines_are_not_limited),
        TEST(queue_counts_what_it_has_no_room_for_and_tells_it_once),
        TEST(line_about_lost_ones_that_is_lost_itself_counts_them_again),
        TEST(key_is_quoted_and_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
