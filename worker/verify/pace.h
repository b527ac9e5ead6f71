/* How often a key is compared, and how much is compared at all.
 *
 *   a batch   takes a second for each 200 keys and for each 16 MiB, but for no more than 10 s
 *   a key     rests after its comparison a second for each MiB, 1 s at least and 10 s at most, whatever makes it a suspect
 *             again
 *
 * At the end of a run a batch takes no longer than it has to, and a key rests 1 s. The keys compared last are
 * remembered by their hash, in a table of a fixed size: one that another displaces has rested enough. */
#ifndef DF2REDIS_WORKER_VERIFY_PACE_H
#define DF2REDIS_WORKER_VERIFY_PACE_H

#include "common/base/mem.h"

enum { PACE_REST_MIN_MS = 1000, PACE_REST_MAX_MS = 10000 };

struct pace;

struct pace *pace_new(void);
void pace_free(struct pace *p);
/* The run ends. */
void pace_ends(struct pace *p);
/* The comparison of a key has ended; it took so many bytes. */
void pace_compared(struct pace *p, uint32_t db, struct slice key, uint64_t bytes, uint64_t now_ms);
/* When it may be compared again; 0: at any time. */
uint64_t pace_due_ms(const struct pace *p, uint32_t db, struct slice key);
/* How long a batch takes, with the pause that follows it. */
uint64_t pace_batch_ms(const struct pace *p, size_t keys, uint64_t bytes);

#endif
