/* The drain that the supervisor ordered: the position it applies up to, and how long it waits for suspects. */
#ifndef DF2REDIS_WORKER_PIPELINE_DRAIN_H
#define DF2REDIS_WORKER_PIPELINE_DRAIN_H

#include "worker/flow/flow.h"
#include "worker/spool/spool.h"
#include "worker/verify/heal.h"

struct drain {
    const struct flow *flow;
    const struct spool *spool;
    struct heal *heal;
    bool on;
    bool reached;       /* the drain ended at lsn */
    uint64_t lsn;       /* apply the entries before it; 0: the bytes before offset */
    uint64_t offset;    /* received when the drain began; UINT64_MAX: lsn decides */
    uint64_t progress;  /* keys looked for and compared until the last tick */
    uint64_t due_ms;    /* begins then, or once no suspects are left; 0: not ordered */
    uint64_t latest_ms; /* of a replication: due_ms is never later */
};

void drain_order(struct drain *d, uint64_t lsn);
void drain_begin(struct drain *d);
/* At each tick: moves due_ms while suspects are being compared. */
void drain_put_off(struct drain *d);
/* Ordered, not begun, and to begin now. */
bool drain_is_due(const struct drain *d);
/* All entries before the ordered LSN are decoded. */
bool drain_reached_lsn(const struct drain *d);
/* True: the last entries have made suspects, which need the journal to advance; the drain begins again later. */
bool drain_waits_for_suspects(struct drain *d);

#endif
