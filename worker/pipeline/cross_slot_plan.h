/* How a cross-slot command runs: the keys that are read, and the key that is written. Commands of two keys within an
 * open slot are planned likewise. */
#ifndef DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_PLAN_H
#define DF2REDIS_WORKER_PIPELINE_CROSS_SLOT_PLAN_H

#include "worker/target/router.h"
#include "worker/translate/translator.h"

struct cross_plan {
    const char *name;   /* of the command, upper case */
    size_t destination; /* position of the key that is written */
    size_t *sources;    /* positions of the keys that are read, in other slots unless one_slot */
    size_t source_count;
    bool moves;    /* a key, member or element leaves the only source, by put and take. Otherwise: the command
                      runs on copies of its sources */
    bool one_slot; /* both keys lie in an open slot: put may run again until take has run */
    bool dumps;    /* sources are read by DUMP */
    size_t member; /* SMOVE: position of the member; 0: none */
    const char *put, *take; /* commands on destination and source */
    const char *index;      /* LMOVE: index of the element */
};

/* False: the keys lie in one slot, the command has no plan, or a filter excludes some of its keys: the command is
 * translated as usual. router: names the open slots; NULL: none. */
bool cross_plan(struct translator *t, const struct router *router, const struct entry *e,
                struct cross_plan *plan);
void cross_plan_free(struct cross_plan *plan);
/* The command that reads source i: arguments into argv (at most 4); returns their number. */
size_t cross_plan_question(const struct cross_plan *plan, const struct entry *e, size_t i,
                           struct slice *argv);
/* The command that reads when the key expires; its answer is Unix ms, or negative: never, or no such key. */
size_t cross_plan_expiry_question(const struct capabilities *target, struct slice key, struct slice *argv);

#endif
