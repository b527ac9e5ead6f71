/* Whether the target is in step with the source. The source's own LSNs decide, never what has arrived.
 *
 *   in step = every FLOW follows the journal, reaches the target, and has applied (acknowledged by the
 *             target) everything up to the LSNs that the source had at most 2 s ago; and no comparison of
 *             all keys is due (supervisor/run/comparison.h)
 *
 * Pure: no sockets, no clock. */
#ifndef DF2REDIS_SUPERVISOR_RULES_IN_STEP_H
#define DF2REDIS_SUPERVISOR_RULES_IN_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IN_STEP_FRESH_MS = 2000, /* the greatest age of the source's answer */
    IN_STEP_ALIVE_MS = 3000, /* the longest silence of a running worker */
    IN_STEP_REASON_BYTES = 400,
};

/* One answer to DFLY REPLICAOFFSET. */
struct source_lsns {
    uint64_t asked_ms; /* monotonic: when the question was sent; the LSNs are not older */
    uint64_t *lsns;    /* the next LSN of each shard, one per FLOW */
};

struct in_step_flow {
    bool failed;                        /* given up */
    bool worker;                        /* a worker runs, and its cursor is this session's */
    long pid;                           /* of the worker */
    uint64_t alive_ms;                  /* its last sign of life; 0: none yet */
    bool stable;                        /* the FLOW follows the journal */
    bool in_contact;                    /* the target is connected and has all that was decoded before */
    uint64_t received_lsn, applied_lsn; /* the LSN behind everything decoded, everything applied */
    bool waiting;                       /* received bytes are not yet acknowledged by the target */
};

struct in_step_facts {
    uint64_t now_ms;
    bool stable; /* the session is in stable sync */
    const char *phase;
    const struct source_lsns *answers; /* the newest first */
    size_t answer_count;
    const char *trouble;   /* why the newest answer is missing; NULL or "": no trouble known */
    const char *comparing; /* why all keys are still being compared; NULL or "": they are not */
    const struct in_step_flow *flows;
    uint32_t flow_count;
};

/* Returns whether the target is in step. *confirmed_ms (may be NULL): when the question for the newest LSNs that all
 * FLOWs have applied was sent; 0 if not in step. reason: what is missing, with the FLOW; "" if in step. */
bool in_step_decide(const struct in_step_facts *facts, uint64_t *confirmed_ms, char *reason,
                    size_t reason_bytes);

/* True: every FLOW has applied up to these LSNs. A FLOW that was given up never has. */
bool in_step_reached(const struct in_step_facts *facts, const uint64_t *lsns);

#endif
