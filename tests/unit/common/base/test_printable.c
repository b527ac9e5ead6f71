/* Text of others, as it may be shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/error.h"
#include "common/base/printable.h"

static void expect(const char *in, const char *out)
{
    char text[200];
    snprintf(text, sizeof text, "%s", in);
    printable(text, sizeof text);
    assert_string_equal(text, out);
}

static void what_can_be_shown_stays(void **state)
{
    (void)state;
    expect("", "");
    expect("ERR unknown command 'x', \"y\" \\z\nsecond line",
           "ERR unknown command 'x', \"y\" \\z\nsecond line");
    expect("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x89", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x89");
}

static void control_characters_are_escaped(void **state)
{
    (void)state;
    expect("a\x1b[31mred\x07", "a\\x1b[31mred\\x07");
    expect("\rover\x7f", "\\x0dover\\x7f");
    expect("\xc2\x9b"
           "31m",
           "\\xc2\\x9b"
           "31m"); /* CSI in one character */
}

static void what_is_not_utf_8_is_escaped(void **state)
{
    (void)state;
    expect("\xff\xfe", "\\xff\\xfe");
    expect("cut \xe2\x82", "cut \\xe2\\x82");
    expect("\xc0\x80", "\\xc0\\x80");                   /* overlong */
    expect("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
    expect("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond the last */
}

static void what_does_not_fit_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t size = 1; size < 12; size++) {
        char text[16] = "a\x1b"
                        "b\x1b";
        printable(text, size);
        assert_true(strlen(text) < size || size <= 1);
        assert_true(strncmp(text, "a\\x1bb\\x1b", strlen(text)) == 0);
        assert_true(strlen(text) == 0 || text[strlen(text) - 1] == 'a' || text[strlen(text) - 1] == 'b');
    }
}

static void errors_are_printable(void **state)
{
    (void)state;
    struct error e;
    error_set(&e, ERROR_RETRY, "the target answers %s", "\x1b]0;title\x07");
    assert_string_equal(e.text, "the target answers \\x1b]0;title\\x07");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_shown_stays),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(what_is_not_utf_8_is_escaped),
        cmocka_unit_test(what_does_not_fit_is_cut_between_characters),
        cmocka_unit_test(errors_are_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
