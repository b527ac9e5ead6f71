/* JSON commands for Valkey's module, which is not RedisJSON: what it does otherwise makes its key a suspect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/translate_case.h"
#include "worker/translate/json_scan.h"

static struct translate_case case_at_hand;

static void note_suspect(void *arg, uint32_t db, struct slice key, const char *reason, const char *command)
{
    (void)db;
    case_report(arg, reason, command, key, 1);
}

static int setup(void **state)
{
    struct capabilities target = case_modern_target();
    target.kind = SERVER_VALKEY;
    target.version = 90100;
    target.redis_json = target.json_merge = false;
    case_open(&case_at_hand, target);
    case_at_hand.translator.suspect = note_suspect;
    *state = &case_at_hand;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    case_close(&case_at_hand);
    return 0;
}

/* Whether it is passed as it is, and makes its key a suspect. */
static void assert_passed(struct translate_case *c, const char *line, bool suspect)
{
    char report[100];
    case_expect(c, line, line, true);
    snprintf(report, sizeof report, "done_differently %.*s j\n", (int)strcspn(line, " "), line);
    case_expect_reports(c, suspect ? report : "");
}

static void what_valkeys_module_does_otherwise_is_suspect(void **state)
{
    struct translate_case *c = *state;
    assert_passed(c, "JSON.ARRTRIM j $.a 0 3", false);
    assert_passed(c, "JSON.ARRTRIM j $.a 0 -2", true);
    assert_passed(c, "JSON.ARRTRIM j $.a -3 1", true);
    assert_passed(c, "JSON.CLEAR j $.a", true);
    assert_passed(c, "JSON.NUMINCRBY j $.a 5", false);
    assert_passed(c, "JSON.NUMINCRBY j $.a 9007199254740993", true);
    assert_passed(c, "JSON.NUMINCRBY j $.a 1e300", true);
    assert_passed(c, "JSON.NUMMULTBY j $.a 2", true);
    assert_passed(c, "JSON.ARRAPPEND j $.a 1 {\"x\":1}", false);
    assert_passed(c, "JSON.ARRAPPEND j $.a 1 {\"x\":1,\"x\":2}", true);
    assert_passed(c, "JSON.SET j $.a 12345678901234567890", true);
    assert_passed(c, "JSON.SET j $.a 1 NX", false);
}

static void command_that_valkeys_module_lacks_is_not_sent(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "JSON.MERGE j $ {}", "", false);
    case_expect_reports(c, "done_differently JSON.MERGE j\n");
}

static void redis_json_is_taken_at_its_word(void **state)
{
    struct translate_case *c = *state;
    c->target.redis_json = c->target.json_merge = true; /* a Valkey may have loaded it, too */
    assert_passed(c, "JSON.CLEAR j $.a", false);
    assert_passed(c, "JSON.ARRTRIM j $.a 0 -2", false);
    assert_passed(c, "JSON.MERGE j $ {\"a\":1,\"a\":2}", false);
}

/* Whatever server has it loaded. */
static void another_module_that_can_merge_is_compared(void **state)
{
    struct translate_case *c = *state;
    c->target.kind = SERVER_REDIS;
    c->target.json_merge = true;
    assert_passed(c, "JSON.CLEAR j $.a", true);
    assert_passed(c, "JSON.MERGE j $ {\"a\":1}", false);
    assert_passed(c, "JSON.MERGE j $ {\"a\":1,\"a\":2}", true);
}

static void without_comparison_it_is_reported(void **state)
{
    struct translate_case *c = *state;
    c->translator.suspect = NULL;
    assert_passed(c, "JSON.CLEAR j $.a", true);
}

static void ambiguous_texts_are_told(void **state)
{
    (void)state;
    static const char *const clear[] = {"{}",
                                        "[1,2,3]",
                                        "{\"a\":{\"b\":1},\"b\":{\"a\":[{\"a\":1},{\"a\":2}]}}",
                                        "\"1234567890123456789\"",
                                        "-123456789012345",
                                        "{\"a\":\"a\",\"b\":\"a\"}",
                                        ""};
    static const char *const doubtful[] = {"{\"a\":1,\"a\":2}",        "{\"x\":{\"a\":1,\"b\":2,\"a\":3}}",
                                           "1234567890123456",         "1e5",
                                           "{\"a\":[],\"\\u0061\":1}", "[0.12345678901234567]"};
    for (size_t i = 0; i < sizeof clear / sizeof *clear; i++)
        if (json_is_ambiguous(slice_str(clear[i])))
            fail_msg("%s", clear[i]);
    for (size_t i = 0; i < sizeof doubtful / sizeof *doubtful; i++)
        if (!json_is_ambiguous(slice_str(doubtful[i])))
            fail_msg("%s", doubtful[i]);
    char deep[200];
    memset(deep, '[', sizeof deep);
    assert_true(json_is_ambiguous(slice_of(deep, sizeof deep)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_valkeys_module_does_otherwise_is_suspect),
        TEST(command_that_valkeys_module_lacks_is_not_sent),
        TEST(redis_json_is_taken_at_its_word),
        TEST(another_module_that_can_merge_is_compared),
        TEST(without_comparison_it_is_reported),
        TEST(ambiguous_texts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
