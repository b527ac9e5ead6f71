/* What decides when a master expires keys: its clock, and the import mode of a Valkey. Both are asked for beside each
 * INFO of target_watch.c, and are known over its connections.
 *
 *   TIME                            against our clock (clock_moved.h)
 *   CLIENT IMPORT-SOURCE ON         in import mode: an error once it has ended. Any user of a run may
 *   CONFIG GET import-mode          not in it, of a Valkey; a user without +config asks the other way, rarely
 *
 * (INFO does not show the mode; the other command is an error outside of it, which the server counts.) */
#ifndef DF2REDIS_SUPERVISOR_TARGET_EXPIRY_WATCH_H
#define DF2REDIS_SUPERVISOR_TARGET_EXPIRY_WATCH_H

#include "common/net/client.h"
#include "supervisor/rules/clock_moved.h"

struct expiry_watch {
    void *arg; /* set by the owner, as are the callbacks */
    /* verdict: not CLOCK_AS_BEFORE. */
    void (*clock_set)(enum clock_verdict verdict, int64_t by_ms, void *arg);
    void (*import_mode)(bool on, void *arg); /* it was the other one before */
    /* private */
    struct clock_watch clock;
    struct clock_pair asked;
    bool valkey, answered, import_known, import_on; /* answered: since it was connected */
    enum { ASK_CONFIG, ASK_RARELY, ASK_NEVER } way; /* while it is not in import mode */
    unsigned not_asked;                             /* turns of ASK_RARELY */
};

/* Connected; call it before the first question. */
void expiry_watch_connected(struct expiry_watch *w);
/* Asks; follow it with INFO. */
void expiry_watch_ask(struct expiry_watch *w, struct client *c, uint32_t timeout_ms);
void expiry_watch_note_info(struct expiry_watch *w, struct slice info);
/* Returns false while its clock is not known. *ahead_ms: of ours, at most. */
bool expiry_watch_ahead(const struct expiry_watch *w, int64_t *ahead_ms);

#endif
