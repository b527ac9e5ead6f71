/* What link.c (connecting, sending) and link_answers.c share. Not for others. */
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
    uint32_t backoff_ms;
    bool evicts_any;  /* the target, its own keys */
    bool marks_lost;  /* `trouble` says so */
    bool limits_told; /* by the target */
    bool broken;      /* the connection, by the other side */
    bool dead;        /* in a cluster, when lost */

    struct batch *first, *last, *sending;
    size_t window_bytes;
    size_t borrowing; /* batches with borrowed arguments */
    /* Trouble found while a callback of the reader runs: acted on when it has returned. */
    struct error trouble;
    /* What was not queued of the once batch that is answered: the commands that were refused for themselves,
     * each with its text (link_refused.c); and the first refusal that concerns the whole. */
    struct buf refused;
    size_t refused_count;
    bool queue_refused;
    enum refusal queue_refusal;
    char queue_text[200];
    char unknown[LINK_UNKNOWN_NAMES][LINK_NAME_BYTES]; /* commands that the target does not know */
    size_t unknown_count;
    bool must_not_fail; /* `trouble` says so */
    bool mark_refused;  /* behind ASKING, inside EXEC; queue_text says how */
};

/* link_answers.c: the reply_handler of a link that is ready. */
bool link_on_reply(void *arg, enum reply_kind kind, size_t elements, struct slice text);
void link_on_element(void *arg, size_t i, enum reply_kind kind, long long number, struct slice text);
/* link_refused.c: the target would not queue command number i. */
void link_note_refused(struct link *l, uint32_t i, struct slice text);
void link_forget_refused(struct link *l);
/* All that were noted are told and taken out, and the rest goes again. */
bool link_send_without(struct link *l, struct batch *b);
/* Before it is sent: takes out what the target does not know. */
bool link_strip_unknown(struct link *l, struct batch *b);
/* Is it one that nothing may follow? Then `trouble` tells. */
bool link_must_not_fail(struct link *l, const struct batch *b, uint32_t i, struct slice text);
/* Gives up all unanswered batches from *at on. */
void link_drop_batches(struct link *l, struct batch **at);

#endif
