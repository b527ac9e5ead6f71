/* What the record of a run says of the comparison of all keys, and when it is written. */
#include "supervisor/run/comparison.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/run/run.h"
#include "tests/support/generated.h"

static struct settings settings;
static struct run run;
static char *directory;

static int setup(void **state)
{
    struct error error;
    (void)state;
    directory = test_directory_make();
    settings_init(&settings);
    settings_set(&settings, "state-dir", directory, &error);
    settings_set(&settings, "target", "redis://127.0.0.1:6379", &error);
    run = (struct run){.settings = &settings, .dir.lock_fd = -1, .role_changes = -1};
    run.copy.state = RUN_COPY_COMPLETE;
    comparison_init(&run);
    return state_dir_open(&run.dir, &settings, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    comparison_free(&run);
    state_dir_close(&run.dir);
    settings_free(&settings);
    test_directory_remove(directory);
    return 0;
}

static bool is_recorded(void)
{
    char *path = state_dir_file(&settings, "run.json");
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static void comparison_that_is_needed_is_recorded_at_once(void **state)
{
    (void)state;
    run.session.state = SESSION_STABLE;
    comparison_need(&run, "keys are missing");
    assert_int_equal(run.comparison.state, COMPARISON_DUE);
    assert_true(is_recorded());
}

/* The record describes the session before, whose FLOWs are gone. */
static void between_two_sessions_the_record_stays_as_it_is(void **state)
{
    (void)state;
    static const enum session_state between[] = {SESSION_STARTING, SESSION_CONNECTING, SESSION_HANDSHAKE,
                                                 SESSION_FLOWS,    SESSION_PREPARING,  SESSION_WAITING,
                                                 SESSION_STOPPED,  SESSION_FAILED};
    for (size_t i = 0; i < sizeof between / sizeof *between; i++) {
        run.session.state = between[i];
        run.comparison.state = COMPARISON_NONE;
        comparison_need(&run, "keys are missing");
        assert_int_equal(run.comparison.state, COMPARISON_DUE);
        assert_false(is_recorded());
    }
}

static void policies_that_keep_the_targets_keys_need_no_comparison(void **state)
{
    (void)state;
    run.session.state = SESSION_STABLE;
    settings.on_conflict = ON_CONFLICT_SKIP;
    comparison_need(&run, "keys are missing");
    settings.on_conflict = ON_CONFLICT_STOP;
    comparison_need(&run, "keys are missing");
    assert_int_equal(run.comparison.state, COMPARISON_NONE);
    settings.on_conflict = ON_CONFLICT_OVERWRITE;
    comparison_need(&run, "keys are missing");
    assert_int_equal(run.comparison.state, COMPARISON_DUE);
}

/* What was repaired before the entry is in the target; in a later session that is not known. */
static void target_that_went_back_needs_another_comparison_if_something_was_repaired(void **state)
{
    (void)state;
    run.session.state = SESSION_STABLE;
    run.session_id = 7;
    comparison_target_went_back(&run, 0, 0);
    assert_int_equal(run.comparison.state, COMPARISON_NONE);
    run.comparison.repaired_session = 6;
    comparison_target_went_back(&run, 0, UINT64_MAX);
    assert_int_equal(run.comparison.state, COMPARISON_DUE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comparison_that_is_needed_is_recorded_at_once),
        TEST(between_two_sessions_the_record_stays_as_it_is),
        TEST(policies_that_keep_the_targets_keys_need_no_comparison),
        TEST(target_that_went_back_needs_another_comparison_if_something_was_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
