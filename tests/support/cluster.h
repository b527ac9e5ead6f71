/* Real Redis Clusters of DF2REDIS_TEST_REDIS: made, changed while others use them, and broken.
 *
 *   cluster.c         start, stop, waiting until all agree
 *   cluster_change.c  members that die, come back, are added, are removed
 *   cluster_slots.c   slots that move from master to master
 *   cluster_watch.c   what they say of each other, and of their clients
 *
 * Members 0 … masters-1 begin as masters, each with an equal share of the slots in this order; those after
 * them as replicas: masters+i of master i, and so on; those after them as masters without slots. What a
 * function cannot do is told on stderr. */
#ifndef DF2REDIS_TESTS_CLUSTER_H
#define DF2REDIS_TESTS_CLUSTER_H

#include "common/redis/topology.h"
#include "tests/support/servers.h"

enum { CLUSTER_MEMBERS = 24, CLUSTER_WORDS = 40, CLUSTER_DEADLINE_MS = 300000 };

struct redis_cluster_options {
    unsigned masters, replicas; /* replicas of each master */
    unsigned idle;              /* masters without slots */
    uint16_t base_port;         /* 0: free ones. The bus has port + 10000 */
    uint32_t node_timeout_ms;
    bool tls;                 /* each has another port for TLS; `extra` has the certificates */
    const char *const *extra; /* more options for each member, ends with NULL, may be NULL */
};
void redis_cluster_options_init(struct redis_cluster_options *o); /* 3 masters without replicas, 2 s */

struct redis_cluster {
    struct redis_cluster_member {
        struct server server;
        char id[41];
        uint16_t tls_port; /* 0: none */
        bool removed;
    } members[CLUSTER_MEMBERS];
    size_t count;
    unsigned masters; /* at the start */
    bool tls;
    const char *words[CLUSTER_WORDS];
    char timeout[16], tls_text[8];
    const char *password; /* of all members, set by redis_cluster_lock(); NULL: none */
};

/* Ends the test program when no such cluster comes up. */
void redis_cluster_start_with(struct redis_cluster *c, const struct redis_cluster_options *o);
void redis_cluster_start(struct redis_cluster *c, unsigned masters, unsigned replicas);
/* May be called at any time, more than once. */
void redis_cluster_stop(struct redis_cluster *c);

bool redis_cluster_runs(struct redis_cluster *c, size_t member);
/* Running members that do not know each other meet, again when a meeting comes to nothing; waits until all do. */
void redis_cluster_introduce(struct redis_cluster *c);
/* The first member that runs. */
struct server *redis_cluster_any(struct redis_cluster *c);
/* A connection that said the password; ends the test program when there is none. */
redisContext *redis_cluster_connect(struct redis_cluster *c, size_t member);
/* The topology as any running member tells it; false: none does. Freed by the caller. */
bool redis_cluster_topology(struct redis_cluster *c, struct topology *t);
/* Which member serves the slot; CLUSTER_MEMBERS: none. */
size_t redis_cluster_owner(struct redis_cluster *c, uint16_t slot);
/* Every running member says that all slots are served, by the same masters, and replicas are in step. */
bool redis_cluster_wait_ok(struct redis_cluster *c);
/* After how long without an answer a member is taken for failed, by all that run and are not stopped, and by those that
 * are started later. */
void redis_cluster_patience(struct redis_cluster *c, uint32_t node_timeout_ms);
/* Every running member knows so many replicas of each master: until then CLUSTER SLOTS may leave some out. */
bool redis_cluster_wait_replicas(struct redis_cluster *c, unsigned replicas);
/* The same command on every running master; no error allowed. */
void redis_cluster_each(struct redis_cluster *c, const char *words);
/* From now on every member wants this password, also from its peers. */
void redis_cluster_lock(struct redis_cluster *c, const char *password);
/* Keys of all masters, without those of df2redis. */
uint64_t redis_cluster_keys(struct redis_cluster *c);
/* And those of df2redis alone. */
uint64_t redis_cluster_own_keys(struct redis_cluster *c);

/* ---- members ---- */

/* SIGKILL; what it has not saved (SAVE) is gone. */
void redis_cluster_kill(struct redis_cluster *c, size_t member);
/* Waits until its slots are served by others. */
bool redis_cluster_wait_promoted(struct redis_cluster *c, size_t member);
/* Starts a killed member again at its place, with what it had saved, nearly always nothing: as what the
 * others make of it. Does not wait. */
void redis_cluster_revive(struct redis_cluster *c, size_t member);
/* A new master without slots, or (of < CLUSTER_MEMBERS) a replica; waits until all know it. */
size_t redis_cluster_add(struct redis_cluster *c, size_t of);
/* Moves what it serves to the other masters in turn, the lowest slot first. */
bool redis_cluster_empty(struct redis_cluster *c, size_t member);
/* The same; then stops it, and makes all forget it. */
bool redis_cluster_remove(struct redis_cluster *c, size_t member);

/* Any of these functions in a thread of its own, while this one goes on. Between begin and end the cluster is
 * the thread's. A member that it started would die with the thread. */
struct redis_cluster_work;
struct redis_cluster_work *redis_cluster_work_begin(bool (*work)(void *arg), void *arg);
bool redis_cluster_work_done(struct redis_cluster_work *w);
/* Waits; what `work` returned. */
bool redis_cluster_work_end(struct redis_cluster_work *w);

/* ---- slots ---- */

/* With all its keys, while others write: SETSLOT, MIGRATE, SETSLOT. */
bool redis_cluster_move_slot(struct redis_cluster *c, uint16_t slot, size_t to);
/* Begins the same and leaves it so, with as many of its keys moved: a resharding that was aborted. What
 * redis_cluster_move_slot() ends. */
bool redis_cluster_begin_slot(struct redis_cluster *c, uint16_t slot, size_t to, unsigned keys);
/* Neither of the two takes part in it any more; the keys stay where they are. */
bool redis_cluster_call_off_slot(struct redis_cluster *c, uint16_t slot, size_t to);
/* Without its keys, and without a word to its owner, which may hang; that is not member 0. */
bool redis_cluster_take_slot(struct redis_cluster *c, uint16_t slot, size_t to);
uint64_t redis_cluster_keys_in_slot(struct redis_cluster *c, uint16_t slot, size_t member);
/* The first `slots` that `from` serves. */
bool redis_cluster_move_slots(struct redis_cluster *c, size_t from, size_t to, unsigned slots);
/* The same by `redis-cli --cluster reshard`. */
bool redis_cluster_cli_available(void);
bool redis_cluster_reshard(struct redis_cluster *c, size_t from, size_t to, unsigned slots);

/* A thread that goes on moving slots back and forth between the masters that there are now. slots: those it
 * chooses from, count of them; NULL: any. No member may be added, killed or removed meanwhile. */
struct redis_cluster_mover;
struct redis_cluster_mover *redis_cluster_mover_start(struct redis_cluster *c, uint64_t seed,
                                                      const uint16_t *slots, size_t count);
uint64_t redis_cluster_mover_progress(struct redis_cluster_mover *m);
/* How many it moved; 0: it could not go on. */
uint64_t redis_cluster_mover_stop(struct redis_cluster_mover *m);

/* ---- what they say ---- */

/* Waits until member 0 lists that one with this text (" master,fail ") in CLUSTER NODES. */
bool redis_cluster_wait_listed(struct redis_cluster *c, size_t member, const char *text);
/* How many times the first masters, which must answer, were asked or told anything of the cluster so far; and
 * waits until it is so many times. */
uint64_t redis_cluster_asked(struct redis_cluster *c);
bool redis_cluster_wait_asked(struct redis_cluster *c, uint64_t times);
/* Waits until a client with this name is connected to it. */
bool redis_cluster_wait_client(struct redis_cluster *c, size_t member, const char *name);
/* CLIENT KILL of the one client with this name. */
bool redis_cluster_cut(struct redis_cluster *c, size_t member, const char *name);

#endif
