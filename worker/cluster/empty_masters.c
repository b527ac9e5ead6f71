/* Masters without slots. They matter when a slot is on its way to one: it holds keys that its owner has given
 * away already. So a flush has to reach them; but one that is away, and that nothing goes to, must not hold
 * it up (it may be what is left of a node that is gone for good).
 *
 *   flush ──all connected──> runs
 *     └── one is not ──> every owner is asked for its moves ──none goes there──> runs
 *                                 └── some do: it is waited for
 *
 * Each FLOW remembers what it was. When it comes back as another, started anew, it is trusted again when
 * nothing is on its way to it; else the cluster is judged, and nobody can vouch for those slots any more. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "worker/cluster/cluster.h"

enum { GOOD_FOR_MS = 3000 };

/* Whoever is not there has no slots any more that anybody should account for. */
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
            error_set(&error, ERROR_RETRY, "%s was started anew while slots were on their way to it",
                      n->name);
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
        c->topology.nodes[i].replicas = fresh->nodes[now].replicas; /* they come and go */
        if (cluster_is_empty(c, i) && !fresh->nodes[now].failed && link_is_dead(c->nodes[i]->link))
            cluster_link_again(c->nodes[i]);
    }
    topology_free(fresh);
}

bool cluster_reaches_all(struct cluster *c, struct error *error)
{
    bool known = c->migrations_known_ms && clock_monotonic_ms() - c->migrations_known_ms < GOOD_FOR_MS;
    if (c->empty_masters_changed)
        return error_set(error, ERROR_RETRY, "the cluster has other masters without slots now");
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
            "%s, a master without slots, cannot be reached%s: bring it back, or have it forgotten "
            "(CLUSTER FORGET)",
            n->name, known ? ", and holds keys of a slot that is on its way to it" : "");
    }
    return true;
}
