/* The comparison of all keys, which the run makes by itself where single keys are not enough: its source may have left
 * entries out of the journal during a full sync, or a FLOW doubts more keys than it remembers. Until it has ended the
 * run is not in step.
 *
 *            full sync begins                    all FLOWs are stable: the source's counter of omitted entries …
 *   NONE ────────────────────────> COUNTS ─┬─ … stands ────────────────────────────> NONE
 *     │                                    └─ … has grown, or is another process's ──> DUE
 *     └── comparison_need() ──────────────────────────────────────────────────────────> │ ── all compared ──> NONE
 *
 * A worker in the role of df2redis verify --repair does it, with rests, so that other clients of the source have their
 * turn. Keys that only the target has are removed only where the run owns the target. The state is in the run's record:
 * a new start goes on with a comparison that is due, from the beginning. A full sync makes it needless, but for one that
 * writes over the copy with --on-full-resync prune: a comparison is due from its begin. It removes what the source
 * lacks, and what the full sync did not write: it finds also a key that was deleted and made anew, whose journal was
 * applied to the old value. */
#ifndef DF2REDIS_SUPERVISOR_RUN_COMPARISON_H
#define DF2REDIS_SUPERVISOR_RUN_COMPARISON_H

#include "common/ipc/verify_report.h"
#include "supervisor/flow/worker_process.h"

struct run;

/* Earlier releases looked for missing keys only; this file says that they had not ended. */
#define INVENTORY_FILE "flow-0.inventory"

enum comparison_state {
    COMPARISON_NONE,
    COMPARISON_COUNTS, /* a full sync has begun, and what the journal left out is not known yet */
    COMPARISON_DUE,
};

struct comparison {
    /* In the record. */
    enum comparison_state state;
    char reason[160]; /* DUE */
    struct {
        char master_id[41];
        bool told;
        uint64_t omits;
    } begun;                   /* COUNTS: the source's counter at the begin of the full sync */
    bool prunes;               /* the full sync writes over, or has written over, a copy that the run owns */
    uint64_t repaired_session; /* in which a comparison repaired keys; 0: none */
    /* Not in the record. */
    uint64_t *repaired_seqs; /* for each FLOW of that session, the last entry sent then; NULL: unknown */
    bool repeat;             /* what was compared so far may be outdated: once more */
    bool resumes;            /* the saved position of a verification is this comparison's */
    bool given_up;           /* the worker was killed, and its messages are ignored */
    struct worker_process worker;
    struct verify_report *report; /* NULL: none yet */
    int lock_fd;
    uint64_t start_ms; /* not before */
    char trouble[200]; /* why it has not begun, or was broken off */
    uint64_t doubts,
        doubts_session;           /* what the FLOWs of that session had counted in compare_all (cursor.h) */
    uint64_t repaired, undecided; /* keys, in this session */
};

void comparison_init(struct run *run);
/* Kills the worker. */
void comparison_free(struct run *run);
/* Whether the copy can be pruned after a full sync over it. */
bool comparison_can_prune(const struct run *run);
/* SYNC is sent: all keys come anew. */
void comparison_full_sync(struct run *run);
/* Every FLOW follows the journal. Returns true if a comparison is due, or may be: EVENT_COMPLETE of a migration follows
 * its end. */
bool comparison_stable(struct run *run);
/* All keys are compared from the beginning once the run is stable. */
void comparison_need(struct run *run, const char *reason);
/* The target may have lost what was written behind this entry of the FLOW: also repairs, which are in no journal. */
void comparison_target_went_back(struct run *run, uint32_t flow, uint64_t seq);
void comparison_turn(struct run *run, uint64_t now_ms);
/* After SIGCHLD. */
void comparison_reap(struct run *run);
/* The run ends: breaks off. Returns true, and the reason, if a comparison is due. */
bool comparison_stop(struct run *run, char *reason, size_t bytes);
/* Why the run is not in step; "": nothing is being compared. */
void comparison_tell(const struct run *run, char *out, size_t bytes);

#endif
