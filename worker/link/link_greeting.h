/* The greeting of a target node before the first batch: sets the client name, ends earlier connections of this FLOW,
 * reads capabilities and mark. Ends with a connection ready for batches. */
#ifndef DF2REDIS_WORKER_LINK_LINK_GREETING_H
#define DF2REDIS_WORKER_LINK_LINK_GREETING_H

#include "common/net/client.h"
#include "worker/link/link.h"

struct greeting;

struct greeting_callbacks {
    void *arg;
    /* Success; the greeting is freed, the callee owns the transport. */
    void (*done)(void *arg, struct transport *t, const struct mark *mark, const struct capabilities *target);
    /* Failure; the greeting is freed. */
    void (*failed)(void *arg, const struct error *error);
    /* A node of a cluster, but in_cluster is not set; the greeting is freed. */
    void (*is_cluster)(void *arg);
    /* In a cluster: as in link_callbacks. */
    size_t (*slots)(void *arg, const uint16_t **list);
    void (*slot_mark)(void *arg, uint16_t slot, const struct slot_mark *mark);
};

struct greeting *greeting_begin(struct event_base *base, const struct link_config *config,
                                const struct greeting_callbacks *callbacks, struct error *error);
void greeting_free(struct greeting *g);

#endif
