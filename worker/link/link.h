/* One connection to one target node: sends batches, matches replies in order, notices trouble.
 *
 * Connecting: AUTH, our name, an end to earlier connections of this FLOW (what they had sent and was not
 * read yet must not be carried out behind our back), the mark, what the target can do. Then batches: plain
 * ones pipelined up to the window, one that must not run twice (once) alone, so that a refusal in between can
 * never leave a later batch applied without an earlier one.
 *
 * After any doubt (connection lost, LOADING, OOM …) everything unanswered is given up: `lost` is called,
 * the link connects again by itself, with backoff, and `ready` tells the mark to go on from.
 *
 * In a cluster each master has one. There a link that was lost stays so: its owner makes another, perhaps to
 * another node. MOVED, ASK, TRYAGAIN and CLUSTERDOWN are told by `moved`: the commands around are carried
 * out. */
#ifndef DF2REDIS_WORKER_LINK_LINK_H
#define DF2REDIS_WORKER_LINK_LINK_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "common/redis/marks.h"
#include "common/settings/settings.h"
#include "worker/link/batch.h"
#include "worker/link/trouble.h"

#define LINK_EVICTED_TEXT                                                                                    \
    "the target has evicted the run's mark (maxmemory-policy allkeys-...), and so perhaps any key: give it " \
    "more memory and maxmemory-policy noeviction, then begin anew with --flush-target"

struct link;

struct link_callbacks {
    void *arg;
    /* Connected; the mark and the capabilities are fresh. */
    void (*ready)(void *arg, const struct mark *mark, const struct capabilities *target);
    /* Everything in the batch was carried out (refusals were told before). The batch is the callee's again.
     */
    void (*acknowledged)(void *arg, struct batch *b);
    /* Command number i of b was answered an error that waiting does not heal. */
    void (*refused)(void *arg, const struct batch *b, uint32_t i, const char *text);
    /* Command number i had OUTPUT_CONFLICT and was answered nil, 0, an empty array, an array with -2 in it,
     * or BUSYKEY. Perhaps more than once. */
    void (*conflict)(void *arg, const struct batch *b, uint32_t i);
    /* The unanswered batches are given up (the link frees them). ERROR_RETRY: it connects again.
     * ERROR_FATAL: it does not. */
    void (*lost)(void *arg, const struct error *error);
    /* The window has room again, or a borrowing batch went out whole. */
    void (*writable)(void *arg);
    /* The target is a Redis Cluster, and this link was not made for one: it is of no more use. */
    void (*is_cluster)(void *arg);
    /* In a cluster. Part of b was not carried out: that of `slot`, or, when it is negative, perhaps all of
     * it. */
    void (*moved)(void *arg, const struct batch *b, int slot, const char *text);
    /* b will never be acknowledged; the link frees it. Told of each before `lost`, and after `moved` of those
     * that were not sent yet. May be NULL. */
    void (*dropped)(void *arg, const struct batch *b);
    /* Asked while greeting a node of a cluster: the number of slots whose marks are to be read there … */
    size_t (*slots)(void *arg, const uint16_t **list);
    /* … and told for each: what stands there, or, with NULL, that it lies elsewhere by now. */
    void (*slot_mark)(void *arg, uint16_t slot, const struct slot_mark *mark);
};

/* mark_key: "df2redis:<name>", mark_field: "flow-N", node_field: "node-N"; client_name: without blanks, of
 * this FLOW alone. */
struct link_config {
    const struct settings *settings;
    const char *mark_key, *mark_field, *node_field, *client_name;
    const struct uri *uri; /* of the node; NULL: the settings' target */
    const char *who;       /* for messages; NULL: "target" */
    struct trouble *trouble;
    bool in_cluster;
};

struct link *link_new(struct event_base *base, const struct link_config *config,
                      const struct link_callbacks *callbacks);
void link_free(struct link *l);

bool link_is_ready(const struct link *l);
/* May a batch go out now? once: one that must be alone. */
bool link_can_send(const struct link *l, bool once);
/* Takes the sealed batch. Only when link_can_send. */
void link_send(struct link *l, struct batch *b);
/* It was lost, and is one of a cluster. */
bool link_is_dead(const struct link *l);
/* Nothing unanswered. */
bool link_idle(const struct link *l);
/* A batch with borrowed arguments is not out whole yet: the bytes must stay where they are. */
bool link_borrowing(const struct link *l);
/* The connection is given up and made anew (fault injection, doubt). */
void link_reset(struct link *l, const struct error *why);

#endif
