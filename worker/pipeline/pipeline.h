/* From the spool to the target, and back to where the target is. A file calls what stands below it:
 *
 *   pump.c        decode, translate, send; what is acknowledged
 *   rewind.c      after trouble: the decoder goes back to the target's mark
 *   flush.c       FLUSHALL, FLUSHDB      cross_slot.c  what no node of a cluster carries out alone      omitted.c
 *   commit.c      rounds, marks, the cursor
 *   retain.c      what is kept for a rewind      drain.c  the end that was asked for
 *
 * Below them are the parts of verify/, the source, the router and the FLOW. */
#ifndef DF2REDIS_WORKER_PIPELINE_PIPELINE_H
#define DF2REDIS_WORKER_PIPELINE_PIPELINE_H

#include "worker/pipeline/commit.h"
#include "worker/pipeline/cross_slot.h"
#include "worker/pipeline/drain.h"
#include "worker/pipeline/flush.h"
#include "worker/pipeline/report_dedup.h"
#include "worker/translate/translator.h"
#include "worker/verify/expiry.h"
#include "worker/verify/heal.h"
#include "worker/verify/pops.h"

struct pipeline {
    struct flow *flow;
    struct source *source;
    struct spool *spool;
    struct router *router;
    struct output *output;
    struct translator translator;
    struct expiry *expiry;
    struct heal *heal;
    struct pops *pops;

    struct drain drain;
    struct commit commit;
    struct flush flush;
    struct cross *cross;
    struct reports reports;

    bool starved;       /* the decoder has had all there is */
    bool journal_broke; /* it can be followed no further, and the supervisor was told */
    bool contact_waits; /* it would be in contact, but the journal was not compared yet */
    bool
        unheard; /* of what the target has and has not acknowledged some may have been refused: answers were lost */
    uint64_t answered_seq; /* entries up to it were acknowledged once before */
    bool omitted_told, said_snapshot_done;
    double rate_tokens; /* bytes that may be decoded now, under --max-rate */
    uint64_t rate_at_ms;
    uint64_t crash_at_seq; /* for tests: DF2REDIS_TEST_CRASH_AT_SEQ */
};

/* worker/pipeline/pump.c */
/* Once the parts are there; then flow_wake() makes it run. */
void pump_init(struct pipeline *p);
void pump(struct pipeline *p);
/* The target has carried out r. */
void pump_acknowledged(struct pipeline *p, struct round *r);

/* worker/pipeline/rewind.c */
/* Back to where the target is: its mark, and the newest decoder state at or before it. ERROR_REDIRECT: what
 * it lacks is no longer here. */
bool rewind_to_target(struct pipeline *p, const struct position *at, struct error *error);

#endif
