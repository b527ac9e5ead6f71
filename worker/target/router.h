/* The target for the rest of the worker: takes rounds, and acknowledges them in order. It has one link, or, if the
 * target is a Redis Cluster, one per master (cluster.c).
 *
 *             ┌ link ─> 10.0.0.1:7000
 *   round ─>  ├ link ─> 10.0.0.2:7000      key → slot → node
 *             └ link ─> 10.0.0.3:7000
 *
 * After any failure `lost` is called, all unacknowledged rounds are dropped, and later `ready` passes the position of
 * the target, from which the decoder starts again. */
#ifndef DF2REDIS_WORKER_TARGET_ROUTER_H
#define DF2REDIS_WORKER_TARGET_ROUTER_H

#include "worker/link/link.h"
#include "worker/link/round.h"
#include "worker/rdb/entry.h"

/* The session; marks are compared with it. */
struct router_session {
    uint64_t id;
    char master_id[41],
        last_master_id
            [41]; /* of the previous master, whose journal master_id continues: its marks are valid, too */
    uint64_t first_lsn;    /* of a partial sync; 0: full sync */
    uint64_t applied_seq;  /* acknowledged by all nodes before this process began */
    uint64_t marked_seq;   /* of the newest mark of the whole FLOW acknowledged by then; 0: none */
    const char *directory; /* of the file for a restarted worker; NULL: none */
    uint32_t flow;
    const char *masters; /* from START; used by router_start() only */
};

/* The position of the target. In a cluster `mark` is that of the slot furthest behind. */
struct position {
    struct mark mark;
    uint64_t ahead_seq, ahead_lsn; /* of the slot furthest ahead */
};

struct router;

struct router_callbacks {
    void *arg;
    void (*ready)(void *arg, const struct position *at, const struct capabilities *target);
    /* All commands of the round are answered (`refused` was called for refusals). The router reuses it afterwards. */
    void (*acknowledged)(void *arg, struct round *r);
    void (*refused)(void *arg, const struct batch *b, uint32_t i, const char *text);
    void (*conflict)(void *arg, const struct batch *b, uint32_t i);
    /* ERROR_RETRY: the router reconnects; ERROR_REDIRECT: a full sync is needed; ERROR_FATAL: needs an operator. */
    void (*lost)(void *arg, const struct error *error);
    void (*writable)(void *arg);
};

struct router *router_new(struct event_base *base, const struct link_config *config, struct output *output,
                          const struct router_callbacks *callbacks);
void router_free(struct router *r);
/* Begins to connect; the null target is ready immediately. */
void router_start(struct router *r, const struct router_session *session);

/* The open round; the output writes into it. */
struct round *router_open(struct router *r);
/* Whether the open round can be sent now; once: with a once command or marks of the whole FLOW. */
bool router_can_send(const struct router *r, bool once);
/* Sends the open round, with its checkpoint set, and opens the next one. */
void router_send(struct router *r);
/* Empties the open round. */
void router_forget_open(struct router *r);
/* Whether no round is unacknowledged. */
bool router_idle(const struct router *r);
/* Whether answers were lost with a connection since the last call. The first call: those to a dead worker may have
 * been. */
bool router_take_answers_lost(struct router *r);
/* Whether borrowed arguments are unsent: their bytes must stay in place. */
bool router_borrowing(const struct router *r);
/* The decoder is at seq: the next round begins there. */
void router_begin_at(struct router *r, uint64_t seq);
/* Closes all connections and reconnects. */
void router_reset(struct router *r, const struct error *why);

/* In a cluster: every node has run this flush; stored, as a flush note may move with its slot. */
void router_note_flushed(struct router *r, uint64_t txid);
/* In a cluster, once the decoder is at its position: stores the identity of its nodes for a restarted worker. */
void router_save_nodes(struct router *r);
/* In a cluster: pauses, and asks for the topology again. */
void router_wait(struct router *r, struct error *why);

bool router_is_null(const struct router *r);
bool router_is_cluster(const struct router *r);
size_t router_nodes(const struct router *r);
/* The server of the key: in a cluster the master of its slot in the last known topology. */
const struct uri *router_uri(const struct router *r, struct slice key);
/* In a cluster: the run id of that master; empty: not known. */
const char *router_run_id(const struct router *r, struct slice key);

/* Begins the commands of an entry, of which those that its slot has are dropped. False: the target has all of it. */
bool router_begin_entry(struct router *r, struct entry *e);
/* In a cluster: whether the slot has entry seq of the session, or the journal entry lsn (0: none). */
bool router_slot_has(const struct router *r, uint16_t slot, uint64_t seq, uint64_t lsn);
/* In a cluster: whether a slot lacked entries before entry seq, with lsn (0: none), when the connections were made. */
bool router_lacked_before(const struct router *r, uint64_t seq, uint64_t lsn);
/* Records that the slot has entry seq. */
void router_slot_did(struct router *r, uint16_t slot, uint64_t seq);
/* In a cluster: sends a reading command to the node of the slot. Without an answer `lost` is called. */
typedef void router_answer(void *arg, uint64_t serial, const redisReply *reply);
void router_ask(struct router *r, uint16_t slot, router_answer *answer, void *arg, uint64_t serial,
                size_t argc, const struct slice *argv);
/* In a cluster: whether the slot is open, so that its node refuses commands with two keys. */
bool router_key_by_key(const struct router *r, uint16_t slot);
/* In a cluster: number of replicas of the slot's node to wait for; 0 for a while after a timeout. */
uint32_t router_replicas(const struct router *r, uint16_t slot);
/* Adds WAIT to the open round: for the replicas to have this FLOW's writes to the node, at most half a second. */
void router_put_wait(struct router *r, uint16_t slot);
void router_waited(struct router *r, uint16_t slot); /* the WAIT is acknowledged */
/* Adds marks to the open round: in a cluster for every slot with once commands, and, if `whole`, for every node. text:
 * value of the field flow-N. */
void router_put_marks(struct router *r, const char *text, bool whole);
/* Adds the removal of this FLOW's marks to the open round. */
void router_remove_marks(struct router *r);
/* In a cluster: any FLOW may run a flush, which removes marks, until router_flush_over(). */
void router_flush_begins(struct router *r);
void router_flush_over(struct router *r);
/* In a cluster: whether every master that may have keys is connected. ERROR_RETRY: not yet, or an empty master is
 * not. */
bool router_reaches_all(struct router *r, struct error *error);
/* In a cluster with all masters connected: adds the script of a flush (flush.c) for every master. flushed: the flush
 * note; empty: none. deletes: whether the keys are deleted. */
void router_flush_nodes(struct router *r, const char *script, const char *flushed, bool deletes);

#endif
