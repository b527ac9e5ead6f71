/* The client against a real redis-server: one with a password, one without. */
#include "tests/unit/common/net/client_testing.h"
#include "tests/unit/common/net/redis_testing.h"

static struct redis open_redis, locked_redis;

static int start_servers(void **state)
{
    static const char *const locked[] = {"--requirepass", "right", "--user", "app", "on",
                                         ">pw",           "~*",    "+@all",  NULL};
    (void)state;
    redis_start(&open_redis, NULL);
    redis_start(&locked_redis, locked);
    return 0;
}

static int stop_servers(void **state)
{
    (void)state;
    redis_stop(&open_redis);
    redis_stop(&locked_redis);
    return 0;
}

/* Where there is no redis-server to start, tests that need it are skipped. */
#define NEEDS_REDIS                                                                                          \
    if (!open_redis.pid)                                                                                     \
    skip()

static struct uri at(const struct redis *r, const char *user)
{
    return uri_of("redis://%s127.0.0.1:%u", user, r->port);
}

static void a_command_is_answered(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    make_ready(&o, at(&open_redis, ""));
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    assert_true(reaches(&o.replies, 1));
    assert_said(&o, "PONG ");
    assert_int_equal(o.ready, 1);
    assert_int_equal(o.failed, 0);
    owner_done(&o);
}

static void replies_come_in_order_and_of_every_kind(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    make_ready(&o, at(&open_redis, ""));
    client_words(o.client, 0, NULL, NULL, "DEL", "k", "l", NULL);
    client_words(o.client, 0, on_reply, &o, "SET", "k", "v", NULL);
    client_words(o.client, 5000, on_reply, &o, "GET", "k", NULL);
    client_words(o.client, 5000, on_reply, &o, "GET", "none", NULL);
    client_words(o.client, 0, NULL, NULL, "RPUSH", "l", "a", "b", NULL);
    client_words(o.client, 5000, on_reply, &o, "LRANGE", "l", "0", "-1", NULL);
    client_words(o.client, 5000, on_reply, &o, "LLEN", "l", NULL);
    client_words(o.client, 5000, on_reply, &o, "LLEN", "k", NULL);
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    assert_true(reaches(&o.replies, 7));
    assert_said(&o,
                "OK v nil [a,b] 2 WRONGTYPE Operation against a key holding the wrong kind of value PONG ");
    owner_done(&o);
}

static void what_is_queued_before_ready_follows_the_greeting(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    owner_connect(&o, at(&locked_redis, ":right@"), "source");
    client_words(o.client, 5000, on_reply, &o, "ECHO", "early", NULL);
    assert_true(reaches(&o.replies, 1));
    assert_int_equal(o.ready, 1);
    assert_said(&o, "early ");
    owner_done(&o);
}

static void many_and_large_replies_are_whole(void **state)
{
    (void)state;
    NEEDS_REDIS;
    enum { COUNT = 5000, BYTES = 1 << 20 };
    struct owner o = {0};
    char *value = x_malloc(BYTES);
    memset(value, '\r', BYTES);
    make_ready(&o, at(&open_redis, ""));
    for (unsigned i = 0; i < COUNT; i++)
        client_words(o.client, 5000, NULL, NULL, "ECHO", "x", NULL);
    const struct slice echo[] = {slice_str("ECHO"), slice_of(value, BYTES)};
    client_command(o.client, 5000, on_reply, &o, 2, echo);
    assert_true(reaches(&o.replies, 1));
    assert_int_equal(o.said.len, BYTES + 1);
    assert_memory_equal(o.said.data, value, BYTES);
    free(value);
    owner_done(&o);
}

static void passwords_and_users_open_a_locked_server(void **state)
{
    (void)state;
    NEEDS_REDIS;
    static const char *const users[] = {":right@", "default:right@", "app:pw@"};
    for (size_t i = 0; i < 3; i++) {
        struct owner o = {0};
        make_ready(&o, at(&locked_redis, users[i]));
        client_words(o.client, 5000, on_reply, &o, "PING", NULL);
        assert_true(reaches(&o.replies, 1));
        assert_said(&o, "PONG ");
        owner_done(&o);
    }
}

static void a_wrong_password_is_fatal_and_not_shown(void **state)
{
    (void)state;
    NEEDS_REDIS;
    static const char *const users[] = {":hunter2@", "app:hunter2@", "nobody:hunter2@", "app@"};
    for (size_t i = 0; i < 4; i++) {
        struct owner o = {0};
        char name[60];
        owner_connect(&o, at(&locked_redis, users[i]), "source");
        assert_true(reaches(&o.failed, 1));
        assert_failed(&o, ERROR_FATAL, EX_NOPERM, "--source-password-file");
        snprintf(name, sizeof name, "source redis://127.0.0.1:%u refused the password: ", locked_redis.port);
        assert_non_null(strstr(o.error.text, name));
        assert_null(strstr(o.error.text, "hunter2"));
        assert_int_equal(o.ready, 0);
        owner_done(&o);
    }
}

static void a_missing_password_is_fatal_at_the_first_command(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    owner_connect(&o, at(&locked_redis, ""), "target");
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_FATAL, EX_NOPERM, "wants a password: set --target-password-file");
    assert_non_null(strstr(o.error.text, "DF2REDIS_TARGET_PASSWORD"));
    assert_int_equal(o.replies, 0);
    owner_done(&o);
}

static void a_password_for_an_open_server_is_refused(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    owner_connect(&o, at(&open_redis, ":needless@"), "FLOW 3");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_FATAL, EX_NOPERM, "without any password");
    assert_non_null(strstr(o.error.text, "--source-password-file"));
    owner_done(&o);
}

static void the_database_of_the_uri_is_selected(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    make_ready(&o, uri_of("redis://127.0.0.1:%u/7", open_redis.port));
    client_words(o.client, 5000, on_reply, &o, "CLIENT", "INFO", NULL);
    assert_true(reaches(&o.replies, 1));
    buf_put_u8(&o.said, 0);
    assert_non_null(strstr((char *)o.said.data, " db=7 "));
    owner_done(&o);
    owner_connect(&o, uri_of("redis://127.0.0.1:%u/99", open_redis.port), "target");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_FATAL, EX_CONFIG, "refused the database");
    owner_done(&o);
}

static void a_unix_socket_serves_as_well(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    make_ready(&o, uri_of("unix://%s", open_redis.socket));
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    assert_true(reaches(&o.replies, 1));
    owner_done(&o);
}

static void a_command_without_reply_leaves_the_order_alone(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    const struct slice skip_next[] = {slice_str("CLIENT"), slice_str("REPLY"), slice_str("SKIP")};
    const struct slice skipped[] = {slice_str("ECHO"), slice_str("skipped")};
    make_ready(&o, at(&open_redis, ""));
    client_words(o.client, 5000, on_reply, &o, "ECHO", "first", NULL);
    client_send(o.client, 3, skip_next);
    client_send(o.client, 2, skipped);
    client_words(o.client, 5000, on_reply, &o, "ECHO", "second", NULL);
    assert_true(reaches(&o.replies, 2));
    assert_said(&o, "first second ");
    owner_done(&o);
}

static void a_connection_that_the_server_ends_is_lost(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    make_ready(&o, at(&open_redis, ""));
    client_words(o.client, 5000, NULL, NULL, "QUIT", NULL);
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "source redis://127.0.0.1:");
    assert_int_equal(o.replies, 0);
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    settle();
    assert_int_equal(o.failed, 1);
    assert_int_equal(o.replies, 0);
    owner_done(&o);
}

static void a_client_may_be_freed_in_any_of_its_callbacks(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {.habit = FREE_WHEN_READY};
    owner_connect(&o, at(&locked_redis, ":right@"), "source");
    assert_true(reaches(&o.ready, 1));
    assert_null(o.client);
    settle();
    owner_done(&o);

    o.habit = FREE_AT_REPLY;
    owner_connect(&o, at(&open_redis, ""), "source");
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    assert_true(reaches(&o.replies, 1));
    assert_null(o.client);
    settle();
    assert_int_equal(o.replies, 1);
    assert_int_equal(o.failed, 0);
    owner_done(&o);

    o.habit = FREE_WHEN_FAILED;
    owner_connect(&o, at(&locked_redis, ":wrong@"), "source");
    assert_true(reaches(&o.failed, 1));
    assert_null(o.client);
    owner_done(&o);
}

static void a_client_may_be_freed_before_anything_happened(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    owner_connect(&o, at(&open_redis, ""), "source");
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    owner_let_go(&o);
    settle();
    assert_int_equal(o.ready + o.failed + o.replies, 0);
    owner_done(&o);
}

static void a_detached_socket_goes_on_where_the_client_stopped(void **state)
{
    (void)state;
    NEEDS_REDIS;
    struct owner o = {0};
    uint64_t received = 0;
    char bytes[8];
    make_ready(&o, at(&locked_redis, ":right@"));
    client_words(o.client, 5000, on_reply, &o, "ECHO", "abc", NULL);
    assert_int_equal(client_detach(o.client, &received), -1);
    assert_true(reaches(&o.replies, 1));
    int fd = client_detach(o.client, &received);
    assert_true(fd >= 0);
    assert_int_equal(received, strlen("+OK\r\n") + strlen("$3\r\nabc\r\n"));
    assert_int_equal(client_detach(o.client, &received), -1);
    client_words(o.client, 5000, on_reply, &o, "PING", NULL);
    owner_done(&o);
    assert_int_equal(send(fd, "PING\r\n", 6, MSG_NOSIGNAL), 6);
    wait_for(fd, POLLIN);
    assert_int_equal(recv(fd, bytes, sizeof bytes, 0), 7);
    assert_memory_equal(bytes, "+PONG\r\n", 7);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_command_is_answered),
        TEST(replies_come_in_order_and_of_every_kind),
        TEST(what_is_queued_before_ready_follows_the_greeting),
        TEST(many_and_large_replies_are_whole),
        TEST(passwords_and_users_open_a_locked_server),
        TEST(a_wrong_password_is_fatal_and_not_shown),
        TEST(a_missing_password_is_fatal_at_the_first_command),
        TEST(a_password_for_an_open_server_is_refused),
        TEST(the_database_of_the_uri_is_selected),
        TEST(a_unix_socket_serves_as_well),
        TEST(a_command_without_reply_leaves_the_order_alone),
        TEST(a_connection_that_the_server_ends_is_lost),
        TEST(a_client_may_be_freed_in_any_of_its_callbacks),
        TEST(a_client_may_be_freed_before_anything_happened),
        TEST(a_detached_socket_goes_on_where_the_client_stopped),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
