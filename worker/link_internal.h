/* What link.c (connecting, sending) and link_answers.c share. Not for others. */
#ifndef DF2REDIS_LINK_INTERNAL_H
#define DF2REDIS_LINK_INTERNAL_H

#include "worker/link.h"
#include "worker/replies.h"

enum { LINK_BACKOFF_FIRST_MS = 100 };

struct greeting;

struct link {
    struct event_base *base;
    struct link_config config;
    struct link_callbacks callbacks;
    struct greeting *greeting;
    struct transport *transport; /* when ready */
    struct replies *replies;
    struct event *readable, *writable, *retry;
    uint32_t backoff_ms;
    bool limits_told; /* by the target */
    bool broken;      /* the connection, by the other side */
    bool dead; /* in a cluster, when lost */

    struct batch *first, *last, *sending;
    size_t window_bytes;
    size_t borrowing; /* batches with borrowed arguments */
    /* Trouble found while a callback of the reader runs: acted on when it has returned. */
    struct error trouble;
    /* A once batch's refusal to queue. */
    bool queue_refused;
    uint32_t queue_refused_at;
    enum refusal queue_refusal;
    char queue_text[200];
    bool select_refused; /* `trouble` says so */
    bool mark_refused;   /* behind ASKING, inside EXEC; queue_text says how */
};

/* link_answers.c: the reply_handler of a link that is ready. */
bool link_on_reply(void *arg, enum reply_kind kind, size_t elements, struct slice text);
void link_on_element(void *arg, size_t i, enum reply_kind kind, struct slice text);
/* Gives up all unanswered batches from *at on. */
void link_drop_batches(struct link *l, struct batch **at);

#endif
