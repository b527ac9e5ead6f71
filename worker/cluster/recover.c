/* Recovery: which nodes have lost nothing since the last one, and the position of each slot. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/crc.h"
#include "common/log/log.h"
#include "worker/cluster/cluster.h"
#include "worker/link/mark_text.h"

/* ---- nodes ---- */

/* By its previous replication id. Otherwise a former replica that has all slots of the other node, which is not
 * connected: a master without replicas changes its replication id by itself. */
bool cluster_is_promoted_from(const struct cluster *c, const struct node *n, const struct identity *of)
{
    const struct topology_node *t = &c->topology.nodes[n->index];
    if (strcmp(t->id, of->id) == 0 || !n->target.promoted)
        return false;
    if (*of->replid && strcmp(n->target.replid_before, of->replid) == 0)
        return true;
    size_t old = topology_find(&c->topology, of->id);
    bool lives = old != TOPOLOGY_NOBODY && c->nodes[old]->ready && !c->topology.nodes[old].failed;
    return t->slots && t->fingerprint == of->fingerprint && !lives;
}

/* Whether its present slots were those of the node, or of the node that it was promoted from, at the last recovery. */
static bool serves_as_before(const struct cluster *c, const struct node *n)
{
    const struct topology_node *t = &c->topology.nodes[n->index];
    for (size_t i = 0; i < c->known.count; i++) {
        const struct identity *k = &c->known.list[i];
        if ((strcmp(k->id, t->id) == 0 || cluster_is_promoted_from(c, n, k)) &&
            k->fingerprint == t->fingerprint)
            return true;
    }
    return false;
}

static struct position_mark later_mark(struct position_mark a, struct position_mark b)
{
    struct position_mark m = {.in_session = a.in_session || b.in_session,
                              .seq = a.seq > b.seq ? a.seq : b.seq,
                              .lsn = a.lsn > b.lsn ? a.lsn : b.lsn,
                              .not_shared = a.not_shared || b.not_shared};
    return m;
}

/* Its present uptime; 0: unknown. A restart since the greeting would have closed the link. */
static uint64_t uptime_s(const struct node *n)
{
    return n->target.up_s ? n->target.up_s + (clock_monotonic_ms() - n->greeted_ms) / 1000 : 0;
}

/* The id of a session is the time of its beginning, in us since the epoch. */
static bool up_since_session(const struct cluster *c, const struct node *n)
{
    enum { ROUNDED_S = 2 };
    uint64_t now_s = (uint64_t)clock_unix_ms() / 1000, session_s = c->router->session.id / 1000000;
    return session_s && now_s >= session_s && uptime_s(n) > now_s - session_s + ROUNDED_S &&
           !n->target.promoted;
}

/* Marks on `at` that cover n. *met: there is one. */
static void take_candidates(const struct cluster *c, const struct node *n, const struct node *at, bool *met,
                            struct position_node *p)
{
    for (size_t i = 0; i < at->candidate_count; i++) {
        const struct node_candidate *k = &at->candidates[i];
        if (!cluster_covers(c, n, at, &k->of))
            continue;
        *met = true;
        p->unchanged |= cluster_mark_names(n, &k->of);
        p->mark = later_mark(p->mark, cluster_position(c, &k->mark));
    }
}

static struct position_node assess_node(const struct cluster *c, const struct node *n)
{
    const struct topology_node *t = &c->topology.nodes[n->index];
    const struct identity *known = identities_find(&c->known, t->id);
    struct position_node p = {.intact = known && cluster_is_process(n, known->run_id, known->replid)};
    bool met = known != NULL;
    /* Its mark has moved with its lowest slot. */
    for (size_t i = 0; i < c->count; i++)
        take_candidates(c, n, c->nodes[i], &met, &p);
    p.intact |= p.unchanged && !known;
    /* Slots of other nodes were marked there, each at least up to the beginning of this session. */
    uint64_t first_lsn = c->router->session.first_lsn;
    if (p.mark.lsn > first_lsn && !serves_as_before(c, n))
        p.mark.lsn = first_lsn;
    /* Not for a session that continues another: writes of that one may have been lost before this one began. */
    bool lost_nothing = !c->router->session.first_lsn && up_since_session(c, n);
    bool is_new = c->recovered && c->known.count && !n->target.promoted;
    p.intact |= !met && (lost_nothing || is_new);
    p.unchanged |= lost_nothing;
    return p;
}

bool cluster_is_intact(const struct cluster *c, const struct node *n)
{
    return assess_node(c, n).intact;
}

bool cluster_has_earlier_writes(const struct cluster *c)
{
    const struct router_session *s = &c->router->session;
    return c->recovered || s->applied_seq || s->first_lsn;
}

static void set_identity(struct cluster *c, const struct node *n, const char *run_id, const char *replid)
{
    const struct topology_node *t = &c->topology.nodes[n->index];
    struct identity i = {.fingerprint = t->fingerprint};
    snprintf(i.id, sizeof i.id, "%s", t->id);
    snprintf(i.run_id, sizeof i.run_id, "%s", run_id);
    snprintf(i.replid, sizeof i.replid, "%s", replid);
    identities_set(&c->known, &i);
}

void cluster_remember(struct cluster *c, const struct node *n)
{
    set_identity(c, n, n->target.run_id, n->target.replid);
}

void cluster_forget_identity(struct cluster *c, const struct node *n)
{
    set_identity(c, n, "", "");
}

void cluster_forget_run_id(struct cluster *c, const char *id)
{
    const struct identity *known = identities_find(&c->known, id);
    struct identity gone = {0};
    if (known)
        gone = *known;
    snprintf(gone.id, sizeof gone.id, "%s", id);
    memset(gone.run_id, 0, sizeof gone.run_id);
    identities_set(&c->known, &gone);
}

/* Identities of an earlier session are kept if this session continues it: they show which nodes have lost nothing. */
void cluster_load_nodes(struct cluster *c)
{
    const struct router_session *s = &c->router->session;
    bool found = s->directory && identities_load(&c->known, s->directory, s->flow);
    bool of_session = found && c->known.session == s->id;
    if (found && !of_session && !s->first_lsn)
        identities_free(&c->known);
    if (!of_session)
        c->known.moved_seq = c->known.unmarked_seq = 0;
    c->known.session = s->id;
    c->known.changed |= !of_session;
}

void cluster_save_nodes(struct cluster *c)
{
    const struct router_session *s = &c->router->session;
    if (c->known.changed && s->directory)
        identities_save(&c->known, s->directory, s->flow);
}

/* ---- arrivals of slots ---- */

static uint64_t later_seq(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* At least 1, as 0 stands for a slot that never moved. */
static void note_sent_seq(struct cluster *c, const struct position_node *nodes)
{
    uint64_t most = later_seq(later_seq(c->sent_seq, c->router->sealed_seq), 1);
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++)
        most = later_seq(most, c->positions.mark[s].in_session ? c->positions.mark[s].seq : 0);
    for (size_t i = 0; i < c->count; i++)
        most = later_seq(most, nodes[i].mark.in_session ? nodes[i].mark.seq : 0);
    c->sent_seq = most;
}

static void slot_arrived(struct cluster *c, uint16_t slot, uint64_t seq)
{
    c->positions.arrived_seq[slot] = seq;
    identities_moved(&c->known, seq);
}

/* A successor does not know which slots moved while no worker looked: those of a node with other slots than before may
 * have. If nothing of this session was sent, nothing of it can be lost; for earlier sessions their marks count. */
static void recall_arrivals(struct cluster *c)
{
    uint64_t sent_seq = c->sent_seq > 1 ? c->sent_seq : 0;
    bool as_before[TOPOLOGY_NODES_MAX] = {false};
    for (size_t i = 0; i < c->count; i++)
        as_before[i] = !cluster_has_earlier_writes(c) || serves_as_before(c, c->nodes[i]);
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++)
        slot_arrived(c, s, as_before[c->topology.owner[s]] ? c->known.moved_seq : sent_seq);
}

static void note_arrivals(struct cluster *c)
{
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        const struct node *now = c->nodes[c->topology.owner[s]];
        if (c->previous_owner[s] != IDENTITY_NONE &&
            !cluster_is_promoted_from(c, now, &c->known.list[c->previous_owner[s]]))
            slot_arrived(c, s, c->sent_seq);
    }
}

static void forget_previous_owners(struct cluster *c)
{
    memset(c->previous_owner, 0xff, sizeof c->previous_owner); /* IDENTITY_NONE */
    cluster_liveness_forget(c);
    for (size_t i = 0; i < c->count; i++)
        c->nodes[i]->gave_slots = false;
}

static void forget_missing_marks(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->nodes[i]->missing_slot = NO_SLOT;
}

/* ---- the recovery ---- */

static void summarize_position(struct cluster *c, struct position *at, struct capabilities *all)
{
    *at = (struct position){.mark.present = true, .mark.session = c->router->session.id};
    memcpy(at->mark.master_id, c->router->session.master_id, sizeof at->mark.master_id);
    at->mark.seq = c->positions.least_seq;
    at->mark.lsn = c->positions.least_lsn;
    at->ahead_seq = c->positions.most_seq;
    at->ahead_lsn = c->positions.most_lsn;
    cluster_flush_notes_newest(c, at);
    uint64_t run_ids = 0;
    bool first = true;
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = c->nodes[i];
        if (cluster_is_empty(c, i))
            continue;
        run_ids = crc64(run_ids, n->target.run_id, strlen(n->target.run_id));
        struct capabilities one = n->target;
        one.up_s = uptime_s(n);
        if (first)
            *all = one;
        else
            capabilities_merge(all, &one);
        first = false;
    }
    snprintf(all->run_id, sizeof all->run_id, "cluster %016llx", (unsigned long long)run_ids);
}

/* Closes the connections for questions: answers to earlier questions must not be taken for those to new ones. */
static void begin_sending(struct cluster *c)
{
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++)
        c->routed_to[s] = c->nodes[c->topology.owner[s]];
    for (size_t i = 0; i < c->count; i++) {
        client_free(c->nodes[i]->reader);
        c->nodes[i]->reader = NULL;
    }
}

void cluster_recover(struct cluster *c)
{
    struct router *r = c->router;
    struct error error;
    struct position at;
    struct capabilities all;
    struct position_node *nodes = x_calloc(c->count, sizeof *nodes);
    for (size_t i = 0; i < c->count; i++) {
        nodes[i] = assess_node(c, c->nodes[i]);
        c->nodes[i]->intact = nodes[i].intact;
    }
    bool ok = cluster_loss_check(c, nodes, &error);
    note_sent_seq(c, nodes);
    if (!c->recovered)
        recall_arrivals(c);
    note_arrivals(c);
    positions_settle(&c->positions, r->sealed_seq);
    ok = ok && cluster_migrations_check(c, nodes, &error) &&
         positions_resolve(&c->positions, &c->topology, nodes, c->importing_node, r->session.first_lsn,
                           &error);
    free(nodes);
    if (!ok) {
        r->callbacks.lost(r->callbacks.arg, &error);
        return;
    }
    cluster_remember_masters(c);
    c->recovered = true;
    forget_previous_owners(c);
    forget_missing_marks(c);
    cluster_loss_note_unmarked(c);
    router_forget_sent(r);
    begin_sending(c);
    c->ready = true;
    cluster_refresh_later(c, CLUSTER_REFRESH_EVERY_MS);
    summarize_position(c, &at, &all);
    log_debug("cluster of %zu masters: the positions of its slots are between entries %llu and %llu",
              c->count, (unsigned long long)c->positions.least_seq,
              (unsigned long long)c->positions.most_seq);
    router_forget_open(r);
    r->callbacks.ready(r->callbacks.arg, &at, &all);
}
