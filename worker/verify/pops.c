/* The keys popped from, and INFO COMMANDSTATS of the source. */
#include "worker/verify/pops.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "common/net/client.h"
#include "common/net/resp.h"
#include "worker/keys/suspects.h"

enum {
    KEYS_MAX = 4096,
    ASK_MS = 2000,
    ASK_END_MS = 100, /* … at the end of the run */
    REST_MS = 10000,  /* time without pops after which the connection is closed */
    ANSWER_TIMEOUT_MS = 10000,
    KEPT_ASKS = 2, /* questions a key is kept for: the pop may be received before the command is counted */
};

struct pops {
    struct flow *flow;
    struct client *client;
    bool ready, asking;
    uint64_t end_asks;     /* number of the first question asked at the end of the run; 0: it does not end */
    struct suspects *keys; /* due_ms: number of the question that decides about the key */
    uint64_t asks, calls;  /* number of answers; calls of LMPOP and BLMPOP so far */
    uint64_t
        suspect_lsn; /* pops before it are suspect: the source counts calls before the FLOW receives their pops */
    uint64_t next_ms, last_ms;
    bool off; /* the source refuses INFO COMMANDSTATS */
};

static void suspect_key(struct pops *p, uint32_t db, struct slice key)
{
    flow_suspect(p->flow, db, key, DIVERGENCE_LOST_BY_SOURCE, "LMPOP");
}

/* ---- the set ---- */

/* Removes all keys, or, with all false, those whose question was answered; are_suspects: all keys become suspects
 * first. */
static void sweep_keys(struct pops *p, bool all, bool are_suspects)
{
    struct suspect *list[64];
    uint64_t by = all ? UINT64_MAX : p->asks;
    if (are_suspects)
        for (struct suspect *k = suspects_oldest(p->keys); k; k = k->newer)
            suspect_key(p, k->db, k->key);
    for (size_t n; (n = suspects_due(p->keys, by, list, sizeof list / sizeof *list)) > 0;)
        for (size_t i = 0; i < n; i++)
            suspects_settle(p->keys, list[i], list[i]->times);
}

void pops_note(struct pops *p, const struct entry *e)
{
    uint32_t db;
    struct error error;
    /* LPOP or RPOP of one element by a client has no transaction id, or is in a MULTI. */
    if (e->argc != 2 || e->txid == 0 || p->off ||
        (!slice_is(e->argv[0], "LPOP") && !slice_is(e->argv[0], "RPOP")) ||
        !settings_db_target(&p->flow->settings, e->db, &db))
        return;
    p->last_ms = clock_monotonic_ms();
    if (!e->in_snapshot && e->lsn < p->suspect_lsn) {
        suspect_key(p, db, e->argv[1]);
        return;
    }
    if (suspects_count(p->keys) == KEYS_MAX)
        sweep_keys(p, true, true);
    if (!suspects_add(p->keys, db, e->argv[1], DIVERGENCE_LOST_BY_SOURCE, "LMPOP", &error)) {
        suspect_key(p, db, e->argv[1]);
        return;
    }
    suspects_find(p->keys, db, e->argv[1])->due_ms = p->asks + KEPT_ASKS;
}

/* ---- the question ---- */

static void close_client(struct pops *p)
{
    client_free(p->client);
    p->client = NULL;
    p->ready = p->asking = false;
}

static uint64_t call_count(const char *text, const char *name)
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
    if (reply->type == REDIS_REPLY_ARRAY && p->flow->number < reply->elements)
        p->suspect_lsn = (uint64_t)reply->element[p->flow->number]->integer;
    sweep_keys(p, false, true);
}

static void on_stats(struct client *c, const redisReply *reply, void *arg)
{
    struct pops *p = arg;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "LOADING", 7) == 0) {
        p->asking = false; /* a takeover, for instance: later */
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR || !reply->str) {
        log_warning("the source answers INFO COMMANDSTATS with %s: LMPOP and BLMPOP, journaled as the pop of "
                    "one element, "
                    "cannot be detected; allow its user INFO",
                    resp_text(reply));
        sweep_keys(p, true, false);
        p->off = true;
        p->asking = false;
        return;
    }
    uint64_t calls =
        call_count(reply->str, "cmdstat_lmpop:calls=") + call_count(reply->str, "cmdstat_blmpop:calls=");
    if (calls != p->calls) {
        p->calls = calls;
        client_words(c, ANSWER_TIMEOUT_MS, on_offsets, p, "DFLY", "REPLICAOFFSET", NULL);
        return;
    }
    p->asking = false;
    p->asks++;
    sweep_keys(p, false, false);
}

static void on_client_ready(struct client *c, void *arg)
{
    struct pops *p = arg;
    (void)c;
    p->ready = true;
}

static void on_client_failed(struct client *c, const struct error *error, void *arg)
{
    struct pops *p = arg;
    (void)c;
    log_debug("%s", error->text);
    close_client(p);
}

void pops_go_on(struct pops *p)
{
    static const char what[] = "source";
    const struct client_callbacks callbacks = {p, on_client_ready, on_client_failed};
    struct error error;
    uint64_t now = clock_monotonic_ms();
    if (!suspects_count(p->keys)) {
        if (p->client && !p->asking && now - p->last_ms > REST_MS)
            close_client(p);
        return;
    }
    if (p->asking || now < p->next_ms)
        return;
    if (p->ready) {
        p->asking = true;
        p->next_ms = now + (p->end_asks ? ASK_END_MS : ASK_MS);
        client_words(p->client, ANSWER_TIMEOUT_MS, on_stats, p, "INFO", "COMMANDSTATS", NULL);
    } else if (!p->client) {
        p->client = client_connect(p->flow->base, &p->flow->settings.source, &p->flow->settings, what,
                                   &callbacks, &error);
        p->next_ms = p->client ? now : now + ASK_MS;
    }
}

void pops_end(struct pops *p)
{
    p->end_asks = p->asks + (p->asking ? 2 : 1);
    p->next_ms = 0;
}

bool pops_is_due(const struct pops *p)
{
    return suspects_count(p->keys) > 0 && (p->calls || !p->asks || p->asks < p->end_asks);
}

struct pops *pops_new(struct flow *f, bool fresh, struct error *error)
{
    struct pops *p = x_calloc(1, sizeof *p);
    p->flow = f;
    p->off = !flow_heals(f);
    p->keys = suspects_open_as("popped", f->directory, f->number, fresh, error);
    if (p->keys) {
        for (struct suspect *k = suspects_oldest(p->keys); k; k = k->newer)
            k->due_ms = KEPT_ASKS;
        return p;
    }
    free(p);
    return NULL;
}

void pops_free(struct pops *p)
{
    if (!p)
        return;
    close_client(p);
    suspects_close(p->keys);
    free(p);
}

void pops_remove_file(const char *directory, uint32_t flow)
{
    suspects_remove_file_as("popped", directory, flow);
}
