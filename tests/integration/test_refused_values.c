/* Values and scripts that the target does not take as they come: brought by another way, or named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/stream_writer.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum { FOOTER_BYTES = 10 };

static struct run run;
static struct server data; /* what the source has */
static struct stream_writer writer;
static redisContext *source;

static int setup(void **state)
{
    (void)state;
    redis_start(&data, NULL);
    source = server_connect(data.port);
    writer = (struct stream_writer){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    redisFree(source);
    run_end(&run);
    server_stop(&data);
    return 0;
}

static void begin(void)
{
    writer_begin(&writer, 0, "0123456789012345678901234567890123456789");
}

static void end_and_start(const char *const *extra)
{
    struct scripted_options options;
    struct scripted_session session = scripted_session_new(1);
    scripted_options_init(&options);
    writer_fullsync_end(&writer);
    writer_stable(&writer, 1);
    session.flows[0] = writer_finish(&writer);
    scripted_options_add(&options, session);
    options.data_port = data.port;
    run_begin(&run, &options);
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
}

static void say(const char *words)
{
    redisReply *r = server_command(source, words);
    if (r->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", words, r->str);
    freeReplyObject(r);
}

/* A key of the data, as it is, into the snapshot. */
static void write_key(const char *key)
{
    redisReply *dump = server_commandf(source, "DUMP %s", key);
    assert_true(dump && dump->type == REDIS_REPLY_STRING && dump->len > FOOTER_BYTES);
    struct buf *value = writer_entry(&writer, (uint8_t)dump->str[0], slice_str(key), 0);
    buf_put(value, dump->str + 1, dump->len - 1 - FOOTER_BYTES);
    writer_entry_end(&writer);
    freeReplyObject(dump);
}

static void make_stream_with_deleted_pending_entries(void)
{
    for (int i = 1; i <= 200; i++) {
        char *words = format_text("XADD s %d-0 field value", i);
        say(words);
        free(words);
    }
    say("XGROUP CREATE s g 0");
    say("XREADGROUP GROUP g c COUNT 100 STREAMS s >");
    say("XREADGROUP GROUP g d COUNT 50 STREAMS s >");
    for (int i = 1; i <= 75; i++) {
        char *words = format_text("XDEL s %d-0", 2 * i);
        say(words);
        free(words);
    }
}

static long long pending(void)
{
    redisContext *c = server_connect(run.target.port);
    redisReply *r = server_command(c, "XPENDING s g");
    long long n = r->type == REDIS_REPLY_ARRAY ? r->element[0]->integer : -1;
    freeReplyObject(r);
    redisFree(c);
    return n;
}

/* Piece by piece no command makes a pending entry of a message that is not there. */
static void pending_entries_of_deleted_messages_come_with_a_stream_in_pieces(void **state)
{
    (void)state;
    static const char *const pieces[] = {"--restore-limit", "64", NULL};
    begin();
    make_stream_with_deleted_pending_entries();
    write_key("s");
    end_and_start(pieces);
    assert_true(suspects_settle_equal(&run, data.port));
    assert_int_equal(pending(), 150);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void where_nothing_is_healed_they_are_counted(void **state)
{
    (void)state;
    static const char *const pieces[] = {"--restore-limit", "64", "--on-conflict", "skip", NULL};
    begin();
    make_stream_with_deleted_pending_entries();
    write_key("s");
    end_and_start(pieces);
    assert_int_equal(pending(), 75);
    assert_int_equal((int)df2redis_status_number(&run.program, "divergences.stream_detail_lost"), 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* Two equal members: the source keeps such a payload, the target refuses it. */
static void payload_that_is_refused_is_brought_by_elements_and_what_follows_it(void **state)
{
    (void)state;
    static const uint8_t twice[] = {2, 1, 'a', 1, 'a'};
    begin();
    struct buf *value = writer_entry(&writer, 2, slice_str("h"), 0);
    buf_put(value, twice, sizeof twice);
    writer_entry_end(&writer);
    say("SADD h a");
    end_and_start(NULL);
    assert_true(scripted_carry_out(run.source, 0, 0, "RENAME h h2"));
    assert_true(suspects_settle_equal(&run, data.port));
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool log_says(void *arg)
{
    char *path = format_text("%s/default/divergences.log", run.program.dir);
    bool says = file_contains(path, arg);
    free(path);
    return says;
}

static void script_that_the_target_cannot_compile_is_named_once(void **state)
{
    (void)state;
    static const char body[] = "local half = 7 // 2\nreturn half";
    struct buf journal = {0};
    begin();
    end_and_start(NULL);
    const struct slice argv[] = {slice_str("SCRIPT"), slice_str("LOAD"), slice_str(body)};
    for (int i = 0; i < 3; i++)
        write_journal_args(&journal, 0, 0, 3, argv);
    scripted_append(run.source, 0, buf_slice(&journal));
    char named[] = "script_not_in_target SCRIPT LOAD";
    assert_true(wait_until(log_says, named, RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    assert_true(df2redis_said(&run.program, "local half = 7 // 2"));
    assert_int_equal((int)df2redis_status_number(&run.program, "divergences.script_not_in_target"), 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
    buf_free(&journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TEST(pending_entries_of_deleted_messages_come_with_a_stream_in_pieces),
        TEST(where_nothing_is_healed_they_are_counted),
        TEST(payload_that_is_refused_is_brought_by_elements_and_what_follows_it),
        TEST(script_that_the_target_cannot_compile_is_named_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
