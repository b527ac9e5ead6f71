/* One worker: one FLOW, from its socket to its target.
 *
 *   FLOW socket ─read─> spool ─peek─> decoder ─entries─> translator ─commands─> round ─> router ─> target
 *        source.c                     pump.c                              commit.c    router.c
 *                                        acknowledged: cursor, spool_release (commit.c)
 *
 * One thread, one event loop. Each part has a struct of its own and knows what stands below it; struct worker holds
 * them, and worker.c is the one place that calls upward for them:
 *
 *   worker.c ── pipeline/ ─┬─ verify/ ─┬─ compare/ ── translate/
 *                          │           └─ target/ ── link/
 *                          └─ source/ ── spool/
 *   flow/    the FLOW itself: settings, cursor, decoder, the supervisor's channel; below them all */
#ifndef DF2REDIS_WORKER_WORKER_H
#define DF2REDIS_WORKER_WORKER_H

#include "worker/pipeline/pipeline.h"

enum { REFUSED_SCRIPTS = 64 };

struct worker {
    struct flow *flow; /* the owner's */
    struct event *supervisor_event, *tick_event;
    char masters[1024]; /* of a cluster, to begin with */
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
    struct flow_cursors *cursors; /* of all FLOWs */
    struct inventory *inventory;
    struct heal *heal;

    struct suspects *left_out;                 /* left_out.h */
    char refused_scripts[REFUSED_SCRIPTS][41]; /* their SHAs, the last ones */
    size_t refused_script_next;
};

bool worker_start(struct worker *w, const struct message *start, struct error *error);
void worker_finish(struct worker *w);

#endif
