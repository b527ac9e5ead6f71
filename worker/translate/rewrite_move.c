/* Rewrites of commands that move data to another key or database. If a filter excludes one side, only the other half
 * runs. */
#include "worker/translate/rewrite.h"

/* RENAME and RENAMENX: journaled only if they renamed. */
bool rewrite_rename(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    struct slice from = e->argv[1], to = e->argv[2];
    bool wants_from = rewrite_wanted(t, from), wants_to = rewrite_wanted(t, to);
    if (wants_from && wants_to)
        return rewrite_pass(t, e, from, OUTPUT_ONCE | (c->effective ? rewrite_effective(t) : 0));
    if (wants_from)
        return rewrite_one_key(t, "DEL", from, OUTPUT_IDEMPOTENT);
    return !wants_to || rewrite_report(t, DIVERGENCE_FILTER, c, to);
}

/* COPY from to [DB n] [REPLACE] */
bool rewrite_copy(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    struct slice to = e->argv[2];
    uint32_t to_db = t->db;
    uint64_t db;
    bool replace = false;
    for (size_t i = 3; i < e->argc; i++) {
        if (slice_is(e->argv[i], "REPLACE")) {
            replace = true;
            continue;
        }
        if (!slice_is(e->argv[i], "DB") || ++i == e->argc || !slice_to_u64(e->argv[i], &db) ||
            db > UINT32_MAX)
            return rewrite_report(t, DIVERGENCE_UNKNOWN, c, to);
        if (!settings_db_target(t->settings, (uint32_t)db, &to_db))
            return true;
    }
    const char *lacks = rewrite_database_lacks(t, to_db);
    if (!rewrite_wanted(t, to))
        return true;
    if (lacks)
        return rewrite_report_lacking(t, lacks, c, to, to_db);
    if (!rewrite_wanted(t, e->argv[1]))
        return rewrite_report(t, DIVERGENCE_FILTER, c, to);
    if (!t->target->copy)
        return rewrite_report(t, DIVERGENCE_COMMAND, c, to);
    size_t db_args = to_db != t->db ? 2 : 0;
    output_begin(t->out, t->db, e->argv[1], 3 + db_args + (size_t)replace, OUTPUT_ONCE);
    rewrite_args(t, e, 0, 3);
    if (db_args) {
        output_text(t->out, "DB");
        output_i64(t->out, to_db);
    }
    if (replace)
        output_text(t->out, "REPLACE");
    output_end(t->out);
    return true;
}

/* MOVE key db. Journaled also if it moved nothing as the other database had the key: so the result is unknown if that
 * database is not copied. */
bool rewrite_move(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    struct slice key = e->argv[1];
    uint64_t db;
    uint32_t to_db;
    if (!rewrite_wanted(t, key))
        return true;
    if (!slice_to_u64(e->argv[2], &db) || db > UINT32_MAX)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, key);
    if (!settings_db_target(t->settings, (uint32_t)db, &to_db)) {
        rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
        return rewrite_report(t, DIVERGENCE_FILTER, c, key);
    }
    const char *lacks = rewrite_database_lacks(t, to_db);
    if (lacks) {
        rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
        return rewrite_report_lacking(t, lacks, c, key, to_db);
    }
    if (to_db == t->db)
        return true; /* the master refused it too */
    output_begin(t->out, t->db, key, 3, OUTPUT_ONCE);
    rewrite_args(t, e, 0, 2);
    output_i64(t->out, to_db);
    output_end(t->out);
    return true;
}

/* SMOVE from to member */
bool rewrite_smove(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    struct slice from = e->argv[1], to = e->argv[2];
    bool wants_from = rewrite_wanted(t, from), wants_to = rewrite_wanted(t, to);
    if (wants_from && wants_to)
        return rewrite_pass(t, e, from, OUTPUT_ONCE);
    if (!wants_from)
        return !wants_to || rewrite_report(t, DIVERGENCE_FILTER, c, to);
    output_begin(t->out, t->db, from, 3, OUTPUT_ONCE);
    output_text(t->out, "SREM");
    output_arg(t->out, from);
    output_arg(t->out, e->argv[3]);
    output_end(t->out);
    return true;
}

/* LMOVE for targets before 6.2. Pushes first, so that a failure has removed nothing. (Within one list the pushed
 * element may be popped again, with the same result.) */
static const char move_script[] =
    "local l=string.upper(ARGV[1])=='LEFT'\n"
    "local v=redis.call('LINDEX',KEYS[1],l and 0 or -1)\n"
    "if v then redis.call(string.upper(ARGV[2])=='LEFT' and 'LPUSH' or 'RPUSH',KEYS[2],v)\n"
    "redis.call(l and 'LPOP' or 'RPOP',KEYS[1]) end";

/* LMOVE from to side side, RPOPLPUSH from to, and their blocking forms, which must never block the target. */
bool rewrite_list_move(struct translator *t, const struct command *c, const struct entry *e,
                       struct error *error)
{
    (void)error;
    struct slice from = e->argv[1], to = e->argv[2];
    bool wants_from = rewrite_wanted(t, from), wants_to = rewrite_wanted(t, to);
    bool sides = e->argc >= 5; /* LMOVE, BLMOVE */
    if (!wants_from)
        return !wants_to || rewrite_report(t, DIVERGENCE_FILTER, c, to);
    if (!wants_to)
        return rewrite_one_key(t, sides && slice_is(e->argv[3], "LEFT") ? "LPOP" : "RPOP", from, OUTPUT_ONCE);
    if (sides && !rewrite_target_6_2(t->target)) {
        if (!rewrite_eval(t, c, move_script, from, 2, 2, OUTPUT_ONCE))
            return true;
    } else {
        output_begin(t->out, t->db, from, sides ? 5 : 3, OUTPUT_ONCE);
        output_text(t->out, sides ? "LMOVE" : "RPOPLPUSH");
    }
    rewrite_args(t, e, 1, sides ? 5 : 3);
    output_end(t->out);
    return true;
}
