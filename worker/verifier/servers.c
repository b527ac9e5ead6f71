/* One server after the other: the source, the target as it is named, then each master of a cluster. */
#include "worker/verifier/servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/net/client.h"
#include "common/net/resp.h"

enum { ANSWER_TIMEOUT_MS = 20000 };

struct inquiry {
    struct event_base *base;
    const struct settings *settings;
    const char *client_name;
    struct servers_callbacks callbacks;
    struct servers *servers;
    struct client *client;
    struct event *soon; /* for work that must not run within a callback of a client */
    struct capabilities told;
    int capability;
    size_t master; /* that is asked */
    bool of_source, of_masters, over;
    struct error trouble;
};

void servers_free(struct servers *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->master_count; i++)
        uri_free(&s->masters[i].uri);
    free(s->masters);
    topology_free(&s->topology);
    free(s);
}

size_t servers_master_of(const struct servers *s, struct slice key)
{
    uint16_t node;
    if (!s->target.cluster || (node = topology_owner(&s->topology, key_slot(key))) == TOPOLOGY_NOBODY)
        return 0;
    for (size_t i = 0; i < s->master_count; i++)
        if (strcmp(s->masters[i].id, s->topology.nodes[node].id) == 0)
            return i;
    return 0;
}

static void inquiry_fail(struct inquiry *q, const struct error *why)
{
    if (q->trouble.class)
        return;
    q->trouble = *why;
    event_active(q->soon, EV_TIMEOUT, 1);
}

static void inquiry_fail_answer(struct inquiry *q, const char *command, const redisReply *reply)
{
    struct error why;
    const char *side = q->of_source ? "source" : "target";
    if (resp_error_is(reply, "NOPERM"))
        error_fatal(&why, EX_NOPERM,
                    "the %s refuses %s (%s): allow its user the commands of df2redis check --acl", side,
                    command, resp_text(reply));
    else
        error_set(&why, ERROR_RETRY, "the %s answers %s with %s", side, command, resp_text(reply));
    inquiry_fail(q, &why);
}

/* Goes on with the next server, outside of the client's callback. */
static void server_asked(struct inquiry *q)
{
    event_active(q->soon, EV_TIMEOUT, 1);
}

/* ---- answers ---- */

/* "db0:keys=1,expires=0,…", a line each. */
static void read_keyspace(struct keyspace *k, const char *text)
{
    for (const char *at = text; at; at = strchr(at, '\n')) {
        unsigned db;
        unsigned long long keys;
        at += *at == '\n';
        if (sscanf(at, "db%u:keys=%llu", &db, &keys) != 2 || k->count == SERVERS_DATABASES_MAX)
            continue;
        size_t place = k->count++;
        for (; place && k->dbs[place - 1] > db; place--)
            k->dbs[place] = k->dbs[place - 1];
        k->dbs[place] = db;
        k->keys += keys;
    }
}

static void on_keyspace(struct client *c, const redisReply *reply, void *arg)
{
    struct inquiry *q = arg;
    (void)c;
    if (!reply->str || reply->type == REDIS_REPLY_ERROR) {
        inquiry_fail_answer(q, "INFO", reply);
        return;
    }
    read_keyspace(q->of_source ? &q->servers->source : &q->servers->masters[q->master].keyspace, reply->str);
    server_asked(q);
}

static void on_replication(struct client *c, const redisReply *reply, void *arg)
{
    struct inquiry *q = arg;
    static const char field[] = "master_replid:";
    const char *at = reply->str ? strstr(reply->str, field) : NULL;
    (void)c;
    if (at)
        snprintf(q->servers->master_id, sizeof q->servers->master_id, "%.40s", at + sizeof field - 1);
}

static void on_minmsz(struct client *c, const redisReply *reply, void *arg)
{
    struct inquiry *q = arg;
    (void)c;
    q->servers->lists_large = reply->type == REDIS_REPLY_ARRAY;
}

static void on_slots(struct client *c, const redisReply *reply, void *arg)
{
    struct inquiry *q = arg;
    struct servers *s = q->servers;
    struct error why;
    (void)c;
    if (!topology_parse(&s->topology, reply, &q->settings->target, &why) ||
        !topology_complete(&s->topology, &why)) {
        inquiry_fail(q, &why);
        return;
    }
    uri_free(&s->masters[0].uri);
    s->masters = x_realloc(s->masters, (s->topology.count + 1) * sizeof *s->masters);
    s->master_count = 0;
    for (size_t i = 0; i < s->topology.count; i++) {
        const struct topology_node *node = &s->topology.nodes[i];
        struct master *m = &s->masters[s->master_count];
        if (!node->slots)
            continue;
        *m = (struct master){0};
        topology_uri(&s->topology, i, &q->settings->target, &m->uri);
        snprintf(m->id, sizeof m->id, "%s", node->id);
        s->master_count++;
    }
    q->of_masters = true;
    q->master = SIZE_MAX; /* the next one is the first */
    server_asked(q);
}

static void ask_keyspace(struct inquiry *q)
{
    client_words(q->client, ANSWER_TIMEOUT_MS, on_keyspace, q, "INFO", "KEYSPACE", NULL);
}

/* All answers of the probe are there. */
static void on_probed(struct inquiry *q)
{
    struct servers *s = q->servers;
    struct error why;
    if (!q->told.cluster && !capabilities_check(&q->told, &why)) {
        inquiry_fail(q, &why);
    } else if (q->told.cluster && !q->of_masters) {
        s->target.cluster = true;
        client_words(q->client, ANSWER_TIMEOUT_MS, on_slots, q, "CLUSTER", "SLOTS", NULL);
    } else {
        if (q->master == 0)
            s->target = q->told;
        else
            capabilities_merge(&s->target, &q->told);
        memcpy(s->masters[q->master].run_id, q->told.run_id, sizeof q->told.run_id);
        ask_keyspace(q);
    }
}

static void on_capability(struct client *c, const redisReply *reply, void *arg)
{
    struct inquiry *q = arg;
    struct error why;
    (void)c;
    if (q->trouble.class)
        return;
    if (!capabilities_reply(&q->told, q->capability, reply, &why))
        inquiry_fail(q, &why);
    else if (++q->capability == CAPABILITIES_COMMANDS)
        on_probed(q);
}

/* ---- questions ---- */

static void ask_source(struct inquiry *q)
{
    client_words(q->client, ANSWER_TIMEOUT_MS, on_replication, q, "INFO", "REPLICATION", NULL);
    client_words(q->client, ANSWER_TIMEOUT_MS, on_minmsz, q, "SCAN", "0", "COUNT", "1", "MINMSZ", "1", NULL);
    ask_keyspace(q);
}

static void ask_target(struct inquiry *q)
{
    memset(&q->told, 0, sizeof q->told);
    q->capability = 0;
    for (int i = 0; i < CAPABILITIES_COMMANDS; i++) {
        struct slice argv[CAPABILITIES_MAX_ARGS];
        size_t argc = capabilities_command(i, argv, CAPABILITIES_MAX_ARGS);
        client_command(q->client, ANSWER_TIMEOUT_MS, on_capability, q, argc, argv);
    }
}

static void on_ready(struct client *c, void *arg)
{
    struct inquiry *q = arg;
    client_words(c, ANSWER_TIMEOUT_MS, NULL, NULL, "CLIENT", "SETNAME", q->client_name, NULL);
    if (q->of_source)
        ask_source(q);
    else
        ask_target(q);
}

/* The client is freed by on_soon(), or with the inquiry. */
static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    inquiry_fail(arg, error);
}

static bool connect_to(struct inquiry *q, const struct uri *uri, struct error *error)
{
    const struct client_callbacks on = {q, on_ready, on_failed};
    client_free(q->client);
    q->client = client_connect(q->base, uri, q->settings, q->of_source ? "source" : "target", &on, error);
    return q->client != NULL;
}

/* False: there is none left. */
static bool ask_next_server(struct inquiry *q, struct error *error)
{
    struct servers *s = q->servers;
    if (!q->of_source && ++q->master >= s->master_count)
        return false;
    if (q->of_source)
        q->master = 0;
    q->of_source = false;
    if (!connect_to(q, &s->masters[q->master].uri, error))
        q->trouble = *error;
    return true;
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct inquiry *q = arg;
    struct servers_callbacks callbacks = q->callbacks;
    struct error error;
    (void)fd, (void)what;
    if (q->over)
        return;
    if (!q->trouble.class && ask_next_server(q, &error) && !q->trouble.class)
        return;
    q->over = true;
    client_free(q->client);
    q->client = NULL;
    if (q->trouble.class) {
        struct error why = q->trouble;
        callbacks.failed(callbacks.arg, &why);
        return;
    }
    struct servers *s = q->servers;
    q->servers = NULL;
    callbacks.done(callbacks.arg, s);
}

struct inquiry *inquiry_begin(struct event_base *base, const struct settings *settings,
                              const char *client_name, const struct servers_callbacks *callbacks,
                              struct error *error)
{
    struct inquiry *q = x_calloc(1, sizeof *q);
    q->base = base;
    q->settings = settings;
    q->client_name = client_name;
    q->callbacks = *callbacks;
    q->of_source = true;
    q->servers = x_calloc(1, sizeof *q->servers);
    q->servers->masters = x_calloc(1, sizeof *q->servers->masters);
    q->servers->master_count = 1;
    uri_copy(&q->servers->masters[0].uri, &settings->target);
    q->soon = event_new(base, -1, 0, on_soon, q);
    if (connect_to(q, &settings->source, error))
        return q;
    inquiry_free(q);
    return NULL;
}

void inquiry_free(struct inquiry *q)
{
    if (!q)
        return;
    client_free(q->client);
    event_free(q->soon);
    servers_free(q->servers);
    free(q);
}
