/* Is the target where the source is? Decided by what the source says of its own LSNs, never by what happens
 * to have arrived.
 *
 *   in step = every FLOW follows the journal, reaches the target, and has applied (acknowledged by the
 *             target) everything up to the LSNs that the source had when it was asked, at most 2 s ago
 *
 * Pure: no sockets, no clock. */
#ifndef DF2REDIS_SUPERVISOR_RULES_IN_STEP_H
#define DF2REDIS_SUPERVISOR_RULES_IN_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IN_STEP_FRESH_MS = 2000, /* an older answer of the source says nothing about now */
    IN_STEP_ALIVE_MS = 3000, /* a worker that has not moved for longer stands still */
    IN_STEP_REASON_BYTES = 400,
};

/* One answer to DFLY REPLICAOFFSET. */
struct source_lsns {
    uint64_t asked_ms; /* monotonic: the LSNs are not older than that */
    uint64_t *lsns;    /* the next LSN of each shard: one per FLOW */
};

struct in_step_flow {
    bool failed;                        /* given up */
    bool worker;                        /* there is one, and its cursor is this session's */
    long pid;                           /* of it */
    uint64_t alive_ms;                  /* when it last said that it moves; 0: never yet */
    bool stable;                        /* it follows the journal */
    bool in_contact;                    /* the target is connected and has what was decoded before */
    uint64_t received_lsn, applied_lsn; /* next LSN behind all that is decoded, all that is applied */
    bool waiting;                       /* bytes are here that the target has not acknowledged */
};

struct in_step_facts {
    uint64_t now_ms;
    bool stable; /* the session is in stable sync */
    const char *phase;
    const struct source_lsns *answers; /* the newest first */
    size_t answer_count;
    const char *trouble; /* why there is no newer answer; NULL or "": nothing is known to be wrong */
    const struct in_step_flow *flows;
    uint32_t flow_count;
};

/* *confirmed_ms (may be NULL): when the newest LSNs were asked for that all FLOWs have applied; 0 when not in
 * step. reason: why it is not, naming the FLOW; "" when it is. */
bool in_step_decide(const struct in_step_facts *facts, uint64_t *confirmed_ms, char *reason,
                    size_t reason_bytes);

/* Has every FLOW applied up to these LSNs? A FLOW that was given up never has. */
bool in_step_reached(const struct in_step_facts *facts, const uint64_t *lsns);

#endif
