/* Keys whose change the journal lost. */
#include "tests/support/recorded_losses.h"

#include <stdlib.h>

#include "tests/support/journal_reader.h"

enum suspicion { NONE, HALF_A_COMMAND, POP, PUSH, SORT_STORE };

struct suspect {
    enum suspicion kind;
    uint64_t txid;
    uint32_t db;
    struct slice key;
    struct slice destination; /* of SORT … STORE */
};

struct suspects {
    struct suspect *items;
    size_t count;
};

static enum suspicion suspect_of(const struct journal_item *item)
{
    static const char *const halves[] = {"SORT", "GEORADIUS", "GEORADIUSBYMEMBER", "LMPOP", "BLMPOP"};
    if (item->kind != JOURNAL_COMMAND || item->argc < 2)
        return NONE;
    if (item->argc > 3 && slice_is(item->args[0], "SORT") && slice_is(item->args[item->argc - 2], "STORE"))
        return SORT_STORE;
    if (!item->txid)
        return NONE;
    for (size_t i = 0; item->argc == 2 && i < sizeof halves / sizeof *halves; i++)
        if (slice_is(item->args[0], halves[i]))
            return HALF_A_COMMAND;
    if (slice_is(item->args[0], "LPOP") || slice_is(item->args[0], "RPOP"))
        return POP;
    return slice_is(item->args[0], "LPUSH") || slice_is(item->args[0], "RPUSH") ? PUSH : NONE;
}

static void collect(struct suspects *s, const struct recorded_flow *f)
{
    struct journal_reader reader = {.bytes = buf_slice(&f->bytes), .at = (size_t)f->journal_at};
    struct journal_item *item = x_malloc(sizeof *item);
    while (journal_next(&reader, item) == 1) {
        enum suspicion kind = suspect_of(item);
        if (kind == NONE)
            continue;
        s->items = x_realloc(s->items, (s->count + 1) * sizeof *s->items);
        s->items[s->count++] = (struct suspect){kind, item->txid, (uint32_t)item->db, item->args[1],
                                                   kind == SORT_STORE ? item->args[item->argc - 1] : slice_str("")};
    }
    free(item);
}

static bool has_push(const struct suspects *s, uint64_t txid)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].kind == PUSH && s->items[i].txid == txid)
            return true;
    return false;
}

struct losses {
    struct state_exception *list;
    size_t count;
};

static const struct state_exception *find(const struct losses *l, uint32_t db, struct slice key)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->list[i].db == db && slice_eq(l->list[i].key, key))
            return &l->list[i];
    return NULL;
}

static void add(struct losses *l, uint32_t db, struct slice key, unsigned group, const char *why)
{
    const struct state_exception *known = find(l, db, key);
    if (known && known->group == group)
        return;
    l->list = x_realloc(l->list, (l->count + 1) * sizeof *l->list);
    l->list[l->count++] = (struct state_exception){.db = db, .key = key, .group = group, .why = why};
}

size_t recorded_losses(const struct recording *r, struct state_exception **out)
{
    struct suspects s = {0};
    struct losses losses = {0};
    for (size_t i = 0; i < r->flow_count; i++)
        collect(&s, &r->flows[i]);
    for (size_t i = 0; i < s.count; i++) {
        const struct suspect *one = &s.items[i];
        const struct state_exception *source = find(&losses, one->db, one->key);
        if (one->kind == HALF_A_COMMAND)
            add(&losses, one->db, one->key, (unsigned)one->txid,
                "a multi-shard command is journaled without its arguments");
        else if (one->kind == POP && !has_push(&s, one->txid))
            add(&losses, one->db, one->key, (unsigned)one->txid, "LMPOP COUNT n is journaled as one LPOP");
        else if (one->kind == SORT_STORE && source)
            add(&losses, one->db, one->destination, source->group, "sorted from a key that differs");
    }
    free(s.items);
    *out = losses.list;
    return losses.count;
}
