/* Suspect keys are compared with the source's, and what is not equal is written anew, as soon as the FLOW is
 * stable and nothing waits: a batch at a time, not more than the source can bear.
 *
 *   refused by the target ─┐
 *   lost by the source ────┼─> suspects ──comparison──> equal: forgotten
 *   answers that are lost ─┘       ^                    healed: written anew, told
 *                                  └── hot: later ───── impossible: a divergence */
#ifndef DF2REDIS_WORKER_VERIFY_HEAL_H
#define DF2REDIS_WORKER_VERIFY_HEAL_H

#include "worker/compare/comparison.h"
#include "worker/verify/expiry.h"
#include "worker/verify/inventory.h"
#include "worker/verify/pops.h"

struct heal;

struct heal_config {
    struct flow *flow;
    const struct router *router;
    const struct translator *translator;
    struct flow_cursors *cursors;
    struct expiry *expiry; /* learns what was healed */
    const struct pops *pops;
    const struct inventory *inventory;
};

struct heal *heal_new(const struct heal_config *with);
void heal_free(struct heal *h);
/* Now and then, and when something was applied. */
void heal_go_on(struct heal *h);
/* Suspects are left that may yet be compared: the end is worth waiting for. */
bool heal_has_work(const struct heal *h);
/* The run ends: from now on as fast as it goes. */
void heal_ends(struct heal *h);
/* At the end: those that are left are divergences; the others are told and counted. */
void heal_give_up(struct heal *h);

#endif
