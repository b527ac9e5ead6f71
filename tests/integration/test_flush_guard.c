/* When the target is emptied, and when the run stops instead: nothing of it is deleted that no option gave
 * up, and a complete copy is not emptied because something was started anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 2 };

static const char *const flush[] = {"--flush-target", NULL};
static const char *const flush_explicitly[] = {"--flush-target", "--on-full-resync", "flush", NULL};

static struct crash crash;
static struct scripted *other; /* another source */

static int teardown(void **state)
{
    (void)state;
    scripted_stop(other);
    other = NULL;
    crash_end(&crash);
    return 0;
}

static void on_target(const char *command)
{
    server_tell(crash.run.target.port, command);
}

static long long target_says(const char *command)
{
    return server_ask(crash.run.target.port, command);
}

static void begin_in_step(const char *const *extra)
{
    assert_true(crash_start(&crash, FLOWS, &crash_mixed, extra));
}

/* ---- an empty target ---- */

static void keys_that_came_after_the_start_are_not_flushed(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &crash_mixed);
    scripted_listen(crash.run.source, false);
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_said(&crash.run.program, "0 keys", RUN_DEADLINE_MS));
    on_target("SET precious 1");
    scripted_listen(crash.run.source, true);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, "holds 1 key. Choose"));
    assert_int_equal(target_says("EXISTS precious"), 1);
    assert_int_equal(target_says("DBSIZE"), 1);
    assert_int_equal(crash_full_syncs(&crash), 0);
}

static void empty_target_needs_no_right_to_flush(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &crash_mixed);
    on_target("ACL SETUSER default -flushall");
    run_replicate(&crash.run, NULL);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* ---- --flush-target ---- */

/* As in a pod, whose arguments are the same each time. */
static void flush_target_given_again_empties_nothing(void **state)
{
    (void)state;
    begin_in_step(flush);
    assert_true(crash_kill(&crash, false));
    run_replicate(&crash.run, flush);
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    journal_script_append(&crash.script, crash.run.source, 100);
    run_replicate(&crash.run, flush);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_true(crash_last_sync(&crash, "partial", "the source still has the journal"));
}

static bool some_keys_are_there(void *arg)
{
    (void)arg;
    return run_target_keys(&crash.run) >= 10;
}

static void flush_target_after_an_unfinished_run_begins_anew(void **state)
{
    (void)state;
    static const char *const over[] = {"--on-conflict", "overwrite", NULL};
    crash_begin(&crash, FLOWS, &crash_mixed);
    on_target("SET precious 1");
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 3000);
    run_replicate(&crash.run, over);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    assert_true(wait_until(some_keys_are_there, NULL, RUN_DEADLINE_MS));
    assert_true(crash_kill(&crash, true));
    run_replicate(&crash.run, over);
    assert_true(run_ends_with(&crash.run, EX_TEMPFAIL, "or --flush-target"));
    assert_int_equal(target_says("EXISTS precious"), 1);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, NEVER);
    run_replicate(&crash.run, flush);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(target_says("EXISTS precious"), 0);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static int clean(void)
{
    char *command = format_text("%s clean -t %s --state-dir %s >/dev/null", df2redis_binary(),
                                crash.run.target.uri, crash.run.program.dir);
    int status = system(command);
    free(command);
    return status;
}

static void complete_copy_without_its_state_directory_is_left(void **state)
{
    (void)state;
    begin_in_step(flush);
    assert_true(crash_kill(&crash, false));
    uint64_t keys = run_target_keys(&crash.run);
    crash_remove(&crash, "run.json");
    run_replicate(&crash.run, flush);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, "df2redis clean"));
    assert_int_equal(run_target_keys(&crash.run), keys);
    assert_int_equal(clean(), 0);
    run_replicate(&crash.run, flush);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 2);
}

/* ---- another source ---- */

static void scripted_options_of(struct scripted_options *options, const char *keyspace)
{
    struct journal_script script;
    journal_script_init(&script, FLOWS, 99);
    scripted_options_init(options);
    snprintf(options->master_id, sizeof options->master_id, "%s", "1111111111111111111111111111111111111111");
    options->keyspace = keyspace;
    scripted_options_add(options, journal_script_session(&script, &crash_mixed));
    journal_script_free(&script);
}

static void replicate_other(const char *const *extra)
{
    df2redis_start(&crash.run.program, "replicate", scripted_uri(other), crash.run.target.uri, extra);
}

static void other_source_does_not_flush_the_copy(bool in_order)
{
    struct scripted_options options;
    begin_in_step(NULL);
    if (in_order)
        assert_int_equal(run_terminate(&crash.run), EX_OK);
    else
        assert_true(crash_kill(&crash, false));
    uint64_t keys = run_target_keys(&crash.run);
    scripted_options_of(&options, "db0:keys=100000,expires=0\r\n");
    other = scripted_start(&options);
    replicate_other(NULL);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, scripted_uri(crash.run.source)));
    assert_int_equal(run_target_keys(&crash.run), keys);
    /* What it was is not forgotten by that. */
    replicate_other(NULL);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, "the source is"));
    replicate_other(flush);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, "--flush-target with --on-full-resync flush"));
    assert_int_equal(run_target_keys(&crash.run), keys);
    replicate_other(flush_explicitly);
    assert_true(scripted_wait_acked(other, RUN_DEADLINE_MS));
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
}

static void other_source_does_not_flush_the_copy_of_a_killed_run(void **state)
{
    (void)state;
    other_source_does_not_flush_the_copy(false);
}

static void other_source_does_not_flush_the_copy_of_an_ended_run(void **state)
{
    (void)state;
    other_source_does_not_flush_the_copy(true);
}

/* ---- a complete copy that is not resumed ---- */

static void assert_refused_as_complete(const char *const *extra, const char *why)
{
    uint64_t keys = run_target_keys(&crash.run);
    run_replicate(&crash.run, extra);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, why));
    assert_true(df2redis_said(&crash.run.program, "--flush-target with --on-full-resync flush"));
    assert_int_equal(run_target_keys(&crash.run), keys);
    assert_int_equal(crash_full_syncs(&crash), 1);
}

static void copy_without_marks_is_not_emptied_by_flush_target(void **state)
{
    (void)state;
    static const char *const unmarked[] = {"--marks", "off", "--flush-target", NULL};
    begin_in_step(unmarked);
    assert_true(crash_kill(&crash, false));
    assert_refused_as_complete(unmarked, "without marks");
    assert_refused_as_complete(flush, "the target has no mark");
    assert_refused_as_complete(NULL, "the target has no mark");
    assert_int_equal(clean(), 0);
    run_replicate(&crash.run, unmarked);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 2);
}

static void copy_with_other_filters_is_not_emptied_by_flush_target(void **state)
{
    (void)state;
    static const char *const include[] = {"--include", "string:*", "--flush-target", NULL};
    static const char *const exclude[] = {"--exclude", "string:*", "--flush-target", NULL};
    static const char *const database[] = {"--db", "0:1", "--flush-target", NULL};
    static const char *const unmarked[] = {"--marks", "off", "--flush-target", NULL};
    begin_in_step(flush);
    assert_true(crash_kill(&crash, false));
    assert_refused_as_complete(include, "--include or --exclude");
    assert_refused_as_complete(exclude, "--include or --exclude");
    assert_refused_as_complete(database, "other databases");
    assert_refused_as_complete(unmarked, "without marks");
    run_replicate(&crash.run, flush);
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    assert_int_equal(crash_full_syncs(&crash), 1);
}

static void migrated_copy_is_not_emptied_by_flush_target(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &crash_mixed);
    assert_int_equal(run_migrate(&crash.run, flush), EX_OK);
    assert_int_equal(target_says("EXISTS df2redis:default"), 0);
    on_target("SET precious 1");
    uint64_t keys = run_target_keys(&crash.run);
    assert_int_equal(run_migrate(&crash.run, flush), EX_CANTCREAT);
    assert_true(df2redis_said(&crash.run.program, "migrated completely"));
    assert_int_equal(run_migrate(&crash.run, NULL), EX_CANTCREAT);
    assert_refused_as_complete(flush, "migrated completely");
    assert_int_equal(run_target_keys(&crash.run), keys);
    assert_int_equal(clean(), 0);
    assert_int_equal(run_migrate(&crash.run, flush), EX_OK);
    assert_int_equal(target_says("EXISTS precious"), 0);
}

/* An older state directory was restored, or the name is used twice. */
static void copy_of_a_later_record_is_not_emptied(void **state)
{
    (void)state;
    begin_in_step(flush);
    assert_true(crash_kill(&crash, false));
    char *command =
        format_text("sed -i 's/\"session\":.*/\"session\": \"1\",/; s/\"master_id\":.*/\"master_id\": "
                    "\"3333333333333333333333333333333333333333\",/' %s/default/run.json",
                    crash.run.program.dir);
    assert_int_equal(system(command), 0);
    free(command);
    uint64_t keys = run_target_keys(&crash.run);
    run_replicate(&crash.run, flush);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, "df2redis clean"));
    assert_int_equal(run_target_keys(&crash.run), keys);
}

/* ---- the source lost keys ---- */

/* The master ends, and one with so many keys listens in its place. */
static void replace_source(const char *keyspace)
{
    struct scripted_options options;
    scripted_options_of(&options, keyspace);
    options.port = scripted_port(crash.run.source);
    scripted_stop(crash.run.source);
    crash.run.source = scripted_start(&options);
}

static void source_that_lost_its_data_leaves_the_copy(void **state)
{
    (void)state;
    begin_in_step(NULL);
    uint64_t keys = run_target_keys(&crash.run);
    replace_source("db0:keys=10,expires=0\r\n");
    assert_true(run_ends_with(&crash.run, EX_TEMPFAIL, "has 10 keys, target"));
    assert_int_equal(run_target_keys(&crash.run), keys);
    /* Nor does the next start. */
    run_replicate(&crash.run, flush);
    assert_true(run_ends_with(&crash.run, EX_TEMPFAIL, "the copy is left as it is. Choose"));
    assert_int_equal(run_target_keys(&crash.run), keys);
    assert_int_equal(crash_full_syncs(&crash), 0);
}

static void source_that_lost_its_data_prunes_nothing(void **state)
{
    (void)state;
    static const char *const prune[] = {"--on-full-resync", "prune", NULL};
    begin_in_step(prune);
    uint64_t keys = run_target_keys(&crash.run);
    replace_source("db0:keys=10,expires=0\r\n");
    assert_true(run_ends_with(&crash.run, EX_TEMPFAIL, "has 10 keys, target"));
    assert_int_equal(run_target_keys(&crash.run), keys);
    assert_int_equal(crash_full_syncs(&crash), 0);
}

static void assert_copy_stays(const char *const *extra)
{
    run_replicate(&crash.run, extra);
    assert_true(df2redis_wait_said(&crash.run.program, "a full sync over the keys", RUN_DEADLINE_MS));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    assert_int_equal(target_says("EXISTS precious"), 1);
}

/* The way out that the run names, which is killed in the middle. */
static void copy_that_is_kept_outlives_a_kill(void **state)
{
    (void)state;
    static const char *const keep[] = {"--on-full-resync", "keep", NULL};
    begin_in_step(NULL);
    on_target("SET precious 1");
    replace_source("db0:keys=10,expires=0\r\n");
    assert_true(run_ends_with(&crash.run, EX_TEMPFAIL, "--on-full-resync keep"));
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, 3000);
    assert_copy_stays(keep);
    assert_true(crash_kill(&crash, true));
    assert_copy_stays(NULL);
    assert_true(crash_kill(&crash, true));
    assert_copy_stays(flush);
    for (uint32_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, NEVER);
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(target_says("EXISTS precious"), 1);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
}

static void source_that_came_back_with_its_data_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(NULL);
    replace_source("db0:keys=100000,expires=0\r\n");
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 1));
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_said(&crash.run.program, "flushing it"));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* A failover of the target, in the moment in which a full sync begins. */
static void target_that_is_a_replica_for_a_while_is_waited_for(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &crash_mixed);
    scripted_listen(crash.run.source, false);
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_said(&crash.run.program, "0 keys", RUN_DEADLINE_MS));
    on_target("REPLICAOF 127.0.0.1 1");
    scripted_listen(crash.run.source, true);
    assert_true(df2redis_wait_said(&crash.run.program, "the target is a replica and takes no writes",
                                   RUN_DEADLINE_MS));
    on_target("REPLICAOF NO ONE");
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* ---- a full sync from the same master ---- */

static void begin_with_a_source_that_forgets(void)
{
    struct scripted_options options;
    crash = (struct crash){0};
    journal_script_init(&crash.script, FLOWS, 7);
    scripted_options_init(&options);
    scripted_options_add(&options, journal_script_session(&crash.script, &crash_mixed));
    for (uint32_t f = 0; f < FLOWS; f++)
        options.sessions[0].flows[f].reply = REPLY_FULL;
    run_begin(&crash.run, &options);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
}

/* Its clients have deleted them: there is no better copy. */
static void keys_deleted_on_the_same_master_do_not_stop_the_run(void **state)
{
    (void)state;
    begin_with_a_source_that_forgets();
    assert_true(crash_kill(&crash, true));
    scripted_keyspace(crash.run.source, "db0:keys=1,expires=0\r\n");
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_said(&crash.run.program, "flushing it"));
}

static void master_that_lost_its_keys_as_a_replica_leaves_the_copy(void **state)
{
    (void)state;
    begin_with_a_source_that_forgets();
    assert_true(crash_kill(&crash, true));
    uint64_t keys = run_target_keys(&crash.run);
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    scripted_become(crash.run.source, SCRIPTED_DRAGONFLY);
    scripted_keyspace(crash.run.source, "db0:keys=0,expires=0\r\n");
    run_replicate(&crash.run, flush);
    assert_true(run_ends_with(&crash.run, EX_TEMPFAIL, "has 0 keys, target"));
    assert_int_equal(run_target_keys(&crash.run), keys);
}

/* ---- after an orderly end ---- */

static void target_that_was_taken_into_use_is_not_flushed(void **state)
{
    (void)state;
    static const char *const flush_resync[] = {"--on-full-resync", "flush", NULL};
    begin_with_a_source_that_forgets();
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    on_target("SET precious 1");
    run_replicate(&crash.run, NULL);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, "may be in use since"));
    run_replicate(&crash.run, flush);
    assert_true(run_ends_with(&crash.run, EX_CANTCREAT, "--on-full-resync keep"));
    assert_int_equal(target_says("EXISTS precious"), 1);
    assert_int_equal(crash_full_syncs(&crash), 1);
    run_replicate(&crash.run, flush_resync);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(target_says("EXISTS precious"), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_that_came_after_the_start_are_not_flushed, teardown),
        cmocka_unit_test_teardown(empty_target_needs_no_right_to_flush, teardown),
        cmocka_unit_test_teardown(flush_target_given_again_empties_nothing, teardown),
        cmocka_unit_test_teardown(flush_target_after_an_unfinished_run_begins_anew, teardown),
        cmocka_unit_test_teardown(complete_copy_without_its_state_directory_is_left, teardown),
        cmocka_unit_test_teardown(other_source_does_not_flush_the_copy_of_a_killed_run, teardown),
        cmocka_unit_test_teardown(other_source_does_not_flush_the_copy_of_an_ended_run, teardown),
        cmocka_unit_test_teardown(copy_without_marks_is_not_emptied_by_flush_target, teardown),
        cmocka_unit_test_teardown(copy_with_other_filters_is_not_emptied_by_flush_target, teardown),
        cmocka_unit_test_teardown(migrated_copy_is_not_emptied_by_flush_target, teardown),
        cmocka_unit_test_teardown(copy_of_a_later_record_is_not_emptied, teardown),
        cmocka_unit_test_teardown(source_that_lost_its_data_leaves_the_copy, teardown),
        cmocka_unit_test_teardown(keys_deleted_on_the_same_master_do_not_stop_the_run, teardown),
        cmocka_unit_test_teardown(master_that_lost_its_keys_as_a_replica_leaves_the_copy, teardown),
        cmocka_unit_test_teardown(source_that_lost_its_data_prunes_nothing, teardown),
        cmocka_unit_test_teardown(copy_that_is_kept_outlives_a_kill, teardown),
        cmocka_unit_test_teardown(source_that_came_back_with_its_data_is_synced_anew, teardown),
        cmocka_unit_test_teardown(target_that_is_a_replica_for_a_while_is_waited_for, teardown),
        cmocka_unit_test_teardown(target_that_was_taken_into_use_is_not_flushed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
