/* kill -9 of the supervisor, of everything, and a stop in order: what is started again goes on where the
 * target is, without a full sync wherever the source still has the rest, and says which it was and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/ipc/statefile.h"
#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3 };

static struct crash crash;

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static void begin_in_step(const char *const *extra)
{
    assert_true(crash_start(&crash, FLOWS, &crash_mixed, extra));
}

static void assert_resumed_and_equal(void)
{
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_true(crash_last_sync(&crash, "partial", "the source still has the journal"));
    assert_int_equal(crash_terminate(&crash), EX_OK);
}

static void killed_supervisor_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    begin_in_step(NULL);
    assert_true(crash_kill(&crash, false));
    journal_script_append(&crash.script, crash.run.source, 500);
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static void everything_killed_at_once_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    begin_in_step(NULL);
    journal_script_append(&crash.script, crash.run.source, 3000);
    assert_true(crash_kill(&crash, true));
    journal_script_append(&crash.script, crash.run.source, 500);
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static void run_stopped_in_order_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    begin_in_step(NULL);
    journal_script_append(&crash.script, crash.run.source, 500);
    assert_int_equal(crash_terminate(&crash), EX_OK);
    journal_script_append(&crash.script, crash.run.source, 500);
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static bool all_received(void *arg)
{
    (void)arg;
    return scripted_all_sent(crash.run.source);
}

/* The target stood still while more and more came. The source has nothing of that any more: it lies in the
 * spools. */
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
    assert_true(crash_kill(&crash, true));
    process_signal(&crash.run.target.process, SIGCONT);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    for (uint32_t f = 0; f < FLOWS; f++) {
        /* From the last command on, which is compared; a PING may have come after it. */
        size_t asked = 0;
        for (uint64_t before_end = 1; before_end <= 2; before_end++) {
            char *text = format_text("DFLY FLOW %040x SYNC2 %u %llu", 0xd0a60f17u, f,
                                     (unsigned long long)(lsns[f] - before_end));
            asked += scripted_count(crash.run.source, NULL, text);
            free(text);
        }
        if (asked != 1)
            scripted_print(crash.run.source, stderr);
        assert_int_equal(asked, 1);
    }
    assert_true(df2redis_said(&crash.run.program, "the source is asked for what comes after it"));
    assert_false(
        df2redis_said(&crash.run.program, "the session with the source is over")); /* it is no fault */
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
        assert_true(crash_kill(&crash, round % 2));
        run_replicate(&crash.run, NULL);
    }
    assert_resumed_and_equal();
}

/* All of it, and nothing but the flush is left to apply. */
static bool flow_1_is_at_its_flush(void *arg)
{
    (void)arg;
    const struct df2redis *d = &crash.run.program;
    double received = df2redis_status_number(d, "flows.1.lsn_received");
    return worker_received(d, 1) >= scripted_sent(crash.run.source, 1) && received > 0 &&
           df2redis_status_number(d, "flows.1.lsn_applied") + 1 >= received;
}

static bool flow_0_went_on(void *arg)
{
    (void)arg;
    return worker_received(&crash.run.program, 0) >= scripted_sent(crash.run.source, 0) &&
           run_target_keys(&crash.run) > 0;
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
    assert_true(wait_until(flow_1_is_at_its_flush, NULL, RUN_DEADLINE_MS));
    pid_t stopped = worker_pid(&crash.run.program, 1);
    assert_true(stopped > 0);
    kill(stopped, SIGSTOP);
    scripted_hold(m, 2, NEVER);
    assert_true(df2redis_wait_said(&crash.run.program, "FLUSHALL of the source was run", RUN_DEADLINE_MS));
    journal_script_append(&crash.script, m, 100);
    assert_true(wait_until(flow_0_went_on, NULL, RUN_DEADLINE_MS));
    assert_true(crash_kill(&crash, true));
    if (files)
        crash_remove(&crash, files);
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
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*.ring");
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

/* Somebody else's boot. */
static void change_boot(const char *path)
{
    char boot_id[STATEFILE_BOOT_BYTES];
    struct buf bytes = {0};
    statefile_boot_id(boot_id);
    assert_true(file_read(path, &bytes));
    uint8_t *at = memmem(bytes.data, bytes.len, boot_id, strlen(boot_id));
    assert_non_null(at);
    *at ^= 1;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
    buf_free(&bytes);
}

static void after_a_new_boot_the_marks_of_the_target_tell(void **state)
{
    (void)state;
    begin_in_step(NULL);
    journal_script_append(&crash.script, crash.run.source, 2000);
    assert_true(crash_kill(&crash, true));
    for (uint32_t f = 0; f < FLOWS; f++) {
        char *path = format_text("%s/default/flow-%u.cursor", crash.run.program.dir, f);
        change_boot(path);
        free(path);
    }
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
    assert_true(df2redis_said(&crash.run.program, "going on from the target's marks"));
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
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*");
    run_replicate(&crash.run, NULL);
    assert_resumed_and_equal();
}

static bool mark_has_come(void *arg)
{
    char *mark = arg;
    redisContext *c = server_connect(crash.run.target.port);
    redisReply *reply = server_command(c, "HGET df2redis:default flow-1");
    snprintf(mark, 128, "%s", reply->type == REDIS_REPLY_STRING ? reply->str : "");
    freeReplyObject(reply);
    redisFree(c);
    return *mark != 0;
}

/* What comes during the snapshot is counted otherwise than the journal: an LSN of there would be asked for in
 * vain, or worse. */
static void marks_of_the_snapshot_are_no_lsns(void **state)
{
    (void)state;
    static const struct journal_snapshot much = {
        .strings = 100, .collections = 1, .elements = 100, .commands = 60};
    char mark[128];
    crash_begin(&crash, FLOWS, &much);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 8000);
    run_replicate(&crash.run, NULL);
    assert_true(wait_until(mark_has_come, mark, RUN_DEADLINE_MS));
    const char *lsn = strstr(mark, " 0 0:0000000000000000");
    assert_true(lsn && strlen(lsn) == strlen(" 0 0:0000000000000000"));
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, NEVER);
    assert_true(crash_came_out_equal(&crash));
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
        assert_true(crash_kill(&crash, true));
        crash_remove(&crash, "flow-*");
        run_replicate(&crash.run, NULL);
    }
    assert_resumed_and_equal();
}

/* ---- a target that went back in time ---- */

static void begin_with_saving_target(const char *const *extra)
{
    assert_true(crash_start(&crash, FLOWS, &crash_mixed, extra));
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
        assert_int_equal(crash_terminate(&crash), EX_OK);
    else
        assert_true(crash_kill(&crash, true));
    redis_restart(&crash.run.target, NULL);
    if (files)
        crash_remove(&crash, files);
    journal_script_append(&crash.script, crash.run.source, 100);
    run_replicate(&crash.run, NULL);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_terminate(&crash), EX_OK);
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
    assert_true(
        df2redis_wait_said(&crash.run.program, "the session with the source is over", RUN_DEADLINE_MS));
    redis_restart(&crash.run.target, NULL);
    journal_script_append(&crash.script, crash.run.source, 100);
    scripted_listen(crash.run.source, true);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_terminate(&crash), EX_OK);
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
        cmocka_unit_test_teardown(marks_of_the_snapshot_are_no_lsns, teardown),
        cmocka_unit_test_teardown(without_rings_the_marks_of_the_target_tell, teardown),
        cmocka_unit_test_teardown(after_a_new_boot_the_marks_of_the_target_tell, teardown),
        cmocka_unit_test_teardown(flush_that_one_flow_had_not_heard_of_is_run_once, teardown),
        cmocka_unit_test_teardown(flush_that_one_flow_had_not_heard_of_is_run_once_without_spools, teardown),
        cmocka_unit_test_teardown(older_target_after_a_kill_leaves_no_gap, teardown),
        cmocka_unit_test_teardown(older_target_after_a_stop_leaves_no_gap, teardown),
        cmocka_unit_test_teardown(older_target_without_spools_leaves_no_gap, teardown),
        cmocka_unit_test_teardown(older_target_while_the_source_is_away_leaves_no_gap, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
