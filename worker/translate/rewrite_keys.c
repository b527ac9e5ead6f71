/* Rewrites of commands on keys of any type: deleting, expiring, restoring. */
#include "worker/rdb/dump.h"
#include "worker/translate/rewrite.h"
#include "worker/translate/value_write.h"

/* DEL and UNLINK: the wanted keys. */
bool rewrite_delete(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)c;
    (void)error;
    struct slice first = {0};
    size_t wanted = 0;
    bool split = output_by_slot(t->out) && e->argc > 2;
    for (size_t i = 1; i < e->argc; i++) {
        if (!rewrite_wanted(t, e->argv[i]))
            continue;
        if (split)
            rewrite_one_key(t, "DEL", e->argv[i], OUTPUT_IDEMPOTENT);
        else if (wanted++ == 0)
            first = e->argv[i];
    }
    if (split)
        return true;
    if (wanted == e->argc - 1)
        return rewrite_pass(t, e, first, OUTPUT_IDEMPOTENT);
    if (wanted == 0)
        return true;
    output_begin(t->out, t->db, first, 1 + wanted, OUTPUT_IDEMPOTENT);
    output_arg(t->out, e->argv[0]);
    for (size_t i = 1; i < e->argc; i++)
        if (rewrite_wanted(t, e->argv[i]))
            output_arg(t->out, e->argv[i]);
    output_end(t->out);
    return true;
}

/* GETDEL, as DEL. */
bool rewrite_one_delete(struct translator *t, const struct command *c, const struct entry *e,
                        struct error *error)
{
    (void)c;
    (void)error;
    return rewrite_one_key(t, "DEL", e->argv[1], OUTPUT_IDEMPOTENT);
}

/* DELEX key [IFEQ | IFNE value | IFDEQ | IFDNE digest]: journaled also when the condition did not hold. */
bool rewrite_delex(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    static const char script[] =
        "local v=redis.call('GET',KEYS[1])\n"
        "if v and (v==ARGV[2])==(ARGV[1]=='IFEQ') then redis.call('DEL',KEYS[1]) end";
    (void)error;
    struct slice key = e->argv[1];
    if (e->argc == 2)
        return rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
    if (t->target->kind == SERVER_REDIS && t->target->version >= 80400)
        return rewrite_pass(t, e, key, OUTPUT_ONCE);
    bool equal = slice_is(e->argv[2], "IFEQ");
    if (e->argc != 4 || (!equal && !slice_is(e->argv[2], "IFNE")))
        return rewrite_report(t, DIVERGENCE_COMMAND, c, key); /* the target has no XXH3 digests */
    if (!rewrite_eval(t, c, script, key, 1, 2, OUTPUT_ONCE))
        return true;
    output_arg(t->out, key);
    output_text(t->out, equal ? "IFEQ" : "IFNE");
    output_arg(t->out, e->argv[3]);
    output_end(t->out);
    return true;
}

/* [P]EXPIRE[AT] key time [NX | XX | GT | LT] */
bool rewrite_expire(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    struct slice key = e->argv[1];
    int64_t unit_ms = c->name[0] == 'P' ? 1 : 1000, amount, at_ms;
    bool absolute = strcmp(c->name + strlen(c->name) - 2, "AT") == 0;
    bool ok =
        slice_to_i64(e->argv[2], &amount) && (absolute ? !__builtin_mul_overflow(amount, unit_ms, &at_ms)
                                                       : rewrite_after(t, amount, unit_ms, &at_ms));
    if (!ok)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, key);
    if (e->argc == 3 && rewrite_was_over(t, at_ms))
        return rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
    if (e->argc > 3 && !rewrite_target_7_0(t->target))
        return rewrite_report(t, DIVERGENCE_COMMAND, c, key);
    /* Journaled only if the key existed. */
    unsigned expected = e->argc == 3 ? rewrite_effective(t) : 0;
    output_begin(t->out, t->db, key, e->argc, expected | (e->argc > 3 ? OUTPUT_ONCE : OUTPUT_IDEMPOTENT));
    output_text(t->out, "PEXPIREAT");
    output_arg(t->out, key);
    output_i64(t->out, rewrite_deadline(t, key, at_ms));
    rewrite_args(t, e, 3, e->argc);
    output_end(t->out);
    return true;
}

/* RESTORE key ttl payload [REPLACE] [ABSTTL] [STICK] [IDLETIME n] [FREQ n]. Journaled only if it wrote: without REPLACE
 * the key did not exist, so replacing is always right. */
bool rewrite_restore(struct translator *t, const struct command *c, const struct entry *e,
                     struct error *error)
{
    (void)error;
    struct slice key = e->argv[1], value;
    int64_t ttl, expire_ms = 0;
    uint8_t type;
    bool absolute = false;
    for (size_t i = 4; i < e->argc; i++) {
        if (slice_is(e->argv[i], "ABSTTL"))
            absolute = true;
        else if (slice_is(e->argv[i], "IDLETIME") || slice_is(e->argv[i], "FREQ"))
            i++;
    }
    if (!slice_to_i64(e->argv[2], &ttl) || ttl < 0 || !dump_parse(e->argv[3], &type, &value))
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, key);
    if (ttl > 0 && !absolute && !rewrite_after(t, ttl, 1, &ttl))
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, key);
    if (ttl > 0)
        expire_ms = rewrite_deadline(t, key, ttl);
    /* An error concerns this payload only: a replica of the master refuses it, too. */
    struct error why = {0};
    if (!rdb_type_known(type))
        return rewrite_report(t, DIVERGENCE_TYPE, c, key);
    if (translate_value(t, key, type, value, expire_ms, true, &why))
        return true;
    log_warning("RESTORE of %s: %s", log_key(key), why.text);
    return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, key);
}

/* Forms that a journal of v1.40.1 does not have, and that do not tell the effect. */
bool rewrite_lost(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, command_first_key(c, e));
}

bool rewrite_script(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)c;
    (void)error;
    if (e->argc != 3 || !slice_is(e->argv[1], "LOAD"))
        return true;
    size_t nodes = output_nodes(t->out), borrowing = output_borrowing(t->out);
    output_borrow_from(t->out, 0); /* copied, as a refusal is reported with its text */
    for (size_t i = 0; i < nodes; i++)
        rewrite_pass(t, e, slice_of(NULL, 0), OUTPUT_IDEMPOTENT | output_node(i));
    output_borrow_from(t->out, borrowing);
    return true;
}
