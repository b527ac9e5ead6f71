/* Whose journal is it? The same LSNs under the same master id may be those of another history; and after a
 * failover another master goes on with the same one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3 };

#define PROMOTED "cccccccccccccccccccccccccccccccccccccccc"

static struct crash crash;
static const struct journal_snapshot without_journal = {.strings = 100};

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static void begin_in_step(const struct journal_snapshot *what)
{
    assert_true(crash_start(&crash, FLOWS, what, NULL));
}

static void assert_synced_again(const char *reason)
{
    assert_true(df2redis_wait_said(&crash.run.program, reason, RUN_DEADLINE_MS));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    assert_true(crash_came_out_equal(&crash));
    assert_true(crash_last_sync(&crash, "full", reason));
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(crash_terminate(&crash), EX_OK);
}

/* Another source listens in its place. Its history is always the same one for the same session. */
static void serve_instead(struct scripted_options *options, const struct journal_snapshot *what)
{
    options->port = scripted_port(crash.run.source);
    scripted_stop(crash.run.source);
    crash.run.source = NULL;
    journal_script_free(&crash.script);
    journal_script_init(&crash.script, FLOWS, 99);
    scripted_options_add(options, journal_script_session(&crash.script, what));
    crash.run.source = scripted_start(options);
}

/* Another one listens in its place, with the same master id, and LSNs that go beyond those that were applied.
 */
static void rewrite_history(void)
{
    static const struct journal_snapshot longer = {.strings = 40, .commands = 30, .journal = 2000};
    struct scripted_options options;
    scripted_options_init(&options);
    serve_instead(&options, &longer);
}

static void another_history_under_the_same_id_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    rewrite_history();
    assert_synced_again("differs from the one applied here");
}

static void another_history_is_noticed_from_the_spools_of_a_killed_run(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    assert_true(crash_kill(&crash, true));
    rewrite_history();
    run_replicate(&crash.run, NULL);
    assert_synced_again("differs from the one applied here");
}

static void another_history_is_noticed_by_the_marks_of_the_target(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*");
    rewrite_history();
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_said(&crash.run.program, "going on from the target's marks", RUN_DEADLINE_MS));
    assert_synced_again("differs from the one applied here");
}

/* ---- marks of an earlier release ---- */

/* "<master id> <session> <seq> <lsn>" is what it had written. */
static void write_marks_of_an_earlier_release(void)
{
    redisContext *c = server_connect(crash.run.target.port);
    for (unsigned f = 0; f < FLOWS; f++) {
        redisReply *mark = server_commandf(c, "HGET df2redis:default flow-%u", f);
        assert_int_equal(mark->type, REDIS_REPLY_STRING);
        *strrchr(mark->str, ' ') = '\0';
        freeReplyObject(server_commandf(c, "HSET df2redis:default flow-%u %s", f, mark->str));
        freeReplyObject(mark);
    }
    redisFree(c);
}

static void marks_of_an_earlier_release_lose_no_run(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*");
    write_marks_of_an_earlier_release();
    journal_script_append(&crash.script, crash.run.source, 100);
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_said(&crash.run.program, "cannot be verified this time", RUN_DEADLINE_MS));
    assert_true(crash_resumed_equal(&crash, 2));
}

/* ---- nothing to compare ---- */

static void change_roles(void)
{
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    scripted_become(crash.run.source, SCRIPTED_DRAGONFLY);
}

/* No command of the journal was applied, so that none can be compared: but it was a replica meanwhile. */
static void changed_role_without_a_command_to_compare_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&without_journal);
    scripted_cut_all(crash.run.source);
    change_roles();
    assert_synced_again("was made a replica or a master meanwhile");
}

static void changed_role_with_an_entry_to_compare_resumes(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    scripted_cut_all(crash.run.source);
    change_roles();
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(crash_resumed_equal(&crash, 2));
}

/* It was a replica and is a master again before it could be asked: what it loaded then is in no journal. */
static void flush_after_a_changed_role_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    change_roles();
    journal_script_flush(&crash.script, crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 20);
    assert_synced_again("what it has loaded then is in no journal");
}

/* ---- failover ---- */

/* Its ring begins so many entries before the end of what was sent. */
static void fail_over(uint64_t before_end)
{
    scripted_promote(crash.run.source, PROMOTED, before_end);
    scripted_cut_all(crash.run.source);
}

/* It is written to before it is found, from where it was promoted. */
static void fail_over_and_write(uint32_t commands)
{
    for (size_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, scripted_sent(crash.run.source, f));
    scripted_promote(crash.run.source, PROMOTED, 0);
    journal_script_append(&crash.script, crash.run.source, commands);
    scripted_cut_all(crash.run.source);
    for (size_t f = 0; f < FLOWS; f++)
        scripted_hold(crash.run.source, f, NEVER);
}

static void promoted_replica_goes_on_with_the_journal(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    fail_over(10);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(df2redis_wait_said(&crash.run.program, "was promoted from a replica", RUN_DEADLINE_MS));
    assert_true(crash_resumed_equal(&crash, 2));
    assert_int_equal(scripted_count(crash.run.source, NULL, "REPLCONF capa dragonfly"), 2);
}

/* Its ring is empty: it lacks the entry that would be compared, and nothing else. */
static void replica_promoted_exactly_there_goes_on(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    fail_over(0);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(crash_resumed_equal(&crash, 2));
    assert_int_equal(scripted_count(crash.run.source, NULL, "REPLCONF capa dragonfly"), 3);
}

static void replica_promoted_exactly_there_and_written_to_goes_on(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    fail_over_and_write(100);
    assert_true(crash_resumed_equal(&crash, 2));
}

/* Its transactions are counted anew: one that has the number of an earlier flush is another one. */
static void flush_of_a_promoted_replica_is_run_whatever_its_number(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    for (int i = 0; i < 5; i++)
        journal_script_flush(&crash.script, crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(run_wait_in_step(&crash.run));
    fail_over(0);
    crash.script.txid = 0;
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    journal_script_append(&crash.script, crash.run.source, 100);
    journal_script_flush(&crash.script, crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 10);
    assert_true(crash_resumed_equal(&crash, 2));
}

enum { MUCH = 3 * FLOWS * 1024 };

static bool has_decided(void *arg)
{
    (void)arg;
    journal_script_append(&crash.script, crash.run.source, 10);
    return scripted_count(crash.run.source, NULL, "DFLY STARTSTABLE") > 1 ||
           scripted_count(crash.run.source, NULL, "DFLY SYNC") > 1;
}

/* More than a short ring holds: its begin stays where it was, while it is written to. */
static void replica_promoted_exactly_there_and_written_to_much_goes_on(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    fail_over_and_write(MUCH);
    assert_true(wait_until(has_decided, NULL, RUN_DEADLINE_MS));
    assert_true(crash_resumed_equal(&crash, 2));
    assert_true(scripted_count(crash.run.source, NULL, "REPLCONF capa dragonfly") >= 4);
}

/* Each time that it is asked there was no write since the time before: it is asked until there is one. */
static void replica_promoted_exactly_there_and_written_to_later_goes_on(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    fail_over_and_write(MUCH);
    assert_true(run_wait_source(&crash.run, NULL, "REPLCONF capa dragonfly", 5));
    assert_true(wait_until(has_decided, NULL, RUN_DEADLINE_MS));
    assert_true(crash_resumed_equal(&crash, 2));
}

/* A source that tells of its keys, so that it may be synced anew. */
static void begin_in_step_with_keys(const char *release)
{
    struct scripted_options options;
    crash_begin(&crash, FLOWS, &crash_mixed);
    scripted_options_init(&options);
    options.release = release;
    options.keyspace = "db0:keys=600,expires=0,avg_ttl=0\r\n";
    serve_instead(&options, &crash_mixed);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
}

/* And written to no more: its begin says nothing. */
static void replica_promoted_there_perhaps_by_chance_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step_with_keys("1.40.1");
    fail_over_and_write(MUCH);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 2));
    assert_synced_again("perhaps by chance");
}

/* Also when the run is killed right after: its marks bear the id of the master before. */
static void run_killed_after_a_failover_goes_on(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    fail_over(10);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*");
    run_replicate(&crash.run, NULL);
    assert_true(crash_resumed_equal(&crash, 3));
}

static void kill_after_a_failover(bool with_spools)
{
    begin_in_step(&crash_mixed);
    fail_over(0);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
    assert_true(crash_kill(&crash, true));
    if (!with_spools)
        crash_remove(&crash, "flow-*");
    journal_script_append(&crash.script, crash.run.source, 100);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 3));
    assert_true(crash_resumed_equal(&crash, 3));
}

/* No command of the promoted master was applied: the last one is older than its ring. */
static void run_killed_before_the_promoted_master_was_written_to_goes_on(void **state)
{
    (void)state;
    kill_after_a_failover(true);
}

static void marks_older_than_the_promotion_go_on(void **state)
{
    (void)state;
    kill_after_a_failover(false);
}

static void link_that_breaks_after_a_failover_resumes(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    fail_over(0);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
    scripted_cut_all(crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(crash_resumed_equal(&crash, 3));
}

/* The replica that was promoted lacked what the target has, and wrote something else in its place. */
static void replica_promoted_behind_the_target_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step(&crash_mixed);
    rewrite_history();
    scripted_promote(crash.run.source, PROMOTED,
                     2150); /* its own since then, and beyond what was applied here */
    assert_synced_again("differs from the one applied here");
}

/* Both at once, so that what is applied before the flush has no restart record of its own. */
static void write_and_flush_in_one_flow(void)
{
    struct slice incr[] = {slice_str("INCR"), slice_str("only:of:the:master:before")};
    struct slice flush = slice_str("FLUSHALL");
    struct buf bytes = {0};
    write_journal_args(&bytes, 0, 5000, 2, incr);
    write_journal_args(&bytes, 0, 5001, 1, &flush);
    scripted_append(crash.run.source, 0, buf_slice(&bytes));
    buf_free(&bytes);
}

/* The same history, without what was written last, and with other entries of the same numbers. */
static void promote_one_that_lacks_the_last_entries(void)
{
    enum { OWN = 2 };
    struct scripted_options options;
    scripted_options_init(&options);
    options.release = "1.40.1";
    options.keyspace = "db0:keys=600,expires=0,avg_ttl=0\r\n";
    serve_instead(&options, &crash_mixed);
    for (uint32_t f = 0; f < FLOWS; f++) {
        for (unsigned i = 0; i < OWN; i++) {
            char *words = format_text("SET own:%u:%u v", f, i);
            journal_script_line(&crash.script, crash.run.source, f, words);
            free(words);
        }
    }
    scripted_promote(crash.run.source, PROMOTED, OWN);
}

/* A FLOW is held at a flush, and has applied what comes before it. */
static void replica_promoted_behind_a_held_flow_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step_with_keys("1.40.1");
    write_and_flush_in_one_flow();
    assert_true(df2redis_wait_said(&crash.run.program, "FLUSHALL (txid 5001) is reached", RUN_DEADLINE_MS));
    promote_one_that_lacks_the_last_entries();
    assert_synced_again("differs from the one applied here");
}

/* Entries that carried no mark may be on the target, and missing on the promoted master. */
static void marks_across_a_failover_are_synced_anew(void **state)
{
    (void)state;
    begin_in_step_with_keys("1.40.1");
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*");
    fail_over(10);
    run_replicate(&crash.run, NULL);
    assert_synced_again("only the target's marks tell how far the run before had come");
}

/* It may have written, and forgotten again, what the target lacks. */
static void promoted_replica_that_forgets_by_time_is_synced_anew(void **state)
{
    (void)state;
    begin_in_step_with_keys("1.50.0");
    fail_over_and_write(100);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 2));
    assert_synced_again("its master id is");
}

/* ---- an older release ---- */

static void begin_with_an_older_release(void)
{
    struct scripted_options options;
    crash_begin(&crash, FLOWS, &crash_mixed);
    scripted_options_init(&options);
    options.release = "1.34.2";
    options.sync_after_partial = true;
    serve_instead(&options, &crash_mixed);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
}

/* v1.31 to v1.34 want SYNC after PARTIAL, too. */
static void older_release_is_resumed_by_sync(void **state)
{
    (void)state;
    begin_with_an_older_release();
    scripted_cut_all(crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 2));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_true(crash_came_out_equal(&crash));
    assert_true(crash_last_sync(&crash, "partial", "still has the journal"));
    assert_string_equal(scripted_violation(crash.run.source), "");
    scripted_cut_all(crash.run.source);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 3));
    journal_script_flush(&crash.script, crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 50);
    assert_true(crash_came_out_equal(&crash));
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(crash_terminate(&crash), EX_OK);
}

static void older_release_is_resumed_after_a_kill(void **state)
{
    (void)state;
    begin_with_an_older_release();
    assert_true(crash_kill(&crash, true));
    journal_script_append(&crash.script, crash.run.source, 300);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
    assert_true(crash_came_out_equal(&crash));
    assert_true(crash_last_sync(&crash, "partial", "still has the journal"));
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(crash_terminate(&crash), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(another_history_under_the_same_id_is_synced_anew, teardown),
        cmocka_unit_test_teardown(another_history_is_noticed_from_the_spools_of_a_killed_run, teardown),
        cmocka_unit_test_teardown(another_history_is_noticed_by_the_marks_of_the_target, teardown),
        cmocka_unit_test_teardown(marks_of_an_earlier_release_lose_no_run, teardown),
        cmocka_unit_test_teardown(changed_role_without_a_command_to_compare_is_synced_anew, teardown),
        cmocka_unit_test_teardown(changed_role_with_an_entry_to_compare_resumes, teardown),
        cmocka_unit_test_teardown(flush_after_a_changed_role_is_synced_anew, teardown),
        cmocka_unit_test_teardown(promoted_replica_goes_on_with_the_journal, teardown),
        cmocka_unit_test_teardown(replica_promoted_exactly_there_goes_on, teardown),
        cmocka_unit_test_teardown(replica_promoted_exactly_there_and_written_to_goes_on, teardown),
        cmocka_unit_test_teardown(flush_of_a_promoted_replica_is_run_whatever_its_number, teardown),
        cmocka_unit_test_teardown(replica_promoted_exactly_there_and_written_to_much_goes_on, teardown),
        cmocka_unit_test_teardown(replica_promoted_exactly_there_and_written_to_later_goes_on, teardown),
        cmocka_unit_test_teardown(replica_promoted_there_perhaps_by_chance_is_synced_anew, teardown),
        cmocka_unit_test_teardown(run_killed_after_a_failover_goes_on, teardown),
        cmocka_unit_test_teardown(run_killed_before_the_promoted_master_was_written_to_goes_on, teardown),
        cmocka_unit_test_teardown(marks_older_than_the_promotion_go_on, teardown),
        cmocka_unit_test_teardown(link_that_breaks_after_a_failover_resumes, teardown),
        cmocka_unit_test_teardown(replica_promoted_behind_the_target_is_synced_anew, teardown),
        cmocka_unit_test_teardown(replica_promoted_behind_a_held_flow_is_synced_anew, teardown),
        cmocka_unit_test_teardown(marks_across_a_failover_are_synced_anew, teardown),
        cmocka_unit_test_teardown(older_release_is_resumed_by_sync, teardown),
        cmocka_unit_test_teardown(older_release_is_resumed_after_a_kill, teardown),
        cmocka_unit_test_teardown(promoted_replica_that_forgets_by_time_is_synced_anew, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
