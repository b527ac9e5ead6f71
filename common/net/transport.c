/* Connecting, and the plain transport. */
#include "common/net/transport_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

/* A peer that vanished is detected after idle + probes × interval, or after UNACKNOWLEDGED_MS without an
 * acknowledgement of sent bytes. */
enum { KEEPALIVE_IDLE_S = 10, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_PROBES = 3, UNACKNOWLEDGED_MS = 30 * 1000 };

static ssize_t plain_recv(struct transport *t, void *into, size_t bytes)
{
    ssize_t n;
    do
        n = recv(t->fd, into, bytes, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    t->want_write = false;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return TRANSPORT_AGAIN;
    return transport_fail(t, "receiving: %s", strerror(errno));
}

static ssize_t plain_send(struct transport *t, const struct iovec *parts, int count)
{
    struct msghdr header = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = sendmsg(t->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    t->want_write = true;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return TRANSPORT_AGAIN;
    return transport_fail(t, "sending: %s", strerror(errno));
}

static int plain_handshake(struct transport *t)
{
    (void)t;
    return 1;
}

static void transport_free(struct transport *t)
{
    struct transport_private *p = transport_private(t);
    transport_tls_free(p->tls);
    if (p->addresses)
        freeaddrinfo(p->addresses);
    free(p);
}

static void transport_close(struct transport *t)
{
    int fd = t->fd;
    transport_free(t);
    if (fd >= 0)
        close(fd);
}

static void set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS},
    };
    /* All of them are optional. */
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

/* A socket that is connected or about to be; -1 and errno. */
static int begin_connect(int family, const struct sockaddr *address, socklen_t bytes)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX)
        set_tcp_options(fd);
    if (connect(fd, address, bytes) == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Tries the remaining addresses until one does not fail immediately. */
static bool try_addresses(struct transport_private *p)
{
    errno = EADDRNOTAVAIL;
    while (p->next) {
        const struct addrinfo *a = p->next;
        p->next = a->ai_next;
        int fd = begin_connect(a->ai_family, a->ai_addr, a->ai_addrlen);
        if (fd >= 0) {
            p->public.fd = fd;
            return true;
        }
    }
    return false;
}

static bool look_up(struct transport_private *p, const struct uri *uri, struct error *error)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char port[8];
    snprintf(port, sizeof port, "%u", uri->port);
    int result = getaddrinfo(uri->address ? uri->address : uri->host, port, &hints, &p->addresses);
    if (result == EAI_NONAME && !uri->address) {
        hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
        result = uri_look_up(uri->host, port, &hints, &p->addresses);
    }
    if (result == 0) {
        p->next = p->addresses;
        return true;
    }
    p->addresses = NULL;
    /* Retried: the name of a service does not resolve while its only server restarts. */
    return error_set(error, ERROR_RETRY, "looking up %s: %s; check the host's name", p->name,
                     result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
}

static bool connect_error(const struct transport_private *p, int number, struct error *error)
{
    static const struct {
        int number;
        const char *what_to_do;
    } known[] = {{ECONNREFUSED, ": start the server, or correct host and port"},
                 {ENOENT, ": start the server, or correct the socket's path"},
                 {EACCES, ": give this user the right to the socket"},
                 {EHOSTUNREACH, ": see to the network and its firewalls, or correct the host"},
                 {ENETUNREACH, ": see to the network and its firewalls, or correct the host"},
                 {ETIMEDOUT, ": see to the network and its firewalls, or correct host and port"}};
    const char *what_to_do = "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number)
            what_to_do = known[i].what_to_do;
    return error_set(error, ERROR_RETRY, "connecting to %s: %s%s", p->name, strerror(number), what_to_do);
}

static bool connect_unix(struct transport_private *p, const struct uri *uri, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(uri->host);
    if (len >= sizeof address.sun_path)
        return error_fatal(error, EX_USAGE, "%s: a socket's path has at most %zu bytes", p->name,
                           sizeof address.sun_path - 1);
    memcpy(address.sun_path, uri->host, len);
    p->public.fd = begin_connect(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
    return p->public.fd >= 0 || connect_error(p, errno, error);
}

struct transport *transport_open(const struct uri *uri, const struct settings *tls, struct error *error)
{
    if (uri->null_sink || !uri->host) {
        error_fatal(error, EX_USAGE, "there is no host to connect to");
        return NULL;
    }
    struct transport_private *p = x_calloc(1, sizeof *p);
    struct transport *t = &p->public;
    *t = (struct transport){.recv = plain_recv,
                            .send = plain_send,
                            .handshake = plain_handshake,
                            .close = transport_close,
                            .fd = -1};
    uri_display(uri, p->name, sizeof p->name);
    bool good;
    if (uri->unix_socket) {
        good = connect_unix(p, uri, error);
    } else {
        good = look_up(p, uri, error);
        if (good && !(good = try_addresses(p)))
            connect_error(p, errno, error);
    }
    if (good && uri->tls)
        good = transport_tls_begin(t, uri, tls, error);
    if (good)
        return t;
    transport_close(t);
    return NULL;
}

bool transport_connected(struct transport *t, struct error *error)
{
    int result = 0;
    socklen_t bytes = sizeof result;
    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &result, &bytes) < 0)
        result = errno;
    return result == 0 || connect_error(transport_private(t), result, error);
}

bool transport_next_address(struct transport *t)
{
    struct transport_private *p = transport_private(t);
    int old = t->fd;
    if (!try_addresses(p))
        return false;
    close(old);
    return true;
}

int transport_release_fd(struct transport *t)
{
    if (transport_private(t)->tls)
        return -1;
    int fd = t->fd;
    transport_free(t);
    return fd;
}
