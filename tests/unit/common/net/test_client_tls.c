/* The client over TLS. */
#include "tests/unit/common/net/client_testing.h"
#include "tests/unit/common/net/tls_testing.h"

/* Answers every read with one PONG. */
static void serve_pongs(struct tls_server *s, SSL *ssl)
{
    char bytes[256];
    (void)s;
    while (SSL_read(ssl, bytes, sizeof bytes) > 0)
        if (SSL_write(ssl, "+PONG\r\n", 7) != 7)
            return;
}

static void tls_carries_commands_and_is_not_detached_but_taken(void **state)
{
    (void)state;
    char directory[] = "/tmp/df2redis-client-XXXXXX";
    struct owner o = {0};
    struct error e;
    uint64_t received;
    assert_non_null(mkdtemp(directory));
    struct certificate certificate = make_certificate(directory, "c", "DNS:localhost,IP:127.0.0.1", 30);
    struct tls_server s = {.certificate = &certificate, .serve = serve_pongs};
    tls_server_start(&s);
    assert_true(settings_set(&settings, "tls-ca", certificate.cert_file, &e));
    make_ready(&o, uri_of("rediss://127.0.0.1:%u", s.port));
    for (unsigned i = 1; i <= 3; i++) {
        client_words(o.client, 5000, on_reply, &o, "PING", NULL);
        assert_true(reaches(&o.replies, i));
    }
    assert_said(&o, "PONG PONG PONG ");
    assert_int_equal(client_detach(o.client, &received), -1);
    struct transport *t = client_take_transport(o.client);
    assert_non_null(t);
    owner_done(&o);
    char bytes[8];
    send_all(t, "x", 1);
    recv_all(t, bytes, 7);
    assert_memory_equal(bytes, "+PONG\r\n", 7);
    t->close(t);
    tls_server_stop(&s);
    remove_certificate(&certificate);
    rmdir(directory);
}

static void the_connect_timeout_covers_the_tls_handshake(void **state)
{
    (void)state;
    uint16_t port;
    int listener = listen_on_loopback(&port);
    struct owner o = {0};
    settings.connect_timeout_ms = 100;
    settings.tls_insecure = true;
    owner_connect(&o, uri_of("rediss://127.0.0.1:%u", port), "source");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "the TLS handshake took longer than 100 ms");
    owner_done(&o);
    close(listener);
}

static void a_certificate_that_is_not_trusted_fails_the_client(void **state)
{
    (void)state;
    char directory[] = "/tmp/df2redis-client-XXXXXX";
    struct owner o = {0};
    assert_non_null(mkdtemp(directory));
    struct certificate certificate = make_certificate(directory, "c", "DNS:localhost,IP:127.0.0.1", 30);
    struct tls_server s = {.certificate = &certificate};
    tls_server_start(&s);
    owner_connect(&o, uri_of("rediss://127.0.0.1:%u", s.port), "target");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_FATAL, EX_CONFIG, "the certificate of the server is rejected");
    assert_non_null(strstr(o.error.text, "target rediss://127.0.0.1:"));
    owner_done(&o);
    tls_server_stop(&s);
    remove_certificate(&certificate);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tls_carries_commands_and_is_not_detached_but_taken),
        TEST(the_connect_timeout_covers_the_tls_handshake),
        TEST(a_certificate_that_is_not_trusted_fails_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
