/* Removes what df2redis has left in a target: the marks, and half-built values beside their keys.
 *
 *   CLIENT LIST on every node (no worker connected?) → the marks' hashes → SCAN for left-overs
 *
 * A standalone target is scanned database by database, since left-overs lie beside their keys. In a cluster each node
 * is asked for the marks of the slots that it serves. The mark of a migrating slot may lie at the importing node
 * already: SCAN finds it there, and ASKING reaches it. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/redis/marks.h"
#include "supervisor/target/target_internal.h"

static void scan_database(struct target_node *n, const char *cursor);

/* The answer to a DEL of one mark, or to an UNLINK of one found key. */
static void on_removed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    struct error error = {0};
    if (n->job->over)
        return;
    if (reply->type == REDIS_REPLY_INTEGER) {
        n->job->cleaned.marks += (uint64_t)reply->integer;
        return;
    }
    if (target_is_cluster(n->job) && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ASK ", 4) == 0)
        return; /* migrated already: the importing node's SCAN finds it */
    error_set(&error, ERROR_RETRY, "target %s refuses DEL: %.200s", n->name,
              reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
    target_fail(n->job, &error);
}

static void node_piece_done(struct target_node *n)
{
    if (target_answered(n->job))
        target_done(n->job);
}

/* The answer comes behind that of the SCAN which found the key, perhaps as the last one. */
static void on_unlinked(struct client *c, const redisReply *reply, void *arg)
{
    struct target_node *n = arg;
    if (n->job->over)
        return;
    uint64_t marks = n->job->cleaned.marks;
    on_removed(c, reply, arg);
    n->job->cleaned.leftovers += n->job->cleaned.marks - marks;
    n->job->cleaned.marks = marks;
    node_piece_done(n);
}

static void on_mark_unlinked(struct client *c, const redisReply *reply, void *arg)
{
    struct target_node *n = arg;
    if (n->job->over)
        return;
    /* The slot's migration was called off: its keys at this node cannot be reached. */
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "MOVED ", 6) == 0)
        log_warning("target %s holds marks in a slot that it does not serve, and they stay: close the slot "
                    "(redis-cli "
                    "--cluster fix), then run df2redis clean again",
                    n->name);
    else
        on_removed(c, reply, arg);
    node_piece_done(n);
}

/* ---- left-overs ---- */

static bool is_of_kind(const struct target_job *job, struct slice key, const char *kind)
{
    char prefix[SLOT_KEY_BYTES];
    size_t len = (size_t)snprintf(prefix, sizeof prefix, "df2redis:%s:%s", job->settings->name, kind);
    return key.len >= len && memcmp(key.data, prefix, len) == 0;
}

static bool is_of_database(const struct target_job *job, struct slice key)
{
    char mark[SLOT_KEY_BYTES];
    snprintf(mark, sizeof mark, "df2redis:%s" MARK_DATABASE_SUFFIX, job->settings->name);
    return !target_is_cluster(job) && slice_is(key, mark);
}

static void unlink_found(struct target_node *n, struct slice key)
{
    struct slice argv[2] = {slice_str("UNLINK"), key};
    uint32_t timeout_ms = n->job->settings->connect_timeout_ms;
    bool mark = is_of_database(n->job, key) || (target_is_cluster(n->job) && is_of_kind(n->job, key, "{"));
    if (!mark && !is_of_kind(n->job, key, "new:") && !is_of_kind(n->job, key, "tmp:"))
        return;
    if (target_is_cluster(n->job))
        client_words(n->client, timeout_ms, NULL, NULL, "ASKING", NULL);
    n->job->pending++;
    client_command(n->client, timeout_ms, mark ? on_mark_unlinked : on_unlinked, n, 2, argv);
}

static void on_selected(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    if (n->job->over)
        return;
    if (reply->type == REDIS_REPLY_STATUS)
        scan_database(n, "0");
    else
        node_piece_done(n); /* that was the last database */
}

static void next_database(struct target_node *n)
{
    char number[12];
    if (++n->database >= n->databases) {
        node_piece_done(n);
        return;
    }
    snprintf(number, sizeof number, "%u", n->database);
    client_words(n->client, n->job->settings->connect_timeout_ms, on_selected, n, "SELECT", number, NULL);
}

static void on_scanned(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    struct error error = {0};
    if (n->job->over)
        return;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_ARRAY) {
        error_set(&error, ERROR_RETRY, "target %s refuses SCAN: %.200s", n->name,
                  reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
        target_fail(n->job, &error);
        return;
    }
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; i++) {
        if (keys->element[i]->type == REDIS_REPLY_STRING)
            unlink_found(n, slice_of(keys->element[i]->str, keys->element[i]->len));
    }
    if (strcmp(reply->element[0]->str, "0") == 0)
        next_database(n);
    else
        scan_database(n, reply->element[0]->str);
}

static void scan_database(struct target_node *n, const char *cursor)
{
    client_words(n->client, n->job->settings->connect_timeout_ms, on_scanned, n, "SCAN", cursor, "MATCH",
                 "df2redis:*", "COUNT", "1000", NULL);
}

/* ---- marks ---- */

static void remove_marks(struct target_node *n)
{
    const struct target_job *job = n->job;
    const struct topology *t = &job->topology;
    uint32_t timeout_ms = job->settings->connect_timeout_ms;
    char key[SLOT_KEY_BYTES];
    size_t self = (size_t)(n - job->nodes);
    snprintf(key, sizeof key, "df2redis:%s", job->settings->name);
    if (!target_is_cluster(job) || t->owner[key_slot(slice_str(key))] == self)
        client_words(n->client, timeout_ms, on_removed, n, "DEL", key, NULL);
    for (unsigned slot = 0; target_is_cluster(job) && slot < CLUSTER_SLOTS; slot++) {
        if (t->owner[slot] != self)
            continue;
        slot_mark_key(key, sizeof key, job->settings->name, (uint16_t)slot);
        client_words(n->client, timeout_ms, on_removed, n, "DEL", key, NULL);
    }
}

/* ---- connected workers ---- */

/* CLIENT LIST has a line for each connection: "… addr=127.0.0.1:40312 … name=df2redis:NAME:flow-0 …". True: a worker of
 * the run is connected, from *address. */
static bool find_worker(const struct target_job *job, const char *list, char *address, size_t address_bytes)
{
    char name[SLOT_KEY_BYTES];
    snprintf(name, sizeof name, " name=df2redis:%s:flow-", job->settings->name);
    const char *found = list ? strstr(list, name) : NULL;
    if (!found)
        return false;
    const char *line = found;
    while (line > list && line[-1] != '\n')
        line--;
    const char *addr = strstr(line, " addr=");
    addr = addr && addr < found ? addr + sizeof " addr=" - 1 : "?";
    snprintf(address, address_bytes, "%.*s", (int)strcspn(addr, " \n"), addr);
    return true;
}

static void begin_removing(struct target_job *job)
{
    job->pending = target_nodes_there(job);
    for (size_t i = 0; i < job->count; i++) {
        struct target_node *n = &job->nodes[i];
        if (n->away)
            continue;
        n->databases = target_is_cluster(job) ? 1 : n->capabilities.databases;
        remove_marks(n);
        scan_database(n, "0");
    }
}

static void on_clients(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    struct error error = {0};
    char address[64];
    if (n->job->over)
        return;
    if (reply->type != REDIS_REPLY_STRING) {
        error_fatal(&error, EX_NOPERM,
                    "target %s refuses CLIENT LIST, which shows whether the run is still active: give its "
                    "user +client|list (%.200s)",
                    n->name, reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
        target_fail(n->job, &error);
    } else if (find_worker(n->job, reply->str, address, sizeof address)) {
        error_fatal(&error, EX_TEMPFAIL,
                    "target %s: run \"%s\" is connected from %s, and needs its marks: stop it first", n->name,
                    n->job->settings->name, address);
        target_fail(n->job, &error);
    } else if (target_answered(n->job)) {
        begin_removing(n->job);
    }
}

void target_clean(struct target_job *job)
{
    job->pending = target_nodes_there(job);
    for (size_t i = 0; i < job->count; i++)
        if (!job->nodes[i].away)
            client_words(job->nodes[i].client, job->settings->connect_timeout_ms, on_clients, &job->nodes[i],
                         "CLIENT", "LIST", NULL);
}
