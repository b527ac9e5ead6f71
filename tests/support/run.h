/* A whole set-up: scripted source → df2redis → real target. What is not needed stays out; run_end ends what
 * is there, also after a failed assertion. DF2REDIS_TEST_VERBOSE=1 shows what was said on both sides, after
 * each test. */
#ifndef DF2REDIS_TESTS_RUN_H
#define DF2REDIS_TESTS_RUN_H

#include "tests/support/cluster.h"
#include "tests/support/df2redis.h"
#include "tests/support/scripted_dragonfly.h"
#include "tests/support/servers.h"
#include "tests/support/state.h"

enum { RUN_DEADLINE_MS = 300000 };

struct run {
    struct server target;    /* of a cluster: no process, but where the comparison asks */
    const char *password;    /* of the target, for the comparison; NULL: none */
    struct server dragonfly; /* a real source, for the tests that have one */
    struct scripted *source;
    struct df2redis program;
};

/* Starts the target, the source and makes the program's directory. options NULL: no scripted source. */
void run_begin(struct run *r, const struct scripted_options *options);
/* The same with a cluster, which is and stays the caller's, as the target. */
void run_begin_in(struct run *r, struct redis_cluster *c, const struct scripted_options *options);
/* The comparison asks a member that runs now, and says the password that the members want. */
void run_follow(struct run *r, struct redis_cluster *c);
/* The same with a real Dragonfly as the source. False when there is none here, and said so. */
bool run_begin_live(struct run *r, unsigned shards, const char *const *options);
void run_end(struct run *r);

/* With further arguments, NULL-terminated, may be NULL. */
void run_replicate(struct run *r, const char *const *extra);
int run_migrate(struct run *r, const char *const *extra);
/* Every FLOW acknowledged to its end, no violation, in step. Prints what happened if not. */
bool run_wait_in_step(struct run *r);
/* Waits until the source has so many of these events; false at once when the program ends before. */
bool run_wait_source(struct run *r, const char *who, const char *text, size_t count);
/* Waits until the end of the real Dragonfly's journal, as it is when asked, is applied and the run in step,
 * and no suspect key is left to be compared. False at once when the program ends, too. */
bool run_wait_applied(struct run *r);
/* Keys in the target, without df2redis's own. */
uint64_t run_target_keys(const struct run *r);
/* SIGTERM, and the exit code. */
int run_terminate(struct run *r);
/* It ends by itself with this exit code, and has said this. Prints what happened if not. */
bool run_ends_with(struct run *r, int code, const char *text);
/* What stands in the file `pid` of its directory (--pidfile); 0: nothing yet. */
pid_t run_daemon_pid(const struct run *r);
/* Target against a recorded state; prints differences. keys (may be NULL): how many were compared. */
bool run_equals_recording(struct run *r, const char *dir, struct state_rules *rules, uint64_t *keys);
/* Target against a server, and against the real Dragonfly. */
bool run_equals_server(struct run *r, uint16_t port, struct state_rules *rules, uint64_t *keys);
bool run_equals_dragonfly(struct run *r, struct state_rules *rules, uint64_t *keys);

#endif
