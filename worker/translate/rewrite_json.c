/* Rewrites of JSON commands: those that replace or delete a document are idempotent, those that modify it are once. */
#include "worker/translate/json_scan.h"
#include "worker/translate/rewrite.h"

/* Dragonfly's JSON behaves like RedisJSON. Another module, e.g. Valkey's, may have other results. */
static bool module_differs(const struct translator *t)
{
    return !t->target->redis_json;
}

static bool is_root(struct slice path)
{
    return slice_is(path, "$") || slice_is(path, ".");
}

/* A document also replaces a string, which RedisJSON refuses, and removes the time to live. (Not in a cluster, where a
 * script cannot write a key again that it has deleted in a migrating slot: there a MULTI has both commands, with the
 * slot's mark.) */
static const char whole_document[] = "redis.call('DEL',KEYS[1])\n"
                                     "redis.call('JSON.SET',KEYS[1],ARGV[1],ARGV[2])";

/* A document for the key of arguments from..from+2. If the target cannot hold it, an older value of the key is
 * deleted. */
static void set_document(struct translator *t, const struct command *c, const struct entry *e, size_t from)
{
    struct slice key = e->argv[from];
    if (!t->target->json) {
        rewrite_report(t, DIVERGENCE_COMMAND, c, key);
        if (is_root(e->argv[from + 1]))
            rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
        return;
    }
    if (module_differs(t) && json_is_ambiguous(e->argv[from + 2]))
        rewrite_suspect(t, DIVERGENCE_DIFFERS, c, key);
    bool whole = is_root(e->argv[from + 1]), by_slot = output_by_slot(t->out);
    if (whole && !rewrite_value_fits(t, c->name, key, e->argv[from + 2]))
        return;
    if (whole && t->target->scripts && !by_slot &&
        rewrite_eval(t, c, whole_document, key, 1, 2, OUTPUT_IDEMPOTENT)) {
        rewrite_args(t, e, from, from + 3);
        output_end(t->out);
        return;
    }
    unsigned flags = whole && !by_slot ? OUTPUT_IDEMPOTENT : OUTPUT_ONCE;
    if (whole)
        rewrite_one_key(t, "DEL", key, flags);
    output_begin(t->out, t->db, key, 4, flags);
    output_text(t->out, "JSON.SET");
    rewrite_args(t, e, from, from + 3);
    output_end(t->out);
}

static bool is_negative(struct slice number)
{
    return number.len > 0 && number.data[0] == '-';
}

/* Whether the result differs with Valkey's module, and may with any: trimming from an end, CLEAR, factors, numbers
 * beyond 2^53, duplicate names. */
static bool may_differ(const struct command *c, const struct entry *e)
{
    if (strcmp(c->name, "JSON.CLEAR") == 0 || strcmp(c->name, "JSON.NUMMULTBY") == 0)
        return true;
    if (strcmp(c->name, "JSON.ARRTRIM") == 0)
        return is_negative(e->argv[3]) || is_negative(e->argv[4]);
    for (size_t i = 3; i < e->argc; i++)
        if (json_is_ambiguous(e->argv[i]))
            return true;
    return false;
}

bool rewrite_json_inside(struct translator *t, const struct command *c, const struct entry *e,
                         struct error *error)
{
    (void)error;
    struct slice key = e->argv[1];
    bool missing = strcmp(c->name, "JSON.MERGE") == 0 && !t->target->json_merge;
    if (missing || (module_differs(t) && may_differ(c, e)))
        rewrite_suspect(t, DIVERGENCE_DIFFERS, c, key);
    /* A sum may be beyond 2^53 though its parts are not: the target's answer tells. */
    bool sums = module_differs(t) && strcmp(c->name, "JSON.NUMINCRBY") == 0;
    return missing || rewrite_pass(t, e, key, OUTPUT_ONCE | (sums ? OUTPUT_CONFLICT : 0));
}

bool rewrite_json_set(struct translator *t, const struct command *c, const struct entry *e,
                      struct error *error)
{
    (void)error;
    if (e->argc == 4)
        set_document(t, c, e, 1);
    else if (!t->target->json)
        rewrite_report(t, DIVERGENCE_COMMAND, c, e->argv[1]); /* NX, XX: unknown whether it had an effect */
    else {
        if (module_differs(t) && json_is_ambiguous(e->argv[3]))
            rewrite_suspect(t, DIVERGENCE_DIFFERS, c, e->argv[1]);
        rewrite_pass(t, e, e->argv[1], OUTPUT_ONCE);
    }
    return true;
}

/* JSON.MSET key path value …: JSON.SET for each, as its keys may be in several slots, and old modules lack it. */
bool rewrite_json_mset(struct translator *t, const struct command *c, const struct entry *e,
                       struct error *error)
{
    (void)error;
    if (e->argc % 3 != 1)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    for (size_t i = 1; i < e->argc; i += 3)
        if (rewrite_wanted(t, e->argv[i]))
            set_document(t, c, e, i);
    return true;
}

/* JSON.DEL, JSON.FORGET key [path] */
bool rewrite_json_del(struct translator *t, const struct command *c, const struct entry *e,
                      struct error *error)
{
    (void)c;
    (void)error;
    if (e->argc == 2 || is_root(e->argv[2]))
        return rewrite_one_key(t, "DEL", e->argv[1], OUTPUT_IDEMPOTENT);
    return rewrite_pass(t, e, e->argv[1], OUTPUT_ONCE);
}
