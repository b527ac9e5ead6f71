/* A spool that is full lets the source go instead of holding its clients up, and goes on with the journal
 * later; one whose files cannot be read is not taken for one that was applied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3 };

static struct crash crash;

static int teardown(void **state)
{
    (void)state;
    process_stop(&crash.run.program.process);
    crash_end(&crash);
    return 0;
}

static void begin(const char *const *extra)
{
    static const struct journal_snapshot small = {
        .strings = 300, .collections = 1, .elements = 200, .commands = 30, .journal = 300};
    assert_true(crash_start(&crash, FLOWS, &small, extra));
}

static void write_much(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        journal_script_append(&crash.script, crash.run.source, 2000);
}

static bool source_is_let_go(void *arg)
{
    (void)arg;
    return scripted_count(crash.run.source, NULL, "closed by peer") +
               scripted_count(crash.run.source, NULL, "reset by peer") >
           0;
}

static bool status_says_spool_full(void *arg)
{
    (void)arg;
    return df2redis_status_true(&crash.run.program, "spool_full");
}

static void assert_comes_out_equal(size_t full_syncs)
{
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), full_syncs);
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void a_full_spool_ends_the_session_and_the_journal_is_asked_for_later(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", "--spool-limit", "2m", NULL};
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(150); /* some 6 MiB a FLOW */
    assert_true(wait_until(source_is_let_go, NULL, RUN_DEADLINE_MS));
    assert_true(
        df2redis_wait_said(&crash.run.program, "the session with the source was ended", RUN_DEADLINE_MS));
    assert_true(wait_until(status_says_spool_full, NULL, RUN_DEADLINE_MS));
    assert_false(df2redis_said(&crash.run.program, "the source has to wait"));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(crash_came_out_equal(&crash));
    assert_false(df2redis_said(&crash.run.program, "the session with the source is over")); /* told once */
    assert_true(df2redis_said(&crash.run.program, "the source is asked for what comes after it"));
    if (df2redis_said(&crash.run.program, "the link to the source broke"))
        df2redis_print(&crash.run.program);
    assert_false(df2redis_said(&crash.run.program, "the link to the source broke"));
    assert_comes_out_equal(1);
}

static void a_worker_killed_with_a_full_spool_loses_nothing(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", "--spool-limit", "2m", NULL};
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(150);
    assert_true(
        df2redis_wait_said(&crash.run.program, "the session with the source was ended", RUN_DEADLINE_MS));
    for (uint32_t i = 0; i < FLOWS; i++)
        kill(worker_pid(&crash.run.program, i), SIGKILL);
    process_signal(&crash.run.target.process, SIGCONT);
    assert_comes_out_equal(1);
}

/* What the run is to end with is here; what is written behind it must not hold the source's clients up. */
static void a_spool_that_is_full_at_the_end_of_a_run_lets_the_source_go(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", "--spool-limit", "2m", NULL};
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(5);
    assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
    process_signal(&crash.run.program.process, SIGTERM);
    assert_true(df2redis_wait_said(&crash.run.program, "are still to be applied", RUN_DEADLINE_MS));
    write_much(80);
    assert_true(wait_until(source_is_let_go, NULL, RUN_DEADLINE_MS));
    process_signal(&crash.run.target.process, SIGCONT);
    int code = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    if (code != EX_OK)
        df2redis_print(&crash.run.program);
    assert_int_equal(code, EX_OK);
    assert_true(df2redis_said(&crash.run.program, "completed"));
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(run_wait_in_step(&crash.run));
    assert_true(crash_target_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
}

/* In the middle: not what is about to be written, nor what is in the ring. */
static void spool_files_are_deleted(void)
{
    static const char *const extra[] = {"--ring-size", "64k", NULL};
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(150);
    assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
    crash_remove(&crash, "flow-1.0001.spool");
    crash_remove(&crash, "flow-1.0002.spool");
}

static void a_spool_file_that_is_gone_means_a_full_sync(void **state)
{
    (void)state;
    spool_files_are_deleted();
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(df2redis_said(&crash.run.program, "its contents are lost: a full sync is needed"));
    assert_comes_out_equal(2);
}

static void a_spool_file_that_is_gone_at_the_end_of_a_run_is_no_success(void **state)
{
    (void)state;
    spool_files_are_deleted();
    process_signal(&crash.run.program.process, SIGTERM);
    assert_true(df2redis_wait_said(&crash.run.program, "draining", RUN_DEADLINE_MS));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_TEMPFAIL);
    assert_true(df2redis_said(&crash.run.program, "its contents are lost: a full sync is needed"));
    assert_false(df2redis_said(&crash.run.program, "completed"));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_full_spool_ends_the_session_and_the_journal_is_asked_for_later, teardown),
        cmocka_unit_test_teardown(a_worker_killed_with_a_full_spool_loses_nothing, teardown),
        cmocka_unit_test_teardown(a_spool_that_is_full_at_the_end_of_a_run_lets_the_source_go, teardown),
        cmocka_unit_test_teardown(a_spool_file_that_is_gone_means_a_full_sync, teardown),
        cmocka_unit_test_teardown(a_spool_file_that_is_gone_at_the_end_of_a_run_is_no_success, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
