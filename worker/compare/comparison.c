/* The exchange with both servers: the order of questions, the connections, and the end of a batch. */
#include "worker/compare/comparison_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/net/resp.h"

enum {
    WAIT_MS = 5000, /* for the FLOWs to apply the LSNs */
    REPLY_MAX_BYTES = 96 << 20,
    REDIRECTS_MAX = 5,
};

static void enter_stage(struct comparison *x, enum comparison_stage stage);

static void forget_connections(struct comparison *x)
{
    for (int i = 0; i < 2; i++) {
        client_free(x->sides[i].client);
        x->sides[i] = (struct comparison_side){0};
    }
}

/* ---- the end of a batch ---- */

static void report_done(struct comparison *x, const struct error *trouble)
{
    struct compared list[COMPARISON_KEYS];
    size_t n = x->count;
    for (size_t i = 0; i < n; i++) {
        list[i] = x->pairs[i].told;
        digest_free(&x->pairs[i].target);
        digest_free(&x->pairs[i].source);
        buf_free(&x->pairs[i].payload);
    }
    x->count = 0;
    x->stage = STAGE_IDLE;
    large_free(&x->large.walk);
    batch_reset(x->batch, BATCH_MAX_BYTES / 16);
    x->config.done(x->config.arg, list, n, trouble);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct comparison *x = arg;
    struct error why = x->trouble;
    (void)fd, (void)what;
    x->trouble = (struct error){0};
    if (!why.class)
        return;
    if (why.class == ERROR_REDIRECT && x->redirects++ < REDIRECTS_MAX) {
        client_free(x->sides[TARGET].client);
        x->sides[TARGET] = (struct comparison_side){0};
        enter_stage(x, STAGE_CONNECTING);
        return;
    }
    forget_connections(x);
    for (size_t i = 0; i < x->count; i++)
        if (x->pairs[i].told.outcome != COMPARISON_IMPOSSIBLE)
            x->pairs[i].told.outcome = COMPARISON_AGAIN;
    report_done(x, &why);
}

/* ---- connections ---- */

static void on_side_ready(struct client *c, void *arg)
{
    struct comparison *x = arg;
    for (int i = 0; i < 2; i++)
        x->sides[i].ready |= x->sides[i].client == c;
    if (x->stage == STAGE_CONNECTING && x->sides[TARGET].ready && x->sides[SOURCE].ready)
        enter_stage(x, STAGE_TARGET_SIZES);
}

static void on_side_failed(struct client *c, const struct error *error, void *arg)
{
    struct comparison *x = arg;
    for (int i = 0; i < 2; i++)
        if (x->sides[i].client == c) {
            client_free(c);
            x->sides[i] = (struct comparison_side){0};
        }
    comparison_fail(x, error);
}

static void on_process(struct client *c, const redisReply *reply, void *arg)
{
    struct comparison *x = arg;
    if (c != x->sides[TARGET].client || reply->type != REDIS_REPLY_STRING)
        return;
    struct slice id = info_field(slice_of(reply->str, reply->len), "run_id");
    snprintf(x->process, sizeof x->process, "%.*s", (int)id.len, (const char *)id.data);
}

/* Between the slots of a cluster the redirection tells. */
static bool is_other_process(const struct comparison *x)
{
    if (!x->config.process || x->redirects || !x->count)
        return false;
    const char *wanted = x->config.process(x->config.arg, x->pairs[0].told.key);
    return *wanted && *x->process && strcmp(wanted, x->process) != 0;
}

static void fail_on_other_process(struct comparison *x)
{
    struct error why;
    error_set(
        &why, ERROR_RETRY,
        "new connections to the target lead to another process of it than the one that this FLOW writes to");
    comparison_fail(x, &why);
}

static void ask_process(struct comparison *x)
{
    x->process[0] = '\0';
    if (x->config.process)
        client_words(x->sides[TARGET].client, ANSWER_TIMEOUT_MS, on_process, x, "INFO", "server", NULL);
}

static bool open_side(struct comparison *x, int side)
{
    const struct settings *s = x->config.settings;
    const struct client_callbacks callbacks = {x, on_side_ready, on_side_failed};
    const struct uri *uri = side == SOURCE ? &s->source : &x->node;
    struct error why;
    if (x->sides[side].client)
        return true;
    x->sides[side].db = x->target.cluster && side == TARGET ? 0 : uri->db;
    x->sides[side].client =
        client_connect(x->base, uri, s, side == SOURCE ? "source" : "target", &callbacks, &why);
    if (!x->sides[side].client) {
        comparison_fail(x, &why);
        return false;
    }
    client_reply_limit(x->sides[side].client, REPLY_MAX_BYTES);
    client_words(x->sides[side].client, ANSWER_TIMEOUT_MS, NULL, NULL, "CLIENT", "SETNAME",
                 x->config.client_name, NULL);
    if (side == TARGET)
        ask_process(x);
    return true;
}

/* ---- stages ---- */

static bool any_undecided(const struct comparison *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (!x->pairs[i].decided)
            return true;
    return false;
}

static void leave_stage(struct comparison *x)
{
    switch (x->stage) {
    case STAGE_TARGET_SIZES:
        if (is_other_process(x))
            fail_on_other_process(x);
        else
            enter_stage(x, STAGE_SOURCE_SIZES);
        return;
    case STAGE_SOURCE_SIZES:
        comparison_choose_by_size(x);
        if (x->pairs[0].large)
            enter_stage(x, STAGE_LARGE);
        else if (any_undecided(x))
            enter_stage(x, STAGE_TARGET_VALUES);
        else
            report_done(x, NULL);
        return;
    case STAGE_TARGET_VALUES:
        enter_stage(x, any_undecided(x) ? STAGE_SOURCE_VALUES : STAGE_EXEC);
        return;
    case STAGE_SOURCE_VALUES:
        enter_stage(x, any_undecided(x) ? STAGE_TARGET_JSON : STAGE_EXEC);
        return;
    case STAGE_TARGET_JSON:
        enter_stage(x, STAGE_OFFSETS);
        return;
    case STAGE_OFFSETS:
        enter_stage(x, STAGE_WAITING);
        return;
    case STAGE_EXEC:
        x->stage = STAGE_LARGE;
        if (!x->pairs[0].large || !comparison_large_copies(x))
            report_done(x, NULL);
        return;
    default:
        return;
    }
}

static void enter_stage(struct comparison *x, enum comparison_stage stage)
{
    x->stage = stage;
    x->awaited = x->got = x->asked_count = 0;
    x->queue_refused = false;
    switch (stage) {
    case STAGE_CONNECTING:
        if (open_side(x, TARGET) && open_side(x, SOURCE) && x->sides[TARGET].ready && x->sides[SOURCE].ready)
            enter_stage(x, STAGE_TARGET_SIZES);
        return;
    case STAGE_TARGET_SIZES:
        comparison_ask_sizes(x, TARGET);
        return;
    case STAGE_SOURCE_SIZES:
        comparison_ask_sizes(x, SOURCE);
        return;
    case STAGE_LARGE:
        comparison_large_begin(x);
        return;
    case STAGE_TARGET_VALUES:
        comparison_ask_values(x, TARGET);
        return;
    case STAGE_SOURCE_VALUES:
        comparison_ask_values(x, SOURCE);
        return;
    case STAGE_TARGET_JSON:
        comparison_ask_json(x);
        if (!x->awaited)
            enter_stage(x, STAGE_OFFSETS);
        return;
    case STAGE_OFFSETS:
        comparison_ask_offsets(x);
        return;
    case STAGE_WAITING:
        x->deadline_ms = clock_monotonic_ms() + WAIT_MS;
        comparison_poll(x);
        return;
    case STAGE_EXEC:
        comparison_ask_exec(x);
        return;
    default:
        return;
    }
}

static void on_large(struct comparison *x, const redisReply *reply)
{
    enum comparison_large_state state = comparison_on_large(x, reply);
    if (x->trouble.class || state == COMPARISON_LARGE_GOES_ON)
        return;
    enter_stage(x, state == COMPARISON_LARGE_READ ? STAGE_OFFSETS : STAGE_EXEC);
}

static void on_answer(struct client *c, const redisReply *reply, void *arg)
{
    struct comparison *x = arg;
    (void)c;
    if (x->trouble.class)
        return;
    switch (x->stage) {
    case STAGE_LARGE:
        on_large(x, reply);
        return;
    case STAGE_TARGET_SIZES:
        if (resp_error_is(reply, "MOVED"))
            comparison_follow(x, reply->str);
        else
            comparison_on_size(x, reply);
        break;
    case STAGE_SOURCE_SIZES:
        comparison_on_size(x, reply);
        break;
    case STAGE_TARGET_VALUES:
        comparison_on_target_value(x, reply);
        break;
    case STAGE_SOURCE_VALUES:
        comparison_on_source_value(x, reply);
        break;
    case STAGE_TARGET_JSON:
        comparison_take_json(x, x->asked[x->got], reply);
        break;
    case STAGE_OFFSETS:
        comparison_on_offsets(x, reply);
        break;
    case STAGE_EXEC:
        comparison_on_exec(x, reply);
        break;
    default:
        return;
    }
    if (!x->trouble.class && ++x->got == x->awaited)
        leave_stage(x);
}

/* ---- public functions ---- */

struct comparison *comparison_new(struct event_base *base, const struct comparison_config *config)
{
    struct comparison *x = x_calloc(1, sizeof *x);
    x->base = base;
    x->config = *config;
    x->on_answer = on_answer;
    x->soon = event_new(base, -1, 0, on_soon, x);
    comparison_values_init(x);
    return x;
}

void comparison_free(struct comparison *x)
{
    if (!x)
        return;
    forget_connections(x);
    for (size_t i = 0; i < x->count; i++) {
        digest_free(&x->pairs[i].target);
        digest_free(&x->pairs[i].source);
        buf_free(&x->pairs[i].payload);
    }
    large_free(&x->large.walk);
    buf_free(&x->large.beside);
    event_free(x->soon);
    comparison_values_free(x);
    uri_free(&x->node);
    free(x);
}

bool comparison_is_busy(const struct comparison *x)
{
    return x->stage != STAGE_IDLE;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_address(const struct uri *a, const struct uri *b)
{
    return a->host && same_text(a->host, b->host) && same_text(a->address, b->address) && a->port == b->port;
}

void comparison_begin(struct comparison *x, const struct compared *list, size_t count, const struct uri *uri,
                      const struct capabilities *target)
{
    if (!same_address(&x->node, uri)) {
        client_free(x->sides[TARGET].client);
        x->sides[TARGET] = (struct comparison_side){0};
        uri_copy(&x->node, uri);
    }
    x->target = *target;
    x->count = count < COMPARISON_KEYS ? count : COMPARISON_KEYS;
    x->redirects = 0;
    for (size_t i = 0; i < x->count; i++)
        x->pairs[i] = (struct pair){.told = list[i], .target_expire_ms = NO_KEY, .source_expire_ms = NO_KEY};
    enter_stage(x, STAGE_CONNECTING);
}

void comparison_repair(struct comparison *x, bool repair)
{
    x->config.repair = repair;
}

void comparison_poll(struct comparison *x)
{
    if (x->stage != STAGE_WAITING || x->trouble.class)
        return;
    if (is_other_process(x)) {
        fail_on_other_process(x);
        return;
    }
    if (x->config.applied(x->config.arg, x->lsns, x->lsn_count)) {
        enter_stage(x, STAGE_EXEC);
        return;
    }
    if (clock_monotonic_ms() < x->deadline_ms)
        return;
    for (size_t i = 0; i < x->count; i++)
        x->pairs[i].decided = true;
    enter_stage(x, STAGE_EXEC);
}

void comparison_rest(struct comparison *x, const struct error *why)
{
    forget_connections(x);
    if (x->stage == STAGE_IDLE)
        return;
    x->trouble = *why;
    event_del(x->soon);
    on_soon(-1, 0, x);
}
