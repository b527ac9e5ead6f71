/* A connection: four functions that hide whether TLS is in between. Never blocks. */
#ifndef DF2REDIS_COMMON_NET_TRANSPORT_H
#define DF2REDIS_COMMON_NET_TRANSPORT_H

#include <sys/types.h>
#include <sys/uio.h>

#include "common/settings/settings.h"

/* Both return bytes, 0 at the peer's end (recv only), or one of these. */
enum { TRANSPORT_AGAIN = -1, TRANSPORT_FAILED = -2 };

struct transport {
    ssize_t (*recv)(struct transport *t, void *into, size_t bytes);
    ssize_t (*send)(struct transport *t, const struct iovec *parts, int count);
    /* The handshake after connect(2), if there is one: 1 done, TRANSPORT_AGAIN, TRANSPORT_FAILED. */
    int (*handshake)(struct transport *t);
    void (*close)(struct transport *t); /* frees it */
    int fd;
    bool want_write; /* after AGAIN: wait for writability, not readability (TLS) */
    bool buffered;   /* recv has more without the socket being readable (TLS) */
    bool hopeless;   /* after FAILED: needs an operator (the certificate of the server was rejected) */
    char error[200]; /* after FAILED */
};

/* Starts a connection to the URI (TCP with keepalive and no delay, or a Unix socket). When the socket becomes writable,
 * call transport_connected(), then handshake. NULL and *error: it could not be started. */
struct transport *transport_open(const struct uri *uri, const struct settings *tls, struct error *error);
/* Result of connect(2). */
bool transport_connected(struct transport *t, struct error *error);
/* After transport_connected() returned false: starts a connection to the next address of the host name, with a new
 * t->fd. False: there is no further address. */
bool transport_next_address(struct transport *t);
/* Frees the transport and returns its socket; -1 with TLS, whose state cannot be transferred. */
int transport_release_fd(struct transport *t);

#endif
