/* Databases that the target does not have: what the source writes there is reported by key, and never written
 * anywhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/stream_writer.h"
#include "tests/support/testing.h"

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

struct line {
    uint32_t db;
    const char *words;
};

static void begin(const char *const *target_options)
{
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_with("user:1", "from0"));
    run_begin(&run, &options);
    server_stop(&run.target);
    redis_start(&run.target, target_options);
}

static void tell_source(const struct line *lines)
{
    /* In one piece, so that they come in one batch. */
    struct buf bytes = {0};
    for (; lines->words; lines++)
        write_journal(&bytes, lines->db, 0, lines->words);
    scripted_append(run.source, 0, buf_slice(&bytes));
    buf_free(&bytes);
}

static void assert_is(uint32_t db, const char *key, const char *value)
{
    redisContext *c = server_connect(run.target.port);
    char *select = format_text("SELECT %u", db);
    server_ok(c, select);
    redisReply *reply = server_commandf(c, "GET %s", key);
    if (value)
        assert_string_equal(reply->str, value);
    else
        assert_int_equal(reply->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
    free(select);
    redisFree(c);
}

/* In the run's log and in divergences.log. */
static void assert_named(const char *format, uint32_t db)
{
    char *path = format_text("%s/default/divergences.log", run.program.dir);
    char text[100];
    snprintf(text, sizeof text, format, db);
    if (!file_contains(path, text) || !df2redis_said(&run.program, text))
        fail_msg("not named: %s", text);
    free(path);
}

static void assert_reported(unsigned count)
{
    assert_true(run_wait_in_step(&run));
    assert_int_equal((int)df2redis_status_number(&run.program, "divergences.database_not_in_target"),
                     (int)count);
    assert_int_equal((int)df2redis_status_number(&run.program, "divergences.refused_by_target"), 0);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* In one batch with what goes into database 0 before and after, plain or in MULTI. */
static void assert_left_out(const char *databases, uint32_t first_missing)
{
    const struct line plain[] = {
        {0, "SET a 1"}, {20, "SET user:1 from20"}, {20, "DEL user:1"}, {0, "SET b 1"}, {0, NULL}};
    const struct line once[] = {{0, "INCR n"},
                                {20, "INCR n"},
                                {20, "DEL user:1"},
                                {0, "INCR n"},
                                {first_missing, "SADD s x"},
                                {first_missing - 1, "SET last 1"},
                                {0, NULL}};
    begin((const char *const[]){"--databases", databases, NULL});
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    tell_source(plain);
    assert_true(run_wait_in_step(&run));
    assert_is(0, "user:1", "from0");
    tell_source(once);
    assert_true(run_wait_in_step(&run));
    assert_is(0, "user:1", "from0");
    assert_is(0, "n", "2");
    assert_is(0, "b", "1");
    assert_is(first_missing - 1, "last", "1");
    assert_true(df2redis_said(&run.program, "database_not_in_target"));
    assert_named("SET \"user:1\" in database %u", 20);
    assert_named("DEL \"user:1\" in database %u", 20);
    assert_named("INCR \"n\" in database %u", 20);
    assert_named("SADD \"s\" in database %u", first_missing);
    assert_reported(4); /* of two DEL one */
}

static void nothing_follows_a_database_that_a_target_of_16_lacks(void **state)
{
    (void)state;
    assert_left_out("16", 16);
}

static void nothing_follows_a_database_that_a_target_of_1_lacks(void **state)
{
    (void)state;
    assert_left_out("1", 1);
}

static void a_target_that_does_not_tell_its_databases_is_tried(void **state)
{
    (void)state;
    static const struct line lines[] = {{18, "SET in 1"}, {19, "DEL user:1"}, {19, "INCR n"}, {0, NULL}};
    begin((const char *const[]){"--databases", "19", "--rename-command", "CONFIG", "", NULL});
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    tell_source(lines);
    assert_true(run_wait_in_step(&run));
    assert_is(0, "user:1", "from0");
    assert_is(18, "in", "1");
    assert_is(0, "n", NULL);
    assert_reported(2);
}

static void what_is_moved_or_copied_there_is_reported(void **state)
{
    (void)state;
    static const struct line lines[] = {{0, "SET k 1"},   {0, "SET m 1"},  {0, "COPY k k DB 20"},
                                        {0, "MOVE m 20"}, {20, "FLUSHDB"}, {0, NULL}};
    begin((const char *const[]){"--databases", "16", NULL});
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    tell_source(lines);
    assert_true(run_wait_in_step(&run));
    assert_is(0, "k", "1");
    assert_is(0, "m", NULL);
    assert_is(0, "user:1", "from0");
    assert_named("COPY \"k\" in database %u", 20);
    assert_named("MOVE \"m\" in database %u", 20);
    assert_reported(2);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_follows_a_database_that_a_target_of_16_lacks, teardown),
        cmocka_unit_test_teardown(nothing_follows_a_database_that_a_target_of_1_lacks, teardown),
        cmocka_unit_test_teardown(a_target_that_does_not_tell_its_databases_is_tried, teardown),
        cmocka_unit_test_teardown(what_is_moved_or_copied_there_is_reported, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
