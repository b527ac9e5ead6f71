/* Keys that may have expired on the target, but not on the source: by the target's clock, while the command that
 * renewed them was in transit.
 *
 *   source       SET k PX 5000 ──── INCR k ───────── PEXPIREAT k +600 s
 *   target       SET k PXAT D ─────────── D passes ─────────── INCR k: begins at 1
 *
 * The source journals a DEL for every key that expires there, so a command on a key that has expired on the target only
 * has another result. The times sent to the target are recorded (deadlines.h). A command that is acknowledged after the
 * time of its key makes the key a suspect, unless the key was deleted or replaced before; suspects are compared with
 * the source, and healed. While the FLOW lags, times are postponed, so that fewer keys expire; once it is in step they
 * are corrected.
 *
 * A target that comes back from an older copy of its data has the times of that copy, and keys may have expired by them
 * before the entries that renewed them run again. These times are not recorded any more, so the keys of such entries
 * are suspects. A target in import mode expires no keys, and none is a suspect; the times
 * are recorded, as the mode may end. */
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

/* Called by the translator: target_ms is sent to the target for source_ms of the source. */
void expiry_told(void *expiry, struct slice key, struct slice field, int64_t source_ms, int64_t target_ms);
/* Call for each entry before it is translated; done: the target has it already. */
void expiry_entry(struct expiry *x, const struct entry *e, bool done);
/* The key was rewritten, with this time to live; 0: none. */
void expiry_healed(struct expiry *x, uint32_t db, struct slice key, int64_t at_ms);
/* A mark of entry seq is about to be sent. */
void expiry_mark_sent(struct expiry *x, uint64_t seq);
/* Entries up to seq are acknowledged. expiry_marked: and a mark at or after it. */
void expiry_acknowledged(struct expiry *x, uint64_t seq);
void expiry_marked(struct expiry *x, uint64_t seq);
/* The decoder goes back to the mark. */
void expiry_rewound(struct expiry *x);
/* Call after it, if the target has lost what it had acknowledged: entries up to seq run again. */
void expiry_lost(struct expiry *x, uint64_t seq);
/* Corrects postponed times, in step or at the end; call with no round in flight. True: commands are in the open round,
 * send it. */
bool expiry_put_right(struct expiry *x, bool ends);

#endif
