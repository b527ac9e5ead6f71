/* What is said to a target node before the first batch: who we are, an end to earlier connections of this
 * FLOW, what it can do, and the mark it carries. Ends with a connection ready for batches. */
#ifndef DF2REDIS_LINK_GREETING_H
#define DF2REDIS_LINK_GREETING_H

#include "common/client.h"
#include "worker/link.h"

struct greeting;

struct greeting_callbacks {
    void *arg;
    /* The greeting is over and frees itself; the transport is the callee's. */
    void (*done)(void *arg, struct transport *t, const struct mark *mark, const struct capabilities *target);
    /* Over too, without a connection. */
    void (*failed)(void *arg, const struct error *error);
};

struct greeting *greeting_begin(struct event_base *base, const struct link_config *config,
                                const struct greeting_callbacks *callbacks, struct error *error);
void greeting_free(struct greeting *g);

/* "<master id> <session> <seq> <lsn>" */
bool mark_parse(struct slice text, struct mark *out);

#endif
