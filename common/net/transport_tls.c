/* TLS over a transport's socket, by OpenSSL.
 *
 * OpenSSL reads and writes through a BIO of ours, whose send(2) carries MSG_NOSIGNAL (its own socket BIO
 * would raise SIGPIPE) and which looks up the socket each time, so that the next address may be tried. */
#include "common/net/transport_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>

enum { PLAIN_MAX_BYTES = 16 << 10 }; /* of a TLS record */

struct transport_tls {
    SSL_CTX *context;
    SSL *ssl;
    BIO_METHOD *method;
    bool broken;                    /* after an error SSL must not be used again, not even to say goodbye */
    uint8_t plain[PLAIN_MAX_BYTES]; /* small parts are put together to one record */
};

static int bio_write(BIO *bio, const char *bytes, int len)
{
    const struct transport *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(t->fd, bytes, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)n;
}

static int bio_read(BIO *bio, char *into, int len)
{
    const struct transport *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = recv(t->fd, into, (size_t)len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_read(bio);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "df2redis socket");
    if (!m)
        return NULL;
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_ctrl(m, bio_control);
    BIO_meth_set_create(m, bio_create);
    return m;
}

/* The text of OpenSSL's error; empties its queue. */
static void openssl_reason(char *out, size_t out_bytes)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    snprintf(out, out_bytes, "%s", text ? text : code ? "an error without a name" : "no reason given");
    ERR_clear_error();
}

/* Translates the failure of an SSL_ call into a result of the transport. 0: the peer closed the connection. */
static int explain_failure(struct transport *t, int result, const char *doing)
{
    struct transport_tls *tls = transport_private(t)->tls;
    int saved = errno;
    char text[120];
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        t->want_write = false;
        return TRANSPORT_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->want_write = true;
        return TRANSPORT_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        tls->broken = true;
        if (ERR_peek_error() == 0 && (result == 0 || saved == 0))
            return 0;
        if (ERR_peek_error() == 0)
            return transport_fail(t, "%s: %s", doing, strerror(saved));
        break;
    default:
        tls->broken = true;
        break;
    }
    long verified = SSL_get_verify_result(tls->ssl);
    if (verified != X509_V_OK && !SSL_is_init_finished(tls->ssl)) {
        t->hopeless = true;
        ERR_clear_error();
        return transport_fail(t,
                              "the certificate of the server is rejected: %s; set --tls-ca to the CA that "
                              "signed it, or correct the host name",
                              X509_verify_cert_error_string(verified));
    }
    openssl_reason(text, sizeof text);
    return transport_fail(t, "%s: %s", doing, text);
}

static int tls_handshake(struct transport *t)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_connect(transport_private(t)->tls->ssl);
    if (result == 1)
        return 1;
    int meaning = explain_failure(t, result, "TLS handshake");
    return meaning == 0
               ? transport_fail(t,
                                "the server closed the connection in the TLS handshake; check that this port "
                                "uses TLS")
               : meaning;
}

static ssize_t tls_recv(struct transport *t, void *into, size_t bytes)
{
    SSL *ssl = transport_private(t)->tls->ssl;
    size_t got = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(ssl, into, bytes, &got);
    t->buffered = result == 1 && SSL_has_pending(ssl) == 1;
    return result == 1 ? (ssize_t)got : explain_failure(t, result, "receiving by TLS");
}

/* Sends one record from the parts. After AGAIN OpenSSL requires the same bytes again; more may follow them. */
static ssize_t tls_send(struct transport *t, const struct iovec *parts, int count)
{
    struct transport_tls *tls = transport_private(t)->tls;
    size_t len = 0, sent = 0;
    for (int i = 0; i < count && len < PLAIN_MAX_BYTES; i++) {
        size_t room = PLAIN_MAX_BYTES - len;
        size_t n = parts[i].iov_len < room ? parts[i].iov_len : room;
        if (n > 0)
            memcpy(tls->plain + len, parts[i].iov_base, n);
        len += n;
    }
    if (len == 0)
        return 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(tls->ssl, tls->plain, len, &sent);
    if (result == 1)
        return (ssize_t)sent;
    int meaning = explain_failure(t, result, "sending by TLS");
    return meaning == 0 ? transport_fail(t, "sending by TLS: the server closed the connection") : meaning;
}

void transport_tls_free(struct transport_tls *tls)
{
    if (!tls)
        return;
    if (tls->ssl && !tls->broken && SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl); /* sends close_notify, without waiting for the answer */
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    ERR_clear_error();
    explicit_bzero(tls->plain, sizeof tls->plain);
    free(tls);
}

static bool refuse_file(const char *option, const char *path, struct error *error)
{
    char text[120];
    openssl_reason(text, sizeof text);
    return error_fatal(error, EX_CONFIG, "%s: %s cannot be used: %s", option, path, text);
}

static bool set_certificates(SSL_CTX *context, const struct settings *s, struct error *error)
{
    if (s->tls_ca_file && SSL_CTX_load_verify_locations(context, s->tls_ca_file, NULL) != 1)
        return refuse_file("tls-ca", s->tls_ca_file, error);
    if (!s->tls_ca_file && SSL_CTX_set_default_verify_paths(context) != 1)
        return refuse_file("tls-ca", "the system's list of certificates", error);
    if (s->tls_cert_file && SSL_CTX_use_certificate_chain_file(context, s->tls_cert_file) != 1)
        return refuse_file("tls-cert", s->tls_cert_file, error);
    if (s->tls_key_file && SSL_CTX_use_PrivateKey_file(context, s->tls_key_file, SSL_FILETYPE_PEM) != 1)
        return refuse_file("tls-key", s->tls_key_file, error);
    if (s->tls_key_file && s->tls_cert_file && SSL_CTX_check_private_key(context) != 1)
        return refuse_file("tls-key", s->tls_key_file, error);
    SSL_CTX_set_verify(context, s->tls_insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return true;
}

/* Sets the name or address that the certificate must contain. */
static bool set_host(SSL *ssl, const char *host)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

/* Without this callback OpenSSL would ask for a passphrase on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static bool make_session(struct transport *t, const char *host)
{
    struct transport_tls *tls = transport_private(t)->tls;
    BIO *bio;
    if (!(tls->ssl = SSL_new(tls->context)) || !(tls->method = make_bio_method()) ||
        !(bio = BIO_new(tls->method)))
        return false;
    BIO_set_data(bio, t);
    SSL_set_bio(tls->ssl, bio, bio);
    return set_host(tls->ssl, host);
}

bool transport_tls_begin(struct transport *t, const struct uri *uri, const struct settings *settings,
                         struct error *error)
{
    struct transport_tls *tls = x_calloc(1, sizeof *tls);
    char text[120];
    transport_private(t)->tls = tls;
    ERR_clear_error();
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context) {
        SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
        SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
        SSL_CTX_set_options(tls->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
        SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
        if (!set_certificates(tls->context, settings, error))
            return false;
    }
    if (!tls->context || !make_session(t, uri->host)) {
        openssl_reason(text, sizeof text);
        return error_set(error, ERROR_RETRY, "%s: TLS cannot be set up: %s", transport_private(t)->name,
                         text);
    }
    t->handshake = tls_handshake;
    t->recv = tls_recv;
    t->send = tls_send;
    return true;
}
