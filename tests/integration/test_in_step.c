/* "In step" is what the source's LSNs say: not what happens to have arrived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/proxy.h"
#include "tests/support/testing.h"

enum { FLOWS = 2 };

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

static void begin(void)
{
    assert_true(crash_start(&crash, FLOWS, &small, NULL));
}

static void begin_behind_proxy(void)
{
    crash_begin(&crash, FLOWS, &small);
    proxy = proxy_start(scripted_port(crash.run.source));
    df2redis_start(&crash.run.program, "replicate", proxy_uri(proxy), crash.run.target.uri, NULL);
    assert_true(run_wait_in_step(&crash.run));
}

static bool says(void *text)
{
    cJSON *status = df2redis_status(&crash.run.program);
    bool it_does = cJSON_IsFalse(cJSON_GetObjectItem(status, "in_step")) &&
                   strstr(df2redis_text(status, "in_step_reason"), text);
    cJSON_Delete(status);
    return it_does;
}

static void assert_not_in_step_because(const char *text)
{
    bool said = wait_until(says, (void *)(uintptr_t)text, RUN_DEADLINE_MS);
    if (!said)
        df2redis_print(&crash.run.program);
    assert_true(said);
}

/* `df2redis wait --in-step` with a time limit: its exit code. */
static int wait_in_step(const char *limit)
{
    const char *const argv[] = {df2redis_binary(),     "wait",      "--in-step", "--state-dir",
                                crash.run.program.dir, "--timeout", limit,       NULL};
    return process_run(argv, RUN_DEADLINE_MS, NULL);
}

static void signal_workers(int signal)
{
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_int_equal(kill(worker_pid(&crash.run.program, f), signal), 0);
}

static void stopped_workers_are_not_in_step_and_are_named(void **state)
{
    (void)state;
    begin();
    signal_workers(SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 500);
    assert_not_in_step_because("the worker of FLOW 0");
    assert_int_equal(wait_in_step("1s"), EX_TEMPFAIL);
    assert_true(df2redis_wait_said(&crash.run.program, "no longer in step", RUN_DEADLINE_MS));
    signal_workers(SIGCONT);
    assert_int_equal(wait_in_step("60s"), EX_OK);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void stopped_worker_in_a_full_sync_is_named(void **state)
{
    (void)state;
    static const char *const soon[] = {"--stuck-warning", "4s", NULL};
    crash_begin(&crash, FLOWS, &small);
    scripted_hold(crash.run.source, 0, 10);
    run_replicate(&crash.run, soon);
    assert_true(df2redis_wait_status(&crash.run.program, "phase", "full-sync", RUN_DEADLINE_MS));
    assert_int_equal(kill(worker_pid(&crash.run.program, 0), SIGSTOP), 0);
    assert_true(df2redis_wait_said(&crash.run.program, "does not move, in full-sync: is it stopped?",
                                   RUN_DEADLINE_MS));
    assert_int_equal(kill(worker_pid(&crash.run.program, 0), SIGCONT), 0);
    scripted_hold(crash.run.source, 0, NEVER);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* The same with a real Dragonfly; for a while its FLOWs lie in a black hole, too. */
static void real_source_is_not_in_step_either(void **state)
{
    (void)state;
    if (!run_begin_live(&crash.run, FLOWS, NULL))
        skip();
    proxy = proxy_start(crash.run.dragonfly.port);
    df2redis_start(&crash.run.program, "replicate", proxy_uri(proxy), crash.run.target.uri, NULL);
    assert_int_equal(wait_in_step("60s"), EX_OK);
    redisContext *c = server_connect(crash.run.dragonfly.port);
    signal_workers(SIGSTOP);
    for (int i = 0; i < 100; i++) {
        char *set = format_text("SET stopped:%d 1", i);
        server_ok(c, set);
        free(set);
    }
    assert_not_in_step_because("the worker of FLOW");
    signal_workers(SIGCONT);
    assert_int_equal(wait_in_step("60s"), EX_OK);
    assert_int_equal(run_target_keys(&crash.run), 100);
    proxy_hold_flows(proxy, true);
    for (int i = 0; i < 100; i++) {
        char *set = format_text("SET held:%d 1", i);
        server_ok(c, set);
        free(set);
    }
    redisFree(c);
    assert_not_in_step_because("behind the source: nothing comes from the source");
    proxy_hold_flows(proxy, false);
    assert_int_equal(wait_in_step("60s"), EX_OK);
    assert_int_equal(run_target_keys(&crash.run), 200);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void flows_in_a_black_hole_are_not_in_step(void **state)
{
    (void)state;
    begin_behind_proxy();
    proxy_hold_flows(proxy, true);
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_not_in_step_because("behind the source: nothing comes from the source");
    assert_true(df2redis_wait_said(&crash.run.program, "no longer in step", RUN_DEADLINE_MS));
    proxy_hold_flows(proxy, false);
    assert_int_equal(wait_in_step("60s"), EX_OK);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* Whatever was written before `wait` began is there when it ends. */
static void wait_asks_for_lsns_that_are_newer_than_itself(void **state)
{
    (void)state;
    begin_behind_proxy();
    proxy_slow(proxy, 250, 0);
    for (int i = 0; i < 3; i++) {
        journal_script_append(&crash.script, crash.run.source, 300);
        assert_int_equal(wait_in_step("60s"), EX_OK);
        for (uint32_t f = 0; f < FLOWS; f++) {
            char *path = format_text("flows.%u.lsn_applied", f);
            assert_int_equal(df2redis_status_number(&crash.run.program, path),
                             scripted_end_lsn(crash.run.source, f));
            free(path);
        }
    }
    assert_true(df2redis_status_number(&crash.run.program, "source_rtt_us") >= 250000);
}

static void source_that_does_not_tell_its_lsns_is_never_in_step(void **state)
{
    (void)state;
    begin();
    scripted_refuse_offsets(crash.run.source, "ERR syntax error");
    assert_not_in_step_because("answers DFLY REPLICAOFFSET with: ERR syntax error");
    scripted_refuse_offsets(crash.run.source, NULL);
    assert_int_equal(wait_in_step("60s"), EX_OK);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* As after REPLICAOF and REPLICAOF NO ONE between two questions: the journal is another one. */
static void lsns_that_go_back_end_the_session(void **state)
{
    (void)state;
    begin();
    scripted_set_back_offsets(crash.run.source, 10);
    assert_true(df2redis_wait_said(&crash.run.program, "its journal is another one now", RUN_DEADLINE_MS));
    assert_true(run_wait_source(&crash.run, NULL, "REPLCONF capa dragonfly", 2));
    assert_string_equal(scripted_violation(crash.run.source), "");
}

/* The FLOWs that are open go on. */
static void right_that_is_taken_away_is_named(void **state)
{
    (void)state;
    begin();
    scripted_refuse_offsets(crash.run.source, "NOPERM df2redis has no ACL permissions");
    assert_not_in_step_because("does not permit DFLY REPLICAOFFSET");
    assert_true(df2redis_said(&crash.run.program, "it needs +dfly"));
    journal_script_append(&crash.script, crash.run.source, 100);
    scripted_refuse_offsets(crash.run.source, NULL);
    assert_int_equal(wait_in_step("60s"), EX_OK);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TEST(stopped_workers_are_not_in_step_and_are_named),
        TEST(stopped_worker_in_a_full_sync_is_named),
        TEST(real_source_is_not_in_step_either),
        TEST(flows_in_a_black_hole_are_not_in_step),
        TEST(wait_asks_for_lsns_that_are_newer_than_itself),
        TEST(source_that_does_not_tell_its_lsns_is_never_in_step),
        TEST(lsns_that_go_back_end_the_session),
        TEST(right_that_is_taken_away_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
