/* What the crash tests share: a scripted source whose stream must not be applied twice, a target, and a
 * server with what the target must come to. */
#ifndef DF2REDIS_TESTS_CRASH_H
#define DF2REDIS_TESTS_CRASH_H

#include "tests/support/journal_script.h"
#include "tests/support/kills.h"
#include "tests/support/run.h"

/* A little of everything. */
extern const struct journal_snapshot crash_mixed;

struct crash {
    struct run run;
    struct journal_script script;
    struct server expected;
    struct kills kills;
    /* What the target was told of times to live was removed: one that is behind by a second then is reported
     * once for each FLOW, as nobody knows what may have expired there. */
    bool times_lost, times_told;
};

/* Starts all but the program. */
void crash_begin(struct crash *c, uint32_t flows, const struct journal_snapshot *what);
/* With a cluster as the target, which is the caller's; everything is in database 0. */
void crash_begin_in(struct crash *c, struct redis_cluster *cluster, uint32_t flows,
                    const struct journal_snapshot *what);
/* Starts the program, too, and waits until it is in step. */
bool crash_start(struct crash *c, uint32_t flows, const struct journal_snapshot *what,
                 const char *const *extra);
void crash_end(struct crash *c);
/* The scripted source has sent all, and the workers have it: a condition of wait_until(). */
bool crash_all_received(void *crash);

/* ---- in a cluster ---- */

enum { CRASH_CLUSTER_FLOWS = 3 };
extern const struct journal_snapshot crash_small;
/* A cluster, a small snapshot into it, in step; ends the test when it does not come to that. */
bool crash_begin_in_step(struct crash *c, struct redis_cluster *cluster, unsigned masters, unsigned replicas);
/* For teardown: *mover may be NULL, and is then. */
void crash_end_in(struct crash *c, struct redis_cluster *cluster, struct redis_cluster_mover **mover);

/* The target holds what the script comes to, key by key, whatever the program does now. */
bool crash_target_equal(struct crash *c);
/* SIGTERM, and the run's exit code; that of what was reported since times were lost counts as EX_OK. */
int crash_terminate(struct crash *c);
/* Acknowledged to the end, in step, equal key by key, nothing reported, nobody said a forbidden word. */
bool crash_came_out_equal(struct crash *c);
/* The source was asked for the journal alone (DFLY STARTSTABLE came so often), all came out equal, and the run
 * ended well. Prints what happened if not. */
bool crash_resumed_equal(struct crash *c, size_t sessions);
/* Sessions that the source has begun with a full sync so far. */
size_t crash_full_syncs(struct crash *c);
/* SIGKILL to the supervisor alone or to all of it. False unless every worker is gone after it: none outlives its
 * supervisor. */
bool crash_kill(struct crash *c, bool whole_group);
/* Files of the run's state directory. */
void crash_remove(struct crash *c, const char *pattern);
/* Status and log say how the session began, and why. */
bool crash_last_sync(struct crash *c, const char *kind, const char *reason);

#endif
