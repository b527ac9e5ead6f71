/* A cluster from nothing: members are started, introduced to each other, given slots and replicas. */
#include "tests/support/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/cluster_internal.h"
#include "tests/support/testing.h"

enum {
    BUS_OFFSET = 10000,
    FIRST_PORT = 12000,
    PORTS = 10000,
    PORT_TRIES = 400,
    MEET_AGAIN_MS = 2000, /* a meeting is given up after a node timeout, a second at the least */
};

void redis_cluster_options_init(struct redis_cluster_options *o)
{
    *o = (struct redis_cluster_options){.masters = 3, .node_timeout_ms = 2000};
}

bool redis_cluster_runs(struct redis_cluster *c, size_t member)
{
    struct redis_cluster_member *m = &c->members[member];
    return member < c->count && !m->removed && process_running(&m->server.process);
}

struct server *redis_cluster_any(struct redis_cluster *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (redis_cluster_runs(c, i))
            return &c->members[i].server;
    die("no member of the cluster runs");
}

redisContext *redis_cluster_connect(struct redis_cluster *c, size_t member)
{
    redisContext *connection = server_connect(c->members[member].server.port);
    if (c->password) {
        redisReply *r = redisCommand(connection, "AUTH %s", c->password);
        if (!r || r->type == REDIS_REPLY_ERROR)
            die("AUTH on port %u: %s", c->members[member].server.port, r ? r->str : connection->errstr);
        freeReplyObject(r);
    }
    return connection;
}

/* ---- starting ---- */

/* Below the ports that the kernel gives to clients, the bus too: a killed member comes back to its place. */
static bool keep_with_bus(uint16_t port)
{
    uint16_t bus = (uint16_t)(port + BUS_OFFSET);
    return port_keep(&bus) && port_keep(&port);
}

static uint16_t next_port(void)
{
    static struct random random;
    if (!random.state)
        random.state = (uint64_t)getpid() ^ (uint64_t)clock_unix_ms() << 20;
    for (int i = 0; i < PORT_TRIES; i++) {
        uint16_t port = (uint16_t)(FIRST_PORT + random_below(&random, PORTS));
        if (keep_with_bus(port))
            return port;
    }
    die("no free port with one for the bus");
}

/* The members' options, the one for TLS as this member has it. */
void redis_cluster_words(struct redis_cluster *c, size_t member)
{
    if (c->tls)
        snprintf(c->tls_text, sizeof c->tls_text, "%u", c->members[member].tls_port);
}

size_t redis_cluster_start_member(struct redis_cluster *c, uint16_t port)
{
    size_t member = c->count;
    if (member == CLUSTER_MEMBERS)
        die("a cluster of more than %d members", CLUSTER_MEMBERS);
    struct redis_cluster_member *m = &c->members[member];
    bool up = false;
    for (int attempt = 0; attempt < 5 && !up; attempt++) {
        m->tls_port = c->tls ? next_port() : 0;
        redis_cluster_words(c, member);
        up = redis_start_on(&m->server, port ? port : next_port(), c->words);
    }
    if (!up)
        die("no member for a cluster: set DF2REDIS_TEST_REDIS");
    c->count++;
    redisContext *connection = server_connect(m->server.port);
    redisReply *r = server_command(connection, "CLUSTER MYID");
    if (r->type != REDIS_REPLY_STRING)
        die("CLUSTER MYID on port %u: %s", m->server.port, r->str ? r->str : "no id");
    snprintf(m->id, sizeof m->id, "%s", r->str);
    freeReplyObject(r);
    redisFree(connection);
    return member;
}

static void set_words(struct redis_cluster *c, const struct redis_cluster_options *o)
{
    snprintf(c->timeout, sizeof c->timeout, "%u", o->node_timeout_ms);
    const char *const base[] = {"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
                                "--cluster-node-timeout", c->timeout,
                                /* A replica is taken however old its data is, and stays with its master. */
                                "--cluster-replica-validity-factor", "0", "--cluster-migration-barrier",
                                "999", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
                                "--repl-ping-replica-period", "1"};
    size_t n = 0;
    for (; n < sizeof base / sizeof *base; n++)
        c->words[n] = base[n];
    c->tls = o->tls;
    if (o->tls) {
        c->words[n++] = "--tls-port";
        c->words[n++] = c->tls_text;
        /* Else nobody tells others' ports for TLS. */
        c->words[n++] = "--tls-cluster";
        c->words[n++] = "yes";
        c->words[n++] = "--tls-replication";
        c->words[n++] = "yes";
    }
    for (const char *const *e = o->extra; e && *e && n < CLUSTER_WORDS - 1; e++)
        c->words[n++] = *e;
}

uint16_t redis_cluster_peer_port(const struct redis_cluster *c, size_t member)
{
    return c->tls ? c->members[member].tls_port : c->members[member].server.port;
}

void redis_cluster_say(struct redis_cluster *c, size_t member, const char *words)
{
    redisContext *connection = redis_cluster_connect(c, member);
    server_ok(connection, words);
    redisFree(connection);
}

void redis_cluster_meet(struct redis_cluster *c, size_t member, size_t with)
{
    char *words = format_text("CLUSTER MEET 127.0.0.1 %u", redis_cluster_peer_port(c, member));
    redis_cluster_say(c, with, words);
    free(words);
}

/* Different from the start, so that nobody has to argue about who is right. */
static void give_epoch(struct redis_cluster *c, size_t member)
{
    char *words = format_text("CLUSTER SET-CONFIG-EPOCH %zu", member + 1);
    redis_cluster_say(c, member, words);
    free(words);
}

static void give_slots(struct redis_cluster *c, size_t member)
{
    struct buf words = {0};
    unsigned first = (unsigned)(CLUSTER_SLOTS * member / c->masters);
    unsigned end = (unsigned)(CLUSTER_SLOTS * (member + 1) / c->masters);
    redisContext *connection = server_connect(c->members[member].server.port);
    /* In pieces: a command's number of words is bounded here. */
    for (unsigned s = first; s < end;) {
        buf_clear(&words);
        buf_printf(&words, "CLUSTER ADDSLOTS");
        for (unsigned n = 0; n < 60 && s < end; n++, s++)
            buf_printf(&words, " %u", s);
        buf_put_u8(&words, 0);
        server_ok(connection, (const char *)words.data);
    }
    redisFree(connection);
    buf_free(&words);
}

static char *nodes_known_to(struct redis_cluster *c, size_t member)
{
    redisContext *connection = redis_cluster_connect(c, member);
    redisReply *r = server_command(connection, "CLUSTER NODES");
    char *nodes = x_strdup(r->str);
    freeReplyObject(r);
    redisFree(connection);
    return nodes;
}

struct introduction {
    struct redis_cluster *c;
    uint64_t again_ms; /* when those are to meet again that do not know each other */
};

static bool all_have_met(void *arg)
{
    struct introduction *m = arg;
    struct redis_cluster *c = m->c;
    bool due = clock_monotonic_ms() >= m->again_ms, all = true;
    char *known[CLUSTER_MEMBERS] = {0};
    for (size_t i = 0; i < c->count; i++)
        known[i] = redis_cluster_runs(c, i) ? nodes_known_to(c, i) : NULL;
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < i; j++) {
            if (!known[i] || !known[j])
                continue;
            bool knows_i = strstr(known[j], c->members[i].id), knows_j = strstr(known[i], c->members[j].id);
            all &= knows_i && knows_j;
            if (due && !knows_i)
                redis_cluster_meet(c, i, j);
            else if (due && !knows_j)
                redis_cluster_meet(c, j, i);
        }
    for (size_t i = 0; i < c->count; i++)
        free(known[i]);
    if (due)
        m->again_ms = clock_monotonic_ms() + MEET_AGAIN_MS;
    return all;
}

void redis_cluster_introduce(struct redis_cluster *c)
{
    struct introduction m = {.c = c};
    if (wait_until(all_have_met, &m, CLUSTER_DEADLINE_MS))
        return;
    redis_cluster_print(c);
    die("members of the cluster do not get to know each other");
}

struct replication {
    struct redis_cluster *c;
    size_t replica, master;
};

/* Refused until the replica knows its master by name. */
static bool replicates(void *arg)
{
    struct replication *r = arg;
    char *words = format_text("CLUSTER REPLICATE %s", r->c->members[r->master].id);
    redisContext *connection = redis_cluster_connect(r->c, r->replica);
    redisReply *reply = server_command(connection, words);
    bool ok = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    redisFree(connection);
    free(words);
    return ok;
}

void redis_cluster_make_replica(struct redis_cluster *c, size_t replica, size_t master)
{
    struct replication r = {c, replica, master};
    if (!wait_until(replicates, &r, CLUSTER_DEADLINE_MS))
        die("member %zu of the cluster does not become a replica", replica);
}

void redis_cluster_start_with(struct redis_cluster *c, const struct redis_cluster_options *o)
{
    *c = (struct redis_cluster){.masters = o->masters};
    set_words(c, o);
    size_t serving = (size_t)o->masters * (1 + o->replicas), total = serving + o->idle;
    for (size_t i = 0; i < total; i++)
        redis_cluster_start_member(c, o->base_port ? (uint16_t)(o->base_port + i) : 0);
    for (size_t i = 0; i < total; i++)
        give_epoch(c, i);
    for (size_t i = 0; i < o->masters; i++)
        give_slots(c, i);
    redis_cluster_introduce(c);
    for (size_t i = o->masters; i < serving; i++)
        redis_cluster_make_replica(c, i, i % o->masters);
    if (!redis_cluster_wait_ok(c))
        die("the cluster does not come up");
}

void redis_cluster_start(struct redis_cluster *c, unsigned masters, unsigned replicas)
{
    struct redis_cluster_options o;
    redis_cluster_options_init(&o);
    o.masters = masters;
    o.replicas = replicas;
    redis_cluster_start_with(c, &o);
}

void redis_cluster_stop(struct redis_cluster *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (!c->members[i].removed)
            server_stop(&c->members[i].server);
    *c = (struct redis_cluster){0};
}

/* ---- what they say ---- */

bool redis_cluster_slots_of(struct redis_cluster *c, size_t member, struct topology *t)
{
    struct uri uri = {.host = (char *)(uintptr_t) "127.0.0.1", .port = c->members[member].server.port};
    struct error error = {0};
    redisContext *connection = redis_cluster_connect(c, member);
    redisReply *r = server_command(connection, "CLUSTER SLOTS");
    bool ok = topology_parse(t, r, &uri, &error);
    freeReplyObject(r);
    redisFree(connection);
    return ok;
}

bool redis_cluster_topology(struct redis_cluster *c, struct topology *t)
{
    for (size_t i = 0; i < c->count; i++)
        if (redis_cluster_runs(c, i) && redis_cluster_slots_of(c, i, t))
            return true;
    return false;
}

size_t redis_cluster_owner(struct redis_cluster *c, uint16_t slot)
{
    struct topology t = {0};
    size_t found = CLUSTER_MEMBERS;
    if (redis_cluster_topology(c, &t) && t.owner[slot] != TOPOLOGY_NOBODY)
        for (size_t i = 0; i < c->count; i++)
            if (strcmp(c->members[i].id, t.nodes[t.owner[slot]].id) == 0)
                found = i;
    topology_free(&t);
    return found;
}

static bool says(redisContext *connection, const char *words, const char *text)
{
    redisReply *r = server_command(connection, words);
    bool found = r->str && strstr(r->str, text);
    freeReplyObject(r);
    return found;
}

/* Knows as many others as there are (a killed one is still known), all by name, and every slot is served. */
static bool is_settled(struct redis_cluster *c, size_t member, size_t known)
{
    redisContext *connection = redis_cluster_connect(c, member);
    char *nodes = format_text("cluster_known_nodes:%zu\r", known);
    bool ok = says(connection, "CLUSTER INFO", "cluster_state:ok") &&
              says(connection, "CLUSTER INFO", "cluster_slots_ok:16384") &&
              says(connection, "CLUSTER INFO", nodes) && !says(connection, "CLUSTER NODES", "handshake") &&
              (says(connection, "INFO replication", "role:master") ||
               says(connection, "INFO replication", "master_link_status:up"));
    free(nodes);
    redisFree(connection);
    return ok;
}

static bool all_agree(void *arg)
{
    struct redis_cluster *c = arg;
    struct topology first = {0}, other = {0};
    size_t known = 0;
    bool ok = true, any = false;
    for (size_t i = 0; i < c->count; i++)
        known += !c->members[i].removed;
    for (size_t i = 0; ok && i < c->count; i++) {
        if (!redis_cluster_runs(c, i))
            continue;
        ok = is_settled(c, i, known) && redis_cluster_slots_of(c, i, any ? &other : &first) &&
             (!any || topology_same(&first, &other));
        any = true;
    }
    topology_free(&first);
    topology_free(&other);
    return ok && any;
}

void redis_cluster_print(struct redis_cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (!redis_cluster_runs(c, i))
            continue;
        redisContext *connection = redis_cluster_connect(c, i);
        redisReply *r = server_command(connection, "CLUSTER NODES");
        fprintf(stderr, "member %zu, port %u:\n%s", i, c->members[i].server.port, r->str ? r->str : "?\n");
        freeReplyObject(r);
        redisFree(connection);
    }
}

bool redis_cluster_wait_ok(struct redis_cluster *c)
{
    if (wait_until(all_agree, c, CLUSTER_DEADLINE_MS))
        return true;
    fprintf(stderr, "the cluster's members do not agree\n");
    redis_cluster_print(c);
    return false;
}

/* ---- all masters ---- */

/* Running members that serve slots. */
static size_t masters_of(struct redis_cluster *c, size_t *out)
{
    struct topology t = {0};
    size_t n = 0;
    if (!redis_cluster_topology(c, &t))
        die("no member tells the cluster's slots");
    for (size_t i = 0; i < c->count; i++)
        for (size_t node = 0; node < t.count; node++)
            if (!c->members[i].removed && strcmp(c->members[i].id, t.nodes[node].id) == 0)
                out[n++] = i;
    topology_free(&t);
    return n;
}

void redis_cluster_each(struct redis_cluster *c, const char *words)
{
    size_t masters[CLUSTER_MEMBERS], n = masters_of(c, masters);
    for (size_t i = 0; i < n; i++)
        redis_cluster_say(c, masters[i], words);
}

void redis_cluster_lock(struct redis_cluster *c, const char *password)
{
    for (int step = 0; step < 2; step++)
        for (size_t i = 0; i < c->count; i++) {
            char *words = format_text("CONFIG SET %s %s", step ? "requirepass" : "masterauth", password);
            if (redis_cluster_runs(c, i))
                redis_cluster_say(c, i, words);
            free(words);
        }
    c->password = password;
}

void redis_cluster_patience(struct redis_cluster *c, uint32_t node_timeout_ms)
{
    snprintf(c->timeout, sizeof c->timeout, "%u", node_timeout_ms);
    char *words = format_text("CONFIG SET cluster-node-timeout %u", node_timeout_ms);
    for (size_t i = 0; i < c->count; i++)
        if (redis_cluster_runs(c, i) && process_state(c->members[i].server.process.pid) != 'T')
            redis_cluster_say(c, i, words);
    free(words);
}

uint64_t redis_cluster_own_keys(struct redis_cluster *c)
{
    size_t masters[CLUSTER_MEMBERS], n = masters_of(c, masters);
    uint64_t keys = 0;
    for (size_t i = 0; i < n; i++) {
        redisContext *connection = redis_cluster_connect(c, masters[i]);
        redisReply *own = server_command(connection, "KEYS df2redis:*");
        keys += own->elements;
        freeReplyObject(own);
        redisFree(connection);
    }
    return keys;
}

uint64_t redis_cluster_keys(struct redis_cluster *c)
{
    size_t masters[CLUSTER_MEMBERS], n = masters_of(c, masters);
    uint64_t keys = 0;
    for (size_t i = 0; i < n; i++) {
        redisContext *connection = redis_cluster_connect(c, masters[i]);
        keys += server_keys(connection);
        redisFree(connection);
    }
    return keys - redis_cluster_own_keys(c);
}
