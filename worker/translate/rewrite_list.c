/* Rewrites of pops. Commands that block, or choose among keys, pop immediately from the first existing key. */
#include "worker/translate/rewrite.h"

/* Pops from the first existing key of positions first..first+n-1. */
static bool pop_first_of(struct translator *t, const struct command *c, const struct entry *e,
                         const char *name, size_t first, size_t n, struct slice count)
{
    static const char script[] = "for i=1,#KEYS do if redis.call('EXISTS',KEYS[i])==1 then\n"
                                 "redis.call(ARGV[1],KEYS[i],unpack(ARGV,2)) break end end";
    size_t counts = count.len ? 1 : 0;
    if (n > 1 && output_by_slot(t->out))
        return rewrite_report(t, DIVERGENCE_COMMAND, c,
                              e->argv[first]); /* keys in several slots cannot be checked by one script */
    if (n > 1) {
        if (!rewrite_eval(t, c, script, e->argv[first], n, 1 + counts, OUTPUT_ONCE))
            return true;
        rewrite_args(t, e, first, first + n);
        output_text(t->out, name);
    } else {
        output_begin(t->out, t->db, e->argv[first], 2 + counts, OUTPUT_ONCE);
        output_text(t->out, name);
        output_arg(t->out, e->argv[first]);
    }
    if (counts)
        output_arg(t->out, count);
    output_end(t->out);
    return true;
}

/* LPOP and RPOP key [count]: a count is LTRIM to a target older than 6.2. */
bool rewrite_pop(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    int64_t count;
    bool none = e->argc == 3 && slice_is(e->argv[2], "0"); /* journaled, too */
    if (e->argc != 3 || rewrite_target_6_2(t->target))
        return rewrite_pass(t, e, e->argv[1], OUTPUT_ONCE | (none ? 0 : rewrite_effective(t)));
    if (!slice_to_i64(e->argv[2], &count) || count < 0 || count == INT64_MAX)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    output_begin(t->out, t->db, e->argv[1], 4, OUTPUT_ONCE);
    output_text(t->out, "LTRIM");
    output_arg(t->out, e->argv[1]);
    output_i64(t->out, c->name[0] == 'L' ? count : 0);
    output_i64(t->out, c->name[0] == 'L' ? -1 : -count - 1);
    output_end(t->out);
    return true;
}

/* BLPOP, BRPOP, BZPOPMIN, BZPOPMAX key … timeout */
bool rewrite_blocking_pop(struct translator *t, const struct command *c, const struct entry *e,
                          struct error *error)
{
    (void)error;
    return pop_first_of(t, c, e, c->name + 1, 1, e->argc - 2, slice_of(NULL, 0));
}

/* [B]LMPOP, [B]ZMPOP: [timeout] n key … LEFT | RIGHT | MIN | MAX [COUNT count] */
bool rewrite_multi_pop(struct translator *t, const struct command *c, const struct entry *e,
                       struct error *error)
{
    (void)error;
    size_t first = (size_t)c->key_count + 1;
    uint64_t n;
    struct slice count = {0};
    const char *name;
    if (!slice_to_u64(e->argv[c->key_count], &n) || n == 0 || n >= e->argc - first)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[first]);
    size_t at = first + (size_t)n;
    if (slice_is(e->argv[at], "LEFT"))
        name = "LPOP";
    else if (slice_is(e->argv[at], "RIGHT"))
        name = "RPOP";
    else if (slice_is(e->argv[at], "MIN"))
        name = "ZPOPMIN";
    else
        name = "ZPOPMAX";
    if (at + 2 < e->argc && slice_is(e->argv[at + 1], "COUNT"))
        count = e->argv[at + 2];
    return pop_first_of(t, c, e, name, first, (size_t)n, count);
}
