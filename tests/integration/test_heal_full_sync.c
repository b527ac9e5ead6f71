/* What a full sync left out, keys or their deletion, is found and put right; what cannot be compared is told, and the
 * end waits for the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/heal_case.h"

enum { LEFT_OUT = 2500 };

static void journaled(struct stream_writer *w, const char *words)
{
    struct slice argv[8];
    size_t argc = 0;
    for (const char *at = words; *at; argc++) {
        size_t len = strcspn(at, " ");
        argv[argc] = slice_of(at, len);
        at += len + (at[len] == ' ');
    }
    writer_command(w, 0, 0, argc, argv);
}

static void leave_out(void)
{
    redisContext *c = server_connect(data.port);
    for (int i = 0; i < LEFT_OUT; i++)
        freeReplyObject(server_commandf(c, "SET left:%d %d", i, i));
    server_ok(c, "SELECT 3");
    server_ok(c, "SET other v");
    redisFree(c);
}

/* Neither snapshot nor journal had them, and the source has counted that it left out something. */
static void keys_that_a_full_sync_left_out_are_found(void **state)
{
    (void)state;
    prepare = leave_out;
    source_omits = 1;
    begin();
    assert_equal_to_source();
    assert_true(df2redis_said(&run.program, "left out 1 entries during the full sync"));
    assert_true(df2redis_said(&run.program, "keys were compared with the source's"));
    assert_true(suspects(&run, "healed") == LEFT_OUT + 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* What the target alone has is removed: the journal left out its deletion. The run owns the target. */
static void have_one_more(void)
{
    leave_out();
    server_tell(data.port, "DEL left:0");
}

static void write_one_more(struct stream_writer *w)
{
    journaled(w, "SET left:0 v");
}

static void deletion_that_a_full_sync_left_out_is_carried_out(void **state)
{
    (void)state;
    prepare = have_one_more;
    in_snapshot = write_one_more;
    source_omits = 1;
    begin();
    assert_equal_to_source();
    assert_int_equal(run_target_keys(&run), LEFT_OUT);
}

static void have_key_of_others(void)
{
    server_tell(run.target.port, "SET others v");
}

/* A target that had keys of others before keeps them. */
static void keys_of_others_outlive_the_comparison(void **state)
{
    (void)state;
    static const char *const overwrite[] = {"--on-conflict", "overwrite", NULL};
    prepare = leave_out;
    source_omits = 1;
    before_run = have_key_of_others;
    begin_with(true, overwrite);
    assert_true(df2redis_said(&run.program, "keys were compared with the source's"));
    assert_int_equal(run_target_keys(&run), LEFT_OUT + 2);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void source_that_does_not_count_omitted_entries_is_compared(void **state)
{
    (void)state;
    prepare = leave_out;
    omits_untold = true;
    begin();
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* With a counter that stands there is nothing to find. */
static void without_omitted_entries_nothing_is_compared(void **state)
{
    (void)state;
    prepare = leave_out;
    begin();
    assert_int_equal(run_target_keys(&run), 0);
    assert_false(df2redis_said(&run.program, "keys were compared"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Its keys would be compared with those of another one. */
static void a_database_that_cannot_be_selected_is_told(void **state)
{
    (void)state;
    prepare = leave_out;
    source_omits = 1;
    refused_database = 3;
    begin();
    assert_true(df2redis_said(&run.program, "all keys cannot be compared with the source's"));
    assert_true(df2redis_said(&run.program, "'select'"));
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

static void take_dump_away(void)
{
    server_tell(run.target.port, "ACL SETUSER default -dump");
}

/* The run goes on, and its exit code says that keys may be missing. */
static void a_right_that_is_missing_for_the_comparison_is_told(void **state)
{
    (void)state;
    prepare = leave_out;
    source_omits = 1;
    before_run = take_dump_away;
    begin();
    assert_true(df2redis_said(&run.program, "all keys cannot be compared with the source's"));
    assert_true(df2redis_said(&run.program, "check --acl"));
    assert_true(df2redis_status_number(&run.program, "divergences.lost_by_source") == 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

static int verify_lock;

/* As df2redis verify of the operator does. */
static void hold_up_comparison(void)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *directory = format_text("%s/default", run.program.dir),
         *path = format_text("%s/verify.lock", directory);
    assert_int_equal(mkdir(directory, 0700), 0);
    verify_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(verify_lock >= 0 && fcntl(verify_lock, F_OFD_SETLK, &whole) == 0);
    free(directory);
    free(path);
}

/* By a kill, and by an orderly stop, which says so. */
static void comparison_that_is_due_outlives_the_run(void **state)
{
    (void)state;
    prepare = leave_out;
    source_omits = 1;
    before_run = hold_up_comparison;
    start_with(true, NULL);
    assert_true(df2redis_wait_said(&run.program, "before the copy counts as complete", RUN_DEADLINE_MS));
    process_stop(&run.program.process);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_said(&run.program, "waiting for df2redis verify", RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&run), EX_TEMPFAIL);
    assert_true(df2redis_said(&run.program, "a new start goes on with that"));
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_said(&run.program, "waiting for df2redis verify", RUN_DEADLINE_MS));
    assert_int_equal(run_target_keys(&run), 0);
    close(verify_lock);
    assert_true(run_wait_in_step(&run));
    assert_equal_to_source();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

static bool all_are_there(void *arg)
{
    (void)arg;
    return run_target_keys(&run) == LEFT_OUT + 1;
}

/* The target comes back with a copy from before the comparison, and after its last mark. */
static void lose_what_was_repaired(bool restarts)
{
    prepare = leave_out;
    source_omits = 1;
    before_run = hold_up_comparison;
    start_with(true, NULL);
    assert_true(df2redis_wait_said(&run.program, "waiting for df2redis verify", RUN_DEADLINE_MS));
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    target("SAVE");
    close(verify_lock);
    assert_true(run_wait_in_step(&run));
    if (restarts) {
        process_stop(&run.program.process);
        run_replicate(&run, NULL);
        assert_true(run_wait_in_step(&run));
    }
    redis_restart(&run.target, NULL);
    assert_true(wait_until(all_are_there, NULL, RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    assert_equal_to_source();
}

static void what_was_repaired_and_is_lost_is_repaired_again(void **state)
{
    (void)state;
    lose_what_was_repaired(false);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

static void what_was_repaired_is_known_to_the_next_run(void **state)
{
    (void)state;
    lose_what_was_repaired(true);
}

static void a_migration_waits_for_keys_that_were_left_out(void **state)
{
    (void)state;
    prepare = leave_out;
    source_omits = 1;
    migrates = true;
    begin();
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_equal_to_source();
}

/* The source has deleted all of them since, before its snapshot came to them, and made the last two anew. */
static void delete_untold(struct stream_writer *w)
{
    journaled(w, "MSET multi:1 v multi:2 v multi:3 v");
    journaled(w, "SETNX single v");
    journaled(w, "GETSET exchanged v");
    journaled(w, "SET there v");
    journaled(w, "INCR counted");
    journaled(w, "MSET counter 5 list v");
    journaled(w, "INCR counter");
}

/* And of these it is known: the target refuses to push to a string. */
static void delete_and_push_untold(struct stream_writer *w)
{
    delete_untold(w);
    journaled(w, "RPUSH list x");
}

static void have_the_rest(void)
{
    redisContext *c = server_connect(data.port);
    server_ok(c, "MSET there v counted 1 counter 1");
    freeReplyObject(server_command(c, "RPUSH list x"));
    redisFree(c);
}

/* MSET, SETNX and GETSET were journaled, the deletion of their keys was not: these are compared, and no others. */
static void deletions_that_a_full_sync_left_out_are_found(void **state)
{
    (void)state;
    prepare = have_the_rest;
    in_snapshot = delete_and_push_untold;
    begin();
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 7);
    assert_true(suspects(&run, "equal") == 0);
    assert_true(log_says("healed perhaps_deleted MSET"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Of which it is not known that they are wrong: no exit code, but said and counted. */
static void what_is_only_perhaps_wrong_and_cannot_be_compared_is_told(void **state)
{
    (void)state;
    in_snapshot = delete_untold;
    begin_with(false, NULL);
    wait_settled();
    assert_true(suspects(&run, "unknown") >= 7);
    assert_true(df2redis_said(&run.program, "may differ from the source, and cannot be compared"));
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_true(df2redis_said(&run.program, "could not be compared"));
}

/* The snapshot had passed database 3 before, and came to database 0 afterwards. */
static void move_untold(struct stream_writer *w)
{
    journaled(w, "MOVE moved 3");
}

static void have_the_moved_key(void)
{
    server_tell(data.port, "SET moved v");
    server_tell(data.port, "MOVE moved 3");
}

static void key_that_was_moved_during_a_full_sync_is_found(void **state)
{
    (void)state;
    prepare = have_the_moved_key;
    in_snapshot = move_untold;
    source_release = "1.30.3"; /* not looked for as a key that was left out */
    begin();
    wait_settled();
    assert_equal_to_source();
    assert_true(log_says("healed perhaps_moved MOVE"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The journal has six digits of what ZUNIONSTORE made, in one transaction with the DEL of the key. */
static void cut_scores(struct stream_writer *w)
{
    journaled(w, "ZADD alone 0.333333 m");
    journaled(w, "DEL cut");
    journaled(w, "ZADD cut 0.333333 m 2 n");
    journaled(w, "DEL whole");
    journaled(w, "ZADD whole 0.3333333 m");
}

static void have_whole_scores(void)
{
    server_tell(data.port, "ZADD alone 0.333333 m");
    server_tell(data.port, "ZADD cut 0.33333333333333331 m 2 n");
    server_tell(data.port, "ZADD whole 0.3333333 m");
}

static void scores_that_the_journal_has_cut_are_found(void **state)
{
    (void)state;
    prepare = have_whole_scores;
    in_snapshot = cut_scores;
    begin();
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1);
    assert_true(suspects(&run, "equal") == 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

enum { TOO_MANY_KEYS = 40000, MORE_KEYS = 4000 };

static void write_too_many(struct stream_writer *w)
{
    write_keys(w, TOO_MANY_KEYS);
}

static void write_more(struct stream_writer *w)
{
    write_keys(w, MORE_KEYS);
}

/* More than are remembered. */
static void too_many_perhaps_deleted_lead_to_a_comparison_of_all_keys(void **state)
{
    (void)state;
    in_snapshot = write_too_many;
    begin();
    assert_true(df2redis_said(&run.program, "than a FLOW compares one by one"));
    assert_int_equal(run_target_keys(&run), 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* However many there are: beyond 10 s and 200 a second. */
static void the_end_waits_while_suspects_are_settled(void **state)
{
    (void)state;
    in_snapshot = write_more;
    begin();
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(run_target_keys(&run), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_that_a_full_sync_left_out_are_found, teardown),
        cmocka_unit_test_teardown(a_database_that_cannot_be_selected_is_told, teardown),
        cmocka_unit_test_teardown(a_migration_waits_for_keys_that_were_left_out, teardown),
        cmocka_unit_test_teardown(deletions_that_a_full_sync_left_out_are_found, teardown),
        cmocka_unit_test_teardown(key_that_was_moved_during_a_full_sync_is_found, teardown),
        cmocka_unit_test_teardown(what_is_only_perhaps_wrong_and_cannot_be_compared_is_told, teardown),
        cmocka_unit_test_teardown(too_many_perhaps_deleted_lead_to_a_comparison_of_all_keys, teardown),
        cmocka_unit_test_teardown(deletion_that_a_full_sync_left_out_is_carried_out, teardown),
        cmocka_unit_test_teardown(keys_of_others_outlive_the_comparison, teardown),
        cmocka_unit_test_teardown(source_that_does_not_count_omitted_entries_is_compared, teardown),
        cmocka_unit_test_teardown(without_omitted_entries_nothing_is_compared, teardown),
        cmocka_unit_test_teardown(a_right_that_is_missing_for_the_comparison_is_told, teardown),
        cmocka_unit_test_teardown(comparison_that_is_due_outlives_the_run, teardown),
        cmocka_unit_test_teardown(what_was_repaired_and_is_lost_is_repaired_again, teardown),
        cmocka_unit_test_teardown(what_was_repaired_is_known_to_the_next_run, teardown),
        cmocka_unit_test_teardown(scores_that_the_journal_has_cut_are_found, teardown),
        cmocka_unit_test_teardown(the_end_waits_while_suspects_are_settled, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
