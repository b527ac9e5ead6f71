/* When a doubtful key is compared, and what becomes of the outcome. */
#include "worker/verifier/exact.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/log.h"

enum {
    AT_A_TIME_MAX = 16,
    AGAIN_FIRST_MS = 20,
    AGAIN_MAX_MS = 400,
    TRIES = 300,           /* … and */
    TRIES_MS = 60000,      /* as long as this, before a key is undecided */
    CONFIRM_MS = 1000,     /* pause before the comparison that confirms a difference */
    CONFIRM_TIMES = 2,     /* comparisons that find a difference … */
    CONFIRM_TTL_TIMES = 4, /* … of times to live, which a FLOW that lagged corrects afterwards */
    CONFIRM_READINGS = 6,  /* … without a run */
    READING_FIRST_MS = 100,
    REWRITTEN_MS = 50,
    TROUBLE_MS = 1000,
};

struct comparer {
    struct exact *exact;
    struct comparison *comparison;
};

struct exact {
    struct exact_config config;
    struct comparer comparers[AT_A_TIME_MAX];
    uint64_t pause_ms, trouble_since_ms; /* 0: none */
    char trouble[200];
};

static void settle(struct exact *x, struct doubt *k, enum exact_verdict verdict, const char *text)
{
    x->config.settled(x->config.arg, k, verdict, text);
    doubts_settle(x->config.doubts, k);
}

static void on_again(struct exact *x, struct doubt *k, const struct compared *c, uint64_t now)
{
    uint64_t pause = (uint64_t)AGAIN_FIRST_MS << (k->tries < 5 ? k->tries : 5);
    k->type = c->type != DIGEST_NOTHING ? c->type : k->type;
    k->alone |= c->alone;
    k->by_elements |= c->by_elements;
    if (++k->tries >= TRIES && now - k->first_ms >= TRIES_MS) {
        settle(x, k, EXACT_UNDECIDED, "");
        return;
    }
    doubts_put_back(x->config.doubts, k, now + (pause < AGAIN_MAX_MS ? pause : AGAIN_MAX_MS));
}

static void on_different(struct exact *x, struct doubt *k, const struct compared *c, uint64_t now)
{
    const struct exact_config *with = &x->config;
    uint32_t times = !with->beside_run                                      ? CONFIRM_READINGS
                     : c->kind == VERIFY_TTL || c->kind == VERIFY_FIELD_TTL ? CONFIRM_TTL_TIMES
                                                                            : CONFIRM_TIMES;
    k->kind = c->kind;
    k->type = c->type;
    k->differed++;
    if (k->differed < times) {
        uint64_t pause =
            with->beside_run ? (uint64_t)CONFIRM_MS * k->differed : (uint64_t)READING_FIRST_MS << k->differed;
        doubts_put_back(with->doubts, k, now + pause);
    } else if (!with->repair) {
        settle(x, k, EXACT_DIFFERENT, "");
    } else {
        k->repair = true;
        with->settled(with->arg, k, EXACT_FOUND, "");
        doubts_put_back(with->doubts, k, now);
    }
}

static void on_outcome(struct exact *x, struct doubt *k, const struct compared *c, uint64_t now)
{
    if (!k->first_ms)
        k->first_ms = now;
    switch (c->outcome) {
    case COMPARISON_AGAIN:
        on_again(x, k, c, now);
        return;
    case COMPARISON_EQUAL:
        k->type = k->repair ? k->type : c->type;
        settle(x, k, k->repair ? EXACT_HEALED : EXACT_EQUAL, "");
        return;
    case COMPARISON_DIFFERENT:
        on_different(x, k, c, now);
        return;
    case COMPARISON_HEALED:
        k->rewritten = true;
        k->difference = c->difference;
        doubts_put_back(x->config.doubts, k, now + REWRITTEN_MS);
        return;
    case COMPARISON_IMPOSSIBLE:
        if (!k->repair)
            k->type = c->type != DIGEST_NOTHING ? c->type : DIGEST_FOREIGN;
        settle(x, k, k->repair ? EXACT_UNREPAIRABLE : EXACT_INCOMPARABLE, *c->text ? c->text : c->reason);
    }
}

static void on_batch_done(void *arg, struct compared *list, size_t count, const struct error *trouble)
{
    struct comparer *r = arg;
    struct exact *x = r->exact;
    uint64_t now = clock_monotonic_ms();
    if (trouble) {
        snprintf(x->trouble, sizeof x->trouble, "%.199s", trouble->text);
        log_debug("doubtful keys cannot be compared now: %s", trouble->text);
        x->trouble_since_ms = x->trouble_since_ms ? x->trouble_since_ms : now;
        x->pause_ms = now + TROUBLE_MS;
    } else {
        x->trouble_since_ms = 0;
    }
    for (size_t i = 0; i < count; i++)
        if (trouble && list[i].outcome == COMPARISON_AGAIN)
            doubts_put_back(x->config.doubts, list[i].owner, now + TROUBLE_MS);
        else
            on_outcome(x, list[i].owner, &list[i], now);
}

static bool lsns_applied(void *arg, const uint64_t *lsns, size_t count)
{
    const struct exact_config *with = &((struct comparer *)arg)->exact->config;
    return !with->beside_run || with->applied(with->arg, lsns, count);
}

static const char *process_of(void *arg, struct slice key)
{
    const struct exact_config *with = &((struct comparer *)arg)->exact->config;
    return with->process(with->arg, key);
}

/* Whether both may be in one batch. */
static bool fits(const struct exact *x, const struct doubt *a, const struct doubt *b)
{
    return !x->config.target->cluster && !a->alone && !b->alone && !a->large && !b->large && a->db == b->db &&
           a->repair == b->repair;
}

static void begin_batch(struct exact *x, struct comparer *r, uint64_t now)
{
    struct compared list[COMPARISON_KEYS];
    struct doubts *doubts = x->config.doubts;
    struct doubt *first = NULL, *k;
    size_t count = 0;
    while (count < COMPARISON_KEYS && (k = doubts_first(doubts)) && k->due_ms <= now &&
           (!first || fits(x, first, k))) {
        doubts_take(doubts, k);
        first = first ? first : k;
        list[count++] = (struct compared){.db = k->db,
                                          .key = k->key,
                                          .owner = k,
                                          .by_elements = k->by_elements,
                                          .difference = k->difference};
    }
    if (!count)
        return;
    comparison_repair(r->comparison, first->repair);
    comparison_begin(r->comparison, list, count, x->config.uri_of(x->config.arg, first->key),
                     x->config.target);
}

void exact_turn(struct exact *x, uint64_t now_ms)
{
    for (unsigned i = 0; i < x->config.at_a_time; i++) {
        struct comparer *r = &x->comparers[i];
        if (comparison_is_busy(r->comparison))
            comparison_poll(r->comparison);
        if (!comparison_is_busy(r->comparison) && now_ms >= x->pause_ms)
            begin_batch(x, r, now_ms);
    }
}

bool exact_is_busy(const struct exact *x)
{
    for (unsigned i = 0; i < x->config.at_a_time; i++)
        if (comparison_is_busy(x->comparers[i].comparison))
            return true;
    return false;
}

const char *exact_trouble(const struct exact *x, uint64_t *since_ms)
{
    *since_ms = x->trouble_since_ms;
    return x->trouble_since_ms ? x->trouble : NULL;
}

void exact_rest(struct exact *x)
{
    struct error why;
    error_set(&why, ERROR_RETRY, "the connections are made anew");
    for (unsigned i = 0; i < x->config.at_a_time; i++)
        comparison_rest(x->comparers[i].comparison, &why);
}

struct exact *exact_new(const struct exact_config *with)
{
    struct exact *x = x_calloc(1, sizeof *x);
    x->config = *with;
    if (x->config.at_a_time > AT_A_TIME_MAX)
        x->config.at_a_time = AT_A_TIME_MAX;
    for (unsigned i = 0; i < x->config.at_a_time; i++) {
        struct comparer *r = &x->comparers[i];
        struct comparison_config config = {.settings = with->settings,
                                           .master_id = with->master_id,
                                           .client_name = with->client_name,
                                           .arg = r,
                                           .applied = lsns_applied,
                                           .process = with->beside_run ? process_of : NULL,
                                           .done = on_batch_done};
        r->exact = x;
        r->comparison = comparison_new(with->base, &config);
    }
    return x;
}

void exact_free(struct exact *x)
{
    if (!x)
        return;
    for (unsigned i = 0; i < x->config.at_a_time; i++)
        comparison_free(x->comparers[i].comparison);
    free(x);
}
