#include "supervisor/target/expiry_watch.h"

#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/net/resp.h"
#include "common/redis/capabilities.h"

enum { RARELY = 10 };

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static struct clock_pair clock_now(void)
{
    return (struct clock_pair){clock_us(CLOCK_REALTIME), clock_us(CLOCK_BOOTTIME)};
}

static void note_mode(struct expiry_watch *w, bool on)
{
    bool changed = w->import_known && on != w->import_on;
    w->import_known = true;
    w->import_on = on;
    if (changed)
        w->import_mode(on, w->arg);
}

/* ---- the clock ---- */

static bool read_time(const redisReply *reply, int64_t *us)
{
    uint64_t seconds, micros;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str ||
        !reply->element[1]->str || !slice_to_u64(slice_str(reply->element[0]->str), &seconds) ||
        !slice_to_u64(slice_str(reply->element[1]->str), &micros) || seconds > UINT32_MAX * UINT64_C(1000))
        return false;
    *us = (int64_t)(seconds * 1000000 + micros);
    return true;
}

static void on_time(struct client *c, const redisReply *reply, void *arg)
{
    struct expiry_watch *w = arg;
    struct clock_reading r = {.asked = w->asked, .answered = clock_now()};
    int64_t by_us;
    if (!w->answered && client_is_import_source(c)) /* by the answer before this one */
        note_mode(w, true);
    w->answered = true;
    if (!read_time(reply, &r.told_us))
        return;
    enum clock_verdict verdict = clock_watch_take(&w->clock, &r, &by_us);
    if (verdict != CLOCK_AS_BEFORE && !w->import_on) /* else no key expires by it */
        w->clock_set(verdict, by_us / 1000, w->arg);
}

bool expiry_watch_ahead(const struct expiry_watch *w, int64_t *ahead_ms)
{
    *ahead_ms = w->clock.most_us / 1000;
    return w->clock.known;
}

/* ---- import mode ---- */

/* An error that says "later", or names a right, tells nothing about the mode. */
static void on_import_source(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    static const char *const others[] = {"LOADING", "BUSY", "NOPERM", "NOAUTH"};
    bool error = reply->type == REDIS_REPLY_ERROR;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (error && resp_error_is(reply, others[i]))
            return;
    note_mode(arg, !error);
}

static void on_config(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct expiry_watch *w = arg;
    bool told = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str;
    if (told)
        note_mode(w, strcmp(reply->element[1]->str, "yes") == 0);
    else if (reply->type != REDIS_REPLY_ERROR)
        w->way = ASK_NEVER; /* it is older than 8.1 */
    else if (!resp_error_is(reply, "LOADING") && !resp_error_is(reply, "BUSY"))
        w->way = ASK_RARELY;
}

static void ask_mode(struct expiry_watch *w, struct client *c, uint32_t timeout_ms)
{
    bool on = w->import_known && w->import_on;
    bool rarely = w->valkey && w->way == ASK_RARELY && w->not_asked++ % RARELY == 0;
    if (on || rarely)
        client_words(c, timeout_ms, on_import_source, w, "CLIENT", "IMPORT-SOURCE", "ON", NULL);
    else if (w->valkey && w->way == ASK_CONFIG)
        client_words(c, timeout_ms, on_config, w, "CONFIG", "GET", "import-mode", NULL);
}

/* ---- the questions ---- */

void expiry_watch_connected(struct expiry_watch *w)
{
    w->way = ASK_CONFIG;
    w->answered = false;
    w->not_asked = 0;
}

void expiry_watch_ask(struct expiry_watch *w, struct client *c, uint32_t timeout_ms)
{
    w->asked = clock_now();
    client_words(c, timeout_ms, on_time, w, "TIME", NULL);
    ask_mode(w, c, timeout_ms);
}

void expiry_watch_note_info(struct expiry_watch *w, struct slice info)
{
    w->valkey = info_field(info, "valkey_version").len > 0;
}
