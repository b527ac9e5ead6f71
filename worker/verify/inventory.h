/* The inventory: after a full sync from a release that may omit keys, checks that the target has every key of the
 * source.
 *
 *   source   SCAN                 a page of names
 *   source   DFLY REPLICAOFFSET   LSNs that the FLOWs must have applied before a new name is on the target
 *   target   EXISTS, for each     missing names become suspects; in a cluster the master of the slot is asked
 *
 * Runs in the worker of FLOW 0 for all copied databases, at a low rate. A file beside the spool records that it is not
 * complete, for a restarted worker. */
#ifndef DF2REDIS_WORKER_VERIFY_INVENTORY_H
#define DF2REDIS_WORKER_VERIFY_INVENTORY_H

#include "worker/flow/flow.h"
#include "worker/target/router.h"
#include "worker/translate/translator.h"
#include "worker/verify/flows_applied.h"

struct inventory;

/* The command of the suspects that it adds, which may belong to other FLOWs. */
#define INVENTORY_COMMAND "SCAN"

/* Call when a FLOW begins with a full sync. */
void inventory_order(const struct flow *f, uint32_t source_release);
struct inventory *inventory_new(struct flow *f, const struct router *router,
                                const struct translator *translator, struct flow_cursors *cursors);
void inventory_free(struct inventory *n);
bool inventory_is_due(const struct inventory *n);
void inventory_go_on(struct inventory *n);

#endif
