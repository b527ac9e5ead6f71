/* verdict() in every history of a small cluster, up to a length. Histories that lead to the same state are counted, and
 * continued once. Each judgement is compared with the truth of the model: whatever goes on must have lost nothing, and
 * must repeat nothing; after one kind of change it must go on. Then each row of the table is disabled: some history must
 * show it. */
#include "tests/unit/worker/cluster/model_events.h"

#include <time.h>

#include "common/base/mem.h"

/* ---- judging ---- */

struct outcome {
    struct verdict verdict;
    uint8_t places[SLOTS];
    const char *wrong; /* NULL: nothing */
    bool needless;     /* that is, a resync */
};

static struct outcome judge_flow(struct model *m, unsigned f, enum row row)
{
    static struct seen v;
    struct place places[SLOTS] = {{0, 0}, {0, 0}};
    struct outcome o = {.wrong = NULL};
    see(&v, m, f);
    if (row != ROW_NONE)
        disable(&v, row, m, f);
    o.verdict = verdict(&v.facts, places);
    for (unsigned s = 0; s < SLOTS; s++)
        o.places[s] = (uint8_t)places[s].seq;
    o.needless = !verdict_goes_on(&o.verdict) && must_go_on(m, f);
    if (o.needless)
        o.wrong = "a resync is needless";
    else if (verdict_goes_on(&o.verdict))
        o.wrong = what_is_wrong(m, f, o.places);
    if (verdict_goes_on(&o.verdict) && !o.wrong && !flush_is_everywhere(m, (unsigned)o.verdict.flushed_txid))
        o.wrong = "a flush is taken for run that is not";
    return o;
}

static void go_on(struct model *m, unsigned f, const struct outcome *o, enum row row)
{
    struct model_flow *flow = &m->flow[f];
    unsigned open = open_sides(m);
    bool by_move = o->verdict.replaced && !open && !flow->open, by_open = open || flow->open;
    if ((by_move && row != ROW_MOVE_REPLACES) || (by_open && row != ROW_OPEN_REPLACES))
        new_placement(m, f);
    for (unsigned s = 0; s < SLOTS; s++)
        flow->memory[s] = o->places[s];
    flow->flushed = (uint8_t)o->verdict.flushed_txid;
    flow->open = (uint8_t)open;
    flow->changes = 0;
    flow->trouble = flow->moved = false;
    flow->joined = flow->silent = flow->absent = 0;
    for (unsigned n = 0; n < NODES; n++) {
        flow->node[n].standing = SAME;
        flow->node[n].known = m->node[n].member;
        flow->node[n].identified = m->node[n].member && m->node[n].alive;
        flow->node[n].up = m->node[n].alive;
        flow->silent |= (uint8_t)(m->node[n].hangs << n);
        flow->absent |= (uint8_t)(!m->node[n].alive << n);
        flow->node[n].slots = (uint8_t)slots_of(m, n);
    }
}

/* ---- beginnings ---- */

/* Beginnings of longer histories. */
static const struct beginning {
    const char *name;
    bool c_is_member;
    struct event event[6]; /* up to one that is all zero, and has no meaning here: WRITE is not first */
} beginnings[] = {
    {"A, B", false, {{0}}},
    {"A, B, C", true, {{0}}},
    {"each has a copy, then each slot a once command; marked",
     true,
     {{SAVE, A, 0, 0}, {SAVE, B, 0, 0}, {WRITE, 0, 0, 1}, {WRITE, 0, 1, 1}, {MARK, 0, 0, 0}}},
    {"each has a copy, then slot 0 moves to B and is judged",
     true,
     {{SAVE, A, 0, 0}, {SAVE, B, 0, 0}, {MOVE, 0, B, 0}, {JUDGE, 0, 0, 0}}},
    {"slot 1 has moved to A, is judged and marked",
     false,
     {{MOVE, 1, A, 0}, {JUDGE, 0, 0, 0}, {MARK, 0, 0, 0}}},
    {"slot 0 is open to C, with its keys, and judged", true, {{OPEN, 0, C, KEYS}, {JUDGE, 0, 0, 0}}},
    {"slot 0 is open to B, with its marks; B has a copy", false, {{OPEN, 0, B, HASH}, {SAVE, B, 0, 0}}},
    {"each has a copy, then a flush is passed",
     false,
     {{SAVE, A, 0, 0}, {SAVE, B, 0, 0}, {PASS_FLUSH, 0, 0, 0}}},
    {"A has a copy, a flush ran everywhere, B alone has the note",
     false,
     {{SAVE, A, 0, 0}, {BEGIN_FLUSH, B, true, 0}}},
    {"C was dead at the judgement", true, {{DIE, C, 0, 0}, {JUDGE, 0, 0, 0}}},
    {"A has lost two entries and is judged",
     true,
     {{SAVE, A, 0, 0}, {WRITE, 0, 0, 1}, {WRITE, 0, 0, 0}, {RESTART, A, OLDER, 0}, {JUDGE, 0, 0, 0}}},
};

enum { BEGINNINGS = sizeof beginnings / sizeof *beginnings, PLAIN_BEGINNINGS = 2 };

/* ---- all histories ---- */

/* States that histories of one length lead to. */
struct level {
    struct model *state;
    uint64_t *histories;
    uint32_t *parent;
    struct event *event;
    size_t count, capacity;
    uint32_t *table; /* index + 1 */
    size_t mask;
};

enum { LENGTH_MAX = 16, TAIL = 2 };

struct search {
    struct space space;
    struct level level[LENGTH_MAX];
    size_t length; /* of the longest histories; their last two events lead to states that are not stored */
    uint64_t histories, judgements, resyncs;
    bool rows_wanted;
    bool seen[ROWS]; /* a history shows that the row is disabled */
    /* The present history: to a stored state, and the events after it. */
    size_t stored, at;
    struct event tail[TAIL];
    size_t tail_length;
};

static uint64_t hash_of(const struct model *m)
{
    uint64_t h = 0xcbf29ce484222325u, word;
    const unsigned char *at = (const unsigned char *)m;
    for (size_t i = 0; i + sizeof word <= sizeof *m; i += sizeof word) {
        memcpy(&word, at + i, sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (size_t i = sizeof *m / sizeof word * sizeof word; i < sizeof *m; i++)
        h = (h ^ at[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static void level_grow(struct level *l)
{
    l->capacity = l->capacity ? 2 * l->capacity : 1024;
    l->state = x_realloc(l->state, l->capacity * sizeof *l->state);
    l->histories = x_realloc(l->histories, l->capacity * sizeof *l->histories);
    l->parent = x_realloc(l->parent, l->capacity * sizeof *l->parent);
    l->event = x_realloc(l->event, l->capacity * sizeof *l->event);
    free(l->table);
    l->mask = 4 * l->capacity - 1;
    l->table = x_calloc(l->mask + 1, sizeof *l->table);
    for (size_t i = 0; i < l->count; i++) {
        size_t at = hash_of(&l->state[i]) & l->mask;
        while (l->table[at])
            at = (at + 1) & l->mask;
        l->table[at] = (uint32_t)i + 1;
    }
}

static void level_add(struct level *l, const struct model *m, uint64_t histories, size_t parent,
                      struct event e)
{
    if (l->count == l->capacity)
        level_grow(l);
    size_t at = hash_of(m) & l->mask;
    for (; l->table[at]; at = (at + 1) & l->mask)
        if (memcmp(&l->state[l->table[at] - 1], m, sizeof *m) == 0) {
            l->histories[l->table[at] - 1] += histories;
            return;
        }
    l->table[at] = (uint32_t)l->count + 1;
    l->state[l->count] = *m;
    l->histories[l->count] = histories;
    l->parent[l->count] = (uint32_t)parent;
    l->event[l->count++] = e;
}

static void level_free(struct level *l)
{
    free(l->state);
    free(l->histories);
    free(l->parent);
    free(l->event);
    free(l->table);
    *l = (struct level){0};
}

static void print_history(const struct search *x, const char *wrong, enum row row)
{
    struct event event[LENGTH_MAX];
    size_t at = x->at;
    for (size_t i = x->stored; i > 0; at = x->level[i].parent[at], i--)
        event[i - 1] = x->level[i].event[at];
    if (row != ROW_NONE)
        printf("without %s, ", row_names[row]);
    printf("%s: %s; ", wrong, beginnings[x->level[0].parent[at]].name);
    for (size_t i = 0; i < x->stored; i++)
        print_event(event[i]);
    for (size_t i = 0; i < x->tail_length; i++)
        print_event(x->tail[i]);
    printf("\n");
}

/* Judges the FLOW at the end of the present history. False: wrongly. *goes_on: the history does. */
static bool check_judgement(struct search *x, struct model *m, unsigned f, bool *goes_on)
{
    struct outcome o = judge_flow(m, f, ROW_NONE);
    *goes_on = verdict_goes_on(&o.verdict);
    x->judgements++;
    x->resyncs += !*goes_on;
    x->histories += x->level[x->stored].histories[x->at];
    if (o.wrong)
        print_history(x, o.wrong, x->space.row);
    for (enum row row = ROW_NONE + 1; x->rows_wanted && row < ROWS_OF_FACTS; row++) {
        struct outcome without = x->seen[row] ? o : judge_flow(m, f, row);
        if (!without.wrong || without.needless != row_spares(row))
            continue;
        print_history(x, without.wrong, row);
        x->seen[row] = true;
    }
    if (*goes_on)
        go_on(m, f, &o, x->space.row);
    return !o.wrong;
}

/* The last events of a history: the last one is a judgement. */
static bool judge_last(struct search *x, const struct model *m)
{
    bool right = true, goes_on;
    for (unsigned f = 0; right && can_judge(m) && f < x->space.flows; f++) {
        struct model judged = *m;
        x->tail[1] = (struct event){JUDGE, (uint8_t)f, 0, 0};
        x->tail_length = 2;
        right = check_judgement(x, &judged, f, &goes_on);
    }
    return right;
}

/* Continues the history of a stored state by each event. False: a judgement is wrong. */
static bool extend(struct search *x)
{
    struct level *l = &x->level[x->stored];
    for (size_t i = 0; i < x->space.count; i++) {
        struct model m = l->state[x->at];
        struct event e = x->space.event[i];
        bool goes_on = true;
        x->tail[0] = e;
        x->tail_length = 1;
        if (!happens(&x->space, &m, e))
            continue;
        if (e.kind == JUDGE && !check_judgement(x, &m, e.a, &goes_on))
            return false;
        if (!goes_on || memcmp(&m, &l->state[x->at], sizeof m) == 0)
            continue; /* ended, or nothing has changed */
        if (x->stored + TAIL < x->length)
            level_add(l + 1, &m, l->histories[x->at], x->at, e);
        else if (!judge_last(x, &m))
            return false;
    }
    return true;
}

static bool is_event(struct event e)
{
    return e.kind || e.a || e.b || e.c;
}

static void begin_history(struct search *x, const struct beginning *b)
{
    struct model m;
    model_init(&m, x->space.flows, b->c_is_member);
    for (size_t i = 0; i < 6 && is_event(b->event[i]); i++) {
        assert_true(happens(&x->space, &m, b->event[i]));
        if (b->event[i].kind != JUDGE)
            continue;
        struct outcome o = judge_flow(&m, b->event[i].a, ROW_NONE);
        assert_true(verdict_goes_on(&o.verdict) && !o.wrong);
        go_on(&m, b->event[i].a, &o, x->space.row);
    }
    level_add(&x->level[0], &m, 1, (size_t)(b - beginnings), (struct event){0});
}

static bool search_all(struct search *x)
{
    for (x->stored = 0; x->stored + TAIL <= x->length; x->stored++)
        for (x->at = 0; x->at < x->level[x->stored].count; x->at++)
            if (!extend(x))
                return false;
    return true;
}

static void search_free(struct search *x)
{
    for (size_t i = 0; i < LENGTH_MAX; i++)
        level_free(&x->level[i]);
    free(x);
}

static struct search *search_new(unsigned flows, size_t length, enum row row)
{
    struct search *x = x_calloc(1, sizeof *x);
    x->space.flows = flows;
    x->space.row = row;
    x->length = length;
    list_events(&x->space);
    return x;
}

static bool search_run(struct search *x, size_t from, size_t to)
{
    clock_t begun = clock();
    uint64_t states = 0;
    for (size_t i = from; i < to; i++)
        begin_history(x, &beginnings[i]);
    bool right = search_all(x);
    for (size_t i = 0; i < LENGTH_MAX; i++)
        states += x->level[i].count;
    printf("%u FLOWs, %zu beginnings, up to %zu events: %llu histories, %llu states, %llu judgements, %llu "
           "of them "
           "resyncs; CPU %.1f s\n",
           x->space.flows, to - from, x->length, (unsigned long long)x->histories, (unsigned long long)states,
           (unsigned long long)x->judgements, (unsigned long long)x->resyncs,
           (double)(clock() - begun) / CLOCKS_PER_SEC);
    return right;
}

/* ---- tests ---- */

#if defined __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { LENGTH = SANITIZED ? 5 : 6, LENGTH_OF_TWO = SANITIZED ? 4 : 5, LENGTH_OF_ROWS = 5 };

static void a_flow_loses_and_repeats_nothing_in_any_history(void **state)
{
    (void)state;
    struct search *x = search_new(1, LENGTH, ROW_NONE);
    bool right = search_run(x, 0, PLAIN_BEGINNINGS);
    assert_true(x->histories > 1000000);
    search_free(x);
    assert_true(right);
}

static void two_flows_lose_and_repeat_nothing_in_any_history(void **state)
{
    (void)state;
    struct search *x = search_new(2, LENGTH_OF_TWO, ROW_NONE);
    bool right = search_run(x, 0, PLAIN_BEGINNINGS);
    search_free(x);
    assert_true(right);
}

static void longer_histories_are_right_and_each_row_is_needed(void **state)
{
    (void)state;
    struct search *x = search_new(1, LENGTH_OF_ROWS, ROW_NONE);
    bool all = true;
    x->rows_wanted = true;
    bool right = search_run(x, 0, BEGINNINGS);
    for (enum row row = ROW_NONE + 1; row < ROWS_OF_FACTS; row++) {
        if (!x->seen[row])
            printf("no history needs the row: %s\n", row_names[row]);
        all &= x->seen[row];
    }
    search_free(x);
    assert_true(right);
    assert_true(all);
}

/* What the worker does after a judgement is needed as well. */
static void the_placement_must_grow_after_moves_open_slots_and_flushes(void **state)
{
    (void)state;
    for (enum row row = ROWS_OF_FACTS; row < ROWS; row++) {
        struct search *x = search_new(1, LENGTH_OF_ROWS, row);
        bool right = search_run(x, 0, BEGINNINGS);
        search_free(x);
        assert_false(right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_loses_and_repeats_nothing_in_any_history),
        cmocka_unit_test(two_flows_lose_and_repeat_nothing_in_any_history),
        cmocka_unit_test(longer_histories_are_right_and_each_row_is_needed),
        cmocka_unit_test(the_placement_must_grow_after_moves_open_slots_and_flushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
