/* Missing marks: another client has emptied a master of the cluster (FLUSHALL, FLUSHDB), or deleted the mark, or the
 * master has evicted it. Every master gets the mark of the FLOW once a second, every ten seconds while nothing arrives.
 * The loss shows in one of these ways:
 *
 *   while connected          HSET of an existing mark answers how many fields are new (link_answers.c)
 *   after a reconnect        a mark that was known is read, and is gone (missing_slot)
 *   a worker's successor     every master's mark was acknowledged to the predecessor, and one is nowhere
 *   written again by a       the field run is not beside it: it is sent only where no mark was known, and then the
 *   process that died        answer would have shown the loss (unclaimed_slot)
 *
 * Only nodes that are the same process with the same history are checked; the losses of others show in positions.c. A
 * mark moves with its slot. A flush of the source removes all marks but those in the lowest slots, at a moment that a
 * FLOW does not know exactly: so no mark is expected from its beginning until marks are written again. */
#include <stdio.h>
#include <sysexits.h>

#include "worker/cluster/cluster.h"

/* A session that begins with a snapshot ignores marks of earlier sessions. At the end of a migration (--migrate)
 * another FLOW may have removed the field run. */
static bool mark_is_unclaimed(const struct cluster *c, const struct mark *mark)
{
    const struct router_session *s = &c->router->session;
    return mark->present && !mark->claimed && (s->first_lsn || mark->session == s->id) &&
           !c->router->config.settings->migrate;
}

void cluster_loss_read(struct node *n, uint16_t slot, const struct slot_mark *mark)
{
    struct cluster *c = n->cluster;
    uint8_t before = c->mark_fields[slot];
    c->mark_fields[slot] = 0;
    if (mark_is_unclaimed(c, &mark->own))
        n->unclaimed_slot = slot;
    if (c->flushing)
        return;
    if ((before & FIELD_FLOW) && !mark->own.present)
        n->missing_slot = slot;
    c->mark_fields[slot] =
        (uint8_t)((mark->own.present ? FIELD_FLOW : 0) | (mark->node.present ? FIELD_NODE : 0) |
                  (mark->own.claimed ? FIELD_RUN : 0));
}

void cluster_loss_written(struct node *n, const struct batch *b)
{
    struct cluster *c = n->cluster;
    if (b->mark_at == UINT32_MAX || b->round->in_trouble)
        return;
    n->mark_written |= b->mark_of_node;
    if (!c->flushing)
        c->mark_fields[b->slot] |= (uint8_t)(FIELD_FLOW | FIELD_RUN | (b->mark_of_node ? FIELD_NODE : 0));
}

void cluster_flush_begins(struct cluster *c)
{
    c->flushing = true;
    memset(c->mark_fields, 0, sizeof c->mark_fields);
}

void cluster_flush_over(struct cluster *c)
{
    c->flushing = false;
}

/* Whether the mark of n was acknowledged to the predecessor, like those of all masters with slots. */
static bool mark_was_seen(const struct cluster *c, const struct node *n)
{
    const struct identity *known = identities_find(&c->known, c->topology.nodes[n->index].id);
    uint64_t marked_seq = c->router->session.marked_seq;
    return !c->recovered && marked_seq > c->known.unmarked_seq && marked_seq > c->known.moved_seq && known &&
           known->fingerprint && !c->router->config.settings->migrate;
}

/* Whether a mark that names n is on any node: it moves with the slot that was the lowest of n. */
static bool has_mark(const struct cluster *c, const struct node *n)
{
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < c->nodes[i]->candidate_count; j++)
            if (cluster_mark_names(n, &c->nodes[i]->candidates[j].of))
                return true;
    return false;
}

void cluster_loss_note_unmarked(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (!cluster_is_empty(c, i) && !c->nodes[i]->mark_written && !has_mark(c, c->nodes[i]))
            identities_unmarked(&c->known, c->sent_seq);
}

static bool mark_is_lost(const struct node *n, int slot, const char *how, struct error *error)
{
    char key[SLOT_KEY_BYTES];
    if (n->target.evicts_any)
        return error_fatal(error, EX_CONFIG, LINK_EVICTED_TEXT);
    slot_mark_key(key, sizeof key, n->config.settings->name, (uint16_t)slot);
    return error_set(
        error, ERROR_REDIRECT,
        "%s %s: another client has emptied it (FLUSHALL, FLUSHDB) or deleted %s; a full sync is needed",
        n->name, how, key);
}

/* Releases up to 0.1.0 wrote no field run in a cluster: an upgrade of such a run costs one full sync. */
static bool mark_lacks_run(const struct node *n, struct error *error)
{
    char key[SLOT_KEY_BYTES];
    slot_mark_key(key, sizeof key, n->config.settings->name, (uint16_t)n->unclaimed_slot);
    return error_set(
        error, ERROR_REDIRECT,
        "%s has the mark %s without the field run: a release up to 0.1.0 wrote it, or it was written after "
        "another client had emptied the server (FLUSHALL, FLUSHDB); a full sync is needed",
        n->name, key);
}

bool cluster_loss_check(const struct cluster *c, const struct position_node *nodes, struct error *error)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = c->nodes[i];
        uint16_t first = c->topology.nodes[i].first_slot;
        if (cluster_is_empty(c, i))
            continue;
        if (n->unclaimed_slot != NO_SLOT)
            return mark_lacks_run(n, error);
        if (!nodes[i].intact)
            continue;
        if (n->missing_slot != NO_SLOT)
            return mark_is_lost(n, n->missing_slot, "has lost the mark that it had", error);
        if (mark_was_seen(c, n) && !has_mark(c, n))
            return mark_is_lost(n, first, "has lost the mark that it had", error);
    }
    return true;
}
