/* Acknowledgements: when, and whole even when the socket takes only a part. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "supervisor/source/ack.h"

static struct event_base *base;
static int pair[2];
static struct ack ack;
static struct cursor_marks marks;

static int setup(void **state)
{
    (void)state;
    base = event_base_new();
    marks = (struct cursor_marks){0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        return -1;
    ack_init(&ack, base, pair[0]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ack_free(&ack);
    close(pair[0]);
    close(pair[1]);
    event_base_free(base);
    return 0;
}

static size_t take(char *out, size_t bytes)
{
    ssize_t n = recv(pair[1], out, bytes - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void assert_sent(const char *expected)
{
    char text[256];
    take(text, sizeof text);
    assert_string_equal(text, expected);
}

static void position_is_told_every_second(void **state)
{
    (void)state;
    ack_poll(&ack, &marks, 7, 5000);
    assert_sent("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n7\r\n");
    ack_poll(&ack, &marks, 8, 5999);
    assert_sent("");
    ack_poll(&ack, &marks, 8, 6000);
    assert_sent("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n8\r\n");
    ack_poll(&ack, &marks, 8, 7000);
    assert_sent("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n8\r\n");
}

static void much_progress_is_told_at_once(void **state)
{
    (void)state;
    ack.sent_ms = 5000;
    ack.sent_lsn = 100;
    assert_false(ack_due(&ack, 100 + ACK_ENTRIES - 1, 5001));
    assert_true(ack_due(&ack, 100 + ACK_ENTRIES, 5001));
}

static void nothing_is_told_before_the_journal_or_backwards(void **state)
{
    (void)state;
    assert_false(ack_due(&ack, 0, 100000));
    ack.sent_lsn = 50;
    assert_false(ack_due(&ack, 49, 100000));
}

static void ping_is_answered_at_once_and_until_its_lsn_is_applied(void **state)
{
    (void)state;
    ack.sent_ms = 5000;
    ack.sent_lsn = 100;
    cursor_set(&marks.ping_lsn, 110);
    cursor_set(&marks.received_lsn, 120);
    assert_false(ack_due(&ack, 100, 5001));
    ack_ping(&ack);
    ack_poll(&ack, &marks, 100, 5001);
    assert_sent("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n100\r\n");
    ack_poll(&ack, &marks, 100, 5002);
    assert_sent("");
    ack_poll(&ack, &marks, 105, 5003);
    assert_sent("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n105\r\n");
    ack_poll(&ack, &marks, 111, 5004);
    assert_sent("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n111\r\n");
    assert_false(ack.ping);
    ack_poll(&ack, &marks, 112, 5005);
    assert_sent("");
}

/* A full socket takes a part; the rest follows before anything else, so that no command is ever torn. */
static void what_a_full_socket_does_not_take_is_kept_and_finished(void **state)
{
    (void)state;
    char filler[4096], text[8192];
    memset(filler, 'x', sizeof filler);
    int small = 1;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    while (send(pair[0], filler, sizeof filler, 0) > 0)
        continue;
    ack_poll(&ack, &marks, 41, 5000);
    assert_true(ack.rest_len > 0);
    ack_poll(&ack, &marks, 99, 9000);
    assert_int_equal(ack.sent_lsn, 41);
    struct buf all = {0};
    while (ack.rest_len) {
        size_t n = take(text, sizeof text);
        buf_put(&all, text, n);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    ack_poll(&ack, &marks, 99, 9000);
    for (size_t n; (n = take(text, sizeof text));)
        buf_put(&all, text, n);
    size_t fill = 0;
    while (fill < all.len && all.data[fill] == 'x')
        fill++;
    buf_put_u8(&all, '\0');
    assert_string_equal(
        (char *)all.data + fill,
        "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n41\r\n*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n99\r\n");
    buf_free(&all);
}

static void rest_left_by_a_short_write_goes_first(void **state)
{
    (void)state;
    ack_poll(&ack, &marks, 41, 5000);
    assert_sent("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n41\r\n");
    memcpy(ack.rest, "2\r\n41\r\n", 7);
    ack.rest_len = 7;
    ack_poll(&ack, &marks, 9999, 6000);
    assert_sent("");
    event_add(ack.writable, NULL);
    event_base_loop(base, EVLOOP_ONCE);
    assert_sent("2\r\n41\r\n");
    assert_int_equal(ack.rest_len, 0);
}

static void closed_peer_is_no_reason_to_die(void **state)
{
    (void)state;
    close(pair[1]);
    ack_poll(&ack, &marks, 5, 5000);
    assert_int_equal(ack.rest_len, 0);
    pair[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(position_is_told_every_second),
        TEST(much_progress_is_told_at_once),
        TEST(nothing_is_told_before_the_journal_or_backwards),
        TEST(ping_is_answered_at_once_and_until_its_lsn_is_applied),
        TEST(what_a_full_socket_does_not_take_is_kept_and_finished),
        TEST(rest_left_by_a_short_write_goes_first),
        TEST(closed_peer_is_no_reason_to_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
