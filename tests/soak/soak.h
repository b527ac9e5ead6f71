/* What the soak test runs, and what its faults are done to.
 *
 *   soak.c            rounds: faults under load, then the comparison
 *   setup.c           source, load and program: started, changed, ended
 *   targets.c         the same of the target's servers
 *   evict.c           a server of the target evicts
 *   verdict.c         has it settled, is it equal, was a full sync needed
 *   record.c          what the servers were told, for a difference
 *   faults.c          the table of faults, and those of processes and their files
 *   faults_source.c   those of the source and of the link to it
 *   faults_roles.c    the source becomes a replica, or a replica of it the source
 *   faults_target.c   those of a single target and of the link to it
 *   faults_cluster.c  those of a cluster's nodes */
#ifndef DF2REDIS_TESTS_SOAK_H
#define DF2REDIS_TESTS_SOAK_H

#include "tests/support/journal_script.h"
#include "tests/support/proxy.h"
#include "tests/support/run.h"
#include "tests/support/workload.h"

enum { SOAK_FLOWS = 3, SOAK_SOURCES = 2, SOAK_TARGETS = 6, SOAK_BEYOND_DATABASE = 17, SOAK_STEP_MS = 180000 };

struct soak {
    struct run run;
    struct random random;
    bool live;       /* a real Dragonfly; else the scripted one */
    bool in_cluster; /* the target is one of three masters with a replica each */
    uint32_t databases;
    struct server spare; /* live: the Dragonfly that is not the master now; not started before it is needed */
    struct proxy *spare_link;            /* through which it follows the master */
    struct proxy *sources[SOAK_SOURCES]; /* the addresses of the source; the spare's is the other one */
    unsigned master;                     /* which of them leads to the master */
    struct soak_target {
        struct proxy *link;
        int clock;           /* the file that sets it */
    } targets[SOAK_TARGETS]; /* a single target, or as the members of the cluster */
    struct redis_cluster cluster;
    struct workload *load;
    struct journal_script script;
    struct server expected; /* what the scripted stream comes to */
    struct process reader;  /* of what the program says … */
    int pipe;               /* … through this */
    uint64_t seed, rounds, survived;
    bool slots_moved, node_promoted; /* since marks were waited for */
    unsigned starts;
    bool calm;           /* this round has only faults that need no full sync */
    bool may_sync;       /* since the program was last in step something has happened that needs one */
    uint64_t full_syncs; /* so far */
    uint64_t needless;   /* of them */
    uint64_t differences;
    uint64_t most_keys;     /* that a verdict has found */
    uint64_t beyond;        /* faults whose divergences are reported, and have to be */
    uint64_t evicted;       /* the same, as long as the copy is the one that lacks the keys */
    uint64_t evicted_syncs; /* full syncs until the last of them was told */
    bool missed;            /* a fault could not be made this time, and counts for nothing */
    const char *trouble;    /* what a fault found wrong; NULL: nothing */
};

/* ---- setup.c ---- */

void soak_begin(struct soak *s);
void soak_end(struct soak *s);
/* What it is told from now on, for what cannot be explained without it. */
void soak_record(const struct server *server, const char *name);
void soak_start_program(struct soak *s);
void soak_print_program(struct soak *s);
void soak_begin_load(struct soak *s);
void soak_end_load(struct soak *s);
void soak_end_load_when_stable(struct soak *s);
/* Where the source is not; the caller ends it. */
struct workload *soak_load_other(struct soak *s, uint16_t port);
/* Lets the load go on for so long. False: the program ended. */
bool soak_go_on(struct soak *s, uint32_t ms);
uint32_t soak_some_ms(struct soak *s, uint32_t least, uint32_t most);
/* Bytes a second: sometimes without a limit (0), sometimes less than is written. */
uint32_t soak_some_rate(struct soak *s);
/* Whatever state a server is in, its answer does not matter; nor whether there is one. */
/* True: the answer is no error. */
bool soak_tell(uint16_t port, const char *command);
/* Options of the source's Dragonflies. */
extern const char *const soak_dragonfly_words[];

/* ---- targets.c ---- */

void soak_begin_cluster(struct soak *s);
void soak_begin_targets(struct soak *s);
void soak_end_targets(struct soak *s);
uint16_t soak_proxy_port(const struct proxy *p);
/* The single one, again. */
void soak_start_target(struct soak *s);
/* One of the cluster that was killed. */
void soak_revive_node(struct soak *s, size_t member);
/* Wrong by so much, from now on. */
void soak_set_clock(struct soak *s, size_t target, int64_t off_ms);

/* ---- evict.c ---- */

/* Returns true if any key was evicted. That is never undone by itself: it has to be told, and the way out is to copy
 * anew. */
bool soak_evict(struct soak *s, uint16_t port);

/* ---- verdict.c ---- */

bool soak_has_settled(void *soak);
/* Ends the load meanwhile. */
void soak_wait_in_step(struct soak *s);
bool soak_is_equal(struct soak *s);
/* What has expired on the source is deleted there, and journaled so. */
void soak_expire(struct soak *s);
/* So far, of all sources. */
uint64_t soak_full_syncs(struct soak *s);
/* One that nothing needed is told; the soak goes on, and has failed. */
void soak_count_full_syncs(struct soak *s);
/* Waits for one more of them, the load going on. */
bool soak_wait_full_sync(struct soak *s);
bool soak_wait_full_sync_after(struct soak *s, uint64_t before);
bool soak_divergences_are_expected(struct soak *s);
bool soak_expects_divergences(const struct soak *s);
double soak_divergences(struct soak *s, const char *reason);

/* ---- faults ---- */

enum fault_flags {
    FAULT_SINGLE = 1,  /* of a single target */
    FAULT_CLUSTER = 2, /* of a cluster */
    FAULT_LIVE = 4,    /* needs a real Dragonfly, or one that has the keys */
    FAULT_SYNCS = 8,   /* may need a full sync */
};

struct fault {
    const char *name;
    unsigned weight;
    void (*make)(struct soak *s);
    unsigned flags;
};
const struct fault *soak_choose(struct soak *s);
void soak_survived(struct soak *s, const struct fault *fault);
void soak_missed(struct soak *s, const struct fault *fault);
void soak_print_faults(void);

void fault_cut_source(struct soak *s);
void fault_slow_source(struct soak *s);
void fault_hold_flows(struct soak *s);
void fault_flush_source(struct soak *s);
void fault_write_beyond(struct soak *s);

void fault_demote_source(struct soak *s);
void fault_fail_over_source(struct soak *s);
void fault_kill_idle_source(struct soak *s);
void fault_kill_source(struct soak *s);

void fault_cut_target(struct soak *s);
void fault_cut_target_anywhere(struct soak *s);
void fault_slow_target(struct soak *s);
void fault_kill_clients(struct soak *s);
void fault_restart_target(struct soak *s);
void fault_restart_target_empty(struct soak *s);
void fault_restart_target_from_an_older_copy(struct soak *s);
void fault_stop_target(struct soak *s);
void fault_fill_target(struct soak *s);
void fault_demote_target(struct soak *s);
void fault_flush_target(struct soak *s);
void fault_evict(struct soak *s);
void fault_change_clock(struct soak *s);

void fault_kill_node(struct soak *s);
void fault_fail_over_node(struct soak *s);
void fault_stop_node(struct soak *s);
void fault_fill_node(struct soak *s);
void fault_cut_node(struct soak *s);
void fault_cut_node_anywhere(struct soak *s);
void fault_slow_node(struct soak *s);
void fault_slow_nodes(struct soak *s);
void fault_evict_on_node(struct soak *s);
void fault_change_node_clock(struct soak *s);
void fault_flush_node(struct soak *s);
void fault_move_slots(struct soak *s);

#endif
