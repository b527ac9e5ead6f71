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
    bool hopeless;   /* after FAILED: nothing but an operator helps (its certificate is not accepted) */
    char error[200]; /* after FAILED */
};

/* Begins to connect to the URI (TCP with keepalive and no delay, or a Unix socket); the socket becomes
 * writable when it is connected, then transport_connected() is asked, then handshake. NULL and *error when it
 * cannot even begin. */
struct transport *transport_open(const struct uri *uri, const struct settings *tls, struct error *error);
/* Result of connect(2). */
bool transport_connected(struct transport *t, struct error *error);
/* After transport_connected() said no: begins to connect to the next address that the host's name has. t->fd
 * is another socket then. False when there is none left. */
bool transport_next_address(struct transport *t);
/* Gives up the transport but keeps the socket; -1 with TLS in between, whose state cannot be given away. */
int transport_release_fd(struct transport *t);

#endif
