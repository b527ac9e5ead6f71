/* One connection to each master. In a cluster one of them is asked for CLUSTER SLOTS every ten seconds, and at once
 * when a master has lost its role or cannot be reached.
 *
 * INFO takes several sections since Redis 7.0; older servers refuse them, and are sent one INFO for each section. */
#include "supervisor/target/target_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "common/log/log.h"
#include "common/net/client.h"
#include "common/redis/capabilities.h"
#include "common/redis/marks.h"
#include "supervisor/rules/databases.h"
#include "supervisor/target/database_watch.h"
#include "supervisor/target/evictions.h"

enum {
    ANSWER_LIMIT_MS = 10000,
    RETRY_MS = 1000,
    MASTERS_EVERY_MS = 10000,
    MASTERS_SOON_MS = 1000, /* after a change */
    LEAVING_MS = 10000,     /* for the last answer of one that serves no slots any more */
    TEXT_BYTES = 300,
};

struct node {
    struct target_watch *watch;
    struct uri uri;
    char name[256]; /* host:port, for status and metrics */
    struct client *client;
    bool ready, listed;
    bool single;     /* INFO takes one section */
    struct buf info; /* its answers so far … */
    size_t answers;
    bool refused; /* … one of which was an error */
    uint64_t connect_due_ms, unlisted_ms;
    uint64_t asked_ms, asked_us; /* when the newest INFO was sent */
    bool waits, again;           /* its answer is due; another INFO follows it */
    uint64_t told_ms;            /* when the INFO answered last was sent; 0: none was answered yet */
    uint64_t rtt_us;
    /* From its answers. */
    char run_id[41], role[16], policy[32];
    uint64_t evicted, commands, up_s, counted, used_bytes, max_bytes, keys;
    size_t databases;
    char warned_policy[32];
    bool warned_right;
    char trouble[TEXT_BYTES];
};

struct target_watch {
    struct event_base *base;
    const struct settings *settings;
    struct target_watch_callbacks callbacks;
    struct evictions evictions;
    char *evictions_path;
    bool cluster, begins; /* begins: counting does */
    struct node **nodes;
    size_t count;
    struct database_watch marks; /* standalone */
    uint64_t masters_due_ms;
    bool masters_asked;
};

static const char *const sections[] = {"server", "replication", "stats", "memory", "keyspace"};
enum { SECTIONS = sizeof sections / sizeof *sections };

static void forget_sections(struct node *n)
{
    buf_clear(&n->info);
    n->answers = 0;
    n->refused = false;
}

static void lose_node(struct node *n, const char *why)
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

/* ---- answers to INFO ---- */

static void take_text(struct slice info, const char *field, char *out, size_t bytes)
{
    struct slice value = info_field(info, field);
    snprintf(out, bytes, "%.*s", (int)value.len, (const char *)value.data);
}

static uint64_t take_number(struct slice info, const char *field)
{
    uint64_t number = 0;
    slice_to_u64(info_field(info, field), &number);
    return number;
}

static bool node_evicts(const struct node *n)
{
    return n->max_bytes && n->policy[0] && strcmp(n->policy, "noeviction") != 0;
}

static void count_evictions(struct node *n, uint64_t keys)
{
    n->counted += keys;
    if (keys)
        n->watch->callbacks.evicted(n->name, keys, n->watch->callbacks.arg);
}

/* The process has ended, and with it its count. */
static void note_end(struct node *n)
{
    const struct evictions_end end = {n->policy, n->used_bytes, n->max_bytes, n->evicted,
                                      clock_monotonic_ms() - n->told_ms};
    bool counts = evictions_may_be_unseen(&end);
    if (!node_evicts(n) || !evictions_is_full(n->used_bytes, n->max_bytes))
        return;
    log_warning("target %s ended while it used %s of its maxmemory of %s (%s): %s", n->name,
                size_text(n->used_bytes), size_text(n->max_bytes), n->policy,
                counts ? "what it evicted since its last answer is unknown, and counts as one key"
                       : "an eviction after its last answer is unlikely, and none is counted; set its "
                         "maxmemory-policy to noeviction");
    if (counts)
        count_evictions(n, 1);
}

static void note_run_id(struct node *n, struct slice info)
{
    char run_id[41];
    take_text(info, "run_id", run_id, sizeof run_id);
    bool changed = n->run_id[0] && run_id[0] && strcmp(run_id, n->run_id) != 0;
    if (changed) {
        log_warning("target %s was restarted: its run_id is %s, and was %s", n->name, run_id, n->run_id);
        note_end(n);
    }
    snprintf(n->run_id, sizeof n->run_id, "%s", run_id);
}

/* Of a process that was not probed before the copy began (started since, or a replica or new in the cluster then),
 * everything counts that it has evicted, if it was started since or evicts at all. */
static void note_evictions(struct node *n)
{
    struct target_watch *w = n->watch;
    struct evictions *e = &w->evictions;
    size_t known = e->count;
    if (!n->run_id[0])
        return;
    bool all = node_evicts(n) || evictions_started_since(e, n->up_s, clock_unix_ms());
    uint64_t more = evictions_note(e, n->run_id, n->evicted, n->commands, all);
    count_evictions(n, more);
    if ((more || e->count != known) && !evictions_save(e, w->evictions_path))
        log_debug("cannot write %s", w->evictions_path);
}

static void note_policy(struct node *n)
{
    bool bad = node_evicts(n);
    if (bad && strcmp(n->warned_policy, n->policy) != 0)
        log_warning(
            "target %s evicts keys once it uses %s (maxmemory-policy %s), and the copy lacks them: set its "
            "maxmemory-policy to noeviction",
            n->name, size_text(n->max_bytes), n->policy);
    snprintf(n->warned_policy, sizeof n->warned_policy, "%s", bad ? n->policy : "");
}

static void note_info(struct node *n, struct slice info)
{
    uint32_t *list;
    char role[16];
    note_run_id(n, info);
    n->rtt_us = clock_monotonic_us() - n->asked_us;
    n->trouble[0] = '\0';
    take_text(info, "role", role, sizeof role);
    if (strcmp(role, "master") != 0) {
        snprintf(n->trouble, sizeof n->trouble, "it is not a master: its role is %s",
                 role[0] ? role : "unknown");
        if (n->role[0] && strcmp(n->role, role) != 0)
            log_warning("target %s is no longer a master: its role is %s", n->name, role);
        n->watch->masters_due_ms = 0;
    }
    snprintf(n->role, sizeof n->role, "%s", role);
    take_text(info, "maxmemory_policy", n->policy, sizeof n->policy);
    n->up_s = take_number(info, "uptime_in_seconds");
    n->evicted = take_number(info, "evicted_keys");
    n->commands = take_number(info, "total_commands_processed");
    n->used_bytes = take_number(info, "used_memory");
    n->max_bytes = take_number(info, "maxmemory");
    n->keys = info_keys(info);
    n->databases = info_databases(info, &list);
    free(list);
    note_evictions(n);
    note_policy(n);
    n->told_ms = n->asked_ms;
}

static void ask_node(struct node *n, uint64_t now_ms);

static void note_refusal(struct node *n, const redisReply *reply)
{
    bool right = reply->type == REDIS_REPLY_ERROR && strncasecmp(reply->str, "NOPERM", 6) == 0;
    if (right && !n->warned_right)
        log_warning("target %s refuses INFO, and its evictions are not counted: give its user +info",
                    n->name);
    n->warned_right |= right;
    snprintf(n->trouble, sizeof n->trouble, "unexpected answer to INFO: %.200s",
             reply->type == REDIS_REPLY_ERROR ? reply->str : "not a text");
}

static void answered(struct node *n)
{
    n->waits = false;
    if (n->again)
        ask_node(n, clock_monotonic_ms());
    n->watch->callbacks.told(n->watch->callbacks.arg);
}

static void on_info(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct node *n = arg;
    if (reply->type == REDIS_REPLY_STRING)
        note_info(n, slice_of(reply->str, reply->len));
    else if (reply->type == REDIS_REPLY_ERROR && strcasestr(reply->str, "syntax"))
        n->single = n->again = true;
    else
        note_refusal(n, reply);
    answered(n);
}

static void on_section(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct node *n = arg;
    if (reply->type == REDIS_REPLY_STRING)
        buf_put(&n->info, reply->str, reply->len);
    else
        note_refusal(n, reply);
    n->refused |= reply->type != REDIS_REPLY_STRING;
    if (++n->answers < SECTIONS)
        return;
    if (!n->refused)
        note_info(n, buf_slice(&n->info));
    forget_sections(n);
    answered(n);
}

/* The databases may have had any key evicted, or have been emptied by another client. */
static void on_mark_lost(void *arg, uint32_t database, const char *found)
{
    struct target_watch *w = arg;
    struct error error = {0};
    const struct node *n = w->nodes[0];
    if (node_evicts(n) && strncmp(n->policy, "allkeys-", 8) == 0)
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

static void ask_node(struct node *n, uint64_t now_ms)
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
    struct node *n = arg;
    n->ready = true;
    ask_node(n, clock_monotonic_ms());
}

static void on_node_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    struct node *n = arg;
    lose_node(n, error->text);
    n->watch->masters_due_ms = 0;
    n->watch->masters_asked = false;
}

static void connect_node(struct node *n)
{
    struct error error = {0};
    struct client_callbacks callbacks = {.arg = n, .ready = on_node_ready, .failed = on_node_failed};
    n->client = client_connect(n->watch->base, &n->uri, n->watch->settings, "target", &callbacks, &error);
    if (!n->client)
        lose_node(n, error.text);
}

static struct node *add_node(struct target_watch *w, const struct uri *uri)
{
    struct node *n = x_calloc(1, sizeof *n);
    n->watch = w;
    uri_copy(&n->uri, uri);
    n->uri.db = 0; /* INFO needs no database */
    if (uri->unix_socket)
        snprintf(n->name, sizeof n->name, "%s", uri->host);
    else
        snprintf(n->name, sizeof n->name, strchr(uri->host, ':') ? "[%.240s]:%u" : "%.240s:%u", uri->host,
                 (unsigned)uri->port);
    w->nodes = x_realloc(w->nodes, (w->count + 1) * sizeof(struct node *));
    w->nodes[w->count++] = n;
    return n;
}

static void free_node(struct node *n)
{
    client_free(n->client);
    uri_free(&n->uri);
    buf_free(&n->info);
    free(n);
}

/* ---- the masters of a cluster ---- */

static struct node *find_node(struct target_watch *w, const struct uri *uri)
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
        struct node *n = w->nodes[i];
        n->unlisted_ms = n->listed ? now_ms : n->unlisted_ms;
        n->listed = false;
    }
    for (size_t i = 0; i < t->count; i++) {
        struct uri uri = {0};
        if (!t->nodes[i].slots)
            continue;
        topology_uri(t, i, &w->settings->target, &uri);
        struct node *n = find_node(w, &uri);
        if (!n)
            n = add_node(w, &uri);
        n->listed = true;
        uri_free(&uri);
    }
}

/* Returns true once it has said what it evicted while it served slots. */
static bool may_drop(struct node *n, uint64_t now_ms)
{
    if (n->told_ms > n->unlisted_ms)
        return true;
    if (now_ms - n->unlisted_ms < LEAVING_MS)
        return false;
    note_end(n);
    return true;
}

static void drop_unlisted(struct target_watch *w, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct node *n = w->nodes[i];
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
    struct node *n = arg;
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
        struct node *n = w->nodes[i];
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
        struct node *n = w->nodes[i];
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

static cJSON *node_status(const struct node *n, uint64_t now_ms)
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
    cJSON_AddBoolToObject(json, "evicts", node_evicts(n));
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
