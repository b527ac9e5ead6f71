/* Flush notes: which flushes of the source the masters have run. A note lies in the lowest slot of its master, and
 * names that process. It moves with the slot, and counts for its master wherever it lies, while that is the same
 * process with the same history. It also counts for the master that holds it, if that has the data of the named one:
 * the same node after a restart, or a promoted replica. */
#include "worker/cluster/cluster.h"

void cluster_flush_note_read(struct node *n, const struct slot_mark *mark)
{
    const char *whose = mark->own.flushed_master;
    if (!mark->own.flushed_txid)
        return;
    if (*whose && strcmp(whose, n->cluster->router->session.master_id) != 0)
        return; /* each master counts its txids from 1 */
    n->notes = x_realloc(n->notes, (n->note_count + 1) * sizeof *n->notes);
    n->notes[n->note_count++] =
        (struct flush_note){mark->own.flushed_session, mark->own.flushed_txid, mark->flushed_on};
}

static bool note_is_newer(const struct flush_note *a, const struct flush_note *b)
{
    return a->session > b->session || (a->session == b->session && a->txid > b->txid);
}

/* Notes of earlier releases do not name the node: then they count for the one that holds them. */
static bool note_is_of(const struct cluster *c, const struct node *n, const struct node *at,
                       const struct flush_note *note)
{
    return *note->on.run_id ? cluster_covers(c, n, at, &note->on) : at == n;
}

/* The newest note of n; for an intact node also the newest flush of this session that this process saw on every node.
 * */
static struct flush_note newest_note(const struct cluster *c, const struct node *n)
{
    struct flush_note newest = {0};
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = 0; k < c->nodes[i]->note_count; k++) {
            const struct flush_note *note = &c->nodes[i]->notes[k];
            if (note_is_of(c, n, c->nodes[i], note) && note_is_newer(note, &newest))
                newest = *note;
        }
    uint64_t session = c->router->session.id;
    if (n->intact && c->flushed_txid && (newest.session != session || newest.txid < c->flushed_txid))
        newest = (struct flush_note){.session = session, .txid = c->flushed_txid};
    return newest;
}

void cluster_flush_notes_newest(const struct cluster *c, struct position *at)
{
    at->mark.flushed_txid = UINT64_MAX;
    for (size_t i = 0; i < c->count; i++) {
        if (cluster_is_empty(c, i))
            continue;
        struct flush_note newest = newest_note(c, c->nodes[i]);
        if (newest.txid < at->mark.flushed_txid) {
            at->mark.flushed_txid = newest.txid;
            at->mark.flushed_session = newest.session;
        }
    }
}
