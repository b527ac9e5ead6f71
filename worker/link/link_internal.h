/* Shared by link.c (connecting, sending), link_answers.c and link_refused.c only. */
#ifndef DF2REDIS_WORKER_LINK_LINK_INTERNAL_H
#define DF2REDIS_WORKER_LINK_LINK_INTERNAL_H

#include "worker/link/link.h"
#include "worker/link/reply_reader.h"

enum { LINK_BACKOFF_FIRST_MS = 100, LINK_UNKNOWN_NAMES = 32, LINK_NAME_BYTES = 40 };

struct greeting;

struct link {
    struct event_base *base;
    struct link_config config;
    struct link_callbacks callbacks;
    struct greeting *greeting;
    struct transport *transport; /* when ready */
    struct replies *replies;
    struct event *readable, *writable, *retry;
    struct event *look; /* when ready: the next question whether the target is still what was greeted */
    char replid[41];    /* its replication id then; empty: unknown */
    uint32_t backoff_ms;
    bool evicts_any;  /* the target may evict any key */
    bool marks_lost;  /* `trouble`: the target lost a mark, or has other data; the batch does not count */
    bool limits_told; /* the target has told its limits */
    bool broken;      /* the target closed the connection */
    bool dead;        /* lost, in a cluster */

    struct batch *first, *last, *sending;
    size_t window_bytes;
    size_t borrowing; /* batches with borrowed arguments */
    /* Set while a callback of the reader runs; handled after its return. */
    struct error trouble;
    /* Commands of the current once batch that were not queued, each with its error (link_refused.c); and the first
     * error that concerns the whole batch. */
    struct buf refused;
    size_t refused_count;
    bool queue_refused;
    enum refusal queue_refusal;
    char queue_text[200];
    char unknown[LINK_UNKNOWN_NAMES][LINK_NAME_BYTES]; /* commands unknown to the target */
    size_t unknown_count;
    bool must_not_fail; /* `trouble`: the target refused a mark or a SELECT */
    bool mark_refused;  /* the mark after ASKING, inside EXEC; error in queue_text */
};

/* link_answers.c: the reply_handler of a ready link. */
bool link_on_reply(void *arg, enum reply_kind kind, size_t elements, struct slice text);
void link_on_element(void *arg, size_t i, enum reply_kind kind, long long number, struct slice text);
/* link_refused.c: the target did not queue command number i. */
void link_note_refused(struct link *l, uint32_t i, struct slice text);
void link_forget_refused(struct link *l);
/* Reports and removes all such commands, and sends the batch again. */
bool link_send_without(struct link *l, struct batch *b);
/* Before sending: removes commands unknown to the target. */
bool link_strip_unknown(struct link *l, struct batch *b);
/* Whether the refused command is a mark or a SELECT, after which no command may run; sets `trouble`. */
bool link_must_not_fail(struct link *l, const struct batch *b, uint32_t i, struct slice text);
/* Drops all unanswered batches from *at on. */
void link_drop_batches(struct link *l, struct batch **at);

#endif
