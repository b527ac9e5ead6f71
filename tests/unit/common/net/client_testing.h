/* What the tests of the client share: an owner that notes what it is told, and an event loop with a deadline.
 */
#ifndef DF2REDIS_TESTS_UNIT_COMMON_NET_CLIENT_TESTING_H
#define DF2REDIS_TESTS_UNIT_COMMON_NET_CLIENT_TESTING_H

#include "tests/unit/common/net/transport_testing.h"

#include <sysexits.h>

#include "common/net/client.h"
#include "common/base/clock.h"

static struct event_base *base;
static struct settings settings;

/* What the owner of a client was told. */
struct owner {
    struct client *client;
    unsigned ready, failed, replies;
    struct error error;
    struct buf said; /* each reply in a short form, with a blank behind it */
    enum { KEEP, FREE_WHEN_READY, FREE_AT_REPLY, FREE_WHEN_FAILED } habit;
};

static inline void owner_let_go(struct owner *o)
{
    client_free(o->client);
    o->client = NULL;
}

static inline void on_ready(struct client *c, void *arg)
{
    struct owner *o = arg;
    assert_ptr_equal(c, o->client);
    o->ready++;
    if (o->habit == FREE_WHEN_READY)
        owner_let_go(o);
}

static inline void on_failed(struct client *c, const struct error *error, void *arg)
{
    struct owner *o = arg;
    assert_ptr_equal(c, o->client);
    o->failed++;
    o->error = *error;
    if (o->habit == FREE_WHEN_FAILED)
        owner_let_go(o);
}

static inline void note(struct buf *out, const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER)
        buf_printf(out, "%lld", r->integer);
    else if (r->type == REDIS_REPLY_NIL)
        buf_printf(out, "nil");
    else if (r->type == REDIS_REPLY_ARRAY) {
        buf_printf(out, "[");
        for (size_t i = 0; i < r->elements; i++) {
            if (i)
                buf_printf(out, ",");
            note(out, r->element[i]);
        }
        buf_printf(out, "]");
    } else
        buf_put(out, r->str, r->len);
}

static inline void on_reply(struct client *c, const redisReply *reply, void *arg)
{
    struct owner *o = arg;
    assert_ptr_equal(c, o->client);
    o->replies++;
    note(&o->said, reply);
    buf_printf(&o->said, " ");
    if (o->habit == FREE_AT_REPLY)
        owner_let_go(o);
}

static inline void assert_said(const struct owner *o, const char *expected)
{
    if (!slice_eq(buf_slice(&o->said), slice_str(expected)))
        fail_msg("said \"%.*s\", not \"%s\"", (int)o->said.len, (const char *)o->said.data, expected);
}

static inline void assert_failed(const struct owner *o, enum error_class class, int exit_code,
                                 const char *text)
{
    assert_int_equal(o->failed, 1);
    if (!strstr(o->error.text, text))
        fail_msg("\"%s\" does not contain \"%s\"", o->error.text, text);
    assert_int_equal(o->error.class, class);
    assert_int_equal(o->error.exit_code, exit_code);
}

/* Begins to connect; a client that cannot even begin counts as failed. */
static inline void owner_connect(struct owner *o, struct uri uri, const char *what)
{
    const struct client_callbacks callbacks = {o, on_ready, on_failed};
    o->client = client_connect(base, &uri, &settings, what, &callbacks, &o->error);
    uri_free(&uri);
    if (!o->client)
        o->failed = 1;
}

static inline void owner_done(struct owner *o)
{
    if (o->client)
        client_free(o->client);
    buf_free(&o->said);
    *o = (struct owner){0};
}

/* Turns the loop until the counter is that high; false after the deadline. */
static inline bool reaches(const unsigned *counter, unsigned wanted)
{
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    struct timeval tick = {.tv_usec = 20000};
    while (*counter < wanted && clock_monotonic_ms() < deadline) {
        event_base_loopexit(base, &tick);
        event_base_loop(base, EVLOOP_ONCE);
    }
    return *counter >= wanted;
}

/* Turns the loop until nothing is left to do at once. */
static inline void settle(void)
{
    for (unsigned i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static inline void make_ready(struct owner *o, struct uri uri)
{
    owner_connect(o, uri, "source");
    if (!reaches(&o->ready, 1))
        fail_msg("never ready: %s", o->error.text);
}

static inline int setup(void **state)
{
    (void)state;
    settings_init(&settings);
    base = event_base_new();
    return base ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    settings_free(&settings);
    event_base_free(base);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
