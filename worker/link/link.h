/* One connection to one target node: sends batches, matches replies in order, detects failures.
 *
 * Connecting: AUTH, the client name, an end to earlier connections of this FLOW (the server must not run commands that
 * it has not read yet), the mark, the capabilities of the target. Then batches: plain ones are pipelined up to the
 * window, a once batch is alone, so that a refusal cannot leave a later batch applied without an earlier one.
 *
 * After any failure (connection lost, LOADING, OOM …) all unanswered batches are dropped: `lost` is called, the link
 * reconnects with backoff, and `ready` passes the mark to continue from.
 *
 * In a cluster there is one link per master, and a lost link stays lost: its owner creates another, perhaps to another
 * node. MOVED, ASK, TRYAGAIN and CLUSTERDOWN are passed to `moved`, as the other commands of the batch do run. */
#ifndef DF2REDIS_WORKER_LINK_LINK_H
#define DF2REDIS_WORKER_LINK_LINK_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "common/redis/marks.h"
#include "common/settings/settings.h"
#include "worker/link/batch.h"
#include "worker/link/trouble.h"

#define LINK_EVICTED_TEXT                                                                                    \
    "the target has evicted the run's mark (maxmemory-policy allkeys-...), and may have evicted any key: "   \
    "give it "                                                                                               \
    "more memory and maxmemory-policy noeviction, then start over with --flush-target"

struct link;

struct link_callbacks {
    void *arg;
    /* Connected; mark and capabilities were just read. */
    void (*ready)(void *arg, const struct mark *mark, const struct capabilities *target);
    /* All commands of the batch are answered (`refused` was called for refusals). The callee owns the batch. */
    void (*acknowledged)(void *arg, struct batch *b);
    /* The answer to command number i of b was a permanent error. */
    void (*refused)(void *arg, const struct batch *b, uint32_t i, const char *text);
    /* The answer to command number i, which has OUTPUT_CONFLICT, was nil, 0, an empty array, an array with -2 in it, or
     * BUSYKEY; or, of JSON.NUMINCRBY, a number of 2^53 or more. May be called more than once. */
    void (*conflict)(void *arg, const struct batch *b, uint32_t i);
    /* The unanswered batches are dropped (the link frees them). ERROR_RETRY: the link reconnects. ERROR_FATAL: it does
     * not. */
    void (*lost)(void *arg, const struct error *error);
    /* The window has room again, or a borrowing batch is sent completely. */
    void (*writable)(void *arg);
    /* The target is a Redis Cluster, but in_cluster is not set: free the link. */
    void (*is_cluster)(void *arg);
    /* In a cluster: the commands of b for `slot` did not run; < 0: any of its commands may not have run. */
    void (*moved)(void *arg, const struct batch *b, int slot, const char *text);
    /* b will not be acknowledged; the link frees it. Called for each batch before `lost`, and for each unsent one after
     * `moved`. May be NULL. */
    void (*dropped)(void *arg, const struct batch *b);
    /* While a node of a cluster is greeted: returns the number of slots, *list, to read the marks of … */
    size_t (*slots)(void *arg, const uint16_t **list);
    /* … and is called with each mark; NULL: the slot is on another node by now. */
    void (*slot_mark)(void *arg, uint16_t slot, const struct slot_mark *mark);
};

/* mark_key: "df2redis:<name>", mark_field: "flow-N", node_field: "node-N"; client_name: without blanks, unique to this
 * FLOW. */
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
/* Whether a batch can be sent now; once: a once batch. */
bool link_can_send(const struct link *l, bool once);
/* Takes a sealed batch. Requires link_can_send(). */
void link_send(struct link *l, struct batch *b);
/* Whether a link in a cluster was lost. */
bool link_is_dead(const struct link *l);
/* Whether there are no unanswered batches. */
bool link_idle(const struct link *l);
/* Whether borrowed arguments are unsent: their bytes must stay in place. */
bool link_borrowing(const struct link *l);
/* Closes the connection and reconnects. */
void link_reset(struct link *l, const struct error *why);

#endif
