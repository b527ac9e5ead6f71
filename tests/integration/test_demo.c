/* The demonstration, with fewer keys: all that it shows comes out right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { DEADLINE_MS = 2 * RUN_DEADLINE_MS }; /* of several runs */

static void a_migration_is_shown_from_check_to_cutover(void **state)
{
    static const char *const shown[] = {"df2redis check",     "df2redis verify --repair",
                                        "4 element",          "none lost, none twice",
                                        "writes were paused", "All of it came out right"};
    static const char *const argv[] = {"tests/demo", DF2REDIS_BUILD_DIR, NULL};
    char *text = NULL;
    (void)state;
    setenv("DF2REDIS_DEMO_KEYS", "3000", 1);
    int code = process_run(argv, DEADLINE_MS, &text);
    for (size_t i = 0; i < sizeof shown / sizeof *shown && code == 0; i++)
        code = strstr(text, shown[i]) ? 0 : -1;
    if (code != 0)
        fprintf(stderr, "%s\n", text ? text : "nothing was printed");
    free(text);
    assert_int_equal(code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_migration_is_shown_from_check_to_cutover)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
