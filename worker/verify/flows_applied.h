/* The applied positions of all FLOWs of the session, from their cursors in the same directory. */
#ifndef DF2REDIS_WORKER_VERIFY_FLOWS_APPLIED_H
#define DF2REDIS_WORKER_VERIFY_FLOWS_APPLIED_H

#include "worker/flow/flow.h"

struct flow_cursors;

struct flow_cursors *flow_cursors_new(const struct flow *f);
void flow_cursors_free(struct flow_cursors *c);
/* Whether every FLOW of the session has applied the entries before its LSN. */
bool flows_applied(struct flow_cursors *c, const uint64_t *lsns, size_t count);

#endif
