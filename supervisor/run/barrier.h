/* Barriers over all FLOWs: the end of the snapshot, and global commands.
 *
 * The snapshot: each FLOW reports FULLSYNC_END; the last report releases STARTSTABLE. A FLOW that
 * reports twice (its worker was restarted) counts once.
 *
 * Global commands (FLUSHALL, FLUSHDB) stand in every FLOW's journal with one txid. Each FLOW is held
 * there until all have come; the lowest runs it; then all go on. Several txids may wait at once, as
 * FLOWs run ahead of each other. A failed FLOW is not waited for.
 *
 * A runner that loses its target, or dies, may have run the command or not: once it arrives again, and every FLOW is
 * there, it runs it again. A FLOW that leaves the barrier in the meantime may apply entries before the command behind
 * it: it is told so (unheld) unless all of it stands before a later run.
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
/* Returns true if the FLOW was not yet a member. */
bool flow_set_add(struct flow_set *set, uint32_t flow);
bool flow_set_remove(struct flow_set *set, uint32_t flow);
bool flow_set_full(const struct flow_set *set);

enum global_phase { GLOBAL_GATHERING, GLOBAL_RUNNING, GLOBAL_DONE };

struct global_flow {
    uint64_t arrival; /* the worker's number of its last arrival */
    uint32_t
        left_run; /* value of `runs` when the FLOW last left the barrier; 0: before the first, or not at all */
    bool late;    /* arrived after it was done */
};

struct global {
    uint64_t txid;
    char command[32];
    enum global_phase phase;
    uint32_t runner;
    bool confirmed; /* the source is a master: the runner has RUN_GLOBAL */
    struct flow_set arrived;
    struct global_flow *flows;
    uint32_t runs;       /* number of RUN_GLOBAL */
    uint32_t done_since; /* the flush ran since this one at the latest; 0: unknown */
    uint64_t since_ms, warned_ms;
    uint64_t run_ms; /* when its runner first got it; 0: unknown */
};

enum { GLOBALS_KEPT = 64 }; /* commands remembered after they were done, for workers that died just after */

struct globals {
    uint32_t flow_count;
    struct flow_set given_up; /* failed FLOWs */
    struct global *list;      /* oldest first */
    size_t count, capacity;
};

enum global_answer {
    GLOBAL_HOLD, /* other FLOWs have not arrived */
    GLOBAL_ASK,  /* all have arrived: ask the source for its role, then globals_confirm() */
    GLOBAL_PASS, /* run already (this FLOW's worker was restarted): send it PASS_GLOBAL */
};

void globals_init(struct globals *g, uint32_t flow_count);
void globals_free(struct globals *g);
/* arrival: number of the worker, for globals_arrival(). */
enum global_answer globals_arrive(struct globals *g, uint32_t flow, uint64_t txid, const char *command,
                                  uint64_t arrival, uint64_t now_ms);
/* The source is a master. Returns a command that waited for that; its .runner runs it. Call it until NULL. */
const struct global *globals_confirm(struct globals *g, uint64_t now_ms);
/* GLOBAL_DONE came from flow. Returns the command, for PASS_GLOBAL to the others in .arrived; NULL if it was done
 * before. Any FLOW may report it: the successor of a dead runner reads in the target's mark that the command was
 * run. */
const struct global *globals_done(struct globals *g, uint32_t flow, uint64_t txid, uint64_t now_ms);
/* Returns the time since its runner first got it; 0: unknown. */
uint64_t globals_age_ms(struct globals *g, uint64_t txid, uint64_t now_ms);
/* The number of the FLOW's last arrival: an answer to an earlier one is void. */
uint64_t globals_arrival(struct globals *g, uint64_t txid, uint32_t flow);
/* Of a command that is done: whether it may have run while the FLOW was not held at it. */
bool globals_unheld(struct globals *g, uint64_t txid, uint32_t flow);
/* The worker of this FLOW died, or lost its connection to the target: the FLOW leaves all barriers, and a command it
 * was running is run again. */
void globals_forget(struct globals *g, uint32_t flow);
/* The FLOW failed for good. Afterwards globals_next_ready() returns the commands that waited only for it. */
void globals_give_up(struct globals *g, uint32_t flow);
/* Returns a command that all FLOWs have reached and none runs; .runner runs it after globals_confirm(). NULL: none. */
const struct global *globals_next_ready(struct globals *g);
/* Returns true if this FLOW is held at a command that others have not reached, or that is not confirmed. */
bool globals_holds(const struct globals *g, uint32_t flow);

#endif
