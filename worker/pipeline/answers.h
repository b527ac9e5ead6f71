/* What follows from the target's answers: acknowledged rounds, refused commands, conflicts, commands without effect, and
 * a lost connection. A refusal or a conflict makes its keys suspects, or is a divergence.
 *
 *   router ──acknowledged──> pump.c, heal       refused ──> cross_slot.c, flush.c, suspects, report.c
 *          ──ready─────────> rewind.c           conflict ─> suspects, report.c
 *          ──lost──────────> flush.c            writable ─> pump.c */
#ifndef DF2REDIS_WORKER_PIPELINE_ANSWERS_H
#define DF2REDIS_WORKER_PIPELINE_ANSWERS_H

#include "worker/pipeline/pipeline.h"

enum { REFUSED_SCRIPTS = 64 };

struct answers {
    struct pipeline *pipeline;
    char refused_scripts[REFUSED_SCRIPTS][41]; /* SHAs of the last refused scripts */
    size_t refused_script_next;
};

struct router_callbacks answers_callbacks(struct answers *a);

#endif
