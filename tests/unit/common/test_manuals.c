/* The manuals: mandoc has nothing to say about them, not even about style, and every page that they name is
 * there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

/* Of pages that are not installed it knows nothing: ours are looked for here, the system's are not all
 * everywhere. */
static const char lint[] = "mandoc -T lint man/*.[1-8] 2>/dev/null | grep -v 'referenced manual not found: '";
static const char references[] =
    "sed -n 's/^\\.Xr \\(df2redis[a-z.-]*\\) \\([1-8]\\).*/man\\/\\1.\\2/p' man/*.[1-8] | sort -u |\n"
    "    while read -r page; do echo looked-at; [ -f \"$page\" ] || echo \"$page\"; done | sort | uniq -c";

static char said[4096];

static const char *output_of(const char *command)
{
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t n = fread(said, 1, sizeof said - 1, in);
    said[n] = '\0';
    pclose(in);
    return said;
}

static void mandoc_has_nothing_to_say(void **state)
{
    (void)state;
    if (system("command -v mandoc >/dev/null") != 0) {
        print_message("skip: mandoc is not installed (package mandoc)\n");
        skip();
    }
    assert_int_equal(access("man/df2redis.1", R_OK), 0);
    assert_string_equal(output_of(lint), "");
}

static void every_page_of_ours_that_is_named_is_there(void **state)
{
    (void)state;
    unsigned pages = 0;
    char rest[200] = "";
    assert_true(sscanf(output_of(references), " %u looked-at %199s", &pages, rest) >= 1);
    assert_string_equal(rest, "");
    assert_true(pages >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mandoc_has_nothing_to_say),
        cmocka_unit_test(every_page_of_ours_that_is_named_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
