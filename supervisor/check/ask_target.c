/* A connection to each master: TIME alone, for the round trip, then the rest at once. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/net/client.h"
#include "supervisor/check/ask.h"

enum { CLIENTS_BYTES = 64 << 20 }; /* of CLIENT LIST */

struct master {
    struct ask_target *ask;
    struct client *client;
    uint64_t asked_us;
    bool over;
};

struct ask_target {
    const struct settings *settings;
    bool cluster;
    struct target_more *out;
    void (*done)(void *arg);
    void *arg;
    struct master *masters;
    size_t count, pending;
    bool any; /* of TIME */
};

/* What a master did not tell is unknown. */
static void leave_unknown(struct target_more *m)
{
    m->query_limit_known = m->persistence_known = m->replicas_known = m->slots_known = m->runs_known = false;
    m->clock.known = false;
}

static void finish(struct master *m)
{
    struct ask_target *a = m->ask;
    if (m->over)
        return;
    m->over = true;
    if (--a->pending == 0)
        a->done(a->arg);
}

static bool config_value(const redisReply *reply, struct slice *out)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[1]->str)
        return false;
    *out = slice_of(reply->element[1]->str, (size_t)reply->element[1]->len);
    return true;
}

static void on_last(struct client *c, const redisReply *reply, void *arg)
{
    (void)c, (void)reply;
    finish(arg);
}

static void on_clients(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_target *a = ((struct master *)arg)->ask;
    target_more_clients(a->out, reply, a->settings->name);
}

static void on_persistence(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    target_more_persistence(((struct master *)arg)->ask->out, reply);
}

static void on_replication(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    target_more_replication(((struct master *)arg)->ask->out, reply);
}

/* Unless it is told, as by default. */
static void on_stops(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct slice value;
    struct target_more *m = ((struct master *)arg)->ask->out;
    m->save_stops_writes |= !config_value(reply, &value) || slice_is(value, "yes");
}

static void on_replicas_needed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct slice value;
    uint64_t n;
    struct target_more *m = ((struct master *)arg)->ask->out;
    if (config_value(reply, &value) && slice_to_u64(value, &n) && n > m->replicas_needed)
        m->replicas_needed = n;
}

static void on_query_limit(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct slice value;
    uint64_t n = 0;
    struct target_more *m = ((struct master *)arg)->ask->out;
    bool known = config_value(reply, &value) && slice_to_u64(value, &n);
    m->query_limit_known &= known;
    if (known && (!m->query_bytes || n < m->query_bytes))
        m->query_bytes = n;
}

/* Of a slot that is open, two masters tell: the one that it migrates from counts. */
static void on_move(void *arg, uint16_t slot, bool importing, const char *id)
{
    (void)slot, (void)id;
    ((struct target_more *)arg)->open_slots += !importing;
}

static void on_nodes(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_more *m = ((struct master *)arg)->ask->out;
    m->slots_known &= reply->type == REDIS_REPLY_STRING;
    topology_each_move(reply, on_move, m);
}

static void take_clock(struct ask_target *a, const struct clock_facts *one)
{
    struct clock_facts *all = &a->out->clock;
    bool farther = !a->any || llabs((long long)one->ahead_ms) > llabs((long long)all->ahead_ms);
    if (!one->known || (a->any && !all->known)) {
        all->known = false;
    } else {
        all->known = true;
        all->ahead_ms = farther ? one->ahead_ms : all->ahead_ms;
        if (one->round_trip_us > all->round_trip_us)
            all->round_trip_us = one->round_trip_us;
    }
    a->any = true;
}

static void on_time(struct client *c, const redisReply *reply, void *arg)
{
    struct master *m = arg;
    uint32_t timeout_ms = m->ask->settings->connect_timeout_ms;
    struct clock_facts clock = {0};
    clock_facts_read(&clock, reply, clock_monotonic_us() - m->asked_us, clock_unix_ms());
    take_clock(m->ask, &clock);
    client_words(c, timeout_ms, on_query_limit, m, "CONFIG", "GET", "client-query-buffer-limit", NULL);
    client_words(c, timeout_ms, on_stops, m, "CONFIG", "GET", "stop-writes-on-bgsave-error", NULL);
    client_words(c, timeout_ms, on_replicas_needed, m, "CONFIG", "GET", "min-replicas-to-write", NULL);
    client_words(c, timeout_ms, on_persistence, m, "INFO", "persistence", NULL);
    client_words(c, timeout_ms, on_replication, m, "INFO", "replication", NULL);
    client_words(c, timeout_ms, on_clients, m, "CLIENT", "LIST", NULL);
    if (m->ask->cluster)
        client_words(c, timeout_ms, on_nodes, m, "CLUSTER", "NODES", NULL);
    client_words(c, timeout_ms, on_last, m, "PING", NULL);
}

static void on_ready(struct client *c, void *arg)
{
    struct master *m = arg;
    client_reply_limit(c, CLIENTS_BYTES);
    m->asked_us = clock_monotonic_us();
    client_words(c, m->ask->settings->connect_timeout_ms, on_time, m, "TIME", NULL);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c, (void)error;
    struct master *m = arg;
    leave_unknown(m->ask->out);
    finish(m);
}

static bool connect_to(struct event_base *base, struct master *m, const struct uri *uri)
{
    struct client_callbacks callbacks = {.arg = m, .ready = on_ready, .failed = on_failed};
    struct error error = {0};
    m->client = client_connect(base, uri, m->ask->settings, "target", &callbacks, &error);
    return m->client != NULL;
}

struct ask_target *ask_target_start(struct event_base *base, const struct settings *settings,
                                    const struct topology *masters, struct target_more *out,
                                    void (*done)(void *arg), void *arg)
{
    struct ask_target *a = x_calloc(1, sizeof *a);
    bool ok = true;
    *a = (struct ask_target){.settings = settings,
                             .cluster = masters->count > 0,
                             .out = out,
                             .done = done,
                             .arg = arg,
                             .count = masters->count ? masters->count : 1};
    a->pending = a->count;
    a->masters = x_calloc(a->count, sizeof *a->masters);
    *out = (struct target_more){.query_limit_known = true,
                                .persistence_known = true,
                                .replicas_known = true,
                                .slots_known = true,
                                .runs_known = true,
                                .replicas = UINT64_MAX};
    for (size_t i = 0; ok && i < a->count; i++) {
        struct uri uri = {0};
        a->masters[i].ask = a;
        if (a->cluster)
            topology_uri(masters, i, &settings->target, &uri);
        else
            uri_copy(&uri, &settings->target);
        ok = connect_to(base, &a->masters[i], &uri);
        uri_free(&uri);
    }
    if (ok)
        return a;
    leave_unknown(out);
    ask_target_free(a);
    return NULL;
}

void ask_target_free(struct ask_target *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++) {
        a->masters[i].over = true;
        client_free(a->masters[i].client);
    }
    free(a->masters);
    free(a);
}
