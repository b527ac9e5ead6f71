/* Glob patterns. What is expected is what KEYS of Redis 7.0 gives, with one exception: there ** does not
 * match the empty key, while * does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/glob.h"

struct example {
    const char *pattern, *text;
    bool matches;
};

static void check(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        if (glob_match(slice_str(e->pattern), slice_str(e->text)) != e->matches)
            fail_msg("pattern %s on %s: expected %d", e->pattern, e->text, e->matches);
    }
}
#define CHECK(examples) check(examples, sizeof examples / sizeof *examples)

static void stars_and_question_marks(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"**", "abc", true},
        {"?", "", false},
        {"?", "a", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"a*", "abc", true},
        {"*c", "abc", true},
        {"*b", "abc", false},
        {"a*c", "abbbc", true},
        {"a*c*e", "abcde", true},
        {"a*c*e", "abcd", false},
        {"*ab*ab*", "ababab", true},
        {"user:*", "user:1", true},
        {"user:*", "users:1", false},
        {"*a?", "bab", true},
        {"abc", "abcd", false},
    };
    CHECK(examples);
}

static void classes_ranges_and_escapes(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"[abc]", "b", true},         {"[abc]", "d", false},       {"[^abc]", "d", true},
        {"[^abc]", "a", false},       {"[a-c]x", "bx", true},      {"[c-a]x", "bx", true},
        {"[a-c]", "d", false},        {"[a-]", "-", false},        {"[\\]]", "]", true},
        {"[\\^a]", "^", true},        {"[a^]", "^", true},         {"\\*", "*", true},
        {"\\*", "a", false},          {"a\\?b", "a?b", true},      {"a\\?b", "axb", false},
        {"\\[a]", "[a]", true},       {"h[ae]llo", "hello", true}, {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true}, {"*[0-9]", "key7", true},    {"*[0-9]", "key", false},
        {"[a\\-c]", "-", true},       {"[a\\-c]", "b", false},
    };
    CHECK(examples);
}

static void malformed_patterns_mean_what_redis_makes_of_them(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"[]", "a", false},  {"[^]", "a", true},  {"[", "[", false},    {"[", "a", false},
        {"[^", "a", true},   {"[abc", "b", true}, {"[abc", "d", false}, {"[a-]", "^", true},
        {"[a-", "a", true},  {"[a-", "-", true},  {"\\", "\\", true},   {"a\\", "a\\", true},
        {"a\\", "a", false}, {"[\\", "\\", true}, {"a]", "a]", true},   {"[]a]", "a", false},
    };
    CHECK(examples);
}

static void any_byte_may_be_in_pattern_and_text(void **state)
{
    (void)state;
    assert_true(glob_match(slice_of("\0*\xff", 3), slice_of("\0abc\xff", 5)));
    assert_true(glob_match(slice_of("[\x80-\xff]", 5), slice_of("\xa0", 1)));
    assert_false(glob_match(slice_of("a\0b", 3), slice_of("a\0c", 3)));
    assert_true(glob_match(slice_of(NULL, 0), slice_of(NULL, 0)));
    assert_true(glob_match(slice_str("*"), slice_of(NULL, 0)));
}

static void case_matters(void **state)
{
    (void)state;
    assert_false(glob_match(slice_str("a[A-Z]"), slice_str("ab")));
    assert_false(glob_match(slice_str("ABC"), slice_str("abc")));
}

/* The text book's bad case: exponential where * recurses. */
static void many_stars_take_no_more_than_a_moment(void **state)
{
    (void)state;
    char text[4096], pattern[256];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof pattern; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = 'a';
    }
    pattern[sizeof pattern - 1] = 'b';
    uint64_t before = clock_monotonic_ms();
    assert_false(glob_match(slice_of(pattern, sizeof pattern), slice_of(text, sizeof text)));
    assert_true(clock_monotonic_ms() - before < 2000);
}

static void example_is_taken(void **state)
{
    (void)state;
    static const char *const patterns[] = {"", "app:*", "*", "a?c", "[a-z]x[^0-9]", "[\\]]", "\\*a", "a**b"};
    char text[64];
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        size_t len = glob_example(slice_str(patterns[i]), text, sizeof text);
        if (!glob_match(slice_str(patterns[i]), slice_of(text, len)))
            fail_msg("%s: %.*s", patterns[i], (int)len, text);
    }
    assert_int_equal(glob_example(slice_str("a*"), text, 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_and_question_marks),
        cmocka_unit_test(classes_ranges_and_escapes),
        cmocka_unit_test(malformed_patterns_mean_what_redis_makes_of_them),
        cmocka_unit_test(any_byte_may_be_in_pattern_and_text),
        cmocka_unit_test(case_matters),
        cmocka_unit_test(example_is_taken),
        cmocka_unit_test(many_stars_take_no_more_than_a_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
