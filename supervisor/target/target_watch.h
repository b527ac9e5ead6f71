/* A short INFO of every master of the target, once a second, over connections of its own: is it the process
 * it was, a master, and has it thrown keys away? Nothing waits for it; what cannot be asked is not known. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_WATCH_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_WATCH_H

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "common/redis/topology.h"
#include "common/settings/settings.h"

enum { TARGET_WATCH_EVERY_MS = 1000 };

struct target_watch;

/* From the event loop. */
struct target_watch_callbacks {
    void *arg;
    void (*evicted)(const char *node, uint64_t keys, void *arg); /* so many more, since the last time */
    void (*told)(void *arg);                                     /* one of them has answered */
};

/* masters: of a cluster, as they were found; empty: it is none. evictions_path: what was counted, kept over
 * the run's end; goes_on: the run goes on with an earlier one, and so does the count. */
struct target_watch *target_watch_start(struct event_base *base, const struct settings *settings,
                                        const struct topology *masters, const char *evictions_path,
                                        bool goes_on, const struct target_watch_callbacks *callbacks);
void target_watch_free(struct target_watch *w);
/* To be called several times a second. NULL for w: nothing, here and below. */
void target_watch_turn(struct target_watch *w, uint64_t now_ms);
/* Asks all of them now. */
void target_watch_ask(struct target_watch *w, uint64_t now_ms);
/* Has every master answered what was asked then or later? */
bool target_watch_told_since(const struct target_watch *w, uint64_t ms);
/* An array, one object a master. */
cJSON *target_watch_status(const struct target_watch *w, uint64_t now_ms);

#endif
