/* Two things that wait for every FLOW: the end of the snapshot, and global commands.
 *
 * The snapshot: each FLOW reports FULLSYNC_END; the last report releases STARTSTABLE. A FLOW that
 * reports twice (its worker was restarted) counts once.
 *
 * Global commands (FLUSHALL, FLUSHDB) stand in every FLOW's journal with one txid. Each FLOW is held
 * there until all have come; the lowest runs it; then all go on. Several txids may wait at once, as
 * FLOWs run ahead of each other. A FLOW that failed is no longer waited for.
 *
 * A master that is made a replica of another one journals the FLUSHALL of its own full sync. So nothing is run
 * before the source has said, after every FLOW had come there, that it is a master: globals_confirm(). */
#ifndef DF2REDIS_SUPERVISOR_RUN_BARRIER_H
#define DF2REDIS_SUPERVISOR_RUN_BARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_set {
    uint32_t flow_count, count;
    bool *member;
};

void flow_set_init(struct flow_set *set, uint32_t flow_count);
void flow_set_free(struct flow_set *set);
void flow_set_clear(struct flow_set *set);
/* True when it was not yet there. */
bool flow_set_add(struct flow_set *set, uint32_t flow);
bool flow_set_remove(struct flow_set *set, uint32_t flow);
bool flow_set_full(const struct flow_set *set);

enum global_phase { GLOBAL_GATHERING, GLOBAL_RUNNING, GLOBAL_DONE };

struct global {
    uint64_t txid;
    char command[32];
    enum global_phase phase;
    uint32_t runner;
    bool confirmed; /* the source is a master: its runner was told */
    struct flow_set arrived;
    uint64_t since_ms, warned_ms;
    uint64_t run_ms; /* when it was first given to its runner; 0: not by us */
};

enum { GLOBALS_KEPT = 64 }; /* done ones that are remembered, for workers that died just after */

struct globals {
    uint32_t flow_count;
    struct flow_set given_up; /* failed FLOWs */
    struct global *list;      /* oldest first */
    size_t count, capacity;
};

enum global_answer {
    GLOBAL_HOLD, /* others have to come */
    GLOBAL_ASK,  /* all are there: the source is to be asked for its role, then globals_confirm() */
    GLOBAL_RUN,  /* it was confirmed before: RUN_GLOBAL to *runner */
    GLOBAL_PASS, /* it was run already (this FLOW's worker was restarted): PASS_GLOBAL to it */
};

void globals_init(struct globals *g, uint32_t flow_count);
void globals_free(struct globals *g);
enum global_answer globals_arrive(struct globals *g, uint32_t flow, uint64_t txid, const char *command,
                                  uint64_t now_ms, uint32_t *runner);
/* The source is a master. One that waited for that, and is now .runner's to run; call it until it returns NULL. */
const struct global *globals_confirm(struct globals *g, uint64_t now_ms);
/* GLOBAL_DONE came from flow: the command, for PASS_GLOBAL to the others in .arrived; NULL when that was
 * known. It counts whoever says it: the successor of a runner that died knows from the target's mark that it
 * was run. */
const struct global *globals_done(struct globals *g, uint32_t flow, uint64_t txid, uint64_t now_ms);
/* So long ago it was given to its runner, and not run before; 0: not known. */
uint64_t globals_age_ms(struct globals *g, uint64_t txid, uint64_t now_ms);
/* The worker of this FLOW died: it is not at any barrier any more, and what it was running is run again. */
void globals_forget(struct globals *g, uint32_t flow);
/* The FLOW failed for good. Afterwards globals_next_ready tells whether another one is ready for it. */
void globals_give_up(struct globals *g, uint32_t flow);
/* One that all have reached and nobody runs: it is .runner's to run; at once when .confirmed, else after that. */
const struct global *globals_next_ready(struct globals *g);
/* Is this FLOW held at one that others have not reached, or that is not confirmed? */
bool globals_holds(const struct globals *g, uint32_t flow);

#endif
