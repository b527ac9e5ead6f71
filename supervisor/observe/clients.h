/* Those who ask this process something over a socket: a request, an answer, the end. However many they are and however
 * slow, they cost a bounded number of descriptors and a bounded time: at the limit one more ends the oldest, each has a
 * deadline from its first to its last byte, and where the process has no descriptor left the listening socket rests. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_CLIENTS_H
#define DF2REDIS_SUPERVISOR_OBSERVE_CLIENTS_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct clients;

struct clients_config {
    const char *what; /* "the control socket": for the log */
    size_t limit;
    uint32_t deadline_ms;
    size_t request_bytes; /* one that is as long and not whole ends its connection */
    /* Something has come. Takes a whole request from input and answers it, or leaves it alone. */
    void (*on_input)(struct client *client, struct evbuffer *input, void *arg);
    void *arg;
};

/* fd: listens, does not block; the clients' from now on. NULL: no memory; then fd is still the caller's. */
struct clients *clients_open(struct event_base *base, int fd, const struct clients_config *config);
size_t clients_count(const struct clients *c);
/* To all that are held. */
void clients_tell_held(struct clients *c, const char *line);
/* Ends all connections, those that are held too. */
void clients_close(struct clients *c);

/* What is put there goes out after client_answered. */
struct evbuffer *client_output(struct client *client);
void client_answered(struct client *client);
/* Answered, but open until clients_close, without a deadline. */
void client_hold(struct client *client);
void client_end(struct client *client);

#endif
