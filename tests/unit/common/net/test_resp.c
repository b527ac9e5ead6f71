/* RESP: commands as bytes, replies from bytes. (More of the reader is in test_client_scripted.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sysexits.h>

#include "common/net/resp.h"

static struct error error;

static void a_command_is_an_array_of_bulk_strings(void **state)
{
    (void)state;
    struct buf out = {0};
    const struct slice argv[] = {slice_str("SET"), slice_of("a\r\n\0", 4), slice_of(NULL, 0)};
    static const char expected[] = "*3\r\n$3\r\nSET\r\n$4\r\na\r\n\0\r\n$0\r\n\r\n";
    resp_command(&out, 3, argv);
    assert_true(slice_eq(buf_slice(&out), slice_of(expected, sizeof expected - 1)));
    buf_free(&out);
}

static redisReply *reply_of(struct resp_reader *r, const char *text)
{
    redisReply *reply;
    resp_reader_init(r);
    assert_true(resp_reader_feed(r, slice_str(text), &error));
    assert_int_equal(resp_reader_next(r, &reply, &error), 1);
    return reply;
}

static void what_is_unread_is_counted(void **state)
{
    (void)state;
    struct resp_reader r;
    redisReply *reply = reply_of(&r, ":1\r\n+OK\r\n$5\r\nab");
    freeReplyObject(reply);
    assert_int_equal(r.unread, strlen("+OK\r\n$5\r\nab"));
    assert_int_equal(resp_reader_next(&r, &reply, &error), 1);
    freeReplyObject(reply);
    assert_int_equal(resp_reader_next(&r, &reply, &error), 0);
    assert_null(reply);
    assert_int_equal(r.unread, strlen("$5\r\nab"));
    assert_true(resp_reader_feed(&r, slice_str("cde\r\n"), &error));
    assert_int_equal(resp_reader_next(&r, &reply, &error), 1);
    assert_string_equal(reply->str, "abcde");
    freeReplyObject(reply);
    assert_int_equal(r.unread, 0);
    assert_int_equal(resp_reader_next(&r, &reply, &error), 0);
    resp_reader_free(&r);
}

/* A reply of 65,536 elements is the largest array. */
static void an_array_at_the_limit_is_read(void **state)
{
    (void)state;
    struct resp_reader r;
    redisReply *reply;
    struct buf bytes = {0};
    buf_printf(&bytes, "*%d\r\n", RESP_REPLY_MAX_ELEMENTS);
    for (unsigned i = 0; i < RESP_REPLY_MAX_ELEMENTS; i++)
        buf_put(&bytes, ":1\r\n", 4);
    resp_reader_init(&r);
    assert_true(resp_reader_feed(&r, buf_slice(&bytes), &error));
    assert_int_equal(resp_reader_next(&r, &reply, &error), 1);
    assert_int_equal(reply->elements, RESP_REPLY_MAX_ELEMENTS);
    freeReplyObject(reply);
    resp_reader_free(&r);
    buf_free(&bytes);
}

static void two_readers_do_not_share_their_limits(void **state)
{
    (void)state;
    struct resp_reader a, b;
    redisReply *reply = reply_of(&a, "*1\r\n:1\r\n");
    freeReplyObject(reply);
    resp_reader_init(&b);
    assert_true(resp_reader_feed(&b, slice_str("*70000\r\n"), &error));
    assert_int_equal(resp_reader_next(&b, &reply, &error), -1);
    assert_int_equal(error.exit_code, EX_PROTOCOL);
    assert_true(resp_reader_feed(&a, slice_str("*1\r\n:2\r\n"), &error));
    assert_int_equal(resp_reader_next(&a, &reply, &error), 1);
    freeReplyObject(reply);
    resp_reader_free(&a);
    resp_reader_free(&b);
}

static void error_words_are_found_at_the_beginning_only(void **state)
{
    (void)state;
    struct resp_reader r;
    redisReply *reply = reply_of(&r, "-NOAUTH Authentication required.\r\n");
    assert_true(resp_error_is(reply, "NOAUTH"));
    assert_false(resp_error_is(reply, "AUTH"));
    freeReplyObject(reply);
    resp_reader_free(&r);
    reply = reply_of(&r, "+NOAUTH\r\n");
    assert_false(resp_error_is(reply, "NOAUTH"));
    freeReplyObject(reply);
    resp_reader_free(&r);
}

static void a_reply_as_text_is_short_and_printable(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } examples[] = {{":-5\r\n", "-5"},
                    {"$-1\r\n", "nil"},
                    {"*2\r\n:1\r\n:2\r\n", "an array of 2"},
                    {"+a b\r\n", "a b"},
                    {"$4\r\na\r\nb\r\n", "a??b"},
                    {"$3\r\na\x1b"
                     "c\r\n",
                     "a?c"}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct resp_reader r;
        redisReply *reply = reply_of(&r, examples[i].bytes);
        assert_string_equal(resp_text(reply), examples[i].text);
        freeReplyObject(reply);
        resp_reader_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_an_array_of_bulk_strings),
        cmocka_unit_test(what_is_unread_is_counted),
        cmocka_unit_test(an_array_at_the_limit_is_read),
        cmocka_unit_test(two_readers_do_not_share_their_limits),
        cmocka_unit_test(error_words_are_found_at_the_beginning_only),
        cmocka_unit_test(a_reply_as_text_is_short_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
