/* When the target lets which keys expire, as it was told: so that a command which came there after that
 * moment is noticed (expiry.h).
 *
 *   flow-N.deadlines:
 *   | header | buckets of 8 slots: {22 bits of the hash, Unix ms} | list of what was put off |
 *
 * A bounded table of hashes, in a file beside the spool. It says what holds at the last mark that the target
 * has acknowledged, and what is earlier at one that is on its way, since at one of them a successor begins; what
 * was set behind that stands in memory. Of too many in
 * a bucket the furthest are left out, and a range of times remembers that there are such. Keys whose time was
 * put off stand in the list, in full, until they were told the right one (put_off.h). */
#ifndef DF2REDIS_WORKER_KEYS_DEADLINES_H
#define DF2REDIS_WORKER_KEYS_DEADLINES_H

#include "common/base/error.h"
#include "common/base/mem.h"
#include "worker/keys/put_off.h"
#include "worker/keys/times.h"

struct deadlines;

/* bytes: of a new table, rounded down to a power of two. fresh: nothing is known, and nothing expires. Otherwise
 * the table that is there keeps its size, and a file that is not there or of another boot means that anything
 * may expire. */
struct deadlines *deadlines_open(const char *directory, uint32_t flow, uint64_t bytes, bool fresh,
                                 struct error *error);
void deadlines_close(struct deadlines *d);
void deadlines_remove_file(const char *directory, uint32_t flow);

/* Entry seq, which came at stream_ms, sets it; 0: it does not expire any more. */
void deadlines_set(struct deadlines *d, uint64_t hash, uint64_t seq, int64_t at_ms, int64_t stream_ms);
int64_t deadlines_get(const struct deadlines *d, uint64_t hash); /* 0: never, or not known */
/* There is none at all: deadlines_get need not be asked. */
bool deadlines_none(const struct deadlines *d);
/* A mark of entry seq is about to be sent. The target may have it though nobody learns that: a successor, which begins
 * there or at the one before, knows the earlier time of both. */
void deadlines_announce(struct deadlines *d, uint64_t seq);
/* The target has acknowledged it. */
void deadlines_keep(struct deadlines *d, uint64_t seq);
/* The decoder goes back to the last mark. */
void deadlines_forget(struct deadlines *d);
/* May there be others in [from, to] than those in the table? */
bool deadlines_unknown(const struct deadlines *d, int64_t from_ms, int64_t to_ms);

/* What was put off, until it is told as it is. */
struct put_off_list *deadlines_list(struct deadlines *d);

#endif
