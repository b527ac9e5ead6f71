/* The target before the data: what is it, does it hold keys, may it be written to; flushing it, and removing
 * what df2redis has left in it.
 *
 *   target.c        a job from its first connection to its end
 *   target_job.c    one connection: what is it
 *   target_probe.c  at the start: its memory, its databases, our rights
 *   target_task.c   what a job does on every node once they are known
 *   target_clean.c  the task of `df2redis clean`
 *   target_marks.c  marks, read and made one of several
 *
 * A cluster is found by itself: any node tells who its masters are, and the job goes on with all of them. */
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
    TARGET_PREPARE, /* look at it once more, flush it where that is decided then, and claim it */
    TARGET_CLEAN,   /* remove the marks, and keys of ours that an ended run has left half-built */
};

/* What is decided in the moment before it is written to for the first time. */
enum target_order {
    TARGET_LEAVE,       /* nothing is done, and none of the other callbacks called */
    TARGET_CLAIM_EMPTY, /* write down which session fills it from now on, unless somebody else has come first */
    TARGET_CLAIM,
    TARGET_FLUSH, /* every master; then claim it */
};

struct target_callbacks {
    void *arg;
    /* TARGET_PREPARE: keys: of all masters, without the run's mark. */
    enum target_order (*decide)(uint64_t keys, const struct target_marks *marks, void *arg);
    void (*done)(const struct capabilities *capabilities, void *arg);
    void (*failed)(const struct error *error, void *arg);
};

struct target_job;

/* Connects, asks, and does the task, unless it turns out to be a Dragonfly (which may be the source
 * under another name) or something else that cannot be a target: capabilities_check, which after TARGET_ASK is the
 * caller's. Callbacks are never called from within this function.
 *
 * known (may be NULL): a cluster's masters as the last job found them; asked in turn when the target's URI,
 * or a master that it names, does not answer, and replaced by what this job finds. TARGET_ASK waits about a
 * minute for a cluster that has slots without a master or masters that do not answer: it may be in the
 * middle of a failover. */
struct target_job *target_start(struct event_base *base, const struct settings *settings,
                                enum target_task task, uint64_t session, struct topology *known,
                                const struct target_callbacks *callbacks, struct error *error);
void target_free(struct target_job *job);
/* After done: what TARGET_ASK found. In a cluster: what holds for all of its masters. */
const struct target_marks *target_marks_found(const struct target_job *job);
/* The same: its keys, without the run's mark. */
uint64_t target_keys_found(const struct target_job *job);
/* After done: what TARGET_ASK found against it. flush_due: its keys are to be deleted. */
void target_findings(const struct target_job *job, bool flush_due, struct findings *out);
struct target_memory {
    uint64_t limit, used; /* bytes, of all masters; limit 0: none, or not told */
    char policy[24];      /* maxmemory-policy; of a cluster: one that evicts, if there is one */
};
void target_memory(const struct target_job *job, struct target_memory *out);
/* After done: what TARGET_CLEAN removed. */
struct target_cleaned {
    uint64_t marks, leftovers; /* keys */
};
struct target_cleaned target_cleaned(const struct target_job *job);
/* Masters that serve slots; 1 when it is no cluster. */
size_t target_nodes(const struct target_job *job);

#endif
