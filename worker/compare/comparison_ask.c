/* Questions of the comparison to both servers, and their answers. */
#include <stdlib.h>

#include "common/net/resp.h"
#include "worker/compare/comparison_internal.h"

/* ---- questions and answers ---- */

void comparison_ask(struct comparison *x, int side, size_t argc, const struct slice *argv)
{
    x->awaited++;
    client_command(x->sides[side].client, ANSWER_TIMEOUT_MS, x->on_answer, x, argc, argv);
}

void comparison_ask_word(struct comparison *x, int side, const char *word)
{
    struct slice argv[] = {slice_str(word)};
    comparison_ask(x, side, 1, argv);
}

static void ask_key(struct comparison *x, int side, const char *command, struct slice key)
{
    struct slice argv[] = {slice_str(command), key};
    comparison_ask(x, side, 2, argv);
}

/* The database of the source that is copied into this database of the target. */
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
        comparison_fail_answer(x, c == x->sides[SOURCE].client ? SOURCE : TARGET, reply);
}

void comparison_select_db(struct comparison *x, int side)
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

void comparison_ask_sizes(struct comparison *x, int side)
{
    comparison_select_db(x, side);
    for (size_t i = 0; i < x->count; i++) {
        struct slice argv[] = {slice_str("MEMORY"), slice_str("USAGE"), x->pairs[i].told.key};
        comparison_ask(x, side, 3, argv);
    }
}

/* Whether the server has PEXPIRETIME: Redis from 7.0 on. */
static bool has_pexpiretime(const struct comparison *x, int side)
{
    return side == SOURCE || x->target.kind != SERVER_REDIS || x->target.version >= 70000;
}

void comparison_ask_expiry(struct comparison *x, int side, struct slice key)
{
    if (!has_pexpiretime(x, side))
        comparison_ask_word(x, side, "TIME");
    ask_key(x, side, has_pexpiretime(x, side) ? "PEXPIRETIME" : "PTTL", key);
}

static void on_clock(struct comparison *x, const redisReply *time)
{
    if (time->type == REDIS_REPLY_ARRAY && time->elements == 2)
        x->clock_ms =
            strtoll(time->element[0]->str, NULL, 10) * 1000 + strtoll(time->element[1]->str, NULL, 10) / 1000;
}

void comparison_on_expiry(struct comparison *x, int side, struct pair *p, const redisReply *reply)
{
    int64_t ms = reply->type == REDIS_REPLY_INTEGER ? reply->integer : NO_KEY;
    if (reply->type == REDIS_REPLY_ARRAY)
        on_clock(x, reply);
    else if (side == SOURCE)
        p->source_expire_ms = ms;
    else
        p->target_expire_ms = ms >= 0 && !has_pexpiretime(x, side) ? ms + x->clock_ms : ms;
}

void comparison_ask_values(struct comparison *x, int side)
{
    const char *expiry = has_pexpiretime(x, side) ? "PEXPIRETIME" : "PTTL";
    comparison_select_db(x, side);
    if (side == TARGET) {
        struct slice argv[COMPARISON_KEYS + 1] = {slice_str("WATCH")};
        size_t argc = 1;
        for (size_t i = 0; i < x->count; i++)
            if (!x->pairs[i].decided)
                argv[argc++] = x->pairs[i].told.key;
        comparison_ask(x, side, argc, argv);
        if (!has_pexpiretime(x, side))
            comparison_ask_word(x, side, "TIME");
    }
    for (size_t i = 0; i < x->count; i++) {
        if (x->pairs[i].decided)
            continue;
        x->asked[x->asked_count++] = &x->pairs[i];
        x->pairs[i].told.bytes = x->pairs[i].bytes;
        ask_key(x, side, "DUMP", x->pairs[i].told.key);
        ask_key(x, side, expiry, x->pairs[i].told.key);
    }
}

void comparison_ask_json(struct comparison *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (comparison_wants_json(x, &x->pairs[i])) {
            x->asked[x->asked_count++] = &x->pairs[i];
            ask_key(x, TARGET, "JSON.GET", x->pairs[i].told.key);
        }
}

/* ---- sizes ---- */

void comparison_on_size(struct comparison *x, const redisReply *reply)
{
    struct pair *p = &x->pairs[x->got];
    /* Unknown, or not permitted: taken for small, as most values are. */
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 && (uint64_t)reply->integer > p->bytes)
        p->bytes = (uint64_t)reply->integer;
}

/* Keeps as many keys in the batch as memory allows; the others are AGAIN. */
void comparison_choose_by_size(struct comparison *x)
{
    uint64_t sum = 0;
    size_t left = 0;
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        sum += p->bytes;
        if (p->bytes > COMPARISON_VALUE_MAX_BYTES && x->count == 1)
            p->large = true;
        else if (p->bytes > COMPARISON_VALUE_MAX_BYTES)
            p->decided = p->told.alone = true;
        else if (sum > BATCH_MAX_BYTES && left)
            p->decided = true;
        left += !p->decided;
    }
}

/* ---- values ---- */

static bool answer_is_denied(const redisReply *reply)
{
    return resp_error_is(reply, "NOPERM") || strncmp(reply->str, "ERR unknown command", 19) == 0 ||
           strncmp(reply->str, "ERR Unknown command", 19) == 0;
}

/* A server refuses to read the keys, now and later: they cannot be compared. */
static void on_denied(struct comparison *x, int side, const redisReply *reply)
{
    if (x->pairs[0].large)
        x->asked[0] = &x->pairs[0], x->asked_count = 1;
    for (size_t i = 0; i < x->asked_count; i++)
        if (!x->asked[i]->decided)
            comparison_impossible(x->asked[i], "", "the %s answers %s", side == TARGET ? "target" : "source",
                                  resp_text(reply));
}

void comparison_on_value_error(struct comparison *x, int side, const redisReply *reply)
{
    if (side == TARGET && resp_error_is(reply, "MOVED"))
        comparison_follow(x, reply->str);
    else if (answer_is_denied(reply))
        on_denied(x, side, reply);
    else
        comparison_fail_answer(x, side, reply);
}

/* Two answers per key: its payload, and when it expires. before: number of answers before the first of them. */
static void on_value(struct comparison *x, int side, size_t before, const redisReply *reply)
{
    struct pair *p = x->asked[(x->got - before) / 2];
    bool expiry = (x->got - before) % 2;
    if (p->decided)
        return;
    if (!expiry && side == SOURCE)
        comparison_take_source(x, p, reply);
    else if (!expiry)
        comparison_take_target(x, p, reply);
    else
        comparison_on_expiry(x, side, p, reply);
}

void comparison_on_target_value(struct comparison *x, const redisReply *reply)
{
    size_t before = 1u + !has_pexpiretime(x, TARGET); /* WATCH, TIME */
    if (reply->type == REDIS_REPLY_ERROR)
        comparison_on_value_error(x, TARGET, reply);
    else if (x->got >= before)
        on_value(x, TARGET, before, reply);
    else if (x->got == 1)
        on_clock(x, reply);
}

void comparison_on_source_value(struct comparison *x, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        comparison_on_value_error(x, SOURCE, reply);
    else
        on_value(x, SOURCE, 0, reply);
}

/* Discards the batch if the values came from another server, or from a replica of another. */
static void check_identity(struct comparison *x, const redisReply *info)
{
    static const char id_field[] = "master_replid:", role_field[] = "role:";
    const char *text = info->type == REDIS_REPLY_STRING ? info->str : "";
    const char *id = strstr(text, id_field), *role = strstr(text, role_field);
    struct error why;
    bool other = id && strncmp(id + sizeof id_field - 1, x->config.master_id, 40) != 0;
    if (!other && (!role || strncmp(role + sizeof role_field - 1, "master", 6) == 0))
        return;
    error_set(&why, ERROR_RETRY, "the source is no longer the master %.40s", x->config.master_id);
    comparison_fail(x, &why);
}

void comparison_on_offsets(struct comparison *x, const redisReply *reply)
{
    if (x->got == 1) {
        check_identity(x, reply);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY) {
        comparison_fail_answer(x, SOURCE, reply);
        return;
    }
    x->lsn_count = 0;
    for (size_t i = 0; i < reply->elements && i < sizeof x->lsns / sizeof *x->lsns; i++)
        x->lsns[x->lsn_count++] = (uint64_t)reply->element[i]->integer;
}

void comparison_ask_offsets(struct comparison *x)
{
    struct slice offsets[] = {slice_str("DFLY"), slice_str("REPLICAOFFSET")};
    struct slice info[] = {slice_str("INFO"), slice_str("REPLICATION")};
    comparison_ask(x, SOURCE, 2, offsets);
    comparison_ask(x, SOURCE, 2, info);
}
