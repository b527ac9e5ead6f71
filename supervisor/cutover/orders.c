#include "supervisor/cutover/orders.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ANSWER_MS = 10000, MOST_KILLS = 10000, LIST_BYTES = 64 << 20 };

struct orders {
    struct client *client;
    struct orders_callbacks callbacks;
    uint32_t flow_count;
    bool over;
    char refusal[300]; /* of the probe, so far */
    uint64_t own_id, kills_left, killed;
};

static void tell(struct orders *o, const struct orders_answer *answer)
{
    if (!o->over)
        o->callbacks.answered(answer, o->callbacks.arg);
}

static const char *text_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer";
}

static bool is_ok(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STATUS && strcasecmp(reply->str, "OK") == 0;
}

static void tell_status(struct orders *o, enum order order, const redisReply *reply)
{
    struct orders_answer answer = {.order = order, .ok = is_ok(reply), .text = text_of(reply)};
    tell(o, &answer);
}

static void on_ready(struct client *c, void *arg)
{
    (void)c;
    struct orders *o = arg;
    if (!o->over)
        o->callbacks.ready(o->callbacks.arg);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    struct orders *o = arg;
    if (o->over)
        return;
    o->over = true;
    o->callbacks.lost(error, o->callbacks.arg);
}

struct orders *orders_connect(struct event_base *base, const char *what, const struct uri *uri,
                              const struct settings *settings, uint32_t flow_count,
                              const struct orders_callbacks *callbacks, struct error *error)
{
    struct orders *o = x_calloc(1, sizeof *o);
    struct client_callbacks client_callbacks = {.arg = o, .ready = on_ready, .failed = on_failed};
    o->callbacks = *callbacks;
    o->flow_count = flow_count;
    o->client = client_connect(base, uri, settings, what, &client_callbacks, error);
    if (o->client) {
        client_reply_limit(o->client, LIST_BYTES);
        return o;
    }
    free(o);
    return NULL;
}

void orders_free(struct orders *o)
{
    if (!o)
        return;
    o->over = true;
    client_free(o->client);
    free(o);
}

/* ---- the probe ---- */

static void note_refusal(struct orders *o, const redisReply *reply, const char *right)
{
    if (reply->type != REDIS_REPLY_ERROR || strncasecmp(reply->str, "NOPERM", 6) != 0)
        return;
    size_t len = strlen(o->refusal);
    snprintf(o->refusal + len, sizeof o->refusal - len, "%s%s", len ? " " : "", right);
}

static void on_replicaof(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    note_refusal(arg, reply, "+replicaof");
}

/* An empty password, or no such answer. */
static void on_password(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct orders *o = arg;
    bool given = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                 reply->element[1]->type == REDIS_REPLY_STRING && reply->element[1]->len;
    if (!given && !o->refusal[0])
        snprintf(o->refusal, sizeof o->refusal, "masterauth");
}

static void on_pause_probe(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct orders *o = arg;
    note_refusal(o, reply, "+client");
    struct orders_answer answer = {.order = ORDER_PROBE, .ok = !o->refusal[0], .text = o->refusal};
    tell(o, &answer);
}

/* Each of them has an argument that the source refuses: it tells only whether the command may be sent. */
void orders_probe(struct orders *o, bool reverse, bool has_password)
{
    o->refusal[0] = '\0';
    if (reverse)
        client_words(o->client, ANSWER_MS, on_replicaof, o, "REPLICAOF", "probe", "probe", NULL);
    if (reverse && has_password)
        client_words(o->client, ANSWER_MS, on_password, o, "CONFIG", "GET", "masterauth", NULL);
    client_words(o->client, ANSWER_MS, on_pause_probe, o, "CLIENT", "PAUSE", "probe", NULL);
}

/* ---- the pause ---- */

static void on_paused(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    tell_status(arg, ORDER_PAUSE, reply);
}

void orders_pause(struct orders *o, uint64_t ms)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, ms);
    client_words(o->client, ANSWER_MS, on_paused, o, "CLIENT", "PAUSE", number, "WRITE", NULL);
}

static void on_unpaused(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    tell_status(arg, ORDER_UNPAUSE, reply);
}

void orders_unpause(struct orders *o)
{
    client_words(o->client, ANSWER_MS, on_unpaused, o, "CLIENT", "UNPAUSE", NULL);
}

static void on_lsns(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct orders *o = arg;
    struct orders_answer answer = {.order = ORDER_LSNS, .text = text_of(reply)};
    uint64_t *lsns = x_calloc(o->flow_count ? o->flow_count : 1, sizeof *lsns);
    answer.ok = reply->type == REDIS_REPLY_ARRAY && reply->elements == o->flow_count;
    for (size_t i = 0; answer.ok && i < reply->elements; i++) {
        answer.ok = reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer >= 0;
        lsns[i] = answer.ok ? (uint64_t)reply->element[i]->integer : 0;
    }
    answer.lsns = lsns;
    tell(o, &answer);
    free(lsns);
}

void orders_ask_lsns(struct orders *o)
{
    client_words(o->client, ANSWER_MS, on_lsns, o, "DFLY", "REPLICAOFFSET", NULL);
}

/* ---- the last steps ---- */

static void on_taken(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    tell_status(arg, ORDER_TAKE_OVER, reply);
}

void orders_take_over(struct orders *o, uint64_t seconds, const char *sync_id)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, seconds);
    client_words(o->client, 0, NULL, NULL, "CLIENT", "UNPAUSE", NULL);
    client_words(o->client, (uint32_t)(seconds * 1000 + ANSWER_MS), on_taken, o, "DFLY", "TAKEOVER", number,
                 sync_id, NULL);
}

static struct slice field_of(struct slice line, const char *name)
{
    size_t len = strlen(name);
    for (size_t at = 0; at + len < line.len; at++) {
        if ((at && line.data[at - 1] != ' ') || memcmp(line.data + at, name, len) != 0 ||
            line.data[at + len] != '=')
            continue;
        size_t begin = at + len + 1, end = begin;
        while (end < line.len && line.data[end] != ' ')
            end++;
        return slice_of(line.data + begin, end - begin);
    }
    return slice_of(NULL, 0);
}

bool orders_waits(struct slice line, uint64_t own_id, uint64_t *id)
{
    return slice_to_u64(field_of(line, "id"), id) && *id != own_id &&
           slice_is(field_of(line, "phase"), "process") && !slice_begins(field_of(line, "name"), "repl_");
}

static void tell_sent_away(struct orders *o)
{
    struct orders_answer answer = {.order = ORDER_SEND_AWAY, .ok = true, .text = "", .count = o->killed};
    tell(o, &answer);
}

static void on_killed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct orders *o = arg;
    o->killed += reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
    if (--o->kills_left == 0)
        tell_sent_away(o);
}

static void kill_waiting(struct orders *o, struct slice list)
{
    for (size_t at = 0; at < list.len && o->kills_left < MOST_KILLS;) {
        const uint8_t *end = memchr(list.data + at, '\n', list.len - at);
        size_t len = end ? (size_t)(end - list.data) - at : list.len - at;
        uint64_t id;
        if (orders_waits(slice_of(list.data + at, len), o->own_id, &id)) {
            char number[24];
            snprintf(number, sizeof number, "%" PRIu64, id);
            o->kills_left++;
            client_words(o->client, ANSWER_MS, on_killed, o, "CLIENT", "KILL", "ID", number, NULL);
        }
        at += len + 1;
    }
}

static void on_list(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct orders *o = arg;
    struct orders_answer refused = {.order = ORDER_SEND_AWAY, .text = text_of(reply)};
    o->kills_left = o->killed = 0;
    if (reply->type != REDIS_REPLY_STRING || !o->own_id) {
        tell(o, &refused);
        return;
    }
    kill_waiting(o, slice_of(reply->str, (size_t)reply->len));
    if (!o->kills_left)
        tell_sent_away(o);
}

static void on_id(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct orders *o = arg;
    o->own_id = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 ? (uint64_t)reply->integer : 0;
}

void orders_send_away(struct orders *o)
{
    client_words(o->client, ANSWER_MS, on_id, o, "CLIENT", "ID", NULL);
    client_words(o->client, ANSWER_MS, on_list, o, "CLIENT", "LIST", NULL);
}

static void on_reversed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    tell_status(arg, ORDER_REVERSE, reply);
}

void orders_reverse(struct orders *o, const char *host, uint16_t port)
{
    char number[8];
    snprintf(number, sizeof number, "%u", port);
    client_words(o->client, ANSWER_MS, on_reversed, o, "REPLICAOF", host, number, NULL);
}

/* A replica is online once a copy was sent to it; it acknowledges an offset once it has read it. */
static bool replica_follows(const char *info)
{
    static const char online[] = "state=online,offset=";
    const char *at = strstr(info, online);
    return at && at[sizeof online - 1] >= '1' && at[sizeof online - 1] <= '9';
}

static void on_link(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct orders *o = arg;
    struct orders_answer answer = {.order = ORDER_LINK, .text = text_of(reply)};
    answer.ok = reply->type == REDIS_REPLY_STRING && replica_follows(reply->str);
    tell(o, &answer);
}

void orders_ask_link(struct orders *o)
{
    client_words(o->client, ANSWER_MS, on_link, o, "INFO", "REPLICATION", NULL);
}
