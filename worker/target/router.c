/* Rounds: sent, acknowledged in order, dropped after a failure. By one link, or by those of a cluster. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/invariant.h"
#include "common/redis/seeds.h"
#include "worker/link/mark_text.h"
#include "worker/target/router_internal.h"

enum { BATCH_KEEP_BYTES = 2 << 20, ONCE_KEEP_BYTES = 16 << 10 };

/* ---- pools ---- */

struct batch *router_take_batch(struct router *r)
{
    struct batch *b = r->spare_batches;
    if (!b)
        return batch_new();
    r->spare_batches = b->next;
    b->next = NULL;
    return b;
}

/* In a cluster a round may have hundreds of small batches, one per slot. */
void router_give_batch(struct router *r, struct batch *b)
{
    batch_reset(b, r->cluster && b->once ? ONCE_KEEP_BYTES : BATCH_KEEP_BYTES);
    b->next = r->spare_batches;
    r->spare_batches = b;
}

static void give_round(struct router *r, struct round *q)
{
    for (uint32_t i = 0; i < q->nodes; i++)
        if (q->plain[i])
            router_give_batch(r, q->plain[i]);
    while (q->once) {
        struct batch *b = q->once;
        q->once = b->next;
        router_give_batch(r, b);
    }
    round_reset(q, 0);
    q->next = r->spare_rounds;
    r->spare_rounds = q;
}

static void open_round(struct router *r)
{
    struct round *q = r->spare_rounds;
    if (q)
        r->spare_rounds = q->next;
    else
        q = round_new();
    round_reset(q, (uint32_t)router_nodes(r));
    if (!r->cluster)
        q->plain[0] = router_take_batch(r);
    r->open = q;
    output_round(r->output, q, r->cluster ? cluster_route : NULL, r->cluster);
}

struct round *router_open(struct router *r)
{
    return r->open;
}

void router_forget_open(struct router *r)
{
    if (r->cluster)
        cluster_sent(r->cluster);
    database_marks_forget(&r->databases);
    give_round(r, r->open);
    open_round(r);
}

/* ---- sending ---- */

static struct round *take_first_round(struct router *r)
{
    struct round *q = r->first;
    r->first = q->next;
    if (!r->first)
        r->last = NULL;
    r->borrowing -= q->borrowed > 0;
    return q;
}

static void complete_rounds(struct router *r)
{
    while (r->first && !r->first->pending && !r->first->in_trouble) {
        struct round *q = take_first_round(r);
        r->callbacks.acknowledged(r->callbacks.arg, q);
        give_round(r, q);
    }
}

void router_batch_done(struct router *r, struct batch *b)
{
    b->round->pending--;
    router_give_batch(r, b);
    complete_rounds(r);
}

void router_forget_sent(struct router *r)
{
    while (r->first)
        give_round(r, take_first_round(r));
}

static void send_batch(struct router *r, struct round *q, struct batch *b, size_t node)
{
    INVARIANT(3.5, !b->once || b->unmarked || b->mark_at < b->commands || !r->config.settings->marks);
    b->round = q;
    b->next = NULL;
    batch_seal(b);
    q->pending++;
    if (r->cluster)
        cluster_send(r->cluster, b, node);
    else
        link_send(r->link, b);
}

void router_send(struct router *r)
{
    struct round *q = r->open;
    q->sent_at_us = clock_monotonic_us();
    q->after_seq = r->sealed_seq;
    r->sealed_seq = q->done_seq;
    q->next = NULL;
    r->borrowing += q->borrowed > 0;
    *(r->first ? &r->last->next : &r->first) = q;
    r->last = q;
    for (uint32_t i = 0; i < q->nodes; i++) {
        struct batch *b = q->plain[i];
        if (!b || batch_empty(b))
            continue;
        q->plain[i] = NULL;
        send_batch(r, q, b, i);
    }
    while (q->once) {
        struct batch *b = q->once;
        q->once = b->next;
        send_batch(r, q, b, cluster_node_of(r->cluster, b));
    }
    if (r->cluster)
        cluster_sent(r->cluster);
    open_round(r);
    complete_rounds(r);
}

bool router_can_send(const struct router *r, bool once)
{
    if (r->null)
        return true;
    /* In a cluster each link delays its once batches until it may send them. */
    return r->cluster ? cluster_can_send(r->cluster) : link_can_send(r->link, once);
}

bool router_idle(const struct router *r)
{
    return !r->first;
}

bool router_borrowing(const struct router *r)
{
    if (!r->borrowing)
        return false;
    return r->cluster ? cluster_borrowing(r->cluster) : link_borrowing(r->link);
}

void router_begin_at(struct router *r, uint64_t seq)
{
    r->sealed_seq = seq;
}

void router_reset(struct router *r, const struct error *why)
{
    if (r->cluster)
        cluster_reset(r->cluster, why);
    else if (r->link)
        link_reset(r->link, why);
}

void router_wait(struct router *r, struct error *why)
{
    if (r->cluster)
        cluster_wait(r->cluster, why);
}

/* ---- the standalone link's callbacks ---- */

static void on_ready(void *arg, const struct mark *mark, const struct capabilities *target)
{
    struct router *r = arg;
    struct position at = {*mark, mark->seq, mark->lsn};
    r->mark_there = mark->present;
    r->claimed = mark->claimed;
    database_marks_forget(&r->databases);
    r->callbacks.ready(r->callbacks.arg, &at, target);
}

static void on_acknowledged(void *arg, struct batch *b)
{
    struct router *r = arg;
    if (b->mark_at != UINT32_MAX)
        r->mark_there = r->claimed = true;
    router_batch_done(r, b);
}

static void on_refused(void *arg, const struct batch *b, uint32_t i, const char *text)
{
    struct router *r = arg;
    r->callbacks.refused(r->callbacks.arg, b, i, text);
}

static void on_conflict(void *arg, const struct batch *b, uint32_t i)
{
    struct router *r = arg;
    r->callbacks.conflict(r->callbacks.arg, b, i);
}

static void on_lost(void *arg, const struct error *error)
{
    struct router *r = arg;
    seeds_next(r->seeds);
    r->answers_lost = true;
    router_forget_sent(r);
    r->callbacks.lost(r->callbacks.arg, error);
}

static void on_writable(void *arg)
{
    struct router *r = arg;
    r->callbacks.writable(r->callbacks.arg);
}

/* The target is a node of a cluster. */
static void on_cluster(void *arg)
{
    struct router *r = arg;
    link_free(r->link);
    r->link = NULL;
    give_round(r, r->open);
    r->cluster = cluster_new(r);
    open_round(r);
    cluster_start(r->cluster);
}

/* ---- start and end ---- */

struct router *router_new(struct event_base *base, const struct link_config *config, struct output *output,
                          const struct router_callbacks *callbacks)
{
    struct router *r = x_calloc(1, sizeof *r);
    r->base = base;
    r->config = *config;
    r->output = output;
    r->callbacks = *callbacks;
    r->null = config->settings->target.null_sink;
    r->answers_lost = true;
    r->config.trouble = &r->trouble;
    if (!r->null)
        r->databases = (struct database_marks){
            .settings = config->settings, .hash = config->mark_key, .claimed = &r->claimed};
    output_mark_databases(output, &r->databases);
    open_round(r);
    return r;
}

void router_start(struct router *r, const struct router_session *session)
{
    static const struct capabilities null_target = {.stream_type = 21};
    struct link_callbacks on = {.arg = r,
                                .ready = on_ready,
                                .acknowledged = on_acknowledged,
                                .refused = on_refused,
                                .conflict = on_conflict,
                                .lost = on_lost,
                                .writable = on_writable,
                                .is_cluster = on_cluster};
    r->session = *session;
    r->session.masters = NULL;
    if (!r->null) {
        r->seeds = seeds_new(&r->config.settings->target, session->masters);
        r->config.uri = seeds_uri(r->seeds);
        r->link = link_new(r->base, &r->config, &on);
        return;
    }
    struct position none = {0};
    r->callbacks.ready(r->callbacks.arg, &none, &null_target);
}

void router_free(struct router *r)
{
    if (!r)
        return;
    link_free(r->link);
    cluster_free(r->cluster);
    seeds_free(r->seeds);
    database_marks_free(&r->databases);
    router_forget_sent(r);
    round_free(r->open);
    while (r->spare_rounds) {
        struct round *q = r->spare_rounds;
        r->spare_rounds = q->next;
        round_free(q);
    }
    while (r->spare_batches) {
        struct batch *b = r->spare_batches;
        r->spare_batches = b->next;
        batch_free(b);
    }
    free(r);
}

bool router_is_null(const struct router *r)
{
    return r->null;
}

bool router_take_answers_lost(struct router *r)
{
    bool lost = r->answers_lost;
    r->answers_lost = false;
    return lost;
}

bool router_is_cluster(const struct router *r)
{
    return r->cluster != NULL;
}

const struct uri *router_uri(const struct router *r, struct slice key)
{
    const struct uri *node = r->cluster ? cluster_uri(r->cluster, key) : NULL;
    if (node)
        return node;
    /* Of a name with several addresses the one at which the link found the master. */
    return r->seeds ? seeds_uri(r->seeds) : &r->config.settings->target;
}

const char *router_run_id(const struct router *r, struct slice key)
{
    return r->cluster ? cluster_run_id(r->cluster, key) : "";
}

size_t router_nodes(const struct router *r)
{
    return r->cluster ? cluster_nodes(r->cluster) : 1;
}

/* ---- entries and marks ---- */

bool router_begin_entry(struct router *r, struct entry *e)
{
    return !r->cluster || cluster_begin_entry(r->cluster, e);
}

/* A mark makes its batch a once batch: in a pipelined batch it could be accepted after a batch before it was refused
 * (OOM is temporary), and would cover entries that were not applied. */
static void put_mark(struct router *r, const char *text)
{
    const struct link_config *c = &r->config;
    char session[24];
    output_begin(r->output, c->settings->target.db, slice_str(c->mark_key), r->claimed ? 4 : 6, OUTPUT_ONCE);
    output_text(r->output, "HSET");
    output_text(r->output, c->mark_key);
    output_text(r->output, c->mark_field);
    output_text(r->output, text);
    if (!r->claimed) { /* the target came back without the claim, and is brought forward from the beginning */
        output_text(r->output, MARK_RUN_FIELD);
        output_arg(r->output, slice_of(session, format_u64(session, r->session.id)));
    }
    output_end(r->output);
    struct batch *b = r->open->plain[0];
    b->mark_at = b->commands - 1;
    b->mark_new = r->mark_there && r->claimed ? 0 : MARK_UNKNOWN;
}

void router_put_marks(struct router *r, const char *text, bool whole)
{
    if (r->cluster)
        cluster_put_marks(r->cluster, text, whole);
    else
        put_mark(r, text);
    r->open->marked = whole || !r->cluster;
}

void router_remove_marks(struct router *r)
{
    const struct link_config *c = &r->config;
    if (r->cluster) {
        cluster_remove_marks(r->cluster);
        return;
    }
    output_begin(r->output, c->settings->target.db, slice_str(c->mark_key), 5, OUTPUT_IDEMPOTENT);
    output_text(r->output, "EVAL");
    output_text(r->output, database_marks_removal);
    output_text(r->output, "1");
    output_text(r->output, c->mark_key);
    output_i64(r->output, c->settings->target.db);
    output_end(r->output);
    r->open->plain[0]->current_db = UINT32_MAX;
    output_begin(r->output, c->settings->target.db, slice_str(c->mark_key), 5, OUTPUT_IDEMPOTENT);
    output_text(r->output, "HDEL");
    output_text(r->output, c->mark_key);
    output_text(r->output, c->mark_field);
    output_text(r->output, MARK_FLUSHED_FIELD);
    output_text(r->output, MARK_RUN_FIELD);
    output_end(r->output);
}

void router_note_flushed(struct router *r, uint64_t txid)
{
    if (r->cluster)
        cluster_note_flushed(r->cluster, txid);
}

void router_save_nodes(struct router *r)
{
    if (r->cluster)
        cluster_save_nodes(r->cluster);
}

bool router_reaches_all(struct router *r, struct error *error)
{
    return !r->cluster || cluster_reaches_all(r->cluster, error);
}

void router_flush_begins(struct router *r)
{
    if (r->cluster)
        cluster_flush_begins(r->cluster);
}

void router_flush_over(struct router *r)
{
    if (r->cluster)
        cluster_flush_over(r->cluster);
}

void router_flush_nodes(struct router *r, const char *script, const char *flushed, bool deletes)
{
    if (r->cluster)
        cluster_flush_nodes(r->cluster, script, flushed, deletes);
}

bool router_slot_has(const struct router *r, uint16_t slot, uint64_t seq, uint64_t lsn)
{
    return r->cluster && cluster_slot_has(r->cluster, slot, seq, lsn);
}

bool router_lacked_before(const struct router *r, uint64_t seq, uint64_t lsn)
{
    return r->cluster && cluster_lacked_before(r->cluster, seq, lsn);
}

void router_slot_did(struct router *r, uint16_t slot, uint64_t seq)
{
    if (r->cluster)
        cluster_slot_did(r->cluster, slot, seq);
}

void router_ask(struct router *r, uint16_t slot, router_answer *answer, void *arg, uint64_t serial,
                size_t argc, const struct slice *argv)
{
    if (r->cluster)
        cluster_ask(r->cluster, slot, answer, arg, serial, argc, argv);
}
