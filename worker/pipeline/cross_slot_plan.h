/* How a command across slots is carried out: which keys are read, which one is written. So are those within a
 * slot whose node refuses to be told of two keys at once. */
#ifndef DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_PLAN_H
#define DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_PLAN_H

#include "worker/target/router.h"
#include "worker/translate/translator.h"

struct cross_plan {
    const char *name;   /* of the command, upper case */
    size_t destination; /* position of the key that is written */
    size_t *sources;    /* positions of the keys that are read and lie in other slots */
    size_t source_count;
    bool moves;    /* something is taken from the one source: put and take tell how. Otherwise: the command
                      itself, with copies of its sources */
    bool one_slot; /* both keys lie in one: putting may be done again as long as nothing is taken */
    bool dumps;    /* sources are read whole, by DUMP */
    size_t member; /* SMOVE: position of the member; 0: none */
    const char *put, *take; /* commands on destination and source */
    const char *index;      /* LMOVE: which element is read */
};

/* False: its keys lie in one slot, or it is no such command, or a filter leaves only some of its keys: then
 * it is translated as any other. router: tells the slots of which one key at a time can be named; NULL: none.
 */
bool cross_plan(struct translator *t, const struct router *router, const struct entry *e,
                struct cross_plan *plan);
void cross_plan_free(struct cross_plan *plan);
/* What is asked about source i: arguments into argv (at most 4); returns how many. */
size_t cross_plan_question(const struct cross_plan *plan, const struct entry *e, size_t i,
                           struct slice *argv);
/* When the key ends: answered Unix ms, or something negative. */
size_t cross_plan_expiry_question(const struct capabilities *target, struct slice key, struct slice *argv);

#endif
