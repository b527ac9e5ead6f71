/* The target during a run: a short INFO of every master, once a second, over separate connections. It shows a restarted
 * process, a lost role, evicted keys, and a clock that was set. Nothing waits for it; a master that does not answer is unknown. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_WATCH_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_WATCH_H

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "common/redis/topology.h"
#include "common/settings/settings.h"

enum { TARGET_WATCH_EVERY_MS = 1000 };

struct target_watch;

/* Called from the event loop. */
struct target_watch_callbacks {
    void *arg;
    void (*evicted)(const char *node, uint64_t keys, void *arg); /* keys: new since the last call */
    void (*told)(void *arg);                                     /* a master has answered */
    /* A database has lost its mark. Called again each second, until the run has another claim. */
    void (*emptied)(const struct error *error, void *arg);
    /* The clock of a master was set against ours: forward by so much, negative: back; and is so much ahead of ours now.
     * node NULL: ours was set. */
    void (*clock_set)(const char *node, int64_t by_ms, int64_t ahead_ms, void *arg);
    /* A master is in import mode now, or not any more. */
    void (*import_mode)(const char *node, bool on, void *arg);
};

/* masters: those of the cluster; empty for a standalone target. evictions_path: the file of the counts, which outlives
 * the run. goes_on: the run resumes an earlier one, and counting continues. */
struct target_watch *target_watch_start(struct event_base *base, const struct settings *settings,
                                        const struct topology *masters, const char *evictions_path,
                                        bool goes_on, const struct target_watch_callbacks *callbacks);
/* What a process of the target had evicted when it was probed, before the first write. Without effect once the copy goes
 * on. */
void target_watch_before(struct target_watch *w, const char *run_id, uint64_t evicted);
/* A copy goes on: the databases of the source that hold keys. */
void target_watch_expect(struct target_watch *w, const uint32_t *databases, size_t count);
void target_watch_free(struct target_watch *w);
/* Call it several times a second. Here and below, a NULL w does nothing. */
void target_watch_turn(struct target_watch *w, uint64_t now_ms);
/* Sends INFO to all masters now. */
void target_watch_ask(struct target_watch *w, uint64_t now_ms);
/* True: every master has answered an INFO that was sent at ms or later. */
bool target_watch_told_since(const struct target_watch *w, uint64_t ms);
/* How far the clock of the fastest master is ahead of ours, at most. Returns false while none is known. */
bool target_watch_clock(const struct target_watch *w, int64_t *ahead_ms);
/* An array, one object a master. */
cJSON *target_watch_status(const struct target_watch *w, uint64_t now_ms);

#endif
