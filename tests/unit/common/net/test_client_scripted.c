/* The client against a scripted server: odd replies, silence, ends at the wrong moment. */
#include "tests/unit/common/net/client_testing.h"

#include "common/net/resp.h"

/* The other end of the client's connection. */
struct script {
    int listener, peer;
    uint16_t port;
};

static struct uri script_uri(const struct script *s, const char *user, const char *path)
{
    return uri_of("redis://%s127.0.0.1:%u%s", user, s->port, path);
}

/* An owner whose client is connected to us; ready when it has nothing to greet with. */
static void begin_as(const char *what, struct script *s, struct owner *o, const char *user, const char *path)
{
    *s = (struct script){.peer = -1};
    s->listener = listen_on_loopback(&s->port);
    owner_connect(o, script_uri(s, user, path), what);
    assert_non_null(o->client);
    s->peer = accept_one(s->listener);
    settle();
    assert_int_equal(o->failed, 0);
    assert_int_equal(o->ready, *user == '\0' && *path == '\0');
}

static void begin(struct script *s, struct owner *o, const char *user, const char *path)
{
    begin_as("source", s, o, user, path);
}

static void end(struct script *s, struct owner *o)
{
    close(s->listener);
    if (s->peer >= 0)
        close(s->peer);
    owner_done(o);
}

static void say(const struct script *s, const char *text)
{
    assert_int_equal(send(s->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hear(const struct script *s, const char *expected)
{
    char bytes[256] = "";
    size_t got = 0;
    while (got < strlen(expected)) {
        settle();
        wait_for(s->peer, POLLIN);
        ssize_t n = recv(s->peer, bytes + got, strlen(expected) - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(bytes, expected, got);
}

static void ask(struct owner *o, uint32_t timeout_ms)
{
    client_words(o->client, timeout_ms, on_reply, o, "ASK", NULL);
}

static void replies_split_anywhere_are_the_same(void **state)
{
    (void)state;
    static const char stream[] = "*3\r\n$1\r\na\r\n:7\r\n*-1\r\n+OK\r\n$-1\r\n-ERR no\r\n$0\r\n\r\n*0\r\n";
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "", "");
    for (unsigned i = 0; i < 6; i++)
        ask(&o, 5000);
    for (const char *p = stream; *p; p++) {
        assert_int_equal(send(s.peer, p, 1, 0), 1);
        settle();
    }
    assert_true(reaches(&o.replies, 6));
    assert_said(&o, "[a,7,nil] OK nil ERR no  [] ");
    end(&s, &o);
}

static void replies_in_one_packet_are_told_apart(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "", "");
    for (unsigned i = 0; i < 3; i++)
        ask(&o, 5000);
    hear(&s, "*1\r\n$3\r\nASK\r\n*1\r\n$3\r\nASK\r\n*1\r\n$3\r\nASK\r\n");
    say(&s, ":1\r\n:2\r\n:3\r\n");
    assert_true(reaches(&o.replies, 3));
    assert_said(&o, "1 2 3 ");
    end(&s, &o);
}

static void the_greeting_is_auth_then_select(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "me:p%40ss@", "/4");
    hear(&s, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\np@ss\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n4\r\n");
    say(&s, "+OK\r\n");
    settle();
    assert_int_equal(o.ready, 0);
    say(&s, "+OK\r\n");
    assert_true(reaches(&o.ready, 1));
    end(&s, &o);
}

static void a_target_is_told_that_it_is_an_import(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool taken;
    } cases[] = {{"+OK\r\n", true}, {"-ERR Unknown subcommand\r\n", false}, {"-NOPERM no\r\n", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script s;
        struct owner o = {0};
        begin_as("target 127.0.0.1:1", &s, &o, ":pw@", "");
        hear(&s, "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n"
                 "*3\r\n$6\r\nCLIENT\r\n$13\r\nIMPORT-SOURCE\r\n$2\r\nON\r\n");
        say(&s, "+OK\r\n");
        assert_true(reaches(&o.ready, 1)); /* without an answer to the other */
        ask(&o, 5000);
        say(&s, cases[i].answer);
        say(&s, ":1\r\n");
        assert_true(reaches(&o.replies, 1));
        assert_said(&o, "1 ");
        assert_int_equal(client_is_import_source(o.client), cases[i].taken);
        end(&s, &o);
    }
}

static void the_default_user_is_not_named(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, ":pw@", "");
    hear(&s, "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n");
    end(&s, &o);
}

static void what_is_not_the_protocol_is_fatal(void **state)
{
    (void)state;
    static const char *const texts[] = {"HTTP/1.1 400 Bad Request\r\n", "*x\r\n", "$-5\r\n", ":12a\r\n",
                                        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"};
    for (size_t i = 0; i < 4 + (HIREDIS_MAJOR < 1); i++) {
        struct script s;
        struct owner o = {0};
        begin(&s, &o, "", "");
        ask(&o, 5000);
        say(&s, texts[i]);
        assert_true(reaches(&o.failed, 1));
        assert_failed(&o, ERROR_FATAL, EX_PROTOCOL, "is not in the Redis protocol");
        assert_int_equal(o.replies, 0);
        end(&s, &o);
    }
}

/* No memory is set aside for what was only announced. */
static void an_array_beyond_the_limit_is_refused_at_once(void **state)
{
    (void)state;
    static const char *const texts[] = {"*2147483647\r\n", "*65537\r\n", "*2\r\n*1000000\r\n"};
    for (size_t i = 0; i < 3; i++) {
        struct script s;
        struct owner o = {0};
        begin(&s, &o, "", "");
        ask(&o, 5000);
        say(&s, texts[i]);
        assert_true(reaches(&o.failed, 1));
        assert_failed(&o, ERROR_FATAL, EX_PROTOCOL, "too many elements");
        end(&s, &o);
    }
}

static void a_reply_without_end_is_refused_at_the_limit(void **state)
{
    (void)state;
    static char block[65536];
    struct script s;
    struct owner o = {0};
    size_t sent = 0;
    begin(&s, &o, "", "");
    ask(&o, 0);
    say(&s, "$2000000000\r\n");
    while (!o.failed && sent < 4 * RESP_REPLY_MAX_BYTES) {
        ssize_t n = send(s.peer, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        settle();
    }
    assert_failed(&o, ERROR_FATAL, EX_PROTOCOL, "larger than 8 MiB");
    end(&s, &o);
}

static void an_answer_to_nothing_is_a_lost_connection(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "", "");
    say(&s, "+surprise\r\n");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "surprise");
    end(&s, &o);
}

static void errors_at_the_door_say_whose_fault_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
        enum error_class class;
        int exit_code;
    } examples[] = {
        {"-ERR max number of clients reached\r\n", "too many clients", ERROR_RETRY, 0},
        {"-DENIED Redis is running in protected mode\r\n", "protected mode", ERROR_FATAL, EX_NOPERM},
        {"-NOAUTH Authentication required.\r\n", "wants a password", ERROR_FATAL, EX_NOPERM},
    };
    for (size_t i = 0; i < 3; i++)
        for (unsigned asked = 0; asked < 2; asked++) {
            struct script s;
            struct owner o = {0};
            begin(&s, &o, "", "");
            if (asked)
                ask(&o, 5000);
            say(&s, examples[i].text);
            assert_true(reaches(&o.failed, 1));
            assert_failed(&o, examples[i].class, examples[i].exit_code, examples[i].expected);
            end(&s, &o);
        }
}

static void a_server_still_loading_is_tried_again(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, ":pw@", "");
    say(&s, "-LOADING Redis is loading the dataset in memory\r\n");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "LOADING");
    end(&s, &o);
}

static void errors_of_commands_are_replies(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "", "");
    ask(&o, 5000);
    ask(&o, 5000);
    say(&s, "-LOADING wait\r\n-NOPERM this user has no permissions\r\n");
    assert_true(reaches(&o.replies, 2));
    assert_int_equal(o.failed, 0);
    end(&s, &o);
}

static void an_end_in_the_middle_of_a_reply_is_a_lost_connection(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "", "");
    ask(&o, 5000);
    ask(&o, 5000);
    say(&s, ":1\r\n$10\r\nabc");
    close(s.peer);
    s.peer = -1;
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "closed the connection");
    assert_said(&o, "1 ");
    end(&s, &o);
}

static void silence_fails_a_command_at_its_deadline(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "", "");
    ask(&o, 0);
    ask(&o, 60);
    ask(&o, 60000);
    uint64_t before = clock_monotonic_ms();
    assert_true(reaches(&o.failed, 1));
    assert_true(clock_monotonic_ms() - before >= 55);
    assert_failed(&o, ERROR_RETRY, 0, "did not answer within 60 ms");
    end(&s, &o);
}

static void an_answer_in_time_ends_its_deadline(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    begin(&s, &o, "", "");
    ask(&o, 50);
    say(&s, "+OK\r\n");
    assert_true(reaches(&o.replies, 1));
    ask(&o, 200);
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "within 200 ms");
    end(&s, &o);
}

static void the_connect_timeout_covers_auth(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    settings.connect_timeout_ms = 100;
    begin(&s, &o, ":pw@", "");
    ask(&o, 10);
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "AUTH took longer than 100 ms (--connect-timeout)");
    end(&s, &o);
}

static void a_ready_client_has_no_connect_timeout(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    settings.connect_timeout_ms = 100;
    begin(&s, &o, "", "");
    ask(&o, 300);
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "within 300 ms");
    end(&s, &o);
}

static void a_refused_connection_names_host_and_port(void **state)
{
    (void)state;
    uint16_t port;
    char name[40];
    struct owner o = {0};
    keep_on_loopback(&port);
    owner_connect(&o, uri_of("redis://:pw@127.0.0.1:%u", port), "source");
    assert_true(reaches(&o.failed, 1));
    snprintf(name, sizeof name, "redis://127.0.0.1:%u", port);
    assert_failed(&o, ERROR_RETRY, 0, name);
    owner_done(&o);
}

static void freeing_at_a_reply_forgets_the_replies_behind_it(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {.habit = FREE_AT_REPLY};
    begin(&s, &o, "", "");
    ask(&o, 5000);
    ask(&o, 5000);
    say(&s, ":1\r\n:2\r\n");
    assert_true(reaches(&o.replies, 1));
    settle();
    assert_said(&o, "1 ");
    end(&s, &o);
}

static void a_socket_with_something_unread_is_not_detached(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    uint64_t received = 0;
    begin(&s, &o, "", "");
    ask(&o, 5000);
    say(&s, "+FULL\r\n+RED");
    assert_true(reaches(&o.replies, 1));
    assert_int_equal(client_detach(o.client, &received), -1);
    assert_null(client_take_transport(o.client));
    ask(&o, 5000);
    say(&s, "IS\r\n");
    assert_true(reaches(&o.replies, 2));
    hear(&s, "*1\r\n$3\r\nASK\r\n*1\r\n$3\r\nASK\r\n");
    int fd = client_detach(o.client, &received);
    assert_true(fd >= 0);
    assert_int_equal(received, strlen("+FULL\r\n+REDIS\r\n"));
    close(fd);
    end(&s, &o);
}

static void a_socket_with_something_unsent_is_not_detached(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    uint64_t received = 0;
    const struct slice words[] = {slice_str("REPLCONF"), slice_str("ACK")};
    begin(&s, &o, "", "");
    client_send(o.client, 2, words);
    assert_int_equal(client_detach(o.client, &received), -1);
    hear(&s, "*2\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n");
    settle();
    int fd = client_detach(o.client, &received);
    assert_true(fd >= 0);
    assert_int_equal(received, 0);
    close(fd);
    end(&s, &o);
}

/* What the owner of a FLOW does: the answer is in, and the client is done, inside its own callback. */
static int detached_fd;
static uint64_t detached_bytes;
static void detach_at_reply(struct client *c, const redisReply *reply, void *arg)
{
    struct owner *o = arg;
    o->replies++;
    note(&o->said, reply);
    detached_fd = client_detach(c, &detached_bytes);
    owner_let_go(o);
}

static void a_socket_is_detached_inside_the_last_reply(void **state)
{
    (void)state;
    struct script s;
    struct owner o = {0};
    char bytes[4];
    begin(&s, &o, "", "");
    client_words(o.client, 5000, detach_at_reply, &o, "DFLY", "FLOW", NULL);
    hear(&s, "*2\r\n$4\r\nDFLY\r\n$4\r\nFLOW\r\n");
    say(&s, "*2\r\n+FULL\r\n+token\r\n");
    assert_true(reaches(&o.replies, 1));
    assert_true(detached_fd >= 0);
    assert_int_equal(detached_bytes, 19);
    say(&s, "next");
    wait_for(detached_fd, POLLIN);
    assert_int_equal(recv(detached_fd, bytes, 4, 0), 4);
    assert_memory_equal(bytes, "next", 4);
    close(detached_fd);
    end(&s, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_split_anywhere_are_the_same),
        TEST(replies_in_one_packet_are_told_apart),
        TEST(the_greeting_is_auth_then_select),
        TEST(a_target_is_told_that_it_is_an_import),
        TEST(the_default_user_is_not_named),
        TEST(what_is_not_the_protocol_is_fatal),
        TEST(an_array_beyond_the_limit_is_refused_at_once),
        TEST(a_reply_without_end_is_refused_at_the_limit),
        TEST(an_answer_to_nothing_is_a_lost_connection),
        TEST(errors_at_the_door_say_whose_fault_it_is),
        TEST(a_server_still_loading_is_tried_again),
        TEST(errors_of_commands_are_replies),
        TEST(an_end_in_the_middle_of_a_reply_is_a_lost_connection),
        TEST(silence_fails_a_command_at_its_deadline),
        TEST(an_answer_in_time_ends_its_deadline),
        TEST(the_connect_timeout_covers_auth),
        TEST(a_ready_client_has_no_connect_timeout),
        TEST(a_refused_connection_names_host_and_port),
        TEST(freeing_at_a_reply_forgets_the_replies_behind_it),
        TEST(a_socket_with_something_unread_is_not_detached),
        TEST(a_socket_with_something_unsent_is_not_detached),
        TEST(a_socket_is_detached_inside_the_last_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
