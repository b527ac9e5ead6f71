/* Shared by router.c and cluster/ only. */
#ifndef DF2REDIS_WORKER_TARGET_ROUTER_INTERNAL_H
#define DF2REDIS_WORKER_TARGET_ROUTER_INTERNAL_H

#include "worker/target/router.h"

struct cluster;

struct router {
    struct event_base *base;
    struct link_config config;
    struct router_session session;
    struct output *output;
    struct router_callbacks callbacks;
    struct trouble trouble;
    bool null;
    struct seeds *seeds;     /* addresses of a cluster */
    struct link *link;       /* standalone */
    struct cluster *cluster; /* else NULL */
    struct round *open;
    struct round *first, *last; /* sent, not acknowledged … */
    size_t borrowing;           /* … number of those that borrow */
    struct round *spare_rounds;
    struct batch *spare_batches;
    bool answers_lost;        /* to commands of this worker, or of a dead one */
    bool mark_there, claimed; /* standalone: the target has this FLOW's mark, and the run's claim */
    struct database_marks databases;
    uint64_t sealed_seq; /* done_seq of the newest sent round */
};

/* Takes an empty batch from the pool. */
struct batch *router_take_batch(struct router *r);
void router_give_batch(struct router *r, struct batch *b);
/* A link has acknowledged b; acknowledges its round if it is complete. */
void router_batch_done(struct router *r, struct batch *b);
/* Drops all sent rounds, whose batches are freed. */
void router_forget_sent(struct router *r);

/* ---- cluster.c ---- */

struct cluster *cluster_new(struct router *r);
void cluster_free(struct cluster *c);
void cluster_start(struct cluster *c);
output_route cluster_route;
bool cluster_can_send(const struct cluster *c);
bool cluster_reaches_all(struct cluster *c, struct error *error);
bool cluster_borrowing(const struct cluster *c);
void cluster_send(struct cluster *c, struct batch *b, size_t node);
size_t cluster_node_of(const struct cluster *c, const struct batch *once);
void cluster_sent(struct cluster *c);
void cluster_reset(struct cluster *c, const struct error *why);
void cluster_wait(struct cluster *c, struct error *why);
size_t cluster_nodes(const struct cluster *c);
const char *cluster_run_id(const struct cluster *c, struct slice key);
const struct uri *cluster_uri(const struct cluster *c, struct slice key); /* NULL: unknown */
bool cluster_begin_entry(struct cluster *c, struct entry *e);
bool cluster_slot_has(const struct cluster *c, uint16_t slot, uint64_t seq, uint64_t lsn);
bool cluster_lacked_before(const struct cluster *c, uint64_t seq, uint64_t lsn);
void cluster_slot_did(struct cluster *c, uint16_t slot, uint64_t seq);
void cluster_ask(struct cluster *c, uint16_t slot, router_answer *answer, void *arg, uint64_t serial,
                 size_t argc, const struct slice *argv);
void cluster_put_marks(struct cluster *c, const char *text, bool whole);
void cluster_remove_marks(struct cluster *c);
void cluster_save_nodes(struct cluster *c);
void cluster_flush_begins(struct cluster *c);
void cluster_flush_over(struct cluster *c);
void cluster_note_flushed(struct cluster *c, uint64_t txid);
void cluster_flush_nodes(struct cluster *c, const char *script, const char *flushed, bool deletes);

#endif
