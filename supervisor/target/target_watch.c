/* One connection to each master. In a cluster one of them is asked for CLUSTER SLOTS every ten seconds, and at once
 * when a master has lost its role or cannot be reached.
 *
 * INFO takes several sections since Redis 7.0; older servers refuse them, and are sent one INFO for each section. */
#include "supervisor/target/target_watch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/net/client.h"
#include "common/redis/capabilities.h"
#include "common/redis/marks.h"

enum {
    ANSWER_LIMIT_MS = 10000,
    RETRY_MS = 1000,
    MASTERS_EVERY_MS = 10000,
    MASTERS_SOON_MS = 1000, /* after a change */
    LEAVING_MS = 10000,     /* for the last answer of one that serves no slots any more */
};

static const char *const sections[] = {"server", "replication", "stats", "memory", "keyspace"};
enum { SECTIONS = sizeof sections / sizeof *sections };

static void forget_sections(struct watched *n)
{
    buf_clear(&n->info);
    n->answers = 0;
    n->refused = false;
}

static void lose_node(struct watched *n, const char *why)
{
    if (strncmp(n->trouble, why, sizeof n->trouble - 1) != 0)
        log_debug("watching the target: %s", why);
    snprintf(n->trouble, sizeof n->trouble, "%s", why);
    client_free(n->client);
    n->client = NULL;
    database_watch_forget(&n->watch->marks);
    n->ready = n->waits = n->again = false;
    forget_sections(n);
    n->connect_due_ms = clock_monotonic_ms() + RETRY_MS;
}

/* ---- answers ---- */

static void ask_node(struct watched *n, uint64_t now_ms);

static void note_refusal(struct watched *n, const redisReply *reply)
{
    bool right = reply->type == REDIS_REPLY_ERROR && strncasecmp(reply->str, "NOPERM", 6) == 0;
    if (right && !n->warned_right)
        log_warning("target %s refuses INFO, and its evictions are not counted: give its user +info",
                    n->name);
    n->warned_right |= right;
    snprintf(n->trouble, sizeof n->trouble, "unexpected answer to INFO: %.200s",
             reply->type == REDIS_REPLY_ERROR ? reply->str : "not a text");
}

static void answered(struct watched *n)
{
    n->waits = false;
    if (n->again)
        ask_node(n, clock_monotonic_ms());
    n->watch->callbacks.told(n->watch->callbacks.arg);
}

static void on_info(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct watched *n = arg;
    if (reply->type == REDIS_REPLY_STRING)
        watched_note_info(n, slice_of(reply->str, reply->len));
    else if (reply->type == REDIS_REPLY_ERROR && strcasestr(reply->str, "syntax"))
        n->single = n->again = true;
    else
        note_refusal(n, reply);
    answered(n);
}

static void on_section(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct watched *n = arg;
    if (reply->type == REDIS_REPLY_STRING)
        buf_put(&n->info, reply->str, reply->len);
    else
        note_refusal(n, reply);
    n->refused |= reply->type != REDIS_REPLY_STRING;
    if (++n->answers < SECTIONS)
        return;
    if (!n->refused)
        watched_note_info(n, buf_slice(&n->info));
    forget_sections(n);
    answered(n);
}

/* The databases may have had any key evicted, or have been emptied by another client. */
static void on_mark_lost(void *arg, uint32_t database, const char *found)
{
    struct target_watch *w = arg;
    struct error error = {0};
    const struct watched *n = w->nodes[0];
    if (watched_evicts(n) && strncmp(n->policy, "allkeys-", 8) == 0)
        error_fatal(&error, EX_CONFIG,
                    "target %s has evicted the run's mark of database %u (maxmemory-policy %s), and may have "
                    "evicted any key: give it more memory and maxmemory-policy noeviction, then start over "
                    "with --flush-target",
                    n->name, database, n->policy);
    else if (*found)
        error_set(&error, ERROR_REDIRECT,
                  "database %u of target %s has the mark of database %s: another client has exchanged them "
                  "(SWAPDB); a full sync is needed",
                  database, n->name, found);
    else
        error_set(&error, ERROR_REDIRECT,
                  "database %u of target %s has lost its mark df2redis:%s%s: another client has emptied it "
                  "(FLUSHDB, FLUSHALL), exchanged it (SWAPDB) or deleted the mark; a full sync is needed",
                  database, n->name, w->settings->name, MARK_DATABASE_SUFFIX);
    w->callbacks.emptied(&error, w->callbacks.arg);
}

/* That of this machine shows at every master: one tells. */
static void on_clock_set(enum clock_verdict verdict, int64_t by_ms, void *arg)
{
    const struct watched *n = arg;
    const struct target_watch *w = n->watch;
    int64_t ahead_ms;
    expiry_watch_ahead(&n->expiry, &ahead_ms);
    if (verdict == CLOCK_SET || n == w->nodes[0])
        w->callbacks.clock_set(verdict == CLOCK_SET ? n->name : NULL, by_ms, ahead_ms, w->callbacks.arg);
}

static void on_import_mode(bool on, void *arg)
{
    const struct watched *n = arg;
    n->watch->callbacks.import_mode(n->name, on, n->watch->callbacks.arg);
}

static void ask_node(struct watched *n, uint64_t now_ms)
{
    if (!n->ready)
        return;
    if (!n->watch->cluster && n->watch->settings->marks)
        database_watch_ask(&n->watch->marks, n->client, ANSWER_LIMIT_MS);
    n->again = n->waits;
    if (n->waits)
        return;
    n->waits = true;
    n->asked_ms = now_ms;
    n->asked_us = clock_monotonic_us();
    expiry_watch_ask(&n->expiry, n->client, ANSWER_LIMIT_MS);
    for (size_t i = 0; n->single && i < SECTIONS; i++)
        client_words(n->client, ANSWER_LIMIT_MS, on_section, n, "INFO", sections[i], NULL);
    if (!n->single)
        client_words(n->client, ANSWER_LIMIT_MS, on_info, n, "INFO", sections[0], sections[1], sections[2],
                     sections[3], sections[4], NULL);
}

/* ---- connections ---- */

static void on_node_ready(struct client *c, void *arg)
{
    (void)c;
    struct watched *n = arg;
    n->ready = true;
    expiry_watch_connected(&n->expiry);
    ask_node(n, clock_monotonic_ms());
}

static void on_node_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    struct watched *n = arg;
    lose_node(n, error->text);
    n->watch->masters_due_ms = 0;
    n->watch->masters_asked = false;
}

static void connect_node(struct watched *n)
{
    struct error error = {0};
    struct client_callbacks callbacks = {.arg = n, .ready = on_node_ready, .failed = on_node_failed};
    n->client = client_connect(n->watch->base, &n->uri, n->watch->settings, "target", &callbacks, &error);
    if (!n->client)
        lose_node(n, error.text);
}

static struct watched *add_node(struct target_watch *w, const struct uri *uri)
{
    struct watched *n = x_calloc(1, sizeof *n);
    n->watch = w;
    n->expiry = (struct expiry_watch){.arg = n, .clock_set = on_clock_set, .import_mode = on_import_mode};
    uri_copy(&n->uri, uri);
    n->uri.db = 0; /* INFO needs no database */
    if (uri->unix_socket)
        snprintf(n->name, sizeof n->name, "%s", uri->host);
    else
        snprintf(n->name, sizeof n->name, strchr(uri->host, ':') ? "[%.240s]:%u" : "%.240s:%u", uri->host,
                 (unsigned)uri->port);
    w->nodes = x_realloc(w->nodes, (w->count + 1) * sizeof(struct watched *));
    w->nodes[w->count++] = n;
    return n;
}

static void free_node(struct watched *n)
{
    client_free(n->client);
    uri_free(&n->uri);
    buf_free(&n->info);
    free(n);
}

/* ---- the masters of a cluster ---- */

static struct watched *find_node(struct target_watch *w, const struct uri *uri)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->nodes[i]->uri.host, uri->host) == 0 && w->nodes[i]->uri.port == uri->port)
            return w->nodes[i];
    return NULL;
}

/* Lists the masters that serve slots. A node without slots is dropped later, after its last answer. */
static void take_masters(struct target_watch *w, const struct topology *t)
{
    uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < w->count; i++) {
        struct watched *n = w->nodes[i];
        n->unlisted_ms = n->listed ? now_ms : n->unlisted_ms;
        n->listed = false;
    }
    for (size_t i = 0; i < t->count; i++) {
        struct uri uri = {0};
        if (!t->nodes[i].slots)
            continue;
        topology_uri(t, i, &w->settings->target, &uri);
        struct watched *n = find_node(w, &uri);
        if (!n)
            n = add_node(w, &uri);
        n->listed = true;
        uri_free(&uri);
    }
}

/* Returns true once it has said what it evicted while it served slots. */
static bool may_drop(struct watched *n, uint64_t now_ms)
{
    if (n->told_ms > n->unlisted_ms)
        return true;
    if (now_ms - n->unlisted_ms < LEAVING_MS)
        return false;
    watched_note_end(n);
    return true;
}

static void drop_unlisted(struct target_watch *w, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct watched *n = w->nodes[i];
        if (n->listed || !may_drop(n, now_ms))
            w->nodes[kept++] = n;
        else
            free_node(n);
    }
    w->count = kept;
}

static void on_slots(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct watched *n = arg;
    struct target_watch *w = n->watch;
    struct topology t = {0};
    w->masters_asked = false;
    if (topology_parse(&t, reply, &n->uri, NULL))
        take_masters(w, &t);
    topology_free(&t);
}

static void ask_masters(struct target_watch *w, uint64_t now_ms)
{
    if (w->masters_asked || now_ms < w->masters_due_ms)
        return;
    drop_unlisted(w, now_ms);
    for (size_t i = 0; i < w->count; i++) {
        struct watched *n = w->nodes[i];
        if (!n->ready || n->trouble[0])
            continue;
        w->masters_asked = true;
        w->masters_due_ms = now_ms + MASTERS_EVERY_MS;
        client_words(n->client, ANSWER_LIMIT_MS, on_slots, n, "CLUSTER", "SLOTS", NULL);
        return;
    }
    w->masters_due_ms = now_ms + MASTERS_SOON_MS;
}

/* ---- the watch ---- */

struct target_watch *target_watch_start(struct event_base *base, const struct settings *settings,
                                        const struct topology *masters, const char *evictions_path,
                                        bool goes_on, const struct target_watch_callbacks *callbacks)
{
    struct target_watch *w = x_calloc(1, sizeof *w);
    w->base = base;
    w->settings = settings;
    w->callbacks = *callbacks;
    w->evictions_path = x_strdup(evictions_path);
    w->masters_due_ms = clock_monotonic_ms() + MASTERS_EVERY_MS;
    w->cluster = masters->count > 0;
    w->marks = (struct database_watch){.settings = settings, .arg = w, .lost = on_mark_lost};
    if (goes_on)
        evictions_load(&w->evictions, evictions_path);
    w->begins = !w->evictions.since_ms;
    if (w->begins)
        w->evictions.since_ms = clock_unix_ms();
    if (w->cluster)
        take_masters(w, masters);
    else
        add_node(w, &settings->target)->listed = true;
    return w;
}

void target_watch_before(struct target_watch *w, const char *run_id, uint64_t evicted)
{
    if (!w->begins)
        return;
    evictions_before(&w->evictions, run_id, evicted);
    if (!evictions_save(&w->evictions, w->evictions_path))
        log_debug("cannot write %s", w->evictions_path);
}

void target_watch_expect(struct target_watch *w, const uint32_t *databases, size_t count)
{
    if (w)
        database_watch_expect(&w->marks, databases, count);
}

void target_watch_free(struct target_watch *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->count; i++)
        free_node(w->nodes[i]);
    free(w->nodes);
    evictions_free(&w->evictions);
    database_watch_free(&w->marks);
    free(w->evictions_path);
    free(w);
}

void target_watch_turn(struct target_watch *w, uint64_t now_ms)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->count; i++) {
        struct watched *n = w->nodes[i];
        if (!n->client && now_ms >= n->connect_due_ms)
            connect_node(n);
        else if (n->ready && !n->waits && now_ms - n->asked_ms >= TARGET_WATCH_EVERY_MS)
            ask_node(n, now_ms);
    }
    if (w->cluster)
        ask_masters(w, now_ms);
}

void target_watch_ask(struct target_watch *w, uint64_t now_ms)
{
    for (size_t i = 0; w && i < w->count; i++)
        ask_node(w->nodes[i], now_ms);
}

bool target_watch_told_since(const struct target_watch *w, uint64_t ms)
{
    for (size_t i = 0; w && i < w->count; i++)
        if (w->nodes[i]->listed && w->nodes[i]->told_ms < ms)
            return false;
    return true;
}

bool target_watch_clock(const struct target_watch *w, int64_t *ahead_ms)
{
    bool known = false;
    for (size_t i = 0; w && i < w->count; i++) {
        int64_t ms;
        if (!w->nodes[i]->listed || !expiry_watch_ahead(&w->nodes[i]->expiry, &ms))
            continue;
        *ahead_ms = !known || ms > *ahead_ms ? ms : *ahead_ms;
        known = true;
    }
    return known;
}

static cJSON *node_status(const struct watched *n, uint64_t now_ms)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "address", n->name);
    if (n->trouble[0])
        cJSON_AddStringToObject(json, "trouble", n->trouble);
    if (!n->told_ms)
        return json;
    cJSON_AddStringToObject(json, "run_id", n->run_id);
    cJSON_AddStringToObject(json, "role", n->role);
    cJSON_AddNumberToObject(json, "asked_ms_ago", (double)(now_ms - n->told_ms));
    cJSON_AddNumberToObject(json, "rtt_us", (double)n->rtt_us);
    cJSON_AddNumberToObject(json, "evicted_keys", (double)n->counted);
    cJSON_AddNumberToObject(json, "used_memory_bytes", (double)n->used_bytes);
    cJSON_AddNumberToObject(json, "maxmemory_bytes", (double)n->max_bytes);
    cJSON_AddStringToObject(json, "maxmemory_policy", n->policy);
    cJSON_AddBoolToObject(json, "evicts", watched_evicts(n));
    cJSON_AddNumberToObject(json, "keys", (double)n->keys);
    cJSON_AddNumberToObject(json, "databases", (double)n->databases);
    return json;
}

cJSON *target_watch_status(const struct target_watch *w, uint64_t now_ms)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; w && i < w->count; i++)
        if (w->nodes[i]->listed)
            cJSON_AddItemToArray(list, node_status(w->nodes[i], now_ms));
    return list;
}
