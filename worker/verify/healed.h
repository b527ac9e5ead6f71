/* The keys that were rewritten lately: a target that comes back from an older copy of its data may have lost that. No
 * entry of the journal and no mark tells of it, so these keys are compared again then. In a file beside the spool, as
 * neither a worker's death nor the end of a session changes that. */
#ifndef DF2REDIS_WORKER_VERIFY_HEALED_H
#define DF2REDIS_WORKER_VERIFY_HEALED_H

#include "common/base/error.h"
#include "common/base/mem.h"

struct healed;

/* In flow-N.<kind>. fresh: empties the file. The positions of an earlier session are before all of this one. */
struct healed *healed_open(const char *kind, const char *directory, uint32_t flow, uint64_t session,
                           bool fresh, struct error *error);
void healed_close(struct healed *h);
/* The target had the entries up to seq when the key was written. Drops the oldest keys if there is no room. */
void healed_add(struct healed *h, uint32_t db, struct slice key, uint64_t seq);
/* Calls `again` for each key that was rewritten when the target had seq or more, and forgets all. Returns false if such
 * keys were dropped before. */
bool healed_take_since(struct healed *h, uint64_t seq,
                       void (*again)(void *arg, uint32_t db, struct slice key), void *arg);

#endif
