/* Clients of a listening socket: a request, an answer, the end. Many or slow clients cost a bounded number of descriptors
 * and a bounded time: a client beyond the limit ends the oldest one, each has a deadline for request and answer, and a
 * process without free descriptors stops listening for a moment. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_CLIENTS_H
#define DF2REDIS_SUPERVISOR_OBSERVE_CLIENTS_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct clients;

/* A conversation after the request. */
struct client_dialog {
    void *arg;
    void (*on_line)(const char *line, void *arg); /* each further line of the client */
    void (*on_gone)(void *arg);                   /* its connection has ended */
};

struct clients_config {
    const char *what; /* "the control socket": for the log */
    size_t limit;
    uint32_t deadline_ms;
    size_t request_bytes; /* a longer request ends its connection */
    /* Bytes have come. Takes a whole request from input and answers it, or leaves an incomplete one there. */
    void (*on_input)(struct client *client, struct evbuffer *input, void *arg);
    void *arg;
};

/* fd: a listening, non-blocking socket, owned by the clients. NULL: no memory; fd stays the caller's. */
struct clients *clients_open(struct event_base *base, int fd, const struct clients_config *config);
size_t clients_count(const struct clients *c);
/* Sends the line to all held clients. */
void clients_tell_held(struct clients *c, const char *line);
/* Ends all connections, also the held ones. */
void clients_close(struct clients *c);
/* As clients_close, but the held connections stay open until the process exits. */
void clients_leave(struct clients *c);

/* Whether the client of a Unix socket is a process of this user, or of root. */
bool client_is_owner(struct client *client);
/* The answer's buffer, sent after client_answered. */
struct evbuffer *client_output(struct client *client);
void client_answered(struct client *client);
/* The answer goes out, and the connection stays open until clients_close, without a deadline. */
void client_hold(struct client *client);
/* The same with a conversation, until client_end_dialog; clients_tell_held leaves it out. */
void client_begin_dialog(struct client *client, const struct client_dialog *dialog);
/* What was written is sent, and the connection ends; or it stays held. on_gone is not called. */
void client_end_dialog(struct client *client, bool stays);
void client_end(struct client *client);

#endif
