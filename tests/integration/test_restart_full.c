/* Started again where only a full sync helps: then as --on-full-resync says, and never over a target that is
 * not ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

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

static void assert_synced_again_and_equal(const char *reason)
{
    assert_true(crash_came_out_equal(&crash));
    assert_true(crash_last_sync(&crash, "full", reason));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
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
    scripted_options_add(&options, journal_script_session(&crash.script, &crash_mixed));
    scripted_options_add(&options, journal_script_session(&second, &crash_mixed));
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
    assert_true(crash_kill(&crash, false));
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_synced_again_and_equal("no longer goes back");
    assert_int_equal(crash_full_syncs(&crash), 2);
    assert_true(df2redis_said(&crash.run.program, "flushing it"));
}

/* The cursors go on in it, and it is not the file that they are of. */
static void spool_that_was_replaced_leads_to_a_full_sync(void **state)
{
    (void)state;
    begin_with_second_session(REPLY_FULL);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(crash_kill(&crash, false));
    char *path = format_text("%s/default/flow-1.ring", crash.run.program.dir);
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    assert_int_equal(fputs("another", f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
    free(path);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_synced_again_and_equal("its file was replaced");
}

static void full_sync_is_refused_where_stop_was_given(void **state)
{
    (void)state;
    static const char *const stop[] = {"--on-full-resync", "stop", NULL};
    begin_with_second_session(REPLY_FULL);
    run_replicate(&crash.run, stop);
    assert_true(run_wait_in_step(&crash.run));
    uint64_t keys = run_target_keys(&crash.run);
    assert_true(crash_kill(&crash, false));
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
    assert_true(crash_kill(&crash, false));
    run_replicate(&crash.run, keep);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_status_number(&crash.run.program, "divergences.full_resync_without_flush") == 1);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
}

static void run_killed_in_its_full_sync_begins_it_anew(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &crash_mixed);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 3000 + 500 * f);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    for (int i = 0; i < 2000 && run_target_keys(&crash.run) < 10; i++)
        poll(NULL, 0, 5);
    assert_true(run_target_keys(&crash.run) >= 10);
    assert_true(crash_kill(&crash, true));
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
    assert_true(crash_kill(&crash, false));
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
    assert_true(crash_kill(&crash, false));
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
    assert_true(crash_kill(&crash, false));
    crash_remove(&crash, "run.json");
    run_replicate(&crash.run, NULL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_CANTCREAT);
}

static void other_filters_are_another_copy(void **state)
{
    (void)state;
    static const char *const other[] = {"--include",        "string:*", "--flush-target",
                                        "--on-full-resync", "flush",    NULL};
    begin_in_step(NULL);
    assert_true(crash_kill(&crash, false));
    run_replicate(&crash.run, other);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(run_wait_in_step(&crash.run));
    assert_true(crash_last_sync(&crash, "full", "--include or --exclude"));
    redisContext *c = server_connect(crash.run.target.port);
    redisReply *others = server_command(c, "KEYS [^sd]*");
    assert_int_equal(others->elements, 0);
    freeReplyObject(others);
    redisFree(c);
    assert_true(run_target_keys(&crash.run) > 50);
}

static void killed_migration_is_completed(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &crash_mixed);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 4000);
    df2redis_start(&crash.run.program, "migrate", scripted_uri(crash.run.source), crash.run.target.uri, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    for (int i = 0; i < 2000 && run_target_keys(&crash.run) < 10; i++)
        poll(NULL, 0, 5);
    assert_true(crash_kill(&crash, true));
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
        cmocka_unit_test_teardown(source_without_the_journal_leads_to_a_full_sync, teardown),
        cmocka_unit_test_teardown(spool_that_was_replaced_leads_to_a_full_sync, teardown),
        cmocka_unit_test_teardown(full_sync_is_refused_where_stop_was_given, teardown),
        cmocka_unit_test_teardown(full_sync_over_kept_keys_is_counted, teardown),
        cmocka_unit_test_teardown(run_killed_in_its_full_sync_begins_it_anew, teardown),
        cmocka_unit_test_teardown(emptied_target_is_filled_again, teardown),
        cmocka_unit_test_teardown(target_of_somebody_else_is_refused, teardown),
        cmocka_unit_test_teardown(target_that_is_ours_alone_is_not_asked_about, teardown),
        cmocka_unit_test_teardown(other_filters_are_another_copy, teardown),
        cmocka_unit_test_teardown(killed_migration_is_completed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
