/* A TLS server in a thread, with a self-signed certificate made on the spot. It takes one connection. */
#ifndef DF2REDIS_TESTS_UNIT_COMMON_NET_TLS_TESTING_H
#define DF2REDIS_TESTS_UNIT_COMMON_NET_TLS_TESTING_H

#include "tests/unit/common/net/transport_testing.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>

struct certificate {
    char cert_file[80], key_file[80];
};

static inline EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    assert_non_null(c);
    assert_int_equal(EVP_PKEY_keygen_init(c), 1);
    assert_int_equal(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(c, NID_X9_62_prime256v1), 1);
    assert_int_equal(EVP_PKEY_keygen(c, &key), 1);
    EVP_PKEY_CTX_free(c);
    return key;
}

static inline void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX c;
    X509V3_set_ctx_nodb(&c);
    X509V3_set_ctx(&c, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &c, nid, (char *)(uintptr_t)value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* names: "DNS:localhost,IP:127.0.0.1". days: from now; negative: it has ended. */
static inline struct certificate make_certificate(const char *directory, const char *file, const char *names,
                                                  int days)
{
    struct certificate files;
    EVP_PKEY *key = make_key();
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600L * 24 * 30);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600L * 24 * days);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)file, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, NID_subject_alt_name, names);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    snprintf(files.cert_file, sizeof files.cert_file, "%s/%s.crt", directory, file);
    snprintf(files.key_file, sizeof files.key_file, "%s/%s.key", directory, file);
    FILE *f = fopen(files.cert_file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    fclose(f);
    f = fopen(files.key_file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
    return files;
}

static inline void remove_certificate(const struct certificate *files)
{
    unlink(files->cert_file);
    unlink(files->key_file);
}

struct tls_server {
    /* Set before the start. */
    const struct certificate *certificate;
    const char *client_ca_file; /* demands a client's certificate */
    int max_version;            /* 0: any */
    void (*serve)(struct tls_server *s, SSL *ssl);
    /* Its own. */
    uint16_t port;
    int listener, fd;
    pthread_t thread;
    SSL_CTX *context;
    bool accepted; /* the handshake succeeded */
    bool goodbye;  /* the client ended with a close_notify */
    char sni[64];  /* the name the client asked for */
    size_t got;    /* what `serve` counts */
    int gate[2];   /* a pipe, for `serve` to wait on */
};

static inline void *tls_server_run(void *arg)
{
    struct tls_server *s = arg;
    struct pollfd p = {.fd = s->listener, .events = POLLIN};
    struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
    if (poll(&p, 1, DEADLINE_MS) != 1 || (s->fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        return NULL;
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    SSL *ssl = SSL_new(s->context);
    SSL_set_fd(ssl, s->fd);
    s->accepted = SSL_accept(ssl) == 1;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(s->sni, sizeof s->sni, "%s", name ? name : "");
    if (s->accepted && s->serve)
        s->serve(s, ssl);
    SSL_free(ssl);
    close(s->fd);
    return NULL;
}

static inline void tls_server_start(struct tls_server *s)
{
    sigset_t pipe_signal, before;
    s->context = SSL_CTX_new(TLS_server_method());
    assert_non_null(s->context);
    assert_int_equal(SSL_CTX_use_certificate_file(s->context, s->certificate->cert_file, SSL_FILETYPE_PEM),
                     1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(s->context, s->certificate->key_file, SSL_FILETYPE_PEM), 1);
    if (s->client_ca_file) {
        assert_int_equal(SSL_CTX_load_verify_locations(s->context, s->client_ca_file, NULL), 1);
        SSL_CTX_set_verify(s->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    if (s->max_version) {
        SSL_CTX_set_cipher_list(s->context, "ALL:@SECLEVEL=0");
        SSL_CTX_set_min_proto_version(s->context, s->max_version);
        SSL_CTX_set_max_proto_version(s->context, s->max_version);
    }
    s->listener = listen_on_loopback(&s->port);
    /* OpenSSL's own socket BIO raises SIGPIPE; the client's must not, so only this thread is shielded from
     * it. */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    assert_int_equal(pthread_create(&s->thread, NULL, tls_server_run, s), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Waits until it is done with its connection. */
static inline void tls_server_stop(struct tls_server *s)
{
    pthread_join(s->thread, NULL);
    close(s->listener);
    SSL_CTX_free(s->context);
}

/* ---- what a server may do once the handshake is done ---- */

static inline void serve_echo(struct tls_server *s, SSL *ssl)
{
    static _Thread_local char bytes[65536];
    for (int n; (n = SSL_read(ssl, bytes, sizeof bytes)) > 0;)
        if (SSL_write(ssl, bytes, n) != n)
            return;
    s->goodbye = (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
    SSL_shutdown(ssl);
}

#endif
