/* The keys popped from, and the question to the source. */
#include "worker/pops.h"

#include <stdlib.h>

#include "common/client.h"
#include "common/clock.h"
#include "common/crc.h"
#include "common/resp.h"
#include "worker/divergence.h"
#include "worker/worker.h"

enum {
    SLOTS = 8192, /* half of them filled at most */
    KEYS_MAX = SLOTS / 2,
    ASK_MS = 2000,
    REST_MS = 10000, /* without pops, and the connection is closed */
    ANSWER_TIMEOUT_MS = 10000,
    KEPT_ASKS = 2, /* a command counts only when it is over, and its pop may be here before */
};

struct popped {
    uint64_t hash;
    char *key; /* NULL: free */
    size_t len;
    uint32_t db;  /* the target's */
    uint64_t ask; /* the number of the next question when it was last popped from */
};

struct pops {
    struct worker *w;
    struct client *client;
    bool ready, asking;
    struct popped slots[SLOTS];
    size_t count;
    uint64_t asks, calls; /* questions answered; LMPOP and BLMPOP called so far */
    uint64_t suspect_lsn; /* pops before it are suspect: there were such calls, and we may be behind */
    uint64_t next_ms, last_ms;
    bool off; /* the source does not tell */
};

static void suspect(struct pops *p, uint32_t db, struct slice key)
{
    worker_suspect(p->w, db, key, DIVERGENCE_LOST_BY_SOURCE, "LMPOP");
}

/* ---- the set ---- */

static struct popped *slot_of(struct pops *p, uint32_t db, struct slice key)
{
    uint64_t hash = crc64(db, key.data, key.len);
    size_t i = hash % SLOTS;
    struct popped *one;
    while ((one = &p->slots[i])->key &&
           (one->hash != hash || one->db != db || !slice_eq(slice_of(one->key, one->len), key)))
        i = (i + 1) % SLOTS;
    one->hash = hash;
    return one;
}

/* All of them, or, with all false, those that were judged by now, go; the others are put where they belong.
 */
static void sweep(struct pops *p, bool all, bool are_suspects)
{
    struct popped *kept = x_calloc(KEYS_MAX, sizeof *kept);
    size_t n = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        struct popped *one = &p->slots[i];
        if (!one->key)
            continue;
        if (are_suspects)
            suspect(p, one->db, slice_of(one->key, one->len));
        if (all || one->ask + KEPT_ASKS <= p->asks)
            free(one->key);
        else
            kept[n++] = *one;
        one->key = NULL;
    }
    p->count = n;
    for (size_t i = 0; i < n; i++)
        *slot_of(p, kept[i].db, slice_of(kept[i].key, kept[i].len)) = kept[i];
    free(kept);
}

void pops_note(struct pops *p, const struct entry *e)
{
    uint32_t db;
    /* A client's own pop of one has no transaction id, or stands in a MULTI. */
    if (e->argc != 2 || e->txid == 0 || p->off ||
        (!slice_is(e->argv[0], "LPOP") && !slice_is(e->argv[0], "RPOP")) ||
        !settings_db_target(&p->w->settings, e->db, &db))
        return;
    p->last_ms = clock_monotonic_ms();
    if (!e->in_snapshot && e->lsn < p->suspect_lsn) {
        suspect(p, db, e->argv[1]);
        return;
    }
    if (p->count == KEYS_MAX)
        sweep(p, true, true);
    struct popped *one = slot_of(p, db, e->argv[1]);
    one->ask = p->asks;
    if (one->key)
        return;
    one->db = db;
    one->len = e->argv[1].len;
    one->key = x_malloc(one->len + 1);
    memcpy(one->key, e->argv[1].data, one->len);
    p->count++;
}

/* ---- the question ---- */

static void close_client(struct pops *p)
{
    client_free(p->client);
    p->client = NULL;
    p->ready = p->asking = false;
}

static uint64_t calls_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void on_offsets(struct client *c, const redisReply *reply, void *arg)
{
    struct pops *p = arg;
    (void)c;
    p->asking = false;
    p->asks++;
    if (reply->type == REDIS_REPLY_ARRAY && p->w->flow < reply->elements)
        p->suspect_lsn = (uint64_t)reply->element[p->w->flow]->integer;
    sweep(p, false, true);
}

static void on_stats(struct client *c, const redisReply *reply, void *arg)
{
    struct pops *p = arg;
    if (reply->type == REDIS_REPLY_ERROR || !reply->str) {
        log_warning(
            "the source does not tell whether LMPOP is used, which it journals as the pop of one element: %s",
            resp_text(reply));
        sweep(p, true, false);
        p->off = true;
        p->asking = false;
        return;
    }
    uint64_t calls =
        calls_of(reply->str, "cmdstat_lmpop:calls=") + calls_of(reply->str, "cmdstat_blmpop:calls=");
    if (calls != p->calls) {
        p->calls = calls;
        client_words(c, ANSWER_TIMEOUT_MS, on_offsets, p, "DFLY", "REPLICAOFFSET", NULL);
        return;
    }
    p->asking = false;
    p->asks++;
    sweep(p, false, false);
}

static void on_ready(struct client *c, void *arg)
{
    struct pops *p = arg;
    (void)c;
    p->ready = true;
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    struct pops *p = arg;
    (void)c;
    log_debug("%s", error->text);
    close_client(p);
}

void pops_go_on(struct pops *p)
{
    static const char what[] = "source";
    const struct client_callbacks callbacks = {p, on_ready, on_failed};
    struct error error;
    uint64_t now = clock_monotonic_ms();
    if (!p->count) {
        if (p->client && !p->asking && now - p->last_ms > REST_MS)
            close_client(p);
        return;
    }
    if (p->asking || now < p->next_ms)
        return;
    if (p->ready) {
        p->asking = true;
        p->next_ms = now + ASK_MS;
        client_words(p->client, ANSWER_TIMEOUT_MS, on_stats, p, "INFO", "COMMANDSTATS", NULL);
    } else if (!p->client) {
        p->client =
            client_connect(p->w->base, &p->w->settings.source, &p->w->settings, what, &callbacks, &error);
        p->next_ms = p->client ? now : now + ASK_MS;
    }
}

bool pops_is_due(const struct pops *p)
{
    return p->count > 0 && (p->calls || !p->asks);
}

struct pops *pops_new(struct worker *w)
{
    struct pops *p = x_calloc(1, sizeof *p);
    p->w = w;
    p->off = !heal_is_on(w);
    return p;
}

void pops_free(struct pops *p)
{
    if (!p)
        return;
    close_client(p);
    for (size_t i = 0; i < SLOTS; i++)
        free(p->slots[i].key);
    free(p);
}
