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

#include "worker/rdb/entry.h"

struct worker;

/* The translator's: the target is told target_ms for what the source has as source_ms. */
void expiry_told(void *worker, struct slice key, struct slice field, int64_t source_ms, int64_t target_ms);
/* An entry that is about to be translated, or, done: that the target has already. */
void expiry_entry(struct worker *w, const struct entry *e, bool done);
/* A key was written anew, with that time, 0: none. */
void expiry_healed(struct worker *w, uint32_t db, struct slice key, int64_t at_ms);
/* A mark of entry seq is about to be sent. */
void expiry_mark_sent(struct worker *w, uint64_t seq);
/* Entries up to seq are acknowledged; with a mark: the target's state up to there is known. */
void expiry_acknowledged(struct worker *w, uint64_t seq);
void expiry_marked(struct worker *w, uint64_t seq);
/* The decoder goes back to the mark. */
void expiry_rewound(struct worker *w);
/* In step and with nothing on its way: times that were put off are told as they are. True: some are on their
 * way. */
bool expiry_put_right(struct worker *w);

#endif
