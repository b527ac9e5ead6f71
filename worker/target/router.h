/* The target as the rest of the worker sees it: rounds go in, acknowledgements come out, in order; behind it
 * stands one link, or, when the target turns out to be a Redis Cluster, one for each master (cluster.c).
 *
 *             ┌ link ─> 10.0.0.1:7000
 *   round ─>  ├ link ─> 10.0.0.2:7000      key → slot → node
 *             └ link ─> 10.0.0.3:7000
 *
 * When anything is in doubt, `lost` is called, all rounds that are not acknowledged are forgotten, and after
 * a while `ready` tells where the target stands: the decoder begins again there. */
#ifndef DF2REDIS_WORKER_TARGET_ROUTER_H
#define DF2REDIS_WORKER_TARGET_ROUTER_H

#include "worker/link/link.h"
#include "worker/link/round.h"
#include "worker/rdb/entry.h"

/* What this session is, against which marks are read. */
struct router_session {
    uint64_t id;
    char master_id[41],
        last_master_id[41]; /* marks of the second count, too: its journal goes on in the first's */
    uint64_t first_lsn;     /* it began with the journal there; 0: with a snapshot */
    uint64_t applied_seq;   /* acknowledged by all nodes before this process began */
    uint64_t marked_seq;    /* the same of the newest mark of the whole FLOW; 0: none */
    const char *directory;  /* for what a successor has to know; NULL: nowhere */
    uint32_t flow;
    const char *masters; /* as START tells them; for router_start() alone */
};

/* Where the target stands. In a cluster slots differ: `mark` is that of the one that is furthest behind. */
struct position {
    struct mark mark;
    uint64_t ahead_seq, ahead_lsn; /* of the slot that is furthest ahead */
};

struct router;

struct router_callbacks {
    void *arg;
    void (*ready)(void *arg, const struct position *at, const struct capabilities *target);
    /* Everything in it was carried out (refusals were told before). The router's again afterwards. */
    void (*acknowledged)(void *arg, struct round *r);
    void (*refused)(void *arg, const struct batch *b, uint32_t i, const char *text);
    void (*conflict)(void *arg, const struct batch *b, uint32_t i);
    /* ERROR_RETRY: it connects again; ERROR_REDIRECT: only a full sync helps; ERROR_FATAL: it does not. */
    void (*lost)(void *arg, const struct error *error);
    void (*writable)(void *arg);
};

struct router *router_new(struct event_base *base, const struct link_config *config, struct output *output,
                          const struct router_callbacks *callbacks);
void router_free(struct router *r);
/* Begins to connect; for null: there is nothing to connect to, and it is ready at once. */
void router_start(struct router *r, const struct router_session *session);

/* The round that is being filled; the output writes into it. */
struct round *router_open(struct router *r);
/* Could it go out now? once: with marks of the whole FLOW, or what must not run twice. */
bool router_can_send(const struct router *r, bool once);
/* Its checkpoint is filled in. Another one is open afterwards. */
void router_send(struct router *r);
/* Empties the open round. */
void router_forget_open(struct router *r);
/* Nothing is unanswered. */
bool router_idle(const struct router *r);
/* Were answers to what was sent lost with a connection, since this was asked last? At first, perhaps: those to
 * an earlier process. */
bool router_take_answers_lost(struct router *r);
/* Borrowed arguments are not out whole yet: the bytes must stay where they are. */
bool router_borrowing(const struct router *r);
/* The decoder was put there: the next round follows it. */
void router_begin_at(struct router *r, uint64_t seq);
/* All connections are given up and made anew. */
void router_reset(struct router *r, const struct error *why);

/* In a cluster: every node has had this flush; remembered, since the note of it may move with its slot. */
void router_note_flushed(struct router *r, uint64_t txid);
/* In a cluster, once its position has been taken over: who its nodes are, for a successor. */
void router_save_nodes(struct router *r);
/* In a cluster: not now; its slots are asked for again. */
void router_wait(struct router *r, struct error *why);

bool router_is_null(const struct router *r);
bool router_is_cluster(const struct router *r);
size_t router_nodes(const struct router *r);
/* Where the key is served: in a cluster its slot's master, as far as is known. */
const struct uri *router_uri(const struct router *r, struct slice key);

/* The entry whose commands are written next: what its slot has already is left out. False: nothing of it is
 * needed. */
bool router_begin_entry(struct router *r, struct entry *e);
/* In a cluster: has the slot what the session's entry seq, or the journal's entry lsn (0: neither) did? */
bool router_slot_has(const struct router *r, uint16_t slot, uint64_t seq, uint64_t lsn);
/* Entry seq is done there, whatever round it was in. */
void router_slot_did(struct router *r, uint16_t slot, uint64_t seq);
/* In a cluster: a command that reads, on the node that serves the slot. When there is no answer everything is
 * lost, as with any other trouble. */
typedef void router_answer(void *arg, uint64_t serial, const redisReply *reply);
void router_ask(struct router *r, uint16_t slot, router_answer *answer, void *arg, uint64_t serial,
                size_t argc, const struct slice *argv);
/* In a cluster: does the node that serves the slot refuse what names two of its keys? */
bool router_key_by_key(const struct router *r, uint16_t slot);
/* In a cluster: how many replicas of the node that serves the slot can be waited for; 0 for a while after
 * some were late. */
uint32_t router_replicas(const struct router *r, uint16_t slot);
/* Into the open round: that node waits until they have what this FLOW wrote there before, half a second at
 * most. */
void router_put_wait(struct router *r, uint16_t slot);
void router_waited(struct router *r, uint16_t slot); /* it is acknowledged */
/* Marks into the open round: in a cluster for every slot with commands that must not run twice, and, when
 * `whole`, for every node. text: as flow-N holds it. */
void router_put_marks(struct router *r, const char *text, bool whole);
/* Removes this FLOW's marks from the target, by commands in the open round. */
void router_remove_marks(struct router *r);
/* In a cluster: from here on any FLOW may run a flush of the source, which takes marks away; and it was run. */
void router_flush_begins(struct router *r);
void router_flush_over(struct router *r);
/* In a cluster: is every master connected that may hold keys? ERROR_RETRY: not yet, or one without slots is
 * not. */
bool router_reaches_all(struct router *r, struct error *error);
/* In a cluster, when it reaches all: the script of a flush (flush.c) for every master, over its marks.
 * flushed: to be noted; empty: nothing. */
void router_flush_nodes(struct router *r, const char *script, const char *flushed);

#endif
