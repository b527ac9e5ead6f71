/* What is said to a target node before the first batch: who we are, an end to earlier connections of this
 * FLOW, what it can do, and the mark it carries. Ends with a connection ready for batches. */
#ifndef DF2REDIS_WORKER_LINK_LINK_GREETING_H
#define DF2REDIS_WORKER_LINK_LINK_GREETING_H

#include "common/net/client.h"
#include "worker/link/link.h"

struct greeting;

struct greeting_callbacks {
    void *arg;
    /* The greeting is over and frees itself; the transport is the callee's. */
    void (*done)(void *arg, struct transport *t, const struct mark *mark, const struct capabilities *target);
    /* Over too, without a connection. */
    void (*failed)(void *arg, const struct error *error);
    /* Over too: a cluster's node, and the link was not made for one. */
    void (*is_cluster)(void *arg);
    /* In a cluster: as in link_callbacks. */
    size_t (*slots)(void *arg, const uint16_t **list);
    void (*slot_mark)(void *arg, uint16_t slot, const struct slot_mark *mark);
};

struct greeting *greeting_begin(struct event_base *base, const struct link_config *config,
                                const struct greeting_callbacks *callbacks, struct error *error);
void greeting_free(struct greeting *g);

#endif
