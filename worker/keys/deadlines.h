/* When keys expire on the target, by the times sent to it, to detect a command that ran after the time of its key
 * (expiry.h).
 *
 *   flow-N.deadlines:
 *   | header | buckets of 8 slots: {22 bits of the hash, Unix ms} | list of postponed times |
 *
 * A bounded hash table, in a file beside the spool. It has the times at the last acknowledged mark, or at a mark in
 * flight where that is earlier, since a restarted worker begins at one of the two; times set after them are in memory.
 * From a full bucket the furthest time is dropped, and a range of times records that some are unknown. Keys with a
 * postponed time are in the list, in full, until the time is corrected (put_off.h). */
#ifndef DF2REDIS_WORKER_KEYS_DEADLINES_H
#define DF2REDIS_WORKER_KEYS_DEADLINES_H

#include "common/base/error.h"
#include "common/base/mem.h"
#include "worker/keys/put_off.h"
#include "worker/keys/times.h"

struct deadlines;

/* bytes: size of a new table, rounded down to a power of two. fresh: begins with an empty table. Otherwise an existing
 * table keeps its size; if the file is missing or of another boot, the time of every key is unknown. */
struct deadlines *deadlines_open(const char *directory, uint32_t flow, uint64_t bytes, bool fresh,
                                 struct error *error);
void deadlines_close(struct deadlines *d);
void deadlines_remove_file(const char *directory, uint32_t flow);

/* Entry seq, received at stream_ms, sets the time at_ms; 0: the key has no time to live. */
void deadlines_set(struct deadlines *d, uint64_t hash, uint64_t seq, int64_t at_ms, int64_t stream_ms);
int64_t deadlines_get(const struct deadlines *d, uint64_t hash); /* 0: never, or unknown */
/* Whether no time was ever set: deadlines_get returns 0 for every key. */
bool deadlines_none(const struct deadlines *d);
/* A mark of entry seq is about to be sent. The target may store it and its answer be lost: the table gets the earlier
 * time of this mark and the one before, for a restarted worker that begins at either. */
void deadlines_announce(struct deadlines *d, uint64_t seq);
/* The target has acknowledged the mark of entry seq. */
void deadlines_keep(struct deadlines *d, uint64_t seq);
/* The decoder goes back to the last mark. */
void deadlines_forget(struct deadlines *d);
/* The target has lost marks that it had acknowledged, and entries up to seq run again: the table has the times that
 * they set, not those that the target's copy has. Kept for a restarted worker; 0: a new session. */
void deadlines_set_lost(struct deadlines *d, uint64_t seq);
uint64_t deadlines_lost(const struct deadlines *d);
/* Whether there may be unknown times in [from, to]. */
bool deadlines_unknown(const struct deadlines *d, int64_t from_ms, int64_t to_ms);

/* The postponed times, until they are corrected. */
struct put_off_list *deadlines_list(struct deadlines *d);

#endif
