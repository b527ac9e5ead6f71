/* Plans a cross-slot command from its row in the table of commands, which names its keys. */
#include "worker/pipeline/cross_slot_plan.h"

#include <stdlib.h>

#include "common/redis/topology.h"
#include "worker/translate/commands.h"
#include "worker/translate/rewrite.h"

enum { DESTINATION_MAX_KEYS = 1 << 20 };

static bool command_is(const struct command *c, const char *name)
{
    return strcmp(c->name, name) == 0;
}

/* Whether the rewrite of the command splits it by slot. */
static bool rewrite_splits_slots(const struct command *c)
{
    return c->class != COMMAND_ONCE || c->rewrite == rewrite_msetnx || c->rewrite == rewrite_blocking_pop ||
           c->rewrite == rewrite_multi_pop;
}

static void plan_move(struct cross_plan *p, const struct command *c, const struct entry *e)
{
    bool rename = command_is(c, "RENAME") || command_is(c, "RENAMENX"), smove = command_is(c, "SMOVE");
    bool list = command_is(c, "LMOVE") || command_is(c, "BLMOVE") || command_is(c, "RPOPLPUSH") ||
                command_is(c, "BRPOPLPUSH");
    p->moves = rename || smove || list;
    p->dumps = !smove && !list;
    if (rename) {
        p->take = "DEL";
    } else if (smove) {
        p->put = "SADD";
        p->take = "SREM";
        p->member = 3;
    } else if (list) {
        bool sides = command_is(c, "LMOVE") || command_is(c, "BLMOVE");
        bool from_left = sides && slice_is(e->argv[3], "LEFT"),
             to_left = !sides || slice_is(e->argv[4], "LEFT");
        p->put = to_left ? "LPUSH" : "RPUSH";
        p->take = from_left ? "LPOP" : "RPOP";
        p->index = from_left ? "0" : "-1";
    }
}

/* Whether the command moves a key or a member within an open slot, by writes that may run again. */
static bool moves_key_by_key(const struct cross_plan *p, const struct router *router, struct slice from,
                             struct slice to)
{
    return p->moves && !p->index && router && router_key_by_key(router, key_slot(to)) && !slice_eq(from, to);
}

/* Sets destination, sources and one_slot. */
static void plan_keys(struct cross_plan *p, const struct router *router, const struct command *c,
                      const struct entry *e, const size_t *keys, size_t n, size_t stored)
{
    bool to_second = p->moves || command_is(c, "COPY");
    p->destination = stored ? stored : keys[to_second ? 1 : 0];
    uint16_t slot = key_slot(e->argv[p->destination]);
    p->sources = x_calloc(n + 1, sizeof *p->sources);
    for (size_t i = 0; i < n; i++) {
        if (keys[i] == p->destination)
            continue;
        bool same = key_slot(e->argv[keys[i]]) == slot;
        p->one_slot |= same && moves_key_by_key(p, router, e->argv[keys[i]], e->argv[p->destination]);
        if (!same || p->one_slot)
            p->sources[p->source_count++] = keys[i];
    }
}

static bool all_keys_wanted(const struct translator *t, const struct entry *e, const size_t *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!rewrite_wanted(t, e->argv[keys[i]]))
            return false;
    return true;
}

bool cross_plan(struct translator *t, const struct router *router, const struct entry *e,
                struct cross_plan *plan)
{
    const struct command *c = e->argc ? command_find(e->argv[0]) : NULL;
    uint32_t db;
    *plan = (struct cross_plan){0};
    if (!c || rewrite_splits_slots(c) || !command_arity_fits(c, e->argc) ||
        !settings_db_target(t->settings, e->db, &db) || db != 0 || (c->able && !c->able(t->target)))
        return false;
    size_t stored = command_store_position(c, e), one, n = command_keys(c, e, &one, 1);
    if (n + (stored != 0) < 2 || n > DESTINATION_MAX_KEYS)
        return false;
    size_t *keys = x_calloc(n + 1, sizeof *keys);
    command_keys(c, e, keys, n);
    if (stored)
        keys[n] = stored;
    plan->name = c->name;
    plan_move(plan, c, e);
    bool ok = all_keys_wanted(t, e, keys, n + (stored != 0));
    if (ok)
        plan_keys(plan, router, c, e, keys, n, stored);
    free(keys);
    if (ok && plan->source_count)
        return true;
    cross_plan_free(plan);
    return false;
}

void cross_plan_free(struct cross_plan *plan)
{
    free(plan->sources);
    *plan = (struct cross_plan){0};
}

size_t cross_plan_question(const struct cross_plan *plan, const struct entry *e, size_t i, struct slice *argv)
{
    argv[1] = e->argv[plan->sources[i]];
    if (plan->dumps) {
        argv[0] = slice_str("DUMP");
        return 2;
    }
    argv[0] = slice_str(plan->member ? "SISMEMBER" : "LINDEX");
    argv[2] = plan->member ? e->argv[plan->member] : slice_str(plan->index);
    return 3;
}

size_t cross_plan_expiry_question(const struct capabilities *target, struct slice key, struct slice *argv)
{
    /* Redis 6.2 has only PTTL: exact if TIME is the same before and after it. */
    static const char script[] =
        "local function now() local t=redis.call('TIME') return t[1]*1000+math.floor(t[2]/1000) end\n"
        "for i=1,100 do local a=now() local p=redis.call('PTTL',KEYS[1]) if p<0 or now()==a or i==100 then\n"
        "return p<0 and p or a+p end end";
    if (rewrite_target_7_0(target)) {
        argv[0] = slice_str("PEXPIRETIME");
        argv[1] = key;
        return 2;
    }
    argv[0] = slice_str("EVAL");
    argv[1] = slice_str(script);
    argv[2] = slice_str("1");
    argv[3] = key;
    return 4;
}
