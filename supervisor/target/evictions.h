/* Keys that the target has evicted to stay below its maxmemory: the growth of INFO's evicted_keys since the run
 * first saw each of the target's processes. The counts lie in the state directory and survive a killed supervisor. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_EVICTIONS_H
#define DF2REDIS_SUPERVISOR_TARGET_EVICTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVICTIONS_PROCESSES = 1024 }; /* remembered; one more replaces the oldest */

struct evictions_process {
    char run_id[41];
    uint64_t evicted; /* as last seen */
};

/* Initialised with zeros, or by evictions_load. */
struct evictions {
    struct evictions_process *list; /* in the order of their first sight */
    size_t count;
};

void evictions_free(struct evictions *e);
/* Records a process's evicted_keys. started_here: the process started under the run's eyes, and all of its evictions
 * count. Returns the number of new evictions. */
uint64_t evictions_note(struct evictions *e, const char *run_id, uint64_t evicted, bool started_here);
/* False: the file could not be written, or does not exist. */
bool evictions_save(const struct evictions *e, const char *path);
bool evictions_load(struct evictions *e, const char *path);

#endif
