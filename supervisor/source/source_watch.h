/* The source's LSNs and its role, once a second, over a connection of its own.
 *
 *   DFLY REPLICAOFFSET   → the next LSN of each shard
 *   REPLCONF capa eof    → +OK by a master; a replica answers "-ERR Replicating a replica is unsupported"
 *
 * Both go in one packet, need no right beyond the session's, and change nothing: the source does not count this
 * connection as a replica's. An answer counts once the second reply shows a master. After a lost connection it
 * reconnects; until then the LSNs are unknown. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_SOURCE_WATCH_H
#define DF2REDIS_SUPERVISOR_SOURCE_SOURCE_WATCH_H

#include <event2/event.h>

#include "common/settings/settings.h"
#include "supervisor/rules/in_step.h"

enum {
    SOURCE_WATCH_EVERY_MS = 1000,
    SOURCE_WATCH_ANSWERS = 4, /* answers kept, the newest first */
};

struct source_watch;

/* Called from the event loop, never from within a function of this header. */
struct source_watch_callbacks {
    void *arg;
    void (*told)(void *arg); /* a new answer has come */
    /* ERROR_RETRY: the source is not a master any more, or its LSNs went back, so its history is another one;
     * the watch asks nothing more. ERROR_FATAL: a right is missing. */
    void (*changed)(const struct error *error, void *arg);
};

struct source_watch *source_watch_start(struct event_base *base, const struct settings *settings,
                                        const struct uri *uri, uint32_t flow_count,
                                        const struct source_watch_callbacks *callbacks);
void source_watch_free(struct source_watch *w);
/* Connects, and asks when the interval is over. Call it several times a second. Does nothing for NULL. */
void source_watch_turn(struct source_watch *w, uint64_t now_ms);
/* Asks at once, whatever the interval. Returns false if not connected. */
bool source_watch_ask(struct source_watch *w, uint64_t now_ms);

/* Returns the number of answers, the newest first. All functions from here on accept NULL for w. */
size_t source_watch_answers(const struct source_watch *w, const struct source_lsns **out);
bool source_watch_connected(const struct source_watch *w);
bool source_watch_over(const struct source_watch *w); /* true: asks nothing more; or w is NULL */
/* Returns the reason for a missing answer, or a missing newer one; "" if there is none. */
const char *source_watch_trouble(const struct source_watch *w);
uint64_t source_watch_rtt_us(const struct source_watch *w); /* of the newest answer; 0: none yet */
/* Returns true if a master has answered a question asked at `ms` or later. */
bool source_watch_master_since(const struct source_watch *w, uint64_t ms);

#endif
