/* Messages over a socketpair: their size, descriptors, a peer that is gone or reads nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc/message.h"

static struct error error;

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void the_largest_message_passes_a_socketpair(void **state)
{
    (void)state;
    int pair[2];
    struct message sent = {.type = MESSAGE_RECONFIGURE, .fd = -1}, m;
    make_pair(pair);
    for (unsigned i = 0; i < MESSAGE_MAX_BYTES - 8; i++)
        buf_put_u8(&sent.reconfigure.settings, (uint8_t)i);
    assert_int_equal(message_send(pair[0], &sent, &error), MESSAGE_OK);
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_OK);
    assert_true(slice_eq(buf_slice(&m.reconfigure.settings), buf_slice(&sent.reconfigure.settings)));
    message_free(&m);
    message_free(&sent);
    close(pair[0]);
    close(pair[1]);
}

static void a_descriptor_comes_along_and_is_close_on_exec(void **state)
{
    (void)state;
    int pair[2], pipes[2];
    struct message sent = {.type = MESSAGE_HELLO, .fd = -1}, m;
    char byte;
    make_pair(pair);
    assert_int_equal(pipe(pipes), 0);
    sent.fd = pipes[1];
    assert_int_equal(message_send(pair[0], &sent, &error), MESSAGE_OK);
    message_free(&sent);
    close(pipes[1]);
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_OK);
    assert_true(m.fd >= 0);
    assert_true(fcntl(m.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(m.fd, "x", 1), 1);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(m.fd);
    message_free(&m);
    close(pipes[0]);
    close(pair[0]);
    close(pair[1]);
}

/* The peer's end of the pipe tells that nobody has it open any more. */
static void a_descriptor_of_a_broken_message_is_closed(void **state)
{
    (void)state;
    int pair[2], pipes[2];
    char junk[4] = {99, 0, 0, 0}, byte;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec part = {junk, sizeof junk};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    struct message m;
    make_pair(pair);
    assert_int_equal(pipe(pipes), 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), (int[]){pipes[1], pipes[1]}, 2 * sizeof(int));
    assert_int_equal(sendmsg(pair[0], &header, 0), sizeof junk);
    close(pipes[1]);
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_BROKEN);
    assert_int_equal(m.fd, -1);
    assert_int_equal(read(pipes[0], &byte, 1), 0);
    close(pipes[0]);
    close(pair[0]);
    close(pair[1]);
}

static void a_packet_larger_than_any_message_is_refused(void **state)
{
    (void)state;
    static char huge[MESSAGE_MAX_BYTES + 1];
    int pair[2];
    struct message m;
    make_pair(pair);
    huge[0] = MESSAGE_STOP;
    assert_int_equal(send(pair[0], huge, sizeof huge, 0), sizeof huge);
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_BROKEN);
    close(pair[0]);
    close(pair[1]);
}

static void a_gone_peer_is_closed_and_no_signal(void **state)
{
    (void)state;
    int pair[2];
    struct message m, stop = {.type = MESSAGE_STOP, .fd = -1};
    make_pair(pair);
    assert_int_equal(message_send(pair[0], &stop, &error), MESSAGE_OK);
    close(pair[0]);
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_OK);
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_CLOSED);
    assert_int_equal(message_send(pair[1], &stop, &error), MESSAGE_CLOSED);
    close(pair[1]);
}

/* A worker says what it failed on, and ends without having read what it was told last. */
static void what_a_peer_said_last_comes_though_it_read_nothing(void **state)
{
    (void)state;
    struct message failed = {.type = MESSAGE_FAILED, .fd = -1},
                   told = {.type = MESSAGE_ENTER_STABLE, .fd = -1};
    struct message m;
    int pair[2];
    make_pair(pair);
    snprintf(failed.failed.text, sizeof failed.failed.text, "it has failed");
    assert_int_equal(message_send(pair[1], &failed, &error), MESSAGE_OK);
    assert_int_equal(message_send(pair[0], &told, &error), MESSAGE_OK);
    close(pair[1]);
    assert_int_equal(message_receive(pair[0], &m, &error), MESSAGE_OK);
    assert_int_equal(m.type, MESSAGE_FAILED);
    assert_string_equal(m.failed.text, "it has failed");
    message_free(&m);
    assert_int_equal(message_receive(pair[0], &m, &error), MESSAGE_CLOSED);
    close(pair[0]);
}

static void a_full_socket_is_again_and_loses_nothing(void **state)
{
    (void)state;
    int pair[2];
    struct message m, ping = {.type = MESSAGE_PING, .fd = -1};
    enum message_status status;
    unsigned sent = 0, received = 0;
    make_pair(pair);
    while ((status = message_send(pair[0], &ping, &error)) == MESSAGE_OK && sent < 1000000)
        sent++;
    assert_int_equal(status, MESSAGE_AGAIN);
    while (message_receive(pair[1], &m, &error) == MESSAGE_OK)
        received++;
    assert_int_equal(received, sent);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_message_passes_a_socketpair),
        cmocka_unit_test(a_descriptor_comes_along_and_is_close_on_exec),
        cmocka_unit_test(a_descriptor_of_a_broken_message_is_closed),
        cmocka_unit_test(a_packet_larger_than_any_message_is_refused),
        cmocka_unit_test(a_gone_peer_is_closed_and_no_signal),
        cmocka_unit_test(what_a_peer_said_last_comes_though_it_read_nothing),
        cmocka_unit_test(a_full_socket_is_again_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
