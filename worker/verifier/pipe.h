/* A connection for many commands at once: requests are written one after the other, and each answer, in the order of
 * the requests, goes to the owner without an allocation. A large bulk string is read past, not kept.
 *
 * The client (common/net/client.h) connects and greets; its transport is taken over then. */
#ifndef DF2REDIS_WORKER_VERIFIER_PIPE_H
#define DF2REDIS_WORKER_VERIFIER_PIPE_H

#include <event2/event.h>

#include "common/settings/settings.h"

enum pipe_answer_type {
    PIPE_NIL,
    PIPE_BULK,
    PIPE_TOO_LARGE, /* a bulk string above the limit; `number` is its length */
    PIPE_INTEGER,
    PIPE_STATUS,
    PIPE_ERROR,
    PIPE_ARRAY, /* `text`: its elements as they were sent */
};

struct pipe_answer {
    enum pipe_answer_type type;
    struct slice text; /* borrowed until the callback returns */
    int64_t number;
};

struct pipe;

struct pipe_callbacks {
    void *arg;
    void (*ready)(void *arg);
    /* The answer to the oldest request; `owner` and `tag` are the request's. */
    void (*answer)(void *arg, void *owner, uint32_t tag, const struct pipe_answer *a);
    /* The connection is lost, or could not be made. The pipe is not to be used afterwards; pipe_free is not allowed in
     * here. */
    void (*failed)(void *arg, const struct error *error);
};

/* what: "source", "target": for messages. bulk_max: longer bulk strings are PIPE_TOO_LARGE. NULL and *error: it could
 * not be begun. */
struct pipe *pipe_open(struct event_base *base, const struct uri *uri, const struct settings *settings,
                       const char *what, const char *client_name, size_t bulk_max,
                       const struct pipe_callbacks *callbacks, struct error *error);
void pipe_free(struct pipe *p);
bool pipe_is_ready(const struct pipe *p);
/* Sent in the next turn of the event loop, with those that follow. */
void pipe_ask(struct pipe *p, void *owner, uint32_t tag, size_t argc, const struct slice *argv);
/* The database of the last SELECT; the owner keeps it. */
uint32_t *pipe_database(struct pipe *p);

#endif
