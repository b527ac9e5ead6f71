/* The exchange with both servers: what is asked in which order, and what the answers lead to. */
#include "worker/comparison_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/resp.h"
#include "worker/divergence.h"
#include "worker/replies.h"

enum { TARGET, SOURCE };

enum stage {
    STAGE_IDLE,
    STAGE_CONNECTING,
    STAGE_TARGET_SIZES,
    STAGE_SOURCE_SIZES,
    STAGE_TARGET_VALUES,
    STAGE_SOURCE_VALUES,
    STAGE_TARGET_JSON,
    STAGE_OFFSETS,
    STAGE_WAITING,
    STAGE_EXEC,
};

/* A value above the limit would hold up the server that has to put it into one answer. */
enum {
    ANSWER_TIMEOUT_MS = 20000,
    WAIT_MS = 5000, /* for the FLOWs */
    VALUE_MAX_BYTES = 32 << 20,
    BATCH_MAX_BYTES = 48 << 20,
    REPLY_MAX_BYTES = 96 << 20,
    REDIRECTS_MAX = 5,
};

static void enter(struct comparison *x, enum stage stage);

static void forget_connections(struct comparison *x)
{
    x->sent_to_node = false;
    for (int i = 0; i < 2; i++) {
        client_free(x->sides[i].client);
        x->sides[i] = (struct comparison_side){0};
    }
}

/* ---- the end of a batch ---- */

static void tell_done(struct comparison *x, const struct error *trouble)
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
    batch_reset(x->batch, BATCH_MAX_BYTES / 16);
    x->config.done(x->config.arg, list, n, trouble);
}

/* Within a callback of a client: it is told afterwards. */
static void fail(struct comparison *x, const struct error *why)
{
    if (x->trouble.class || x->stage == STAGE_IDLE)
        return;
    x->trouble = *why;
    event_active(x->soon, EV_TIMEOUT, 1);
}

static void fail_answer(struct comparison *x, int side, const redisReply *reply)
{
    struct error why;
    error_set(&why, ERROR_RETRY, "the %s answers %s", side == TARGET ? "target" : "source", resp_text(reply));
    fail(x, &why);
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
        enter(x, STAGE_CONNECTING);
        return;
    }
    forget_connections(x);
    for (size_t i = 0; i < x->count; i++)
        if (x->pairs[i].told.outcome != COMPARISON_IMPOSSIBLE)
            x->pairs[i].told.outcome = COMPARISON_AGAIN;
    tell_done(x, &why);
}

/* "MOVED 3999 127.0.0.1:6381": the slot's master. */
static void follow(struct comparison *x, const char *text)
{
    struct error why;
    const char *at = strrchr(text, ' '), *colon = at ? strrchr(at, ':') : NULL;
    uint64_t port;
    if (!colon || !slice_to_u64(slice_str(colon + 1), &port) || port > UINT16_MAX) {
        error_set(&why, ERROR_RETRY, "the target answers %s", text);
        fail(x, &why);
        return;
    }
    struct uri node = {0};
    uri_copy(&node, &x->config.settings->target);
    if (colon > at + 1) { /* else: the node itself, at another port */
        free(node.host);
        node.host = x_strndup(at + 1, (size_t)(colon - at - 1));
    }
    node.port = (uint16_t)port;
    uri_free(&x->node);
    x->node = node;
    x->sent_to_node = true;
    error_set(&why, ERROR_REDIRECT, "the target answers %s", text);
    fail(x, &why);
}

/* ---- connections ---- */

static void on_ready(struct client *c, void *arg)
{
    struct comparison *x = arg;
    for (int i = 0; i < 2; i++)
        x->sides[i].ready |= x->sides[i].client == c;
    if (x->stage == STAGE_CONNECTING && x->sides[TARGET].ready && x->sides[SOURCE].ready)
        enter(x, STAGE_TARGET_SIZES);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    struct comparison *x = arg;
    for (int i = 0; i < 2; i++)
        if (x->sides[i].client == c) {
            client_free(c);
            x->sides[i] = (struct comparison_side){0};
        }
    fail(x, error);
}

static bool open_side(struct comparison *x, int side)
{
    const struct settings *s = x->config.settings;
    const struct client_callbacks callbacks = {x, on_ready, on_failed};
    const struct uri *uri = side == SOURCE ? &s->source : x->sent_to_node ? &x->node : &s->target;
    struct error why;
    if (x->sides[side].client)
        return true;
    x->sides[side].db = x->target.cluster && side == TARGET ? 0 : uri->db;
    x->sides[side].client =
        client_connect(x->base, uri, s, side == SOURCE ? "source" : "target", &callbacks, &why);
    if (!x->sides[side].client) {
        fail(x, &why);
        return false;
    }
    client_reply_limit(x->sides[side].client, REPLY_MAX_BYTES);
    client_words(x->sides[side].client, ANSWER_TIMEOUT_MS, NULL, NULL, "CLIENT", "SETNAME",
                 x->config.client_name, NULL);
    if (side == TARGET && x->target.import_mode)
        client_words(x->sides[side].client, ANSWER_TIMEOUT_MS, NULL, NULL, "CLIENT", "IMPORT-SOURCE", "ON",
                     NULL);
    return true;
}

/* ---- questions and answers ---- */

static void on_answer(struct client *c, const redisReply *reply, void *arg);

static void ask(struct comparison *x, int side, size_t argc, const struct slice *argv)
{
    x->awaited++;
    client_command(x->sides[side].client, ANSWER_TIMEOUT_MS, on_answer, x, argc, argv);
}

static void ask_word(struct comparison *x, int side, const char *word)
{
    struct slice argv[] = {slice_str(word)};
    ask(x, side, 1, argv);
}

static void ask_key(struct comparison *x, int side, const char *command, struct slice key)
{
    struct slice argv[] = {slice_str(command), key};
    ask(x, side, 2, argv);
}

/* The database of the source whose keys are in this one of the target. */
static uint32_t source_db(const struct settings *s, uint32_t db)
{
    for (size_t i = 0; i < s->db_map_count; i++)
        if (s->db_maps[i].to == db)
            return s->db_maps[i].from;
    return db;
}

static void on_selected(struct client *c, const redisReply *reply, void *arg)
{
    struct comparison *x = arg;
    if (reply->type == REDIS_REPLY_ERROR)
        fail_answer(x, c == x->sides[SOURCE].client ? SOURCE : TARGET, reply);
}

static void select_db(struct comparison *x, int side)
{
    struct comparison_side *s = &x->sides[side];
    uint32_t db = x->pairs[0].told.db;
    char text[24];
    if (side == SOURCE)
        db = source_db(x->config.settings, db);
    if (s->db == db)
        return;
    s->db = db;
    struct slice argv[] = {slice_str("SELECT"), slice_of(text, format_u64(text, db))};
    client_command(s->client, ANSWER_TIMEOUT_MS, on_selected, x, 2, argv);
}

static void ask_sizes(struct comparison *x, int side)
{
    select_db(x, side);
    for (size_t i = 0; i < x->count; i++) {
        struct slice argv[] = {slice_str("MEMORY"), slice_str("USAGE"), x->pairs[i].told.key};
        ask(x, side, 3, argv);
    }
}

/* Redis from 7.0 on tells when a key ends. */
static bool tells_expiry(const struct comparison *x, int side)
{
    return side == SOURCE || x->target.kind != SERVER_REDIS || x->target.version >= 70000;
}

static void ask_values(struct comparison *x, int side)
{
    const char *expiry = tells_expiry(x, side) ? "PEXPIRETIME" : "PTTL";
    select_db(x, side);
    if (side == TARGET) {
        struct slice argv[COMPARISON_KEYS + 1] = {slice_str("WATCH")};
        size_t argc = 1;
        for (size_t i = 0; i < x->count; i++)
            if (!x->pairs[i].decided)
                argv[argc++] = x->pairs[i].told.key;
        ask(x, side, argc, argv);
        if (!tells_expiry(x, side))
            ask_word(x, side, "TIME");
    }
    for (size_t i = 0; i < x->count; i++) {
        if (x->pairs[i].decided)
            continue;
        x->asked[x->asked_count++] = &x->pairs[i];
        ask_key(x, side, "DUMP", x->pairs[i].told.key);
        ask_key(x, side, expiry, x->pairs[i].told.key);
    }
}

static void ask_json(struct comparison *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (comparison_wants_json(x, &x->pairs[i])) {
            x->asked[x->asked_count++] = &x->pairs[i];
            ask_key(x, TARGET, "JSON.GET", x->pairs[i].told.key);
        }
    if (!x->awaited)
        enter(x, STAGE_OFFSETS);
}

/* ---- sizes ---- */

static void on_size(struct comparison *x, const redisReply *reply)
{
    struct pair *p = &x->pairs[x->got];
    /* Not told, or not permitted: most values are small. */
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 && (uint64_t)reply->integer > p->bytes)
        p->bytes = (uint64_t)reply->integer;
}

/* So many as memory allows; the others come another time. */
static void choose_by_size(struct comparison *x)
{
    uint64_t sum = 0;
    size_t left = 0;
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        sum += p->bytes;
        if (p->bytes > VALUE_MAX_BYTES)
            comparison_impossible(p, DIVERGENCE_TOO_LARGE_TO_COMPARE, "%llu bytes",
                                  (unsigned long long)p->bytes);
        else if (sum > BATCH_MAX_BYTES && left)
            p->decided = true;
        left += !p->decided;
    }
}

/* ---- values ---- */

static bool is_denied(const redisReply *reply)
{
    return resp_error_is(reply, "NOPERM") || strncmp(reply->str, "ERR unknown command", 19) == 0 ||
           strncmp(reply->str, "ERR Unknown command", 19) == 0;
}

/* One of both does not let us read: nothing can ever be said. */
static void denied(struct comparison *x, int side, const redisReply *reply)
{
    for (size_t i = 0; i < x->asked_count; i++)
        if (!x->asked[i]->decided)
            comparison_impossible(x->asked[i], "", "the %s answers %s", side == TARGET ? "target" : "source",
                                  resp_text(reply));
}

static void on_value_error(struct comparison *x, int side, const redisReply *reply)
{
    if (side == TARGET && resp_error_is(reply, "MOVED"))
        follow(x, reply->str);
    else if (is_denied(reply))
        denied(x, side, reply);
    else
        fail_answer(x, side, reply);
}

/* Of a key its payload, then when it ends. before: answers before the first of them. */
static void on_value(struct comparison *x, int side, size_t before, const redisReply *reply)
{
    struct pair *p = x->asked[(x->got - before) / 2];
    bool expiry = (x->got - before) % 2;
    int64_t ms = reply->type == REDIS_REPLY_INTEGER ? reply->integer : NO_KEY;
    if (p->decided)
        return;
    if (!expiry && side == SOURCE)
        comparison_take_source(x, p, reply);
    else if (!expiry)
        comparison_take_target(x, p, reply);
    else if (side == SOURCE)
        p->source_expire_ms = ms;
    else
        p->target_expire_ms = ms >= 0 && !tells_expiry(x, side) ? ms + x->clock_ms : ms;
}

static void on_target_value(struct comparison *x, const redisReply *reply)
{
    size_t before = 1u + !tells_expiry(x, TARGET); /* WATCH, TIME */
    if (reply->type == REDIS_REPLY_ERROR)
        on_value_error(x, TARGET, reply);
    else if (x->got >= before)
        on_value(x, TARGET, before, reply);
    else if (x->got == 1 && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        x->clock_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
                      strtoll(reply->element[1]->str, NULL, 10) / 1000;
}

static void on_source_value(struct comparison *x, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        on_value_error(x, SOURCE, reply);
    else
        on_value(x, SOURCE, 0, reply);
}

/* What was read is worth nothing when it came from another server, or from one that follows another. */
static void check_identity(struct comparison *x, const redisReply *info)
{
    static const char id_field[] = "master_replid:", role_field[] = "role:";
    const char *text = info->type == REDIS_REPLY_STRING ? info->str : "";
    const char *id = strstr(text, id_field), *role = strstr(text, role_field);
    struct error why;
    bool other = id && strncmp(id + sizeof id_field - 1, x->config.master_id, 40) != 0;
    if (!other && (!role || strncmp(role + sizeof role_field - 1, "master", 6) == 0))
        return;
    error_set(&why, ERROR_RETRY, "the source is not the master that it was (%.40s)", x->config.master_id);
    fail(x, &why);
}

static void on_offsets(struct comparison *x, const redisReply *reply)
{
    if (x->got == 1) {
        check_identity(x, reply);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY) {
        fail_answer(x, SOURCE, reply);
        return;
    }
    x->lsn_count = 0;
    for (size_t i = 0; i < reply->elements && i < sizeof x->lsns / sizeof *x->lsns; i++)
        x->lsns[x->lsn_count++] = (uint64_t)reply->element[i]->integer;
}

/* ---- EXEC ---- */

/* Arguments of the next command in it. */
static size_t split_command(struct slice *in, struct slice **argv, size_t *room)
{
    char *end;
    size_t argc = strtoull((const char *)in->data + 1, &end, 10);
    if (argc > *room)
        *argv = x_realloc(*argv, (*room = argc) * sizeof **argv);
    const uint8_t *at = (const uint8_t *)end + 2;
    for (size_t i = 0; i < argc; i++) {
        size_t len = strtoull((const char *)at + 1, &end, 10);
        (*argv)[i] = slice_of(end + 2, len);
        at = (const uint8_t *)end + 2 + len + 2;
    }
    *in = slice_of(at, in->len - (size_t)(at - in->data));
    return argc;
}

static void ask_exec(struct comparison *x)
{
    struct slice *argv = NULL;
    size_t room = 0;
    bool any = false;
    batch_reset(x->batch, BATCH_MAX_BYTES / 16);
    for (size_t i = 0; i < x->count; i++) {
        comparison_judge(x, &x->pairs[i]);
        any |= !x->pairs[i].decided || x->pairs[i].commands;
    }
    if (!any) {
        ask_word(x, TARGET, "UNWATCH");
        return;
    }
    buf_put_u8(&x->batch->out, 0); /* for strtoull */
    size_t begin = batch_begin(x->batch);
    struct slice rest = slice_of(x->batch->out.data + begin, x->batch->out.len - 1 - begin);
    ask_word(x, TARGET, "MULTI");
    while (rest.len) {
        size_t argc = split_command(&rest, &argv, &room);
        ask(x, TARGET, argc, argv);
    }
    ask_word(x, TARGET, "EXEC");
    free(argv);
}

/* The target looks at what it restores more closely than the source does: two equal fields in a hash. */
static bool is_payload_refusal(struct slice text)
{
    return slice_begins(text, "ERR Bad data format") || slice_begins(text, "ERR DUMP payload");
}

static void note_refusal(struct pair *p, const redisReply *reply)
{
    struct slice text = slice_of(reply->str, reply->len);
    p->decided = true;
    if (!p->told.by_elements && is_payload_refusal(text))
        p->told.by_elements = true;
    else if (refusal_class(text) != REFUSAL_WAIT) /* that: another time */
        comparison_impossible(p, DIVERGENCE_REFUSED, "%s", resp_text(reply));
}

static void decide(struct comparison *x, const redisReply *exec)
{
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        for (size_t k = p->first_command; k < p->first_command + p->commands && k < exec->elements; k++)
            if (exec->element[k]->type == REDIS_REPLY_ERROR && !p->decided &&
                p->told.outcome != COMPARISON_IMPOSSIBLE)
                note_refusal(p, exec->element[k]);
        if (p->decided)
            continue;
        p->told.outcome = !p->differs        ? COMPARISON_EQUAL
                          : x->config.repair ? COMPARISON_HEALED
                                             : COMPARISON_DIFFERENT;
    }
}

/* One command was not queued: nothing was done. Which key it is about is known when there is only one. */
static void not_queued(struct comparison *x)
{
    struct slice text = slice_str(x->queue_text);
    bool waits = refusal_class(text) == REFUSAL_WAIT;
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        if (p->told.outcome == COMPARISON_IMPOSSIBLE || waits)
            continue;
        if (x->count == 1)
            comparison_impossible(p, DIVERGENCE_REFUSED, "%s", x->queue_text);
        p->told.alone = true;
    }
}

/* Somebody has written to one of them. */
static void aborted(struct comparison *x)
{
    for (size_t i = 0; i < x->count; i++) {
        struct compared *told = &x->pairs[i].told;
        told->alone = true;
        if (x->pairs[i].commands)
            told->outcome = COMPARISON_AGAIN;
    }
}

static void on_exec(struct comparison *x, const redisReply *reply)
{
    bool last = x->got + 1 == x->awaited;
    if (!last && reply->type == REDIS_REPLY_ERROR && !x->queue_refused) {
        x->queue_refused = true;
        snprintf(x->queue_text, sizeof x->queue_text, "%s", resp_text(reply));
    }
    if (!last)
        return;
    if (reply->type == REDIS_REPLY_ARRAY)
        decide(x, reply);
    else if (reply->type == REDIS_REPLY_ERROR && x->queue_refused)
        not_queued(x);
    else if (reply->type == REDIS_REPLY_ERROR)
        fail_answer(x, TARGET, reply);
    else if (reply->type == REDIS_REPLY_NIL)
        aborted(x);
}

/* ---- stages ---- */

static bool any_undecided(const struct comparison *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (!x->pairs[i].decided)
            return true;
    return false;
}

static void leave(struct comparison *x)
{
    switch ((enum stage)x->stage) {
    case STAGE_TARGET_SIZES:
        enter(x, STAGE_SOURCE_SIZES);
        return;
    case STAGE_SOURCE_SIZES:
        choose_by_size(x);
        if (any_undecided(x))
            enter(x, STAGE_TARGET_VALUES);
        else
            tell_done(x, NULL);
        return;
    case STAGE_TARGET_VALUES:
        enter(x, any_undecided(x) ? STAGE_SOURCE_VALUES : STAGE_EXEC);
        return;
    case STAGE_SOURCE_VALUES:
        enter(x, any_undecided(x) ? STAGE_TARGET_JSON : STAGE_EXEC);
        return;
    case STAGE_TARGET_JSON:
        enter(x, STAGE_OFFSETS);
        return;
    case STAGE_OFFSETS:
        enter(x, STAGE_WAITING);
        return;
    case STAGE_EXEC:
        tell_done(x, NULL);
        return;
    default:
        return;
    }
}

static void enter(struct comparison *x, enum stage stage)
{
    x->stage = (int)stage;
    x->awaited = x->got = x->asked_count = 0;
    x->queue_refused = false;
    switch (stage) {
    case STAGE_CONNECTING:
        if (open_side(x, TARGET) && open_side(x, SOURCE) && x->sides[TARGET].ready && x->sides[SOURCE].ready)
            enter(x, STAGE_TARGET_SIZES);
        return;
    case STAGE_TARGET_SIZES:
        ask_sizes(x, TARGET);
        return;
    case STAGE_SOURCE_SIZES:
        ask_sizes(x, SOURCE);
        return;
    case STAGE_TARGET_VALUES:
        ask_values(x, TARGET);
        return;
    case STAGE_SOURCE_VALUES:
        ask_values(x, SOURCE);
        return;
    case STAGE_TARGET_JSON:
        ask_json(x);
        return;
    case STAGE_OFFSETS: {
        struct slice argv[] = {slice_str("DFLY"), slice_str("REPLICAOFFSET")};
        ask(x, SOURCE, 2, argv);
        argv[0] = slice_str("INFO"), argv[1] = slice_str("REPLICATION");
        ask(x, SOURCE, 2, argv);
        return;
    }
    case STAGE_WAITING:
        x->deadline_ms = clock_monotonic_ms() + WAIT_MS;
        comparison_poll(x);
        return;
    case STAGE_EXEC:
        ask_exec(x);
        return;
    default:
        return;
    }
}

static void on_answer(struct client *c, const redisReply *reply, void *arg)
{
    struct comparison *x = arg;
    (void)c;
    if (x->trouble.class)
        return;
    switch ((enum stage)x->stage) {
    case STAGE_TARGET_SIZES:
        if (resp_error_is(reply, "MOVED"))
            follow(x, reply->str);
        else
            on_size(x, reply);
        break;
    case STAGE_SOURCE_SIZES:
        on_size(x, reply);
        break;
    case STAGE_TARGET_VALUES:
        on_target_value(x, reply);
        break;
    case STAGE_SOURCE_VALUES:
        on_source_value(x, reply);
        break;
    case STAGE_TARGET_JSON:
        comparison_take_json(x, x->asked[x->got], reply);
        break;
    case STAGE_OFFSETS:
        on_offsets(x, reply);
        break;
    case STAGE_EXEC:
        on_exec(x, reply);
        break;
    default:
        return;
    }
    if (!x->trouble.class && ++x->got == x->awaited)
        leave(x);
}

/* ---- what others call ---- */

struct comparison *comparison_new(struct event_base *base, const struct comparison_config *config)
{
    struct comparison *x = x_calloc(1, sizeof *x);
    x->base = base;
    x->config = *config;
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
    event_free(x->soon);
    comparison_values_free(x);
    uri_free(&x->node);
    free(x);
}

bool comparison_is_busy(const struct comparison *x)
{
    return x->stage != STAGE_IDLE;
}

void comparison_begin(struct comparison *x, const struct compared *list, size_t count,
                      const struct capabilities *target)
{
    x->target = *target;
    x->count = count < COMPARISON_KEYS ? count : COMPARISON_KEYS;
    x->redirects = 0;
    for (size_t i = 0; i < x->count; i++)
        x->pairs[i] = (struct pair){.told = list[i], .target_expire_ms = NO_KEY, .source_expire_ms = NO_KEY};
    enter(x, STAGE_CONNECTING);
}

void comparison_poll(struct comparison *x)
{
    if (x->stage != STAGE_WAITING || x->trouble.class)
        return;
    if (x->config.applied(x->config.arg, x->lsns, x->lsn_count)) {
        enter(x, STAGE_EXEC);
        return;
    }
    if (clock_monotonic_ms() < x->deadline_ms)
        return;
    for (size_t i = 0; i < x->count; i++)
        x->pairs[i].decided = true;
    enter(x, STAGE_EXEC);
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
