/* The greeting of a target node.
 *
 *   (AUTH, CLIENT IMPORT-SOURCE: common/net/client_greeting.c)
 *   → CLIENT SETNAME <name>, CLIENT LIST
 *   → CLIENT KILL ID … for every other connection of that name
 *   → the capability probe
 *   → SELECT of the last database, and of others if it is refused; of that of the mark (not in a cluster)
 *   → TIME
 *   → HMGET <mark key> <field> flushed (in a cluster: one for each slot)
 *
 * A closed connection may have left commands in the server's receive buffer. The server would run them after the mark
 * was read, and this connection would send them again. So those connections are killed first. They are found by name,
 * not by a stored id, as a restarted server assigns the ids again. */
#include "worker/link/link_greeting.h"

#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/redis/topology.h"
#include "worker/link/link_databases.h"
#include "worker/link/mark_text.h"
#include "worker/link/reply_reader.h"

enum { ANSWER_TIMEOUT_MS = 30000 };

struct greeting {
    const struct link_config *config;
    struct greeting_callbacks callbacks;
    struct client *client;
    struct capabilities target;
    struct mark mark;
    int capability;
    struct database_search databases;
    uint32_t database; /* of the SELECT in flight */
    unsigned kills;
    const uint16_t *slots; /* in a cluster: slots to read the marks of */
    size_t slot_count, slots_told;
};

void greeting_free(struct greeting *g)
{
    if (!g)
        return;
    client_free(g->client);
    free(g);
}

static void greeting_fail(struct greeting *g, const struct error *error)
{
    struct greeting_callbacks callbacks = g->callbacks;
    struct error copy = *error;
    greeting_free(g);
    callbacks.failed(callbacks.arg, &copy);
}

static void greeting_finish(struct greeting *g)
{
    struct error error;
    struct transport *t = client_take_transport(g->client);
    if (!t) {
        error_set(&error, ERROR_RETRY, "the target sent an answer without a command");
        greeting_fail(g, &error);
        return;
    }
    struct greeting_callbacks callbacks = g->callbacks;
    struct mark mark = g->mark;
    struct capabilities target = g->target;
    greeting_free(g);
    callbacks.done(callbacks.arg, t, &mark, &target);
}

/* The key of the mark cannot be read, or is not a mark. */
static void mark_unreadable(struct greeting *g, const char *key, const redisReply *reply)
{
    struct error error;
    bool refused = reply->type == REDIS_REPLY_ERROR;
    enum refusal refusal =
        refused ? refusal_class(slice_of(reply->str, (size_t)reply->len)) : REFUSAL_COMMAND;
    if (refusal == REFUSAL_WAIT)
        error_set(&error, ERROR_RETRY, "reading the mark %s: %.200s", key, reply->str);
    else if (refusal == REFUSAL_FATAL)
        error_fatal(
            &error, EX_NOPERM,
            "the target refuses to read the mark %s (%.160s): allow its user HMGET and HSET on the keys "
            "df2redis:*",
            key, reply->str);
    else
        error_fatal(&error, EX_CONFIG,
                    "the target's key %s is not a mark of df2redis%s%.100s%s: remove the key, or choose "
                    "another --name",
                    key, refused ? " (" : "", refused ? reply->str : "", refused ? ")" : "");
    greeting_fail(g, &error);
}

static void on_mark(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    if (reply->type == REDIS_REPLY_ERROR || !mark_read(reply, &g->mark))
        mark_unreadable(g, g->config->mark_key, reply);
    else
        greeting_finish(g);
}

static void on_slot_mark(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    struct slot_mark mark;
    uint16_t slot = g->slots[g->slots_told++];
    bool elsewhere = reply->type == REDIS_REPLY_ERROR &&
                     refusal_class(slice_of(reply->str, (size_t)reply->len)) == REFUSAL_MOVED;
    if (elsewhere) {
        g->callbacks.slot_mark(g->callbacks.arg, slot, NULL);
    } else if (slot_mark_read(reply, &mark)) {
        g->callbacks.slot_mark(g->callbacks.arg, slot, &mark);
    } else {
        char key[SLOT_KEY_BYTES];
        slot_mark_key(key, sizeof key, g->config->settings->name, slot);
        mark_unreadable(g, key, reply);
        return;
    }
    if (g->slots_told == g->slot_count)
        greeting_finish(g);
}

/* COMMAND INFO does not consider the ACL, so WAIT is tried. */
static void on_wait(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    g->target.wait = reply->type == REDIS_REPLY_INTEGER;
}

static void on_query_limit(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    capabilities_query_limit(&g->target, reply);
}

/* The answer to INFO MEMORY: "maxmemory_policy:allkeys-lru" and others. */
static void on_memory(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    g->target.evicts_any = reply->type == REDIS_REPLY_STRING &&
                           strstr(reply->str, "maxmemory_policy:allkeys-") &&
                           !strstr(reply->str, "maxmemory:0\r\n");
    if (g->config->in_cluster && !g->slot_count)
        greeting_finish(g); /* an empty master has no marks: this was the last answer */
}

static void ask_marks(struct greeting *g)
{
    const struct link_config *config = g->config;
    if (config->in_cluster)
        g->slot_count = g->callbacks.slots(g->callbacks.arg, &g->slots);
    client_words(g->client, ANSWER_TIMEOUT_MS, on_query_limit, g, "CONFIG", "GET",
                 "client-query-buffer-limit", NULL);
    client_words(g->client, ANSWER_TIMEOUT_MS, on_memory, g, "INFO", "memory", NULL);
    if (!config->in_cluster) {
        client_words(g->client, ANSWER_TIMEOUT_MS, on_mark, g, "HMGET", config->mark_key, config->mark_field,
                     MARK_FLUSHED_FIELD, MARK_RUN_FIELD, NULL);
        return;
    }
    if (!g->slot_count)
        return;
    client_words(g->client, ANSWER_TIMEOUT_MS, on_wait, g, "WAIT", "0", "0", NULL);
    for (size_t i = 0; i < g->slot_count; i++)
        slot_mark_ask(g->client, config, g->slots[i], on_slot_mark, g);
}

static void on_time(struct client *c, const redisReply *reply, void *arg)
{
    struct greeting *g = arg;
    uint64_t seconds, micros;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->str &&
        reply->element[1]->str && slice_to_u64(slice_str(reply->element[0]->str), &seconds) &&
        slice_to_u64(slice_str(reply->element[1]->str), &micros) && seconds < UINT32_MAX * UINT64_C(1000))
        g->target.clock_ahead_ms = (int64_t)(seconds * 1000 + micros / 1000) - clock_unix_ms();
    g->target.import_mode = client_is_import_source(c);
    if (g->target.import_mode)
        log_debug("the target is in import mode: it expires no keys");
    ask_marks(g);
}

static void ask_time(struct greeting *g)
{
    client_words(g->client, ANSWER_TIMEOUT_MS, on_time, g, "TIME", NULL);
}

/* ---- databases ---- */

static void select_database(struct greeting *g, uint32_t database, client_reply tell)
{
    char number[16];
    snprintf(number, sizeof number, "%u", database);
    client_words(g->client, ANSWER_TIMEOUT_MS, tell, g, "SELECT", number, NULL);
}

/* False: refused, and the greeting has failed. */
static bool select_taken(struct greeting *g, const redisReply *reply)
{
    struct error error;
    if (reply->type != REDIS_REPLY_ERROR)
        return true;
    if (refusal_class(slice_of(reply->str, (size_t)reply->len)) == REFUSAL_WAIT)
        error_set(&error, ERROR_RETRY, "SELECT: %.200s", reply->str);
    else
        error_fatal(&error, EX_NOPERM, "the target refuses SELECT (%.200s): allow its user SELECT",
                    reply->str);
    greeting_fail(g, &error);
    return false;
}

/* That of the mark. */
static void on_own_selected(struct client *c, const redisReply *reply, void *arg)
{
    struct greeting *g = arg;
    (void)c;
    if (select_taken(g, reply))
        ask_time(g);
}

static void on_databases_known(struct greeting *g)
{
    struct error error;
    uint32_t own = g->config->settings->target.db;
    g->target.databases = g->databases.there;
    if (own < g->target.databases) {
        select_database(g, own, on_own_selected);
        return;
    }
    error_fatal(&error, EX_CONFIG,
                "the target has %u database%s, and its URI names database %u: name another one, or raise "
                "`databases` in "
                "its configuration",
                g->target.databases, g->target.databases == 1 ? "" : "s", own);
    greeting_fail(g, &error);
}

static void ask_database(struct greeting *g);

static void on_select(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    bool taken = reply->type != REDIS_REPLY_ERROR;
    enum refusal refusal = taken ? REFUSAL_COMMAND : refusal_class(slice_of(reply->str, (size_t)reply->len));
    bool lacks = !taken && refusal == REFUSAL_COMMAND && g->database != 0;
    if (!lacks && !select_taken(g, reply))
        return;
    database_search_answer(&g->databases, g->database, taken);
    ask_database(g);
}

static void ask_database(struct greeting *g)
{
    if (database_search_next(&g->databases, &g->database))
        select_database(g, g->database, on_select);
    else
        on_databases_known(g);
}

static void on_capability(struct client *c, const redisReply *reply, void *arg)
{
    struct greeting *g = arg;
    struct error error;
    if (!capabilities_reply(&g->target, g->capability++, reply, &error)) {
        greeting_fail(g, &error);
        return;
    }
    if (g->capability < CAPABILITIES_COMMANDS)
        return;
    (void)c;
    if (g->target.cluster && !g->config->in_cluster) {
        struct greeting_callbacks callbacks = g->callbacks;
        greeting_free(g);
        callbacks.is_cluster(callbacks.arg);
        return;
    }
    if (g->target.replica) {
        /* A master when the run began: a failover is in progress. */
        error_set(&error, ERROR_RETRY, "it is a replica now, of %s", g->target.master_text);
        greeting_fail(g, &error);
        return;
    }
    if (!capabilities_check(&g->target, &error)) {
        greeting_fail(g, &error);
        return;
    }
    if (g->config->in_cluster) {
        ask_time(g);
        return;
    }
    database_search_begin(&g->databases, g->target.databases, g->target.databases_told);
    ask_database(g);
}

static void ask_capabilities(struct greeting *g)
{
    struct slice argv[64];
    for (int i = 0; i < CAPABILITIES_COMMANDS; i++) {
        size_t argc = capabilities_command(i, argv, sizeof argv / sizeof *argv);
        client_command(g->client, ANSWER_TIMEOUT_MS, on_capability, g, argc, argv);
    }
}

/* CLIENT SETNAME, LIST and KILL are required: without them the server may run commands that a dead worker left in its
 * receive buffer. True: refused, and the greeting has failed. */
static bool clients_refused(struct greeting *g, const char *command, const redisReply *reply)
{
    struct error error;
    bool gone = reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "No such client");
    if (reply->type != REDIS_REPLY_ERROR || gone)
        return false;
    if (refusal_class(slice_of(reply->str, (size_t)reply->len)) == REFUSAL_WAIT)
        error_set(&error, ERROR_RETRY, "%s: %.200s", command, reply->str);
    else
        error_fatal(
            &error, EX_NOPERM,
            "the target refuses %s (%.160s), and without it commands of a broken connection may run twice: "
            "allow its user CLIENT|SETNAME, CLIENT|LIST and CLIENT|KILL",
            command, reply->str);
    greeting_fail(g, &error);
    return true;
}

static void on_kill(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    if (!clients_refused(g, "CLIENT KILL", reply) && --g->kills == 0)
        ask_capabilities(g);
}

/* One line of CLIENT LIST: "id=7 addr=… name=… …". */
static bool line_value(struct slice line, const char *name, struct slice *value)
{
    size_t n = strlen(name);
    struct slice word;
    while (mark_next_word(&line, &word))
        if (word.len >= n && memcmp(word.data, name, n) == 0) {
            *value = slice_of(word.data + n, word.len - n);
            return true;
        }
    return false;
}

static void kill_line(struct greeting *g, struct slice line, struct slice own_id)
{
    struct slice id, name;
    if (!line_value(line, "id=", &id) || !line_value(line, "name=", &name) ||
        !slice_eq(name, slice_str(g->config->client_name)) || slice_eq(id, own_id))
        return;
    struct slice argv[] = {slice_str("CLIENT"), slice_str("KILL"), slice_str("ID"), id};
    g->kills++;
    client_command(g->client, ANSWER_TIMEOUT_MS, on_kill, g, 4, argv);
}

static void on_list(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct greeting *g = arg;
    if (clients_refused(g, "CLIENT LIST", reply))
        return;
    /* The newest connection with this client name is the current one. */
    struct slice own = slice_of("", 0);
    uint64_t newest = 0;
    for (int pass = 0; pass < 2; pass++) {
        const char *at = reply->str;
        const char *end = reply->str + reply->len;
        while (at < end) {
            const char *line_end = memchr(at, '\n', (size_t)(end - at));
            if (!line_end)
                line_end = end;
            struct slice line = slice_of(at, (size_t)(line_end - at)), id, name;
            uint64_t n;
            if (pass == 1) {
                kill_line(g, line, own);
            } else if (line_value(line, "id=", &id) && line_value(line, "name=", &name) &&
                       slice_eq(name, slice_str(g->config->client_name)) && slice_to_u64(id, &n) &&
                       n >= newest) {
                newest = n;
                own = id;
            }
            at = line_end + 1;
        }
    }
    if (!g->kills)
        ask_capabilities(g);
}

static void on_named(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    clients_refused(arg, "CLIENT SETNAME", reply);
}

static void on_ready(struct client *c, void *arg)
{
    struct greeting *g = arg;
    client_words(c, ANSWER_TIMEOUT_MS, on_named, g, "CLIENT", "SETNAME", g->config->client_name, NULL);
    client_words(c, ANSWER_TIMEOUT_MS, on_list, g, "CLIENT", "LIST", NULL);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    greeting_fail(arg, error);
}

struct greeting *greeting_begin(struct event_base *base, const struct link_config *config,
                                const struct greeting_callbacks *callbacks, struct error *error)
{
    struct greeting *g = x_calloc(1, sizeof *g);
    g->config = config;
    g->callbacks = *callbacks;
    struct client_callbacks on = {g, on_ready, on_failed};
    g->client = client_connect(base, config->uri ? config->uri : &config->settings->target, config->settings,
                               config->who ? config->who : "target", &on, error);
    if (!g->client) {
        free(g);
        return NULL;
    }
    return g;
}
