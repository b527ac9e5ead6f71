/* The target before the data: what is it, does it hold keys, may it be written to; and flushing it. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_H
#define DF2REDIS_SUPERVISOR_TARGET_H

#include <event2/event.h>

#include "common/capabilities.h"
#include "common/settings.h"

enum target_policy {
    TARGET_USE,     /* empty, or on_conflict says what to do with its keys */
    TARGET_FLUSH,   /* holds keys, and --flush-target was given */
    TARGET_REFUSED, /* holds keys */
};

struct target_callbacks {
    void *arg;
    void (*done)(const struct capabilities *capabilities, void *arg);
    void (*failed)(const struct error *error, void *arg);
};

struct target_job;

/* Connects, asks, and for a flush: FLUSHALL, unless it turns out to be a Dragonfly (which may be the source
 * under another name: capabilities_check). Callbacks are never called from within this function. */
struct target_job *target_start(struct event_base *base, const struct settings *settings, bool flush,
                                const struct target_callbacks *callbacks, struct error *error);
void target_free(struct target_job *job);

/* What to do with it at the start of a run. For TARGET_REFUSED *error tells the ways out. */
enum target_policy target_policy(const struct capabilities *capabilities, const struct settings *settings,
                                 struct error *error);

#endif
