#include "tests/support/repair_watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "tests/support/servers.h"
#include "tests/support/testing.h"

enum { NEAR_US = 20000, WORDS_MAX = 8, PRINTED_MAX = 20 };

static const char last_word[] = "repair-watch-ends";

/* A key as what was applied says. */
struct counted {
    uint64_t applied; /* the counter, or the newest element; 0: nothing yet */
    uint64_t written_us, repaired_us;
};

struct repair_watch {
    uint16_t port;
    redisContext *monitor, *scratch;
    pthread_t thread;
    unsigned keys;
    struct counted *strings, *lists;
    _Atomic uint64_t repairs, raced, wrong;
    bool stopped;
};

/* "word" as MONITOR quotes it, from *at on; *at is behind it. False: there is none. */
static bool take_word(const char **at, struct buf *word)
{
    static const char escapes[] = "n\nr\rt\ta\ab\b";
    const char *p = *at;
    buf_clear(word);
    while (*p == ' ')
        p++;
    if (*p++ != '"')
        return false;
    for (; *p && *p != '"'; p++) {
        const char *escape = *p == '\\' && p[1] ? strchr(escapes, p[1]) : NULL;
        if (*p != '\\') {
            buf_put_u8(word, (uint8_t)*p);
        } else if (p[1] == 'x' && p[2] && p[3]) {
            char hex[3] = {p[2], p[3], '\0'};
            buf_put_u8(word, (uint8_t)strtoul(hex, NULL, 16));
            p += 3;
        } else {
            buf_put_u8(word, (uint8_t)(escape ? escape[1] : p[1]));
            p++;
        }
    }
    *at = *p ? p + 1 : p;
    buf_put_u8(word, '\0');
    word->len--;
    return true;
}

static struct counted *find_key(struct repair_watch *w, const char *name, bool *list)
{
    static const char string_prefix[] = "race:", list_prefix[] = "races:";
    *list = strncmp(name, list_prefix, sizeof list_prefix - 1) == 0;
    if (!*list && strncmp(name, string_prefix, sizeof string_prefix - 1) != 0)
        return NULL;
    unsigned long n = strtoul(strchr(name, ':') + 1, NULL, 10);
    return n < w->keys ? &(*list ? w->lists : w->strings)[n] : NULL;
}

static uint64_t number_of(const redisReply *r)
{
    return r && r->type == REDIS_REPLY_STRING ? strtoull(r->str, NULL, 10) : 0;
}

/* What a payload holds: the counter, or the newest element. */
static uint64_t read_payload(struct repair_watch *w, const struct buf *payload, bool list)
{
    redisReply *r = redisCommand(w->scratch, "RESTORE scratch 0 %b REPLACE", payload->data, payload->len);
    if (!r || r->type == REDIS_REPLY_ERROR)
        die("the payload of a repair cannot be read: %s", r ? r->str : w->scratch->errstr);
    freeReplyObject(r);
    r = redisCommand(w->scratch, list ? "LINDEX scratch -1" : "GET scratch");
    uint64_t number = number_of(r);
    freeReplyObject(r);
    return number;
}

static void on_repair(struct repair_watch *w, struct counted *k, const char *name, uint64_t brought,
                      bool list, uint64_t us)
{
    uint64_t got = list ? brought : brought % REPAIR_WATCH_MILLION;
    w->repairs++;
    w->raced += us - k->written_us < NEAR_US;
    k->repaired_us = us;
    if (got == k->applied || !k->applied)
        return;
    if (w->wrong++ < PRINTED_MAX)
        fprintf(stderr, "%s: %llu was applied, and the repair brought %llu\n", name,
                (unsigned long long)k->applied, (unsigned long long)got);
    k->applied = got;
}

static void on_write(struct repair_watch *w, struct counted *k, uint64_t us)
{
    w->raced += k->repaired_us && us - k->repaired_us < NEAR_US && k->repaired_us - k->written_us >= NEAR_US;
    k->repaired_us = 0;
    k->written_us = us;
}

static void take_command(struct repair_watch *w, struct buf words[WORDS_MAX], size_t count, uint64_t us)
{
    const char *verb = (const char *)words[0].data, *name = (const char *)words[1].data;
    bool list;
    struct counted *k = count > 1 ? find_key(w, name, &list) : NULL;
    if (!k)
        return;
    if (strcasecmp(verb, "INCR") == 0) {
        k->applied++;
        on_write(w, k, us);
    } else if (strcasecmp(verb, "RPUSH") == 0) {
        k->applied = strtoull((const char *)words[2].data, NULL, 10);
        on_write(w, k, us);
    } else if (strcasecmp(verb, "SET") == 0) {
        on_repair(w, k, name, strtoull((const char *)words[2].data, NULL, 10), list, us);
    } else if (strcasecmp(verb, "RESTORE") == 0) {
        on_repair(w, k, name, read_payload(w, &words[3], list), list, us);
    }
}

/* SECONDS.MICROSECONDS [DB CLIENT] "WORD" … */
static bool take_line(struct repair_watch *w, const char *line, struct buf words[WORDS_MAX])
{
    char *end;
    uint64_t us = strtoull(line, &end, 10) * 1000000;
    us += *end == '.' ? strtoull(end + 1, NULL, 10) : 0;
    const char *at = strchr(line, ']');
    size_t count = 0;
    if (!at || strstr(line, last_word))
        return at == NULL;
    for (at++; count < WORDS_MAX && take_word(&at, &words[count]);)
        count++;
    if (count)
        take_command(w, words, count, us);
    return true;
}

static void *watch(void *arg)
{
    struct repair_watch *w = arg;
    struct buf words[WORDS_MAX] = {{0}};
    bool more = true;
    while (more) {
        redisReply *r = NULL;
        if (redisGetReply(w->monitor, (void **)&r) != REDIS_OK)
            die("MONITOR: %s", w->monitor->errstr);
        more = r->type != REDIS_REPLY_STATUS || take_line(w, r->str, words);
        freeReplyObject(r);
    }
    for (size_t i = 0; i < WORDS_MAX; i++)
        buf_free(&words[i]);
    return NULL;
}

struct repair_watch *repair_watch_start(uint16_t port, uint16_t scratch_port, unsigned keys)
{
    struct repair_watch *w = x_calloc(1, sizeof *w);
    w->port = port;
    w->keys = keys;
    w->strings = x_calloc(keys, sizeof *w->strings);
    w->lists = x_calloc(keys, sizeof *w->lists);
    w->scratch = server_connect(scratch_port);
    server_ok(w->scratch, "SELECT 15");
    w->monitor = server_connect(port);
    server_ok(w->monitor, "MONITOR");
    if (pthread_create(&w->thread, NULL, watch, w) != 0)
        die("no thread for MONITOR");
    return w;
}

uint64_t repair_watch_repairs(struct repair_watch *w)
{
    return w->repairs;
}

uint64_t repair_watch_raced(struct repair_watch *w)
{
    return w->raced;
}

uint64_t repair_watch_wrong(struct repair_watch *w)
{
    return w->wrong;
}

void repair_watch_stop(struct repair_watch *w)
{
    if (!w || w->stopped)
        return;
    redisContext *c = server_connect(w->port);
    char *words = format_text("ECHO %s", last_word);
    freeReplyObject(server_command(c, words));
    free(words);
    redisFree(c);
    pthread_join(w->thread, NULL);
    w->stopped = true;
}

void repair_watch_free(struct repair_watch *w)
{
    if (!w)
        return;
    repair_watch_stop(w);
    redisFree(w->monitor);
    redisFree(w->scratch);
    free(w->strings);
    free(w->lists);
    free(w);
}
