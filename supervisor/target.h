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

/* What df2redis has left in it: hash df2redis:NAME. */
struct target_mark {
    uint32_t flow;
    uint64_t session, lsn; /* 0: of the snapshot */
    char master_id[41];
};
struct target_marks {
    uint64_t run_session; /* field run; 0: none */
    struct target_mark *list;
    size_t count;
};

enum target_task {
    TARGET_ASK,
    TARGET_CLAIM, /* write down which session fills it from now on */
    TARGET_EMPTY, /* and flush it before */
};

struct target_callbacks {
    void *arg;
    void (*done)(const struct capabilities *capabilities, void *arg);
    void (*failed)(const struct error *error, void *arg);
};

struct target_job;

/* Connects, asks, and to empty it: FLUSHALL, unless it turns out to be a Dragonfly (which may be the source
 * under another name: capabilities_check). Callbacks are never called from within this function. */
struct target_job *target_start(struct event_base *base, const struct settings *settings, enum target_task task,
                                uint64_t session, const struct target_callbacks *callbacks, struct error *error);
void target_free(struct target_job *job);
/* After done: what TARGET_ASK found. */
const struct target_marks *target_marks_found(const struct target_job *job);

/* What to do with it at the start of a run. For TARGET_REFUSED *error tells the ways out. */
enum target_policy target_policy(const struct capabilities *capabilities, const struct settings *settings,
                                 struct error *error);

#endif
