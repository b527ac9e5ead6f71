/* A database of the target that another client empties or exchanges, and that is not the one of the marks: its own mark
 * tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/scripted_words.h"
#include "tests/support/target_trouble.h"

/* The script of the source writes to databases 0 and 3. */
static const char mark[] = "df2redis:default:db";

/* What the mark of a database says; the caller frees it; NULL: there is none. */
static char *mark_of(const char *database)
{
    redisContext *c = server_connect(crash.run.target.port);
    char *select = format_text("SELECT %s", database);
    server_ok(c, select);
    redisReply *reply = server_commandf(c, "GET %s", mark);
    char *text = reply->type == REDIS_REPLY_STRING ? format_text("%s", reply->str) : NULL;
    freeReplyObject(reply);
    redisFree(c);
    free(select);
    return text;
}

static bool is_marked(void *database)
{
    char *text = mark_of(database);
    bool marked = text && strcmp(text, database) == 0;
    free(text);
    return marked;
}

static void tell_in(const char *select, const char *command)
{
    redisContext *c = server_connect(crash.run.target.port);
    server_ok(c, select);
    server_ok(c, command);
    redisFree(c);
}

static uint64_t reads_of_marks(void)
{
    redisContext *c = server_connect(crash.run.target.port);
    char *calls = server_info(c, "commandstats", "cmdstat_hgetall");
    uint64_t n = calls && strncmp(calls, "calls=", 6) == 0 ? strtoull(calls + 6, NULL, 10) : 0;
    free(calls);
    redisFree(c);
    return n;
}

static bool marks_were_read(void *until)
{
    return reads_of_marks() >= *(const uint64_t *)until;
}

/* The watch has read the marks and judged them. */
static void wait_for_the_watch(void)
{
    uint64_t until = reads_of_marks() + 3;
    assert_true(wait_until(marks_were_read, &until, RUN_DEADLINE_MS));
}

static bool has_new_session(void *arg)
{
    (void)arg;
    return crash_full_syncs(&crash) >= 2 || !process_running(&crash.run.program.process);
}

static void begin_marked(void)
{
    static char three[] = "3";
    begin(NULL);
    write_some();
    assert_true(run_wait_in_step(&crash.run));
    assert_true(is_marked(three));
    wait_for_the_watch();
}

static void assert_noticed(const char *text)
{
    assert_true(wait_until(has_new_session, NULL, RUN_DEADLINE_MS));
    if (!df2redis_said(&crash.run.program, text))
        df2redis_print(&crash.run.program);
    assert_true(df2redis_said(&crash.run.program, text));
    assert_ends_equal(0);
}

static void an_emptied_database_is_noticed_while_nothing_comes(void **state)
{
    (void)state;
    begin_marked();
    tell_in("SELECT 3", "FLUSHDB");
    assert_noticed("another client has emptied it (FLUSHDB, FLUSHALL)");
}

static void an_emptied_database_is_noticed_while_much_comes(void **state)
{
    (void)state;
    begin_marked();
    write_for(100);
    tell_in("SELECT 3", "FLUSHDB");
    for (int i = 0; i < 200 && !has_new_session(NULL); i++)
        write_for(20);
    assert_noticed("another client has emptied it (FLUSHDB, FLUSHALL)");
}

static void exchanged_databases_are_noticed(void **state)
{
    (void)state;
    begin_marked();
    tell("SWAPDB 3 6");
    assert_noticed("exchanged it (SWAPDB)");
}

static void a_database_emptied_while_no_process_ran_is_noticed(void **state)
{
    (void)state;
    begin_marked();
    assert_true(crash_kill(&crash, true));
    tell_in("SELECT 3", "FLUSHDB");
    write_some(); /* a successor writes there first, and then reads the mark */
    run_replicate(&crash.run, NULL);
    assert_noticed("another client has emptied it (FLUSHDB, FLUSHALL)");
}

static void a_database_emptied_as_a_worker_dies_is_noticed(void **state)
{
    (void)state;
    begin_marked();
    pid_t worker = worker_pid(&crash.run.program, 2);
    assert_int_equal(kill(worker, SIGKILL), 0);
    tell_in("SELECT 3", "FLUSHDB");
    write_some();
    assert_noticed("another client has emptied it (FLUSHDB, FLUSHALL)");
}

/* Evicted, as far as can be told. */
static void a_mark_that_is_gone_from_a_target_that_evicts_ends_the_run(void **state)
{
    (void)state;
    begin_marked();
    tell("CONFIG SET maxmemory 1gb");
    tell("CONFIG SET maxmemory-policy allkeys-lru");
    wait_for_the_watch();
    tell_in("SELECT 3", "UNLINK df2redis:default:db");
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_CONFIG);
    assert_true(df2redis_said(&crash.run.program, "has evicted the run's mark of database 3"));
    assert_int_equal(crash_full_syncs(&crash), 1);
}

static void a_flush_of_the_source_keeps_the_marks(void **state)
{
    (void)state;
    static char three[] = "3";
    begin_marked();
    for (int i = 0; i < 5; i++) {
        journal_script_flush(&crash.script, crash.run.source);
        assert_true(run_wait_in_step(&crash.run));
        assert_true(is_marked(three));
        write_some();
    }
    wait_for_the_watch();
    assert_ends_equal(1);
}

static void a_run_that_is_killed_around_flushes_of_the_source_goes_on(void **state)
{
    (void)state;
    static char three[] = "3";
    begin_marked();
    for (int i = 0; i < 3; i++) {
        write_some();
        journal_script_flush(&crash.script, crash.run.source);
        write_some();
        assert_true(crash_kill(&crash, true));
        run_replicate(&crash.run, NULL);
        assert_true(run_wait_in_step(&crash.run));
    }
    wait_for_the_watch();
    assert_true(is_marked(three));
    assert_ends_equal(1);
}

/* The mark of a full sync before is none of the new one. */
static void a_full_sync_over_the_keys_that_are_there_marks_anew(void **state)
{
    (void)state;
    static char three[] = "3";
    static const char *const keep[] = {"--on-full-resync", "keep", NULL};
    begin(keep);
    write_some();
    assert_true(run_wait_in_step(&crash.run));
    wait_for_the_watch();
    tell_in("SELECT 3", "FLUSHDB");
    assert_true(wait_until(has_new_session, NULL, RUN_DEADLINE_MS));
    write_some();
    assert_true(run_wait_in_step(&crash.run));
    assert_true(is_marked(three));
    wait_for_the_watch();
    assert_int_equal(crash_full_syncs(&crash), 2);
}

static void clean_removes_the_marks_of_databases(void **state)
{
    (void)state;
    static char three[] = "3";
    begin_marked();
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    assert_true(is_marked(three));
    const char *const argv[] = {df2redis_binary(), "clean", "--target", crash.run.target.uri, NULL};
    char *said = NULL;
    assert_int_equal(process_run(argv, RUN_DEADLINE_MS, &said), EX_OK);
    free(said);
    assert_null(mark_of("3"));
    assert_null(mark_of("0"));
}

static void a_migration_leaves_no_mark(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &small);
    assert_int_equal(run_migrate(&crash.run, NULL), EX_OK);
    redisContext *c = server_connect(crash.run.target.port);
    for (int db = 0; db < 16; db++) {
        char *select = format_text("SELECT %d", db);
        server_ok(c, select);
        redisReply *reply = server_command(c, "KEYS df2redis:*");
        assert_int_equal(reply->elements, 0);
        freeReplyObject(reply);
        free(select);
    }
    redisFree(c);
}

/* Releases before these marks wrote none. */
static void a_database_of_an_older_release_is_marked_at_the_start(void **state)
{
    (void)state;
    static char five[] = "5";
    struct scripted_options options;
    scripted_options_init(&options);
    options.keyspace = "db0:keys=1,expires=0\r\ndb5:keys=1,expires=0\r\n";
    scripted_options_add(&options, scripted_session_with("a", "1"));
    run_begin(&crash.run, &options);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    scripted_write(crash.run.source, 0, 5, 0, "SET b 1");
    scripted_write(crash.run.source, 0, 0, 0, "SET c 1");
    assert_true(run_wait_in_step(&crash.run));
    assert_true(is_marked(five));
    assert_true(crash_kill(&crash, true));
    tell("HDEL df2redis:default db-5");
    char *del = format_text("DEL %s", mark);
    tell_in("SELECT 5", del);
    free(del);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(wait_until(is_marked, five, RUN_DEADLINE_MS));
    assert_int_equal(crash_full_syncs(&crash), 1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_emptied_database_is_noticed_while_nothing_comes, teardown),
        cmocka_unit_test_teardown(an_emptied_database_is_noticed_while_much_comes, teardown),
        cmocka_unit_test_teardown(exchanged_databases_are_noticed, teardown),
        cmocka_unit_test_teardown(a_database_emptied_while_no_process_ran_is_noticed, teardown),
        cmocka_unit_test_teardown(a_database_emptied_as_a_worker_dies_is_noticed, teardown),
        cmocka_unit_test_teardown(a_mark_that_is_gone_from_a_target_that_evicts_ends_the_run, teardown),
        cmocka_unit_test_teardown(a_flush_of_the_source_keeps_the_marks, teardown),
        cmocka_unit_test_teardown(a_run_that_is_killed_around_flushes_of_the_source_goes_on, teardown),
        cmocka_unit_test_teardown(a_full_sync_over_the_keys_that_are_there_marks_anew, teardown),
        cmocka_unit_test_teardown(clean_removes_the_marks_of_databases, teardown),
        cmocka_unit_test_teardown(a_migration_leaves_no_mark, teardown),
        cmocka_unit_test_teardown(a_database_of_an_older_release_is_marked_at_the_start, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
