/* The end that the supervisor has asked for: up to where the journal is applied, and how long suspects are waited for.
 */
#ifndef DF2REDIS_WORKER_PIPELINE_DRAIN_H
#define DF2REDIS_WORKER_PIPELINE_DRAIN_H

#include "worker/flow/flow.h"
#include "worker/spool/spool.h"
#include "worker/verify/heal.h"
#include "worker/verify/inventory.h"

struct drain {
    const struct flow *flow;
    const struct spool *spool;
    struct heal *heal;
    const struct inventory *inventory;
    bool on;
    bool reached;       /* the LSN, when it was drained */
    uint64_t lsn;       /* up to where; 0: up to offset, */
    uint64_t offset;    /* which had been received by then */
    uint64_t progress;  /* what was looked for and compared until the last tick */
    uint64_t due_ms;    /* it begins then, or once no suspects are left; 0: none was asked for */
    uint64_t latest_ms; /* of a replication: not put off beyond that */
};

void drain_order(struct drain *d, uint64_t lsn);
void drain_begin(struct drain *d);
/* At a tick. */
void drain_put_off(struct drain *d);
/* Ordered and not begun: it is to begin now. */
bool drain_is_due(const struct drain *d);
/* All entries before the LSN that was ordered are decoded. */
bool drain_reached_lsn(const struct drain *d);
/* What came last has made suspects: these need the journal to go on a little. True: it begins once more, later. */
bool drain_waits_for_suspects(struct drain *d);

#endif
