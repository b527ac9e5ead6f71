/* Cross-slot commands: journaled commands whose keys lie in several slots of a cluster. Any node refuses them
 * (CROSSSLOT), so they run in steps.
 *
 *   RENAME a b      DUMP a │ RESTORE b, mark(b) │ WAIT at b │ DEL a, mark(a)
 *   SMOVE a b m     SISMEMBER a m │ SADD b m, mark(b) │ WAIT at b │ SREM a m, mark(a)
 *   LMOVE a b …     LINDEX a │ PUSH b, mark(b) │ WAIT at b │ POP a, mark(a)
 *   others          DUMP of each source │ RESTORE beside the destination, the command with those names,
 *                   DEL, mark(destination) │ WAIT at the destination
 *
 * RENAME and SMOVE within an open slot run in steps, too (cluster/open_slots.c). Their first step has no mark: it may
 * run again until the second, with the slot's mark, is acknowledged.
 *
 * A step begins once the step before it, and all entries before the command, are acknowledged. The mark of step two
 * records that it ran, so a restarted worker continues with the last step. If the slot of a source is past the command
 * and the node of the destination has lost it, the old value of the source is gone: a full sync is needed.
 *
 * Therefore the last step waits until the replicas of the destination's node have step two: a promoted replica then has
 * its mark, also when there was nothing to move. The wait is limited to half a second, then paused for a while. After
 * a reconnect step two is not waited for again: WAIT covers only the writes of its own connection. */
#ifndef DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_H
#define DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_H

#include "worker/pipeline/commit.h"
#include "worker/translate/translator.h"

struct cross;

struct cross *cross_new(struct flow *flow, struct router *router, struct translator *translator,
                        struct commit *commit);
void cross_free(struct cross *c);

/* *taken: the entry is a cross-slot command, and is copied and held. False: failed. */
bool cross_begin(struct cross *c, const struct entry *e, bool *taken, struct error *error);
void cross_advance(struct cross *c);                    /* does nothing until all rounds are acknowledged */
void cross_acknowledged(struct cross *c, uint64_t seq); /* the round that ends at seq, of a step or not */
void cross_not_replicated(struct cross *c, const char *text); /* the error that answered WAIT */
void cross_cancel(struct cross *c);

#endif
