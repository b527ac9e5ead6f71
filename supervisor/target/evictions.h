/* Keys that the target has thrown away to stay below its maxmemory: by how many INFO's evicted_keys has grown
 * since the run first saw each of its processes. Kept in the state directory, so that a supervisor that was
 * killed counts on. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_EVICTIONS_H
#define DF2REDIS_SUPERVISOR_TARGET_EVICTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVICTIONS_PROCESSES = 1024 }; /* that are remembered; the oldest is forgotten */

struct evictions_process {
    char run_id[41];
    uint64_t evicted; /* as last seen */
};

/* Zero-initialise, or evictions_load. */
struct evictions {
    struct evictions_process *list; /* by when it was first seen */
    size_t count;
};

void evictions_free(struct evictions *e);
/* What a process says. started_here: it began while the run was watching, so that all its evictions count.
 * Returns how many are new. */
uint64_t evictions_note(struct evictions *e, const char *run_id, uint64_t evicted, bool started_here);
/* False: nothing was written, or none is there. */
bool evictions_save(const struct evictions *e, const char *path);
bool evictions_load(struct evictions *e, const char *path);

#endif
