/* The facts of the small cluster as a FLOW sees them, and what becomes of them if a row of the table is disabled. After
 * cluster_model.h. */
#ifndef DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_MODEL_FACTS_H
#define DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_MODEL_FACTS_H

#include "worker/cluster/verdict.h"

#include "tests/unit/worker/cluster/cluster_model.h"

/* ---- rows ---- */

/* A row that is disabled: the verdict does not see a fact, or the worker does not do what it says. */
enum row {
    ROW_NONE,
    ROW_PROCESS,          /* another process counts as the same */
    ROW_SILENT,           /* a silent master counts as the same */
    ROW_SILENT_BEFORE,    /* … that answers again */
    ROW_ABSENT,           /* a master that is dead all along is judged like others: needless resyncs */
    ROW_ABSENT_BEFORE,    /* … that answered in between is not judged */
    ROW_JOINED,           /* a master that joined has always been up */
    ROW_REPLICA,          /* … was never a replica */
    ROW_WITH_SLOTS,       /* masters that had no slots at the last judgement are not judged */
    ROW_HAD_SLOTS,        /* masters that have no slots any more are not judged */
    ROW_OPEN_SIDE,        /* masters that are only sides of an open slot are not judged */
    ROW_MOVED,            /* slots stand still */
    ROW_PASSED_THROUGH,   /* masters without slots are not judged because slots moved */
    ROW_MOVED_BETWEEN,    /* a look does not see that a slot returns */
    ROW_OPEN,             /* no slot is open */
    ROW_OPEN_BEFORE,      /* none was open since the last judgement */
    ROW_OPEN_BY_OWNER,    /* only importing nodes report an open slot */
    ROW_OPEN_BY_IMPORTER, /* only owners do */
    ROW_MARK_PRESENT,     /* a missing mark counts as one of all that was sent */
    ROW_PLACEMENT,        /* marks of any placement count */
    ROW_MARKS,            /* memory counts instead of marks */
    ROW_SLOT_MARK,        /* the mark of a slot does not count */
    ROW_HEIR,             /* a promoted replica is not recognized: needless resyncs */
    ROW_MEMORY,           /* marks count instead of memory: needless resyncs */
    ROW_NODE_MARK,        /* the mark of an unchanged master counts beside memory */
    ROW_FLUSH_MOVED,      /* slots may move while a flush is not over */
    ROW_FLUSH_MEMORY,     /* a changed master has the flushes that it acknowledged */
    ROWS_OF_FACTS,
    ROW_MOVE_REPLACES = ROWS_OF_FACTS, /* the placement does not grow after a move … */
    ROW_OPEN_REPLACES,                 /* … after an open slot … */
    ROW_FLUSH_REPLACES,                /* … when a flush is passed */
    ROWS
};

static const char *const row_names[ROWS] = {
    [ROW_PROCESS] = "another process",
    [ROW_SILENT] = "a silent master",
    [ROW_SILENT_BEFORE] = "a master that was silent",
    [ROW_ABSENT] = "a master that is dead all along",
    [ROW_ABSENT_BEFORE] = "a dead master that answered in between",
    [ROW_JOINED] = "a master that joined and has not been up",
    [ROW_REPLICA] = "a master that joined and was a replica",
    [ROW_WITH_SLOTS] = "a changed master that has got slots",
    [ROW_HAD_SLOTS] = "a changed master that had slots",
    [ROW_OPEN_SIDE] = "a changed master without slots beside an open slot",
    [ROW_MOVED] = "slots that moved",
    [ROW_PASSED_THROUGH] = "a changed master that a slot passed through",
    [ROW_MOVED_BETWEEN] = "slots that moved away and back",
    [ROW_OPEN] = "a slot that is open",
    [ROW_OPEN_BEFORE] = "a slot that was open",
    [ROW_OPEN_BY_OWNER] = "a slot that only its owner reports open",
    [ROW_OPEN_BY_IMPORTER] = "a slot that only its importing node reports open",
    [ROW_MARK_PRESENT] = "a mark that is missing",
    [ROW_PLACEMENT] = "a mark of an earlier placement",
    [ROW_MARKS] = "a mark instead of memory",
    [ROW_SLOT_MARK] = "the mark of a slot",
    [ROW_HEIR] = "a promoted replica",
    [ROW_MEMORY] = "memory",
    [ROW_NODE_MARK] = "memory alone for an unchanged master",
    [ROW_FLUSH_MOVED] = "slots that moved during a flush",
    [ROW_FLUSH_MEMORY] = "a flush that a changed master has lost",
    [ROW_MOVE_REPLACES] = "the placement after a move",
    [ROW_OPEN_REPLACES] = "the placement after an open slot",
    [ROW_FLUSH_REPLACES] = "the placement after a flush",
};

/* ---- what a FLOW sees ---- */

/* Rows that spare resyncs; without any other something is lost or repeated. */
static bool row_spares(enum row row)
{
    return row == ROW_HEIR || row == ROW_MEMORY || row == ROW_ABSENT;
}

enum { PLACEMENT = 7, IS_MAX = 2 * NODES };

struct seen {
    struct facts facts;
    struct identity was[NODES];
    struct master_fact is[IS_MAX];
    uint16_t owner[SLOTS];
    struct place memory[SLOTS];
    struct mark_fact slot_marks[SLOTS];
};

static void put(char *to, char what, unsigned n, unsigned generation)
{
    to[0] = what;
    to[1] = (char)('A' + n);
    to[2] = (char)('0' + generation);
    to[3] = '\0';
}

static void see_was(struct seen *v, const struct model *m, unsigned f, unsigned n)
{
    struct identity *was = &v->was[v->facts.was_count++];
    put(was->id, 'i', n, 0);
    was->fingerprint = m->flow[f].node[n].slots;
    *was->run_id = *was->replid = '\0';
    if (!m->flow[f].node[n].identified)
        return;
    put(was->run_id, 'r', n, 0);
    put(was->replid, 'h', n, 0);
}

static void see_mark(struct mark_fact *mark, const struct slot_data *d, unsigned f)
{
    mark->present = mark->of_session = d->flow[f].marked;
    mark->place.seq = d->flow[f].node_mark;
    mark->placement = d->flow[f].fresh ? PLACEMENT : PLACEMENT - 1;
}

static void see_master(struct seen *v, const struct model *m, unsigned f, unsigned n, unsigned open)
{
    const struct model_flow *flow = &m->flow[f];
    struct master_fact *is = &v->is[v->facts.is_count++];
    unsigned standing = flow->node[n].standing, mask = slots_of(m, n);
    memset(is, 0, sizeof *is);
    put(is->id, 'i', n, standing == HEIR);
    is->silent = !m->node[n].alive || (flow->silent & bit(n));
    is->absent = (flow->absent & bit(n)) != 0;
    if (m->node[n].alive) {
        put(is->run_id, 'r', n, standing != SAME);
        put(is->replid, 'h', n, standing != SAME);
    }
    if (standing == HEIR) {
        put(is->replid_before, 'h', n, 0);
        put(is->replica_of, 'i', n, 0);
    }
    is->fingerprint = mask;
    is->up_all_along = flow->node[n].up;
    is->open = (open & bit(n)) != 0;
    if (mask)
        see_mark(&is->mark, &m->node[n].now.slot[lowest(mask)], f);
    if (mask)
        is->flushed_txid = m->node[n].now.slot[lowest(mask)].note;
}

static void see_note(struct seen *v, const struct model *m, unsigned n, unsigned s)
{
    uint8_t note = m->node[n].now.slot[s].note;
    v->facts.noted_txid = note > v->facts.noted_txid ? note : v->facts.noted_txid;
}

static void see_slots(struct seen *v, struct model *m, unsigned f, const size_t *index)
{
    for (unsigned s = 0; s < SLOTS; s++) {
        const struct slot_data *d = find_data(m, s, HASH);
        v->owner[s] = (uint16_t)index[m->slot[s].owner];
        v->memory[s] = (struct place){.seq = m->flow[f].memory[s]};
        v->slot_marks[s] = (struct mark_fact){0};
        if (d)
            v->slot_marks[s] = (struct mark_fact){true, true, {d->flow[f].slot_mark, 0}, 0};
        see_note(v, m, m->slot[s].owner, s);
        if (is_open(m, s))
            see_note(v, m, m->slot[s].to, s);
    }
}

static void see(struct seen *v, struct model *m, unsigned f)
{
    size_t index[NODES] = {0};
    unsigned open = open_sides(m) | m->flow[f].open;
    v->facts = (struct facts){.was = v->was,
                              .is = v->is,
                              .slots = SLOTS,
                              .owner = v->owner,
                              .memory = v->memory,
                              .slot_marks = v->slot_marks,
                              .placement = PLACEMENT,
                              .moved = m->flow[f].moved,
                              .flushed_txid = m->flow[f].flushed};
    for (unsigned n = 0; n < NODES; n++) {
        const bool known = m->flow[f].node[n].known;
        if (known)
            see_was(v, m, f, n);
        index[n] = v->facts.is_count;
        if (known || m->node[n].member || (m->flow[f].joined & bit(n)))
            see_master(v, m, f, n, open);
        if (known && m->flow[f].node[n].standing == HEIR) { /* the former master itself */
            struct master_fact *old = &v->is[v->facts.is_count++];
            memset(old, 0, sizeof *old);
            put(old->id, 'i', n, 0);
            old->silent = true;
        }
    }
    see_slots(v, m, f, index);
}

/* ---- disabled rows ---- */

static const struct identity *find_was(const struct seen *v, const struct master_fact *is)
{
    for (size_t k = 0; k < v->facts.was_count; k++)
        if (v->was[k].id[1] == is->id[1])
            return &v->was[k];
    return NULL;
}

static void make_same(struct master_fact *is, const struct identity *was)
{
    is->silent = is->absent = false;
    is->up_all_along = true;
    *is->replid_before = '\0';
    if (!was)
        return;
    memcpy(is->id, was->id, sizeof is->id);
    memcpy(is->run_id, was->run_id, sizeof is->run_id);
    memcpy(is->replid, was->replid, sizeof is->replid);
}

/* The slots of the masters were always the present ones. */
static void make_unmoved(struct seen *v)
{
    v->facts.moved = false;
    for (size_t k = 0; k < v->facts.was_count; k++) {
        v->was[k].fingerprint = 0;
        for (size_t i = 0; i < v->facts.is_count; i++)
            if (v->is[i].id[1] == v->was[k].id[1] && v->is[i].fingerprint)
                v->was[k].fingerprint = v->is[i].fingerprint;
    }
}

static void disable_for_master(struct seen *v, enum row row, struct master_fact *is)
{
    const struct identity *was = find_was(v, is);
    bool had = was && was->fingerprint;
    bool answers = *is->run_id, only_had = had && !is->fingerprint && !is->open,
         only_has = !had && is->fingerprint && !is->open;
    bool only_open = !had && !is->fingerprint && is->open, neither = !had && !is->fingerprint && !is->open;
    if ((row == ROW_PROCESS && answers) || (row == ROW_SILENT && !answers && had) ||
        (row == ROW_HAD_SLOTS && only_had) || (row == ROW_WITH_SLOTS && only_has) ||
        (row == ROW_OPEN_SIDE && only_open))
        make_same(is, was);
    if (row == ROW_SILENT_BEFORE && answers)
        is->silent = false;
    if (row == ROW_PASSED_THROUGH && neither)
        is->absent = true;
    if (row == ROW_ABSENT)
        is->absent = false;
    if (row == ROW_ABSENT_BEFORE && was && !*was->run_id)
        is->absent = is->silent;
    if (row == ROW_JOINED)
        is->up_all_along = true;
    if (row == ROW_REPLICA)
        *is->replid_before = '\0';
    if (row == ROW_OPEN)
        is->open = false;
    if (row == ROW_MARK_PRESENT && !is->mark.present)
        is->mark = (struct mark_fact){true, true, {0, 0}, PLACEMENT};
    if (row == ROW_PLACEMENT)
        is->mark.placement = PLACEMENT;
    if (row == ROW_HEIR && *is->replica_of) {
        put(is->replid_before, 'h', 0, 9);
        *is->replica_of = '\0';
    }
    if (row == ROW_MEMORY && !is->silent)
        *is->run_id = '\0';
}

/* `open` by the sides that report it now, or reported it before. */
static void see_open_by(struct seen *v, const struct model *m, unsigned f, enum row row)
{
    struct model now = *m;
    unsigned before = row == ROW_OPEN_BEFORE ? 0 : m->flow[f].open;
    for (unsigned s = 0; s < SLOTS; s++) {
        now.slot[s].migrating &= row != ROW_OPEN_BY_OWNER;
        now.slot[s].importing &= row != ROW_OPEN_BY_IMPORTER;
    }
    for (size_t i = 0; i < v->facts.is_count; i++)
        v->is[i].open =
            v->is[i].open && ((open_sides(&now) | before) & bit((unsigned)(v->is[i].id[1] - 'A')));
}

static void disable(struct seen *v, enum row row, const struct model *m, unsigned f)
{
    for (size_t i = 0; i < v->facts.is_count; i++)
        disable_for_master(v, row, &v->is[i]);
    if (row == ROW_OPEN_BEFORE || row == ROW_OPEN_BY_OWNER || row == ROW_OPEN_BY_IMPORTER)
        see_open_by(v, m, f, row);
    if (row == ROW_MOVED)
        make_unmoved(v);
    for (unsigned s = 0; s < SLOTS; s++) {
        if (row == ROW_SLOT_MARK)
            v->slot_marks[s].present = false;
        if (row == ROW_MARKS && v->is[v->owner[s]].mark.present)
            v->is[v->owner[s]].mark.place = v->memory[s];
    }
    if (row == ROW_MOVED_BETWEEN)
        v->facts.moved = false;
    for (unsigned s = 0; row == ROW_NODE_MARK && s < SLOTS; s++) {
        const struct master_fact *is = &v->is[v->owner[s]];
        bool same = m->flow[f].node[m->slot[s].owner].standing == SAME && !is->silent;
        if (same && is->mark.present && is->mark.place.seq > v->memory[s].seq)
            v->memory[s].seq = is->mark.place.seq;
    }
    if (row == ROW_FLUSH_MOVED)
        v->facts.noted_txid = 0;
    for (size_t i = 0; row == ROW_FLUSH_MEMORY && i < v->facts.is_count; i++)
        if (v->is[i].flushed_txid < v->facts.flushed_txid)
            v->is[i].flushed_txid = v->facts.flushed_txid;
}

#endif
