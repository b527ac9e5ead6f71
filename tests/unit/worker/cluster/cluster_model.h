/* A small cluster that knows everything, for the test of verdict(): masters A, B and C with replicas, two slots, FLOWs,
 * and what may happen to them. C may be a member from the beginning, or join.
 *
 * A slot has two keys that move by themselves: that of all entries, and the hash with the marks. Each node has its data
 * and an older copy of it: what it wrote to its disk, or what its lagging replica has. Of an entry the data says whether
 * it was applied. What is in the data and what a FLOW believes are compared when a FLOW is judged. */
#ifndef DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_CLUSTER_MODEL_H
#define DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_CLUSTER_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { A, B, C, NODES, SLOTS = 2, FLOWS = 2, ENTRIES = 7, FLUSHES = 2 };
enum has { KEYS = 1, HASH = 2 };
enum standing { SAME, RESTARTED, HEIR }; /* of a node, since a FLOW's last judgement */
/* Kinds of changes since then. */
enum change { MOVES = 1, MASTERS = 2, EMPTY_MASTERS = 4, SEIZED = 8 };

/* What some data has of a slot. */
struct slot_data {
    uint8_t has;
    uint8_t flushes; /* run on it */
    uint8_t note;    /* of this flush; 0: none */
    struct {
        uint8_t done;                     /* bit seq - 1: entry seq was applied */
        uint8_t slot_mark;                /* its seq */
        uint8_t node_mark, marked, fresh; /* its seq; there is one; it has the present placement */
    } flow[FLOWS];
};

struct copy {
    struct slot_data slot[SLOTS];
    uint8_t young; /* bit flow: made after the FLOW marked its node in the present placement */
};

struct model_flow {
    uint8_t count, slots, once, flushes; /* entries in the journal; bit seq - 1: of slot 1; once; a flush */
    uint8_t memory[SLOTS];
    bool trouble;
    uint8_t flushed; /* newest flush that it saw acknowledged by all */
    uint8_t changes; /* kinds of changes since the last judgement */
    bool moved;      /* a slot was seen at another master meanwhile */
    uint8_t open;    /* bit node: was a side of an open slot, at or since the last judgement */
    uint8_t joined;  /* bit node: has been a member since then */
    uint8_t absent;  /* bit node: no look since the last judgement, nor that, had an answer */
    uint8_t silent;  /* bit node: a look since then had no answer from it */
    struct {
        uint8_t standing, slots;    /* those that it had */
        bool known, identified, up; /* up: since the last judgement */
    } node[NODES];
};

struct model {
    struct {
        bool member, alive, hangs, has_older; /* hangs: not alive, and may go on */
        struct copy now, older;
    } node[NODES];
    struct {
        uint8_t owner, to;         /* to: NODES: not open */
        bool migrating, importing; /* the two sides know of it */
    } slot[SLOTS];
    struct model_flow flow[FLOWS];
    uint8_t passed; /* number of flushes that all FLOWs are past */
    bool pending;   /* one more has begun */
    uint8_t flows;
};

/* ---- questions ---- */

static unsigned bit(unsigned i)
{
    return 1u << i;
}

static bool is_open(const struct model *m, unsigned s)
{
    return m->slot[s].to != NODES;
}

static unsigned slots_of(const struct model *m, unsigned n)
{
    unsigned mask = 0;
    for (unsigned s = 0; s < SLOTS; s++)
        mask |= m->slot[s].owner == n ? bit(s) : 0;
    return mask;
}

static unsigned lowest(unsigned mask)
{
    return mask & 1 ? 0 : 1;
}

/* Where a client finds the keys or the hash of the slot; NULL: nowhere. */
static struct slot_data *find_data(struct model *m, unsigned s, enum has what)
{
    struct slot_data *at = &m->node[m->slot[s].owner].now.slot[s];
    if (!(at->has & what) && is_open(m, s))
        at = &m->node[m->slot[s].to].now.slot[s];
    return at->has & what ? at : NULL;
}

/* Nodes that are sides of an open slot, by what the masters that are alive report. */
static unsigned open_sides(const struct model *m)
{
    unsigned mask = 0;
    for (unsigned s = 0; s < SLOTS; s++) {
        unsigned from = m->slot[s].owner, to = m->slot[s].to;
        if (is_open(m, s) &&
            ((m->slot[s].migrating && m->node[from].alive) || (m->slot[s].importing && m->node[to].alive)))
            mask |= bit(from) | bit(to);
    }
    return mask;
}

/* Connected to all masters that it knows of, as they were. */
static bool is_fine(const struct model *m, unsigned f)
{
    bool fine = !m->flow[f].trouble;
    for (unsigned n = 0; n < NODES; n++)
        fine &= !m->flow[f].node[n].slots || (m->node[n].alive && m->flow[f].node[n].standing == SAME);
    return fine;
}

static bool knows_slots(const struct model *m, unsigned f)
{
    bool knows = true;
    for (unsigned n = 0; n < NODES; n++)
        knows &= m->flow[f].node[n].slots == slots_of(m, n);
    return knows;
}

/* The run waits for a master of each slot. */
static bool can_judge(const struct model *m)
{
    for (unsigned s = 0; s < SLOTS; s++)
        if (!m->node[m->slot[s].owner].alive)
            return false;
    return true;
}

static unsigned least_memory(const struct model_flow *f)
{
    return f->memory[0] < f->memory[1] ? f->memory[0] : f->memory[1];
}

/* ---- writing ---- */

static bool entry_is_of(const struct model_flow *f, unsigned seq, unsigned slot)
{
    return !(f->flushes & bit(seq - 1)) && ((f->slots >> (seq - 1)) & 1) == slot;
}

/* False: the owner answers ASK or TRYAGAIN. */
static bool apply_entry(struct model *m, unsigned f, unsigned seq)
{
    unsigned s = (m->flow[f].slots >> (seq - 1)) & 1;
    bool once = m->flow[f].once & bit(seq - 1);
    struct slot_data *d = &m->node[m->slot[s].owner].now.slot[s];
    if (m->slot[s].migrating && (!(d->has & KEYS) || (once && !(d->has & HASH))))
        return false;
    if (!(d->has & KEYS))
        d->flushes = m->passed; /* nothing is there that a flush would have deleted */
    d->has |= KEYS | (once ? HASH : 0);
    d->flow[f].done |= (uint8_t)bit(seq - 1);
    if (once)
        d->flow[f].slot_mark = (uint8_t)seq;
    return true;
}

/* Brings what is behind memory again. */
static bool catch_up(struct model *m, unsigned f)
{
    struct model_flow *flow = &m->flow[f];
    for (unsigned s = 0; s < SLOTS; s++)
        for (; flow->memory[s] < flow->count; flow->memory[s]++)
            if (entry_is_of(flow, flow->memory[s] + 1u, s) && !apply_entry(m, f, flow->memory[s] + 1u))
                return false;
    return true;
}

enum answer { ACKNOWLEDGED, LOST, LOST_BEFORE };

static bool write_entry(struct model *m, unsigned f, unsigned s, bool once, enum answer answer)
{
    struct model_flow *flow = &m->flow[f];
    unsigned i = flow->count;
    if (i == ENTRIES || m->pending || !is_fine(m, f) || !(flow->node[m->slot[s].owner].slots & bit(s)) ||
        !catch_up(m, f))
        return false;
    flow->count++;
    flow->slots |= (uint8_t)(s << i);
    flow->once |= (uint8_t)(once << i);
    if (answer != LOST_BEFORE && !apply_entry(m, f, i + 1))
        return false;
    if (answer == ACKNOWLEDGED)
        flow->memory[0] = flow->memory[1] = flow->count;
    flow->trouble = answer != ACKNOWLEDGED;
    return true;
}

/* Into the lowest slot of each master, as the FLOW knows them. */
static bool mark(struct model *m, unsigned f)
{
    struct model_flow *flow = &m->flow[f];
    if (!is_fine(m, f) || !catch_up(m, f))
        return false;
    for (unsigned n = 0; n < NODES; n++) {
        unsigned s = lowest(flow->node[n].slots);
        struct slot_data *d = &m->node[n].now.slot[s];
        if (!flow->node[n].slots)
            continue;
        if (m->slot[s].owner != n || (m->slot[s].migrating && !(d->has & HASH)))
            return false;
        d->has |= HASH;
        d->flow[f].slot_mark = d->flow[f].node_mark = flow->count;
        d->flow[f].marked = d->flow[f].fresh = 1;
        m->node[n].now.young |= (uint8_t)bit(f);
    }
    return true;
}

/* ---- the truth ---- */

/* What is wrong if the FLOW goes on from these places; NULL: nothing. */
static const char *what_is_wrong(struct model *m, unsigned f, const uint8_t *places)
{
    const struct model_flow *flow = &m->flow[f];
    for (unsigned s = 0; s < SLOTS; s++) {
        const struct slot_data *d = find_data(m, s, KEYS);
        const struct slot_data *owner = &m->node[m->slot[s].owner].now.slot[s];
        unsigned done = d ? d->flow[f].done : 0, flushed = 0;
        unsigned flushes = d ? d->flushes : owner->flushes > m->passed ? owner->flushes : m->passed;
        for (unsigned seq = 1; seq <= flow->count; seq++) {
            if (flow->flushes & bit(seq - 1)) {
                flushed++;
                if (places[s] < seq)
                    return "a flush is run again that others are past";
                if (flushes < flushed)
                    return "a flush is lost";
            } else if (!entry_is_of(flow, seq, s)) {
                continue;
            } else if (seq > places[s]) {
                if (flushes > m->passed)
                    return "an entry is applied behind a flush";
                if ((flow->once & bit(seq - 1)) && (done & bit(seq - 1)))
                    return "an entry is repeated";
            } else if (flushes <= m->passed && !(flow->flushes >> (seq - 1)) && !(done & bit(seq - 1))) {
                return "an entry is lost";
            }
        }
    }
    return NULL;
}

static bool flush_is_everywhere(struct model *m, unsigned flush)
{
    for (unsigned s = 0; s < SLOTS; s++) {
        const struct slot_data *d = find_data(m, s, KEYS);
        if (d && d->flushes < flush)
            return false;
    }
    return true;
}

/* Whether a resync would be needless: one kind of change since the last judgement, no slot open, and the data of the
 * changed masters is younger than the marks of the present placement. */
static bool must_go_on(const struct model *m, unsigned f)
{
    const struct model_flow *flow = &m->flow[f];
    if (flow->changes & SEIZED)
        return false;
    if ((flow->changes & MOVES) && m->pending)
        return false;
    if (!(flow->changes & MASTERS))
        return !(flow->changes & EMPTY_MASTERS) || !(flow->changes & MOVES);
    if ((flow->changes & MOVES) || open_sides(m) || flow->open)
        return false;
    for (unsigned n = 0; n < NODES; n++)
        if (slots_of(m, n) && (flow->node[n].standing != SAME || (flow->silent & bit(n))) &&
            !(m->node[n].now.young & bit(f)))
            return false;
    return true;
}

/* The cluster at the beginning: each slot has an entry of each FLOW, everything is marked and judged. */
static void model_init(struct model *m, unsigned flows, bool c_is_member)
{
    memset(m, 0, sizeof *m);
    m->flows = (uint8_t)flows;
    for (unsigned n = 0; n < NODES; n++) {
        m->node[n].alive = true;
        m->node[n].member = n != C || c_is_member;
        m->node[n].now.slot[0].has = n == A ? KEYS : 0;
        m->node[n].now.slot[1].has = n == B ? KEYS : 0;
    }
    for (unsigned s = 0; s < SLOTS; s++) {
        m->slot[s].owner = (uint8_t)s;
        m->slot[s].to = NODES;
    }
    for (unsigned f = 0; f < flows; f++) {
        struct model_flow *flow = &m->flow[f];
        for (unsigned n = 0; n < NODES; n++) {
            flow->node[n].known = flow->node[n].identified = m->node[n].member;
            flow->node[n].up = true;
            flow->node[n].slots = (uint8_t)slots_of(m, n);
        }
        flow->count = 2;
        flow->slots = 2; /* entry 2 is of slot 1 */
        if (!catch_up(m, f) || !mark(m, f))
            abort();
    }
}

#endif
