/* A cluster from trouble to ready: whom it consists of, and where each slot stands. */
#include "worker/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/crc.h"
#include "common/log.h"
#include "worker/mark_text.h"
#include "worker/seeds.h"

enum {
    BACKOFF_FIRST_MS = 10,
    BACKOFF_MAX_MS = 500,
    CALM_MS = 1000,
    LOOK_EVERY_MS = 2000,
    ASK_TIMEOUT_MS = 5000
};

/* ---- trouble ---- */

static void later(struct cluster *c, uint32_t ms)
{
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    evtimer_add(c->timer, &tv);
}

/* Nothing more is sent; the topology is asked for, at once when the last trouble was long ago. */
void cluster_trouble(struct cluster *c, struct error *error)
{
    struct router *r = c->router;
    uint64_t now = clock_monotonic_ms();
    bool was_ready = c->ready;
    c->ready = c->asked = c->moves_fresh = false;
    if (error->class == ERROR_FATAL) {
        r->callbacks.lost(r->callbacks.arg, error);
        return;
    }
    if (was_ready || !evtimer_pending(c->timer, NULL)) {
        bool calm = now - c->trouble_ms >= CALM_MS;
        c->backoff_ms = calm || !c->backoff_ms ? BACKOFF_FIRST_MS : c->backoff_ms;
        later(c, calm ? 0 : c->backoff_ms);
        c->backoff_ms = c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : c->backoff_ms * 2;
        c->trouble_ms = now;
    }
    if (was_ready)
        r->callbacks.lost(r->callbacks.arg, error);
}

void cluster_wait(struct cluster *c, struct error *error)
{
    trouble_note(&c->router->trouble, "target", c->router->config.settings->target_retry_ms, error);
    cluster_trouble(c, error);
}

void cluster_look_again(struct cluster *c)
{
    c->asked = false;
    later(c, BACKOFF_FIRST_MS);
}

/* ---- the topology ---- */

static void stop_asking(struct cluster *c)
{
    client_free(c->asking);
    c->asking = NULL;
}

static void not_asked(struct cluster *c, struct error *error)
{
    stop_asking(c);
    if (c->ready)
        later(c, LOOK_EVERY_MS);
    else
        cluster_wait(c, error);
}

static void take_topology(struct cluster *c, struct topology *fresh)
{
    struct error error;
    cluster_between_apply(c, fresh);
    if (!c->ready) {
        c->asked = true;
        cluster_adopt(c, fresh);
        cluster_proceed(c);
        return;
    }
    if (topology_serves_same(&c->topology, fresh)) {
        cluster_looked(c, fresh);
        later(c, LOOK_EVERY_MS);
        cluster_between_check(c);
        return;
    }
    topology_free(fresh);
    error_set(&error, ERROR_RETRY, "the cluster's slots have moved");
    cluster_trouble(c, &error);
}

/* Who may not ask this has to do without masters that serve nothing. */
static void on_masters(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct topology fresh = c->fresh;
    c->fresh = (struct topology){0};
    topology_add_idle(&fresh, reply, &c->whom);
    stop_asking(c);
    take_topology(c, &fresh);
}

static void on_slots(struct client *client, const redisReply *reply, void *arg)
{
    struct cluster *c = arg;
    struct error error;
    if (topology_parse(&c->fresh, reply, &c->whom, &error) && topology_complete(&c->fresh, &error))
        client_words(client, ASK_TIMEOUT_MS, on_masters, arg, "CLUSTER", "NODES", NULL);
    else
        not_asked(c, &error);
}

static void on_asking_ready(struct client *client, void *arg)
{
    client_words(client, ASK_TIMEOUT_MS, on_slots, arg, "CLUSTER", "SLOTS", NULL);
}

static void on_asking_failed(struct client *client, const struct error *error, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct error copy = *error;
    stop_asking(c);
    seeds_next(c->router->seeds);
    if (c->ready)
        later(c, BACKOFF_MAX_MS); /* another node */
    else
        cluster_wait(c, &copy);
}

/* In turn: the nodes we know that serve slots, and the address that led here. */
static const struct uri *whom_to_ask(struct cluster *c)
{
    size_t i = c->turn++ % (c->count + 1);
    while (i < c->count && cluster_is_idle(c, i))
        i = c->turn++ % (c->count + 1);
    return i < c->count ? &c->nodes[i]->uri : seeds_uri(c->router->seeds);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct cluster *c = arg;
    struct error error;
    struct client_callbacks on = {c, on_asking_ready, on_asking_failed};
    if (c->asking)
        return;
    c->asked = false;
    uri_copy(&c->whom, whom_to_ask(c));
    c->asking = client_connect(c->router->base, &c->whom, c->router->config.settings, "target", &on, &error);
    if (!c->asking)
        cluster_wait(c, &error);
}

/* ---- the judgement ---- */

static bool is_same(const struct capabilities *now, const char *run_id, const char *replid)
{
    return *now->run_id && strcmp(now->run_id, run_id) == 0 && strcmp(now->replid, replid) == 0;
}

static struct position_mark later_of(struct position_mark a, struct position_mark b)
{
    struct position_mark m = {.in_session = a.in_session || b.in_session,
                              .seq = a.seq > b.seq ? a.seq : b.seq,
                              .lsn = a.lsn > b.lsn ? a.lsn : b.lsn};
    return m;
}

/* The session's id is the time of its begin, in us since the epoch. */
static bool up_all_along(const struct cluster *c, const struct node *n)
{
    enum { ROUNDED_S = 2 };
    uint64_t now_s = (uint64_t)clock_unix_ms() / 1000, session_s = c->router->session.id / 1000000;
    return session_s && now_s >= session_s && n->target.up_s > now_s - session_s + ROUNDED_S &&
           !n->target.promoted;
}

static struct position_node judge_node(const struct cluster *c, const struct node *n)
{
    const struct topology_node *t = &c->topology.nodes[n->index];
    const struct identity *known = identities_find(&c->known, t->id);
    struct position_node p = {.trusted = known && is_same(&n->target, known->run_id, known->replid)};
    bool met = known != NULL;
    for (size_t i = 0; i < n->candidate_count; i++) {
        const struct node_candidate *k = &n->candidates[i];
        bool same = is_same(&n->target, k->run_id, k->replid);
        if (!same && k->fingerprint != t->fingerprint)
            continue;
        met = true;
        p.trusted |= same && !known;
        p.unchanged |= same;
        p.mark = later_of(p.mark, cluster_position(c, &k->mark));
    }
    bool lost_nothing = up_all_along(c, n);
    p.trusted |= !met && (lost_nothing || (c->known.count && !n->target.promoted));
    p.unchanged |= lost_nothing && !c->router->session.first_lsn;
    return p;
}

bool cluster_is_trusted(const struct cluster *c, const struct node *n)
{
    return judge_node(c, n).trusted;
}

bool cluster_inherits(const struct cluster *c)
{
    const struct router_session *s = &c->router->session;
    return c->judged || s->applied_seq || s->first_lsn;
}

void cluster_remember(struct cluster *c, const struct node *n)
{
    identities_set(&c->known, c->topology.nodes[n->index].id, n->target.run_id, n->target.replid);
}

void cluster_distrust(struct cluster *c, const struct node *n)
{
    identities_set(&c->known, c->topology.nodes[n->index].id, "", "");
}

void cluster_save_nodes(struct cluster *c)
{
    const struct router_session *s = &c->router->session;
    if (c->known.changed && s->directory)
        identities_save(&c->known, s->directory, s->flow, s->id);
}

struct flush_note {
    uint64_t session, txid;
};

/* What it carries, or what we remember of a node that has lost nothing. */
static struct flush_note flush_note_of(const struct cluster *c, const struct node *n)
{
    struct flush_note note = {n->flushed_session, n->flushed_txid};
    uint64_t session = c->router->session.id;
    if (n->trusted && c->flushed_txid && (note.session != session || note.txid < c->flushed_txid))
        note = (struct flush_note){session, c->flushed_txid};
    return note;
}

static void summarise(struct cluster *c, struct position *at, struct capabilities *all)
{
    *at = (struct position){.mark.present = true, .mark.session = c->router->session.id};
    memcpy(at->mark.master_id, c->router->session.master_id, sizeof at->mark.master_id);
    at->mark.seq = c->positions.least_seq;
    at->mark.lsn = c->positions.least_lsn;
    at->ahead_seq = c->positions.most_seq;
    at->ahead_lsn = c->positions.most_lsn;
    at->mark.flushed_txid = UINT64_MAX;
    uint64_t run_ids = 0;
    bool first = true;
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = c->nodes[i];
        if (cluster_is_idle(c, i))
            continue;
        run_ids = crc64(run_ids, n->target.run_id, strlen(n->target.run_id));
        if (first)
            *all = n->target;
        else
            capabilities_merge(all, &n->target);
        first = false;
        struct flush_note note = flush_note_of(c, n);
        if (note.txid < at->mark.flushed_txid) {
            at->mark.flushed_txid = note.txid;
            at->mark.flushed_session = note.session;
        }
    }
    snprintf(all->run_id, sizeof all->run_id, "cluster %016llx", (unsigned long long)run_ids);
}

/* Answers to earlier questions are of no more use, and must not be taken for those to new ones. */
static void begin_sending(struct cluster *c)
{
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++)
        c->sent_to[s] = c->nodes[c->topology.owner[s]];
    for (size_t i = 0; i < c->count; i++) {
        client_free(c->nodes[i]->reader);
        c->nodes[i]->reader = NULL;
    }
}

static void judge(struct cluster *c)
{
    struct router *r = c->router;
    struct error error;
    struct position at;
    struct capabilities all;
    struct position_node *nodes = x_calloc(c->count, sizeof *nodes);
    for (size_t i = 0; i < c->count; i++) {
        nodes[i] = judge_node(c, c->nodes[i]);
        c->nodes[i]->trusted = nodes[i].trusted;
    }
    positions_settle(&c->positions, r->sealed_seq);
    bool ok = cluster_moves_judge(c, nodes, &error) &&
              positions_judge(&c->positions, &c->topology, nodes, c->also_at, r->session.first_lsn, &error);
    free(nodes);
    if (!ok) {
        r->callbacks.lost(r->callbacks.arg, &error);
        return;
    }
    cluster_idle_judged(c, !c->judged);
    c->judged = true;
    router_forget_sent(r);
    begin_sending(c);
    c->ready = true;
    later(c, LOOK_EVERY_MS);
    summarise(c, &at, &all);
    log_debug("cluster of %zu masters: its slots stand between entries %llu and %llu", c->count,
              (unsigned long long)c->positions.least_seq, (unsigned long long)c->positions.most_seq);
    router_forget_open(r);
    r->callbacks.ready(r->callbacks.arg, &at, &all);
}

/* Is everybody greeted, and all that was sent answered or in doubt? Who hangs may be no master any more
 * before it answers, so the cluster is asked again meanwhile. */
static bool all_linked(struct cluster *c)
{
    bool answered = true;
    for (size_t i = 0; i < c->count; i++) {
        answered &= link_idle(c->nodes[i]->link);
        if (!c->nodes[i]->ready && !cluster_is_idle(c, i))
            return false;
    }
    if (answered)
        evtimer_del(c->timer);
    else if (!evtimer_pending(c->timer, NULL))
        later(c, LOOK_EVERY_MS);
    return answered;
}

/* As far as it goes now. */
void cluster_proceed(struct cluster *c)
{
    if (c->ready || !c->asked || c->reading || !all_linked(c))
        return;
    if (!cluster_moves_settled(c) || !cluster_between_settled(c))
        return;
    if (c->unread_count)
        cluster_read_unread(c);
    else if (cluster_moves_judgeable(c))
        judge(c);
}

/* ---- for the router ---- */

struct cluster *cluster_new(struct router *r)
{
    struct cluster *c = x_calloc(1, sizeof *c);
    c->router = r;
    c->slot_to_nobody = NO_SLOT;
    c->timer = evtimer_new(r->base, on_timer, c);
    positions_init(&c->positions, r->session.applied_seq, r->session.first_lsn);
    memset(c->also_at, 0xff, sizeof c->also_at); /* ALSO_NOWHERE */
    return c;
}

void cluster_start(struct cluster *c)
{
    const struct router_session *s = &c->router->session;
    c->known_from_before = s->directory && identities_load(&c->known, s->directory, s->flow, s->id);
    c->router->sealed_seq = c->router->session.applied_seq;
    c->turn = 0;
    later(c, 0);
}

void cluster_free(struct cluster *c)
{
    if (!c)
        return;
    stop_asking(c);
    cluster_stop_reading(c);
    for (size_t i = 0; i < c->count; i++)
        cluster_free_node(c->nodes[i]);
    free(c->nodes);
    identities_free(&c->known);
    cluster_between_free(c);
    uri_free(&c->ask);
    uri_free(&c->whom);
    topology_free(&c->topology);
    topology_free(&c->fresh);
    event_free(c->timer);
    free(c);
}

void cluster_note_flushed(struct cluster *c, uint64_t txid)
{
    if (txid > c->flushed_txid)
        c->flushed_txid = txid;
}

size_t cluster_nodes(const struct cluster *c)
{
    return c->count;
}

bool cluster_can_send(const struct cluster *c)
{
    for (size_t i = 0; c->ready && i < c->count; i++)
        if (!link_can_send(c->nodes[i]->link, false) && !(cluster_is_idle(c, i) && !c->nodes[i]->ready))
            return false;
    return c->ready;
}

bool cluster_borrowing(const struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->nodes[i]->link && link_borrowing(c->nodes[i]->link))
            return true;
    return false;
}

void cluster_send(struct cluster *c, struct batch *b, size_t node)
{
    link_send(c->nodes[node]->link, b);
}

void cluster_reset(struct cluster *c, const struct error *why)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->nodes[i]->link)
            link_reset(c->nodes[i]->link, why);
}
