/* Journaled commands whose keys lie in several slots of a cluster, which no node would carry out.
 *
 *   RENAME a b      DUMP a │ RESTORE b, mark(b) │ DEL a, mark(a)
 *   SMOVE a b m     SISMEMBER a m │ SADD b m, mark(b) │ SREM a m, mark(a)
 *   LMOVE a b …     LINDEX a │ PUSH b, mark(b) │ POP a, mark(a)
 *   others          DUMP of each source │ RESTORE beside the destination, the command with those names,
 * UNLINK, mark(destination)
 *
 * Each step waits until the one before is acknowledged, and all that came before the command. What is done by
 * step two is known by its mark, so that a worker which dies in between goes on with step three. A source
 * that went on without the destination (its node lost what it had) can no longer be read as it was: then only
 * a full sync helps. */
#ifndef DF2REDIS_CROSS_H
#define DF2REDIS_CROSS_H

#include "worker/worker.h"

/* Takes the entry over when it is such a command; *taken. False: failed. */
bool cross_begin(struct worker *w, const struct entry *e, bool *taken, struct error *error);
void cross_advance(struct worker *w);      /* when all before it is acknowledged */
void cross_acknowledged(struct worker *w); /* a step */
void cross_cancel(struct worker *w);
void cross_free(struct cross *c);

#endif
