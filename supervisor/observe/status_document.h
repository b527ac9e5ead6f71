/* The status document of a run, and the summary at its end. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_STATUS_DOCUMENT_H
#define DF2REDIS_SUPERVISOR_OBSERVE_STATUS_DOCUMENT_H

#include <cjson/cJSON.h>

struct run;

cJSON *run_status(struct run *run); /* the caller frees it */
void run_summary(struct run *run);  /* log lines */

#endif
