/* The source's LSNs and its role, once a second, over a connection of its own.
 *
 *   DFLY REPLICAOFFSET   → the next LSN of each shard
 *   REPLCONF capa eof    → +OK by a master; a replica answers "-ERR Replicating a replica is unsupported"
 *
 * Both go in one packet, need no right that the session does not need as well, and change nothing: the
 * connection is none of a replica's to the source. An answer counts when the second reply shows that it was a
 * master's. Losing the connection costs nothing but knowledge: it is made anew. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_SOURCE_WATCH_H
#define DF2REDIS_SUPERVISOR_SOURCE_SOURCE_WATCH_H

#include <event2/event.h>

#include "common/settings/settings.h"
#include "supervisor/rules/in_step.h"

enum {
    SOURCE_WATCH_EVERY_MS = 1000,
    SOURCE_WATCH_ANSWERS = 4, /* kept, the newest first */
};

struct source_watch;

/* Called from the event loop, never from within a function of this header. */
struct source_watch_callbacks {
    void *arg;
    void (*told)(void *arg); /* a new answer is there */
    /* The source is no master any more, or its LSNs went back: what it has is another history (ERROR_RETRY).
     * Or a right is missing (ERROR_FATAL). After ERROR_RETRY nothing more is asked. */
    void (*changed)(const struct error *error, void *arg);
};

struct source_watch *source_watch_start(struct event_base *base, const struct settings *settings,
                                        const struct uri *uri, uint32_t flow_count,
                                        const struct source_watch_callbacks *callbacks);
void source_watch_free(struct source_watch *w);
/* To be called several times a second: connects, and asks when it is time. NULL: nothing. */
void source_watch_turn(struct source_watch *w, uint64_t now_ms);
/* Asks now, whenever it was asked last. False: it is not connected. */
bool source_watch_ask(struct source_watch *w, uint64_t now_ms);

/* The newest first; their number. NULL for w is allowed in all of these. */
size_t source_watch_answers(const struct source_watch *w, const struct source_lsns **out);
bool source_watch_connected(const struct source_watch *w);
bool source_watch_over(const struct source_watch *w); /* nothing is asked any more, or there is none */
/* Why there is no answer, or no newer one; "" when nothing is wrong. */
const char *source_watch_trouble(const struct source_watch *w);
uint64_t source_watch_rtt_us(const struct source_watch *w); /* of the newest; 0: none yet */
/* A master's answer to what was asked at this moment or later? */
bool source_watch_master_since(const struct source_watch *w, uint64_t ms);

#endif
