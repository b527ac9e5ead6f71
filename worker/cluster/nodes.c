/* The nodes of a cluster and their links: creation, callbacks, removal. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "worker/cluster/cluster.h"

enum { REDIRECT_LOG_EVERY_MS = 10000 };

/* after: seq before the commands that may not have run. */
static void doubt_slot(struct cluster *c, uint16_t slot, uint64_t after)
{
    uint64_t *d = &c->positions.doubt[slot];
    *d = after < *d ? after : *d;
}

/* A plain batch puts all slots in doubt that were routed to n; the topology may have changed since. */
static void doubt_batch(struct cluster *c, const struct node *n, const struct batch *b)
{
    b->round->in_trouble = true;
    if (b->once) {
        doubt_slot(c, b->slot, b->round->after_seq);
        return;
    }
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++)
        if (c->routed_to[s] == n)
            doubt_slot(c, s, b->round->after_seq);
}

/* ---- the links' callbacks ---- */

/* Stores the identity of a new node when it is first greeted: it may be restarted before the recovery. */
static void note_new_node(const struct node *n)
{
    struct cluster *c = n->cluster;
    bool is_new = !identities_find(&c->known, c->topology.nodes[n->index].id);
    if (!is_new || !c->recovered || c->ready)
        return;
    if (cluster_is_intact(c, n))
        cluster_remember(c, n);
    else
        cluster_forget_identity(c, n);
}

static void on_link_ready(void *arg, const struct mark *mark, const struct capabilities *target)
{
    struct node *n = arg;
    (void)mark;
    n->target = *target;
    n->greeted_ms = clock_monotonic_ms();
    n->ready = true;
    cluster_empty_master_ready(n);
    note_new_node(n);
    cluster_proceed(n->cluster);
}

static void on_link_acknowledged(void *arg, struct batch *b)
{
    struct node *n = arg;
    struct cluster *c = n->cluster;
    cluster_loss_written(n, b);
    router_batch_done(c->router, b);
    if (!c->ready)
        cluster_proceed(c);
}

static void on_link_refused(void *arg, const struct batch *b, uint32_t i, const char *text)
{
    struct router *r = ((struct node *)arg)->cluster->router;
    r->callbacks.refused(r->callbacks.arg, b, i, text);
}

static void on_link_conflict(void *arg, const struct batch *b, uint32_t i)
{
    struct router *r = ((struct node *)arg)->cluster->router;
    r->callbacks.conflict(r->callbacks.arg, b, i);
}

static void on_link_dropped(void *arg, const struct batch *b)
{
    struct node *n = arg;
    n->gave_up = true;
    n->cluster->router->answers_lost |= b->sent > batch_begin(b);
    doubt_batch(n->cluster, n, b);
    if (b->once && b->sent > batch_begin(b))
        cluster_set_unread(n->cluster, b->slot, true); /* its mark shows whether it ran */
}

/* Logs at most one line in 10 s; a warning if the redirections of one slot last longer. */
static void log_redirect(struct cluster *c, const struct node *n, int slot, const char *text)
{
    uint64_t now = clock_monotonic_ms();
    if (slot != c->redirect_slot || now - c->redirect_last_ms >= REDIRECT_LOG_EVERY_MS) {
        c->redirect_slot = slot;
        c->redirect_since_ms = now;
    }
    c->redirect_last_ms = now;
    c->redirects++;
    if (now - c->redirects_logged_ms < REDIRECT_LOG_EVERY_MS)
        return;
    if (now - c->redirect_since_ms >= REDIRECT_LOG_EVERY_MS)
        log_warning("%s has answered %s for %llu s; everything is kept until the migration ends: if no "
                    "resharding is running, end it by redis-cli --cluster fix",
                    n->name, text, (unsigned long long)(now - c->redirect_since_ms) / 1000);
    else
        log_info("%s answers %s (%llu such answers): the topology of the cluster is refreshed", n->name, text,
                 (unsigned long long)c->redirects);
    c->redirects_logged_ms = now;
    c->redirects = 0;
}

static void on_link_moved(void *arg, const struct batch *b, int slot, const char *text)
{
    struct node *n = arg;
    struct cluster *c = n->cluster;
    struct error error;
    b->round->in_trouble = true;
    if (slot < 0)
        doubt_batch(c, n, b);
    else
        doubt_slot(c, (uint16_t)slot, b->round->after_seq);
    if (slot >= 0 && (strncmp(text, "ASK ", 4) == 0 || strncmp(text, "TRYAGAIN", 8) == 0))
        cluster_open_slot_met(c, (uint16_t)slot);
    else if (slot >= 0)
        cluster_open_slot_doubt(c, (uint16_t)slot);
    log_redirect(c, n, slot, text);
    error_set(&error, ERROR_RETRY, "%s answers %s", n->name, text);
    cluster_trouble(c, &error);
}

/* Whether the loss of the link concerns the run. That of an empty master does only if a batch was dropped, or if the
 * open round has one for it (in trouble it has none: the open round is emptied). */
static bool node_is_missed(const struct node *n)
{
    const struct cluster *c = n->cluster;
    const struct round *q = c->router->open;
    const struct batch *next = c->ready && n->index < q->nodes ? q->plain[n->index] : NULL;
    return !cluster_is_empty(c, n->index) || n->gave_up || (next && !batch_empty(next));
}

static void on_link_lost(void *arg, const struct error *error)
{
    struct node *n = arg;
    struct error copy = *error;
    n->ready = false;
    if (node_is_missed(n))
        cluster_trouble(n->cluster, &copy);
    else if (!n->cluster->ready)
        cluster_proceed(n->cluster);
}

static void on_link_writable(void *arg)
{
    struct cluster *c = ((struct node *)arg)->cluster;
    if (c->ready)
        c->router->callbacks.writable(c->router->callbacks.arg);
}

static size_t on_link_slots(void *arg, const uint16_t **list)
{
    struct node *n = arg;
    *list = n->slots;
    return n->slot_count;
}

static void on_link_slot_mark(void *arg, uint16_t slot, const struct slot_mark *mark)
{
    struct node *n = arg;
    cluster_set_unread(n->cluster, slot, !mark);
    if (mark)
        cluster_take_mark(n->cluster, n, slot, mark);
}

/* ---- links ---- */

void cluster_free_node(struct node *n)
{
    if (!n)
        return;
    link_free(n->link);
    client_free(n->reader);
    uri_free(&n->uri);
    free(n->slots);
    free(n->candidates);
    free(n->notes);
    free(n);
}

static void list_slots(struct cluster *c, struct node *n)
{
    n->slots = x_realloc(n->slots, (c->topology.nodes[n->index].slots + 1) * sizeof *n->slots);
    n->slot_count = 0;
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        if (c->topology.owner[s] == n->index && c->by_asking[s])
            cluster_set_unread(c, s, true);
        else if (c->topology.owner[s] == n->index)
            n->slots[n->slot_count++] = s;
    }
}

static void open_link(struct node *n)
{
    struct link_callbacks on = {.arg = n,
                                .ready = on_link_ready,
                                .acknowledged = on_link_acknowledged,
                                .refused = on_link_refused,
                                .conflict = on_link_conflict,
                                .lost = on_link_lost,
                                .writable = on_link_writable,
                                .moved = on_link_moved,
                                .dropped = on_link_dropped,
                                .slots = on_link_slots,
                                .slot_mark = on_link_slot_mark};
    link_free(n->link);
    n->config.trouble =
        cluster_is_empty(n->cluster, n->index) ? &n->own_trouble : &n->cluster->router->trouble;
    n->ready = n->gave_up = n->in_migrations = n->mark_written = false;
    n->candidate_count = n->note_count = 0;
    n->unclaimed_slot = NO_SLOT;
    list_slots(n->cluster, n);
    n->link = link_new(n->cluster->router->base, &n->config, &on);
}

void cluster_link_again(struct node *n)
{
    open_link(n);
}

static struct node *new_node(struct cluster *c, size_t index)
{
    struct node *n = x_calloc(1, sizeof *n);
    const struct topology_node *t = &c->topology.nodes[index];
    n->cluster = c;
    n->index = index;
    n->incoming_slot = n->missing_slot = NO_SLOT;
    n->config = c->router->config;
    topology_uri(&c->topology, index, &n->config.settings->target, &n->uri);
    snprintf(n->name, sizeof n->name, "target %s:%u", t->host, (unsigned)t->port);
    n->config.uri = &n->uri;
    n->config.who = n->name;
    n->config.in_cluster = true;
    return n;
}

static bool same_address(const struct topology_node *a, const struct topology_node *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port;
}

/* Takes the node with this id and address out of the old array. */
static struct node *take_old_node(struct cluster *c, const struct topology *was,
                                  const struct topology_node *t)
{
    for (size_t i = 0; i < was->count; i++)
        if (c->nodes[i] && same_address(&was->nodes[i], t)) {
            struct node *n = c->nodes[i];
            c->nodes[i] = NULL;
            return n;
        }
    return NULL;
}

/* Whether the link of node i stays. Not that of an empty master that has slots now: it may have been a replica
 * meanwhile, and has another history then. */
static bool node_stays(const struct cluster *c, size_t i, const struct topology *fresh)
{
    for (size_t j = 0; j < fresh->count; j++)
        if (same_address(&c->topology.nodes[i], &fresh->nodes[j]))
            return !fresh->nodes[j].failed && !(cluster_is_empty(c, i) && fresh->nodes[j].slots);
    return false;
}

/* Frees the links of nodes that are no longer masters, or may not have been meanwhile, and lost links. Their unanswered
 * commands are in doubt. */
static void drop_old_links(struct cluster *c, const struct topology *fresh)
{
    for (size_t i = 0; i < c->count; i++) {
        if (node_stays(c, i, fresh) && !(c->nodes[i]->link && link_is_dead(c->nodes[i]->link)))
            continue;
        link_free(c->nodes[i]->link);
        c->nodes[i]->link = NULL;
        c->nodes[i]->ready = false;
    }
}

static bool slot_has_moved(const struct cluster *c, const struct topology *was, uint16_t slot)
{
    return strcmp(was->nodes[was->owner[slot]].id, c->topology.nodes[c->topology.owner[slot]].id) != 0;
}

/* lost: by node of `was`, whether its keys may not have moved with its slots. If a slot had several owners since the
 * last recovery, such a node is the one that counts. The other previous owners are probed. */
static void note_moved_slots(struct cluster *c, const struct topology *was, const bool *lost)
{
    bool gave[TOPOLOGY_NODES_MAX] = {false};
    for (uint16_t s = 0; was->count && s < CLUSTER_SLOTS; s++) {
        if (!slot_has_moved(c, was, s))
            continue;
        const char *id = was->nodes[was->owner[s]].id;
        size_t old = topology_find(&c->topology, id);
        gave[was->owner[s]] = true;
        if (c->previous_owner[s] == IDENTITY_NONE || lost[was->owner[s]])
            c->previous_owner[s] = (uint16_t)identities_index(&c->known, id);
        if (old != TOPOLOGY_NOBODY)
            c->nodes[old]->gave_slots = true;
    }
    for (size_t i = 0; i < was->count; i++) {
        struct uri uri = {0};
        if (!gave[i] || lost[i])
            continue;
        topology_uri(was, i, &c->router->config.settings->target, &uri);
        cluster_liveness_want(c, was->nodes[i].id, &uri);
        uri_free(&uri);
    }
}

/* A slot with a new owner has arrived, or is served after ASKING: the new owner alone must cover it. */
static void keep_importing_nodes(struct cluster *c, const struct topology *was)
{
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        if (c->importing_node[s] == IMPORTING_NONE)
            continue;
        bool moved = slot_has_moved(c, was, s);
        size_t at = c->importing_node[s] < was->count
                        ? topology_find(&c->topology, was->nodes[c->importing_node[s]].id)
                        : TOPOLOGY_NOBODY;
        c->importing_node[s] = moved                   ? IMPORTING_NONE
                               : at == TOPOLOGY_NOBODY ? IMPORTING_UNKNOWN
                                                       : (uint16_t)at;
    }
}

/* The memory of n may be reused for another node. */
static void forget_routed_to(struct cluster *c, const struct node *n)
{
    for (uint16_t s = 0; n && s < CLUSTER_SLOTS; s++)
        if (c->routed_to[s] == n)
            c->routed_to[s] = NULL;
}

/* A node that was already unreachable before it left the list may have been dead when its slots were reassigned: it is
 * unknown whether the keys moved, too. A node that was connected and intact until then has moved them by MIGRATE. */
static void note_departed(struct cluster *c, const struct topology *fresh, bool *lost)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = c->nodes[i];
        lost[i] = c->recovered && !(n->ready && cluster_is_intact(c, n));
        if (lost[i] && topology_find(fresh, c->topology.nodes[i].id) == TOPOLOGY_NOBODY)
            cluster_forget_run_id(c, c->topology.nodes[i].id);
    }
}

void cluster_adopt(struct cluster *c, struct topology *fresh)
{
    struct topology was = c->topology;
    bool *lost = x_calloc(c->count + 1, sizeof *lost);
    note_departed(c, fresh, lost);
    drop_old_links(c, fresh);
    struct node **nodes = x_calloc(fresh->count, sizeof *nodes);
    c->topology = *fresh;
    for (size_t i = 0; i < fresh->count; i++) {
        struct node *n = take_old_node(c, &was, &fresh->nodes[i]);
        nodes[i] = n ? n : new_node(c, i);
        nodes[i]->index = i;
    }
    for (size_t i = 0; i < c->count; i++) {
        forget_routed_to(c, c->nodes[i]);
        cluster_free_node(c->nodes[i]);
    }
    free(c->nodes);
    c->nodes = nodes;
    c->count = fresh->count;
    keep_importing_nodes(c, &was);
    note_moved_slots(c, &was, lost);
    free(lost);
    cluster_migrations_forget(c);
    c->empty_masters_changed = false;
    topology_free(&was);
    for (size_t i = 0; i < c->count; i++)
        if (!c->nodes[i]->link)
            open_link(c->nodes[i]);
}
