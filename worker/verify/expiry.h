/* Keys that the target may have let expire though the source has not: by its own clock, while what renewed
 * them was on its way.
 *
 *   source       SET k PX 5000 ──── INCR k ───────── PEXPIREAT k +600 s
 *   target       SET k PXAT D ─────────── D passes ─────────── INCR k: begins at 1
 *
 * The source journals a DEL for every key that it lets expire, so a command on a key whose time the target
 * has passed finds what the source does not have. Which time the target was told is kept (deadlines.h);
 * whatever is acknowledged later than that, without the key having been deleted or written anew before, makes
 * it a suspect, and a suspect is compared with the source's, and healed. A time that was put off, so that
 * less of this happens, is told as it is once the FLOW is in step. A target in import mode lets nothing
 * expire: nothing of this is needed there. */
#ifndef DF2REDIS_WORKER_VERIFY_EXPIRY_H
#define DF2REDIS_WORKER_VERIFY_EXPIRY_H

#include "worker/flow/flow.h"
#include "worker/keys/deadlines.h"
#include "worker/target/router.h"
#include "worker/translate/translator.h"

struct expiry;

struct expiry *expiry_new(struct flow *f, struct translator *translator, struct router *router,
                          struct deadlines *deadlines);
void expiry_free(struct expiry *x);

/* The translator's: the target is told target_ms for what the source has as source_ms. */
void expiry_told(void *expiry, struct slice key, struct slice field, int64_t source_ms, int64_t target_ms);
/* An entry that is about to be translated, or, done: that the target has already. */
void expiry_entry(struct expiry *x, const struct entry *e, bool done);
/* A key was written anew, with that time, 0: none. */
void expiry_healed(struct expiry *x, uint32_t db, struct slice key, int64_t at_ms);
/* A mark of entry seq is about to be sent. */
void expiry_mark_sent(struct expiry *x, uint64_t seq);
/* Entries up to seq are acknowledged; with a mark: the target's state up to there is known. */
void expiry_acknowledged(struct expiry *x, uint64_t seq);
void expiry_marked(struct expiry *x, uint64_t seq);
/* The decoder goes back to the mark. */
void expiry_rewound(struct expiry *x);
/* In step, or at the end, and with nothing on its way: times that were put off are told as they are. True: some are in
 * the open round, which is to be sent. */
bool expiry_put_right(struct expiry *x, bool ends);

#endif
