/* Questions in flight, the answers kept, and what they prove about the source. */
#include "supervisor/source/source_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/net/client.h"

enum { MAX_ASKS = 8, ANSWER_LIMIT_MS = 10000, RETRY_MS = 1000, TROUBLE_BYTES = 480 };

/* A question in flight: replies come in order. */
struct ask {
    uint64_t ms, us, rtt_us;
    uint64_t *lsns; /* from the first reply, until the second shows the source's role */
};

struct source_watch {
    struct event_base *base;
    const struct settings *settings;
    struct uri uri;
    char name[256];
    struct source_watch_callbacks callbacks;
    uint32_t flow_count;
    struct client *client;
    bool ready, over;
    uint64_t connect_due_ms, asked_ms;
    struct ask asks[MAX_ASKS]; /* the oldest first */
    size_t ask_count;
    struct source_lsns answers[SOURCE_WATCH_ANSWERS];
    size_t answer_count;
    uint64_t rtt_us;
    char trouble[TROUBLE_BYTES];
};

static void forget_asks(struct source_watch *w)
{
    for (size_t i = 0; i < w->ask_count; i++)
        free(w->asks[i].lsns);
    w->ask_count = 0;
}

static void set_trouble(struct source_watch *w, const char *text)
{
    if (strncmp(w->trouble, text, sizeof w->trouble - 1) != 0)
        log_debug("watching the source: %s", text);
    snprintf(w->trouble, sizeof w->trouble, "%s", text);
}

static void report_change(struct source_watch *w, const struct error *error)
{
    if (error->class != ERROR_FATAL)
        w->over = true;
    set_trouble(w, error->text);
    w->callbacks.changed(error, w->callbacks.arg);
}

/* Returns false, and reports the change, if an LSN went back. */
static bool lsns_go_on(struct source_watch *w, const uint64_t *lsns)
{
    struct error error = {0};
    for (uint32_t i = 0; w->answer_count && i < w->flow_count; i++)
        if (lsns[i] < w->answers[0].lsns[i]) {
            error_set(&error, ERROR_RETRY,
                      "the LSN of shard %u of source %s went back from %llu to %llu: its journal is another "
                      "one now",
                      i, w->name, (unsigned long long)w->answers[0].lsns[i], (unsigned long long)lsns[i]);
            report_change(w, &error);
            return false;
        }
    return true;
}

static void keep_answer(struct source_watch *w, struct ask *ask)
{
    if (w->answer_count == SOURCE_WATCH_ANSWERS)
        free(w->answers[--w->answer_count].lsns);
    memmove(w->answers + 1, w->answers, w->answer_count * sizeof *w->answers);
    w->answers[0] = (struct source_lsns){.asked_ms = ask->ms, .lsns = ask->lsns};
    w->answer_count++;
    ask->lsns = NULL;
    w->rtt_us = ask->rtt_us;
    w->trouble[0] = '\0';
}

static uint64_t *lsns_of(const redisReply *reply, uint32_t flow_count)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != flow_count)
        return NULL;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER || reply->element[i]->integer < 0)
            return NULL;
    uint64_t *lsns = x_calloc(flow_count, sizeof *lsns);
    for (size_t i = 0; i < reply->elements; i++)
        lsns[i] = (uint64_t)reply->element[i]->integer;
    return lsns;
}

static bool is_refusal(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncasecmp(reply->str, word, strlen(word)) == 0;
}

static void lacks_right(struct source_watch *w, const char *doing, const char *right, const redisReply *reply)
{
    struct error error = {0};
    error_fatal(
        &error, EX_NOPERM,
        "source %s does not permit %s to this user: %.120s; it needs %s, or it is never known whether "
        "the target is in step",
        w->name, doing, reply->str, right);
    report_change(w, &error);
}

static void on_lsns(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source_watch *w = arg;
    char text[TROUBLE_BYTES];
    if (w->over || !w->ask_count)
        return;
    struct ask *ask = &w->asks[0];
    ask->rtt_us = clock_monotonic_us() - ask->us;
    ask->lsns = lsns_of(reply, w->flow_count);
    if (ask->lsns)
        return;
    if (is_refusal(reply, "NOPERM")) {
        lacks_right(w, "DFLY REPLICAOFFSET", "+dfly", reply);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR)
        snprintf(text, sizeof text, "source %s answers DFLY REPLICAOFFSET with: %.160s", w->name, reply->str);
    else
        snprintf(text, sizeof text, "source %s does not answer DFLY REPLICAOFFSET with %u LSNs", w->name,
                 w->flow_count);
    set_trouble(w, text);
}

static void on_role(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source_watch *w = arg;
    struct error error = {0};
    if (w->over || !w->ask_count)
        return;
    struct ask ask = w->asks[0];
    memmove(w->asks, w->asks + 1, --w->ask_count * sizeof *w->asks);
    if (reply->type == REDIS_REPLY_ERROR && strcasestr(reply->str, "replica")) {
        error_set(
            &error, ERROR_RETRY,
            "source %s is no master any more (%.100s): what it holds from now on is not what was copied; "
            "the target stays as it is",
            w->name, reply->str);
        report_change(w, &error);
    } else if (is_refusal(reply, "NOPERM")) {
        lacks_right(w, "REPLCONF", "+replconf", reply);
    } else if (reply->type == REDIS_REPLY_STATUS && ask.lsns && lsns_go_on(w, ask.lsns)) {
        keep_answer(w, &ask);
        w->callbacks.told(w->callbacks.arg);
    }
    free(ask.lsns);
}

static void lose_connection(struct source_watch *w, const char *why, uint64_t now_ms)
{
    set_trouble(w, why);
    client_free(w->client);
    w->client = NULL;
    w->ready = false;
    w->connect_due_ms = now_ms + RETRY_MS;
    forget_asks(w);
}

static void on_ready(struct client *c, void *arg)
{
    (void)c;
    struct source_watch *w = arg;
    w->ready = true;
    source_watch_ask(w, clock_monotonic_ms());
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    lose_connection(arg, error->text, clock_monotonic_ms());
}

struct source_watch *source_watch_start(struct event_base *base, const struct settings *settings,
                                        const struct uri *uri, uint32_t flow_count,
                                        const struct source_watch_callbacks *callbacks)
{
    struct source_watch *w = x_calloc(1, sizeof *w);
    w->base = base;
    w->settings = settings;
    uri_copy(&w->uri, uri);
    w->callbacks = *callbacks;
    w->flow_count = flow_count;
    uri_display(uri, w->name, sizeof w->name);
    return w;
}

void source_watch_free(struct source_watch *w)
{
    if (!w)
        return;
    client_free(w->client);
    forget_asks(w);
    for (size_t i = 0; i < w->answer_count; i++)
        free(w->answers[i].lsns);
    uri_free(&w->uri);
    free(w);
}

static void connect_again(struct source_watch *w, uint64_t now_ms)
{
    struct error error = {0};
    struct client_callbacks callbacks = {.arg = w, .ready = on_ready, .failed = on_failed};
    w->client = client_connect(w->base, &w->uri, w->settings, "source", &callbacks, &error);
    if (!w->client)
        lose_connection(w, error.text, now_ms);
}

void source_watch_turn(struct source_watch *w, uint64_t now_ms)
{
    if (!w || w->over)
        return;
    if (!w->client && now_ms >= w->connect_due_ms)
        connect_again(w, now_ms);
    else if (w->ready && !w->ask_count && now_ms - w->asked_ms >= SOURCE_WATCH_EVERY_MS)
        source_watch_ask(w, now_ms);
}

bool source_watch_ask(struct source_watch *w, uint64_t now_ms)
{
    if (!w || w->over || !w->ready || w->ask_count == MAX_ASKS)
        return false;
    w->asks[w->ask_count++] = (struct ask){.ms = now_ms, .us = clock_monotonic_us()};
    w->asked_ms = now_ms;
    client_words(w->client, ANSWER_LIMIT_MS, on_lsns, w, "DFLY", "REPLICAOFFSET", NULL);
    client_words(w->client, ANSWER_LIMIT_MS, on_role, w, "REPLCONF", "capa", "eof", NULL);
    return w->client != NULL;
}

size_t source_watch_answers(const struct source_watch *w, const struct source_lsns **out)
{
    *out = w ? w->answers : NULL;
    return w ? w->answer_count : 0;
}

bool source_watch_connected(const struct source_watch *w)
{
    return w && w->ready && !w->over;
}

bool source_watch_over(const struct source_watch *w)
{
    return !w || w->over;
}

const char *source_watch_trouble(const struct source_watch *w)
{
    return w ? w->trouble : "there is no session with it";
}

uint64_t source_watch_rtt_us(const struct source_watch *w)
{
    return w ? w->rtt_us : 0;
}

bool source_watch_master_since(const struct source_watch *w, uint64_t ms)
{
    return w && w->answer_count && w->answers[0].asked_ms >= ms;
}
