/* Rewrites of string commands. */
#include "worker/translate/rewrite.h"

/* SET key value [PXAT ms], in two commands if the target has no PXAT. */
static bool set_until(struct translator *t, const struct command *c, struct slice key, struct slice value,
                      int64_t at_ms)
{
    bool pxat = rewrite_target_6_2(t->target);
    if (!rewrite_value_fits(t, c->name, key, value))
        return true;
    at_ms = rewrite_deadline(t, key, at_ms);
    output_begin(t->out, t->db, key, pxat ? 5 : 3, OUTPUT_IDEMPOTENT);
    output_text(t->out, "SET");
    output_arg(t->out, key);
    output_arg(t->out, value);
    if (pxat) {
        output_text(t->out, "PXAT");
        output_i64(t->out, at_ms);
    }
    output_end(t->out);
    if (pxat)
        return true;
    output_begin(t->out, t->db, key, 3, OUTPUT_IDEMPOTENT);
    output_text(t->out, "PEXPIREAT");
    output_arg(t->out, key);
    output_i64(t->out, at_ms);
    output_end(t->out);
    return true;
}

static bool set_plain(struct translator *t, const struct command *c, struct slice key, struct slice value,
                      bool keep_ttl)
{
    if (!rewrite_value_fits(t, c->name, key, value))
        return true;
    output_begin(t->out, t->db, key, keep_ttl ? 4 : 3, OUTPUT_IDEMPOTENT);
    output_text(t->out, "SET");
    output_arg(t->out, key);
    output_arg(t->out, value);
    if (keep_ttl)
        output_text(t->out, "KEEPTTL");
    output_end(t->out);
    return true;
}

/* SET key value [PXAT ms | KEEPTTL] [STICK] [_MCFLAGS n]; the master has decided on NX, XX and GET. */
bool rewrite_set(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    struct slice key = e->argv[1];
    bool keep_ttl = false, expires = false;
    int64_t at_ms = 0;
    if (e->argc == 3)
        return !rewrite_value_fits(t, c->name, key, e->argv[2]) || rewrite_pass(t, e, key, OUTPUT_IDEMPOTENT);
    for (size_t i = 3; i < e->argc; i++) {
        struct slice option = e->argv[i];
        if (slice_is(option, "KEEPTTL")) {
            keep_ttl = true;
        } else if (slice_is(option, "_MCFLAGS") && i + 1 < e->argc) {
            i++; /* Redis has no memcache flags */
        } else if (i + 1 < e->argc && rewrite_expiry_option(t, option, e->argv[i + 1], &at_ms)) {
            expires = true;
            i++;
        } else if (!slice_is(option, "STICK") && !slice_is(option, "NX") && !slice_is(option, "XX") &&
                   !slice_is(option, "GET")) {
            return rewrite_report(t, DIVERGENCE_UNKNOWN, c, key);
        }
    }
    return expires ? set_until(t, c, key, e->argv[2], at_ms) : set_plain(t, c, key, e->argv[2], keep_ttl);
}

bool rewrite_setex(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    int64_t amount, at_ms;
    int64_t unit_ms = c->name[0] == 'P' ? 1 : 1000;
    if (!slice_to_i64(e->argv[2], &amount) || !rewrite_after(t, amount, unit_ms, &at_ms))
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    return set_until(t, c, e->argv[1], e->argv[3], at_ms);
}

/* SETNX and GETSET are journaled only if they wrote. */
bool rewrite_set_plain(struct translator *t, const struct command *c, const struct entry *e,
                       struct error *error)
{
    (void)error;
    return set_plain(t, c, e->argv[1], e->argv[2], false);
}

bool rewrite_getex(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    int64_t at_ms;
    if (e->argc == 2)
        return true; /* a read */
    if (e->argc == 3 && slice_is(e->argv[2], "PERSIST"))
        return rewrite_one_key(t, "PERSIST", e->argv[1], OUTPUT_IDEMPOTENT);
    if (e->argc != 4 || !rewrite_expiry_option(t, e->argv[2], e->argv[3], &at_ms))
        return rewrite_report(t, DIVERGENCE_UNKNOWN, c, e->argv[1]);
    if (rewrite_was_over(t, at_ms))
        return rewrite_one_key(t, "DEL", e->argv[1], OUTPUT_IDEMPOTENT);
    output_begin(t->out, t->db, e->argv[1], 3, OUTPUT_IDEMPOTENT);
    output_text(t->out, "PEXPIREAT");
    output_arg(t->out, e->argv[1]);
    output_i64(t->out, rewrite_deadline(t, e->argv[1], at_ms));
    output_end(t->out);
    return true;
}

/* SET for each pair: in a cluster their slots differ, or one of the values is too large. */
static bool set_each(struct translator *t, const struct command *c, const struct entry *e)
{
    for (size_t i = 1; i + 1 < e->argc; i += 2) {
        if (!rewrite_wanted(t, e->argv[i]) || !rewrite_value_fits(t, c->name, e->argv[i], e->argv[i + 1]))
            continue;
        output_begin(t->out, t->db, e->argv[i], 3, OUTPUT_IDEMPOTENT);
        output_text(t->out, "SET");
        rewrite_args(t, e, i, i + 2);
        output_end(t->out);
    }
    return true;
}

static bool has_large_value(const struct translator *t, const struct entry *e)
{
    size_t most = capabilities_argument_bytes(t->target);
    for (size_t i = 2; i < e->argc; i += 2)
        if (e->argv[i].len > most)
            return true;
    return false;
}

/* MSET: the pairs with wanted keys. */
bool rewrite_mset(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    struct slice first = {0};
    size_t wanted = 0, pairs = (e->argc - 1) / 2;
    if (e->argc % 2 == 0)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    if ((output_by_slot(t->out) && pairs > 1) || has_large_value(t, e))
        return set_each(t, c, e);
    for (size_t i = 1; i < e->argc; i += 2)
        if (rewrite_wanted(t, e->argv[i]) && wanted++ == 0)
            first = e->argv[i];
    if (wanted == pairs)
        return rewrite_pass(t, e, first, OUTPUT_IDEMPOTENT);
    if (wanted == 0)
        return true;
    output_begin(t->out, t->db, first, 1 + wanted * 2, OUTPUT_IDEMPOTENT);
    output_arg(t->out, e->argv[0]);
    for (size_t i = 1; i < e->argc; i += 2)
        if (rewrite_wanted(t, e->argv[i]))
            rewrite_args(t, e, i, i + 2);
    output_end(t->out);
    return true;
}

/* Journaled only if it wrote. */
bool rewrite_msetnx(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    if (e->argc % 2 && (output_by_slot(t->out) || has_large_value(t, e)))
        return set_each(t, c, e);
    return rewrite_pass(t, e, e->argv[1], OUTPUT_ONCE);
}

bool rewrite_prepend(struct translator *t, const struct command *c, const struct entry *e,
                     struct error *error)
{
    static const char script[] = "local v=redis.call('GET',KEYS[1])\n"
                                 "if v then redis.call('SET',KEYS[1],ARGV[1]..v,'KEEPTTL')\n"
                                 "else redis.call('SET',KEYS[1],ARGV[1]) end";
    (void)error;
    if (!rewrite_eval(t, c, script, e->argv[1], 1, 1, OUTPUT_ONCE))
        return true;
    output_arg(t->out, e->argv[1]);
    output_arg(t->out, e->argv[2]);
    output_end(t->out);
    return true;
}
