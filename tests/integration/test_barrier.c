/* FLOWs that stand still, and a worker that dies of what it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { POISON_SEQ = 600, STEP_MS = 400 };

static struct crash crash;

static int teardown(void **state)
{
    (void)state;
    unsetenv("DF2REDIS_TEST_CRASH_AT_SEQ");
    crash_end(&crash);
    return 0;
}

static const struct journal_snapshot small = {.strings = 60, .journal = 20};

static int ended_with(const char *text)
{
    int status = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    if (!df2redis_said(&crash.run.program, text)) {
        df2redis_print(&crash.run.program);
        fail_msg("nothing was said of: %s", text);
    }
    return status;
}

static void flow_that_stalls_is_named(void **state)
{
    (void)state;
    static const char *const extra[] = {"--stuck-warning", "2s", NULL};
    crash_begin(&crash, 3, &small);
    scripted_hold(crash.run.source, 1, 200);
    run_replicate(&crash.run, extra);
    assert_true(df2redis_wait_said(&crash.run.program, "FLOW 1: no progress", RUN_DEADLINE_MS));
    assert_false(df2redis_said(&crash.run.program, "FLOW 0: no progress"));
    assert_false(df2redis_said(&crash.run.program, "FLOW 2: no progress"));
    scripted_hold(crash.run.source, 1, NEVER);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void barrier_timeout_counts_only_time_without_progress(void **state)
{
    (void)state;
    static const char *const extra[] = {"--barrier-timeout", "5s", "--stuck-warning", "1s", NULL};
    crash_begin(&crash, 2, &small);
    uint64_t at = 50;
    scripted_hold(crash.run.source, 1, at);
    run_replicate(&crash.run, extra);
    uint64_t end_ms = clock_monotonic_ms() + 8000;
    while (clock_monotonic_ms() < end_ms && process_running(&crash.run.program.process)) {
        scripted_hold(crash.run.source, 1, at += 10);
        poll(NULL, 0, STEP_MS); /* the pace of a slow source */
    }
    assert_true(process_running(&crash.run.program.process));
    assert_int_equal(ended_with("no progress on any FLOW"), EX_TEMPFAIL);
    assert_string_equal(scripted_violation(crash.run.source), "");
}

/* What the source holds back it counts in its LSNs: a shard that is not written to is no fault. */
static void flow_that_is_silent_among_active_ones_is_named(void **state)
{
    (void)state;
    static const char *const extra[] = {"--stuck-warning", "3s", NULL};
    struct buf bytes = {0};
    assert_true(crash_start(&crash, 3, &small, extra));
    scripted_hold(crash.run.source, 1, 10);
    journal_script_commands(&crash.script, 1, 5, &bytes);
    scripted_append(crash.run.source, 1, buf_slice(&bytes));
    uint64_t end_ms = clock_monotonic_ms() + RUN_DEADLINE_MS;
    while (!df2redis_said(&crash.run.program, "nothing has come") && clock_monotonic_ms() < end_ms) {
        for (uint32_t f = 0; f < 3; f += 2) {
            buf_clear(&bytes);
            journal_script_commands(&crash.script, f, 5, &bytes);
            scripted_append(crash.run.source, f, buf_slice(&bytes));
        }
        poll(NULL, 0, 50);
    }
    buf_free(&bytes);
    scripted_hold(crash.run.source, 1, NEVER);
    assert_true(df2redis_said(&crash.run.program, "FLOW 1: nothing has come"));
    assert_false(df2redis_said(&crash.run.program, "FLOW 0: nothing has come"));
    assert_true(crash_came_out_equal(&crash));
}

static uint64_t poison_bytes(void)
{
    struct stat st;
    char *path = format_text("%s/default/flow-1.poison", crash.run.program.dir);
    bool there = stat(path, &st) == 0;
    bool named = df2redis_said(&crash.run.program, path);
    free(path);
    return there && named ? (uint64_t)st.st_size : 0;
}

/* In stable sync, at one place of FLOW 1. */
static void begin_poisoned(uint32_t flows)
{
    char hook[32];
    snprintf(hook, sizeof hook, "1:%d", POISON_SEQ);
    setenv("DF2REDIS_TEST_CRASH_AT_SEQ", hook, 1);
    assert_true(crash_start(&crash, flows, &small, NULL));
    journal_script_append(&crash.script, crash.run.source, 1000);
}

static bool others_acknowledged(void *arg)
{
    const uint32_t *flows = arg;
    for (uint32_t f = 0; f < *flows; f++)
        if (f != 1 && scripted_acked(crash.run.source, f) < scripted_end_lsn(crash.run.source, f))
            return false;
    return true;
}

static void poisoned_flow_is_given_up_and_the_others_go_on(void **state)
{
    (void)state;
    uint32_t flows = 4;
    begin_poisoned(flows);
    assert_true(df2redis_wait_said(&crash.run.program, "the run goes on without FLOW 1", RUN_DEADLINE_MS));
    assert_true(poison_bytes() > 1000);
    assert_true(df2redis_status_true(&crash.run.program, "degraded"));
    assert_false(df2redis_status_true(&crash.run.program, "in_step"));
    assert_true(df2redis_wait_status(&crash.run.program, "flows.1.phase", "failed", RUN_DEADLINE_MS));
    /* Its socket is read on, more than any buffer holds. */
    for (int i = 0; i < 100; i++)
        journal_script_append(&crash.script, crash.run.source, 2000);
    assert_true(run_wait_source(&crash.run, "flow 1", "all sent", 1));
    assert_true(wait_until(others_acknowledged, &flows, RUN_DEADLINE_MS));
    uint64_t end_ms = clock_monotonic_ms() + RUN_DEADLINE_MS;
    while (!scripted_all_sent(crash.run.source) && clock_monotonic_ms() < end_ms)
        poll(NULL, 0, 10);
    assert_true(scripted_all_sent(crash.run.source));
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
    assert_true(df2redis_said(&crash.run.program, "degraded: 1 of 4 FLOWs were given up"));
}

static void too_many_poisoned_flows_end_the_run(void **state)
{
    (void)state;
    begin_poisoned(3);
    assert_int_equal(ended_with("more FLOWs failed than --failed-flows allows"), EX_SOFTWARE);
    assert_true(poison_bytes() > 1000);
    assert_string_equal(scripted_violation(crash.run.source), "");
}

static void poison_in_the_snapshot_ends_the_run(void **state)
{
    (void)state;
    setenv("DF2REDIS_TEST_CRASH_AT_SEQ", "1:5", 1);
    crash_begin(&crash, 4, &small);
    run_replicate(&crash.run, NULL);
    assert_int_equal(ended_with("the copy cannot be completed without it"), EX_SOFTWARE);
    assert_true(poison_bytes() > 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(flow_that_stalls_is_named, teardown),
        cmocka_unit_test_teardown(barrier_timeout_counts_only_time_without_progress, teardown),
        cmocka_unit_test_teardown(flow_that_is_silent_among_active_ones_is_named, teardown),
        cmocka_unit_test_teardown(poisoned_flow_is_given_up_and_the_others_go_on, teardown),
        cmocka_unit_test_teardown(too_many_poisoned_flows_end_the_run, teardown),
        cmocka_unit_test_teardown(poison_in_the_snapshot_ends_the_run, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
