/* The rows: what a run sends to the target, by what happens without it. */
#include "supervisor/rules/rights.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum need {
    NEED_DATA, /* commands that write values, those of the journal, and the reads of scripts that replace some of
                  these: refused without */
    NEED_FIELD_TTL, /* the same, where the target has times to live of hash fields */
    NEED_MARK,      /* on the run's own key: refused without */
    NEED_SELECT,    /* where there are several databases */
    NEED_FLUSH,     /* warned of, unless a flush is due */
    NEED_CLIENT,    /* warned of: exactly once */
    NEED_CONFIG,    /* warned of: limits and modules are guessed */
    NEED_CLUSTER,   /* of a cluster's node: refused without */
    NEED_HEAL,      /* warned of: differences are only counted */
    NEED_ANY_KEY,   /* warned of: some keys */
};

/* K: a key for values; M: the run's mark. */
#define K "\1"
#define M "\2"

static const struct {
    enum need need;
    const char *words[RIGHTS_MAX_ARGS];
} rows[] = {
    {NEED_MARK, {"HGETALL", M}}, /* first: harmless even if the target took no MULTI */
    {NEED_MARK, {"HMGET", M, "probe"}},
    {NEED_MARK, {"HSET", M, "probe", "0"}},
    {NEED_MARK, {"HDEL", M, "probe"}},
    {NEED_MARK, {"DEL", M}},
    {NEED_MARK, {"EVAL", "return 0", "1", M}},
    {NEED_SELECT, {"SELECT", "0"}},
    {NEED_DATA, {"SET", K, "0"}},
    {NEED_DATA, {"MSET", K, "0"}},
    {NEED_DATA, {"DEL", K}},
    {NEED_DATA, {"UNLINK", K}},
    {NEED_DATA, {"RESTORE", K, "0", "0", "REPLACE"}},
    {NEED_DATA, {"PEXPIREAT", K, "0"}},
    {NEED_DATA, {"PERSIST", K}},
    {NEED_DATA, {"RENAME", K, K}},
    {NEED_DATA, {"RENAMENX", K, K}},
    {NEED_DATA, {"COPY", K, K}},
    {NEED_DATA, {"APPEND", K, "0"}},
    {NEED_DATA, {"INCR", K}},
    {NEED_DATA, {"INCRBY", K, "0"}},
    {NEED_DATA, {"DECR", K}},
    {NEED_DATA, {"DECRBY", K, "0"}},
    {NEED_DATA, {"SETRANGE", K, "0", "0"}},
    {NEED_DATA, {"SETBIT", K, "0", "0"}},
    {NEED_DATA, {"BITFIELD", K}},
    {NEED_DATA, {"PFADD", K}},
    {NEED_DATA, {"LPUSH", K, "0"}},
    {NEED_DATA, {"RPUSH", K, "0"}},
    {NEED_DATA, {"LPOP", K}},
    {NEED_DATA, {"RPOP", K}},
    {NEED_DATA, {"LINSERT", K, "BEFORE", "0", "0"}},
    {NEED_DATA, {"LSET", K, "0", "0"}},
    {NEED_DATA, {"LREM", K, "0", "0"}},
    {NEED_DATA, {"LTRIM", K, "0", "-1"}},
    {NEED_DATA, {"SADD", K, "0"}},
    {NEED_DATA, {"SREM", K, "0"}},
    {NEED_DATA, {"SMOVE", K, K, "0"}},
    {NEED_DATA, {"ZADD", K, "0", "0"}},
    {NEED_DATA, {"ZINCRBY", K, "0", "0"}},
    {NEED_DATA, {"ZREM", K, "0"}},
    {NEED_DATA, {"ZREMRANGEBYRANK", K, "0", "-1"}},
    {NEED_DATA, {"ZREMRANGEBYSCORE", K, "0", "0"}},
    {NEED_DATA, {"ZREMRANGEBYLEX", K, "-", "+"}},
    {NEED_DATA, {"ZPOPMIN", K}},
    {NEED_DATA, {"ZPOPMAX", K}},
    {NEED_DATA, {"GEOADD", K, "0", "0", "0"}},
    {NEED_DATA, {"HSET", K, "0", "0"}},
    {NEED_DATA, {"HSETNX", K, "0", "0"}},
    {NEED_DATA, {"HDEL", K, "0"}},
    {NEED_DATA, {"HINCRBY", K, "0", "0"}},
    {NEED_DATA, {"XADD", K, "*", "0", "0"}},
    {NEED_DATA, {"XDEL", K, "0-1"}},
    {NEED_DATA, {"XTRIM", K, "MAXLEN", "0"}},
    {NEED_DATA, {"XSETID", K, "0-1"}},
    {NEED_DATA, {"XACK", K, "0", "0-1"}},
    {NEED_DATA, {"XCLAIM", K, "0", "0", "0", "0-1"}},
    {NEED_DATA, {"XGROUP", "DESTROY", K, "0"}},
    {NEED_DATA, {"MOVE", K, "0"}},
    {NEED_DATA, {"SORT", K, "STORE", K}},
    {NEED_DATA, {"LPUSHX", K, "0"}},
    {NEED_DATA, {"RPUSHX", K, "0"}},
    {NEED_DATA, {"LMOVE", K, K, "LEFT", "LEFT"}},
    {NEED_DATA, {"RPOPLPUSH", K, K}},
    {NEED_DATA, {"HMSET", K, "0", "0"}},
    {NEED_DATA, {"GET", K}},
    {NEED_DATA, {"EXISTS", K}},
    {NEED_DATA, {"PTTL", K}},
    {NEED_DATA, {"TIME"}},
    {NEED_DATA, {"LINDEX", K, "0"}},
    {NEED_DATA, {"HGET", K, "0"}},
    {NEED_DATA, {"HEXISTS", K, "0"}},
    {NEED_DATA, {"HGETALL", K}},
    {NEED_DATA, {"ZRANGE", K, "0", "0"}},
    {NEED_DATA, {"XRANGE", K, "-", "+"}},
    {NEED_DATA, {"XPENDING", K, "0"}},
    {NEED_DATA, {"OBJECT", "ENCODING", K}},
    {NEED_FIELD_TTL, {"HPEXPIREAT", K, "0", "FIELDS", "1", "0"}},
    {NEED_FIELD_TTL, {"HPERSIST", K, "FIELDS", "1", "0"}},
    {NEED_FIELD_TTL, {"HPTTL", K, "FIELDS", "1", "0"}},
    {NEED_FIELD_TTL, {"HPEXPIRETIME", K, "FIELDS", "1", "0"}},
    {NEED_DATA, {"SCRIPT", "LOAD", "return 0"}},
    {NEED_FLUSH, {"FLUSHALL", "probe"}}, /* a syntax error, was it ever run */
    {NEED_FLUSH, {"FLUSHDB", "probe"}},
    {NEED_CLIENT, {"CLIENT", "SETNAME", ""}},
    {NEED_CLIENT, {"CLIENT", "LIST"}},
    {NEED_CLIENT, {"CLIENT", "KILL", "ID", "0"}},
    {NEED_CONFIG, {"CONFIG", "GET", "databases"}},
    {NEED_CONFIG, {"COMMAND", "INFO", "GET"}},
    {NEED_CLUSTER, {"CLUSTER", "SLOTS"}},
    {NEED_CLUSTER, {"CLUSTER", "NODES"}},
    {NEED_HEAL, {"WATCH", K}},
    {NEED_HEAL, {"UNWATCH"}},
    {NEED_HEAL, {"DUMP", K}},
    {NEED_HEAL, {"MEMORY", "USAGE", K}},
    {NEED_ANY_KEY, {"SET", "probe", "0"}},
};
enum { ROWS = sizeof rows / sizeof *rows, NAMES_BYTES = 1024 }; /* all names of one need */
_Static_assert((int)ROWS <= (int)RIGHTS_MAX, "an answer for each row");

size_t rights_rows(void)
{
    return ROWS;
}

size_t rights_row(size_t i, const char *mark_key, struct slice *argv)
{
    static const char value_key[] = "df2redis:probe";
    size_t argc = 0;
    for (; argc < RIGHTS_MAX_ARGS && rows[i].words[argc]; argc++) {
        const char *word = rows[i].words[argc];
        argv[argc] = slice_str(strcmp(word, K) == 0 ? value_key : strcmp(word, M) == 0 ? mark_key : word);
    }
    return argc;
}

static bool error_starts_with(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

/* Other errors, such as OOM or MOVED, do not concern rights. */
void rights_answer(struct rights *r, size_t i, const redisReply *reply)
{
    bool refused = error_starts_with(reply, "NOPERM");
    bool command = refused && strstr(reply->str, "to run the");
    bool own_key = rows[i].need == NEED_MARK || rows[i].need == NEED_ANY_KEY;
    r->missing[i] = own_key ? refused : command;
    r->mark_key_refused |= rows[i].need == NEED_MARK && refused && !command;
    r->mark_key_taken |= rows[i].need == NEED_MARK && !refused;
    r->absent[i] =
        error_starts_with(reply, "ERR unknown command") || error_starts_with(reply, "ERR unknown subcommand");
}

static bool is_named(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += len)
        if (at[len] == ' ' || at[len] == '\0')
            return true;
    return false;
}

/* "+hset +client|kill": the form of ACL SETUSER. */
static void name_rows(const struct rights *r, enum need need, bool absent, char *out, size_t out_bytes)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].need != need || !(absent ? r->absent[i] : r->missing[i]))
            continue;
        char name[40];
        const char *command = rows[i].words[0];
        bool parts = strcmp(command, "CLIENT") == 0 || strcmp(command, "CONFIG") == 0 ||
                     strcmp(command, "SCRIPT") == 0 || strcmp(command, "XGROUP") == 0 ||
                     strcmp(command, "MEMORY") == 0 || strcmp(command, "CLUSTER") == 0 ||
                     strcmp(command, "OBJECT") == 0;
        snprintf(name, sizeof name, "+%s%s%s", command, parts ? "|" : "", parts ? rows[i].words[1] : "");
        for (char *c = name; *c; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
        if (is_named(out, name))
            continue;
        if (len + strlen(name) + sizeof " ..." >= out_bytes) {
            snprintf(out + len, out_bytes - len, " ...");
            return;
        }
        len += (size_t)snprintf(out + len, out_bytes - len, "%s%s", len ? " " : "", name);
    }
}

static bool lacks_need(const struct rights *r, enum need need, char *out, size_t out_bytes)
{
    char absent[NAMES_BYTES / 2];
    name_rows(r, need, false, out, out_bytes);
    name_rows(r, need, true, absent, sizeof absent);
    size_t len = strlen(out);
    if (absent[0])
        snprintf(out + len, out_bytes - len, "%s%s, which the target does not have", len ? "; and " : "",
                 absent);
    return out[0] != '\0';
}

static void judge_needed(const struct rights *r, const struct rights_context *c, struct findings *out)
{
    char names[NAMES_BYTES];
    if (c->cluster && lacks_need(r, NEED_CLUSTER, names, sizeof names))
        findings_refuse(out, EX_NOPERM, "target %s: its user may not ask for the cluster's nodes: give it %s",
                        c->target, names);
    /* The refusal of a command hides that of its key. */
    bool key = r->mark_key_refused || !r->mark_key_taken;
    if (c->marks && lacks_need(r, NEED_MARK, names, sizeof names))
        findings_refuse(out, EX_NOPERM, "target %s: its user may not write the run's mark: give it %s%s%s%s",
                        c->target, key ? "~df2redis:" : "", key ? c->run : "", key ? "* " : "", names);
    if (lacks_need(r, NEED_DATA, names, sizeof names))
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user lacks rights to write what is copied: give it %s", c->target,
                        names);
    name_rows(r, NEED_FIELD_TTL, false, names, sizeof names);
    if (names[0])
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user lacks rights to write times to live of hash fields: give it %s",
                        c->target, names);
    if (c->databases && lacks_need(r, NEED_SELECT, names, sizeof names))
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user may not change databases: give it %s, or choose database 0 "
                        "alone with --db 0",
                        c->target, names);
    if (!lacks_need(r, NEED_FLUSH, names, sizeof names))
        return;
    if (c->flush_due)
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user may not flush it, and --flush-target is given: give it %s, or "
                        "empty the target",
                        c->target, names);
    else
        findings_warn(
            out,
            "target %s: its user may not flush it: the run stops at a FLUSHALL or FLUSHDB of the source, and "
            "when it needs a new full sync; give it %s",
            c->target, names);
}

static void judge_useful(const struct rights *r, const struct rights_context *c, struct findings *out)
{
    char names[NAMES_BYTES];
    if (lacks_need(r, NEED_CLIENT, names, sizeof names))
        findings_warn(
            out,
            "target %s: after a connection breaks, commands may be carried out twice there, since its user "
            "may not end what is left of the old one: give it %s",
            c->target, names);
    if (lacks_need(r, NEED_CONFIG, names, sizeof names))
        findings_warn(out,
                      "target %s: its limits and modules are not all known and taken for the defaults: give "
                      "its user %s",
                      c->target, names);
    if (lacks_need(r, NEED_HEAL, names, sizeof names))
        findings_warn(out, "target %s: keys in doubt cannot be compared there: give its user %s", c->target,
                      names);
    if (!c->include && lacks_need(r, NEED_ANY_KEY, names, sizeof names))
        findings_warn(
            out,
            "target %s: its user may not write every key; those are refused one by one and counted: give it "
            "~*, or leave them out with --include and --exclude",
            c->target);
}

void rights_judge(const struct rights *r, const struct rights_context *context, struct findings *out)
{
    if (!r->probed)
        return;
    judge_needed(r, context, out);
    judge_useful(r, context, out);
}
