/* Connections to what is read: a server, or every master of a cluster, and which key lies where. */
#include "tests/support/state_server.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/redis/topology.h"
#include "tests/support/servers.h"
#include "tests/support/testing.h"

/* ---- all keys ---- */

static int by_name(const void *a, const void *b, void *bytes)
{
    const struct state_item *x = a, *y = b;
    const uint8_t *base = bytes;
    int c = memcmp(base + x->at, base + y->at, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* A cursor may come by the same key twice; two masters never have the same one, and if they did it would
 * count once. */
static size_t drop_twins(struct state_item *names, size_t count, const struct buf *bytes)
{
    if (count)
        qsort_r(names, count, sizeof *names, by_name, bytes->data);
    size_t kept = count > 0;
    for (size_t i = 1; i < count; i++)
        if (by_name(&names[kept - 1], &names[i], bytes->data) != 0)
            names[kept++] = names[i];
    return kept;
}

/* What one server has; appended. */
static void scan_node(redisContext *c, struct buf *bytes, struct state_item **names, size_t *count,
                      size_t *capacity)
{
    char cursor[32] = "0";
    do {
        redisReply *r = redisCommand(c, "SCAN %s COUNT 10000", cursor);
        if (!r || r->type != REDIS_REPLY_ARRAY || r->elements != 2)
            die("SCAN on port %d: %s", c->tcp.port, r && r->str ? r->str : "not a cursor");
        snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        const redisReply *keys = r->element[1];
        for (size_t i = 0; i < keys->elements; i++) {
            if (*count == *capacity) {
                *capacity = *capacity ? *capacity * 2 : 1024;
                *names = x_realloc(*names, *capacity * sizeof **names);
            }
            const redisReply *key = keys->element[i];
            (*names)[(*count)++] = (struct state_item){.at = bytes->len, .len = key->len};
            buf_put(bytes, key->str, key->len);
        }
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0);
}

size_t state_scan(struct state_server *s, struct buf *bytes, struct state_item **names)
{
    size_t count = 0, capacity = 0;
    *names = NULL;
    if (!s->nodes)
        scan_node(s->c, bytes, names, &count, &capacity);
    for (size_t i = 0; s->nodes && s->db == 0 && i < s->topology->count; i++)
        scan_node(s->nodes[i], bytes, names, &count, &capacity);
    return drop_twins(*names, count, bytes);
}

/* ---- some keys ---- */

/* Those of one node, through the connection to it. */
static void read_share(struct state_server *s, size_t node, const struct state_read_options *options,
                       const struct slice *keys, size_t count, struct state_value *values)
{
    struct slice *share = x_calloc(count, sizeof *share);
    struct state_value *found = x_calloc(count, sizeof *found);
    size_t *at = x_calloc(count, sizeof *at), n = 0;
    for (size_t i = 0; i < count; i++) {
        if (s->topology->owner[key_slot(keys[i])] != node)
            continue;
        share[n] = keys[i];
        at[n] = i;
        found[n++] = values[i];
    }
    struct state_server one = *s;
    one.c = s->nodes[node];
    if (n)
        state_read_node(&one, options, share, n, found);
    for (size_t i = 0; i < n; i++)
        values[at[i]] = found[i];
    free(share);
    free(found);
    free(at);
}

void state_read(struct state_server *s, const struct state_read_options *options, const struct slice *keys,
                size_t count, struct state_value *values)
{
    if (!s->nodes) {
        state_read_node(s, options, keys, count, values);
        return;
    }
    if (s->db != 0)
        die("a cluster has no database %u to read from", s->db);
    for (size_t node = 0; node < s->topology->count; node++)
        read_share(s, node, options, keys, count, values);
}

/* ---- connections ---- */

static unsigned parse_version(const char *text)
{
    unsigned major = 0, minor = 0, patch = 0;
    sscanf(text, "%u.%u.%u", &major, &minor, &patch);
    return major * 10000 + minor * 100 + patch;
}

static bool knows(struct state_server *s, const char *command)
{
    redisReply *r = redisCommand(s->c, "COMMAND INFO %s", command);
    bool known = r && r->type == REDIS_REPLY_ARRAY && r->elements == 1 &&
                 r->element[0]->type == REDIS_REPLY_ARRAY && r->element[0]->elements > 0;
    if (r)
        freeReplyObject(r);
    return known;
}

static redisContext *connect_to(uint16_t port, const char *password)
{
    redisContext *c = server_connect(port);
    if (password) {
        redisReply *r = redisCommand(c, "AUTH %s", password);
        if (!r || r->type == REDIS_REPLY_ERROR)
            die("AUTH on port %u: %s", port, r ? r->str : c->errstr);
        freeReplyObject(r);
    }
    return c;
}

static void open_cluster(struct state_server *s, uint16_t port, const char *password)
{
    struct uri asked = {.host = (char *)(uintptr_t) "127.0.0.1", .port = port};
    struct error error = {0};
    redisReply *r = server_command(s->c, "CLUSTER SLOTS");
    s->topology = x_calloc(1, sizeof *s->topology);
    if (!topology_parse(s->topology, r, &asked, &error) || !topology_complete(s->topology, &error))
        die("the cluster of port %u: %s", port, error.text);
    freeReplyObject(r);
    s->nodes = x_calloc(s->topology->count, sizeof *s->nodes);
    for (size_t i = 0; i < s->topology->count; i++)
        s->nodes[i] = connect_to(s->topology->nodes[i].port, password);
}

void state_open(struct state_server *s, uint16_t port, const char *password)
{
    *s = (struct state_server){.c = connect_to(port, password)};
    char *dragonfly = server_info(s->c, "server", "dragonfly_version");
    char *valkey = server_info(s->c, "server", "valkey_version");
    char *redis = server_info(s->c, "server", "redis_version");
    s->kind = dragonfly ? STATE_DRAGONFLY : valkey ? STATE_VALKEY : STATE_REDIS;
    s->version = parse_version(valkey ? valkey : redis ? redis : "0");
    s->expiretime = s->kind != STATE_REDIS || s->version >= 70000;
    s->json = s->kind == STATE_DRAGONFLY || knows(s, "JSON.GET");
    s->field_ttls = s->kind == STATE_DRAGONFLY || knows(s, "HPEXPIRETIME");
    free(dragonfly);
    free(valkey);
    free(redis);
    char *cluster = server_info(s->c, "cluster", "cluster_enabled");
    if (cluster && strcmp(cluster, "1") == 0 && s->kind != STATE_DRAGONFLY)
        open_cluster(s, port, password);
    free(cluster);
}

void state_close(struct state_server *s)
{
    if (s->c)
        redisFree(s->c);
    for (size_t i = 0; s->nodes && i < s->topology->count; i++)
        redisFree(s->nodes[i]);
    free(s->nodes);
    if (s->topology)
        topology_free(s->topology);
    free(s->topology);
    *s = (struct state_server){0};
}

void state_select(struct state_server *s, uint32_t db)
{
    s->db = db;
    if (s->nodes)
        return;
    redisReply *r = redisCommand(s->c, "SELECT %u", db);
    if (!r || r->type == REDIS_REPLY_ERROR)
        die("SELECT %u on port %d: %s", db, s->c->tcp.port, r ? r->str : s->c->errstr);
    freeReplyObject(r);
}
