/* The control connection. Replies come in order, so the greeting is a list of steps:
 *
 *   (AUTH: client.c)  PING  REPLCONF listening-port  REPLCONF capa eof capa psync2  REPLCONF capa dragonfly
 *   → master id, sync id, FLOW count, version, lineage    REPLCONF CLIENT-ID    REPLCONF CLIENT-VERSION */
#include "supervisor/source/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "common/log/log.h"
#include "common/net/client.h"
#include "common/redis/capabilities.h"
#include "supervisor/rules/databases.h"
#include "supervisor/source/source_facts.h"

struct source {
    const struct settings *settings;
    struct source_callbacks callbacks;
    struct client *client;
    char name[256]; /* for messages */
    char client_id[41];
    struct greeting greeting;
    struct source_facts facts;
    uint64_t keys, keys_wanted;
    bool keys_known;
    uint32_t *databases;
    size_t database_count;
    bool over; /* `failed` was called */
    bool ping_waits;
    uint64_t pinged_ms;
    uint64_t *lsns;
    size_t lsn_count;
    unsigned roles_asked;
    bool is_master; /* as answered last */
    char refusal[128];
    void (*omits_answered)(bool told, uint64_t omits, void *arg);
    void (*role_answered)(bool master, int64_t role_changes, const char *text, void *arg);
};

enum { PING_PATIENCE = 3 };

/* Shown in the master's INFO and ROLE: df2redis does not listen for clients. */
static const char *const LISTENING_PORT = "0";

static bool is_status(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STATUS && strcasecmp(reply->str, word) == 0;
}

static void source_fail(struct source *s, const struct error *error)
{
    if (s->over)
        return;
    s->over = true;
    s->callbacks.failed(error, s->callbacks.arg);
}

static void on_ready(struct client *c, void *arg)
{
    (void)c;
    struct source *s = arg;
    s->callbacks.connected(s->callbacks.arg);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    source_fail(arg, error);
}

static void on_lsns(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source *s = arg;
    if (s->over)
        return;
    bool numbers = reply->type == REDIS_REPLY_ARRAY && reply->elements <= SOURCE_MAX_FLOWS;
    s->facts.dfly_refused =
        reply->type == REDIS_REPLY_ERROR && strncasecmp(reply->str, "NOPERM", strlen("NOPERM")) == 0;
    for (size_t i = 0; numbers && i < reply->elements; i++)
        numbers = reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer >= 0;
    if (numbers) {
        s->lsns = x_calloc(reply->elements ? reply->elements : 1, sizeof *s->lsns);
        s->lsn_count = reply->elements;
        for (size_t i = 0; i < reply->elements; i++)
            s->lsns[i] = (uint64_t)reply->element[i]->integer;
    }
    s->callbacks.greeted(&s->greeting, s->callbacks.arg);
}

static int64_t role_changes_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? greeting_role_changes(slice_of(reply->str, (size_t)reply->len))
                                             : -1;
}

/* Asked before the FLOWs are: their answers cover the journal at least up to these LSNs. */
static void on_role_changes(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    if (s->over)
        return;
    s->greeting.role_changes = role_changes_of(reply);
    client_words(c, s->settings->connect_timeout_ms, on_lsns, s, "DFLY", "REPLICAOFFSET", NULL);
}

/* Used by the progress bars, and for targets with fewer databases. An ACL may forbid it. */
static void on_keyspace(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    if (s->over)
        return;
    if (reply->type == REDIS_REPLY_STRING) {
        struct slice text = slice_of(reply->str, (size_t)reply->len);
        s->keys = info_keys(text);
        s->keys_wanted = info_keys_wanted(text, s->settings);
        s->keys_known = memmem(text.data, text.len, "# Keyspace", 10) != NULL;
        free(s->databases);
        s->database_count = info_databases(text, &s->databases);
    }
    client_words(c, s->settings->connect_timeout_ms, on_role_changes, s, "INFO", "COMMANDSTATS", NULL);
}

/* A source that is still loading does not know all of its keys. */
static void on_facts(void *arg)
{
    struct source *s = arg;
    struct error error = {0};
    if (s->over)
        return;
    if (!s->facts.loading) {
        client_words(s->client, s->settings->connect_timeout_ms, on_keyspace, s, "INFO", "KEYSPACE", NULL);
        return;
    }
    error_set(&error, ERROR_RETRY, "source %s is still loading its data: try again when it is ready",
              s->name);
    source_fail(s, &error);
}

static void ask_facts(struct source *s)
{
    source_facts_ask(s->client, s->settings->connect_timeout_ms, &s->facts, on_facts, s);
}

/* Commands in which this release differs from Redis are translated. An unknown release is not an error. */
static void on_release(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source *s = arg;
    if (s->over)
        return;
    if (reply->type == REDIS_REPLY_STRING)
        s->greeting.release = greeting_release(slice_of(reply->str, (size_t)reply->len));
    ask_facts(s);
}

static void ask_release(struct source *s)
{
    client_words(s->client, s->settings->connect_timeout_ms, on_release, s, "INFO", "SERVER", NULL);
}

static void on_version(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source *s = arg;
    struct error error = {0};
    if (s->over)
        return;
    if (is_status(reply, "OK")) {
        ask_release(s);
        return;
    }
    source_refusal(reply, "REPLCONF CLIENT-VERSION", s->name, &error);
    source_fail(s, &error);
}

static void on_client_id(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    if (s->over)
        return;
    if (!is_status(reply, "OK"))
        log_warning("source %s does not take our name (REPLCONF CLIENT-ID): %.200s", s->name,
                    reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
    if (s->greeting.version == 0) {
        /* Before 1.4 there is no CLIENT-VERSION. */
        ask_release(s);
        return;
    }
    char version[16];
    snprintf(version, sizeof version, "%u",
             s->greeting.version < SOURCE_MAX_VERSION ? s->greeting.version : SOURCE_MAX_VERSION);
    client_words(c, s->settings->connect_timeout_ms, on_version, s, "REPLCONF", "CLIENT-VERSION", version,
                 NULL);
}

static void on_capa_dragonfly(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    struct error error = {0};
    if (s->over)
        return;
    if (!greeting_parse(reply, s->name, &s->greeting, &error)) {
        source_fail(s, &error);
        return;
    }
    client_words(c, s->settings->connect_timeout_ms, on_client_id, s, "REPLCONF", "CLIENT-ID", s->client_id,
                 NULL);
}

static void on_capa(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    struct error error = {0};
    if (s->over)
        return;
    if (!is_status(reply, "OK")) {
        source_refusal(reply, "REPLCONF capa", s->name, &error);
        source_fail(s, &error);
        return;
    }
    client_words(c, s->settings->connect_timeout_ms, on_capa_dragonfly, s, "REPLCONF", "capa", "dragonfly",
                 NULL);
}

static void on_port(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    struct error error = {0};
    if (s->over)
        return;
    if (!is_status(reply, "OK")) {
        source_refusal(reply, "REPLCONF listening-port", s->name, &error);
        source_fail(s, &error);
        return;
    }
    client_words(c, s->settings->connect_timeout_ms, on_capa, s, "REPLCONF", "capa", "eof", "capa", "psync2",
                 NULL);
}

static void on_pong(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    struct error error = {0};
    if (s->over)
        return;
    if (!is_status(reply, "PONG")) {
        source_refusal(reply, "PING", s->name, &error);
        source_fail(s, &error);
        return;
    }
    client_words(c, s->settings->connect_timeout_ms, on_port, s, "REPLCONF", "listening-port", LISTENING_PORT,
                 NULL);
}

static void on_phase(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source *s = arg;
    if (s->over)
        return;
    bool ok = is_status(reply, "OK");
    s->callbacks.phase_answered(ok, reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer",
                                s->callbacks.arg);
}

struct source *source_connect(struct event_base *base, const struct settings *settings, const struct uri *uri,
                              const char *client_id, const struct source_callbacks *callbacks,
                              struct error *error)
{
    struct source *s = x_calloc(1, sizeof *s);
    s->settings = settings;
    s->callbacks = *callbacks;
    uri_display(uri, s->name, sizeof s->name);
    snprintf(s->client_id, sizeof s->client_id, "%s", client_id);
    struct client_callbacks client_callbacks = {.arg = s, .ready = on_ready, .failed = on_failed};
    s->client = client_connect(base, uri, settings, "source", &client_callbacks, error);
    if (!s->client) {
        free(s);
        return NULL;
    }
    return s;
}

void source_greet(struct source *s)
{
    client_words(s->client, s->settings->connect_timeout_ms, on_pong, s, "PING", NULL);
}

bool source_send_phase(struct source *s, struct session *session, enum phase_command command)
{
    if (s->over || !session_take_permit(session, command))
        return false;
    /* No timeout: a busy master may take long, and timers.c watches for progress. */
    client_words(s->client, 0, on_phase, s, "DFLY", command == PHASE_SYNC ? "SYNC" : "STARTSTABLE",
                 s->greeting.sync_id, NULL);
    return true;
}

static void on_stable_pong(struct client *c, const redisReply *reply, void *arg)
{
    (void)c, (void)reply;
    struct source *s = arg;
    s->ping_waits = false;
}

void source_ping(struct source *s, uint64_t now_ms)
{
    uint32_t every_ms = s->settings->connect_timeout_ms;
    if (s->over || s->ping_waits || now_ms - s->pinged_ms < every_ms)
        return;
    s->ping_waits = true;
    s->pinged_ms = now_ms;
    /* The patience of a master with its replicas: a session ended too soon may cost a full sync. */
    client_words(s->client, every_ms * PING_PATIENCE, on_stable_pong, s, "PING", NULL);
}

static void on_role(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source *s = arg;
    s->is_master = is_status(reply, "OK");
    snprintf(s->refusal, sizeof s->refusal, "%s",
             reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
}

static void on_changes_now(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source *s = arg;
    if (s->over || --s->roles_asked > 0)
        return;
    s->role_answered(s->is_master, role_changes_of(reply), s->refusal, s->callbacks.arg);
}

void source_ask_role(struct source *s,
                     void (*answered)(bool master, int64_t role_changes, const char *text, void *arg))
{
    uint32_t timeout_ms = s->settings->connect_timeout_ms * PING_PATIENCE;
    if (s->over)
        return;
    s->roles_asked++;
    s->role_answered = answered;
    client_words(s->client, timeout_ms, on_role, s, "REPLCONF", "listening-port", LISTENING_PORT, NULL);
    client_words(s->client, timeout_ms, on_changes_now, s, "INFO", "COMMANDSTATS", NULL);
}

static void on_omits(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source *s = arg;
    uint64_t omits = 0;
    bool told =
        reply->type == REDIS_REPLY_STRING && source_omits(slice_of(reply->str, (size_t)reply->len), &omits);
    if (!s->over)
        s->omits_answered(told, omits, s->callbacks.arg);
}

void source_ask_omits(struct source *s, void (*answered)(bool told, uint64_t omits, void *arg))
{
    uint32_t timeout_ms = s->settings->connect_timeout_ms * PING_PATIENCE;
    if (s->over)
        return;
    s->omits_answered = answered;
    client_words(s->client, timeout_ms, on_omits, s, "INFO", "STATS", NULL);
}

bool source_role_is_asked(const struct source *s)
{
    return s && !s->over && s->roles_asked > 0;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    client_free(s->client);
    free(s->databases);
    free(s->lsns);
    free(s);
}

const uint64_t *source_lsns(const struct source *s, size_t *count)
{
    *count = s ? s->lsn_count : 0;
    return s ? s->lsns : NULL;
}

const struct source_facts *source_facts(const struct source *s)
{
    return &s->facts;
}

uint64_t source_keys(const struct source *s)
{
    return s ? s->keys : 0;
}

bool source_keys_wanted(const struct source *s, uint64_t *keys)
{
    *keys = s ? s->keys_wanted : 0;
    return s && s->keys_known;
}

const uint32_t *source_databases(const struct source *s, size_t *count)
{
    *count = s ? s->database_count : 0;
    return s ? s->databases : NULL;
}
