/* One worker: one FLOW, from its socket to its target.
 *
 *   FLOW socket ─read─> spool ─peek─> decoder ─entries─> translator ─commands─> round ─> router ─> target
 *        source.c                     pump.c                              commit.c    router.c
 *                                        acknowledged: cursor, spool_release (commit.c)
 *
 * One thread, one event loop. Each part has its own struct and calls the parts below it; struct worker contains them,
 * and worker.c connects their callbacks, the only calls upward:
 *
 *   worker.c ── pipeline/ ─┬─ verify/ ─┬─ compare/ ── translate/
 *                          │           └─ target/ ── link/
 *                          └─ source/ ── spool/
 *   flow/    the FLOW itself: settings, cursor, decoder, the supervisor's channel; below them all */
#ifndef DF2REDIS_WORKER_WORKER_H
#define DF2REDIS_WORKER_WORKER_H

#include "worker/pipeline/answers.h"

struct worker {
    struct flow *flow; /* owned by main() */
    struct event *supervisor_event, *tick_event;
    char masters[1024]; /* of a cluster, from START */
    bool entered_stable;

    struct source source;
    struct spool *spool;
    struct history *history;
    struct router *router;
    struct output *output;
    struct pipeline pipeline;

    struct deadlines *deadlines;
    struct expiry *expiry;
    struct pops *pops;
    struct heal *heal;

    struct suspects *left_out; /* left_out.h */
};

bool worker_start(struct worker *w, const struct message *start, struct error *error);
void worker_finish(struct worker *w);

#endif
