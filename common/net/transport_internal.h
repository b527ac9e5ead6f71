/* Shared by the two kinds of transport. Internal to transport*.c. */
#ifndef DF2REDIS_COMMON_NET_TRANSPORT_INTERNAL_H
#define DF2REDIS_COMMON_NET_TRANSPORT_INTERNAL_H

#include "common/net/transport.h"

#include <netdb.h>

struct transport_tls;

struct transport_private {
    struct transport public; /* first member: transport_private() casts */
    struct addrinfo *addresses, *next;
    char name[120]; /* of the peer, for messages */
    struct transport_tls *tls;
};

static inline struct transport_private *transport_private(struct transport *t)
{
    return (struct transport_private *)t;
}

/* Puts TLS over t, whose socket is not connected yet. */
bool transport_tls_begin(struct transport *t, const struct uri *uri, const struct settings *settings,
                         struct error *error);
void transport_tls_free(struct transport_tls *tls);
/* t->error from a sentence; returns TRANSPORT_FAILED. */
int transport_fail(struct transport *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
