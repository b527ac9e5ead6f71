/* Takes marks of slots and nodes, and reads those that their expected node does not have. */
#include <stdio.h>
#include <stdlib.h>

#include "worker/cluster/cluster.h"
#include "worker/link/mark_text.h"

struct position_mark cluster_position(const struct cluster *c, const struct mark *mark)
{
    const struct router_session *s = &c->router->session;
    struct position_mark p = {0};
    if (mark->present && mark->session == s->id) {
        p.in_session = true;
        p.seq = mark->seq;
    } else if (s->first_lsn && mark->present) {
        bool of_this = strcmp(mark->master_id, s->master_id) == 0;
        bool of_last = !of_this && *s->last_master_id && strcmp(mark->master_id, s->last_master_id) == 0;
        if (of_this || of_last)
            p.lsn = mark->lsn;
        p.not_shared = of_last && mark->lsn > s->first_lsn;
    }
    return p;
}

static void add_candidate(struct node *n, const struct slot_mark *mark)
{
    n->candidates = x_realloc(n->candidates, (n->candidate_count + 1) * sizeof *n->candidates);
    struct node_candidate *k = &n->candidates[n->candidate_count++];
    *k = (struct node_candidate){.mark = mark->node, .of = mark->marked};
}

void cluster_take_mark(struct cluster *c, struct node *n, uint16_t slot, const struct slot_mark *mark)
{
    cluster_loss_read(n, slot, mark);
    c->positions.mark[slot] = cluster_position(c, &mark->own);
    c->marked[slot] = mark->own.present;
    if (mark->node.present)
        add_candidate(n, mark);
    cluster_flush_note_read(n, mark);
}

void cluster_set_unread(struct cluster *c, uint16_t slot, bool unread)
{
    c->unread_count += unread;
    c->unread_count -= c->unread[slot];
    c->unread[slot] = unread;
}

/* ---- unread marks ---- */

void cluster_stop_reading(struct cluster *c)
{
    client_free(c->reading_client);
    c->reading_client = NULL;
}

size_t cluster_find_address(const struct cluster *c, const struct uri *uri)
{
    for (size_t i = 0; i < c->topology.count; i++)
        if (c->topology.nodes[i].port == uri->port && strcmp(c->topology.nodes[i].host, uri->host) == 0)
            return i;
    return TOPOLOGY_NOBODY;
}

bool cluster_read_ask(const struct cluster *c, const redisReply *reply, struct uri *to)
{
    const char *at =
        reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ASK ", 4) == 0 ? reply->str + 4 : NULL;
    const char *blank = at ? strchr(at, ' ') : NULL, *colon = blank ? strrchr(blank, ':') : NULL;
    uint64_t port;
    if (!colon || !slice_to_u64(slice_str(colon + 1), &port) || port > UINT16_MAX)
        return false;
    uri_copy(to, &c->router->config.settings->target);
    if (colon > blank + 1 && strncmp(blank + 1, "?:", 2) != 0) {
        size_t len = (size_t)(colon - blank - 1);
        free(to->host);
        to->host = x_calloc(1, len + 1);
        memcpy(to->host, blank + 1, len);
    }
    to->port = (uint16_t)port;
    to->unix_socket = false;
    return true;
}

/* ASK: the slot is migrating, and its hash is at the importing node or does not exist. */
static bool follow_ask(struct cluster *c, const redisReply *reply, uint16_t slot)
{
    struct uri to = {0};
    if (!cluster_read_ask(c, reply, &to))
        return false;
    uri_free(&c->ask_uri);
    c->ask_uri = to;
    c->ask_slot = slot;
    return true;
}

static void reading_done(struct cluster *c)
{
    cluster_stop_reading(c);
    if (!c->topology_stale)
        cluster_proceed(c);
    else if (c->reading_error.class == ERROR_NONE)
        cluster_trouble(c, &(struct error){.class = ERROR_RETRY});
    else
        cluster_wait(c, &c->reading_error);
}

/* Index of the node that has the mark. If that is the importing node, both nodes must cover the slot. */
static size_t answering_node(struct cluster *c, uint16_t slot)
{
    if (!c->reading_by_asking)
        return c->topology.owner[slot];
    size_t node = topology_find(&c->topology, c->reading_id);
    c->importing_node[slot] = node == TOPOLOGY_NOBODY ? IMPORTING_UNKNOWN : (uint16_t)node;
    return node == TOPOLOGY_NOBODY ? c->topology.owner[slot] : node;
}

static void on_mark_read(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct slot_mark mark;
    uint16_t slot = c->reading_slots[c->reading_at++];
    if (slot_mark_read(reply, &mark)) {
        cluster_set_unread(c, slot, false);
        cluster_take_mark(c, c->nodes[answering_node(c, slot)], slot, &mark);
    } else if (!follow_ask(c, reply, slot)) {
        c->topology_stale = true;
        if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "MOVED ", 6) != 0)
            error_set(&c->reading_error, ERROR_RETRY, "the mark of slot %u cannot be read: %.200s",
                      (unsigned)slot, reply->str);
    }
    if (c->reading_at == c->reading_count)
        reading_done(c);
}

static void on_reading_ready(struct client *client, void *arg)
{
    struct cluster *c = arg;
    for (size_t i = 0; i < c->reading_count; i++) {
        if (c->reading_by_asking || c->by_asking[c->reading_slots[i]])
            client_words(client, MARK_ANSWER_TIMEOUT_MS, NULL, NULL, "ASKING", NULL);
        slot_mark_ask(client, &c->router->config, c->reading_slots[i], on_mark_read, c);
    }
}

static void on_reading_failed(struct client *client, const struct error *error, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct error copy = *error;
    cluster_stop_reading(c);
    cluster_wait(c, &copy);
}

/* Requests the mark that ASK led to, from *uri; host stays NULL: none. False: the node's link is not greeted yet. It
 * has to be first: the greeting ends earlier connections of this FLOW (link_greeting.c). */
static bool read_from_importing_node(struct cluster *c, struct uri *uri, struct error *error)
{
    if (!c->ask_uri.host || !c->unread[c->ask_slot])
        return true;
    size_t node = cluster_find_address(c, &c->ask_uri);
    if (node != TOPOLOGY_NOBODY && !c->nodes[node]->ready)
        return error_set(error, ERROR_RETRY, "%s, to which slot %u is migrating, is not connected yet",
                         c->nodes[node]->name, (unsigned)c->ask_slot);
    snprintf(c->reading_id, sizeof c->reading_id, "%s",
             node != TOPOLOGY_NOBODY ? c->topology.nodes[node].id : "");
    c->reading_slots[c->reading_count++] = c->ask_slot;
    c->reading_by_asking = true;
    *uri = c->ask_uri;
    c->ask_uri = (struct uri){0};
    return true;
}

/* A mark that ASK led to is read alone. Otherwise the node of the first unread slot is asked for all marks that it has.
 * */
void cluster_read_unread(struct cluster *c)
{
    struct error error;
    struct client_callbacks on = {c, on_reading_ready, on_reading_failed};
    struct uri uri = {0};
    size_t node = SIZE_MAX, most = sizeof c->reading_slots / sizeof *c->reading_slots;
    c->reading_count = c->reading_at = 0;
    c->topology_stale = c->reading_by_asking = false;
    c->reading_error = (struct error){0};
    if (!read_from_importing_node(c, &uri, &error)) {
        cluster_wait(c, &error);
        return;
    }
    for (uint16_t s = 0; s < CLUSTER_SLOTS && !uri.host && c->reading_count < most; s++) {
        if (!c->unread[s] || (node != SIZE_MAX && c->topology.owner[s] != node))
            continue;
        node = c->topology.owner[s];
        c->reading_slots[c->reading_count++] = s;
    }
    if (!uri.host)
        uri_copy(&uri, &c->nodes[node]->uri);
    c->reading_client =
        client_connect(c->router->base, &uri, c->router->config.settings, "target", &on, &error);
    uri_free(&uri);
    if (!c->reading_client)
        cluster_wait(c, &error);
}

/* ---- questions ---- */

static void on_question_answered(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct question *a = arg;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ASK ", 4) == 0)
        cluster_open_slot_met(a->node->cluster, a->slot);
    a->answer(a->arg, a->serial, reply);
}

static void on_reader_ready(struct client *client, void *arg)
{
    (void)client, (void)arg;
}

static void on_reader_failed(struct client *client, const struct error *error, void *arg)
{
    struct node *n = arg;
    struct error copy = *error;
    n->reader = NULL;
    client_free(client);
    if (cluster_is_empty(n->cluster, n->index))
        cluster_migrations_silent(n);
    else
        cluster_reset(n->cluster, &copy);
}

struct client *cluster_reader(struct node *n)
{
    struct client_callbacks on = {n, on_reader_ready, on_reader_failed};
    struct cluster *c = n->cluster;
    struct error error;
    if (!n->reader)
        n->reader =
            client_connect(c->router->base, &n->uri, c->router->config.settings, "target", &on, &error);
    if (!n->reader && !cluster_is_empty(c, n->index))
        cluster_reset(c, &error);
    return n->reader;
}

void cluster_ask(struct cluster *c, uint16_t slot, router_answer *answer, void *arg, uint64_t serial,
                 size_t argc, const struct slice *argv)
{
    struct node *n = c->nodes[c->topology.owner[slot]];
    struct client *reader = cluster_reader(n);
    if (!reader)
        return;
    struct question *a = &n->questions[n->question_count++ % 2];
    *a = (struct question){n, slot, answer, arg, serial};
    if (c->by_asking[slot])
        client_words(reader, MARK_ANSWER_TIMEOUT_MS, NULL, NULL, "ASKING", NULL);
    client_command(reader, MARK_ANSWER_TIMEOUT_MS, on_question_answered, a, argc, argv);
}
