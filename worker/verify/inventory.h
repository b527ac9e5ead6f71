/* After a full sync from a release that may leave keys out: is each of the source's keys on the target?
 *
 *   source   SCAN                 a page of names
 *   source   DFLY REPLICAOFFSET   what the FLOWs have to have applied, so that a name that is new is there
 *   target   EXISTS, for each     those that are not become suspects; in a cluster each is asked of the master
 *                                 of its slot
 *
 * Done by the worker of FLOW 0 for all databases that are copied, at a rate that neither side feels. A file
 * beside the spool says that it is still to be done, whatever dies meanwhile. */
#ifndef DF2REDIS_WORKER_VERIFY_INVENTORY_H
#define DF2REDIS_WORKER_VERIFY_INVENTORY_H

#include "worker/target/router.h"
#include "worker/translate/translator.h"
#include "worker/verify/flows_applied.h"

struct inventory;

/* The command of the suspects that it makes. They may be another shard's than the FLOW's. */
#define INVENTORY_COMMAND "SCAN"

/* Of a FLOW that begins with a full sync. */
void inventory_order(const struct flow *f, uint32_t source_release);
struct inventory *inventory_new(struct flow *f, const struct router *router,
                                const struct translator *translator, struct flow_cursors *cursors);
void inventory_free(struct inventory *n);
bool inventory_is_due(const struct inventory *n);
void inventory_go_on(struct inventory *n);

#endif
