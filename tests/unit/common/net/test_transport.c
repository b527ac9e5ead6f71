/* Plain transports over the loopback and Unix sockets. SIGPIPE is not ignored here: it would end the test. */
#include "tests/unit/common/net/transport_testing.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/un.h>

static struct settings settings;

static int setup(void **state)
{
    (void)state;
    settings_init(&settings);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    settings_free(&settings);
    return 0;
}

/* A transport and the other end of its connection. */
static struct transport *connected(int *peer)
{
    uint16_t port;
    int listener = listen_on_loopback(&port);
    struct transport *t = open_transport(uri_of("redis://127.0.0.1:%u", port), &settings);
    wait_connected(t);
    assert_int_equal(t->handshake(t), 1);
    *peer = accept_one(listener);
    close(listener);
    return t;
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    int peer;
    char bytes[16];
    struct transport *t = connected(&peer);
    send_all(t, "hello", 5);
    assert_int_equal(recv(peer, bytes, 5, MSG_WAITALL), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(send(peer, "world", 5, 0), 5);
    recv_all(t, bytes, 5);
    assert_memory_equal(bytes, "world", 5);
    t->close(t);
    assert_int_equal(recv(peer, bytes, 1, 0), 0);
    close(peer);
}

static void parts_are_sent_in_their_order(void **state)
{
    (void)state;
    int peer;
    char bytes[16];
    struct transport *t = connected(&peer);
    const struct iovec parts[] = {{"ab", 2}, {"", 0}, {"cde", 3}, {"f", 1}};
    assert_int_equal(t->send(t, parts, 4), 6);
    assert_int_equal(recv(peer, bytes, 6, MSG_WAITALL), 6);
    assert_memory_equal(bytes, "abcdef", 6);
    t->close(t);
    close(peer);
}

static void nothing_to_read_is_again_and_the_peers_end_is_zero(void **state)
{
    (void)state;
    int peer;
    char bytes[4];
    struct transport *t = connected(&peer);
    assert_int_equal(t->recv(t, bytes, sizeof bytes), TRANSPORT_AGAIN);
    assert_false(t->want_write);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    close(peer);
    assert_int_equal(recv_some(t, bytes, sizeof bytes), 1);
    assert_int_equal(recv_some(t, bytes, sizeof bytes), 0);
    t->close(t);
}

static void a_full_socket_is_again_with_want_write(void **state)
{
    (void)state;
    static char block[65536];
    int peer;
    ssize_t n;
    struct transport *t = connected(&peer);
    struct iovec part = {block, sizeof block};
    for (unsigned i = 0; i < 10000 && (n = t->send(t, &part, 1)) > 0; i++)
        ;
    assert_int_equal(n, TRANSPORT_AGAIN);
    assert_true(t->want_write);
    t->close(t);
    close(peer);
}

/* The peer goes away with something unread, which resets the connection. */
static void sending_to_a_gone_peer_fails_without_a_signal(void **state)
{
    (void)state;
    int peer;
    ssize_t n = 1;
    struct iovec part = {"xxxx", 4};
    struct transport *t = connected(&peer);
    send_all(t, "unread", 6);
    close(peer);
    for (unsigned i = 0; i < 100000 && n != TRANSPORT_FAILED; i++)
        n = t->send(t, &part, 1);
    assert_int_equal(n, TRANSPORT_FAILED);
    assert_non_null(strstr(t->error, "sending: "));
    t->close(t);
}

static void a_reset_connection_fails_with_a_text(void **state)
{
    (void)state;
    int peer;
    char byte;
    struct linger hard = {1, 0};
    struct transport *t = connected(&peer);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(peer);
    assert_int_equal(recv_some(t, &byte, 1), TRANSPORT_FAILED);
    assert_non_null(strstr(t->error, strerror(ECONNRESET)));
    t->close(t);
}

static void a_refused_connection_is_retry_and_names_host_and_port(void **state)
{
    (void)state;
    uint16_t port;
    char name[40];
    struct error e = {0};
    keep_on_loopback(&port);
    struct uri uri = uri_of("redis://:secret@127.0.0.1:%u", port);
    struct transport *t = transport_open(&uri, &settings, &e);
    if (t) {
        wait_for(t->fd, POLLOUT);
        assert_false(transport_connected(t, &e));
        assert_false(transport_next_address(t));
        t->close(t);
    }
    assert_int_equal(e.class, ERROR_RETRY);
    snprintf(name, sizeof name, "redis://127.0.0.1:%u", port);
    assert_non_null(strstr(e.text, name));
    assert_null(strstr(e.text, "secret"));
    uri_free(&uri);
}

/* localhost may be ::1 first, where nobody listens. */
static void the_next_address_of_a_name_is_tried(void **state)
{
    (void)state;
    uint16_t port;
    struct error e = {0};
    int listener = listen_on_loopback(&port);
    struct transport *t = open_transport(uri_of("redis://localhost:%u", port), &settings);
    for (;;) {
        wait_for(t->fd, POLLOUT);
        if (transport_connected(t, &e))
            break;
        if (!transport_next_address(t))
            fail_msg("%s", e.text);
    }
    close(accept_one(listener));
    t->close(t);
    close(listener);
}

static void a_name_that_cannot_be_looked_up_is_told(void **state)
{
    (void)state;
    struct error e = {0};
    /* A label of more than 63 bytes is refused without asking anybody. */
    struct uri uri =
        uri_of("redis://%s", "a123456789a123456789a123456789a123456789a123456789a123456789a12345");
    assert_null(transport_open(&uri, &settings, &e));
    assert_int_equal(e.class, ERROR_RETRY);
    assert_non_null(strstr(e.text, "looking up redis://a1234"));
    uri_free(&uri);
}

static void the_null_sink_cannot_be_connected_to(void **state)
{
    (void)state;
    struct error e = {0};
    struct uri uri = uri_of("null:");
    assert_null(transport_open(&uri, &settings, &e));
    assert_int_equal(e.class, ERROR_FATAL);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &bytes), 0);
    return value;
}

static void a_dead_peer_is_noticed_and_small_writes_do_not_wait(void **state)
{
    (void)state;
    int peer;
    struct transport *t = connected(&peer);
    assert_int_equal(option(t->fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option(t->fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(t->fd, IPPROTO_TCP, TCP_KEEPIDLE), 10);
    assert_int_equal(option(t->fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    assert_int_equal(option(t->fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(option(t->fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
    t->close(t);
    close(peer);
}

static void unix_sockets_are_connected_to(void **state)
{
    (void)state;
    char directory[] = "/tmp/df2redis-transport-XXXXXX", bytes[4];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", directory);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    struct transport *t = open_transport(uri_of("unix://%s", address.sun_path), &settings);
    wait_connected(t);
    int peer = accept_one(listener);
    send_all(t, "abc", 3);
    assert_int_equal(recv(peer, bytes, 3, MSG_WAITALL), 3);
    t->close(t);
    close(peer);
    close(listener);
    unlink(address.sun_path);

    struct error e = {0};
    struct uri uri = uri_of("unix://%s", address.sun_path);
    assert_null(transport_open(&uri, &settings, &e));
    assert_int_equal(e.class, ERROR_RETRY);
    assert_non_null(strstr(e.text, address.sun_path));
    uri_free(&uri);
    rmdir(directory);
}

static void a_unix_path_too_long_for_the_kernel_is_refused(void **state)
{
    (void)state;
    char path[150];
    struct error e = {0};
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct uri uri = uri_of("unix:///%s", path);
    assert_null(transport_open(&uri, &settings, &e));
    assert_int_equal(e.class, ERROR_FATAL);
    assert_non_null(strstr(e.text, "107 bytes"));
    uri_free(&uri);
}

static void a_released_socket_outlives_its_transport(void **state)
{
    (void)state;
    int peer;
    char byte;
    struct transport *t = connected(&peer);
    int fd = transport_release_fd(t);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(recv(peer, &byte, 1, 0), 1);
    close(fd);
    close(peer);
}

static void *echo(void *arg)
{
    static char bytes[65536];
    int fd = *(int *)arg;
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        for (ssize_t sent = 0, m; sent < n; sent += m)
            if ((m = send(fd, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) <= 0)
                return NULL;
    return NULL;
}

static void a_large_transfer_both_ways_is_whole(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    uint8_t *out = x_malloc(BYTES), *in = x_malloc(BYTES);
    pthread_t thread;
    int peer;
    struct transport *t = connected(&peer);
    for (size_t i = 0; i < BYTES; i++)
        out[i] = (uint8_t)(i * 7 + (i >> 12));
    assert_int_equal(pthread_create(&thread, NULL, echo, &peer), 0);
    exchange(t, out, in, BYTES);
    assert_memory_equal(in, out, BYTES);
    t->close(t);
    pthread_join(thread, NULL);
    close(peer);
    free(out);
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways),
        cmocka_unit_test(parts_are_sent_in_their_order),
        cmocka_unit_test(nothing_to_read_is_again_and_the_peers_end_is_zero),
        cmocka_unit_test(a_full_socket_is_again_with_want_write),
        cmocka_unit_test(sending_to_a_gone_peer_fails_without_a_signal),
        cmocka_unit_test(a_reset_connection_fails_with_a_text),
        cmocka_unit_test(a_refused_connection_is_retry_and_names_host_and_port),
        cmocka_unit_test(the_next_address_of_a_name_is_tried),
        cmocka_unit_test(a_name_that_cannot_be_looked_up_is_told),
        cmocka_unit_test(the_null_sink_cannot_be_connected_to),
        cmocka_unit_test(a_dead_peer_is_noticed_and_small_writes_do_not_wait),
        cmocka_unit_test(unix_sockets_are_connected_to),
        cmocka_unit_test(a_unix_path_too_long_for_the_kernel_is_refused),
        cmocka_unit_test(a_released_socket_outlives_its_transport),
        cmocka_unit_test(a_large_transfer_both_ways_is_whole),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
