/* Large values read in pieces: the questions, the digest that the answers make, and what does not count as
 * read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/compare/large.h"

enum { NOW_MS = 1000000 };

static struct slice argv[LARGE_ARGS_MAX];

/* The next question, with blanks between its words. */
static void assert_asks(struct large_walk *w, const char *question)
{
    struct buf said = {0};
    size_t argc = large_question(w, slice_str("k"), argv);
    for (size_t i = 0; i < argc; i++)
        buf_printf(&said, i ? " %.*s" : "%.*s", (int)argv[i].len, (const char *)argv[i].data);
    buf_put_u8(&said, 0);
    assert_string_equal((const char *)said.data, question);
    buf_free(&said);
}

/* The same as RESP. */
static bool answer(struct large_walk *w, const char *resp)
{
    bool whole;
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    bool is = large_answer(w, reply, &whole);
    freeReplyObject(reply);
    redisReaderFree(reader);
    return is;
}

static void assert_answer(struct large_walk *w, const char *resp)
{
    assert_true(answer(w, resp));
}

static void read_set(struct digest *d, const char *first, const char *second, bool exact)
{
    struct large_walk w = {0};
    large_begin(&w, d, DIGEST_SET, 3000000, true, NOW_MS);
    assert_asks(&w, "SCARD k");
    assert_answer(&w, ":3\r\n");
    assert_asks(&w, "SSCAN k 0 COUNT 1");
    assert_answer(&w, first);
    assert_asks(&w, "SSCAN k 17 COUNT 1");
    assert_answer(&w, second);
    assert_asks(&w, "");
    assert_int_equal(large_is_exact(&w), exact);
    large_free(&w);
}

static void the_order_of_a_set_does_not_count(void **state)
{
    (void)state;
    struct digest a = {0}, b = {0}, c = {0};
    read_set(&a, "*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nc\r\n",
             true);
    read_set(&b, "*2\r\n$2\r\n17\r\n*1\r\n$1\r\nc\r\n", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\na\r\n",
             true);
    read_set(&c, "*2\r\n$2\r\n17\r\n*1\r\n$1\r\nc\r\n", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\nd\r\n",
             true);
    assert_true(digest_equal(&a, &b, 0));
    assert_false(digest_equal(&a, &c, 0));
    digest_free(&a);
    digest_free(&b);
    digest_free(&c);
}

static void what_scan_shows_twice_or_never_is_not_exact(void **state)
{
    (void)state;
    struct digest d = {0};
    read_set(&d, "*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
             "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n", false);
    read_set(&d, "*2\r\n$2\r\n17\r\n*1\r\n$1\r\na\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n", false);
    digest_free(&d);
}

static void the_order_of_a_list_counts(void **state)
{
    (void)state;
    struct digest d[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        struct large_walk w = {0};
        large_begin(&w, &d[i], DIGEST_LIST, 1200000, true, NOW_MS);
        assert_asks(&w, "LLEN k");
        assert_answer(&w, ":3\r\n");
        assert_asks(&w, "LRANGE k 0 1");
        assert_answer(&w, i ? "*2\r\n$1\r\na\r\n$1\r\nb\r\n" : "*2\r\n$1\r\nb\r\n$1\r\na\r\n");
        assert_asks(&w, "LRANGE k 2 3");
        assert_answer(&w, "*1\r\n$1\r\nc\r\n");
        assert_asks(&w, "");
        assert_true(large_is_exact(&w));
        large_free(&w);
    }
    assert_false(digest_equal(&d[0], &d[1], 0));
    digest_free(&d[0]);
    digest_free(&d[1]);
}

static void a_list_that_became_shorter_ends(void **state)
{
    (void)state;
    struct digest d = {0};
    struct large_walk w = {0};
    large_begin(&w, &d, DIGEST_LIST, 3000000, true, NOW_MS);
    assert_asks(&w, "LLEN k");
    assert_answer(&w, ":3\r\n");
    assert_asks(&w, "LRANGE k 0 0");
    assert_answer(&w, "*0\r\n");
    assert_asks(&w, "");
    assert_false(large_is_exact(&w));
    large_free(&w);
    digest_free(&d);
}

/* times: the answer to HPEXPIRETIME. */
static void read_hash(struct digest *d, const char *times)
{
    struct large_walk w = {0};
    large_begin(&w, d, DIGEST_HASH, 2, true, NOW_MS);
    assert_asks(&w, "HLEN k");
    assert_answer(&w, ":2\r\n");
    assert_asks(&w, "HSCAN k 0 COUNT 1000");
    assert_answer(&w, "*2\r\n$1\r\n0\r\n*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n$0\r\n\r\n");
    assert_asks(&w, "HPEXPIRETIME k FIELDS 2 f g");
    assert_answer(&w, times);
    assert_asks(&w, "");
    large_free(&w);
}

static void times_of_fields_are_compared_where_both_sides_tell_them(void **state)
{
    (void)state;
    struct digest a = {0}, b = {0}, unknown = {0};
    read_hash(&a, "*2\r\n:2000000\r\n:-1\r\n");
    read_hash(&b, "*2\r\n:2003000\r\n:-1\r\n");
    read_hash(&unknown, "-ERR unknown command\r\n");
    assert_false(digest_equal(&a, &b, 2000));
    assert_true(digest_equal(&a, &b, 3000));
    assert_true(digest_equal(&a, &unknown, 0));
    digest_free(&a);
    digest_free(&b);
    digest_free(&unknown);
}

static void more_times_than_are_remembered_are_not_compared(void **state)
{
    (void)state;
    enum { TOO_MANY = DIGEST_TIMES_MAX + 1 };
    struct digest d = {0};
    struct digest_pieces p;
    digest_pieces_begin(&p, &d, DIGEST_HASH, NOW_MS);
    for (uint32_t i = 0; i < TOO_MANY; i++) {
        struct element e = {.a = slice_of(&i, sizeof i), .b = slice_str("v"), .expire_ms = 2 * NOW_MS};
        digest_pieces_elements(&p, ELEMENT_HASH, &e, 1);
    }
    digest_pieces_end(&p);
    assert_true(d.times_unknown);
    assert_int_equal(d.times.len, 0);
    assert_int_equal(d.count, TOO_MANY);
    digest_free(&d);
}

static void answers_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"-WRONGTYPE no\r\n", ":1\r\n", "*2\r\n:1\r\n*0\r\n",
                                        "*2\r\n$1\r\n0\r\n*1\r\n:7\r\n",
                                        "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nf\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct digest d = {0};
        struct large_walk w = {0};
        large_begin(&w, &d, DIGEST_HASH, 1, true, NOW_MS);
        assert_asks(&w, "HLEN k");
        assert_answer(&w, ":2\r\n");
        assert_asks(&w, "HSCAN k 0 COUNT 1000");
        assert_false(answer(&w, wrong[i]));
        large_free(&w);
        digest_free(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_a_set_does_not_count),
        cmocka_unit_test(what_scan_shows_twice_or_never_is_not_exact),
        cmocka_unit_test(the_order_of_a_list_counts),
        cmocka_unit_test(a_list_that_became_shorter_ends),
        cmocka_unit_test(times_of_fields_are_compared_where_both_sides_tell_them),
        cmocka_unit_test(more_times_than_are_remembered_are_not_compared),
        cmocka_unit_test(answers_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
