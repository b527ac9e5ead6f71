/* Has the kernel killed for want of memory? A worker that dies of SIGKILL died by somebody's hand or by the
 * kernel's, and only the kernel's may come of what the worker read. */
#ifndef DF2REDIS_SUPERVISOR_FLOW_OOM_H
#define DF2REDIS_SUPERVISOR_FLOW_OOM_H

#include "common/base/mem.h"

struct oom_count {
    bool known; /* a service may be kept from seeing it */
    uint64_t kills;
};

/* Processes that the kernel has killed for want of memory so far: of the machine, or where /proc does not
 * show that, of the control group. */
struct oom_count oom_count_now(void);
/* True too when it cannot be known. */
bool oom_since(struct oom_count before, struct oom_count now);
/* The line "oom_kill N" of /proc/vmstat or memory.events. */
struct oom_count oom_count_in(struct slice text);

#endif
