/* The applied positions of all FLOWs of a session, from their cursors in the run's directory. */
#ifndef DF2REDIS_WORKER_VERIFY_FLOWS_APPLIED_H
#define DF2REDIS_WORKER_VERIFY_FLOWS_APPLIED_H

#include "common/base/mem.h"

struct flow_cursors;

struct flow_cursors *flow_cursors_new(const char *directory, uint32_t count);
void flow_cursors_free(struct flow_cursors *c);
/* Whether every FLOW of the session has applied the entries before its LSN, and is connected to the process of the target
 * with this contact (capabilities.h): what that process has lost does not count as applied any more. */
bool flows_applied(struct flow_cursors *c, uint64_t session, uint64_t contact, const uint64_t *lsns,
                   size_t count);
/* Whether every FLOW of the session is in stable sync. */
bool flows_stable(struct flow_cursors *c, uint64_t session);

#endif
