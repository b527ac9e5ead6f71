/* Rewrites of JSON commands: what replaces or deletes a whole document may be repeated, what works inside it
 * not. */
#include "worker/rewrite.h"

static bool is_root(struct slice path)
{
    return slice_is(path, "$") || slice_is(path, ".");
}

bool rewrite_json_set(struct translator *t, const struct command *c, const struct entry *e,
                      struct error *error)
{
    (void)c;
    (void)error;
    bool whole = e->argc == 4 && is_root(e->argv[2]);
    return rewrite_pass(t, e, e->argv[1], whole ? OUTPUT_IDEMPOTENT : OUTPUT_ONCE);
}

/* JSON.MSET key path value …: JSON.SET for each, as its keys may lie in several slots, and old modules do not
 * know it. */
bool rewrite_json_mset(struct translator *t, const struct command *c, const struct entry *e,
                       struct error *error)
{
    (void)error;
    if (e->argc % 3 != 1)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    for (size_t i = 1; i < e->argc; i += 3) {
        if (!rewrite_wanted(t, e->argv[i]))
            continue;
        output_begin(t->out, t->db, e->argv[i], 4, is_root(e->argv[i + 1]) ? OUTPUT_IDEMPOTENT : OUTPUT_ONCE);
        output_text(t->out, "JSON.SET");
        rewrite_args(t, e, i, i + 3);
        output_end(t->out);
    }
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
