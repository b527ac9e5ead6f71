/* Counts the processes that the kernel killed for want of memory. SIGKILL comes from a person or from the kernel,
 * and only the kernel's may be caused by what the worker read. */
#ifndef DF2REDIS_SUPERVISOR_FLOW_OOM_H
#define DF2REDIS_SUPERVISOR_FLOW_OOM_H

#include "common/base/mem.h"

struct oom_count {
    bool known; /* false: hidden from this service */
    uint64_t kills;
};

/* Returns the processes killed so far: on the machine, or in the control group if /proc does not show the
 * machine's. */
struct oom_count oom_count_now(void);
/* Returns true if there was a kill in between, or if that is unknown. */
bool oom_since(struct oom_count before, struct oom_count now);
/* Parses the line "oom_kill N" of /proc/vmstat or memory.events. */
struct oom_count oom_count_in(struct slice text);

#endif
