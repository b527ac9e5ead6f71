/* One connection, one question after the other:
 *
 *   CLIENT PAUSE without a time, which is refused in any case
 *   TIME → DFLY REPLICAOFFSET → in each database: SELECT, SCAN, and TYPE and MEMORY USAGE of each key
 *        → a second after the first: DFLY REPLICAOFFSET
 *
 * Two answers with LSNs, a second apart, tell how fast the source is written to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/printable.h"
#include "common/net/client.h"
#include "supervisor/check/ask.h"

enum { SAMPLE_KEYS = 1000, SAMPLE_MS = 2000, SCANS = 200, APART_MS = 1000, MOST_SHARDS = 1024 };

struct ask_source {
    struct client *client;
    struct event *second; /* LSNs are due */
    uint32_t timeout_ms;
    const uint32_t *databases;
    size_t database_count, database; /* the one that is sampled */
    struct source_more *out;
    void (*done)(void *arg);
    void *arg;
    bool over;
    uint64_t asked_us, lsns_ms, sample_end_ms;
    uint64_t lsns[MOST_SHARDS];
    size_t shards, scans;
    uint64_t sampled; /* keys of this database */
    char cursor[24];
    /* The keys of one SCAN. */
    char (*keys)[100];
    size_t key_count, answered;
    char (*types)[24];
};

static void finish(struct ask_source *a)
{
    if (a->over)
        return;
    a->over = true;
    a->done(a->arg);
}

/* ---- LSNs ---- */

static bool read_lsns(struct ask_source *a, const redisReply *reply, uint64_t *most)
{
    *most = 0;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > MOST_SHARDS)
        return false;
    a->out->lsns = 0;
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER || reply->element[i]->integer < 0)
            return false;
        uint64_t lsn = (uint64_t)reply->element[i]->integer;
        if (i < a->shards && lsn > a->lsns[i] && lsn - a->lsns[i] > *most)
            *most = lsn - a->lsns[i];
        a->lsns[i] = lsn;
        a->out->lsns += lsn;
    }
    a->shards = reply->elements;
    return true;
}

static void on_second_lsns(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_source *a = arg;
    uint64_t most;
    if (read_lsns(a, reply, &most)) {
        a->out->entries = most;
        a->out->within_ms = clock_monotonic_ms() - a->lsns_ms;
    }
    finish(a);
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct ask_source *a = arg;
    if (!a->over)
        client_words(a->client, a->timeout_ms, on_second_lsns, a, "DFLY", "REPLICAOFFSET", NULL);
}

static void wait_for_second(struct ask_source *a)
{
    uint64_t since = clock_monotonic_ms() - a->lsns_ms, left = since < APART_MS ? APART_MS - since : 0;
    struct timeval pause = {.tv_sec = (time_t)(left / 1000), .tv_usec = (suseconds_t)(left % 1000 * 1000)};
    if (!a->out->lsns_known || event_add(a->second, &pause) != 0)
        finish(a);
}

/* ---- the sample ---- */

static void sample_database(struct ask_source *a);

static void on_scan(struct client *c, const redisReply *reply, void *arg);

static void scan_on(struct ask_source *a)
{
    bool whole = strcmp(a->cursor, "0") == 0 && a->scans;
    bool enough = a->sampled >= SAMPLE_KEYS / a->database_count || a->scans >= SCANS;
    if (whole || enough || clock_monotonic_ms() >= a->sample_end_ms) {
        a->database++;
        sample_database(a);
        return;
    }
    a->scans++;
    client_words(a->client, a->timeout_ms, on_scan, a, "SCAN", a->cursor, "COUNT", "100", NULL);
}

static void on_memory(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_source *a = arg;
    size_t i = a->answered++;
    redisReply type = {.type = REDIS_REPLY_STATUS, .str = a->types[i], .len = strlen(a->types[i])};
    key_sample_add(&a->out->sample, &type, reply, a->keys[i]);
    if (a->answered == a->key_count && !a->over)
        scan_on(a);
}

static void on_type(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_source *a = arg;
    bool known = reply->type == REDIS_REPLY_STATUS;
    a->out->sample.known &= known;
    snprintf(a->types[a->answered], sizeof *a->types, "%s", known ? reply->str : "none");
}

static void ask_about_key(struct ask_source *a, size_t i, const redisReply *key)
{
    struct slice name = slice_of(key->str, (size_t)key->len), type[] = {slice_str("TYPE"), name},
                 memory[] = {slice_str("MEMORY"), slice_str("USAGE"), name};
    snprintf(a->keys[i], sizeof *a->keys, "%.*s", (int)name.len, (const char *)name.data);
    printable(a->keys[i], sizeof *a->keys);
    client_command(a->client, a->timeout_ms, on_type, a, 2, type);
    client_command(a->client, a->timeout_ms, on_memory, a, 3, memory);
}

static void on_scan(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_source *a = arg;
    bool good = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_ARRAY;
    if (!good) {
        a->out->sample.known = false;
        wait_for_second(a);
        return;
    }
    const redisReply *keys = reply->element[1];
    snprintf(a->cursor, sizeof a->cursor, "%s", reply->element[0]->str);
    a->key_count = keys->elements;
    a->answered = 0;
    a->sampled += keys->elements;
    a->keys = x_realloc(a->keys, (a->key_count + 1) * sizeof *a->keys);
    a->types = x_realloc(a->types, (a->key_count + 1) * sizeof *a->types);
    for (size_t i = 0; i < keys->elements; i++)
        ask_about_key(a, i, keys->element[i]);
    if (!a->key_count)
        scan_on(a);
}

static void on_selected(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_source *a = arg;
    a->out->sample.known &= reply->type == REDIS_REPLY_STATUS;
    scan_on(a);
}

static void sample_database(struct ask_source *a)
{
    char number[12];
    if (a->database >= a->database_count || !a->out->sample.known) {
        wait_for_second(a);
        return;
    }
    snprintf(a->cursor, sizeof a->cursor, "0");
    a->scans = a->sampled = 0;
    snprintf(number, sizeof number, "%u", a->databases[a->database]);
    client_words(a->client, a->timeout_ms, on_selected, a, "SELECT", number, NULL);
}

/* ---- the beginning ---- */

static void on_first_lsns(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_source *a = arg;
    uint64_t most;
    a->lsns_ms = clock_monotonic_ms();
    a->out->lsns_known = read_lsns(a, reply, &most);
    a->out->sample.known = true;
    a->sample_end_ms = a->lsns_ms + SAMPLE_MS;
    sample_database(a);
}

static void on_time(struct client *c, const redisReply *reply, void *arg)
{
    struct ask_source *a = arg;
    clock_facts_read(&a->out->clock, reply, clock_monotonic_us() - a->asked_us, clock_unix_ms());
    client_words(c, a->timeout_ms, on_first_lsns, a, "DFLY", "REPLICAOFFSET", NULL);
}

static void on_pause(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct ask_source *a = arg;
    a->out->pause_known = reply->type == REDIS_REPLY_ERROR;
    a->out->pause_refused = a->out->pause_known && strncmp(reply->str, "NOPERM", 6) == 0;
}

static void on_ready(struct client *c, void *arg)
{
    struct ask_source *a = arg;
    client_words(c, a->timeout_ms, on_pause, a, "CLIENT", "PAUSE", "probe", NULL);
    a->asked_us = clock_monotonic_us();
    client_words(c, a->timeout_ms, on_time, a, "TIME", NULL);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c, (void)error;
    finish(arg);
}

struct ask_source *ask_source_start(struct event_base *base, const struct settings *settings,
                                    const struct uri *uri, const uint32_t *databases, size_t database_count,
                                    struct source_more *out, void (*done)(void *arg), void *arg)
{
    struct ask_source *a = x_calloc(1, sizeof *a);
    struct client_callbacks callbacks = {.arg = a, .ready = on_ready, .failed = on_failed};
    struct error error = {0};
    *a = (struct ask_source){.timeout_ms = settings->connect_timeout_ms,
                             .databases = databases,
                             .database_count = database_count,
                             .out = out,
                             .done = done,
                             .arg = arg};
    a->second = evtimer_new(base, on_second, a);
    a->client = a->second ? client_connect(base, uri, settings, "source", &callbacks, &error) : NULL;
    if (a->client)
        return a;
    ask_source_free(a);
    return NULL;
}

void ask_source_free(struct ask_source *a)
{
    if (!a)
        return;
    a->over = true;
    client_free(a->client);
    if (a->second)
        event_free(a->second);
    free(a->keys);
    free(a->types);
    free(a);
}
