/* TLS transports against an OpenSSL server. SIGPIPE is not ignored here: it would end the test. */
#include "tests/unit/common/net/tls_testing.h"

#include <sysexits.h>

static char directory[64];
static struct certificate good, stranger, elsewhere, ended;
static struct settings settings;

static int setup_files(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/df2redis-tls-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    good = make_certificate(directory, "good", "DNS:localhost,IP:127.0.0.1", 30);
    stranger = make_certificate(directory, "stranger", "DNS:localhost,IP:127.0.0.1", 30);
    elsewhere = make_certificate(directory, "elsewhere", "DNS:elsewhere.example,IP:192.0.2.1", 30);
    ended = make_certificate(directory, "ended", "DNS:localhost,IP:127.0.0.1", -1);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    remove_certificate(&good);
    remove_certificate(&stranger);
    remove_certificate(&elsewhere);
    remove_certificate(&ended);
    return rmdir(directory);
}

static int setup(void **state)
{
    struct error e;
    (void)state;
    settings_init(&settings);
    return settings_set(&settings, "tls-ca", good.cert_file, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    settings_free(&settings);
    return 0;
}

static struct transport *open_tls(const char *host, uint16_t port)
{
    struct transport *t = open_transport(uri_of("rediss://%s:%u", host, port), &settings);
    struct error e;
    for (;;) {
        wait_for(t->fd, POLLOUT);
        if (transport_connected(t, &e))
            return t;
        if (!transport_next_address(t))
            fail_msg("%s", e.text);
    }
}

static struct transport *connect_tls(struct tls_server *s)
{
    tls_server_start(s);
    struct transport *t = open_tls("127.0.0.1", s->port);
    if (shake_hands(t) != 1)
        fail_msg("%s", t->error);
    return t;
}

/* The handshake with this server must fail, with a text that contains this. */
static void expect_refusal(struct tls_server *s, const char *host, const char *text)
{
    tls_server_start(s);
    struct transport *t = open_tls(host, s->port);
    assert_int_equal(shake_hands(t), TRANSPORT_FAILED);
    if (!strstr(t->error, text))
        fail_msg("\"%s\" does not contain \"%s\"", t->error, text);
    t->close(t);
    tls_server_stop(s);
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    char bytes[8];
    struct tls_server s = {.certificate = &good, .serve = serve_echo};
    struct transport *t = connect_tls(&s);
    const struct iovec parts[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    assert_int_equal(t->recv(t, bytes, sizeof bytes), TRANSPORT_AGAIN);
    assert_int_equal(t->send(t, parts, 3), 5);
    recv_all(t, bytes, 5);
    assert_memory_equal(bytes, "abcde", 5);
    t->close(t);
    tls_server_stop(&s);
    assert_true(s.accepted && s.goodbye);
    assert_string_equal(s.sni, "");
}

static void a_name_is_checked_and_sent_as_sni(void **state)
{
    (void)state;
    struct tls_server s = {.certificate = &good, .serve = serve_echo};
    tls_server_start(&s);
    struct transport *t = open_tls("localhost", s.port);
    assert_int_equal(shake_hands(t), 1);
    t->close(t);
    tls_server_stop(&s);
    assert_string_equal(s.sni, "localhost");
}

static void a_certificate_of_somebody_else_is_refused(void **state)
{
    (void)state;
    struct tls_server s = {.certificate = &stranger};
    expect_refusal(&s, "127.0.0.1", "--tls-ca");
    assert_false(s.accepted);
}

static void a_certificate_for_another_host_is_refused(void **state)
{
    (void)state;
    struct error e;
    assert_true(settings_set(&settings, "tls-ca", elsewhere.cert_file, &e));
    struct tls_server s = {.certificate = &elsewhere};
    expect_refusal(&s, "127.0.0.1", "IP address mismatch");
    s = (struct tls_server){.certificate = &elsewhere};
    expect_refusal(&s, "localhost", "ostname mismatch");
}

static void a_certificate_that_has_ended_is_refused(void **state)
{
    (void)state;
    struct error e;
    assert_true(settings_set(&settings, "tls-ca", ended.cert_file, &e));
    struct tls_server s = {.certificate = &ended};
    expect_refusal(&s, "127.0.0.1", "expired");
}

static void insecure_takes_any_certificate(void **state)
{
    (void)state;
    struct error e;
    char byte;
    settings_free(&settings);
    settings_init(&settings);
    assert_true(settings_set(&settings, "tls-insecure", NULL, &e));
    struct tls_server s = {.certificate = &elsewhere, .serve = serve_echo};
    struct transport *t = connect_tls(&s);
    send_all(t, "x", 1);
    recv_all(t, &byte, 1);
    t->close(t);
    tls_server_stop(&s);
}

static void versions_before_1_2_are_refused(void **state)
{
    (void)state;
    struct tls_server s = {.certificate = &good, .max_version = TLS1_1_VERSION};
    expect_refusal(&s, "127.0.0.1", "TLS handshake: ");
    assert_false(s.accepted);
}

static void version_1_2_is_taken(void **state)
{
    (void)state;
    char byte;
    struct tls_server s = {.certificate = &good, .max_version = TLS1_2_VERSION, .serve = serve_echo};
    struct transport *t = connect_tls(&s);
    send_all(t, "x", 1);
    recv_all(t, &byte, 1);
    t->close(t);
    tls_server_stop(&s);
}

static void a_client_certificate_is_given_where_demanded(void **state)
{
    (void)state;
    struct error e;
    char byte;
    assert_true(settings_set(&settings, "tls-cert", stranger.cert_file, &e));
    assert_true(settings_set(&settings, "tls-key", stranger.key_file, &e));
    struct tls_server s = {.certificate = &good, .client_ca_file = stranger.cert_file, .serve = serve_echo};
    struct transport *t = connect_tls(&s);
    send_all(t, "x", 1);
    recv_all(t, &byte, 1);
    t->close(t);
    tls_server_stop(&s);
    assert_true(s.accepted);
}

/* With TLS 1.3 the client is done before the server has looked: the refusal comes with the first read. */
static void without_the_certificate_demanded_the_connection_fails(void **state)
{
    (void)state;
    char byte;
    struct tls_server s = {.certificate = &good, .client_ca_file = stranger.cert_file};
    tls_server_start(&s);
    struct transport *t = open_tls("127.0.0.1", s.port);
    if (shake_hands(t) == 1)
        assert_int_equal(recv_some(t, &byte, 1), TRANSPORT_FAILED);
    assert_true(strlen(t->error) > 0);
    t->close(t);
    tls_server_stop(&s);
    assert_false(s.accepted);
}

static void files_that_cannot_be_used_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        const char *file;
    } examples[] = {
        {"tls-ca", "/nowhere/ca.pem"}, {"tls-cert", "/nowhere/c.pem"}, {"tls-key", "/nowhere/k.pem"}};
    struct uri uri = uri_of("rediss://127.0.0.1:1");
    uint16_t port;
    int listener = listen_on_loopback(&port);
    uri.port = port;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct settings bad;
        struct error e = {0};
        settings_init(&bad);
        assert_true(settings_set(&bad, examples[i].option, examples[i].file, &e));
        assert_null(transport_open(&uri, &bad, &e));
        assert_int_equal(e.class, ERROR_FATAL);
        assert_int_equal(e.exit_code, EX_CONFIG);
        assert_non_null(strstr(e.text, examples[i].option));
        assert_non_null(strstr(e.text, examples[i].file));
        settings_free(&bad);
    }
    struct error e = {0};
    assert_true(settings_set(&settings, "tls-cert", good.cert_file, &e));
    assert_true(settings_set(&settings, "tls-key", stranger.key_file, &e));
    assert_null(transport_open(&uri, &settings, &e));
    assert_non_null(strstr(e.text, "tls-key"));
    close(listener);
    uri_free(&uri);
}

static void serve_goodbye(struct tls_server *s, SSL *ssl)
{
    (void)s;
    SSL_write(ssl, "x", 1);
    SSL_shutdown(ssl);
}

static void serve_and_vanish(struct tls_server *s, SSL *ssl)
{
    (void)s;
    SSL_write(ssl, "x", 1);
    SSL_set_quiet_shutdown(ssl, 1);
}

static void the_peers_end_is_zero_with_and_without_its_goodbye(void **state)
{
    (void)state;
    void (*const ends[])(struct tls_server *, SSL *) = {serve_goodbye, serve_and_vanish};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
        for (size_t i = 0; i < 2; i++) {
            char byte;
            struct tls_server s = {.certificate = &good, .serve = ends[i], .max_version = version};
            struct transport *t = connect_tls(&s);
            recv_all(t, &byte, 1);
            assert_int_equal(recv_some(t, &byte, 1), 0);
            assert_int_equal(t->recv(t, &byte, 1), 0);
            t->close(t);
            tls_server_stop(&s);
        }
}

static void serve_one_large_record(struct tls_server *s, SSL *ssl)
{
    char bytes[10000], byte;
    (void)s;
    memset(bytes, 'r', sizeof bytes);
    SSL_write(ssl, bytes, sizeof bytes);
    SSL_read(ssl, &byte, 1);
}

/* The socket is not readable any more when the record has come, so the flag alone tells that there is more.
 */
static void what_is_left_of_a_record_is_told_as_buffered(void **state)
{
    (void)state;
    char bytes[1000];
    struct tls_server s = {.certificate = &good, .serve = serve_one_large_record};
    struct transport *t = connect_tls(&s);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(i == 0 ? recv_some(t, bytes, sizeof bytes) : t->recv(t, bytes, sizeof bytes),
                         sizeof bytes);
        assert_int_equal(t->buffered, i < 9);
    }
    assert_int_equal(t->recv(t, bytes, sizeof bytes), TRANSPORT_AGAIN);
    assert_false(t->buffered);
    t->close(t);
    tls_server_stop(&s);
}

static void a_large_transfer_both_ways_is_whole(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    uint8_t *out = x_malloc(BYTES), *in = x_malloc(BYTES);
    struct tls_server s = {.certificate = &good, .serve = serve_echo};
    struct transport *t = connect_tls(&s);
    for (size_t i = 0; i < BYTES; i++)
        out[i] = (uint8_t)(i * 11 + (i >> 10));
    exchange(t, out, in, BYTES);
    assert_memory_equal(in, out, BYTES);
    t->close(t);
    tls_server_stop(&s);
    free(out);
    free(in);
}

static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 7 + (position >> 8));
}

enum { GATE_BYTES = 16 << 20 };

/* Reads nothing before the gate opens; then counts what came, as long as it is what byte_at() says. */
static void serve_after_the_gate(struct tls_server *s, SSL *ssl)
{
    static uint8_t bytes[65536];
    struct pollfd p = {.fd = s->gate[0], .events = POLLIN};
    if (poll(&p, 1, DEADLINE_MS) != 1)
        return;
    for (int n; s->got < GATE_BYTES && (n = SSL_read(ssl, bytes, sizeof bytes)) > 0;)
        for (int i = 0; i < n; i++)
            s->got += bytes[i] == byte_at(s->got);
    SSL_write(ssl, "x", 1);
}

/* OpenSSL wants to see what it refused once more: from another place, and with more behind it, is as good. */
static void a_full_socket_is_again_and_nothing_is_lost(void **state)
{
    (void)state;
    uint8_t *first = x_malloc(GATE_BYTES), *second = x_malloc(GATE_BYTES), byte;
    struct tls_server s = {.certificate = &good, .serve = serve_after_the_gate};
    ssize_t n;
    size_t sent = 0;
    for (size_t i = 0; i < GATE_BYTES; i++)
        first[i] = second[i] = byte_at(i);
    assert_int_equal(pipe(s.gate), 0);
    struct transport *t = connect_tls(&s);
    do {
        struct iovec part = {first + sent, 1000};
        n = t->send(t, &part, 1);
        sent += n > 0 ? (size_t)n : 0;
    } while (n > 0 && sent < GATE_BYTES - 1000);
    assert_int_equal(n, TRANSPORT_AGAIN);
    assert_true(t->want_write);
    assert_int_equal(write(s.gate[1], "x", 1), 1);
    memset(first, 0, GATE_BYTES);
    send_all(t, second + sent, GATE_BYTES - sent);
    recv_all(t, &byte, 1);
    t->close(t);
    tls_server_stop(&s);
    assert_int_equal(s.got, GATE_BYTES);
    close(s.gate[0]);
    close(s.gate[1]);
    free(first);
    free(second);
}

static void sending_to_a_gone_peer_fails_without_a_signal(void **state)
{
    (void)state;
    ssize_t n = 1;
    struct iovec part = {"xxxx", 4};
    struct tls_server s = {.certificate = &good};
    struct transport *t = connect_tls(&s);
    tls_server_stop(&s);
    for (unsigned i = 0; i < 100000 && n != TRANSPORT_FAILED; i++)
        n = t->send(t, &part, 1);
    assert_int_equal(n, TRANSPORT_FAILED);
    assert_non_null(strstr(t->error, "sending by TLS: "));
    t->close(t);
}

static void a_server_that_speaks_no_tls_is_told(void **state)
{
    (void)state;
    static const char answer[] = "-ERR unknown command\r\n";
    uint16_t port;
    int listener = listen_on_loopback(&port);
    struct transport *t = open_tls("127.0.0.1", port);
    int peer = accept_one(listener);
    assert_int_equal(t->handshake(t), TRANSPORT_AGAIN);
    assert_int_equal(send(peer, answer, sizeof answer - 1, 0), sizeof answer - 1);
    assert_int_equal(shake_hands(t), TRANSPORT_FAILED);
    assert_non_null(strstr(t->error, "TLS handshake: "));
    t->close(t);
    close(peer);

    t = open_tls("127.0.0.1", port);
    peer = accept_one(listener);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_int_equal(shake_hands(t), TRANSPORT_FAILED);
    assert_non_null(strstr(t->error, "check that this port uses TLS"));
    t->close(t);
    close(peer);
    close(listener);
}

static void a_tls_socket_is_not_given_away(void **state)
{
    (void)state;
    struct tls_server s = {.certificate = &good, .serve = serve_echo};
    struct transport *t = connect_tls(&s);
    assert_int_equal(transport_release_fd(t), -1);
    t->close(t);
    tls_server_stop(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_pass_both_ways),
        TEST(a_name_is_checked_and_sent_as_sni),
        TEST(a_certificate_of_somebody_else_is_refused),
        TEST(a_certificate_for_another_host_is_refused),
        TEST(a_certificate_that_has_ended_is_refused),
        TEST(insecure_takes_any_certificate),
        TEST(versions_before_1_2_are_refused),
        TEST(version_1_2_is_taken),
        TEST(a_client_certificate_is_given_where_demanded),
        TEST(without_the_certificate_demanded_the_connection_fails),
        TEST(files_that_cannot_be_used_are_named),
        TEST(the_peers_end_is_zero_with_and_without_its_goodbye),
        TEST(what_is_left_of_a_record_is_told_as_buffered),
        TEST(a_large_transfer_both_ways_is_whole),
        TEST(a_full_socket_is_again_and_nothing_is_lost),
        TEST(sending_to_a_gone_peer_fails_without_a_signal),
        TEST(a_server_that_speaks_no_tls_is_told),
        TEST(a_tls_socket_is_not_given_away),
    };
    return cmocka_run_group_tests(tests, setup_files, remove_files);
}
