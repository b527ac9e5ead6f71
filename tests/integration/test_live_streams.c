/* Streams of a real Dragonfly, with their groups and pending entries, live and in the snapshot; and scripts as it alters
 * them. Needs DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum { ENTRIES = 4000, FIELD_BYTES = 400 };

static struct run run;
static redisContext *source;

static int teardown(void **state)
{
    (void)state;
    if (source)
        redisFree(source);
    source = NULL;
    run_end(&run);
    return 0;
}

static void begin(const char *const *options)
{
    if (!run_begin_live(&run, 2, options))
        skip();
    source = server_connect(run.dragonfly.port);
}

static void say(const char *words)
{
    redisReply *r = server_command(source, words);
    if (r->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", words, r->str);
    freeReplyObject(r);
}

static void say_of(const char *format, int n)
{
    char words[600];
    snprintf(words, sizeof words, format, n);
    say(words);
}

/* Group by group, entry by entry: id, consumer, deliveries. */
static char *pending_of(uint16_t port, const char *stream)
{
    redisContext *c = server_connect(port);
    redisReply *r = server_commandf(c, "XPENDING %s g - + 100000", stream);
    struct buf text = {0};
    assert_true(r && r->type == REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < r->elements; i++)
        buf_printf(&text, "%s %s %lld\n", r->element[i]->element[0]->str, r->element[i]->element[1]->str,
                   r->element[i]->element[3]->integer);
    buf_put_u8(&text, '\0');
    freeReplyObject(r);
    redisFree(c);
    return (char *)text.data;
}

static void assert_same_pending(const char *stream)
{
    assert_true(run_wait_applied(&run));
    assert_true(suspects_wait_settled(&run));
    char *expected = pending_of(run.dragonfly.port, stream), *actual = pending_of(run.target.port, stream);
    if (strcmp(expected, actual) != 0)
        print_error("source:\n%.2000s\ntarget:\n%.2000s\n", expected, actual);
    assert_string_equal(actual, expected);
    free(expected);
    free(actual);
}

/* Read, claimed by others, claimed again, read from their own history. */
static void claimed_entries_have_the_deliveries_of_the_source(void **state)
{
    (void)state;
    begin(NULL);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    for (int i = 1; i <= 20; i++)
        say_of("XADD s %d-0 f v", i);
    say("XGROUP CREATE s g 0");
    say("XREADGROUP GROUP g a COUNT 12 STREAMS s >");
    say("XCLAIM s g b 0 1-0 2-0 3-0");
    say("XCLAIM s g c 0 2-0 4-0 JUSTID");
    say("XCLAIM s g c 0 3-0 RETRYCOUNT 9");
    say("XAUTOCLAIM s g d 0 5-0 COUNT 3");
    say("XCLAIM s g d 0 15-0 FORCE");
    say("XDEL s 9-0");
    say("XCLAIM s g e 0 9-0 10-0");
    assert_same_pending("s");
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Above --restore-limit, so in pieces. */
static void large_stream_comes_with_pending_entries_of_deleted_messages(void **state)
{
    (void)state;
    char field[FIELD_BYTES + 1];
    begin(NULL);
    memset(field, 'f', FIELD_BYTES);
    field[FIELD_BYTES] = '\0';
    for (int i = 1; i <= ENTRIES; i++) {
        redisReply *r = server_commandf(source, "XADD s %d-0 field %s", i, field);
        assert_true(r && r->type == REDIS_REPLY_STRING);
        freeReplyObject(r);
    }
    say("XGROUP CREATE s g 0");
    say("XREADGROUP GROUP g a COUNT 150 STREAMS s >");
    say("XREADGROUP GROUP g b COUNT 50 STREAMS s >");
    for (int i = 1; i <= 75; i++)
        say_of("XDEL s %d-0", 2 * i);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_same_pending("s");
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool target_has_script(const char *sha)
{
    redisContext *c = server_connect(run.target.port);
    redisReply *r = server_commandf(c, "SCRIPT EXISTS %s", sha);
    bool has = r && r->type == REDIS_REPLY_ARRAY && r->elements == 1 && r->element[0]->integer == 1;
    freeReplyObject(r);
    redisFree(c);
    return has;
}

static void script_is_there_under_the_sha_that_its_clients_use(void **state)
{
    (void)state;
    static const char *const options[] = {"--lua_auto_async=true", NULL};
    static const char body[] = "redis.call('SET', KEYS[1], 'x')\nredis.pcall('DEL', KEYS[1])\nreturn 1";
    begin(options);
    redisReply *loaded = server_commandf(source, "SCRIPT LOAD %s", body);
    assert_true(loaded && loaded->type == REDIS_REPLY_STRING);
    say("SET k v");
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_true(target_has_script(loaded->str));
    freeReplyObject(loaded);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool log_says(void *arg)
{
    char *path = format_text("%s/default/divergences.log", run.program.dir);
    bool says = file_contains(path, arg);
    free(path);
    return says;
}

static void script_in_dragonflys_own_syntax_is_named(void **state)
{
    (void)state;
    begin(NULL);
    redisReply *loaded = server_commandf(source, "SCRIPT LOAD %s", "local half = 7 // 2\nreturn half");
    assert_true(loaded && loaded->type == REDIS_REPLY_STRING);
    char *named = format_text("script_not_in_target SCRIPT LOAD \"%s local half = 7 // 2\"", loaded->str);
    freeReplyObject(loaded);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    if (!wait_until(log_says, named, RUN_DEADLINE_MS))
        df2redis_print(&run.program);
    assert_true(log_says(named));
    free(named);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(claimed_entries_have_the_deliveries_of_the_source, teardown),
        cmocka_unit_test_teardown(large_stream_comes_with_pending_entries_of_deleted_messages, teardown),
        cmocka_unit_test_teardown(script_is_there_under_the_sha_that_its_clients_use, teardown),
        cmocka_unit_test_teardown(script_in_dragonflys_own_syntax_is_named, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
