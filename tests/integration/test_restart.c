/* kill -9 of the supervisor, of everything, and a stop in order: what is started again goes on where the target is, without
 * a full sync wherever the source still has the rest, and says which it was and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3 };

static struct crash crash;
static const struct journal_snapshot small = {.strings = 100, .collections = 1, .elements = 100, .commands = 30, .journal = 300};

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static void begin_in_step(const char *const *extra)
{
    crash_begin(&crash, FLOWS, &small);
    run_replicate(&crash.run, extra);
    assert_true(run_wait_in_step(&crash.run));
}

/* A zombie that nobody has reaped yet is gone, too. */
static bool is_gone(void *arg)
{
    const pid_t *pid = arg;
    struct buf stat = {0};
    char *path = format_text("/proc/%ld/stat", (long)*pid);
    bool there = file_read(path, &stat);
    free(path);
    buf_put_u8(&stat, 0);
    const char *end = there ? strrchr((const char *)stat.data, ')') : NULL;
    bool gone = !end || (end[1] && end[2] == 'Z');
    buf_free(&stat);
    return gone;
}

/* No worker may outlive its supervisor, however that ended. */
static void kill_supervisor(bool whole_group)
{
    pid_t supervisor = crash.run.program.process.pid, workers[FLOWS];
    for (uint32_t f = 0; f < FLOWS; f++)
        workers[f] = worker_pid(&crash.run.program, f);
    assert_true(supervisor > 0);
    kill(whole_group ? -supervisor : supervisor, SIGKILL);
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(wait_until(is_gone, &workers[f], 2000));
    assert_int_equal(process_wait(&crash.run.program.process, 5000), 128 + SIGKILL);
}

static void assert_last_sync(const char *kind, const char *reason)
{
    cJSON *status = df2redis_status(&crash.run.program);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    assert_non_null(sync);
    assert_string_equal(cJSON_GetObjectItem(sync, "kind")->valuestring, kind);
    if (!strstr(cJSON_GetObjectItem(sync, "reason")->valuestring, reason))
        df2redis_print(&crash.run.program);
    assert_non_null(strstr(cJSON_GetObjectItem(sync, "reason")->valuestring, reason));
    cJSON_Delete(status);
    assert_true(df2redis_said(&crash.run.program, reason));
}

static void assert_resumed_and_equal(void)
{
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_last_sync("partial", "the source still has the journal");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void assert_synced_again_and_equal(const char *reason)
{
    assert_true(crash_came_out_equal(&crash));
    assert_last_sync("full", reason);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void killed_supervisor_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    begin_in_step(NULL);
    kill_supervisor(false);
    journal_script_append(&crash.script, crash.run.source, 500);
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static void everything_killed_at_once_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    begin_in_step(NULL);
    journal_script_append(&crash.script, crash.run.source, 3000);
    kill_supervisor(true);
    journal_script_append(&crash.script, crash.run.source, 500);
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static void run_stopped_in_order_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    begin_in_step(NULL);
    journal_script_append(&crash.script, crash.run.source, 500);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    journal_script_append(&crash.script, crash.run.source, 500);
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static bool all_received(void *arg)
{
    (void)arg;
    return scripted_all_sent(crash.run.source);
}

/* The target stood still while more and more came. The source has nothing of that any more: it lies in the spools. */
static void what_the_spools_hold_is_applied_first(void **state)
{
    (void)state;
    begin_in_step(NULL);
    process_signal(&crash.run.target.process, SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 5000);
    assert_true(wait_until(all_received, NULL, RUN_DEADLINE_MS));
    uint64_t lsns[FLOWS];
    for (uint32_t f = 0; f < FLOWS; f++) {
        struct scripted *m = crash.run.source;
        lsns[f] = scripted_end_lsn(m, f);
        uint64_t end = scripted_sent(m, f);
        for (int i = 0; i < 2000 && worker_received(&crash.run.program, f) < end; i++)
            poll(NULL, 0, 5);
        assert_int_equal(worker_received(&crash.run.program, f), end);
    }
    kill_supervisor(true);
    process_signal(&crash.run.target.process, SIGCONT);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    for (uint32_t f = 0; f < FLOWS; f++) {
        char *asked = format_text("DFLY FLOW %040x SYNC2 %u %llu", 0xd0a60f17u, f, (unsigned long long)lsns[f]);
        if (scripted_count(crash.run.source, NULL, asked) != 1)
            scripted_print(crash.run.source, stderr);
        assert_int_equal(scripted_count(crash.run.source, NULL, asked), 1);
        free(asked);
    }
    assert_resumed_and_equal();
}

/* Wherever it dies: while it settles, greets, asks, or follows. */
static void run_killed_again_and_again_needs_one_full_sync(bool flushes)
{
    begin_in_step(NULL);
    struct random r = {11};
    for (unsigned round = 0; round < 25; round++) {
        journal_script_append(&crash.script, crash.run.source, 200);
        if (flushes)
            journal_script_flush(&crash.script, crash.run.source);
        journal_script_append(&crash.script, crash.run.source, 100);
        uint64_t due_ms = clock_monotonic_ms() + random_below(&r, round % 5 == 4 ? 600 : 250);
        while (clock_monotonic_ms() < due_ms)
            poll(NULL, 0, 1);
        kill_supervisor(round % 2);
        run_replicate(&crash.run, NULL);
    }
    assert_resumed_and_equal();
}

static void remove_state_files(const char *pattern)
{
    char *command = format_text("rm -f %s/default/%s", crash.run.program.dir, pattern);
    assert_int_equal(system(command), 0);
    free(command);
}

/* FLOW 0 has run the flush and gone on, FLOW 1 had not heard of it when everything was killed. */
static void flush_half_heard_of(const char *files)
{
    begin_in_step(NULL);
    struct scripted *m = crash.run.source;
    journal_script_append(&crash.script, m, 100);
    assert_true(run_wait_in_step(&crash.run));
    scripted_hold(m, 2, scripted_sent(m, 2));
    journal_script_append(&crash.script, m, 50);
    journal_script_flush(&crash.script, m);
    assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
    for (int i = 0; i < 2000 && worker_received(&crash.run.program, 1) < scripted_sent(m, 1); i++)
        poll(NULL, 0, 5);
    /* It has come to the flush once what is before it is applied. */
    for (int i = 0; i < 2000 && df2redis_status_number(&crash.run.program, "flows.1.lag_entries") > 1; i++)
        poll(NULL, 0, 5);
    pid_t stopped = worker_pid(&crash.run.program, 1);
    assert_true(stopped > 0);
    kill(stopped, SIGSTOP);
    scripted_hold(m, 2, NEVER);
    assert_true(df2redis_wait_said(&crash.run.program, "FLUSHALL of the source was run", RUN_DEADLINE_MS));
    journal_script_append(&crash.script, m, 100);
    for (int i = 0; i < 2000 && worker_received(&crash.run.program, 0) < scripted_sent(m, 0); i++)
        poll(NULL, 0, 5);
    for (int i = 0; i < 2000 && run_target_keys(&crash.run) == 0; i++)
        poll(NULL, 0, 5);
    assert_true(run_target_keys(&crash.run) > 0);
    kill_supervisor(true);
    if (files)
        remove_state_files(files);
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static void flush_that_one_flow_had_not_heard_of_is_run_once(void **state)
{
    (void)state;
    flush_half_heard_of(NULL);
}

static void flush_that_one_flow_had_not_heard_of_is_run_once_without_spools(void **state)
{
    (void)state;
    flush_half_heard_of("flow-*");
}

static void without_rings_the_marks_of_the_target_tell(void **state)
{
    (void)state;
    begin_in_step(NULL);
    journal_script_append(&crash.script, crash.run.source, 2000);
    kill_supervisor(true);
    remove_state_files("flow-*.ring");
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static void run_killed_at_random_moments_needs_one_full_sync(void **state)
{
    (void)state;
    run_killed_again_and_again_needs_one_full_sync(false);
}

static void run_killed_among_flushes_needs_one_full_sync(void **state)
{
    (void)state;
    run_killed_again_and_again_needs_one_full_sync(true);
}

/* As after the machine was started again: what the spools held is not whole then. */
static void without_spools_the_marks_of_the_target_tell(void **state)
{
    (void)state;
    begin_in_step(NULL);
    journal_script_append(&crash.script, crash.run.source, 2000);
    kill_supervisor(true);
    remove_state_files("flow-*");
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static void without_spools_killed_again_and_again(void **state)
{
    (void)state;
    begin_in_step(NULL);
    struct random r = {12};
    for (unsigned round = 0; round < 12; round++) {
        journal_script_append(&crash.script, crash.run.source, 400);
        journal_script_flush(&crash.script, crash.run.source);
        journal_script_append(&crash.script, crash.run.source, 100);
        uint64_t due_ms = clock_monotonic_ms() + random_below(&r, 300);
        while (clock_monotonic_ms() < due_ms)
            poll(NULL, 0, 1);
        kill_supervisor(true);
        remove_state_files("flow-*");
        run_replicate(&crash.run, NULL);
    }
    assert_resumed_and_equal();
}

/* ---- when only a full sync helps ---- */

/* The master plays another session from now on; what the target must hold is that one alone. */
static void begin_with_second_session(enum scripted_reply reply)
{
    struct scripted_options options;
    struct journal_script second;
    crash = (struct crash){0};
    journal_script_init(&crash.script, FLOWS, 7);
    journal_script_init(&second, FLOWS, 8);
    scripted_options_init(&options);
    scripted_options_add(&options, journal_script_session(&crash.script, &small));
    scripted_options_add(&options, journal_script_session(&second, &small));
    for (uint32_t f = 0; f < FLOWS; f++)
        options.sessions[1].flows[f].reply = reply;
    run_begin(&crash.run, &options);
    journal_script_free(&crash.script);
    crash.script = second;
}

static void source_without_the_journal_leads_to_a_full_sync(void **state)
{
    (void)state;
    begin_with_second_session(REPLY_FULL);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    kill_supervisor(false);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_synced_again_and_equal("no longer goes back");
    assert_int_equal(crash_full_syncs(&crash), 2);
    assert_true(df2redis_said(&crash.run.program, "flushing it"));
}

static void full_sync_is_refused_where_stop_was_given(void **state)
{
    (void)state;
    static const char *const stop[] = {"--on-full-resync", "stop", NULL};
    begin_with_second_session(REPLY_FULL);
    run_replicate(&crash.run, stop);
    assert_true(run_wait_in_step(&crash.run));
    uint64_t keys = run_target_keys(&crash.run);
    kill_supervisor(false);
    run_replicate(&crash.run, stop);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_TEMPFAIL);
    assert_true(df2redis_said(&crash.run.program, "the target is left as it is"));
    assert_int_equal(run_target_keys(&crash.run), keys);
    assert_int_equal(crash_full_syncs(&crash), 1);
}

static void full_sync_over_kept_keys_is_counted(void **state)
{
    (void)state;
    static const char *const keep[] = {"--on-full-resync", "keep", NULL};
    begin_with_second_session(REPLY_FULL);
    run_replicate(&crash.run, keep);
    assert_true(run_wait_in_step(&crash.run));
    kill_supervisor(false);
    run_replicate(&crash.run, keep);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_status_number(&crash.run.program, "divergences.full_resync_without_flush") == 1);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
}

static void run_killed_in_its_full_sync_begins_it_anew(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &small);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 3000 + 500 * f);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    for (int i = 0; i < 2000 && run_target_keys(&crash.run) < 10; i++)
        poll(NULL, 0, 5);
    assert_true(run_target_keys(&crash.run) >= 10);
    kill_supervisor(true);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, NEVER);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 1));
    assert_synced_again_and_equal("before its full sync was complete");
    assert_int_equal(crash_full_syncs(&crash), 2);
}

/* It is nobody's: as at a first start. */
static void emptied_target_is_filled_again(void **state)
{
    (void)state;
    begin_in_step(NULL);
    kill_supervisor(false);
    redis_restart(&crash.run.target, NULL);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_synced_again_and_equal("the target is empty");
    assert_int_equal(crash_full_syncs(&crash), 2);
}

static void target_of_somebody_else_is_refused(void **state)
{
    (void)state;
    begin_in_step(NULL);
    kill_supervisor(false);
    redis_restart(&crash.run.target, NULL);
    redisContext *c = server_connect(crash.run.target.port);
    server_ok(c, "SET precious 1");
    redisFree(c);
    run_replicate(&crash.run, NULL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_CANTCREAT);
    assert_int_equal(run_target_keys(&crash.run), 1);
    assert_int_equal(crash_full_syncs(&crash), 1);
}

static void target_that_is_ours_alone_is_not_asked_about(void **state)
{
    (void)state;
    begin_in_step(NULL);
    kill_supervisor(false);
    remove_state_files("run.json");
    run_replicate(&crash.run, NULL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_CANTCREAT);
}

static void other_filters_are_another_copy(void **state)
{
    (void)state;
    static const char *const other[] = {"--include", "string:*", "--flush-target", NULL};
    begin_in_step(NULL);
    kill_supervisor(false);
    run_replicate(&crash.run, other);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(run_wait_in_step(&crash.run));
    assert_last_sync("full", "--include or --exclude");
    redisContext *c = server_connect(crash.run.target.port);
    redisReply *others = server_command(c, "KEYS [^sd]*");
    assert_int_equal(others->elements, 0);
    freeReplyObject(others);
    redisFree(c);
    assert_true(run_target_keys(&crash.run) > 50);
}

/* ---- a target that went back in time ---- */

static void begin_with_saving_target(const char *const *extra)
{
    crash_begin(&crash, FLOWS, &small);
    run_replicate(&crash.run, extra);
    assert_true(run_wait_in_step(&crash.run));
}

static void save_target(void)
{
    redisContext *c = server_connect(crash.run.target.port);
    server_ok(c, "SAVE");
    redisFree(c);
}

static void target_restored_while_nothing_ran(bool in_order, const char *files)
{
    begin_with_saving_target(NULL);
    save_target();
    journal_script_append(&crash.script, crash.run.source, 800);
    assert_true(run_wait_in_step(&crash.run));
    if (in_order)
        assert_int_equal(run_terminate(&crash.run), EX_OK);
    else
        kill_supervisor(true);
    redis_restart(&crash.run.target, NULL);
    if (files)
        remove_state_files(files);
    journal_script_append(&crash.script, crash.run.source, 100);
    run_replicate(&crash.run, NULL);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void older_target_after_a_kill_leaves_no_gap(void **state)
{
    (void)state;
    target_restored_while_nothing_ran(false, NULL);
}

static void older_target_after_a_stop_leaves_no_gap(void **state)
{
    (void)state;
    target_restored_while_nothing_ran(true, NULL);
}

static void older_target_without_spools_leaves_no_gap(void **state)
{
    (void)state;
    target_restored_while_nothing_ran(false, "flow-*");
}

/* Settled to the end, then the target goes back before the next session begins. */
static void older_target_while_the_source_is_away_leaves_no_gap(void **state)
{
    (void)state;
    begin_with_saving_target(NULL);
    save_target();
    journal_script_append(&crash.script, crash.run.source, 800);
    assert_true(run_wait_in_step(&crash.run));
    scripted_listen(crash.run.source, false);
    scripted_cut_all(crash.run.source);
    assert_true(df2redis_wait_said(&crash.run.program, "the session with the source is over", RUN_DEADLINE_MS));
    redis_restart(&crash.run.target, NULL);
    journal_script_append(&crash.script, crash.run.source, 100);
    scripted_listen(crash.run.source, true);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* ---- what counts on ---- */

static void divergences_of_the_killed_run_count_on(void **state)
{
    (void)state;
    begin_in_step(NULL);
    struct buf bytes = {0};
    write_journal(&bytes, 0, 0, "SADDEX sx 100 member");
    scripted_append(crash.run.source, 1, buf_slice(&bytes));
    buf_free(&bytes);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_status_number(&crash.run.program, "divergences.set_member_ttl_lost") == 1);
    for (unsigned round = 0; round < 2; round++) {
        kill_supervisor(round);
        run_replicate(&crash.run, NULL);
        assert_true(run_wait_in_step(&crash.run));
        assert_true(df2redis_status_number(&crash.run.program, "divergences.set_member_ttl_lost") == 1);
    }
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
}

static void killed_migration_is_completed(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &small);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 4000);
    df2redis_start(&crash.run.program, "migrate", scripted_uri(crash.run.source), crash.run.target.uri, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    for (int i = 0; i < 2000 && run_target_keys(&crash.run) < 10; i++)
        poll(NULL, 0, 5);
    kill_supervisor(true);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, NEVER);
    assert_int_equal(run_migrate(&crash.run, NULL), EX_OK);
    redisContext *c = server_connect(crash.run.target.port);
    assert_int_equal(server_integer(c, "EXISTS df2redis:default"), 0);
    redisFree(c);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(killed_supervisor_goes_on_without_a_full_sync, teardown),
        cmocka_unit_test_teardown(everything_killed_at_once_goes_on_without_a_full_sync, teardown),
        cmocka_unit_test_teardown(run_stopped_in_order_goes_on_without_a_full_sync, teardown),
        cmocka_unit_test_teardown(what_the_spools_hold_is_applied_first, teardown),
        cmocka_unit_test_teardown(run_killed_at_random_moments_needs_one_full_sync, teardown),
        cmocka_unit_test_teardown(run_killed_among_flushes_needs_one_full_sync, teardown),
        cmocka_unit_test_teardown(without_spools_the_marks_of_the_target_tell, teardown),
        cmocka_unit_test_teardown(without_spools_killed_again_and_again, teardown),
        cmocka_unit_test_teardown(without_rings_the_marks_of_the_target_tell, teardown),
        cmocka_unit_test_teardown(flush_that_one_flow_had_not_heard_of_is_run_once, teardown),
        cmocka_unit_test_teardown(flush_that_one_flow_had_not_heard_of_is_run_once_without_spools, teardown),
        cmocka_unit_test_teardown(source_without_the_journal_leads_to_a_full_sync, teardown),
        cmocka_unit_test_teardown(full_sync_is_refused_where_stop_was_given, teardown),
        cmocka_unit_test_teardown(full_sync_over_kept_keys_is_counted, teardown),
        cmocka_unit_test_teardown(run_killed_in_its_full_sync_begins_it_anew, teardown),
        cmocka_unit_test_teardown(emptied_target_is_filled_again, teardown),
        cmocka_unit_test_teardown(target_of_somebody_else_is_refused, teardown),
        cmocka_unit_test_teardown(target_that_is_ours_alone_is_not_asked_about, teardown),
        cmocka_unit_test_teardown(other_filters_are_another_copy, teardown),
        cmocka_unit_test_teardown(older_target_after_a_kill_leaves_no_gap, teardown),
        cmocka_unit_test_teardown(older_target_after_a_stop_leaves_no_gap, teardown),
        cmocka_unit_test_teardown(older_target_without_spools_leaves_no_gap, teardown),
        cmocka_unit_test_teardown(older_target_while_the_source_is_away_leaves_no_gap, teardown),
        cmocka_unit_test_teardown(divergences_of_the_killed_run_count_on, teardown),
        cmocka_unit_test_teardown(killed_migration_is_completed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
