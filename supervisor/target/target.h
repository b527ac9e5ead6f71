/* The target before the data: its kind, its keys and the user's rights; the flush; the removal of what df2redis has
 * left in it. A job does that over connections of its own. What calls what:
 *
 *   target.c ──┬─> target_node.c ───> target_probe.c      (a) connect to a node, probe it: kind, memory,
 *              │        └ node_probed, node_failed ┐          databases, rights; back to target.c
 *              │   <───────────────────────────────┘      (b) in a cluster the same on every master
 *              └─> target_task.c ───> target_clean.c      (c) the task on all nodes: marks, flush, claim; clean
 *
 *   all of them ─> target_job.c                           the job's state: another attempt, failed, done
 *              └─> target_marks.c                         the marks in the target
 *
 *   target_watch.c ─> evictions.c                         during the run: an INFO of every master each second
 *
 * A cluster is discovered: any node names the masters, and the job continues with all of them. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "common/redis/topology.h"
#include "common/settings/settings.h"
#include "supervisor/rules/rights.h"
#include "supervisor/target/target_marks.h"

enum target_task {
    TARGET_ASK,
    TARGET_PREPARE, /* examine it again, flush it if decide() says so, claim it */
    TARGET_CLEAN,   /* remove the marks, and df2redis's keys that an ended run has left half-built */
};

/* The decision right before the first write. */
enum target_order {
    TARGET_LEAVE,       /* the job does nothing more and calls no other callback */
    TARGET_CLAIM_EMPTY, /* write the session into the run's mark, unless the target has got keys meanwhile */
    TARGET_CLAIM,
    TARGET_FLUSH, /* every master; then claim it */
};

struct target_callbacks {
    void *arg;
    /* TARGET_PREPARE. keys: the sum of all masters, without the run's mark. */
    enum target_order (*decide)(uint64_t keys, const struct target_marks *marks, void *arg);
    void (*done)(const struct capabilities *capabilities, void *arg);
    void (*failed)(const struct error *error, void *arg);
};

struct target_job;

/* Connects, probes and performs the task. A Dragonfly (it may be the source under another name) or another server that
 * cannot be a target fails capabilities_check and ends the job; after TARGET_ASK that check is the caller's. Callbacks
 * are never called from within this function.
 *
 * known (may be NULL): a cluster's masters as the last job found them. They are asked in turn when the target's URI, or
 * a master that it names, does not answer; this job replaces them by what it finds. TARGET_ASK waits about a minute for
 * a cluster with slots without a master or with masters that do not answer: a failover may be under way. */
struct target_job *target_start(struct event_base *base, const struct settings *settings,
                                enum target_task task, uint64_t session, struct topology *known,
                                const struct target_callbacks *callbacks, struct error *error);
void target_free(struct target_job *job);
/* After TARGET_ASK: the marks; in a cluster, what holds for all masters. */
const struct target_marks *target_marks_found(const struct target_job *job);
/* After TARGET_ASK: the number of keys, without the run's mark. */
uint64_t target_keys_found(const struct target_job *job);
/* After TARGET_ASK: adds the objections to this target. flush_due: the run will delete its keys. */
void target_findings(const struct target_job *job, bool flush_due, struct findings *out);
struct target_memory {
    uint64_t limit, used; /* bytes, the sum of all masters; limit 0: none or unknown */
    uint64_t system;      /* of the machine's memory, the same sum; 0: unknown */
    char policy[24];      /* maxmemory-policy; of a cluster an evicting one, if any master has it */
};
void target_memory(const struct target_job *job, struct target_memory *out);
/* After TARGET_ASK, and after TARGET_PREPARE of an empty or flushed target: calls tell with each server's run_id and its
 * evicted_keys before anything is written. */
void target_each_process(const struct target_job *job,
                         void (*tell)(void *arg, const char *run_id, uint64_t evicted), void *arg);
/* After TARGET_CLEAN: what was removed. */
struct target_cleaned {
    uint64_t marks, leftovers; /* keys */
};
struct target_cleaned target_cleaned(const struct target_job *job);
/* The error of the latest attempt that failed, while the job goes on; ERROR_NONE. */
const struct error *target_last_error(const struct target_job *job);
/* The number of masters that serve slots; 1 for a standalone target. */
size_t target_nodes(const struct target_job *job);

#endif
