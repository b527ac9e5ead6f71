/* A run that is told to stop ends where the source was when it was asked, not where the network happened to
 * cut its FLOWs; and does not call itself complete when it does not know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/proxy.h"
#include "tests/support/testing.h"

enum { FLOWS = 2, DELAY_MS = 250, SLOW_BYTES_PER_S = 300000 };

static struct crash crash;
static struct proxy *proxy;
static const struct journal_snapshot small = {.strings = 60, .journal = 50};

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    proxy_stop(proxy);
    proxy = NULL;
    return 0;
}

static void start(const char *verb)
{
    df2redis_start(&crash.run.program, verb, proxy_uri(proxy), crash.run.target.uri, NULL);
}

static void begin_behind_proxy(void)
{
    crash_begin(&crash, FLOWS, &small);
    proxy = proxy_start(scripted_port(crash.run.source));
    start("replicate");
    assert_true(run_wait_in_step(&crash.run));
}

static void assert_target_equal(void)
{
    bool equal = crash_target_equal(&crash);
    if (!equal)
        df2redis_print(&crash.run.program);
    assert_true(equal);
}

static void assert_ends_with(int code, const char *text)
{
    int ended = run_terminate(&crash.run);
    if (ended != code || !df2redis_said(&crash.run.program, text))
        df2redis_print(&crash.run.program);
    assert_int_equal(ended, code);
    assert_true(df2redis_said(&crash.run.program, text));
    assert_string_equal(scripted_violation(crash.run.source), "");
}

static void stop_waits_for_what_a_long_link_still_carries(void **state)
{
    (void)state;
    begin_behind_proxy();
    proxy_slow(proxy, DELAY_MS, 0);
    journal_script_append(&crash.script, crash.run.source, 1000);
    assert_ends_with(EX_OK, "completed");
    assert_target_equal();
}

static void stop_waits_for_what_a_slow_link_still_carries(void **state)
{
    (void)state;
    begin_behind_proxy();
    proxy_slow(proxy, 0, SLOW_BYTES_PER_S);
    journal_script_append(&crash.script, crash.run.source, 8000);
    assert_ends_with(EX_OK, "completed");
    assert_target_equal();
}

/* The journal is written while it goes on: the end is where the source was when it was asked. */
static void stop_ends_although_the_source_is_written_to(void **state)
{
    (void)state;
    begin_behind_proxy();
    proxy_slow(proxy, 20, 0);
    process_signal(&crash.run.program.process, SIGTERM);
    uint64_t end_ms = clock_monotonic_ms() + RUN_DEADLINE_MS;
    while (process_running(&crash.run.program.process) && clock_monotonic_ms() < end_ms) {
        journal_script_append(&crash.script, crash.run.source, 20);
        poll(NULL, 0, 5); /* the rate of the load */
    }
    assert_int_equal(process_wait(&crash.run.program.process, 0), EX_OK);
    start("replicate");
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void migration_ends_where_the_source_was_at_the_barrier(void **state)
{
    (void)state;
    static const struct journal_snapshot more = {.strings = 300, .journal = 3000};
    crash_begin(&crash, FLOWS, &more);
    proxy = proxy_start(scripted_port(crash.run.source));
    proxy_slow(proxy, DELAY_MS, 0);
    start("migrate");
    int code = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    if (code != EX_OK)
        df2redis_print(&crash.run.program);
    assert_int_equal(code, EX_OK);
    assert_target_equal();
}

static void source_that_cannot_be_asked_is_no_complete_end(void **state)
{
    (void)state;
    begin_behind_proxy();
    process_signal(&crash.run.target.process, SIGSTOP); /* so that the session does not end before the stop */
    journal_script_append(&crash.script, crash.run.source, 300);
    assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
    scripted_listen(crash.run.source, false);
    scripted_cut_all(crash.run.source);
    assert_true(df2redis_wait_said(&crash.run.program, "the link to the source broke", RUN_DEADLINE_MS));
    process_signal(&crash.run.program.process, SIGTERM);
    assert_true(df2redis_wait_said(&crash.run.program, "cannot be asked for its LSNs", RUN_DEADLINE_MS));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_TEMPFAIL);
    assert_true(df2redis_said(&crash.run.program, "the source could not be asked whether it has more"));
    /* And goes on from there. */
    scripted_listen(crash.run.source, true);
    start("replicate");
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void flows_that_break_before_the_last_lsn_are_no_complete_end(void **state)
{
    (void)state;
    begin_behind_proxy();
    proxy_hold_flows(proxy, true);
    journal_script_append(&crash.script, crash.run.source, 300);
    process_signal(&crash.run.program.process, SIGTERM);
    assert_true(df2redis_wait_said(&crash.run.program, "are still to be applied", RUN_DEADLINE_MS));
    proxy_cut(proxy);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_TEMPFAIL);
    assert_true(df2redis_said(&crash.run.program, "entries that the source had"));
    proxy_hold_flows(proxy, false);
    start("replicate");
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* `df2redis stop`: its exit code. */
static int stop(void)
{
    const char *const argv[] = {df2redis_binary(), "stop", "--state-dir", crash.run.program.dir, NULL};
    return process_run(argv, RUN_DEADLINE_MS, NULL);
}

static void stop_in_an_early_phase_says_that_nothing_is_complete(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &small);
    scripted_deaf(crash.run.source, true);
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_said(&crash.run.program, "keys", RUN_DEADLINE_MS)); /* of the target */
    assert_int_equal(stop(), EX_TEMPFAIL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_TEMPFAIL);
}

static bool has_ended(void *arg)
{
    (void)arg;
    return !process_running(&crash.run.program.process);
}

/* The flush has reached every FLOW, and only the source knows whether it is one. */
static void stop_waits_for_a_flush_that_is_being_asked_about(void **state)
{
    (void)state;
    enum { TOO_EARLY_MS = 1500 };
    crash_begin(&crash, FLOWS, &small);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    scripted_hold_roles(crash.run.source, true);
    journal_script_flush(&crash.script, crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 50);
    assert_true(scripted_wait(crash.run.source, "control", "REPLCONF listening-port", 2, RUN_DEADLINE_MS));
    process_signal(&crash.run.program.process, SIGTERM);
    assert_true(df2redis_wait_said(&crash.run.program, "still to be applied", RUN_DEADLINE_MS));
    assert_false(wait_until(has_ended, NULL, TOO_EARLY_MS));
    scripted_hold_roles(crash.run.source, false);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_target_equal();
}

static void begin_live(void)
{
    if (!run_begin_live(&crash.run, FLOWS, NULL))
        skip();
    proxy = proxy_start(crash.run.dragonfly.port);
    start("replicate");
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
}

static void write_live(int keys)
{
    redisContext *c = server_connect(crash.run.dragonfly.port);
    char value[401];
    memset(value, 'v', 400);
    value[400] = '\0';
    for (int i = 0; i < keys; i++)
        redisAppendCommand(c, "SET key:%d %s", i, value);
    for (int i = 0; i < keys; i++) {
        redisReply *r = NULL;
        assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
        assert_int_equal(r->type, REDIS_REPLY_STATUS);
        freeReplyObject(r);
    }
    redisFree(c);
}

static void writers_of_a_real_source_stop_and_then_the_run_does(void **state)
{
    (void)state;
    static const struct {
        uint32_t delay_ms;
        uint64_t bytes_per_s;
        int keys;
    } links[] = {{DELAY_MS, 0, 1000}, {0, SLOW_BYTES_PER_S, 3000}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        begin_live();
        proxy_slow(proxy, links[i].delay_ms, links[i].bytes_per_s);
        write_live(links[i].keys);
        assert_int_equal(stop(), EX_OK);
        assert_int_equal(run_target_keys(&crash.run), links[i].keys);
        teardown(state);
    }
}

/* Half a minute of waiting: only where DF2REDIS_TEST_LONG is set. */
static void black_hole_at_the_stop_is_given_up_and_said(void **state)
{
    (void)state;
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    if (!wanted || !*wanted || *wanted == '0')
        skip();
    begin_behind_proxy();
    proxy_hold_flows(proxy, true);
    journal_script_append(&crash.script, crash.run.source, 300);
    assert_ends_with(EX_TEMPFAIL, "nothing has come from the source for 30 s");
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TEST(stop_waits_for_what_a_long_link_still_carries),
        TEST(stop_waits_for_what_a_slow_link_still_carries),
        TEST(stop_ends_although_the_source_is_written_to),
        TEST(migration_ends_where_the_source_was_at_the_barrier),
        TEST(source_that_cannot_be_asked_is_no_complete_end),
        TEST(flows_that_break_before_the_last_lsn_are_no_complete_end),
        TEST(stop_in_an_early_phase_says_that_nothing_is_complete),
        TEST(stop_waits_for_a_flush_that_is_being_asked_about),
        TEST(writers_of_a_real_source_stop_and_then_the_run_does),
        TEST(black_hole_at_the_stop_is_given_up_and_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
