/* What follows from the target's answers: acknowledged rounds, refused commands, conflicts, commands without effect, and
 * a lost connection. A refusal or a conflict makes its keys suspects, or is a divergence.
 *
 *   router ──acknowledged──> pump.c, heal       refused ──> cross_slot.c, flush.c, suspects, reports
 *          ──ready─────────> rewind.c           conflict ─> suspects, reports
 *          ──lost──────────> flush.c            writable ─> pump.c */
#ifndef DF2REDIS_WORKER_PIPELINE_ANSWERS_H
#define DF2REDIS_WORKER_PIPELINE_ANSWERS_H

#include "worker/pipeline/pipeline.h"

struct router_callbacks answers_callbacks(struct pipeline *p);

#endif
