/* A target that takes no large arguments: what is too large is left out, counted by key, and nothing older
 * stays under its name; all else arrives, and the connection is never broken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/stream_writer.h"
#include "tests/support/testing.h"
#include "worker/rdb/rdb_string.h"

enum { LARGE_BYTES = 2 << 20, PIECES = 3000, PIECE_BYTES = 1000 };

static struct run run;
static struct server other;
static char *large;

static int setup(void **state)
{
    (void)state;
    large = x_malloc(LARGE_BYTES);
    memset(large, 'x', LARGE_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    server_stop(&other);
    free(large);
    return 0;
}

static struct slice large_value(void)
{
    return slice_of(large, LARGE_BYTES);
}

/* small-0, large, small-1 */
static void put_list(struct stream_writer *w)
{
    struct buf *value = writer_entry(w, RDB_LIST, slice_str("snapshot:list"), 0);
    write_packed(value, 3);
    write_string(value, slice_str("small-0"));
    write_string(value, large_value());
    write_string(value, slice_str("small-1"));
    writer_entry_end(w);
}

static void begin(const char *const *target_options)
{
    static const char token[41] = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
    struct scripted_options options;
    struct scripted_session s = scripted_session_new(1);
    struct stream_writer w;
    writer_begin(&w, 0, token);
    put_list(&w);
    writer_string(&w, slice_str("snapshot:string"), large_value());
    writer_string(&w, slice_str("small"), slice_str("snapshot"));
    writer_fullsync_end(&w);
    writer_stable(&w, w.next_lsn);
    s.flows[0] = writer_finish(&w);
    scripted_options_init(&options);
    scripted_options_add(&options, s);
    run_begin(&run, &options);
    server_stop(&run.target);
    redis_start(&run.target, target_options);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
}

/* "…" in the line stands for the large value. */
static void tell_source(const char *line)
{
    struct slice argv[16];
    size_t argc = 0;
    struct buf bytes = {0};
    while (*line) {
        size_t len = strcspn(line, " ");
        argv[argc++] = len == 3 && memcmp(line, "...", 3) == 0 ? large_value() : slice_of(line, len);
        line += len + (line[len] == ' ');
    }
    write_journal_args(&bytes, 0, 0, argc, argv);
    scripted_append(run.source, 0, buf_slice(&bytes));
    buf_free(&bytes);
}

static void assert_integer(const char *words, long long value)
{
    redisContext *c = server_connect(run.target.port);
    long long is = server_integer(c, words);
    redisFree(c);
    if (is != value)
        fail_msg("%s: %lld, not %lld", words, is, value);
}

static unsigned left_out(void)
{
    assert_true(run_wait_in_step(&run));
    return (unsigned)df2redis_status_number(&run.program, "divergences.too_large_for_target");
}

static void assert_whole_run(void)
{
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
    assert_int_equal((int)df2redis_status_number(&run.program, "divergences.refused_by_target"), 0);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* Of every type, once with and once without something older under its name. */
static void assert_large_elements_are_left_out(void)
{
    assert_int_equal(left_out(), 2);
    assert_integer("LLEN snapshot:list", 2);
    assert_integer("EXISTS small snapshot:string", 1);
    static const char *const lines[] = {
        "RPUSH l a",        "RPUSH l ... b",      "SADD s a",     "SADD s ... b", "ZADD z 1 a",
        "ZADD z 2 ...",     "HSET h f 1",         "HSET h g ...", "HSET h ... 1", "XADD x 1-1 f 1",
        "XADD x 2-1 f ...", "SET k older",        "SET k ...",    "SET e older",  "SETEX e 100 ...",
        "MSET m 1 n older", "MSET m 2 n ... o 3", "SET ... 1",    "INCR after"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        tell_source(lines[i]);
    assert_int_equal(left_out(), 2 + 9); /* two of them are HSET h */
    assert_integer("LLEN l", 2);
    assert_integer("SCARD s", 2);
    assert_integer("ZCARD z", 1);
    assert_integer("HLEN h", 1);
    assert_integer("XLEN x", 1);
    assert_integer("EXISTS k e n", 0);
    assert_integer("EXISTS m o", 2);
    assert_integer("INCRBY after 0", 1);
    assert_false(df2redis_said(&run.program, "everything is kept, trying again"));
    assert_whole_run();
}

static void elements_beyond_the_bulk_limit_are_left_out(void **state)
{
    (void)state;
    begin((const char *const[]){"--proto-max-bulk-len", "1mb", NULL});
    assert_large_elements_are_left_out();
}

static void elements_beyond_the_query_buffer_are_left_out(void **state)
{
    (void)state;
    begin((const char *const[]){"--client-query-buffer-limit", "1mb", NULL});
    assert_large_elements_are_left_out();
}

/* As a RENAME across shards comes: RESTORE of the whole value, then DEL. */
static void journal_restore(const char *key)
{
    redisContext *c = server_connect(other.port);
    redisReply *dump = server_commandf(c, "DUMP %s", key);
    assert_int_equal(dump->type, REDIS_REPLY_STRING);
    assert_true(dump->len > 2 << 20);
    char *to = format_text("%s:renamed", key);
    struct slice argv[] = {slice_str("RESTORE"),           slice_str(to),        slice_str("0"),
                           slice_of(dump->str, dump->len), slice_str("REPLACE"), slice_str("ABSTTL")};
    struct buf bytes = {0};
    write_journal_args(&bytes, 0, 0, 6, argv);
    scripted_append(run.source, 0, buf_slice(&bytes));
    char *gone = format_text("DEL %s", key);
    tell_source(gone);
    free(gone);
    free(to);
    buf_free(&bytes);
    freeReplyObject(dump);
    redisFree(c);
}

static void fill_other(void)
{
    char piece[PIECE_BYTES + 1];
    redis_start(&other, (const char *const[]){"--rdbcompression", "no", NULL});
    redisContext *c = server_connect(other.port);
    for (int i = 0; i < PIECES; i++) {
        memset(piece, 'a' + i % 26, PIECE_BYTES);
        piece[PIECE_BYTES] = '\0';
        redisAppendCommand(c, "RPUSH list %s", piece);
        redisAppendCommand(c, "HSET hash f%d %s", i, piece);
        redisAppendCommand(c, "XADD stream 1-%d f %s", i + 1, piece);
    }
    redisAppendCommand(c, "SET string %b", large, (size_t)LARGE_BYTES + 0);
    redisAppendCommand(c, "APPEND string %b", large, (size_t)1000);
    for (int i = 0; i < 3 * PIECES + 2; i++) {
        void *reply;
        assert_int_equal(redisGetReply(c, &reply), REDIS_OK);
        assert_int_not_equal(((redisReply *)reply)->type, REDIS_REPLY_ERROR);
        freeReplyObject(reply);
    }
    redisFree(c);
}

static void a_large_value_that_is_renamed_comes_in_pieces(void **state)
{
    (void)state;
    begin((const char *const[]){"--proto-max-bulk-len", "1mb", NULL});
    fill_other();
    tell_source("SET string:renamed older");
    tell_source("SET list older");
    journal_restore("list");
    journal_restore("hash");
    journal_restore("stream");
    journal_restore("string");
    tell_source("INCR after");
    assert_int_equal(left_out(), 3);
    assert_integer("LLEN list:renamed", PIECES);
    assert_integer("HLEN hash:renamed", PIECES);
    assert_integer("XLEN stream:renamed", PIECES);
    assert_integer("EXISTS list string string:renamed", 0);
    assert_integer("INCRBY after 0", 1);
    assert_false(df2redis_said(&run.program, "everything is kept, trying again"));
    assert_whole_run();
}

/* Nothing tells of the limit but the connection that breaks. */
static void a_limit_that_is_not_told_is_learned(void **state)
{
    (void)state;
    begin((const char *const[]){"--proto-max-bulk-len", "1mb", "--rename-command", "CONFIG", "", NULL});
    tell_source("SADD s a");
    tell_source("SADD s ...");
    tell_source("INCR after");
    assert_true(left_out() >= 3);
    assert_integer("SCARD s", 1);
    assert_integer("INCRBY after 0", 1);
    assert_true(df2redis_said(&run.program, "its limits are unknown"));
    assert_whole_run();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(elements_beyond_the_bulk_limit_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(elements_beyond_the_query_buffer_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_value_that_is_renamed_comes_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(a_limit_that_is_not_told_is_learned, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
