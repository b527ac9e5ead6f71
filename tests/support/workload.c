/* Clients that write: one thread and connection each, pipelines of a few dozen commands, a part of them in
 * MULTI. */
#include "tests/support/workload.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/support/servers.h"
#include "tests/support/testing.h"
#include "tests/support/workload_commands.h"

enum { PIPELINE = 32, MAX_WORDS = 128, STREAM_ID_STEP = 8 };

struct client {
    struct workload *load;
    pthread_t thread;
    struct random random;
    redisContext *connection;
    uint32_t db, key; /* named last */
    uint64_t stream_ms;
    struct buf bytes; /* of the words at hand */
    size_t ends[MAX_WORDS];
    size_t count;
    uint64_t sent, answered, good;
};

struct workload {
    struct workload_options options;
    unsigned total_weight;
    atomic_bool stopping;
    _Atomic uint64_t answered;
    struct client *clients;
};

void workload_options_init(struct workload_options *o, uint16_t port)
{
    *o = (struct workload_options){.port = port, .seed = 1, .connections = 4, .databases = 4, .keys = 40};
}

static bool is_used(const struct workload_options *o, enum workload_kind kind)
{
    return kind == WORKLOAD_PLAIN || (kind == WORKLOAD_SHORT_TTL && o->short_ttls) ||
           (kind == WORKLOAD_UNPORTABLE && o->unportable) || (kind == WORKLOAD_LOSSY && o->lossy);
}

static const char *choose(struct client *c)
{
    uint64_t at = random_below(&c->random, c->load->total_weight);
    for (unsigned i = 0;; i++) {
        if (!is_used(&c->load->options, workload_commands[i].kind))
            continue;
        if (at < workload_commands[i].weight)
            return workload_commands[i].line;
        at -= workload_commands[i].weight;
    }
}

static void put_noise(struct client *c, size_t bytes, bool binary)
{
    for (size_t i = 0; i < bytes; i++)
        buf_put_u8(&c->bytes,
                   (uint8_t)(binary ? random_next(&c->random) : 'a' + random_below(&c->random, 26)));
}

/* Small numbers, short and long texts, binary, nothing at all. */
static void put_value(struct client *c)
{
    uint64_t n = random_next(&c->random);
    if (n % 10 < 3)
        buf_printf(&c->bytes, "%lld", (long long)(n >> 8) >> (n >> 4) % 56);
    else if (n % 10 < 9)
        put_noise(c, (size_t)(n >> 8) % 90, n % 10 == 8);
    else
        put_noise(c, 0, false);
}

static void put_key(struct client *c, char kind)
{
    static const char any[] = "scFlhkeEzxgbp";
    if (kind == 'a')
        kind = any[random_below(&c->random, sizeof any - 1)];
    uint32_t keys = c->load->options.keys;
    if (kind == 'L') { /* another list than the one named before */
        kind = 'l';
        c->key = (c->key + 1 + (uint32_t)random_below(&c->random, keys - 1)) % keys;
    } else {
        c->key = (uint32_t)random_below(&c->random, keys);
    }
    buf_printf(&c->bytes, "%c:%u", kind, c->key);
}

static void put_number(struct client *c, char kind)
{
    uint64_t n = random_next(&c->random);
    long long now_s = clock_unix_ms() / 1000;
    switch (kind) {
    case 'n':
        buf_printf(&c->bytes, "%llu", (unsigned long long)n % 100);
        break;
    case 'i':
        buf_printf(&c->bytes, "%lld", (long long)(n % 100) - 50);
        break;
    case 'r':
        buf_printf(&c->bytes, "%.*g", 2 + (int)(n % 6), (double)(int64_t)n / 1e17);
        break;
    case 't':
        buf_printf(&c->bytes, "%llu", 100000 + (unsigned long long)n % 100000);
        break;
    case 'T':
        buf_printf(&c->bytes, "%llu", 100000000 + (unsigned long long)n % 100000000);
        break;
    case 'q':
        buf_printf(&c->bytes, "%llu", 20 + (unsigned long long)n % 2000);
        break;
    case 'A':
        buf_printf(&c->bytes, "%lld", now_s + 200000 + (long long)(n % 100000));
        break;
    case 'M':
        buf_printf(&c->bytes, "%lld", (now_s + 200000) * 1000 + (long long)(n % 100000000));
        break;
    case 'I':
        buf_printf(&c->bytes, "%llu-*", (unsigned long long)(c->stream_ms += n % 2));
        break;
    case 'O':
        buf_printf(&c->bytes, "%llu-%llu", (unsigned long long)(c->stream_ms - n % 20),
                   (unsigned long long)(n >> 8) % 4);
        break;
    case 'D':
        buf_printf(&c->bytes, "%llu", (unsigned long long)n % c->load->options.databases);
        break;
    case 'w':
        buf_printf(&c->bytes, "%.6f", (double)(n % 3600000) / 10000 - 180);
        break;
    default:
        buf_printf(&c->bytes, "%.6f", (double)(n % 1600000) / 10000 - 80);
        break;
    }
}

static void put_placeholder(struct client *c, char kind)
{
    if (strchr("scFlLhkeEzZxgbBpjYa", kind))
        put_key(c, kind);
    else if (kind == 'o')
        buf_printf(&c->bytes, ":%llu", (unsigned long long)random_below(&c->random, 4));
    else if (kind == 'v')
        put_value(c);
    else if (kind == 'V')
        put_noise(c, 1000 + (size_t)random_below(&c->random, 30000), false);
    else if (kind == 'm' || kind == 'f')
        buf_printf(&c->bytes, "%c%llu", kind,
                   (unsigned long long)random_below(&c->random, kind == 'm' ? 300 : 60));
    else
        put_number(c, kind);
}

/* One word of a line, which may be a placeholder, or end in one, or be repeated. */
static void put_word(struct client *c, const char *word, size_t len)
{
    const char *star = memchr(word, '*', len), *percent = memchr(word, '%', len);
    bool repeated = star && percent && star == percent + 2;
    unsigned long times = repeated ? strtoul(star + 1, NULL, 10) : 1;
    for (; times-- && c->count < MAX_WORDS; c->count++) {
        buf_put(&c->bytes, word, percent ? (size_t)(percent - word) : len);
        if (percent)
            put_placeholder(c, percent[1]);
        c->ends[c->count] = c->bytes.len;
    }
}

static void send_words(struct client *c)
{
    const char *argv[MAX_WORDS];
    size_t lengths[MAX_WORDS], begin = 0;
    for (size_t i = 0; i < c->count; begin = c->ends[i++]) {
        argv[i] = (const char *)c->bytes.data + begin;
        lengths[i] = c->ends[i] - begin;
    }
    redisAppendCommandArgv(c->connection, (int)c->count, argv, lengths);
    c->sent++;
}

static void send_line(struct client *c, const char *line)
{
    buf_clear(&c->bytes);
    buf_reserve(&c->bytes, 1);
    c->count = 0;
    while (*line) {
        size_t len = strcspn(line, " ");
        put_word(c, line, len);
        line += len + (line[len] == ' ');
    }
    send_words(c);
}

static void send_some(struct client *c)
{
    const struct workload_options *o = &c->load->options;
    uint64_t n = random_next(&c->random);
    if (n % 4 == 0) {
        c->db = (uint32_t)random_below(&c->random, o->databases);
        char *select = format_text("SELECT %u", c->db);
        send_line(c, select);
        free(select);
    }
    if (o->flushes && n % 997 == 5)
        send_line(c, n % 11 == 0 ? "FLUSHALL" : "FLUSHDB");
    bool multi = n % 16 == 1;
    if (multi)
        send_line(c, "MULTI");
    for (int i = 0; i < (multi ? 4 : PIPELINE); i++)
        send_line(c, choose(c));
    if (multi)
        send_line(c, "EXEC");
}

/* False: the connection broke. */
static bool read_replies(struct client *c)
{
    while (c->answered < c->sent) {
        void *reply = NULL;
        if (redisGetReply(c->connection, &reply) != REDIS_OK && c->load->options.may_break)
            return false;
        if (!reply)
            die("the workload's connection to port %u: %s", c->load->options.port, c->connection->errstr);
        c->good += ((redisReply *)reply)->type != REDIS_REPLY_ERROR;
        freeReplyObject(reply);
        c->answered++;
        atomic_fetch_add(&c->load->answered, 1);
    }
    return true;
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    const struct workload_options *o = &c->load->options;
    uint64_t begin_ms = clock_monotonic_ms();
    while (!atomic_load(&c->load->stopping) && (!o->commands || c->sent < o->commands)) {
        send_some(c);
        if (!read_replies(c))
            break;
        /* Keeping to a rate is what this wait is for. */
        uint64_t due_ms = o->rate ? begin_ms + c->sent * 1000 / o->rate : 0, now = clock_monotonic_ms();
        if (due_ms > now) {
            struct timespec gap = {(time_t)((due_ms - now) / 1000), (long)((due_ms - now) % 1000 * 1000000)};
            clock_nanosleep(CLOCK_MONOTONIC, 0, &gap, NULL);
        }
    }
    return NULL;
}

struct workload *workload_start(const struct workload_options *o)
{
    struct workload *w = x_calloc(1, sizeof *w);
    w->options = *o;
    for (unsigned i = 0; i < workload_command_count; i++)
        w->total_weight += is_used(o, workload_commands[i].kind) ? workload_commands[i].weight : 0;
    w->clients = x_calloc(o->connections, sizeof *w->clients);
    for (unsigned i = 0; i < o->connections; i++) {
        struct client *c = &w->clients[i];
        *c = (struct client){.load = w, .random = {o->seed * 1000 + i}, .stream_ms = 1000};
        c->connection = server_connect(o->port);
        if (pthread_create(&c->thread, NULL, run_client, c) != 0)
            die("no thread for the workload");
    }
    return w;
}

uint64_t workload_finish(struct workload *w)
{
    uint64_t good = 0;
    for (unsigned i = 0; i < w->options.connections; i++) {
        struct client *c = &w->clients[i];
        pthread_join(c->thread, NULL);
        good += c->good;
        redisFree(c->connection);
        buf_free(&c->bytes);
    }
    free(w->clients);
    free(w);
    return good;
}

uint64_t workload_stop(struct workload *w)
{
    atomic_store(&w->stopping, true);
    return workload_finish(w);
}

uint64_t workload_progress(struct workload *w)
{
    return atomic_load(&w->answered);
}
