/* When suspects are compared, how many at a time, and the outcome. */
#include "worker/verify/heal.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "worker/keys/suspects.h"
#include "worker/translate/rewrite.h"
#include "worker/verify/healed.h"
#include "worker/verify/pace.h"

#define HEALED_KIND "healed"
#define RESENT_KIND "resent"

enum {
    LAG_MAX_MS = 1000,   /* above this lag nothing is compared */
    REST_MS = 5000,      /* idle time after which the connections are closed */
    AGAIN_FIRST_MS = 50, /* pause for a key that is written meanwhile */
    AGAIN_MAX_MS = 10000,
    AGAIN_END_MS = 1000,    /* … at the end of the run */
    TROUBLE_MAX_MS = 30000, /* pause between attempts to connect */
    TOLD_MAX = 5,           /* log lines of each kind; the rest is in divergences.log only */
};

struct heal {
    struct heal_config with;
    struct flow *flow;
    struct comparison *comparison;
    struct pace *pace;
    struct healed *healed, *resent;
    struct suspect *suspects[COMPARISON_KEYS];
    uint64_t times[COMPARISON_KEYS];
    uint64_t begun_lsn; /* applied_lsn when the batch began: a lower LSN is of another history */
    uint64_t begun_ms;  /* when the batch began */
    uint64_t next_ms, idle_ms, trouble_ms;
    struct event *next; /* at next_ms, as the worker's tick is too slow for small batches */
    unsigned told_healed, told_denied;
    bool told_unknown, told_forgotten;
    bool ends; /* the run ends: no pauses between batches, and short ones for a key */
};

static bool lsns_applied(void *arg, const uint64_t *lsns, size_t count)
{
    const struct heal *h = arg;
    const struct flow *f = h->flow;
    /* Another number of shards, or a lower LSN: another history. */
    if (count != f->count || lsns[f->number] < h->begun_lsn)
        return false;
    return cursor_get(&f->cursor.marks->in_contact) &&
           cursor_get(&f->cursor.marks->applied_lsn) >= lsns[f->number];
}

static const char *process_of(void *arg, struct slice key)
{
    const struct heal *h = arg;
    return router_is_cluster(h->with.router) ? router_run_id(h->with.router, key) : h->flow->target.run_id;
}

static uint64_t pause_ms(const struct heal *h, uint32_t tries)
{
    uint64_t ms = (uint64_t)AGAIN_FIRST_MS << (tries < 10 ? tries : 10);
    uint64_t most = h->ends ? AGAIN_END_MS : AGAIN_MAX_MS;
    return ms < most ? ms : most;
}

/* Longer each time, and not before it has rested. */
static void put_off(struct heal *h, struct suspect *k)
{
    uint64_t due_ms = clock_monotonic_ms() + pause_ms(h, k->tries);
    uint64_t rested_ms = pace_due_ms(h->pace, k->db, k->key);
    suspects_put_off(h->flow->suspects, k, due_ms > rested_ms ? due_ms : rested_ms);
}

static void report_healed(struct heal *h, const struct suspect *k)
{
    struct message m = {.type = MESSAGE_HEALED, .fd = -1};
    snprintf(m.divergence.reason, sizeof m.divergence.reason, "%.47s", k->reason);
    snprintf(m.divergence.command, sizeof m.divergence.command, "%s", k->command);
    snprintf(m.divergence.key, sizeof m.divergence.key, "%s", log_key(k->key));
    flow_tell(h->flow, &m);
    if (h->told_healed++ < TOLD_MAX)
        log_info("the key %s (%s, %s) differed from the source and was healed%s", log_key(k->key), k->reason,
                 k->command, h->told_healed == TOLD_MAX ? "; further keys are in divergences.log only" : "");
}

static void report_impossible(struct heal *h, const struct suspect *k, const struct compared *c)
{
    if (*c->text && h->told_denied++ < TOLD_MAX)
        log_warning("the key %s (%s, %s) cannot be %s: %s%s", log_key(k->key), k->reason, k->command,
                    *c->reason ? "healed" : "compared with the source", c->text,
                    h->told_denied == TOLD_MAX ? "; further keys are in divergences.log only" : "");
    flow_report(h->flow,
                &(struct report){*c->reason ? c->reason : k->reason, k->command, k->db, k->key, 1, NULL});
}

/* A suspect without a known refusal or loss that cannot be compared: counted, logged once. */
static void report_unknown(struct heal *h, const struct suspect *k, const char *why)
{
    cursor_add(&h->flow->cursor.marks->suspects_unknown, 1);
    if (h->told_unknown)
        return;
    h->told_unknown = true;
    log_warning("the key %s (%s, %s) may differ from the source, and cannot be compared: %s; such keys are "
                "counted in the "
                "status, suspects.unknown, and do not change the exit code",
                log_key(k->key), k->reason, k->command, why);
}

static bool stays_unknown(const struct suspect *k, const struct compared *c)
{
    return suspect_is_perhaps(k) && (!*c->reason || strcmp(c->reason, DIVERGENCE_TOO_LARGE_TO_COMPARE) == 0);
}

/* Whether the divergence is not counted yet: a value that the target cannot hold was counted when it was received. A
 * lost answer alone is no divergence. */
static bool is_uncounted(const struct suspect *k, const struct compared *c)
{
    return !suspect_is_perhaps(k) || strcmp(c->reason, DIVERGENCE_REFUSED) == 0;
}

/* A command without an effect does not touch its key for WATCH: what the source deleted after it was read, and the
 * target lacked then, is back on the target, and no further entry tells of it. So the key stays a suspect until a
 * comparison finds it equal. */
static void on_healed(struct heal *h, const struct compared *c, struct suspect *k, uint64_t times)
{
    cursor_add(&h->flow->cursor.marks->suspects_healed, 1);
    report_healed(h, k);
    expiry_healed(h->with.expiry, c->db, c->key, c->expires_ms);
    /* A mark that is on its way may be in the target without this. */
    healed_add(h->healed, c->db, c->key, cursor_get(&h->flow->cursor.marks->sent_seq));
    suspects_note_healed(h->flow->suspects, k, times, c->difference);
    put_off(h, k);
}

static void suspect_again(void *arg, uint32_t db, struct slice key)
{
    struct heal *h = arg;
    flow_suspect(h->flow, db, key, SUSPECT_UNHEARD, "RESTORE");
}

static void suspect_resent(void *arg, uint32_t db, struct slice key)
{
    struct heal *h = arg;
    flow_suspect(h->flow, db, key, SUSPECT_UNHEARD, "EXEC");
}

void heal_went_back(struct heal *h, uint64_t seq)
{
    struct message m = {.type = MESSAGE_WENT_BACK, .fd = -1, .went_back.seq = seq};
    flow_tell(h->flow, &m); /* what a comparison of all keys has repaired is not in these lists */
    healed_take_since(h->resent, 0, suspect_resent, h);
    if (healed_take_since(h->healed, seq, suspect_again, h))
        return;
    flow_compare_all(
        h->flow, "the target has lost writes, and more keys were repaired before that than are remembered",
        &h->told_forgotten);
}

void heal_remember_resent(struct heal *h, uint32_t db, struct slice key)
{
    healed_add(h->resent, db, key, 0);
}

static void settle_suspect(struct heal *h, const struct compared *c, struct suspect *k, uint64_t times)
{
    struct cursor_marks *m = h->flow->cursor.marks;
    if (c->outcome == COMPARISON_AGAIN) {
        put_off(h, k);
        k->alone |= c->alone;
        k->by_elements |= c->by_elements;
        return;
    }
    if (c->outcome == COMPARISON_HEALED) {
        on_healed(h, c, k, times);
        return;
    }
    bool again = k->times != times; /* added meanwhile: the outcome may be outdated */
    if (c->outcome == COMPARISON_EQUAL && !again)
        cursor_add(k->healed ? &m->suspects_confirmed : &m->suspects_equal, 1);
    if (c->outcome == COMPARISON_IMPOSSIBLE && !again && stays_unknown(k, c)) {
        report_unknown(h, k, c->text);
    } else if (c->outcome == COMPARISON_IMPOSSIBLE && !again && is_uncounted(k, c)) {
        cursor_add(&m->suspects_permanent, 1);
        report_impossible(h, k, c);
    }
    if (!suspects_settle(h->flow->suspects, k, times))
        put_off(h, k);
}

/* When the next batch may begin. */
static void note_pace(struct heal *h, const struct compared *list, size_t count, uint64_t now)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += list[i].bytes;
        if (list[i].outcome != COMPARISON_AGAIN)
            pace_compared(h->pace, list[i].db, list[i].key, list[i].bytes, now);
    }
    h->next_ms = h->begun_ms + pace_batch_ms(h->pace, count, bytes);
}

static void on_batch_done(void *arg, struct compared *list, size_t count, const struct error *trouble)
{
    struct heal *h = arg;
    uint64_t now = clock_monotonic_ms();
    h->idle_ms = now;
    note_pace(h, list, count, now);
    if (trouble) {
        h->trouble_ms = h->trouble_ms ? h->trouble_ms * 2 : 100;
        if (h->trouble_ms > TROUBLE_MAX_MS)
            h->trouble_ms = TROUBLE_MAX_MS;
        h->next_ms = h->next_ms > now + h->trouble_ms ? h->next_ms : now + h->trouble_ms;
        if (trouble->class != ERROR_RETRY || h->trouble_ms > 1000)
            log_warning("suspect keys cannot be compared now: %s; next attempt in %.1f s", trouble->text,
                        (double)h->trouble_ms / 1000);
        else
            log_debug("suspect keys cannot be compared now: %s", trouble->text);
    } else {
        h->trouble_ms = 0;
    }
    for (size_t i = 0; i < count; i++)
        if (!trouble || list[i].outcome != COMPARISON_AGAIN)
            settle_suspect(h, &list[i], list[i].owner, h->times[i]);
    flow_note_suspects(h->flow);
    uint64_t pause_ms = h->next_ms > now ? h->next_ms - now : 0;
    struct timeval pause = {(time_t)(pause_ms / 1000), (suseconds_t)(pause_ms % 1000 * 1000)};
    event_add(h->next, &pause);
}

/* ---- when ---- */

static bool batch_may_begin(const struct heal *h, uint64_t now)
{
    const struct cursor_marks *m = h->flow->cursor.marks;
    uint64_t waiting = cursor_get(&m->waiting_since_ms);
    return flow_at_rest(h->flow) && cursor_get(&m->phase) == CURSOR_STABLE && cursor_get(&m->in_contact) &&
           now >= h->next_ms && (!waiting || now - waiting < LAG_MAX_MS);
}

/* Settles suspects of databases that the target lacks, as they cannot be compared. Returns the number of the others,
 * which remain in the list. */
static size_t settle_missing_database(struct heal *h, struct suspect **due, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct suspect *k = due[i];
        const char *lacks = rewrite_database_lacks(h->with.translator, k->db);
        struct compared beyond = {.db = k->db, .key = k->key, .outcome = COMPARISON_IMPOSSIBLE};
        if (!lacks) {
            due[kept++] = k;
            continue;
        }
        snprintf(beyond.reason, sizeof beyond.reason, "%s", lacks);
        settle_suspect(h, &beyond, k, k->times);
    }
    if (kept < count)
        flow_note_suspects(h->flow);
    return kept;
}

/* Keys that are due and have rested since their last comparison. */
static size_t due_and_rested(struct heal *h, uint64_t now, struct suspect **due)
{
    size_t count, kept = 0;
    do {
        count = suspects_due(h->flow->suspects, now, due, COMPARISON_KEYS);
        for (size_t i = 0; i < count; i++) {
            uint64_t rested_ms = pace_due_ms(h->pace, due[i]->db, due[i]->key);
            if (rested_ms > now)
                due[i]->due_ms = rested_ms;
            else
                due[kept++] = due[i];
        }
    } while (count && !kept);
    return kept;
}

static void begin_batch(struct heal *h, uint64_t now)
{
    struct flow *f = h->flow;
    struct suspect *due[COMPARISON_KEYS];
    struct compared list[COMPARISON_KEYS];
    bool cluster = router_is_cluster(h->with.router);
    size_t n = due_and_rested(h, now, due), count = 0;
    n = settle_missing_database(h, due, n);
    for (size_t i = 0; i < n; i++) {
        struct suspect *k = due[i];
        if (count && (cluster || due[0]->alone || k->alone || k->db != due[0]->db))
            continue;
        h->times[count] = k->times;
        list[count++] = (struct compared){.db = k->db,
                                          .key = k->key,
                                          .owner = k,
                                          .by_elements = k->by_elements,
                                          .difference = k->difference};
    }
    if (!count)
        return;
    h->idle_ms = h->begun_ms = now;
    h->begun_lsn = cursor_get(&f->cursor.marks->applied_lsn);
    comparison_begin(h->comparison, list, count, router_uri(h->with.router, list[0].key), &f->target);
}

void heal_go_on(struct heal *h)
{
    uint64_t now = clock_monotonic_ms();
    struct error rest;
    if (comparison_is_busy(h->comparison)) {
        comparison_poll(h->comparison);
        return;
    }
    if (suspects_count(h->flow->suspects) && batch_may_begin(h, now))
        begin_batch(h, now);
    else if (h->idle_ms && now - h->idle_ms > REST_MS) {
        error_set(&rest, ERROR_RETRY, "idle");
        comparison_rest(h->comparison, &rest);
        h->idle_ms = 0;
    }
}

static void on_next_batch(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    heal_go_on(arg);
}

bool heal_compares(const struct heal *h)
{
    return comparison_is_busy(h->comparison);
}

bool heal_has_work(const struct heal *h)
{
    const struct flow *f = h->flow;
    if (f->source_ended || cursor_get(&f->cursor.marks->phase) != CURSOR_STABLE)
        return false;
    return heal_compares(h) || (suspects_count(f->suspects) && flow_heals(f)) || pops_is_due(h->with.pops);
}

void heal_ends(struct heal *h)
{
    uint64_t latest_ms = clock_monotonic_ms() + AGAIN_END_MS;
    h->ends = true;
    if (!h->trouble_ms)
        h->next_ms = 0;
    pace_ends(h->pace);
    pops_end(h->with.pops);
    for (struct suspect *k = suspects_oldest(h->flow->suspects); k; k = k->newer)
        if (k->due_ms > latest_ms)
            k->due_ms = latest_ms;
}

void heal_give_up(struct heal *h)
{
    struct suspect *k;
    while (suspects_due(h->flow->suspects, UINT64_MAX, &k, 1)) {
        if (suspect_is_perhaps(k))
            report_unknown(h, k, "the run ends");
        else
            flow_report(h->flow, &(struct report){k->reason, k->command, k->db, k->key, 1, NULL});
        suspects_settle(h->flow->suspects, k, k->times);
    }
    flow_note_suspects(h->flow);
}

void heal_remove_files(const char *directory, uint32_t flow)
{
    suspects_remove_file_as(HEALED_KIND, directory, flow);
    suspects_remove_file_as(RESENT_KIND, directory, flow);
}

struct heal *heal_new(const struct heal_config *with, bool fresh, struct error *error)
{
    struct heal *h = x_calloc(1, sizeof *h);
    struct flow *f = with->flow;
    h->with = *with;
    h->flow = f;
    h->pace = pace_new();
    struct comparison_config config = {.settings = &f->settings,
                                       .master_id = f->master_id,
                                       .client_name = f->heal_name,
                                       .repair = true,
                                       .entries_read = true,
                                       .arg = h,
                                       .applied = lsns_applied,
                                       .process = process_of,
                                       .done = on_batch_done};
    h->comparison = comparison_new(f->base, &config);
    h->next = event_new(f->base, -1, 0, on_next_batch, h);
    h->healed = healed_open(HEALED_KIND, f->directory, f->number, f->session, fresh, error);
    if (h->healed)
        h->resent = healed_open(RESENT_KIND, f->directory, f->number, f->session, fresh, error);
    if (h->resent)
        return h;
    heal_free(h);
    return NULL;
}

void heal_free(struct heal *h)
{
    if (!h)
        return;
    comparison_free(h->comparison);
    pace_free(h->pace);
    healed_close(h->healed);
    healed_close(h->resent);
    event_free(h->next);
    free(h);
}
