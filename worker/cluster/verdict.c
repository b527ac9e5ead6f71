/* The judgement of the facts: a change of masters, a move of slots, the place of each slot. */
#include "worker/cluster/verdict.h"

#include <string.h>

#define NONE SIZE_MAX

/* ---- masters ---- */

static const struct identity *find_identity(const struct facts *f, const char *id)
{
    for (size_t i = 0; i < f->was_count; i++)
        if (strcmp(f->was[i].id, id) == 0)
            return &f->was[i];
    return NULL;
}

static bool is_named(const struct master_fact *m, const char *run_id, const char *replid)
{
    return *run_id && strcmp(m->run_id, run_id) == 0 && strcmp(m->replid, replid) == 0;
}

/* Whether it has lost nothing since the last judgement. */
static bool is_same(const struct facts *f, const struct master_fact *m)
{
    const struct identity *was = find_identity(f, m->id);
    if (m->silent)
        return false;
    return was ? is_named(m, was->run_id, was->replid) : m->up_all_along && !*m->replid_before;
}

/* A master without slots counts if a slot may have passed through it. */
static bool is_judged(const struct facts *f, const struct master_fact *m, bool moved)
{
    const struct identity *was = find_identity(f, m->id);
    return m->fingerprint || m->open || (was && was->fingerprint) || (moved && !m->absent);
}

/* Index of a master that is another process, or silent; NONE. */
static size_t find_changed(const struct facts *f, bool moved)
{
    for (size_t i = 0; i < f->is_count; i++)
        if (is_judged(f, &f->is[i], moved) && !is_same(f, &f->is[i]))
            return i;
    return NONE;
}

/* Index of a changed master whose mark says nothing about its present slots; NONE. */
static size_t find_unmarked(const struct facts *f)
{
    for (size_t i = 0; i < f->is_count; i++) {
        const struct mark_fact *mark = &f->is[i].mark;
        bool counts = mark->present && mark->placement == f->placement;
        if (f->is[i].fingerprint && !is_same(f, &f->is[i]) && !counts)
            return i;
    }
    return NONE;
}

/* ---- slots ---- */

static bool descends(const struct master_fact *m, const struct identity *from)
{
    return strcmp(m->id, from->id) == 0 || strcmp(m->replica_of, from->id) == 0 ||
           (*from->replid && strcmp(m->replid_before, from->replid) == 0);
}

/* Whether some master that had slots, or its heir, has others now. */
static bool slots_moved(const struct facts *f)
{
    for (size_t k = 0; k < f->was_count; k++) {
        bool kept = !f->was[k].fingerprint;
        for (size_t i = 0; !kept && i < f->is_count; i++)
            kept = f->is[i].fingerprint == f->was[k].fingerprint && descends(&f->is[i], &f->was[k]);
        if (!kept)
            return true;
    }
    return false;
}

static bool slots_open(const struct facts *f)
{
    for (size_t i = 0; i < f->is_count; i++)
        if (f->is[i].open)
            return true;
    return false;
}

static void advance(struct place *p, const struct mark_fact *mark)
{
    if (mark->present && mark->of_session && mark->place.seq > p->seq)
        p->seq = mark->place.seq;
    if (mark->present && mark->place.lsn > p->lsn)
        p->lsn = mark->place.lsn;
}

/* The mark of a slot has come with its data, so it counts beside memory and beside the mark of the node. */
static struct place find_place(const struct facts *f, size_t slot, bool same)
{
    struct place p = {0};
    if (same)
        p = f->memory[slot];
    else
        advance(&p, &f->is[f->owner[slot]].mark);
    advance(&p, &f->slot_marks[slot]);
    return p;
}

/* A flush that was not acknowledged is run again unless every master has its note. */
static uint64_t flushed_everywhere(const struct facts *f)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < f->is_count; i++) {
        const struct master_fact *m = &f->is[i];
        uint64_t newest = m->flushed_txid;
        if (is_same(f, m) && newest < f->flushed_txid)
            newest = f->flushed_txid;
        if (m->fingerprint && newest < least)
            least = newest;
    }
    return least;
}

/* ---- the judgement ---- */

/* The rows of the table. */
static enum judgement judge(const struct facts *f, bool moved, bool open, size_t *master)
{
    *master = f->is_count;
    if (moved && f->noted_txid > f->flushed_txid)
        return RESYNC_FLUSH;
    *master = find_changed(f, moved);
    if (*master == NONE)
        return BY_MEMORY;
    if (moved)
        return RESYNC_MOVED;
    if (open)
        return RESYNC_OPEN;
    size_t unmarked = find_unmarked(f);
    if (unmarked == NONE)
        return BY_MARKS;
    *master = unmarked;
    return RESYNC_UNMARKED;
}

struct verdict verdict(const struct facts *f, struct place *places)
{
    bool moved = f->moved || slots_moved(f), open = slots_open(f);
    struct verdict v = {.replaced = moved || open};
    v.judgement = judge(f, moved, open, &v.master);
    if (!verdict_goes_on(&v))
        return v;
    v.flushed_txid = flushed_everywhere(f);
    bool same = false;
    for (size_t s = 0; s < f->slots; s++) {
        if (s == 0 || f->owner[s] != f->owner[s - 1])
            same = is_same(f, &f->is[f->owner[s]]);
        places[s] = find_place(f, s, same);
        if (f->first_lsn && !places[s].seq && places[s].lsn < f->first_lsn) {
            v.judgement = RESYNC_JOURNAL;
            v.master = f->owner[s];
            return v;
        }
    }
    return v;
}

const char *verdict_reason(enum judgement j)
{
    static const char *const reasons[] = {
        [RESYNC_MOVED] =
            "was restarted, replaced or unreachable while slots moved, and may have lost keys of them; "
            "a full sync is needed",
        [RESYNC_OPEN] =
            "was restarted, replaced or unreachable while a slot was open, and may have lost keys of it; "
            "a full sync is needed",
        [RESYNC_UNMARKED] =
            "was restarted or replaced, and its data is older than its last mark after slots moved "
            "or a flush ran; a full sync is needed",
        [RESYNC_FLUSH] =
            "may have keys that a flush of the source did not reach, as slots moved meanwhile; a full "
            "sync is needed",
        [RESYNC_JOURNAL] = "has data from before the beginning of the journal; a full sync is needed",
    };
    return j > BY_MARKS ? reasons[j] : NULL;
}
