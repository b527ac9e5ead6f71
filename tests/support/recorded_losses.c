/* Keys whose change the journal lost. */
#include "tests/support/recorded_losses.h"

#include <stdlib.h>

#include "tests/support/journal_reader.h"

enum suspicion { NONE, HALF_A_COMMAND, POP, PUSH, SORT_STORE, STOREDIST, AFTER_XREADGROUP, BITFIELD_INCRBY };

struct suspect {
    enum suspicion kind;
    uint64_t txid;
    uint32_t db;
    struct slice key;
    struct slice destination; /* of SORT … STORE, GEORADIUS … STOREDIST */
};

struct suspects {
    struct suspect *items;
    size_t count;
};

static bool is_one_of(const struct journal_item *item, const char *const *names)
{
    for (; *names; names++)
        if (slice_is(item->args[0], *names))
            return true;
    return false;
}

static bool is_half(const struct journal_item *item)
{
    static const char *const with_key_only[] = {
        "SORT", "GEORADIUS", "GEORADIUSBYMEMBER", "LMPOP", "BLMPOP", "ZRANGESTORE", NULL};
    static const char *const with_count[] = {"ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE", NULL};
    uint64_t keys;
    if (!item->txid)
        return false;
    return (item->argc == 2 && is_one_of(item, with_key_only)) ||
           (item->argc >= 2 && is_one_of(item, with_count) &&
            (item->argc == 2 || !slice_to_u64(item->args[2], &keys)));
}

static bool has_option(const struct journal_item *item, const char *option)
{
    for (size_t i = 2; i < item->argc && i < JOURNAL_MAX_ARGS; i++)
        if (slice_is(item->args[i], option))
            return true;
    return false;
}

static enum suspicion suspect_of(const struct journal_item *item, bool old_master)
{
    static const char *const pops[] = {"LPOP", "RPOP", NULL}, *const pushes[] = {"LPUSH", "RPUSH", NULL};
    static const char *const reads[] = {"XACK", "XCLAIM", "XAUTOCLAIM", NULL};
    static const char *const radius[] = {"GEORADIUS", "GEORADIUSBYMEMBER", NULL};
    if (item->kind != JOURNAL_COMMAND || item->argc < 2)
        return NONE;
    if (is_half(item))
        return HALF_A_COMMAND;
    if (slice_is(item->args[0], "SORT") && has_option(item, "STORE"))
        return SORT_STORE;
    if (is_one_of(item, radius) && has_option(item, "STOREDIST"))
        return STOREDIST;
    if (item->txid && is_one_of(item, pops))
        return POP;
    if (item->txid && is_one_of(item, pushes))
        return PUSH;
    if (old_master && is_one_of(item, reads))
        return AFTER_XREADGROUP;
    return old_master && slice_is(item->args[0], "BITFIELD") && has_option(item, "INCRBY") ? BITFIELD_INCRBY
                                                                                           : NONE;
}

static void collect(struct suspects *s, const struct recorded_flow *f, bool old_master)
{
    struct journal_reader reader = {.bytes = buf_slice(&f->bytes), .at = (size_t)f->journal_at};
    struct journal_item *item = x_malloc(sizeof *item);
    while (journal_next(&reader, item) == 1) {
        enum suspicion kind = suspect_of(item, old_master);
        if (kind == NONE)
            continue;
        s->items = x_realloc(s->items, (s->count + 1) * sizeof *s->items);
        s->items[s->count++] =
            (struct suspect){kind, item->txid, (uint32_t)item->db, item->args[1], item->args[item->argc - 1]};
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

static void judge(struct losses *l, const struct suspects *all, const struct suspect *one)
{
    const struct state_exception *source = find(l, one->db, one->key);
    unsigned group = (unsigned)one->txid;
    if (one->kind == HALF_A_COMMAND) {
        add(l, one->db, one->key, group, "a multi-shard command is journaled without its arguments");
    } else if (one->kind == POP && !has_push(all, one->txid)) {
        add(l, one->db, one->key, group, "LMPOP COUNT n is journaled as one LPOP");
    } else if (one->kind == SORT_STORE && source) {
        add(l, one->db, one->destination, source->group, "sorted from a key that differs");
    } else if (one->kind == STOREDIST) {
        add(l, one->db, one->destination, 0, "distances are rounded differently");
        l->list[l->count - 1].only_rounding = true;
    } else if (one->kind == AFTER_XREADGROUP) {
        add(l, one->db, one->key, 0, "this master does not journal XREADGROUP");
    } else if (one->kind == BITFIELD_INCRBY) {
        add(l, one->db, one->key, 0, "this master wraps BITFIELD INCRBY differently");
    }
}

size_t recorded_losses(const struct recording *r, struct state_exception **out)
{
    struct suspects s = {0};
    struct losses losses = {0};
    for (size_t i = 0; i < r->flow_count; i++)
        collect(&s, &r->flows[i], r->version < 5);
    for (size_t i = 0; i < s.count; i++)
        judge(&losses, &s, &s.items[i]);
    free(s.items);
    *out = losses.list;
    return losses.count;
}
