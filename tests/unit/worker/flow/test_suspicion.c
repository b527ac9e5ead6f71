/* Suspects that cannot be recorded: all keys are compared. */
#include "worker/flow/flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include "common/ipc/divergence.h"
#include "tests/support/generated.h"
#include "worker/keys/suspects.h"

static char *directory;
static struct flow f;

static int setup(void **state)
{
    struct error error;
    (void)state;
    directory = test_directory_make();
    f = (struct flow){.supervisor = -1};
    settings_init(&f.settings);
    f.suspects = suspects_open(directory, 0, true, &error);
    flow_open_reports(&f);
    return f.suspects && cursor_open(&f.cursor, directory, 0, true, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    flow_close_reports(&f);
    cursor_close(&f.cursor);
    suspects_close(f.suspects);
    settings_free(&f.settings);
    test_directory_remove(directory);
    return 0;
}

/* How often a comparison of all keys was asked for. */
static uint64_t asked(void)
{
    return cursor_get(&f.cursor.marks->compare_all);
}

static void fill(void)
{
    for (uint32_t i = 0; i < SUSPECTS_MAX; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "%u", i);
        flow_suspect(&f, 0, slice_of(key, (size_t)len), SUSPECT_UNHEARD, "INCR");
    }
    assert_int_equal(suspects_count(f.suspects), SUSPECTS_MAX);
    assert_int_equal(asked(), 0);
}

static void keys_beyond_the_limit_lead_to_a_comparison_of_all(void **state)
{
    (void)state;
    fill();
    flow_suspect(&f, 0, slice_str("one more"), SUSPECT_UNHEARD, "INCR");
    assert_int_equal(asked(), 1);
    flow_suspect(&f, 0, slice_str("1"), SUSPECT_UNHEARD, "INCR");
    assert_int_equal(asked(), 1);
}

static void keys_that_are_too_long_lead_to_a_comparison_of_all(void **state)
{
    (void)state;
    static char key[(1 << 20) + 1];
    memset(key, 'k', sizeof key);
    flow_suspect(&f, 0, slice_of(key, sizeof key), SUSPECT_ABSENT, "PERSIST");
    assert_int_equal(asked(), 1);
    assert_int_equal(suspects_count(f.suspects), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_beyond_the_limit_lead_to_a_comparison_of_all, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_that_are_too_long_lead_to_a_comparison_of_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
