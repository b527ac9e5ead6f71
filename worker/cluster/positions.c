/* Determines the position of each slot. */
#include "worker/cluster/positions.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void positions_init(struct positions *p, uint64_t applied_seq, uint64_t first_lsn)
{
    memset(p, 0, sizeof *p);
    p->known = applied_seq > 0 || first_lsn == 0;
    for (size_t s = 0; s < CLUSTER_SLOTS; s++) {
        p->seq[s] = applied_seq;
        p->doubt[s] = UINT64_MAX;
    }
}

void positions_settle(struct positions *p, uint64_t sent_seq)
{
    for (size_t s = 0; s < CLUSTER_SLOTS; s++) {
        uint64_t done = p->doubt[s] < sent_seq ? p->doubt[s] : sent_seq;
        p->seq[s] = larger(p->seq[s], done);
        p->doubt[s] = UINT64_MAX;
    }
}

/* Whether the mark of the node was written after the slot had arrived. It names the slots that the node served, and is
 * written again when they change, even if nothing was sent since: an equal seq counts. */
static bool node_marked_after_arrival(const struct positions *p, uint16_t s, const struct position_mark *mark)
{
    return mark->in_session && mark->seq >= p->arrived_seq[s];
}

/* Whether the mark of the slot was. A cross-slot command marks the slot of its destination before the command counts as
 * sent: a mark from before the arrival may have its seq + 1. */
static bool slot_marked_after_arrival(const struct positions *p, uint16_t s)
{
    return p->mark[s].in_session && (!p->arrived_seq[s] || p->mark[s].seq > p->arrived_seq[s] + 1);
}

static bool keys_may_be_lost(uint16_t s, struct error *error)
{
    return error_set(
        error, ERROR_REDIRECT,
        "slot %u of the cluster was migrating to or from its node, which was restarted or promoted "
        "since then: it is unknown which keys are left; a full sync is needed",
        (unsigned)s);
}

/* lsn 0: the mark of the node is gone, or was written for other slots than the node serves. */
static bool journal_is_missing(uint16_t s, uint64_t lsn, uint64_t first_lsn, struct error *error)
{
    if (!lsn)
        return error_set(
            error, ERROR_REDIRECT,
            "slot %u of the cluster has no mark that covers it: the mark of its node is gone, or slots "
            "have moved and the node was promoted or restarted before it was marked again; a full sync is "
            "needed",
            (unsigned)s);
    return error_set(
        error, ERROR_REDIRECT,
        "slot %u of the cluster has marks up to LSN %llu, and the journal begins at %llu: the entries in "
        "between are lost; a full sync is needed",
        (unsigned)s, (unsigned long long)lsn, (unsigned long long)first_lsn);
}

/* Where memory counts, the mark of the node does not tell of a slot that came later: it may have come from a node that
 * had lost entries, before they were sent again. No mark is written until they are.
 *
 * Returns false if the position is unknown: nothing covers the slot although keys arrived, or the mark of the slot is
 * beyond what is covered. Those entries cannot run again: their mark, once written, could not be told from the present
 * one. */
static bool resolve_slot(struct positions *p, uint16_t s, const struct position_node *node,
                         uint64_t first_lsn, struct error *error)
{
    const struct position_mark *mark = &p->mark[s];
    uint64_t seq = node->intact ? p->seq[s] : 0;
    uint64_t lsn = node->intact ? p->lsn[s] : 0;
    bool remembered = node->intact && p->known;
    bool came = remembered && p->arrived_seq[s];
    bool by_node =
        (!came || node->mark.seq > p->arrived_seq[s]) &&
        (node->intact || node->split ? node->mark.in_session : node_marked_after_arrival(p, s, &node->mark));
    bool by_slot = mark->in_session && !node->split && (by_node || slot_marked_after_arrival(p, s));
    by_slot |= mark->in_session && node->intact;
    if (by_slot)
        seq = larger(seq, mark->seq);
    if (by_node)
        seq = larger(seq, node->mark.seq);
    if (node->intact || (node->mark.lsn && !node->split))
        lsn = larger(lsn, mark->lsn);
    p->seq[s] = seq;
    p->lsn[s] = came ? lsn : larger(lsn, node->mark.lsn);
    if (mark->not_shared || node->mark.not_shared)
        return error_set(error, ERROR_REDIRECT,
                         "slot %u of the cluster has journal entries from %llu on of the previous master, "
                         "and the promoted master may lack them; a full sync is needed",
                         (unsigned)s, (unsigned long long)first_lsn);
    bool known = remembered || by_slot || by_node;
    bool nothing_tells = p->arrived_seq[s] && !node->intact && !by_slot && !by_node;
    if (nothing_tells || (mark->in_session && mark->seq > seq))
        return keys_may_be_lost(s, error);
    return !first_lsn || known || p->lsn[s] >= first_lsn ||
           journal_is_missing(s, p->lsn[s], first_lsn, error);
}

/* What two nodes cover that have a part of a slot each. The mark of a node is written once everything that was sent to
 * any node is acknowledged. So the later of the two marks counts if neither node has lost anything since its own. */
static struct position_node merge_nodes(const struct position_node *a, const struct position_node *b)
{
    struct position_node p = {.intact = a->intact && b->intact, .split = true};
    p.mark.not_shared = a->mark.not_shared || b->mark.not_shared;
    if (a->unchanged && b->unchanged) {
        p.mark.in_session = a->mark.in_session || b->mark.in_session;
        p.mark.seq = larger(a->mark.seq, b->mark.seq);
        p.mark.lsn = larger(a->mark.lsn, b->mark.lsn);
        return p;
    }
    p.mark.in_session = a->mark.in_session && b->mark.in_session;
    p.mark.seq = a->mark.seq < b->mark.seq ? a->mark.seq : b->mark.seq;
    p.mark.lsn = a->mark.lsn < b->mark.lsn ? a->mark.lsn : b->mark.lsn;
    return p;
}

static struct position_node covering_node(const struct topology *t, const struct position_node *nodes,
                                          const uint16_t *importing_node, uint16_t slot)
{
    static const struct position_node unknown_node = {0};
    const struct position_node *owner = &nodes[t->owner[slot]];
    if (!importing_node || importing_node[slot] == IMPORTING_NONE)
        return *owner;
    return merge_nodes(owner, importing_node[slot] < t->count ? &nodes[importing_node[slot]] : &unknown_node);
}

bool positions_resolve(struct positions *p, const struct topology *t, const struct position_node *nodes,
                       const uint16_t *importing_node, uint64_t first_lsn, struct error *error)
{
    p->least_seq = p->least_lsn = UINT64_MAX;
    p->most_seq = p->most_lsn = 0;
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        struct position_node node = covering_node(t, nodes, importing_node, s);
        if (!resolve_slot(p, s, &node, first_lsn, error))
            return false;
        p->resolved_seq[s] = p->seq[s];
        p->least_seq = p->seq[s] < p->least_seq ? p->seq[s] : p->least_seq;
        p->least_lsn = p->lsn[s] < p->least_lsn ? p->lsn[s] : p->least_lsn;
        p->most_seq = larger(p->most_seq, p->seq[s]);
        p->most_lsn = larger(p->most_lsn, p->lsn[s]);
    }
    p->known = true;
    return true;
}

bool positions_lacked_before(const struct positions *p, uint64_t seq, uint64_t lsn)
{
    for (size_t s = 0; s < CLUSTER_SLOTS; s++)
        if (p->resolved_seq[s] + 1 < seq && (!lsn || p->lsn[s] < lsn))
            return true;
    return false;
}
