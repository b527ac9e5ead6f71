/* Sums over the FLOWs of a session. */
#ifndef DF2REDIS_SUPERVISOR_RUN_TOTALS_H
#define DF2REDIS_SUPERVISOR_RUN_TOTALS_H

#include <stddef.h>
#include <stdint.h>

struct run;

struct totals {
    uint64_t received_bytes, applied_bytes, lag_bytes, spool_bytes, rate_bytes;
    uint64_t entries, keys, commands, lag_entries, errors, restarts;
    uint64_t suspects_pending, suspects_perhaps, suspects_equal, suspects_healed, suspects_permanent,
        suspects_unknown;
    uint64_t suspects_confirmed; /* of the healed ones: equal when they were compared again */
    uint64_t oldest_waiting_ms;  /* how long the oldest byte not applied has waited */
};

void totals_of(struct run *run, uint64_t now_ms, struct totals *out);
/* Returns one FLOW's share of the keys that the source had at the greeting; 0: unknown. */
uint64_t totals_expected_keys(const struct run *run);
/* Adds the numbers that only grow. */
void totals_add(struct totals *to, const struct totals *more);

#endif
