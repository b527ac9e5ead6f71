/* Bytes read from a TCP socket, as the kernel counts them: exact in every state of the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/tcp_pair.h"
#include "worker/source/received.h"

static void assert_received(int fd, uint64_t want)
{
    uint64_t got = UINT64_MAX;
    assert_true(received_from_kernel(fd, &got));
    assert_int_equal(got, want);
}

static void send_all(int fd, size_t bytes)
{
    static const char zeros[65536];
    while (bytes > 0) {
        ssize_t n = send(fd, zeros, bytes < sizeof zeros ? bytes : sizeof zeros, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes -= (size_t)n;
    }
}

static void read_exactly(int fd, size_t bytes)
{
    char into[65536];
    while (bytes > 0) {
        ssize_t n = read(fd, into, bytes < sizeof into ? bytes : sizeof into);
        assert_true(n > 0);
        bytes -= (size_t)n;
    }
}

static void await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, 120000), 1);
}

static void close_with_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fd);
}

static void only_what_was_read_counts(void **state)
{
    (void)state;
    int pair[2];
    assert_true(tcp_pair(pair));
    assert_received(pair[0], 0);
    send_all(pair[1], 100000);
    assert_received(pair[0], 0);
    for (uint64_t sum = 1; sum < 100000; sum += 999) {
        read_exactly(pair[0], sum == 1 ? 1 : 999);
        assert_received(pair[0], sum);
    }
    close(pair[0]);
    close(pair[1]);
}

static void a_fin_is_not_a_byte(void **state)
{
    (void)state;
    int pair[2];
    char byte;
    assert_true(tcp_pair(pair));
    send_all(pair[1], 5000);
    read_exactly(pair[0], 1000);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    await(pair[0], POLLRDHUP);
    assert_received(pair[0], 1000);
    read_exactly(pair[0], 3999);
    assert_received(pair[0], 4999);
    read_exactly(pair[0], 1);
    assert_received(pair[0], 5000);
    assert_int_equal(read(pair[0], &byte, 1), 0);
    assert_received(pair[0], 5000);
    close(pair[1]);
    assert_received(pair[0], 5000);
    close(pair[0]);
}

static void after_a_reset_it_is_still_exact(void **state)
{
    (void)state;
    int pair[2];
    char byte;
    assert_true(tcp_pair(pair));
    send_all(pair[1], 5000);
    read_exactly(pair[0], 1000);
    close_with_reset(pair[1]);
    await(pair[0], POLLHUP);
    uint64_t got;
    assert_true(received_from_kernel(pair[0], &got));
    assert_int_equal(got, 1000);
    /* What waited may or may not be readable still; what is read counts. */
    uint64_t sum = 1000;
    for (ssize_t n; (n = read(pair[0], &byte, 1)) > 0;)
        sum += (uint64_t)n;
    assert_received(pair[0], sum);
    close(pair[0]);
}

static void after_a_fin_and_a_reset_it_is_still_exact(void **state)
{
    (void)state;
    for (size_t unread = 0; unread < 3; unread++) {
        int pair[2];
        char byte;
        assert_true(tcp_pair(pair));
        send_all(pair[1], 5000);
        read_exactly(pair[0], 5000 - unread);
        close(pair[1]); /* FIN; what is sent there now, as an ACK is, is answered by an RST */
        await(pair[0], POLLRDHUP);
        if (unread == 0)
            assert_int_equal(read(pair[0], &byte, 1), 0);
        assert_int_equal(send(pair[0], "x", 1, MSG_NOSIGNAL), 1);
        await(pair[0], POLLHUP);
        assert_received(pair[0], 5000 - unread);
        assert_received(pair[0], 5000 - unread);
        for (size_t i = unread; i > 0; i--) {
            read_exactly(pair[0], 1);
            assert_received(pair[0], 5000 - i + 1);
        }
        assert_true(read(pair[0], &byte, 1) <= 0);
        assert_received(pair[0], 5000);
        close(pair[0]);
    }
}

static void anything_but_tcp_is_refused(void **state)
{
    (void)state;
    int pair[2], pipes[2];
    uint64_t got;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_false(received_from_kernel(pair[0], &got));
    assert_int_equal(pipe(pipes), 0);
    assert_false(received_from_kernel(pipes[0], &got));
    assert_false(received_from_kernel(-1, &got));
    close(pair[0]);
    close(pair[1]);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_read_counts),
        cmocka_unit_test(a_fin_is_not_a_byte),
        cmocka_unit_test(after_a_reset_it_is_still_exact),
        cmocka_unit_test(after_a_fin_and_a_reset_it_is_still_exact),
        cmocka_unit_test(anything_but_tcp_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
