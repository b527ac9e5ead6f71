/* Masters without slots. They matter when a slot is on its way to one: it holds keys that its owner has given
 * away already. So a flush has to reach them; but one that is away, and that nothing goes to, must not hold
 * it up (it may be what is left of a node that is gone for good).
 *
 *   flush ──all connected──> runs
 *     └── one is not ──> every owner is asked for its moves ──none goes there──> runs
 *                                 └── some do: it is waited for
 *
 * One that serves nothing is not judged, since nothing tells what it should hold. It is remembered as what it
 * was at first; as what it is after that, when it cannot have lost anything that matters: because nothing was
 * on its way to it when it came back, or because everything was flushed since. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/cluster.h"

enum { ANSWER_TIMEOUT_MS = 5000, GOOD_FOR_MS = 3000 };

/* Than the one that is remembered. */
static bool is_another(const struct node *n)
{
    const struct identity *k = n->ready ? cluster_known(n->cluster, n) : NULL;
    return k && cluster_is_idle(n->cluster, n->index) &&
           (strcmp(k->run_id, n->target.run_id) != 0 || strcmp(k->replid, n->target.replid) != 0);
}

static void on_move(void *arg, const char *id)
{
    struct cluster *c = arg;
    size_t node = topology_find(&c->topology, id);
    if (node != TOPOLOGY_NOBODY)
        c->nodes[node]->expects_slots = true;
}

static void moves_answered(struct cluster *c)
{
    if (!c->moves_awaited || --c->moves_awaited)
        return;
    c->moves_wanted = false;
    c->moves_known_ms = clock_monotonic_ms();
    for (size_t i = 0; i < c->count; i++) {
        struct node *n = c->nodes[i];
        if (is_another(n) && n->asked_about && !n->expects_slots)
            cluster_remember(c, n);
        else if (is_another(n) && !n->asked_about)
            cluster_idle_ready(n);
    }
    cluster_proceed(c);
}

static void on_moves(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    topology_each_move(reply, on_move, c);
    moves_answered(c);
}

/* Of an idle one. It keeps this on its disk: what came to it before it was started anew shows, even where the
 * others have not heard of it yet. */
static void on_own(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct node *n = arg;
    n->asked_itself = false;
    n->expects_slots |= topology_takes_slots(reply);
    moves_answered(n->cluster);
}

void cluster_idle_silent(struct node *n)
{
    if (!n->asked_itself)
        return;
    n->asked_itself = false;
    n->expects_slots = true;
    moves_answered(n->cluster);
}

/* Each owner; and those that came back as another, of themselves. */
static void ask_moves(struct node *n)
{
    bool idle = cluster_is_idle(n->cluster, n->index);
    if (idle && !is_another(n))
        return;
    struct client *reader = cluster_reader(n);
    n->asked_itself = idle && reader;
    n->expects_slots |= idle && !reader;
    if (!reader)
        return;
    n->cluster->moves_awaited++;
    if (idle)
        client_words(reader, ANSWER_TIMEOUT_MS, on_own, n, "CLUSTER", "NODES", NULL);
    else
        client_words(reader, ANSWER_TIMEOUT_MS, on_moves, n->cluster, "CLUSTER", "NODES", NULL);
}

bool cluster_idle_settled(struct cluster *c)
{
    if (!c->moves_wanted)
        return true;
    if (c->moves_awaited)
        return false;
    for (size_t i = 0; i < c->count; i++) {
        c->nodes[i]->expects_slots = c->nodes[i]->asked_itself = false;
        c->nodes[i]->asked_about = c->nodes[i]->ready;
    }
    for (size_t i = 0; i < c->count; i++)
        ask_moves(c->nodes[i]);
    return false;
}

void cluster_idle_ready(struct node *n)
{
    if (!is_another(n))
        return;
    n->cluster->moves_wanted = true;
    if (n->cluster->ready)
        cluster_idle_settled(n->cluster);
}

void cluster_note_flushed(struct cluster *c, uint64_t txid, uint64_t begun_ms)
{
    if (txid > c->flushed_txid)
        c->flushed_txid = txid;
    for (size_t i = 0; begun_ms && i < c->count; i++)
        if (is_another(c->nodes[i]) && c->nodes[i]->ready_ms <= begun_ms)
            cluster_remember(c, c->nodes[i]);
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
