/* One thread accepts, one for each connection passes bytes on. Blocking, for it is only a test's. */
#include "tests/support/tls_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { CONNECTIONS_MAX = 256, BYTES = 16384 };

struct tls_proxy {
    SSL_CTX *context;
    int listener;
    uint16_t to_port;
    char uri[48];
    pthread_t thread;
    atomic_uint connections;
    pthread_t workers[CONNECTIONS_MAX];
    atomic_int plain[CONNECTIONS_MAX]; /* of each connection, for ending it; -1 */
};

struct passing {
    struct tls_proxy *proxy;
    unsigned index;
    int fd;
};

static int connect_plain(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool write_all(int fd, const char *data, ssize_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, (size_t)len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= n;
    }
    return true;
}

static void pass(SSL *ssl, int fd, int plain)
{
    char data[BYTES];
    for (;;) {
        struct pollfd ends[] = {{fd, POLLIN, 0}, {plain, POLLIN, 0}};
        if (!SSL_pending(ssl) && poll(ends, 2, -1) < 0)
            return;
        if (SSL_pending(ssl) || ends[0].revents) {
            int n = SSL_read(ssl, data, sizeof data);
            if (n <= 0 || !write_all(plain, data, n))
                return;
        }
        if (ends[1].revents) {
            ssize_t n = recv(plain, data, sizeof data, 0);
            if (n <= 0 || SSL_write(ssl, data, (int)n) != n)
                return;
        }
    }
}

static void *run_connection(void *arg)
{
    struct passing p = *(struct passing *)arg;
    free(arg);
    SSL *ssl = SSL_new(p.proxy->context);
    SSL_set_fd(ssl, p.fd);
    int plain = SSL_accept(ssl) == 1 ? connect_plain(p.proxy->to_port) : -1;
    if (plain >= 0) {
        atomic_store(&p.proxy->plain[p.index], plain);
        pass(ssl, p.fd, plain);
        SSL_shutdown(ssl);
        if (atomic_exchange(&p.proxy->plain[p.index], -1) >= 0)
            close(plain);
    }
    SSL_free(ssl);
    close(p.fd);
    return NULL;
}

static void *run_listener(void *arg)
{
    struct tls_proxy *p = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (atomic_load(&p->connections) < CONNECTIONS_MAX) {
        struct pollfd ready = {p->listener, POLLIN, 0};
        int fd = poll(&ready, 1, -1) == 1 ? accept4(p->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd < 0)
            return NULL;
        unsigned i = atomic_load(&p->connections);
        struct passing *passing = x_malloc(sizeof *passing);
        *passing = (struct passing){p, i, fd};
        if (pthread_create(&p->workers[i], NULL, run_connection, passing) != 0)
            die("no thread for a TLS connection");
        atomic_store(&p->connections, i + 1);
    }
    return NULL;
}

struct tls_proxy *tls_proxy_start(uint16_t to_port, const char *cert_file, const char *key_file)
{
    struct tls_proxy *p = x_calloc(1, sizeof *p);
    uint16_t port = 0;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        atomic_store(&p->plain[i], -1);
    p->to_port = to_port;
    p->context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_file(p->context, cert_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(p->context, key_file, SSL_FILETYPE_PEM) != 1)
        die("the test's certificate %s cannot be used", cert_file);
    p->listener = listen_on(&port);
    if (p->listener < 0 || pthread_create(&p->thread, NULL, run_listener, p) != 0)
        die("no TLS listener");
    snprintf(p->uri, sizeof p->uri, "rediss://localhost:%u", port);
    return p;
}

void tls_proxy_stop(struct tls_proxy *p)
{
    if (!p)
        return;
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
    for (unsigned i = 0; i < atomic_load(&p->connections); i++) {
        int plain = atomic_load(&p->plain[i]);
        if (plain >= 0)
            shutdown(plain, SHUT_RDWR);
        pthread_join(p->workers[i], NULL);
    }
    SSL_CTX_free(p->context);
    free(p);
}

const char *tls_proxy_uri(const struct tls_proxy *p)
{
    return p->uri;
}

unsigned tls_proxy_connections(struct tls_proxy *p)
{
    return atomic_load(&p->connections);
}
