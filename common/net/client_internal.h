/* Internal to client*.c; client.h draws the calls. */
#ifndef DF2REDIS_COMMON_NET_CLIENT_INTERNAL_H
#define DF2REDIS_COMMON_NET_CLIENT_INTERNAL_H

#include "common/net/client.h"
#include "common/net/resp.h"

enum client_state { CLIENT_CONNECTING, CLIENT_HANDSHAKE, CLIENT_GREETING, CLIENT_READY, CLIENT_OVER };

struct pending {
    struct pending *next;
    client_reply on_reply;
    void *arg;
    uint32_t timeout_ms;
    uint64_t deadline_ms; /* 0: none, or not ready yet */
};

struct client {
    struct event_base *base;
    struct event *readable, *writable, *timer;
    struct transport *transport;
    struct client_callbacks callbacks;
    enum client_state state;
    int depth;                                       /* of entries from libevent */
    bool freed;                                      /* by its owner; ends with the last client_leave() */
    bool read_waits_for_write, write_waits_for_read; /* TLS */
    bool import_source;                              /* the target has taken that */
    uint32_t connect_timeout_ms;
    uint64_t newest_deadline_ms; /* of the command that was queued last */
    uint64_t timer_ms;           /* when the timer fires; 0: it is not set */
    uint64_t connect_deadline_ms;
    uint64_t address_deadline_ms; /* until the next address of the name is tried; 0: there is none */
    uint64_t received;            /* bytes */
    struct buf out;
    struct resp_reader reader;
    struct pending *first, **last;
    char what[40];
    char name[120]; /* of the peer */
};

/* client_internal.c: called by all that follows. */

/* Appends the command to the buffer and its callback to the queue. */
void client_queue(struct client *c, uint32_t timeout_ms, client_reply on_reply, void *arg, size_t argc,
                  const struct slice *argv);
void client_drop_events(struct client *c);
void client_drop_connection(struct client *c);
void client_drop_pending(struct client *c);
/* Ends the client and calls its owner's failed(), once. */
void client_fail(struct client *c, const struct error *error);
/* client_fail with ERROR_RETRY. */
void client_fail_lost(struct client *c, const char *how);

/* client_greeting.c */

/* Queues AUTH and SELECT as the URI wants them, and CLIENT IMPORT-SOURCE to a target. */
void client_greet(struct client *c, const struct uri *uri);
bool client_is_greeting(const struct pending *p);
/* True: the reply was an error that refuses the client, for any command (NOAUTH, DENIED, too many clients); the client
 * has failed. */
bool client_refused(struct client *c, const redisReply *reply);

/* client_exchange.c */

/* Reads from the socket and dispatches the replies. */
void client_read(struct client *c);
/* Sends from the buffer until it is empty or the socket is full. */
void client_write(struct client *c);
/* After the greeting: starts the time-outs of the queued commands, and calls the owner's ready(). */
void client_become_ready(struct client *c);

#endif
