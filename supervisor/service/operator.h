/* The operator's side of a run: the service manager, HTTP, and SIGHUP. */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_OPERATOR_H
#define DF2REDIS_SUPERVISOR_SERVICE_OPERATOR_H

#include <stdint.h>

#include "common/base/error.h"

struct run;
struct operation;

/* NULL and *error when --metrics cannot listen. */
struct operation *operation_start(struct run *run, struct error *error);
/* Call it several times a second. */
void operation_turn(struct operation *o, uint64_t now_ms);
void operation_stop(struct operation *o);

#endif
