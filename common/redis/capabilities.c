/* What a target can do: nine questions and what their answers mean.
 *
 * Versions decide only where nothing can be asked: which RDB layouts RESTORE takes, and options of commands.
 */
#include "common/redis/capabilities.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/crc.h"

enum question {
    ASK_SERVER,
    ASK_REPLICATION,
    ASK_CLUSTER,
    ASK_KEYSPACE,
    ASK_COMMANDS,
    ASK_DATABASES,
    ASK_MAX_BULK,
    ASK_SCRIPTS,
    ASK_MODULES,
};
_Static_assert(ASK_MODULES + 1 == CAPABILITIES_COMMANDS, "a reply for each question");

enum { VERSION_6_2 = 60200, VERSION_7_0 = 70000, VERSION_7_2 = 70200, VERSION_7_4 = 70400, VALKEY_9 = 90000 };

static const char *const questions[CAPABILITIES_COMMANDS][4] = {
    [ASK_SERVER] = {"INFO", "server"},
    [ASK_REPLICATION] = {"INFO", "replication"},
    [ASK_CLUSTER] = {"INFO", "cluster"},
    [ASK_KEYSPACE] = {"INFO", "keyspace"},
    [ASK_COMMANDS] = {"COMMAND", "INFO"}, /* and the names below */
    [ASK_DATABASES] = {"CONFIG", "GET", "databases"},
    [ASK_MAX_BULK] = {"CONFIG", "GET", "proto-max-bulk-len"},
    [ASK_SCRIPTS] = {"EVAL", "return 1", "0"}, /* COMMAND INFO does not show what an ACL forbids */
    [ASK_MODULES] = {"INFO", "modules"},       /* it does not tell whose a command is, either */
};

/* The commands queried by COMMAND INFO, and the field of each answer. */
static const struct {
    const char *name;
    size_t offset;
} asked[] = {
    {"hpexpireat", offsetof(struct capabilities, hash_field_ttl)},
    {"json.set", offsetof(struct capabilities, json)},
    {"json.merge", offsetof(struct capabilities, json_merge)},
    {"bf.add", offsetof(struct capabilities, bloom)},
    {"cf.add", offsetof(struct capabilities, cuckoo)},
    {"cms.initbydim", offsetof(struct capabilities, cms)},
    {"topk.add", offsetof(struct capabilities, topk)},
    {"ft.create", offsetof(struct capabilities, search)},
    {"ft._createifnx", offsetof(struct capabilities, search_again)},
    {"cl.throttle", offsetof(struct capabilities, throttle)},
    {"copy", offsetof(struct capabilities, copy)},
    {"getdel", offsetof(struct capabilities, getdel)},
    {"zrangestore", offsetof(struct capabilities, zrangestore)},
};
enum { ASKED_COUNT = sizeof asked / sizeof *asked };
_Static_assert(ASKED_COUNT + 2 <= CAPABILITIES_MAX_ARGS, "the command fits");

static bool *flag_at(struct capabilities *c, size_t offset)
{
    return (bool *)((uint8_t *)c + offset);
}

size_t capabilities_command(int i, struct slice *argv, size_t max_args)
{
    size_t argc = 0;
    if (i < 0 || i >= CAPABILITIES_COMMANDS)
        return 0;
    while (questions[i][argc] && argc < max_args) {
        argv[argc] = slice_str(questions[i][argc]);
        argc++;
    }
    for (size_t n = 0; i == ASK_COMMANDS && n < ASKED_COUNT && argc < max_args; n++)
        argv[argc++] = slice_str(asked[n].name);
    return argc;
}

struct slice info_field(struct slice info, const char *name)
{
    size_t name_len = strlen(name);
    while (info.len > 0) {
        const uint8_t *end = memchr(info.data, '\n', info.len);
        size_t line = end ? (size_t)(end - info.data) : info.len;
        size_t next = end ? line + 1 : line;
        if (line > 0 && info.data[line - 1] == '\r')
            line--;
        if (line > name_len && info.data[name_len] == ':' && memcmp(info.data, name, name_len) == 0)
            return slice_of(info.data + name_len + 1, line - name_len - 1);
        info = slice_of(info.data + next, info.len - next);
    }
    return slice_of("", 0);
}

/* "7.0.15" → 70015; each part at most 255. Ends at the first other character. */
static uint32_t parse_version(struct slice text)
{
    uint32_t parts[3] = {0}, at = 0;
    for (size_t i = 0; i < text.len && at < 3; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (text.data[i] == '.')
            at++;
        else if (digit > 9)
            break;
        else if (parts[at] < 1000)
            parts[at] = parts[at] * 10 + digit;
    }
    for (unsigned i = 0; i < 3; i++)
        parts[i] = parts[i] < 255 ? parts[i] : 255;
    return parts[0] * 10000 + (parts[1] < 99 ? parts[1] : 99) * 100 + (parts[2] < 99 ? parts[2] : 99);
}

static void read_server(struct capabilities *c, struct slice info)
{
    static const struct {
        const char *field, *name;
        enum server_kind kind;
    } servers[] = {
        {"dragonfly_version", "Dragonfly", SERVER_OTHER}, {"kvrocks_version", "Kvrocks", SERVER_OTHER},
        {"garnet_version", "Garnet", SERVER_OTHER},       {"valkey_version", "Valkey", SERVER_VALKEY},
        {"redis_version", "Redis", SERVER_REDIS}, /* all of them have this field too */
    };
    struct slice mode = info_field(info, "redis_mode");
    if (mode.len == 0)
        mode = info_field(info, "server_mode"); /* Valkey */
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct slice version = info_field(info, servers[i].field);
        if (version.len == 0)
            continue;
        bool sentinel = slice_is(mode, "sentinel");
        bool other = sentinel || servers[i].kind == SERVER_OTHER;
        c->kind = other ? SERVER_OTHER : servers[i].kind;
        c->version = parse_version(version);
        snprintf(c->version_text, sizeof c->version_text, "%s%s%.*s",
                 !other     ? ""
                 : sentinel ? "Sentinel"
                            : servers[i].name,
                 other ? " " : "", (int)(version.len < 24 ? version.len : 24), (const char *)version.data);
        break;
    }
    c->cluster |= slice_is(mode, "cluster");
    struct slice run_id = info_field(info, "run_id");
    snprintf(c->run_id, sizeof c->run_id, "%.*s", (int)(run_id.len < 40 ? run_id.len : 40),
             (const char *)run_id.data);
    if (!slice_to_u64(info_field(info, "uptime_in_seconds"), &c->up_s))
        c->up_s = 0;

    bool valkey = c->kind == SERVER_VALKEY;
    c->restore_listpacks = c->xgroup_entriesread = c->xsetid_entries = valkey || c->version >= VERSION_7_0;
    c->restore_set_listpack = valkey || c->version >= VERSION_7_2;
    c->stream_type = valkey || c->version >= VERSION_7_2 ? 21 : c->version >= VERSION_7_0 ? 19 : 15;
    c->xadd_minid = c->copy = c->getdel = c->zrangestore = c->version >= VERSION_6_2;
    /* A default until COMMAND INFO is answered. */
    c->hash_field_ttl = c->version >= (valkey ? (uint32_t)VALKEY_9 : VERSION_7_4);
}

/* Zeros only: none. */
static bool is_replid(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.data[i] != '0')
            return true;
    return false;
}

bool info_is_replica(struct slice info)
{
    struct slice role = info_field(info, "role");
    return role.len > 0 && !slice_is(role, "master");
}

bool info_was_replica(struct slice info, const char *replid)
{
    struct slice now = info_field(info, "master_replid"), before = info_field(info, "master_replid2");
    return *replid && now.len && !slice_is(now, replid) &&
           (info_is_replica(info) || (is_replid(before) && !slice_is(before, replid)));
}

bool capabilities_was_replica(const struct capabilities *c, const char *replid)
{
    return *replid && *c->replid && strcmp(c->replid, replid) != 0 &&
           (c->replica || (c->promoted && strcmp(c->replid_before, replid) != 0));
}

static void read_replication(struct capabilities *c, struct slice info)
{
    struct slice replid = info_field(info, "master_replid"), before = info_field(info, "master_replid2");
    snprintf(c->replid, sizeof c->replid, "%.*s", (int)(replid.len < 40 ? replid.len : 40),
             (const char *)replid.data);
    c->promoted = is_replid(before);
    snprintf(c->replid_before, sizeof c->replid_before, "%.*s",
             c->promoted ? (int)(before.len < 40 ? before.len : 40) : 0, (const char *)before.data);
    struct slice host = info_field(info, "master_host"), port = info_field(info, "master_port");
    c->replica = info_is_replica(info);
    if (c->replica)
        snprintf(c->master_text, sizeof c->master_text, "%.*s:%.*s", (int)(host.len < 64 ? host.len : 64),
                 (const char *)host.data, (int)(port.len < 8 ? port.len : 8), (const char *)port.data);
}

/* "db0:keys=10,expires=2,avg_ttl=0" lines. */
uint64_t info_keys(struct slice info)
{
    uint64_t sum = 0;
    while (info.len > 0) {
        const uint8_t *end = memchr(info.data, '\n', info.len);
        size_t len = end ? (size_t)(end - info.data) : info.len;
        const uint8_t *keys =
            len > 2 && memcmp(info.data, "db", 2) == 0 ? memmem(info.data, len, ":keys=", 6) : NULL;
        uint64_t n;
        if (keys) {
            keys += 6;
            size_t digits = 0;
            while (keys + digits < info.data + len && keys[digits] >= '0' && keys[digits] <= '9')
                digits++;
            if (slice_to_u64(slice_of(keys, digits), &n) && __builtin_add_overflow(sum, n, &sum))
                sum = UINT64_MAX;
        }
        size_t next = end ? len + 1 : len;
        info = slice_of(info.data + next, info.len - next);
    }
    return sum;
}

/* One element per name, in order: a description, or nil (from some servers an empty array). */
static void read_commands(struct capabilities *c, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != ASKED_COUNT)
        return;
    for (size_t i = 0; i < ASKED_COUNT; i++) {
        const redisReply *e = reply->element[i];
        *flag_at(c, asked[i].offset) = e->type == REDIS_REPLY_ARRAY && e->elements > 0;
    }
}

/* "module:name=ReJSON,ver=20609,api=1,…" lines. */
static void read_modules(struct capabilities *c, struct slice info)
{
    static const char redis_json[] = "module:name=ReJSON,";
    c->redis_json = info.len && memmem(info.data, info.len, redis_json, sizeof redis_json - 1);
}

/* Reply to CONFIG GET: name, value. False: no such reply. */
static bool read_config(const redisReply *reply, uint64_t *out)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[1]->type == REDIS_REPLY_STRING &&
           slice_to_u64(slice_of(reply->element[1]->str, reply->element[1]->len), out);
}

/* True: a temporary error, which shows nothing about the capabilities. */
static bool says_later(const redisReply *reply)
{
    static const char *const words[] = {"LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN"};
    for (size_t i = 0; reply->type == REDIS_REPLY_ERROR && i < sizeof words / sizeof *words; i++)
        if (strncmp(reply->str, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* A target out of memory or disk refuses every script for the moment. */
static bool scripts_allowed(const redisReply *reply)
{
    static const char *const passing[] = {"OOM ", "MISCONF ", "NOREPLICAS ", "READONLY "};
    for (size_t i = 0; reply->type == REDIS_REPLY_ERROR && i < sizeof passing / sizeof *passing; i++)
        if (strncmp(reply->str, passing[i], strlen(passing[i])) == 0)
            return true;
    return reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
}

bool capabilities_reply(struct capabilities *c, int i, const redisReply *reply, struct error *error)
{
    uint64_t number;
    struct slice text = slice_of("", 0);
    if (i == ASK_SERVER)
        *c = (struct capabilities){.kind = SERVER_OTHER,
                                   .databases = 16,
                                   .max_bulk_bytes = UINT64_C(512) << 20,
                                   .query_bytes = UINT64_C(1) << 30,
                                   .stream_type = 15};
    if (says_later(reply))
        return error_set(error, ERROR_RETRY, "the target is not ready: %.200s", reply->str);
    if (reply->type == REDIS_REPLY_STRING)
        text = slice_of(reply->str, reply->len);
    switch ((enum question)i) {
    case ASK_SERVER:
        read_server(c, text);
        break;
    case ASK_REPLICATION:
        read_replication(c, text);
        break;
    case ASK_CLUSTER:
        c->cluster |= slice_is(info_field(text, "cluster_enabled"), "1");
        break;
    case ASK_KEYSPACE:
        c->keys = info_keys(text);
        break;
    case ASK_COMMANDS:
        read_commands(c, reply);
        break;
    case ASK_DATABASES:
        c->databases_told = read_config(reply, &number) && number >= 1 && number <= INT32_MAX;
        if (c->databases_told)
            c->databases = (uint32_t)number;
        break;
    case ASK_MAX_BULK:
        c->limits_told = read_config(reply, &number);
        if (c->limits_told && number >= 1 << 20)
            c->max_bulk_bytes = number;
        break;
    case ASK_SCRIPTS:
        c->scripts = scripts_allowed(reply);
        break;
    case ASK_MODULES:
        read_modules(c, text);
        break;
    }
    return true;
}

void capabilities_query_limit(struct capabilities *c, const redisReply *reply)
{
    uint64_t number;
    bool told = read_config(reply, &number);
    c->limits_told &= told;
    if (told && number >= 1 << 20)
        c->query_bytes = number;
}

/* The Redis version to compare with. Valkey counts as Redis 7.2, from which it was forked. */
static uint32_t redis_version(const struct capabilities *c)
{
    return c->kind == SERVER_VALKEY ? (uint32_t)VERSION_7_2 : c->version;
}

/* Keeps the older version; a server that is neither Redis nor Valkey takes precedence in version_text. */
static void merge_version(struct capabilities *into, const struct capabilities *other)
{
    bool same = into->kind == other->kind;
    uint32_t mine = same ? into->version : redis_version(into);
    uint32_t theirs = same ? other->version : redis_version(other);
    bool refused = other->kind == SERVER_OTHER && into->kind != SERVER_OTHER;
    if (refused || (into->kind != SERVER_OTHER && theirs < mine))
        memcpy(into->version_text, other->version_text, sizeof into->version_text);
    into->version = mine < theirs ? mine : theirs;
    if (into->kind == SERVER_OTHER || other->kind == SERVER_OTHER)
        into->kind = SERVER_OTHER;
    else if (!same)
        into->kind = SERVER_REDIS;
}

uint64_t capabilities_contact(const struct capabilities *c)
{
    return c->cluster ? 1 : crc64(0, (const uint8_t *)c->run_id, strlen(c->run_id)) | 1;
}

void capabilities_merge(struct capabilities *into, const struct capabilities *other)
{
    static const size_t flags[] = {
        offsetof(struct capabilities, restore_listpacks),
        offsetof(struct capabilities, restore_set_listpack),
        offsetof(struct capabilities, xgroup_entriesread),
        offsetof(struct capabilities, xsetid_entries),
        offsetof(struct capabilities, xadd_minid),
        offsetof(struct capabilities, scripts),
        offsetof(struct capabilities, redis_json),
        offsetof(struct capabilities, wait),
        offsetof(struct capabilities, import_mode),
    };
    merge_version(into, other);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        *flag_at(into, flags[i]) &= *(const bool *)((const uint8_t *)other + flags[i]);
    for (size_t i = 0; i < ASKED_COUNT; i++)
        *flag_at(into, asked[i].offset) &= *(const bool *)((const uint8_t *)other + asked[i].offset);
    into->masters = (into->masters ? into->masters : 1) + (other->masters ? other->masters : 1);
    memset(into->run_id, 0, sizeof into->run_id);
    memset(into->replid, 0, sizeof into->replid);
    memset(into->replid_before, 0, sizeof into->replid_before);
    into->up_s = into->up_s < other->up_s ? into->up_s : other->up_s;
    into->promoted |= other->promoted;
    into->cluster |= other->cluster;
    if (other->clock_ahead_ms > into->clock_ahead_ms)
        into->clock_ahead_ms = other->clock_ahead_ms;
    into->replica |= other->replica;
    into->databases = into->databases < other->databases ? into->databases : other->databases;
    into->stream_type = into->stream_type < other->stream_type ? into->stream_type : other->stream_type;
    if (other->max_bulk_bytes < into->max_bulk_bytes)
        into->max_bulk_bytes = other->max_bulk_bytes;
    if (other->query_bytes < into->query_bytes)
        into->query_bytes = other->query_bytes;
    if (__builtin_add_overflow(into->keys, other->keys, &into->keys))
        into->keys = UINT64_MAX;
}

bool capabilities_check(const struct capabilities *c, struct error *error)
{
    if (c->version_text[0] == '\0')
        return error_fatal(
            error, EX_NOPERM,
            "the target does not show its version in INFO: give its user +info +command +config|get");
    if (strncmp(c->version_text, "Dragonfly ", 10) == 0)
        return error_fatal(
            error, EX_CONFIG,
            "the target is a Dragonfly (%s): use its own replication (REPLICAOF), or give a Redis or "
            "a Valkey",
            c->version_text);
    if (c->kind == SERVER_OTHER)
        return error_fatal(error, EX_CONFIG,
                           "the target is neither Redis nor Valkey but %s: give a Redis or a Valkey",
                           c->version_text);
    if (c->version < VERSION_6_2)
        return error_fatal(error, EX_CONFIG, "the target is %s %s, which is too old: use Redis 6.2 or newer",
                           c->kind == SERVER_VALKEY ? "Valkey" : "Redis", c->version_text);
    if (c->replica && !c->cluster)
        return error_fatal(error, EX_CONFIG,
                           "the target is a replica and takes no writes: give its master, %s, or make it one "
                           "with REPLICAOF NO ONE",
                           c->master_text);
    return true;
}

bool capabilities_knows(const struct capabilities *c, struct slice command)
{
    static const struct {
        const char *name; /* a family when it ends with a dot */
        size_t offset;
    } known[] = {
        {"JSON.", offsetof(struct capabilities, json)},
        {"BF.", offsetof(struct capabilities, bloom)},
        {"CF.", offsetof(struct capabilities, cuckoo)},
        {"CMS.", offsetof(struct capabilities, cms)},
        {"TOPK.", offsetof(struct capabilities, topk)},
        {"FT.", offsetof(struct capabilities, search)},
        {"CL.", offsetof(struct capabilities, throttle)},
        {"COPY", offsetof(struct capabilities, copy)},
        {"GETDEL", offsetof(struct capabilities, getdel)},
        {"ZRANGESTORE", offsetof(struct capabilities, zrangestore)},
        {"HEXPIRE", offsetof(struct capabilities, hash_field_ttl)},
        {"HPEXPIRE", offsetof(struct capabilities, hash_field_ttl)},
        {"HEXPIREAT", offsetof(struct capabilities, hash_field_ttl)},
        {"HPEXPIREAT", offsetof(struct capabilities, hash_field_ttl)},
        {"HPERSIST", offsetof(struct capabilities, hash_field_ttl)},
        {"EVAL", offsetof(struct capabilities, scripts)},
        {"EVALSHA", offsetof(struct capabilities, scripts)},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].name);
        bool family = known[i].name[len - 1] == '.';
        struct slice part = slice_of(command.data, family && command.len > len ? len : command.len);
        if (slice_is(part, known[i].name))
            return *(const bool *)((const uint8_t *)c + known[i].offset);
    }
    if (slice_is(command, "LMPOP") || slice_is(command, "BLMPOP") || slice_is(command, "ZMPOP") ||
        slice_is(command, "BZMPOP"))
        return c->kind == SERVER_VALKEY || c->version >= VERSION_7_0;
    return command.len == 0 || !memchr(command.data, '.', command.len);
}
