/* Reads keys of a live server: types and expiries of many keys in one round trip, sizes in a second, small
 * values in a third; large ones in chunks. */
#include "tests/support/state.h"

#include <stdarg.h>
#include <stdlib.h>

#include "tests/support/state_server.h"
#include "tests/support/state_stream.h"
#include "tests/support/testing.h"

enum { WHOLE_LIMIT = 20000, CHUNK = 20000, FIELD_TTL_LIMIT = 2000 };

static void send_words(struct state_server *s, size_t count, const struct slice *words)
{
    const char *argv[8];
    size_t lengths[8];
    for (size_t i = 0; i < count; i++) {
        argv[i] = (const char *)words[i].data;
        lengths[i] = words[i].len;
    }
    redisAppendCommandArgv(s->c, (int)count, argv, lengths);
}

/* A command on a key, with more words after it (NULL ends). */
static void ask(struct state_server *s, const char *name, struct slice key, ...) __attribute__((sentinel));
static void ask(struct state_server *s, const char *name, struct slice key, ...)
{
    struct slice words[8] = {slice_str(name), key};
    size_t n = 2;
    va_list args;
    va_start(args, key);
    for (const char *w; n < 8 && (w = va_arg(args, const char *));)
        words[n++] = slice_str(w);
    va_end(args);
    send_words(s, n, words);
}

static redisReply *answer(struct state_server *s)
{
    void *reply = NULL;
    if (redisGetReply(s->c, &reply) != REDIS_OK)
        die("reading the state on port %d: %s", s->c->tcp.port, s->c->errstr);
    return reply;
}

static struct slice text_of(const redisReply *r)
{
    return slice_of(r->str, r->str ? (size_t)r->len : 0);
}

static bool is_type(const struct state_value *v, const char *type)
{
    return strcmp(v->type, type) == 0;
}

static const char *size_command(const struct state_value *v)
{
    return is_type(v, "list")   ? "LLEN"
           : is_type(v, "set")  ? "SCARD"
           : is_type(v, "hash") ? "HLEN"
           : is_type(v, "zset") ? "ZCARD"
                                : NULL;
}

/* Names and values alternate, or only names come. */
static void add_elements(struct state_value *v, const redisReply *r)
{
    bool pairs = is_type(v, "hash"), scores = is_type(v, "zset");
    if ((pairs || scores) && r->elements % 2)
        die("a %s of %zu words: they do not come in pairs", v->type, r->elements);
    for (size_t i = 0; i < r->elements; i += pairs || scores ? 2 : 1) {
        struct slice parts[2] = {text_of(r->element[i])};
        if (pairs || scores)
            parts[1] = text_of(r->element[i + 1]);
        if (scores)
            state_item_score(v, parts[0], strtod((const char *)parts[1].data, NULL));
        else
            state_item_add(v, pairs ? 2 : 1, parts);
    }
}

static void read_list_chunks(struct state_server *s, struct slice key, struct state_value *v, long long size)
{
    for (long long at = 0; at < size; at += CHUNK) {
        char from[24], to[24];
        snprintf(from, sizeof from, "%lld", at);
        snprintf(to, sizeof to, "%lld", at + CHUNK - 1);
        ask(s, "LRANGE", key, from, to, NULL);
        redisReply *r = answer(s);
        add_elements(v, r);
        freeReplyObject(r);
    }
}

static void read_cursor(struct state_server *s, struct slice key, struct state_value *v)
{
    const char *command = is_type(v, "set") ? "SSCAN" : is_type(v, "hash") ? "HSCAN" : "ZSCAN";
    char cursor[32] = "0";
    do {
        ask(s, command, key, cursor, "COUNT", "20000", NULL);
        redisReply *r = answer(s);
        if (r->type != REDIS_REPLY_ARRAY || r->elements != 2)
            die("%s on port %d: %s", command, s->c->tcp.port, r->str ? r->str : "not a cursor");
        snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        add_elements(v, r->element[1]);
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0);
}

/* First round: what is it, and until when. */
static void read_types(struct state_server *s, const struct slice *keys, size_t count,
                       struct state_value *values)
{
    for (size_t i = 0; i < count; i++) {
        ask(s, "TYPE", keys[i], NULL);
        ask(s, s->expiretime ? "PEXPIRETIME" : "PTTL", keys[i], NULL);
    }
    for (size_t i = 0; i < count; i++) {
        state_value_clear(&values[i]);
        redisReply *type = answer(s), *expiry = answer(s);
        bool gone =
            expiry->type == REDIS_REPLY_INTEGER && expiry->integer == -2; /* since the first question */
        snprintf(values[i].type, sizeof values[i].type, "%s", gone ? "none" : type->str ? type->str : "?");
        if (expiry->type == REDIS_REPLY_INTEGER &&
            expiry->integer >= 0) /* PTTL: less than a millisecond is left */
            values[i].expire_ms = expiry->integer + (s->expiretime ? 0 : clock_unix_ms());
        freeReplyObject(type);
        freeReplyObject(expiry);
    }
}

/* Second round: strings, streams and JSON at once, of the others the size. */
static void read_sizes(struct state_server *s, const struct state_read_options *options,
                       const struct slice *keys, size_t count, struct state_value *values, long long *sizes)
{
    for (size_t i = 0; i < count; i++) {
        const char *size = size_command(&values[i]);
        if (size)
            ask(s, size, keys[i], NULL);
        else if (is_type(&values[i], "string"))
            ask(s, "GET", keys[i], NULL);
        else if (is_type(&values[i], "stream")) {
            struct slice words[] = {slice_str("XINFO"), slice_str("STREAM"), keys[i],
                                    slice_str("FULL"),  slice_str("COUNT"),  slice_str("0")};
            send_words(s, 6, words);
        } else if (is_type(&values[i], "ReJSON-RL") && s->json)
            ask(s, "JSON.GET", keys[i], NULL);
        else
            ask(s, "EXISTS", keys[i], NULL);
    }
    for (size_t i = 0; i < count; i++) {
        redisReply *r = answer(s);
        sizes[i] = -1;
        if (size_command(&values[i]) && r->type == REDIS_REPLY_INTEGER)
            sizes[i] = r->integer;
        else if (is_type(&values[i], "string") && r->type == REDIS_REPLY_STRING)
            state_item_string(&values[i], text_of(r));
        else if (is_type(&values[i], "stream") && r->type == REDIS_REPLY_ARRAY)
            state_stream_items(&values[i], r, options);
        else if (is_type(&values[i], "ReJSON-RL") && r->type == REDIS_REPLY_STRING)
            state_item_json(&values[i], text_of(r));
        else
            values[i].partial = true;
        freeReplyObject(r);
    }
}

/* Third round: whole small collections, and large ones bit by bit. */
static void read_collections(struct state_server *s, const struct slice *keys, size_t count,
                             struct state_value *values, const long long *sizes)
{
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] < 0 || sizes[i] > WHOLE_LIMIT)
            continue;
        if (is_type(&values[i], "list"))
            ask(s, "LRANGE", keys[i], "0", "-1", NULL);
        else if (is_type(&values[i], "zset"))
            ask(s, "ZRANGE", keys[i], "0", "-1", "WITHSCORES", NULL);
        else
            ask(s, is_type(&values[i], "set") ? "SMEMBERS" : "HGETALL", keys[i], NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] < 0 || sizes[i] > WHOLE_LIMIT)
            continue;
        redisReply *r = answer(s);
        add_elements(&values[i], r);
        freeReplyObject(r);
    }
    for (size_t i = 0; i < count; i++) {
        bool list = is_type(&values[i], "list");
        if (sizes[i] > WHOLE_LIMIT && list)
            read_list_chunks(s, keys[i], &values[i], sizes[i]);
        else if (sizes[i] > WHOLE_LIMIT)
            read_cursor(s, keys[i], &values[i]);
        if (sizes[i] >= 0 && !list)
            state_value_sort(&values[i], sizes[i] > WHOLE_LIMIT);
    }
}

/* HPEXPIRETIME answers milliseconds, Dragonfly's HTTL seconds from now; -1 none. */
static void read_field_ttls(struct state_server *s, struct slice key, struct state_value *v)
{
    bool relative = s->kind == STATE_DRAGONFLY;
    size_t argc = v->count + 4, *lengths = x_calloc(argc, sizeof *lengths);
    const char **argv = x_calloc(argc, sizeof *argv);
    char number[24];
    snprintf(number, sizeof number, "%zu", v->count);
    struct slice head[4] = {slice_str(relative ? "HTTL" : "HPEXPIRETIME"), key, slice_str("FIELDS"),
                            slice_str(number)};
    for (size_t i = 0; i < argc; i++) {
        struct slice word = i < 4 ? head[i] : slice_of(NULL, 0);
        if (i >= 4) {
            const uint8_t *field = v->bytes.data + v->items[i - 4].at;
            uint32_t len;
            memcpy(&len, field, sizeof len);
            word = slice_of(field + sizeof len, len);
        }
        argv[i] = (const char *)word.data;
        lengths[i] = word.len;
    }
    redisAppendCommandArgv(s->c, (int)argc, argv, lengths);
    redisReply *r = answer(s);
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements && i < v->count; i++)
        if (r->element[i]->type == REDIS_REPLY_INTEGER && r->element[i]->integer > 0)
            v->items[i].expire_ms =
                relative ? clock_unix_ms() + r->element[i]->integer * 1000 : r->element[i]->integer;
    freeReplyObject(r);
    free(argv);
    free(lengths);
}

void state_read_node(struct state_server *s, const struct state_read_options *options,
                     const struct slice *keys, size_t count, struct state_value *values)
{
    long long *sizes = x_calloc(count, sizeof *sizes);
    read_types(s, keys, count, values);
    read_sizes(s, options, keys, count, values, sizes);
    read_collections(s, keys, count, values, sizes);
    for (size_t i = 0; options->field_ttls && s->field_ttls && i < count; i++)
        if (is_type(&values[i], "hash") && values[i].count && values[i].count <= FIELD_TTL_LIMIT)
            read_field_ttls(s, keys[i], &values[i]);
    free(sizes);
}
