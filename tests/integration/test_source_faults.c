/* The link to the source breaks, in every way, and comes back: noticed in time, gone on from where it was;
 * and a source that is not the one it was is never mixed up with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3 };

static struct crash crash;
static const char *release_of_next; /* of the one that takes its place; NULL: the same */

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    release_of_next = NULL;
    return 0;
}

static void begin_in_step(const struct journal_snapshot *what, const char *const *extra)
{
    assert_true(crash_start(&crash, FLOWS, what, extra));
}

static void assert_synced_again(const char *reason)
{
    assert_true(df2redis_wait_said(&crash.run.program, reason, RUN_DEADLINE_MS));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 1));
    assert_true(crash_came_out_equal(&crash));
    cJSON *status = df2redis_status(&crash.run.program);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    assert_string_equal(df2redis_text(sync, "kind"), "full");
    assert_non_null(strstr(df2redis_text(sync, "reason"), reason));
    cJSON_Delete(status);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* ---- breaks ---- */

static void reset_flow_resumes(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    journal_script_append(&crash.script, crash.run.source, 500);
    scripted_reset_flow(crash.run.source, 1);
    assert_true(crash_resumed_equal(&crash, 2));
}

static void reset_control_connection_resumes(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    journal_script_append(&crash.script, crash.run.source, 500);
    scripted_reset_control(crash.run.source);
    assert_true(crash_resumed_equal(&crash, 2));
}

static void flow_closed_resumes(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    journal_script_append(&crash.script, crash.run.source, 500);
    scripted_cut_flow(crash.run.source, 2);
    assert_true(crash_resumed_equal(&crash, 2));
}

static bool in_session(void *arg)
{
    const size_t *sessions = arg;
    return scripted_count(crash.run.source, NULL, "DFLY STARTSTABLE") >= *sessions;
}

static void cut_again_and_again_resumes(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    for (size_t round = 1; round <= 12; round++) {
        journal_script_append(&crash.script, crash.run.source, 400);
        if (round % 3 == 0)
            scripted_cut_all(crash.run.source);
        else if (round % 3 == 1)
            scripted_cut_flow(crash.run.source, round % FLOWS);
        else
            scripted_reset_flow(crash.run.source, round % FLOWS);
        journal_script_append(&crash.script, crash.run.source, 100);
        size_t sessions = round + 1;
        assert_true(wait_until(in_session, &sessions, RUN_DEADLINE_MS));
    }
    assert_true(crash_resumed_equal(&crash, 13));
}

/* The cut falls into the middle of entries; what came of them is forgotten and asked for again. */
static void cut_within_an_entry_resumes(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    for (size_t round = 1; round <= 10; round++) {
        uint64_t at[FLOWS];
        for (uint32_t f = 0; f < FLOWS; f++) {
            at[f] = scripted_sent(crash.run.source, f) + 100 + 11 * round + f;
            scripted_hold(crash.run.source, f, at[f]);
        }
        journal_script_append(&crash.script, crash.run.source, 50);
        for (uint32_t f = 0; f < FLOWS; f++)
            for (int i = 0; i < 2000 && scripted_sent(crash.run.source, f) < at[f]; i++)
                poll(NULL, 0, 2);
        scripted_cut_all(crash.run.source);
        for (uint32_t f = 0; f < FLOWS; f++)
            scripted_hold(crash.run.source, f, NEVER);
        size_t sessions = round + 1;
        assert_true(wait_until(in_session, &sessions, RUN_DEADLINE_MS));
    }
    assert_true(crash_resumed_equal(&crash, 11));
}

/* The spool still holds much that the target has not taken when the link breaks: applied first, then asked
 * from its end. */
static void what_was_received_is_applied_before_asking(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    process_signal(&crash.run.target.process, SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 4000);
    for (uint32_t f = 0; f < FLOWS; f++)
        for (int i = 0;
             i < 2000 && (!scripted_all_sent(crash.run.source) ||
                          worker_received(&crash.run.program, f) < scripted_sent(crash.run.source, f));
             i++)
            poll(NULL, 0, 5);
    scripted_cut_all(crash.run.source);
    assert_true(df2redis_wait_said(&crash.run.program, "applying what was received", RUN_DEADLINE_MS));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(crash_resumed_equal(&crash, 2));
}

/* ---- silence ---- */

static void silent_source_is_noticed_and_resumed(void **state)
{
    (void)state;
    static const char *const quickly[] = {"--connect-timeout", "1s", NULL};
    begin_in_step(&crash_mixed, quickly);
    scripted_deaf(crash.run.source, true);
    assert_true(
        df2redis_wait_said(&crash.run.program, "the session with the source is over", RUN_DEADLINE_MS));
    journal_script_append(&crash.script, crash.run.source, 200);
    scripted_deaf(crash.run.source, false);
    assert_true(crash_resumed_equal(&crash, 2));
}

/* Idle is not silent: it answers. */
static void idle_source_keeps_its_session(void **state)
{
    (void)state;
    static const char *const quickly[] = {"--connect-timeout", "1s", NULL};
    begin_in_step(&crash_mixed, quickly);
    assert_true(run_wait_source(&crash.run, "control", "PING", 5));
    assert_int_equal(scripted_count(crash.run.source, NULL, "REPLCONF capa dragonfly"), 1);
    assert_true(crash_resumed_equal(&crash, 1));
}

static void vanished_source_is_noticed_and_resumed(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_true(run_wait_in_step(&crash.run));
    if (!scripted_vanish(crash.run.source)) {
        print_message("TCP_REPAIR is not permitted: skipped\n");
        skip();
    }
    uint64_t begun_ms = clock_monotonic_ms();
    assert_true(df2redis_wait_said(&crash.run.program, "the link to the source broke", RUN_DEADLINE_MS));
    fprintf(stderr, "half-open connections were noticed after %llu ms\n",
            (unsigned long long)(clock_monotonic_ms() - begun_ms));
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_true(crash_resumed_equal(&crash, 2));
}

static size_t count_said(const char *text)
{
    char *said = process_output(&crash.run.program.process);
    size_t n = 0;
    for (const char *at = said; (at = strstr(at, text)); at++)
        n++;
    free(said);
    return n;
}

static bool is_tried_again(void *arg)
{
    (void)arg;
    return count_said("next attempt in") >= 3;
}

static void absent_source_is_tried_with_backoff(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    scripted_listen(crash.run.source, false);
    scripted_cut_all(crash.run.source);
    uint64_t end_ms = clock_monotonic_ms() + 3000;
    while (clock_monotonic_ms() < end_ms)
        poll(NULL, 0, 20);
    assert_in_range(count_said("next attempt in"), 0, 10);
    assert_true(wait_until(is_tried_again, NULL, RUN_DEADLINE_MS));
    journal_script_append(&crash.script, crash.run.source, 200);
    scripted_listen(crash.run.source, true);
    assert_true(crash_resumed_equal(&crash, 2));
}

/* ---- a FLOW that has had no entry yet ---- */

static void flow_without_a_journal_entry_resumes(void **state)
{
    (void)state;
    static const struct journal_snapshot nothing = {.strings = 100};
    begin_in_step(&nothing, NULL);
    scripted_cut_all(crash.run.source);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(
        run_wait_source(&crash.run, NULL, "DFLY FLOW 00000000000000000000000000000000d0a60f17 SYNC2 1 1", 1));
    scripted_cut_all(crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(crash_resumed_equal(&crash, 3));
}

/* It dies before its first checkpoint: its successor must know that there is no snapshot in this session. */
static void worker_killed_right_after_resuming_is_succeeded(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    scripted_cut_all(crash.run.source);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_true(crash_resumed_equal(&crash, 2));
}

/* ---- another source ---- */

/* The master ends, and one with this identity listens in its place. */
static void replace_source(const char *master_id, uint32_t flows)
{
    struct scripted_options options;
    uint16_t port = scripted_port(crash.run.source);
    scripted_stop(crash.run.source);
    crash.run.source = NULL;
    journal_script_free(&crash.script);
    journal_script_init(&crash.script, flows, 99);
    scripted_options_init(&options);
    if (master_id)
        snprintf(options.master_id, sizeof options.master_id, "%s", master_id);
    options.port = port;
    if (release_of_next)
        options.release = release_of_next;
    options.keyspace = "db0:keys=1000,expires=0\r\n"; /* not without its data */
    static const struct journal_snapshot less = {.strings = 40, .journal = 20};
    scripted_options_add(&options, journal_script_session(&crash.script, &less));
    crash.run.source = scripted_start(&options);
}

static void source_with_another_id_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    replace_source("1111111111111111111111111111111111111111", FLOWS);
    assert_synced_again("asked for the journal that the target lacks, it answered FULL");
    assert_int_equal(crash_full_syncs(&crash), 1);
}

static void source_with_another_number_of_flows_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    replace_source(NULL, FLOWS + 2);
    assert_synced_again("the source has 5 FLOWs, and had 3");
}

static void source_that_lost_its_journal_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    replace_source(NULL, FLOWS);
    assert_synced_again("no longer goes back");
    assert_true(df2redis_said(&crash.run.program, "a larger --shard_repl_backlog_len (8192 entries"));
    assert_false(df2redis_said(&crash.run.program, "shard_repl_backlog_time_ms"));
}

/* Its ring is not counted in entries, and the option that did so is gone. */
static void newer_source_that_lost_its_journal_is_told_of_its_own_options(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    release_of_next = "1.50.0";
    replace_source(NULL, FLOWS);
    assert_synced_again("no longer goes back");
    assert_true(df2redis_said(&crash.run.program, "a larger --shard_repl_backlog_time_ms and "
                                                  "--shard_repl_backlog_max_bytes"));
    assert_false(df2redis_said(&crash.run.program, "shard_repl_backlog_len"));
}

static void source_replaced_while_nothing_ran_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed, NULL);
    kill(-crash.run.program.process.pid, SIGKILL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), 128 + SIGKILL);
    replace_source("2222222222222222222222222222222222222222", FLOWS);
    run_replicate(&crash.run, NULL);
    assert_synced_again("asked for the journal that the target lacks, it answered FULL");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reset_flow_resumes, teardown),
        cmocka_unit_test_teardown(reset_control_connection_resumes, teardown),
        cmocka_unit_test_teardown(flow_closed_resumes, teardown),
        cmocka_unit_test_teardown(cut_again_and_again_resumes, teardown),
        cmocka_unit_test_teardown(cut_within_an_entry_resumes, teardown),
        cmocka_unit_test_teardown(what_was_received_is_applied_before_asking, teardown),
        cmocka_unit_test_teardown(silent_source_is_noticed_and_resumed, teardown),
        cmocka_unit_test_teardown(idle_source_keeps_its_session, teardown),
        cmocka_unit_test_teardown(vanished_source_is_noticed_and_resumed, teardown),
        cmocka_unit_test_teardown(absent_source_is_tried_with_backoff, teardown),
        cmocka_unit_test_teardown(flow_without_a_journal_entry_resumes, teardown),
        cmocka_unit_test_teardown(worker_killed_right_after_resuming_is_succeeded, teardown),
        cmocka_unit_test_teardown(source_with_another_id_is_synced_anew, teardown),
        cmocka_unit_test_teardown(source_with_another_number_of_flows_is_synced_anew, teardown),
        cmocka_unit_test_teardown(source_that_lost_its_journal_is_synced_anew, teardown),
        cmocka_unit_test_teardown(newer_source_that_lost_its_journal_is_told_of_its_own_options, teardown),
        cmocka_unit_test_teardown(source_replaced_while_nothing_ran_is_synced_anew, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
