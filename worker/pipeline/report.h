/* What is, or may be, different on the target: reports, and suspects for a comparison. The translator
 * and the decoder find such differences; those in the target's answers are found in answers.h. */
#ifndef DF2REDIS_WORKER_PIPELINE_REPORT_H
#define DF2REDIS_WORKER_PIPELINE_REPORT_H

#include "worker/pipeline/pipeline.h"

enum { SUSPECT_ARGS = 64 }; /* most arguments of a command whose keys become suspects */

/* Callbacks of the translator and of the decoder; arg: the pipeline. */
void report_suspect(void *arg, uint32_t db, struct slice key, const char *reason, const char *command);
void report_translated(void *arg, const char *reason, const char *command, struct slice key, uint64_t count);
void report_compared(void *arg, uint32_t source_db, const struct slice *argv, size_t argc);

#endif
