/* Masters without slots. They matter when a slot is on its way to one: it holds keys that its owner has given
 * away already. So a flush has to reach them; but one that is away, and that nothing goes to, must not hold
 * it up (it may be what is left of a node that is gone for good).
 *
 *   flush ──all connected──> runs
 *     └── one is not ──> every owner is asked for its moves ──none goes there──> runs
 *                                 └── some do: it is waited for */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/cluster.h"

enum { ANSWER_TIMEOUT_MS = 5000, GOOD_FOR_MS = 3000 };

static void on_move(void *arg, const char *id)
{
    struct cluster *c = arg;
    size_t node = topology_find(&c->topology, id);
    if (node != TOPOLOGY_NOBODY)
        c->nodes[node]->expects_slots = true;
}

static void on_moves(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    topology_each_move(reply, on_move, c);
    if (!c->moves_awaited || --c->moves_awaited)
        return;
    c->moves_wanted = false;
    c->moves_known_ms = clock_monotonic_ms();
    cluster_proceed(c);
}

bool cluster_idle_settled(struct cluster *c)
{
    if (!c->moves_wanted)
        return true;
    if (c->moves_awaited)
        return false;
    for (size_t i = 0; i < c->count; i++)
        c->nodes[i]->expects_slots = false;
    for (size_t i = 0; i < c->count; i++) {
        struct client *reader = cluster_is_idle(c, i) ? NULL : cluster_reader(c->nodes[i]);
        if (!reader)
            continue;
        c->moves_awaited++;
        client_words(reader, ANSWER_TIMEOUT_MS, on_moves, c, "CLUSTER", "NODES", NULL);
    }
    return false;
}

void cluster_idle_adopted(struct cluster *c)
{
    for (size_t i = 0; c->moves_awaited && i < c->count; i++) {
        client_free(c->nodes[i]->reader);
        c->nodes[i]->reader = NULL;
    }
    c->moves_awaited = 0;
    c->idle_changed = false;
}

void cluster_looked(struct cluster *c, struct topology *fresh)
{
    c->idle_changed = !topology_same(&c->topology, fresh);
    for (size_t i = 0; i < c->count; i++) {
        size_t now = topology_find(fresh, c->topology.nodes[i].id);
        if (now == TOPOLOGY_NOBODY)
            continue;
        c->topology.nodes[i].replicas = fresh->nodes[now].replicas; /* they come and go */
        if (cluster_is_idle(c, i) && !fresh->nodes[now].failed && link_is_dead(c->nodes[i]->link))
            cluster_link_again(c->nodes[i]);
    }
    topology_free(fresh);
}

bool cluster_reaches_all(struct cluster *c, struct error *error)
{
    bool known = c->moves_known_ms && clock_monotonic_ms() - c->moves_known_ms < GOOD_FOR_MS;
    if (c->idle_changed)
        return error_set(error, ERROR_RETRY, "the cluster has other masters without slots now");
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = c->nodes[i];
        if (n->ready || (known && !n->expects_slots))
            continue;
        c->moves_wanted = true;
        c->moves_known_ms = 0;
        if (!link_is_dead(n->link))
            return error_set(error, ERROR_RETRY, "%s, a master without slots, is not connected yet", n->who);
        return error_set(
            error, ERROR_RETRY,
            "%s, a master without slots, cannot be reached%s: bring it back, or have it forgotten "
            "(CLUSTER FORGET)",
            n->who, known ? ", and holds keys of a slot that is on its way to it" : "");
    }
    return true;
}
