/* Masters without slots. A slot may be migrating to one, which then holds keys that the owner no longer has. So a flush
 * has to reach it. An empty master that is unreachable, and that no slot migrates to, must not delay the flush: it may
 * be the rest of a removed node.
 *
 *   flush ──all are connected──> runs
 *     └── one is not ──> migrations are queried ──none to it──> runs
 *                                 └── some: the flush waits for it
 *
 * Each worker stores its identity. If it was restarted and no slot migrates to it, the new identity is stored.
 * Otherwise the cluster is in trouble, and the recovery finds no node that covers those slots. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "worker/cluster/cluster.h"

enum { GOOD_FOR_MS = 3000 };

/* Forgets which slots an unreachable node had: they are accounted for. */
static void forget_absent_slots(struct cluster *c)
{
    for (size_t k = 0; k < c->known.count; k++) {
        struct identity known = c->known.list[k];
        size_t i = topology_find(&c->topology, known.id);
        if (i != TOPOLOGY_NOBODY && c->nodes[i]->ready)
            continue;
        known.fingerprint = 0;
        identities_set(&c->known, &known);
    }
}

void cluster_remember_masters(struct cluster *c)
{
    forget_absent_slots(c);
    for (size_t i = 0; i < c->count; i++)
        if (c->nodes[i]->ready)
            cluster_remember(c, c->nodes[i]);
        else if (cluster_has_earlier_writes(c) && !identities_find(&c->known, c->topology.nodes[i].id))
            cluster_forget_identity(c, c->nodes[i]);
}

void cluster_empty_master_ready(struct node *n)
{
    struct cluster *c = n->cluster;
    if (!c->ready || !cluster_is_empty(c, n->index))
        return;
    if (cluster_is_intact(c, n)) {
        cluster_remember(c, n);
        cluster_save_nodes(c);
        return;
    }
    c->migrations_wanted = true;
    cluster_migrations_settled(c);
}

void cluster_empty_masters_assess(struct cluster *c)
{
    struct error error;
    for (size_t i = 0; i < c->count; i++) {
        struct node *n = c->nodes[i];
        if (!cluster_is_empty(c, i) || !n->ready || cluster_is_intact(c, n))
            continue;
        if (!n->in_migrations) {
            c->migrations_wanted = true;
        } else if (!n->expects_slots) {
            cluster_remember(c, n);
        } else {
            error_set(&error, ERROR_RETRY, "%s was restarted while slots were migrating to it", n->name);
            cluster_trouble(c, &error);
            return;
        }
    }
    cluster_save_nodes(c);
    cluster_migrations_settled(c);
}

void cluster_note_topology(struct cluster *c, struct topology *fresh)
{
    c->empty_masters_changed = !topology_same(&c->topology, fresh);
    for (size_t i = 0; i < c->count; i++) {
        size_t now = topology_find(fresh, c->topology.nodes[i].id);
        if (now == TOPOLOGY_NOBODY)
            continue;
        c->topology.nodes[i].replicas = fresh->nodes[now].replicas; /* for WAIT */
        if (cluster_is_empty(c, i) && !fresh->nodes[now].failed && link_is_dead(c->nodes[i]->link))
            cluster_link_again(c->nodes[i]);
    }
    topology_free(fresh);
}

bool cluster_reaches_all(struct cluster *c, struct error *error)
{
    bool known = c->migrations_known_ms && clock_monotonic_ms() - c->migrations_known_ms < GOOD_FOR_MS;
    if (c->empty_masters_changed)
        return error_set(error, ERROR_RETRY, "the cluster has other masters without slots than before");
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = c->nodes[i];
        if (n->ready || (known && !n->expects_slots))
            continue;
        c->migrations_wanted = true;
        c->migrations_known_ms = 0;
        if (!link_is_dead(n->link))
            return error_set(error, ERROR_RETRY, "%s, a master without slots, is not connected yet", n->name);
        return error_set(
            error, ERROR_RETRY,
            "%s, a master without slots, cannot be reached%s: bring it back, or remove it (CLUSTER FORGET)",
            n->name, known ? ", and has keys of a slot that is migrating to it" : "");
    }
    return true;
}
