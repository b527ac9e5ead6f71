/* Compares suspects with the source, and rewrites those that differ, while the FLOW is stable and the lag is small: a
 * batch at a time, at the rate of pace.h.
 *
 *   refused by the target ─┐
 *   lost by the source ────┼─> suspects ──comparison──> equal: removed
 *   answers that are lost ─┘       ^                    different: rewritten, reported as healed ─┐
 *                                  │                    impossible: a divergence                │
 *                                  └── later: hot, or to be found equal ────────────────────────┘ */
#ifndef DF2REDIS_WORKER_VERIFY_HEAL_H
#define DF2REDIS_WORKER_VERIFY_HEAL_H

#include "worker/compare/comparison.h"
#include "worker/verify/expiry.h"
#include "worker/verify/pops.h"

struct heal;

struct heal_config {
    struct flow *flow;
    const struct router *router;
    const struct translator *translator;
    struct expiry *expiry; /* is called for each healed key */
    struct pops *pops;
};

/* fresh: a full sync follows. NULL: a file cannot be opened. */
struct heal *heal_new(const struct heal_config *with, bool fresh, struct error *error);
void heal_remove_files(const char *directory, uint32_t flow);
void heal_free(struct heal *h);
/* Call at each tick, and after entries were applied. */
void heal_go_on(struct heal *h);
/* The target is another process than before, or has lost marks; it has the entries up to seq. */
void heal_went_back(struct heal *h, uint64_t seq);
/* A key of an entry that runs again after the target was started again. Redis, and Valkey before its pull request 4342,
 * leave a transaction without its EXEC at the end of an append-only file that is cut off within it. The transaction
 * that follows becomes a part of it, and the next start executes both: counters are too large. So the key is compared
 * when the target is yet another process. */
void heal_remember_resent(struct heal *h, uint32_t db, struct slice key);
/* Whether a comparison is under way. */
bool heal_compares(const struct heal *h);
/* Whether suspects are left that may still be compared: the end waits for them. */
bool heal_has_work(const struct heal *h);
/* The run ends: no rate limit from now on. */
void heal_ends(struct heal *h);
/* At the end: remaining suspects with a known refusal or loss become divergences; the others are counted as unknown. */
void heal_give_up(struct heal *h);

#endif
