/* A cluster from trouble to ready: refreshes the topology, and takes the steps to a recovery. */
#include "worker/cluster/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/redis/seeds.h"

enum { BACKOFF_FIRST_MS = 10, BACKOFF_MAX_MS = 500, CALM_MS = 1000, REFRESH_TIMEOUT_MS = 5000 };

/* ---- trouble ---- */

void cluster_refresh_later(struct cluster *c, uint32_t ms)
{
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    evtimer_add(c->timer, &tv);
}

/* The topology is refreshed immediately if the last trouble was long ago, else after a growing pause. */
void cluster_trouble(struct cluster *c, struct error *error)
{
    struct router *r = c->router;
    uint64_t now = clock_monotonic_ms();
    bool was_ready = c->ready, was_known = c->topology_known;
    c->ready = c->topology_known = c->migrations_fresh = false;
    if (error->class != ERROR_RETRY) {
        r->callbacks.lost(r->callbacks.arg, error);
        return;
    }
    /* If the topology was known, the pending timer is that of links_are_settled(), which would be too late. */
    if (was_ready || was_known || !evtimer_pending(c->timer, NULL)) {
        bool calm = now - c->trouble_ms >= CALM_MS;
        c->backoff_ms = calm || !c->backoff_ms ? BACKOFF_FIRST_MS : c->backoff_ms;
        cluster_refresh_later(c, calm ? 0 : c->backoff_ms);
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

void cluster_refresh_soon(struct cluster *c)
{
    c->topology_known = false;
    cluster_refresh_later(c, BACKOFF_FIRST_MS);
}

/* ---- the topology ---- */

static void end_refresh(struct cluster *c)
{
    client_free(c->topology_client);
    c->topology_client = NULL;
}

static void refresh_failed(struct cluster *c, struct error *error)
{
    end_refresh(c);
    if (c->ready)
        cluster_refresh_later(c, CLUSTER_REFRESH_EVERY_MS);
    else
        cluster_wait(c, error);
}

/* A new master is greeted immediately: its identity must be known before slots move to it. */
static bool has_new_master(const struct cluster *c, const struct topology *fresh)
{
    for (size_t i = 0; i < fresh->count; i++)
        if (topology_find(&c->topology, fresh->nodes[i].id) == TOPOLOGY_NOBODY &&
            !identities_find(&c->known, fresh->nodes[i].id))
            return true;
    return false;
}

static void take_topology(struct cluster *c, struct topology *fresh)
{
    struct error error;
    cluster_open_slots_apply(c, fresh);
    if (!c->ready) {
        c->topology_known = true;
        cluster_adopt(c, fresh);
        cluster_proceed(c);
        return;
    }
    bool joined = has_new_master(c, fresh);
    if (topology_serves_same(&c->topology, fresh) && !joined) {
        cluster_note_topology(c, fresh);
        cluster_refresh_later(c, CLUSTER_REFRESH_EVERY_MS);
        cluster_open_slots_check(c);
        return;
    }
    topology_free(fresh);
    error_set(&error, ERROR_RETRY,
              joined ? "the cluster has a new master" : "slots of the cluster have moved");
    cluster_trouble(c, &error);
}

/* Without permission for CLUSTER NODES the worker does not learn about empty masters. */
static void on_cluster_nodes(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct topology fresh = c->next_topology;
    c->next_topology = (struct topology){0};
    topology_add_idle(&fresh, reply, &c->topology_address);
    end_refresh(c);
    take_topology(c, &fresh);
}

static void on_cluster_slots(struct client *client, const redisReply *reply, void *arg)
{
    struct cluster *c = arg;
    struct error error;
    if (topology_parse(&c->next_topology, reply, &c->topology_address, &error) &&
        topology_complete(&c->next_topology, &error))
        client_words(client, REFRESH_TIMEOUT_MS, on_cluster_nodes, arg, "CLUSTER", "NODES", NULL);
    else
        refresh_failed(c, &error);
}

static void on_refresh_ready(struct client *client, void *arg)
{
    client_words(client, REFRESH_TIMEOUT_MS, on_cluster_slots, arg, "CLUSTER", "SLOTS", NULL);
}

static void on_refresh_failed(struct client *client, const struct error *error, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct error copy = *error;
    end_refresh(c);
    seeds_next(c->router->seeds);
    if (c->ready)
        cluster_refresh_later(c, BACKOFF_MAX_MS); /* another node */
    else
        cluster_wait(c, &copy);
}

/* In turn: the known nodes with slots, and the current address of the seeds. */
static const struct uri *next_address(struct cluster *c)
{
    size_t i = c->address_turn++ % (c->count + 1);
    while (i < c->count && cluster_is_empty(c, i))
        i = c->address_turn++ % (c->count + 1);
    return i < c->count ? &c->nodes[i]->uri : seeds_uri(c->router->seeds);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct cluster *c = arg;
    struct error error;
    struct client_callbacks on = {c, on_refresh_ready, on_refresh_failed};
    if (c->topology_client)
        return;
    c->topology_known = false;
    uri_copy(&c->topology_address, next_address(c));
    c->topology_client = client_connect(c->router->base, &c->topology_address, c->router->config.settings,
                                        "target", &on, &error);
    if (!c->topology_client)
        cluster_wait(c, &error);
}

/* ---- the steps of a recovery ---- */

/* Whether the recovery needs the node. It needs an empty master only to learn whether its slots moved by MIGRATE. */
static bool node_is_needed(const struct cluster *c, size_t i)
{
    const struct node *n = c->nodes[i];
    return !cluster_is_empty(c, i) ||
           (n->gave_slots && !c->topology.nodes[i].failed && !link_is_dead(n->link));
}

/* Whether all needed nodes are greeted, and everything that was sent is answered or in doubt. A node that hangs may
 * lose its role without an answer, so the topology is refreshed meanwhile. */
static bool links_are_settled(struct cluster *c)
{
    bool all = true;
    for (size_t i = 0; i < c->count; i++)
        all &= link_idle(c->nodes[i]->link) && (c->nodes[i]->ready || !node_is_needed(c, i));
    if (all)
        evtimer_del(c->timer);
    else if (!evtimer_pending(c->timer, NULL))
        cluster_refresh_later(c, CLUSTER_REFRESH_EVERY_MS);
    return all;
}

void cluster_proceed(struct cluster *c)
{
    if (c->ready || !c->topology_known || c->reading_client || !links_are_settled(c))
        return;
    if (!cluster_migrations_settled(c) || !cluster_open_slots_settled(c))
        return;
    if (c->unread_count)
        cluster_read_unread(c);
    else if (cluster_migrations_known(c) && cluster_liveness_settled(c))
        cluster_recover(c);
}

/* ---- for the router ---- */

struct cluster *cluster_new(struct router *r)
{
    struct cluster *c = x_calloc(1, sizeof *c);
    c->router = r;
    c->slot_to_no_master = NO_SLOT;
    c->timer = evtimer_new(r->base, on_timer, c);
    positions_init(&c->positions, r->session.applied_seq, r->session.first_lsn);
    memset(c->importing_node, 0xff, sizeof c->importing_node); /* ALSO_NOWHERE */
    memset(c->previous_owner, 0xff, sizeof c->previous_owner); /* IDENTITY_NONE */
    return c;
}

void cluster_start(struct cluster *c)
{
    cluster_load_nodes(c);
    c->router->sealed_seq = c->router->session.applied_seq;
    c->address_turn = 0;
    cluster_refresh_later(c, 0);
}

void cluster_free(struct cluster *c)
{
    if (!c)
        return;
    end_refresh(c);
    cluster_stop_reading(c);
    for (size_t i = 0; i < c->count; i++)
        cluster_free_node(c->nodes[i]);
    free(c->nodes);
    identities_free(&c->known);
    cluster_liveness_forget(c);
    cluster_open_slots_free(c);
    uri_free(&c->ask_uri);
    uri_free(&c->topology_address);
    topology_free(&c->topology);
    topology_free(&c->next_topology);
    event_free(c->timer);
    free(c);
}

void cluster_note_flushed(struct cluster *c, uint64_t txid)
{
    if (txid > c->flushed_txid)
        c->flushed_txid = txid;
}

const struct uri *cluster_uri(const struct cluster *c, struct slice key)
{
    return c->count ? &c->nodes[c->topology.owner[key_slot(key)]]->uri : NULL;
}

const char *cluster_run_id(const struct cluster *c, struct slice key)
{
    return c->count ? c->nodes[c->topology.owner[key_slot(key)]]->target.run_id : "";
}

size_t cluster_nodes(const struct cluster *c)
{
    return c->count;
}

bool cluster_can_send(const struct cluster *c)
{
    for (size_t i = 0; c->ready && i < c->count; i++)
        if (!link_can_send(c->nodes[i]->link, false) && !(cluster_is_empty(c, i) && !c->nodes[i]->ready))
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
