/* Marks that are gone: somebody has emptied a master of the cluster (FLUSHALL, FLUSHDB), or deleted or
 * evicted the mark there. Every master is given the mark of the FLOW once a second, every ten while nothing
 * comes, and anybody who looks where one was and finds none knows:
 *
 *   while connected         the answer to HSET counts the new fields (link_answers.c)
 *   connected anew          what stood there, and is read, is gone (missing_slot)
 *   a successor             its predecessor had seen every master's mark written, and one lies nowhere
 *   written by one that     a mark without the field run, which is given only where none was known: the
 *   died before the answer  answer would have told (unclaimed_slot)
 *
 * Only a node that is the process that it was, with its history, is judged so: what others have lost,
 * positions.c tells. A mark moves with its slot. A flush of the source's takes all away but those in the
 * lowest slots, at a time that each FLOW knows in part: so nothing is expected from then on, until marks are
 * written again. */
#include <stdio.h>
#include <sysexits.h>

#include "worker/cluster/cluster.h"

/* Whatever an earlier session left means nothing to one that begins with a snapshot. Where a migration ends,
 * another FLOW may have taken the field away. */
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

/* Our predecessor has seen it written, as that of every other master that had slots. */
static bool mark_was_seen(const struct cluster *c, const struct node *n)
{
    const struct identity *known = identities_find(&c->known, c->topology.nodes[n->index].id);
    uint64_t marked_seq = c->router->session.marked_seq;
    return !c->recovered && marked_seq > c->known.unmarked_seq && marked_seq > c->known.moved_seq && known &&
           known->fingerprint && !c->router->config.settings->migrate;
}

/* Wherever the slot is now that was its lowest. */
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
        "%s %s: somebody has emptied it (FLUSHALL, FLUSHDB) or deleted %s; a full sync is needed", n->name,
        how, key);
}

/* Releases up to 0.1.0 wrote no field run in a cluster: such a run pays one full sync when it is upgraded. */
static bool mark_lacks_run(const struct node *n, struct error *error)
{
    char key[SLOT_KEY_BYTES];
    slot_mark_key(key, sizeof key, n->config.settings->name, (uint16_t)n->unclaimed_slot);
    return error_set(
        error, ERROR_REDIRECT,
        "%s: its mark %s lacks the field run: a release up to 0.1.0 wrote it, or it was written after "
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
