/* Journaled commands whose keys lie in several slots of a cluster, which no node would carry out.
 *
 *   RENAME a b      DUMP a │ RESTORE b, mark(b) │ WAIT at b │ DEL a, mark(a)
 *   SMOVE a b m     SISMEMBER a m │ SADD b m, mark(b) │ WAIT at b │ SREM a m, mark(a)
 *   LMOVE a b …     LINDEX a │ PUSH b, mark(b) │ WAIT at b │ POP a, mark(a)
 *   others          DUMP of each source │ RESTORE beside the destination, the command with those names,
 *                   DEL, mark(destination) │ WAIT at the destination
 *
 * Within a slot that its new node only imports, RENAME and SMOVE go like that, too, the first step without a
 * mark: it may be done again until the second, with the slot's mark, is done (cluster/open_slots.c).
 *
 * Each step waits until the one before is acknowledged, and all that came before the command. What is done by
 * step two is known by its mark, so that a worker which dies in between goes on with the last. A source that
 * went on without the destination (its node lost what it had) can no longer be read as it was: then only a
 * full sync helps.
 *
 * So nothing goes on before the replicas of the destination's node have step two, where it has any: who is
 * promoted when the node dies tells by the mark that it is done, even if there was nothing to be moved. They
 * are given half a second, and after that some time off. After trouble step two is not waited for again: WAIT
 * is about what came on its own connection, and that is another one then. */
#ifndef DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_H
#define DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_H

#include "worker/pipeline/commit.h"
#include "worker/translate/translator.h"

struct cross;

struct cross *cross_new(struct flow *flow, struct router *router, struct translator *translator,
                        struct commit *commit);
void cross_free(struct cross *c);

/* Takes the entry over when it is such a command; *taken. False: failed. */
bool cross_begin(struct cross *c, const struct entry *e, bool *taken, struct error *error);
void cross_advance(struct cross *c);                    /* when all before it is acknowledged */
void cross_acknowledged(struct cross *c, uint64_t seq); /* a round that ends at seq, perhaps of a step */
void cross_not_replicated(struct cross *c, const char *text); /* what WAIT was answered instead */
void cross_cancel(struct cross *c);

#endif
