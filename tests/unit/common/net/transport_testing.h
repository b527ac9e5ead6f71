/* What the tests of transports share: waiting with a deadline, a listener, whole transfers. */
#ifndef DF2REDIS_TESTS_UNIT_COMMON_NET_TRANSPORT_TESTING_H
#define DF2REDIS_TESTS_UNIT_COMMON_NET_TRANSPORT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/transport.h"

enum { DEADLINE_MS = 120000 };

/* Ends the test when the deadline passes first. */
static inline void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    if (poll(&p, 1, DEADLINE_MS) != 1)
        fail_msg("nothing happened on the socket for %d ms", DEADLINE_MS);
}

static inline int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A port where nobody listens but what this program starts: bound, so that no other program gets it, which would be
 * talked to. Stays until the end. */
static inline void keep_on_loopback(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
}

static inline int accept_one(int listener)
{
    wait_for(listener, POLLIN);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline struct uri uri_of(const char *format, ...)
{
    char text[200];
    struct uri u = {0};
    struct error e;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!uri_parse(text, &u, &e))
        fail_msg("%s", e.text);
    return u;
}

/* Not connected yet. */
static inline struct transport *open_transport(struct uri uri, const struct settings *settings)
{
    struct error e = {0};
    struct transport *t = transport_open(&uri, settings, &e);
    uri_free(&uri);
    if (!t)
        fail_msg("%s", e.text);
    return t;
}

static inline void wait_connected(struct transport *t)
{
    struct error e = {0};
    wait_for(t->fd, POLLOUT);
    if (!transport_connected(t, &e))
        fail_msg("%s", e.text);
}

/* 1 or TRANSPORT_FAILED. */
static inline int shake_hands(struct transport *t)
{
    int result;
    while ((result = t->handshake(t)) == TRANSPORT_AGAIN)
        wait_for(t->fd, t->want_write ? POLLOUT : POLLIN);
    return result;
}

static inline void send_all(struct transport *t, const void *data, size_t bytes)
{
    for (size_t sent = 0; sent < bytes;) {
        struct iovec part = {(uint8_t *)(uintptr_t)data + sent, bytes - sent};
        ssize_t n = t->send(t, &part, 1);
        if (n == TRANSPORT_FAILED)
            fail_msg("%s", t->error);
        if (n == TRANSPORT_AGAIN)
            wait_for(t->fd, t->want_write ? POLLOUT : POLLIN);
        else
            sent += (size_t)n;
    }
}

/* One recv that is not AGAIN. */
static inline ssize_t recv_some(struct transport *t, void *into, size_t bytes)
{
    ssize_t n;
    while ((n = t->recv(t, into, bytes)) == TRANSPORT_AGAIN)
        wait_for(t->fd, t->want_write ? POLLOUT : POLLIN);
    return n;
}

static inline void recv_all(struct transport *t, void *into, size_t bytes)
{
    for (size_t got = 0; got < bytes;) {
        ssize_t n = recv_some(t, (uint8_t *)into + got, bytes - got);
        if (n <= 0)
            fail_msg("after %zu of %zu bytes: %s", got, bytes, n == 0 ? "end" : t->error);
        got += (size_t)n;
    }
}

/* Sends and receives at once, as neither side's buffers hold it all. */
static inline void exchange(struct transport *t, const uint8_t *out, uint8_t *in, size_t bytes)
{
    for (size_t sent = 0, got = 0; got < bytes;) {
        ssize_t n = TRANSPORT_AGAIN, m;
        struct iovec part = {(uint8_t *)(uintptr_t)out + sent, bytes - sent};
        if (sent < bytes && (n = t->send(t, &part, 1)) > 0)
            sent += (size_t)n;
        m = t->recv(t, in + got, bytes - got);
        if (m > 0)
            got += (size_t)m;
        if (n == TRANSPORT_FAILED || m == TRANSPORT_FAILED || m == 0)
            fail_msg("after %zu of %zu bytes: %s", got, bytes, t->error);
        if (n < 0 && m < 0)
            wait_for(t->fd, (short)(POLLIN | (sent < bytes ? POLLOUT : 0)));
    }
}

#endif
