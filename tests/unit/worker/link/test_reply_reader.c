/* Answers of the target: kinds, EXEC's elements, any split of the bytes, hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "worker/link/reply_reader.h"

struct heard {
    struct buf text;
};

static bool on_reply(void *arg, enum reply_kind kind, size_t elements, struct slice error)
{
    struct heard *h = arg;
    buf_printf(&h->text, "(%d %zu %.*s)", (int)kind, elements, kind == REPLY_ERROR ? (int)error.len : 0,
               (const char *)error.data);
    return true;
}

static void on_element(void *arg, size_t i, enum reply_kind kind, long long number, struct slice error)
{
    struct heard *h = arg;
    buf_printf(&h->text, "[%zu %d %lld %.*s]", i, (int)kind, number, kind == REPLY_ERROR ? (int)error.len : 0,
               (const char *)error.data);
}

static void hear(const char *bytes, size_t split, struct heard *h)
{
    struct reply_handler handler = {h, on_reply, on_element};
    struct replies *r = replies_new(&handler);
    size_t len = strlen(bytes);
    for (size_t at = 0; at < len; at += split)
        assert_true(replies_feed(r, bytes + at, len - at < split ? len - at : split, NULL));
    buf_put_u8(&h->text, 0);
    replies_free(r);
}

static void every_kind_is_told_apart_at_any_split(void **state)
{
    (void)state;
    const char *bytes = "+OK\r\n:0\r\n:17\r\n$-1\r\n$3\r\na\r\n\r\n-WRONGTYPE no\r\n*0\r\n"
                        "*5\r\n+OK\r\n-ERR x\r\n$-1\r\n*2\r\n:1\r\n:0\r\n:2\r\n+QUEUED\r\n";
    for (size_t split = 1; split < 90; split++) {
        struct heard h = {0};
        hear(bytes, split, &h);
        assert_string_equal((const char *)h.text.data,
                            "(0 0 )(1 0 )(0 0 )(2 0 )(0 0 )(3 0 WRONGTYPE no)(4 0 )"
                            "[0 0 0 ][1 3 0 ERR x][2 2 0 ][3 0 0 ][4 0 2 ](0 5 )(0 0 )");
        buf_free(&h.text);
    }
}

static void a_field_that_is_not_there_is_told_of_the_whole_answer(void **state)
{
    (void)state;
    const char *bytes = ":-2\r\n*2\r\n:1\r\n:-2\r\n*2\r\n+OK\r\n*2\r\n:-2\r\n:1\r\n*1\r\n:1\r\n";
    for (size_t split = 1; split < 60; split++) {
        struct heard h = {0};
        hear(bytes, split, &h);
        assert_string_equal((const char *)h.text.data,
                            "(0 0 )[0 0 1 ][1 0 -2 ](5 2 )[0 0 0 ][1 0 0 ][1 5 0 ](0 2 )[0 0 1 ](0 1 )");
        buf_free(&h.text);
    }
}

static void bytes_that_are_not_resp_are_an_error(void **state)
{
    (void)state;
    struct heard h = {0};
    struct error error;
    struct reply_handler handler = {&h, on_reply, on_element};
    struct replies *r = replies_new(&handler);
    assert_false(replies_feed(r, "HTTP/1.1 400\r\n", 14, &error));
    assert_int_equal(error.class, ERROR_RETRY);
    replies_free(r);
    buf_free(&h.text);
}

static void temporary_answers_are_waited_out_and_others_not(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum refusal class;
    } cases[] = {
        {"LOADING Redis is loading", REFUSAL_WAIT},
        {"OOM command not allowed", REFUSAL_WAIT},
        {"EXECABORT Transaction discarded", REFUSAL_WAIT},
        {"BUSY Redis is busy", REFUSAL_WAIT},
        {"BUSYKEY Target key name already exists.", REFUSAL_BUSYKEY},
        {"BUSYGROUP Consumer Group name already exists", REFUSAL_COMMAND},
        {"WRONGTYPE Operation", REFUSAL_COMMAND},
        {"NOPERM this user", REFUSAL_FATAL},
        {"NOPERM User app has no permissions to run the 'hset' command", REFUSAL_FATAL},
        {"NOPERM User a.b has no permissions to run the 'client|list' command", REFUSAL_FATAL},
        {"NOPERM No permissions to access a key", REFUSAL_FATAL},
        {"NOPERM User app has no permissions to run the 'json.set' command", REFUSAL_COMMAND},
        {"NOPERM User to run the 'set' has no permissions to run the 'bf.add' command", REFUSAL_COMMAND},
        {"NOPERM this user has no permissions to run the 'ft.create' command or its subcommand",
         REFUSAL_COMMAND},
        {"ERR", REFUSAL_COMMAND},
        {"", REFUSAL_COMMAND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(refusal_class(slice_str(cases[i].text)), cases[i].class);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_told_apart_at_any_split),
        cmocka_unit_test(a_field_that_is_not_there_is_told_of_the_whole_answer),
        cmocka_unit_test(bytes_that_are_not_resp_are_an_error),
        cmocka_unit_test(temporary_answers_are_waited_out_and_others_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
