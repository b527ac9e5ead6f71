/* What may happen to the small cluster: moves of slots, deaths of masters and of workers, flushes. Each returns whether it
 * can happen. */
#ifndef DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_MODEL_CHANGES_H
#define DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_MODEL_CHANGES_H

#include "tests/unit/worker/cluster/cluster_model.h"

/* ---- slots and masters ---- */

static void note_change(struct model *m, enum change what)
{
    for (unsigned f = 0; f < m->flows; f++)
        m->flow[f].changes |= (uint8_t)what;
}

/* Of node n as a process. */
static void note_process(struct model *m, unsigned n)
{
    for (unsigned f = 0; f < m->flows; f++) {
        struct model_flow *flow = &m->flow[f];
        bool counts = flow->node[n].slots || slots_of(m, n) || ((open_sides(m) | flow->open) & bit(n));
        flow->changes |= counts ? MASTERS : EMPTY_MASTERS;
    }
}

/* A look has seen a slot open that is closed again as it was. */
static void note_look(struct model *m, unsigned s)
{
    for (unsigned f = 0; f < m->flows; f++)
        m->flow[f].open |= (uint8_t)(bit(m->slot[s].owner) | bit(m->slot[s].to));
}

/* A look has seen a slot elsewhere that returns. */
static void note_return(struct model *m, unsigned s, unsigned to)
{
    for (unsigned f = 0; f < m->flows; f++)
        m->flow[f].moved |= (m->flow[f].node[to].slots & bit(s)) != 0;
}

static void drop_slot(struct model *m, unsigned n, unsigned s)
{
    memset(&m->node[n].now.slot[s], 0, sizeof m->node[n].now.slot[s]);
}

static void drop_foreign_slots(struct model *m, unsigned n)
{
    for (unsigned s = 0; s < SLOTS; s++)
        if (m->slot[s].owner != n && m->slot[s].to != n)
            drop_slot(m, n, s);
}

static void close_slot(struct model *m, unsigned s)
{
    m->slot[s].to = NODES;
    m->slot[s].migrating = m->slot[s].importing = false;
}

static void move_item(struct model *m, unsigned s, unsigned from, unsigned to, enum has what)
{
    struct slot_data *a = &m->node[from].now.slot[s], *b = &m->node[to].now.slot[s];
    if (!(a->has & what))
        return;
    a->has &= (uint8_t)~what;
    b->has |= (uint8_t)what;
    if (what == KEYS)
        b->flushes = a->flushes;
    else
        b->note = a->note;
    for (unsigned f = 0; f < FLOWS; f++) {
        if (what == KEYS) {
            b->flow[f].done = a->flow[f].done;
            a->flow[f].done = 0;
            continue;
        }
        uint8_t done = b->flow[f].done, left = a->flow[f].done;
        b->flow[f] = a->flow[f];
        b->flow[f].done = done;
        memset(&a->flow[f], 0, sizeof a->flow[f]);
        a->flow[f].done = left;
    }
    if (what == HASH)
        a->note = 0;
}

static bool open_slot(struct model *m, unsigned s, unsigned to, unsigned moved)
{
    unsigned from = m->slot[s].owner;
    if (is_open(m, s) || from == to || !m->node[from].alive || !m->node[to].alive || !m->node[to].member ||
        (moved & ~m->node[from].now.slot[s].has))
        return false;
    m->slot[s].to = (uint8_t)to;
    m->slot[s].migrating = m->slot[s].importing = true;
    drop_slot(m, to, s);
    m->node[to].now.slot[s].flushes = m->node[from].now.slot[s].flushes;
    if (moved)
        move_item(m, s, from, to, moved);
    note_change(m, MOVES);
    return true;
}

static bool both_sides_live(const struct model *m, unsigned s)
{
    return is_open(m, s) && m->node[m->slot[s].owner].alive && m->node[m->slot[s].to].alive;
}

static bool move_on(struct model *m, unsigned s, enum has what)
{
    unsigned from = m->slot[s].owner;
    if (!both_sides_live(m, s) || !(m->node[from].now.slot[s].has & what))
        return false;
    move_item(m, s, from, m->slot[s].to, what);
    note_change(m, MOVES);
    return true;
}

/* With what is left of its keys; a slot that was not open moves at once. */
static bool move_slot(struct model *m, unsigned s, unsigned to)
{
    if (!is_open(m, s) ? !open_slot(m, s, to, 0) : m->slot[s].to != to || !both_sides_live(m, s))
        return false;
    unsigned from = m->slot[s].owner;
    move_item(m, s, from, to, KEYS);
    move_item(m, s, from, to, HASH);
    drop_slot(m, from, s);
    m->slot[s].owner = (uint8_t)to;
    close_slot(m, s);
    note_return(m, s, to);
    note_change(m, MOVES);
    return true;
}

/* The keys go back, or are lost with a dead importing node. */
static bool abort_move(struct model *m, unsigned s)
{
    unsigned owner = m->slot[s].owner, to = m->slot[s].to;
    if (!is_open(m, s) || !m->node[owner].alive)
        return false;
    note_change(m, MOVES);
    note_look(m, s);
    if (m->node[to].alive) {
        move_item(m, s, to, owner, KEYS);
        move_item(m, s, to, owner, HASH);
    }
    drop_slot(m, to, s);
    close_slot(m, s);
    return true;
}

/* A look has an answer from it. */
static void note_answer(struct model *m, unsigned n)
{
    for (unsigned f = 0; f < m->flows; f++)
        m->flow[f].absent &= (uint8_t)~bit(n);
}

enum data { NOW, OLDER, NOTHING };

/* False: it has no such data. */
static bool take_data(struct model *m, unsigned n, enum data data)
{
    if (data == OLDER && !m->node[n].has_older)
        return false;
    if (data == OLDER)
        m->node[n].now = m->node[n].older;
    if (data == NOTHING)
        memset(&m->node[n].now, 0, sizeof m->node[n].now);
    drop_foreign_slots(m, n);
    note_answer(m, n);
    m->node[n].alive = true;
    m->node[n].hangs = false;
    return true;
}

static bool restart(struct model *m, unsigned n, enum data data)
{
    if (!take_data(m, n, data))
        return false;
    for (unsigned f = 0; f < m->flows; f++) {
        uint8_t *standing = &m->flow[f].node[n].standing;
        *standing = *standing == HEIR ? HEIR : RESTARTED;
        m->flow[f].node[n].up = false;
    }
    note_process(m, n);
    return true;
}

/* A look has seen a slot open before no side of it reports that any more. */
static void note_hidden(struct model *m)
{
    for (unsigned s = 0; s < SLOTS; s++)
        if (is_open(m, s) && !(open_sides(m) & bit(m->slot[s].owner)))
            note_look(m, s);
}

/* A replica does not know that slots are open (up to Redis 7). It has been up all along. */
static bool promote(struct model *m, unsigned n, enum data data)
{
    if (!slots_of(m, n) || !take_data(m, n, data))
        return false;
    note_process(m, n);
    for (unsigned f = 0; f < m->flows; f++) {
        m->flow[f].node[n].standing = HEIR;
        m->flow[f].node[n].up = true;
    }
    for (unsigned s = 0; s < SLOTS; s++) {
        if (!is_open(m, s))
            continue;
        m->slot[s].migrating &= m->slot[s].owner != n;
        m->slot[s].importing &= m->slot[s].to != n;
        note_hidden(m);
        if (m->slot[s].migrating || m->slot[s].importing)
            continue;
        drop_slot(m, m->slot[s].to, s);
        close_slot(m, s);
    }
    return true;
}

static bool die(struct model *m, unsigned n)
{
    bool was = m->node[n].alive || m->node[n].hangs;
    note_process(m, n);
    m->node[n].alive = m->node[n].hangs = false;
    note_hidden(m);
    return was;
}

/* A look notices it. */
static bool hang(struct model *m, unsigned n)
{
    bool was = m->node[n].alive;
    note_process(m, n);
    m->node[n].alive = false;
    m->node[n].hangs = true;
    note_hidden(m);
    for (unsigned f = 0; f < m->flows; f++)
        m->flow[f].silent |= (uint8_t)bit(n);
    return was;
}

/* It has no keys of slots that others serve now. */
static bool wake(struct model *m, unsigned n)
{
    bool was = m->node[n].hangs;
    note_process(m, n);
    note_answer(m, n);
    m->node[n].alive = true;
    m->node[n].hangs = false;
    drop_foreign_slots(m, n);
    return was;
}

static bool save(struct model *m, unsigned n)
{
    bool can = m->node[n].alive && m->node[n].member;
    m->node[n].older = m->node[n].now;
    m->node[n].has_older = true;
    return can;
}

/* redis-cli --cluster fix --cluster-fix-with-unreachable-masters. */
static bool seize(struct model *m, unsigned s, unsigned n)
{
    unsigned owner = m->slot[s].owner;
    if (m->node[owner].alive || owner == n || !m->node[n].alive || !m->node[n].member)
        return false;
    if (m->slot[s].to != n)
        drop_slot(m, n, s);
    if (is_open(m, s) && m->slot[s].to != n)
        drop_slot(m, m->slot[s].to, s);
    drop_slot(m, owner, s);
    close_slot(m, s);
    m->slot[s].owner = (uint8_t)n;
    note_return(m, s, n);
    note_change(m, SEIZED);
    return true;
}

static bool set_member(struct model *m, unsigned n, bool member)
{
    for (unsigned s = 0; s < SLOTS; s++)
        if (m->slot[s].owner == n || m->slot[s].to == n)
            return false;
    bool changes = m->node[n].member != member && (m->node[n].alive || !member);
    m->node[n].member = member;
    for (unsigned f = 0; member && f < m->flows; f++)
        m->flow[f].joined |= (uint8_t)bit(n);
    return changes;
}

/* late: its cursor does not have the last entry yet. At a flush, and after it, the cursor is exact. */
static bool worker_dies(struct model *m, unsigned f, bool late)
{
    struct model_flow *flow = &m->flow[f];
    uint8_t least = (uint8_t)least_memory(flow);
    if (late && (!least || m->pending || (flow->flushes & bit(least - 1u))))
        return false;
    flow->memory[0] = flow->memory[1] = (uint8_t)(least - late);
    flow->flushed = m->passed;
    flow->trouble = true;
    return true;
}

/* ---- flushes ---- */

/* It runs everywhere without a note, and then with one. */
static void run_flush(struct model *m, unsigned n, bool note)
{
    unsigned mask = slots_of(m, n);
    for (unsigned s = 0; s < SLOTS; s++) {
        struct slot_data *d = &m->node[n].now.slot[s];
        if (!(mask & bit(s)))
            continue;
        struct slot_data left = {.flushes = (uint8_t)(m->passed + 1)};
        if (s == lowest(mask)) {
            left.has = HASH;
            left.note = note ? (uint8_t)(m->passed + 1) : d->note;
            memcpy(left.flow, d->flow, sizeof left.flow);
            for (unsigned f = 0; f < FLOWS; f++)
                left.flow[f].done = 0;
        }
        *d = left;
    }
}

static void new_placement(struct model *m, unsigned f)
{
    for (unsigned n = 0; n < NODES; n++)
        for (unsigned k = 0; k < 2; k++) {
            struct copy *c = k ? &m->node[n].older : &m->node[n].now;
            c->young &= (uint8_t)~bit(f);
            for (unsigned s = 0; s < SLOTS; s++)
                c->slot[s].flow[f].fresh = 0;
        }
}

/* All FLOWs are at the flush, and everything before it is marked. */
static bool reach_flush(struct model *m)
{
    bool there = m->passed < FLUSHES && !is_open(m, 0) && !is_open(m, 1);
    for (unsigned f = 0; there && f < m->flows; f++)
        there = m->flow[f].count < ENTRIES && is_fine(m, f) && knows_slots(m, f) && mark(m, f);
    return there;
}

/* It ran on n, or on all nodes (NODES), without a note or, after all have run it, with one; the answer is lost. */
static bool begin_flush(struct model *m, unsigned n, bool note)
{
    if (m->pending || !reach_flush(m) || (n < NODES && !slots_of(m, n)))
        return false;
    for (unsigned i = 0; i < NODES; i++) {
        bool runs = n == NODES || n == i;
        if (runs || note)
            run_flush(m, i, runs && note);
    }
    m->pending = m->flow[0].trouble = true;
    return true;
}

static bool pass_flush(struct model *m, bool replaces)
{
    if (!reach_flush(m))
        return false;
    for (unsigned n = 0; m->flow[0].flushed <= m->passed && n < NODES; n++)
        run_flush(m, n, true);
    m->passed++;
    m->pending = false;
    for (unsigned f = 0; f < m->flows; f++) {
        struct model_flow *flow = &m->flow[f];
        flow->flushes |= (uint8_t)bit(flow->count);
        flow->count++;
        flow->memory[0] = flow->memory[1] = flow->count;
        flow->flushed = m->passed;
        if (replaces)
            new_placement(m, f);
    }
    return true;
}

#endif
