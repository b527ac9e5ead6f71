/* The rows: what a run sends to the target, by what happens without it. */
#include "supervisor/rules/rights.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/glob.h"

enum need {
    NEED_DATA, /* commands that write values, those of the journal, and the reads of scripts that replace some
                           of these: refused without */
    NEED_MODULE,        /* the same, of modules: warned of, since what is refused is counted key by key */
    NEED_VALKEY_MODULE, /* the same, on a Valkey */
    NEED_MARK,          /* on the run's own key: refused without */
    NEED_CLIENT,        /* ends connections that have broken: refused without */
    NEED_SELECT,        /* where there are several databases */
    NEED_FLUSH,         /* warned of, unless a flush is due */
    NEED_CONFIG,        /* warned of: limits and modules are guessed */
    NEED_CLUSTER,       /* of a cluster's node: refused without */
    NEED_CLUSTER_MOVES, /* the same, warned of: open slots wait, and failovers cost a full sync */
    NEED_HEAL,          /* warned of: differences are only counted */
    NEED_VERIFY,        /* warned of: df2redis verify is not possible */
    NEED_IMPORT,        /* on a Valkey, warned of: in import mode keys are hidden without it */
    NEWER = 1 << 8,     /* of a module or a later release: a target that lacks it is never sent it */
};

/* K: a key for values; M: the run's mark. */
#define K "\1"
#define M "\2"

static const struct {
    unsigned need;
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
    {NEED_DATA, {"XGROUP", "CREATE", K, "0", "0"}},
    {NEED_DATA, {"XGROUP", "SETID", K, "0", "0"}},
    {NEED_DATA, {"XGROUP", "DESTROY", K, "0"}},
    {NEED_DATA, {"XGROUP", "CREATECONSUMER", K, "0", "0"}},
    {NEED_DATA, {"XGROUP", "DELCONSUMER", K, "0", "0"}},
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
    {NEED_DATA | NEWER, {"HPEXPIREAT", K, "0", "FIELDS", "1", "0"}},
    {NEED_DATA | NEWER, {"HPERSIST", K, "FIELDS", "1", "0"}},
    {NEED_DATA | NEWER, {"HPTTL", K, "FIELDS", "1", "0"}},
    {NEED_DATA | NEWER, {"HPEXPIRETIME", K, "FIELDS", "1", "0"}},
    {NEED_DATA, {"SCRIPT", "LOAD", "return 0"}},
    {NEED_MODULE | NEWER, {"JSON.GET", K}},
    {NEED_MODULE | NEWER, {"JSON.SET", K, "$", "0"}},
    {NEED_MODULE | NEWER, {"JSON.DEL", K}},
    {NEED_MODULE | NEWER, {"JSON.FORGET", K}},
    {NEED_MODULE | NEWER, {"JSON.MERGE", K, "$", "0"}},
    {NEED_MODULE | NEWER, {"JSON.TOGGLE", K, "$"}},
    {NEED_MODULE | NEWER, {"JSON.NUMINCRBY", K, "$", "0"}},
    {NEED_MODULE | NEWER, {"JSON.NUMMULTBY", K, "$", "0"}},
    {NEED_MODULE | NEWER, {"JSON.STRAPPEND", K, "$", "0"}},
    {NEED_MODULE | NEWER, {"JSON.CLEAR", K}},
    {NEED_MODULE | NEWER, {"JSON.ARRPOP", K}},
    {NEED_MODULE | NEWER, {"JSON.ARRTRIM", K, "$", "0", "0"}},
    {NEED_MODULE | NEWER, {"JSON.ARRINSERT", K, "$", "0", "0"}},
    {NEED_MODULE | NEWER, {"JSON.ARRAPPEND", K, "$", "0"}},
    {NEED_MODULE | NEWER, {"BF.RESERVE", K, "0.1", "1"}},
    {NEED_MODULE | NEWER, {"BF.ADD", K, "0"}},
    {NEED_MODULE | NEWER, {"BF.MADD", K, "0"}},
    {NEED_MODULE | NEWER, {"CF.RESERVE", K, "1"}},
    {NEED_MODULE | NEWER, {"CF.ADD", K, "0"}},
    {NEED_MODULE | NEWER, {"CF.ADDNX", K, "0"}},
    {NEED_MODULE | NEWER, {"CF.INSERT", K, "ITEMS", "0"}},
    {NEED_MODULE | NEWER, {"CF.INSERTNX", K, "ITEMS", "0"}},
    {NEED_MODULE | NEWER, {"CF.DEL", K, "0"}},
    {NEED_MODULE | NEWER, {"CF.COMPACT", K}},
    {NEED_MODULE | NEWER, {"CMS.INITBYDIM", K, "1", "1"}},
    {NEED_MODULE | NEWER, {"CMS.INITBYPROB", K, "0.1", "0.1"}},
    {NEED_MODULE | NEWER, {"CMS.INCRBY", K, "0", "0"}},
    {NEED_MODULE | NEWER, {"CMS.MERGE", K, "1", K}},
    {NEED_MODULE | NEWER, {"TOPK.RESERVE", K, "1"}},
    {NEED_MODULE | NEWER, {"TOPK.ADD", K, "0"}},
    {NEED_MODULE | NEWER, {"TOPK.INCRBY", K, "0", "0"}},
    {NEED_MODULE | NEWER, {"CL.THROTTLE", K, "1", "1", "1"}},
    {NEED_MODULE | NEWER, {"FT._CREATEIFNX", "df2redis:probe"}},
    {NEED_MODULE | NEWER, {"FT._ALTERIFNX", "df2redis:probe", "0"}},
    {NEED_MODULE | NEWER, {"FT._DROPINDEXIFX", "df2redis:probe"}},
    {NEED_MODULE | NEWER, {"FT.SYNUPDATE", "df2redis:probe", "0", "0"}},
    {NEED_VALKEY_MODULE | NEWER, {"FT.CREATE", "df2redis:probe"}},
    {NEED_VALKEY_MODULE | NEWER, {"FT.ALTER", "df2redis:probe", "0"}},
    {NEED_VALKEY_MODULE | NEWER, {"FT.DROPINDEX", "df2redis:probe"}},
    {NEED_FLUSH, {"FLUSHALL", "probe"}}, /* a syntax error, was it ever run */
    {NEED_FLUSH, {"FLUSHDB", "probe"}},
    {NEED_CLIENT, {"CLIENT", "SETNAME", ""}},
    {NEED_CLIENT, {"CLIENT", "LIST"}},
    {NEED_CLIENT, {"CLIENT", "KILL", "ID", "0"}},
    {NEED_IMPORT | NEWER, {"CLIENT", "IMPORT-SOURCE", "ON"}},
    {NEED_CONFIG, {"CONFIG", "GET", "databases"}},
    {NEED_CONFIG, {"COMMAND", "INFO", "GET"}},
    {NEED_CLUSTER, {"CLUSTER", "SLOTS"}},
    {NEED_CLUSTER, {"CLUSTER", "NODES"}},
    {NEED_CLUSTER, {"ASKING"}},
    {NEED_CLUSTER_MOVES, {"CLUSTER", "GETKEYSINSLOT", "0", "1"}},
    {NEED_CLUSTER_MOVES, {"MIGRATE", "", "0", K, "0", "1"}},
    {NEED_CLUSTER_MOVES, {"PEXPIRE", K, "5000"}},
    {NEED_CLUSTER_MOVES, {"WAIT", "0", "0"}},
    {NEED_HEAL, {"WATCH", K}},
    {NEED_HEAL, {"UNWATCH"}},
    {NEED_HEAL, {"DUMP", K}},
    {NEED_HEAL | NEWER, {"PEXPIRETIME", K}},
    {NEED_HEAL, {"MEMORY", "USAGE", K}},
    {NEED_HEAL, {"TYPE", K}},
    {NEED_HEAL, {"STRLEN", K}},
    {NEED_HEAL, {"GETRANGE", K, "0", "0"}},
    {NEED_HEAL, {"LLEN", K}},
    {NEED_HEAL, {"LRANGE", K, "0", "0"}},
    {NEED_HEAL, {"SCARD", K}},
    {NEED_HEAL, {"SSCAN", K, "0"}},
    {NEED_HEAL, {"HLEN", K}},
    {NEED_HEAL, {"HSCAN", K, "0"}},
    {NEED_HEAL, {"ZCARD", K}},
    {NEED_HEAL, {"ZSCAN", K, "0"}},
    {NEED_VERIFY, {"SCAN", "0", "COUNT", "1"}},
};
enum { ROWS = sizeof rows / sizeof *rows, NAMES_BYTES = 1024 }; /* all names of one need */

/* A key that is copied is written and, by RENAME, read. */
static const char *const key_rows[][4] = {{"SET", K, "0"}, {"RENAME", K, K}};
enum { KEY_ROWS = sizeof key_rows / sizeof *key_rows };
_Static_assert((int)ROWS + (int)KEY_ROWS * RIGHTS_KEYS <= (int)RIGHTS_MAX, "an answer for each row");

/* Without --include any key may come. */
void rights_keys(struct rights *r, const struct settings *settings)
{
    static char all[] = "*";
    char *const any[] = {all, NULL};
    r->key_count = 0;
    for (char *const *p = settings->include ? settings->include : any; *p && r->key_count < RIGHTS_KEYS;
         p++) {
        struct rights_key *k = &r->keys[r->key_count];
        *k = (struct rights_key){.pattern = *p};
        size_t len = glob_example(slice_str(*p), k->name, sizeof k->name - 1);
        r->key_count += len > 0 && settings_key_wanted(settings, slice_of(k->name, len));
    }
}

static enum need row_need(size_t i)
{
    return (enum need)(rows[i].need & ~(unsigned)NEWER);
}

size_t rights_rows(const struct rights *r)
{
    return ROWS + KEY_ROWS * r->key_count;
}

size_t rights_row(const struct rights *r, size_t i, const char *mark_key, struct slice *argv)
{
    bool on_key = i >= ROWS;
    const char *const *words = on_key ? key_rows[(i - ROWS) % KEY_ROWS] : rows[i].words;
    const char *value_key = on_key ? r->keys[(i - ROWS) / KEY_ROWS].name : "df2redis:probe";
    size_t argc = 0, most = on_key ? sizeof *key_rows / sizeof **key_rows : RIGHTS_MAX_ARGS;
    for (; argc < most && words[argc]; argc++)
        argv[argc] = slice_str(strcmp(words[argc], K) == 0   ? value_key
                               : strcmp(words[argc], M) == 0 ? mark_key
                                                             : words[argc]);
    return argc;
}

static bool error_starts_with(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

/* Other errors, such as OOM or MOVED, do not concern rights. The refusal of a command hides that of its key. */
void rights_answer(struct rights *r, size_t i, const redisReply *reply)
{
    bool refused = error_starts_with(reply, "NOPERM");
    bool command = refused && strstr(reply->str, "to run the");
    if (i >= ROWS) {
        struct rights_key *k = &r->keys[(i - ROWS) / KEY_ROWS];
        k->refused |= refused && !command;
        k->taken |= !refused;
        return;
    }
    r->missing[i] = row_need(i) == NEED_MARK ? refused : command;
    r->mark_key_refused |= row_need(i) == NEED_MARK && refused && !command;
    r->mark_key_taken |= row_need(i) == NEED_MARK && !refused;
    r->absent[i] = !(rows[i].need & NEWER) && (error_starts_with(reply, "ERR unknown command") ||
                                               error_starts_with(reply, "ERR unknown subcommand"));
}

static bool is_named(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += len)
        if (at[len] == ' ' || at[len] == '\0')
            return true;
    return false;
}

/* "+hset", "+client|kill": the form of ACL SETUSER. */
static void row_name(size_t i, char *out, size_t out_bytes)
{
    static const char *const of_parts[] = {"CLIENT", "CONFIG",  "SCRIPT", "XGROUP",
                                           "MEMORY", "CLUSTER", "OBJECT"};
    const char *command = rows[i].words[0];
    bool parts = false;
    for (size_t k = 0; k < sizeof of_parts / sizeof *of_parts; k++)
        parts |= strcmp(command, of_parts[k]) == 0;
    snprintf(out, out_bytes, "+%s%s%s", command, parts ? "|" : "", parts ? rows[i].words[1] : "");
    for (char *c = out; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
}

static void name_rows(const struct rights *r, enum need need, bool absent, char *out, size_t out_bytes)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ROWS; i++) {
        if (row_need(i) != need || !(absent ? r->absent[i] : r->missing[i]))
            continue;
        char name[40];
        row_name(i, name, sizeof name);
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

static void judge_data(const struct rights *r, const struct rights_context *c, struct findings *out)
{
    char names[NAMES_BYTES];
    if (lacks_need(r, NEED_DATA, names, sizeof names))
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user lacks rights to write what is copied: give it %s", c->target,
                        names);
}

/* The source may have nothing of the kind. */
static void judge_modules(const struct rights *r, const struct rights_context *c, struct findings *out)
{
    static const enum need needs[] = {NEED_MODULE, NEED_VALKEY_MODULE};
    char names[NAMES_BYTES];
    for (size_t i = 0; i < (c->valkey ? 2 : 1); i++)
        if (lacks_need(r, needs[i], names, sizeof names))
            findings_warn(
                out,
                "target %s: its user lacks rights to commands of its modules: what the source writes with "
                "them is refused and counted, key by key; give it %s",
                c->target, names);
}

/* The run would end at the first key that is refused. */
static void judge_keys(const struct rights *r, const struct rights_context *c, struct findings *out)
{
    char patterns[NAMES_BYTES];
    size_t len = 0;
    for (size_t i = 0; i < r->key_count && len < sizeof patterns; i++)
        if (r->keys[i].refused || !r->keys[i].taken)
            len += (size_t)snprintf(patterns + len, sizeof patterns - len, " ~%s", r->keys[i].pattern);
    if (len >= sizeof patterns)
        memcpy(patterns + sizeof patterns - 5, " ...", 5);
    if (len)
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user may not read and write every key that is copied: give it%s%s",
                        c->target, patterns, c->include ? "" : ", or choose keys with --include");
}

static void judge_needed(const struct rights *r, const struct rights_context *c, struct findings *out)
{
    char names[NAMES_BYTES];
    if (c->cluster && lacks_need(r, NEED_CLUSTER, names, sizeof names))
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user lacks rights that are needed in a cluster: give it %s",
                        c->target, names);
    bool key = r->mark_key_refused || !r->mark_key_taken;
    if (c->marks && lacks_need(r, NEED_MARK, names, sizeof names))
        findings_refuse(out, EX_NOPERM, "target %s: its user may not write the run's mark: give it %s%s%s%s",
                        c->target, key ? "~df2redis:" : "", key ? c->run : "", key ? "* " : "", names);
    if (lacks_need(r, NEED_CLIENT, names, sizeof names))
        findings_refuse(
            out, EX_NOPERM,
            "target %s: its user may not end the run's own broken connections, whose commands could "
            "be carried out twice: give it %s",
            c->target, names);
    judge_data(r, c, out);
    judge_keys(r, c, out);
    if (c->databases && lacks_need(r, NEED_SELECT, names, sizeof names))
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user may not change databases: give it %s, or choose database 0 "
                        "alone with --db 0",
                        c->target, names);
    if (c->flush_due && lacks_need(r, NEED_FLUSH, names, sizeof names))
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user may not flush it, and --flush-target is given: give it %s, or "
                        "empty the target",
                        c->target, names);
}

static void judge_useful(const struct rights *r, const struct rights_context *c, struct findings *out)
{
    char names[NAMES_BYTES];
    if (!c->flush_due && lacks_need(r, NEED_FLUSH, names, sizeof names))
        findings_warn(
            out,
            "target %s: its user may not flush it: the run stops at a FLUSHALL or FLUSHDB of the source, and "
            "when it needs a new full sync; give it %s",
            c->target, names);
    judge_modules(r, c, out);
    if (c->valkey && lacks_need(r, NEED_IMPORT, names, sizeof names))
        findings_warn(
            out,
            "target %s: in import mode (import-mode yes) it hides keys past their time from its user, and "
            "commands that meet them go wrong: give its user %s",
            c->target, names);
    if (lacks_need(r, NEED_CONFIG, names, sizeof names))
        findings_warn(out,
                      "target %s: its limits and modules are not all known and taken for the defaults: give "
                      "its user %s",
                      c->target, names);
    if (c->cluster && lacks_need(r, NEED_CLUSTER_MOVES, names, sizeof names))
        findings_warn(out,
                      "target %s: slots that stay open between two masters are waited for, or a failover may "
                      "ask for a full sync: give its user %s",
                      c->target, names);
    if (lacks_need(r, NEED_HEAL, names, sizeof names))
        findings_warn(out, "target %s: keys in doubt cannot be compared there: give its user %s", c->target,
                      names);
    if (lacks_need(r, NEED_VERIFY, names, sizeof names))
        findings_warn(out, "target %s: df2redis verify cannot compare its keys: give its user %s", c->target,
                      names);
}

void rights_judge(const struct rights *r, const struct rights_context *context, struct findings *out)
{
    if (!r->probed)
        return;
    judge_needed(r, context, out);
    judge_useful(r, context, out);
}

bool rights_named(size_t i, char *out, size_t out_bytes)
{
    if (i < ROWS)
        row_name(i, out, out_bytes);
    return i < ROWS && row_need(i) != NEED_DATA && row_need(i) != NEED_MODULE &&
           row_need(i) != NEED_VALKEY_MODULE;
}
