/* Migrating slots, from the CLUSTER NODES replies of all masters. They are queried if something depends on them:
 *
 *   an empty master is unreachable          a flush has to wait for it if a slot is migrating to it
 *   a node may have lost writes             it may also have lost keys of slots that are migrating to it: their
 *     (restarted, or a promoted replica)    owner has given those keys away, and cannot cover them. Keys of slots that
 *                                           are migrating from it may be further than its own data
 *
 * The promoted replica of an owner may not know that a slot is migrating, and answers for keys that it no longer has
 * (up to Redis 7.x). So importing nodes report their slots, too. */
#include "common/base/clock.h"
#include "common/log/log.h"
#include "worker/cluster/cluster.h"

enum { ANSWER_TIMEOUT_MS = 5000 };

enum reported_by { BY_OWNER = 1, BY_IMPORTER = 2 };

static void note_migration(struct cluster *c, uint16_t slot, const char *id)
{
    size_t node = topology_find(&c->topology, id);
    if (node == TOPOLOGY_NOBODY || c->topology.nodes[node].failed)
        c->slot_to_no_master = slot;
    if (node == TOPOLOGY_NOBODY)
        return;
    c->nodes[node]->expects_slots = true;
    if (c->topology.owner[slot] != node) /* not served there after ASKING either */
        c->nodes[node]->incoming_slot = slot;
    c->migrating[slot] |= BY_OWNER;
}

static void on_open_slot(void *arg, uint16_t slot, bool importing, const char *id)
{
    struct node *n = arg;
    struct cluster *c = n->cluster;
    if (!importing)
        note_migration(c, slot, id);
    else if (c->topology.owner[slot] != n->index) /* else it is served there after ASKING */
        c->migrating[slot] |= BY_IMPORTER;
}

static void query_answered(struct cluster *c)
{
    if (!c->migrations_awaited || --c->migrations_awaited)
        return;
    c->migrations_wanted = false;
    c->migrations_fresh = true;
    c->migrations_known_ms = clock_monotonic_ms();
    if (c->ready)
        cluster_empty_masters_assess(c);
    else
        cluster_proceed(c);
}

static void on_master_nodes(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct node *n = arg;
    struct cluster *c = n->cluster;
    struct error error;
    /* Without permission nothing is known of its migrations. Any other error is temporary. */
    if (reply->type == REDIS_REPLY_STRING ||
        (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0)) {
        topology_each_move(reply, on_open_slot, n);
        query_answered(c);
        return;
    }
    error_set(&error, ERROR_RETRY, "the migrating slots cannot be queried: CLUSTER NODES is answered %.200s",
              reply->type == REDIS_REPLY_ERROR ? reply->str : "something unexpected");
    cluster_wait(c, &error);
}

/* The reply of an empty master. Its slots are on its disk: those that it imported before a restart show here, even if
 * the other nodes do not know of them yet. */
static void on_empty_master_nodes(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct node *n = arg;
    n->migrations_asked = false;
    n->expects_slots |= topology_takes_slots(reply);
    topology_each_move(reply, on_open_slot, n);
    query_answered(n->cluster);
}

void cluster_migrations_silent(struct node *n)
{
    if (!n->migrations_asked)
        return;
    n->migrations_asked = false;
    n->expects_slots = true;
    query_answered(n->cluster);
}

/* Asks a node for its migrations, unless it is an empty master that is not connected. */
static void query_node(struct node *n)
{
    bool empty = cluster_is_empty(n->cluster, n->index);
    if (empty && !n->ready)
        return;
    struct client *reader = cluster_reader(n);
    n->migrations_asked = empty && reader;
    n->expects_slots |= empty && !reader;
    if (!reader)
        return;
    n->cluster->migrations_awaited++;
    if (empty)
        client_words(reader, ANSWER_TIMEOUT_MS, on_empty_master_nodes, n, "CLUSTER", "NODES", NULL);
    else
        client_words(reader, ANSWER_TIMEOUT_MS, on_master_nodes, n, "CLUSTER", "NODES", NULL);
}

bool cluster_migrations_settled(struct cluster *c)
{
    if (!c->migrations_wanted)
        return true;
    if (c->migrations_awaited)
        return false;
    for (size_t i = 0; i < c->count; i++) {
        c->nodes[i]->expects_slots = c->nodes[i]->migrations_asked = false;
        c->nodes[i]->in_migrations = c->nodes[i]->ready;
        c->nodes[i]->incoming_slot = NO_SLOT;
    }
    c->slot_to_no_master = NO_SLOT;
    memset(c->migrating, 0, sizeof c->migrating);
    for (size_t i = 0; i < c->count; i++)
        query_node(c->nodes[i]);
    return false;
}

void cluster_migrations_forget(struct cluster *c)
{
    for (size_t i = 0; c->migrations_awaited && i < c->count; i++) {
        client_free(c->nodes[i]->reader);
        c->nodes[i]->reader = NULL;
    }
    c->migrations_awaited = 0;
    c->migrations_fresh = false;
}

bool cluster_migrations_known(struct cluster *c)
{
    for (size_t i = 0; !c->migrations_fresh && cluster_has_earlier_writes(c) && i < c->count; i++)
        c->migrations_wanted |= c->nodes[i]->ready && !cluster_is_intact(c, c->nodes[i]);
    return cluster_migrations_settled(c);
}

static bool is_promoted_from_id(const struct cluster *c, const struct node *n, const char *id)
{
    const struct identity *of = identities_find(&c->known, id);
    return of && cluster_is_promoted_from(c, n, of);
}

/* Whether the slot may have been reassigned without its keys: its previous owner is unreachable, or may have lost
 * writes, or was unreachable when it left the list; and its present owner is not the promoted replica of that node. */
static bool keys_may_have_stayed(const struct cluster *c, const struct position_node *nodes, uint16_t slot)
{
    if (c->previous_owner[slot] == IDENTITY_NONE)
        return false;
    const struct identity *from = &c->known.list[c->previous_owner[slot]];
    const struct node *now = c->nodes[c->topology.owner[slot]];
    size_t i = topology_find(&c->topology, from->id);
    bool well = i == TOPOLOGY_NOBODY ? *from->run_id
                                     : c->nodes[i]->ready && nodes[i].intact && !c->topology.nodes[i].failed;
    return !well && !cluster_is_promoted_from(c, now, from);
}

/* Whether n is connected and intact: then its slots moved by MIGRATE, not by a failover. Not if `to` is its promoted
 * replica: n may not know of the failover yet. */
static bool gave_slots_away(const struct cluster *c, const struct position_node *nodes, const struct node *n,
                            const struct node *to)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->nodes[i] == n)
            return n->ready && nodes[i].intact && !c->topology.nodes[i].failed &&
                   !is_promoted_from_id(c, to, c->topology.nodes[i].id);
    return false;
}

static bool has_promoted_replica(const struct cluster *c, const struct identity *of)
{
    for (size_t i = 0; i < c->count; i++)
        if (cluster_is_promoted_from(c, c->nodes[i], of))
            return true;
    return false;
}

/* A successor does not know which slots have moved meanwhile, but knows which nodes had slots. Each of them must have
 * the same slots, or be intact, or have a promoted replica. */
static bool slots_are_accounted_for(const struct cluster *c, const struct position_node *nodes,
                                    struct error *error)
{
    for (size_t k = 0; !c->recovered && k < c->known.count; k++) {
        const struct identity *known = &c->known.list[k];
        size_t i = topology_find(&c->topology, known->id);
        const struct topology_node *t = i != TOPOLOGY_NOBODY ? &c->topology.nodes[i] : NULL;
        bool well = t && c->nodes[i]->ready && nodes[i].intact && !t->failed;
        bool as_before = t && t->fingerprint == known->fingerprint;
        if (known->fingerprint && !well && !as_before && !has_promoted_replica(c, known))
            return error_set(
                error, ERROR_REDIRECT,
                "node %.8s, whose slots other nodes serve now, is unreachable or may have lost writes: it is "
                "unknown whether the keys were moved as well; a full sync is needed",
                known->id);
    }
    return true;
}

static bool keys_may_be_lost(const struct node *n, uint16_t slot, struct error *error)
{
    return error_set(error, ERROR_REDIRECT,
                     "%s was restarted or promoted while slot %u was migrating to or from it: it is unknown "
                     "which keys are "
                     "left; a full sync is needed",
                     n->name, (unsigned)slot);
}

bool cluster_migrations_check(struct cluster *c, const struct position_node *nodes, struct error *error)
{
    if (!cluster_has_earlier_writes(c))
        return true;
    if (!slots_are_accounted_for(c, nodes, error))
        return false;
    for (size_t i = 0; i < c->count; i++) {
        /* Keys that were migrating to a failed master are on its promoted replica, as far as they arrived. */
        int slot = c->nodes[i]->incoming_slot != NO_SLOT ? c->nodes[i]->incoming_slot : c->slot_to_no_master;
        if (c->nodes[i]->ready && !nodes[i].intact && slot != NO_SLOT)
            return keys_may_be_lost(c->nodes[i], (uint16_t)slot, error);
    }
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        const struct node *now = c->nodes[c->topology.owner[s]], *was = c->routed_to[s];
        if (keys_may_have_stayed(c, nodes, s))
            return error_set(
                error, ERROR_REDIRECT,
                "%s serves slot %u now, and the previous owner is unreachable or may have lost writes: it is "
                "unknown whether the keys were moved as well; a full sync is needed",
                now->name, (unsigned)s);
        if (nodes[now->index].intact)
            continue;
        if (was && was != now && gave_slots_away(c, nodes, was, now))
            return keys_may_be_lost(now, s, error);
        /* Of a slot served after ASKING, both nodes must cover the position. */
        if (c->migrating[s] == BY_IMPORTER || (c->migrating[s] && !c->by_asking[s]))
            return keys_may_be_lost(now, s, error);
    }
    return true;
}
