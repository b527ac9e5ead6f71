/* Keys that the target has evicted to stay below its maxmemory: the growth of INFO's evicted_keys since the copy began,
 * for each of the target's processes. What a process had evicted before the copy was begun is known from the probe, which
 * comes before the first write. The counts lie in the state directory and survive a killed supervisor. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_EVICTIONS_H
#define DF2REDIS_SUPERVISOR_TARGET_EVICTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVICTIONS_PROCESSES = 1024 }; /* remembered; one more replaces the oldest */

struct evictions_process {
    char run_id[41];
    uint64_t evicted;  /* as last seen */
    uint64_t commands; /* INFO's total_commands_processed then; 0: not known */
};

/* Initialised with zeros, or by evictions_load. */
struct evictions {
    struct evictions_process *list; /* in the order of their first sight */
    size_t count;
    int64_t since_ms; /* when counting began, Unix time; 0: unknown */
};

void evictions_free(struct evictions *e);
/* What a process had evicted before the copy began. Nothing, for one that is known. */
void evictions_before(struct evictions *e, const char *run_id, uint64_t evicted);
/* Records a process's evicted_keys. all: if it was not known, everything that it has evicted counts. Returns the number
 * of new evictions. */
uint64_t evictions_note(struct evictions *e, const char *run_id, uint64_t evicted, uint64_t commands,
                        bool all);
/* True: a process that has run for so long was started since counting began, as far as whole seconds tell. */
bool evictions_started_since(const struct evictions *e, uint64_t up_s, int64_t now_ms);
/* A process that has ended, as it was at its last answer. */
struct evictions_end {
    const char *policy;
    uint64_t used_bytes, max_bytes; /* its maxmemory; 0: none */
    uint64_t evicted;
    uint64_t unseen_ms; /* since that answer */
};

/* True: it may have evicted keys since. A policy that spares some keys is no reason if it has never evicted any. */
bool evictions_may_be_unseen(const struct evictions_end *end);
bool evictions_is_full(uint64_t used_bytes, uint64_t max_bytes);
/* False: the file could not be written, or does not exist. */
bool evictions_save(const struct evictions *e, const char *path);
bool evictions_load(struct evictions *e, const char *path);

#endif
