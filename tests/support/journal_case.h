/* For tests of what translated commands do: journaled commands go through the translator to a redis-server of
 * our own. */
#ifndef DF2REDIS_TEST_JOURNAL_CASE_H
#define DF2REDIS_TEST_JOURNAL_CASE_H

#include "tests/support/local_redis.h"
#include "tests/support/translate_case.h"

struct fixture {
    struct translate_case translation;
    struct local_redis redis;
};

/* Group set-up and end; *state stays NULL where there is no redis-server. The target is taken for a
 * Redis 6.2. */
static inline int journal_setup(void **state)
{
    struct fixture *f = x_calloc(1, sizeof *f);
    case_open(&f->translation, case_redis_6(true));
    if (local_redis_start(&f->redis))
        *state = f;
    else
        free(f);
    return 0;
}

static inline int journal_teardown(void **state)
{
    struct fixture *f = *state;
    if (f) {
        case_close(&f->translation);
        local_redis_stop(&f->redis);
    }
    free(f);
    return 0;
}

static inline struct fixture *need(void **state)
{
    if (!*state)
        skip(); /* no redis-server here */
    return *state;
}

/* Runs a command of the target as it is. */
static inline void run(struct fixture *f, const char *line)
{
    redisReply *reply = local_redis_run(&f->redis, line);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", line, reply->str);
    freeReplyObject(reply);
}

static inline size_t count_commands(const struct buf *resp)
{
    size_t n = 0;
    for (size_t at = 0; at < resp->len; n++) {
        char *p = (char *)resp->data + at;
        unsigned long args = strtoul(p + 1, &p, 10);
        p += 2;
        for (; args; args--) {
            unsigned long len = strtoul(p + 1, &p, 10);
            p += 2 + len + 2;
        }
        at = (size_t)(p - (char *)resp->data);
    }
    return n;
}

/* Translates a journaled command and lets the target have it; its error, or "". */
static inline const char *journal(struct fixture *f, const char *line)
{
    struct slice argv[CASE_MAX_WORDS];
    size_t argc = case_words(line, argv);
    assert_true(case_run(&f->translation, argv, argc));
    buf_put_u8(&f->translation.resp, 0); /* ends what strtoul reads */
    f->translation.resp.len--;
    return local_redis_raw(&f->redis, &f->translation.resp, count_commands(&f->translation.resp));
}

static inline void expect_reads(struct fixture *f, const char *read, const char *value)
{
    redisReply *reply = local_redis_run(&f->redis, read);
    const char *got = reply->type == REDIS_REPLY_NIL ? "(nil)" : reply->str;
    if (reply->type == REDIS_REPLY_INTEGER) {
        char text[24];
        text[format_i64(text, reply->integer)] = '\0';
        assert_string_equal(text, value);
    } else if (!got || strcmp(got, value) != 0) {
        fail_msg("%s is %s, not %s", read, got ? got : "?", value);
    }
    freeReplyObject(reply);
}

#endif
