/* A RESP client that never blocks: connects, authenticates, sends commands, hands out replies in order.
 *
 * For the few commands of a handshake or a probe (supervisor: control connection and FLOWs, target checks;
 * worker: probing the target). The data path has worker/link/link.h. Replies are hiredis's redisReply, read by its
 * reader.
 *
 *   client.c             life, events, connecting ──→ transport.c            connects, plain sockets
 *      ↓                                                   ↓
 *   client_exchange.c    commands out, replies in        transport_tls.c       TLS, by OpenSSL
 *      ↓                                                   ↓
 *   client_greeting.c    AUTH, SELECT, import source,    transport_internal.c  an error's text
 *      ↓                 refusals
 *   client_internal.c    queue, drop, fail ──→ resp.c    RESP read and written
 *
 * Each calls what is below it, not only the next. Bytes go through the transport's functions, so that only
 * client.c names transport.c. */
#ifndef DF2REDIS_COMMON_NET_CLIENT_H
#define DF2REDIS_COMMON_NET_CLIENT_H

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "common/net/transport.h"

struct client;

struct client_callbacks {
    void *arg;
    /* Connected, TLS done, AUTH and (db != 0) SELECT answered. */
    void (*ready)(struct client *c, void *arg);
    /* Could not connect, refused, lost, or timed out. Called once; the owner then frees the client (client_free is
     * allowed inside). */
    void (*failed)(struct client *c, const struct error *error, void *arg);
};

/* what: "source", "target", "flow 3": for messages. One that begins with "target" is marked as an import
 * source. */
struct client *client_connect(struct event_base *base, const struct uri *uri, const struct settings *settings,
                              const char *what, const struct client_callbacks *callbacks,
                              struct error *error);
void client_free(struct client *c);

typedef void (*client_reply)(struct client *c, const redisReply *reply, void *arg);
/* Queues a command. timeout_ms: a later reply fails the client; 0 = no limit. on_reply NULL: the reply is ignored.
 * (REPLCONF ACK has no reply: use client_send.) */
void client_command(struct client *c, uint32_t timeout_ms, client_reply on_reply, void *arg, size_t argc,
                    const struct slice *argv);
/* The same from words, NULL-terminated. */
void client_words(struct client *c, uint32_t timeout_ms, client_reply on_reply, void *arg, ...)
    __attribute__((sentinel));
/* Sets the largest reply; default 8 MiB. */
void client_reply_limit(struct client *c, size_t max_bytes);
/* The target is in import mode, where nothing expires, and shows this client what is past its time, too. Known
 * as soon as the owner's first command is answered. */
bool client_is_import_source(const struct client *c);
/* Sends a command that has no reply. */
void client_send(struct client *c, size_t argc, const struct slice *argv);

/* Detaches the socket, to hand a FLOW to a worker; needs a plain connection with nothing unread or unsent. *received:
 * bytes read from it so far. Returns -1 otherwise. After success the client can only be freed. */
int client_detach(struct client *c, uint64_t *received);
/* The same with the whole transport, TLS included; NULL if bytes are unread or unsent. */
struct transport *client_take_transport(struct client *c);

#endif
