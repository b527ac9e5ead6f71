#include "tests/support/differences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log/log.h"
#include "tests/support/servers.h"
#include "tests/support/testing.h"

enum {
    STRING_MAX_SHIFT = 19,  /* 512 KiB */
    MEMBERS_MAX_SHIFT = 10, /* a collection has at most so many elements … */
    PADDING_MAX_SHIFT = 15, /* … of at most so many bytes, */
    COLLECTION_MAX_BYTES = 300000,
    SHORT_NAMES = 60,
    LONG_NAME_EVERY = 200,
    LONG_NAME_BYTES = 60000,
    NAME_MAX_BYTES = 40,
    IN_FLIGHT = 200,
    FAR_S = 400000,
    HOUR_MS = 3600000,
};

/* The values to which a difference may belong. */
enum type { STRING, LIST, SET, HASH, ZSET, STREAM, TYPES };

struct item {
    enum verify_kind kind;
    bool equal;
    enum type type;
    uint32_t db;
    struct buf key;
    unsigned variant; /* of the difference */
    uint32_t elements, chosen;
    size_t bytes; /* of a string, or of each element's padding */
    int64_t expire_ms;
};

struct side {
    redisContext *c;
    uint32_t db;
    unsigned in_flight;
};

struct differences {
    struct differences_options options;
    struct item *items;
    size_t count;
    struct random random;
    struct buf noise; /* what values and paddings are cut from */
    struct side source;
};

/* ---- one connection ---- */

static void take_answers(struct side *s)
{
    redisReply *r = NULL;
    for (; s->in_flight; s->in_flight--) {
        if (redisGetReply(s->c, (void **)&r) != REDIS_OK)
            die("making differences: %s", s->c->errstr);
        if (r->type == REDIS_REPLY_ERROR)
            die("making differences: %s", r->str);
        freeReplyObject(r);
    }
}

static void select_db(struct side *s, uint32_t db)
{
    if (s->db == db)
        return;
    redisAppendCommand(s->c, "SELECT %u", db);
    s->in_flight++;
    s->db = db;
}

#define TELL(side, ...)                                                                                      \
    do {                                                                                                     \
        redisAppendCommand((side)->c, __VA_ARGS__);                                                          \
        if (++(side)->in_flight >= IN_FLIGHT)                                                                \
            take_answers(side);                                                                              \
    } while (0)

#define KEY(i) (i)->key.data, (i)->key.len

/* ---- values ---- */

static void name_element(const struct differences *d, const struct item *i, uint32_t n, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "e%u:", n);
    buf_put(out, d->noise.data + n, i->bytes);
}

/* A collection as one command: its name, the key, and for each element what the type wants. */
static void write_collection(const struct differences *d, const struct item *i, struct side *s)
{
    static const char *const verbs[] = {[LIST] = "RPUSH", [SET] = "SADD", [HASH] = "HSET", [ZSET] = "ZADD"};
    bool pairs = i->type == HASH || i->type == ZSET;
    struct buf command = {0}, element = {0};
    buf_printf(&command, "*%u\r\n$%zu\r\n%s\r\n$%zu\r\n", 2 + i->elements * (pairs ? 2 : 1),
               strlen(verbs[i->type]), verbs[i->type], i->key.len);
    buf_put(&command, i->key.data, i->key.len);
    buf_printf(&command, "\r\n");
    for (uint32_t n = 0; n < i->elements; n++) {
        char number[16];
        int digits = snprintf(number, sizeof number, "%u", n);
        name_element(d, i, n, &element);
        if (i->type == ZSET)
            buf_printf(&command, "$%d\r\n%s\r\n", digits, number);
        buf_printf(&command, "$%zu\r\n", element.len);
        buf_put(&command, element.data, element.len);
        buf_printf(&command, "\r\n");
        if (i->type == HASH)
            buf_printf(&command, "$%d\r\n%s\r\n", digits, number);
    }
    redisAppendFormattedCommand(s->c, (const char *)command.data, command.len);
    if (++s->in_flight >= IN_FLIGHT)
        take_answers(s);
    buf_free(&command);
    buf_free(&element);
}

static void write_stream(const struct item *i, struct side *s)
{
    for (uint32_t n = 1; n <= i->elements; n++)
        TELL(s, "XADD %b %u-1 field %u", KEY(i), n, n);
    TELL(s, "XGROUP CREATE %b g 1-1", KEY(i));
    TELL(s, "XGROUP CREATECONSUMER %b g c", KEY(i));
}

static void write_value(const struct differences *d, const struct item *i, struct side *s)
{
    select_db(s, i->db);
    if (i->type == STRING)
        TELL(s, "SET %b %b", KEY(i), d->noise.data, i->bytes);
    else if (i->type == STREAM)
        write_stream(i, s);
    else
        write_collection(d, i, s);
    if (i->expire_ms)
        TELL(s, "PEXPIREAT %b %lld", KEY(i), (long long)i->expire_ms);
}

/* ---- differences ---- */

static void change_element(const struct differences *d, const struct item *i, struct side *s)
{
    struct buf element = {0};
    name_element(d, i, i->chosen, &element);
    if (i->type == LIST && i->variant % 2)
        TELL(s, "LSET %b %u other", KEY(i), i->chosen);
    else if (i->type == LIST)
        TELL(s, "RPOP %b", KEY(i));
    else if (i->type == SET && i->variant % 2)
        TELL(s, "SREM %b %b", KEY(i), element.data, element.len);
    else if (i->type == SET)
        TELL(s, "SADD %b other", KEY(i));
    else if (i->type == HASH && i->variant % 2)
        TELL(s, "HDEL %b %b", KEY(i), element.data, element.len);
    else if (i->type == HASH)
        TELL(s, "HSET %b %b other", KEY(i), element.data, element.len);
    else if (i->variant % 2)
        TELL(s, "ZREM %b %b", KEY(i), element.data, element.len);
    else
        TELL(s, "ZINCRBY %b 0.5 %b", KEY(i), element.data, element.len);
    buf_free(&element);
}

static void change_ttl(const struct item *i, struct side *s)
{
    if (!i->expire_ms)
        TELL(s, "PEXPIREAT %b %lld", KEY(i), (long long)clock_unix_ms() + FAR_S * 1000LL);
    else if (i->variant % 2)
        TELL(s, "PERSIST %b", KEY(i));
    else
        TELL(s, "PEXPIREAT %b %lld", KEY(i), (long long)i->expire_ms - HOUR_MS);
}

static void change_field_ttl(const struct differences *d, const struct item *i, struct side *s)
{
    struct buf element = {0};
    name_element(d, i, i->chosen, &element);
    TELL(s, "HPEXPIREAT %b %lld FIELDS 1 %b", KEY(i), (long long)clock_unix_ms() + FAR_S * 1000LL,
         element.data, element.len);
    buf_free(&element);
}

static void change_value(const struct differences *d, const struct item *i, struct side *s)
{
    size_t at = i->chosen % i->bytes;
    char byte = (char)(d->noise.data[at] ^ 1);
    TELL(s, "SETRANGE %b %u %b", KEY(i), (unsigned)at, &byte, (size_t)1);
}

static void make_one(const struct differences *d, const struct item *i, struct side *s)
{
    select_db(s, i->db);
    switch (i->kind) {
    case VERIFY_VALUE:
        change_value(d, i, s);
        return;
    case VERIFY_ELEMENT:
        change_element(d, i, s);
        return;
    case VERIFY_ORDER:
        TELL(s, "RPOPLPUSH %b %b", KEY(i), KEY(i));
        return;
    case VERIFY_ENTRY:
        if (i->variant % 2)
            TELL(s, "XDEL %b %u-1", KEY(i), i->chosen + 1);
        else
            TELL(s, "XADD %b %u-1 field other", KEY(i), i->elements + 1);
        return;
    case VERIFY_GROUP:
        if (i->variant % 2)
            TELL(s, "XGROUP CREATE %b h 0", KEY(i));
        else
            TELL(s, "XGROUP SETID %b g 0", KEY(i));
        return;
    case VERIFY_PENDING_ENTRY:
        TELL(s, "XCLAIM %b g c 0 %u-1 FORCE JUSTID", KEY(i), i->chosen + 1);
        return;
    case VERIFY_TYPE:
        TELL(s, "DEL %b", KEY(i));
        TELL(s, i->type == STRING ? "RPUSH %b other" : "SET %b other", KEY(i));
        return;
    case VERIFY_TTL:
        change_ttl(i, s);
        return;
    case VERIFY_FIELD_TTL:
        change_field_ttl(d, i, s);
        return;
    case VERIFY_MISSING:
        TELL(s, "DEL %b", KEY(i));
        return;
    case VERIFY_EXTRA:
        write_value(d, i, s);
        return;
    case VERIFY_KINDS:
        return;
    }
}

/* ---- the list ---- */

static enum type type_for(struct differences *d, enum verify_kind kind)
{
    switch (kind) {
    case VERIFY_VALUE:
        return STRING;
    case VERIFY_ELEMENT:
        return LIST + (enum type)random_below(&d->random, STREAM - LIST);
    case VERIFY_ORDER:
        return LIST;
    case VERIFY_ENTRY:
    case VERIFY_GROUP:
    case VERIFY_PENDING_ENTRY:
        return STREAM;
    case VERIFY_FIELD_TTL:
        return HASH;
    default:
        return (enum type)random_below(&d->random, TYPES);
    }
}

/* Unlike all others: a few are one byte, a few are very long, and all bytes are used. */
static void name_item(struct differences *d, struct item *i, size_t number)
{
    if (number < SHORT_NAMES) {
        buf_put_u8(&i->key, (uint8_t)(number * 256 / SHORT_NAMES));
        return;
    }
    buf_printf(&i->key, "%zu", number);
    size_t len = number % LONG_NAME_EVERY == 0 ? LONG_NAME_BYTES
                                               : 1 + (size_t)random_below(&d->random, NAME_MAX_BYTES);
    for (size_t n = 0; n < len; n++)
        buf_put_u8(&i->key, (uint8_t)random_below(&d->random, 256));
}

/* 2 to a power of 0 to most, seldom a large one. */
static uint64_t some_power(struct differences *d, unsigned most)
{
    uint64_t a = random_below(&d->random, most + 1), b = random_below(&d->random, most + 1);
    return 1ULL << (a < b ? a : b);
}

static void size_item(struct differences *d, struct item *i)
{
    i->chosen = (uint32_t)random_below(&d->random, UINT32_MAX);
    if (i->type == STRING) {
        i->bytes = (size_t)(1 + random_below(&d->random, some_power(d, STRING_MAX_SHIFT)));
        return;
    }
    i->elements = 2 + (uint32_t)random_below(&d->random, some_power(d, MEMBERS_MAX_SHIFT));
    if (i->type == STREAM && i->elements > 40)
        i->elements = 40;
    i->chosen %= i->elements;
    i->bytes = (size_t)some_power(d, PADDING_MAX_SHIFT);
    if (i->bytes * i->elements > COLLECTION_MAX_BYTES)
        i->bytes = COLLECTION_MAX_BYTES / i->elements;
}

static void plan_item(struct differences *d, struct item *i, size_t number)
{
    const struct differences_options *o = &d->options;
    i->equal = number >= o->count;
    i->variant = (unsigned)random_below(&d->random, 1000);
    do {
        i->kind = (enum verify_kind)(i->equal ? VERIFY_KINDS : number % VERIFY_KINDS);
        number++;
    } while (i->kind == VERIFY_FIELD_TTL && !o->field_ttls);
    i->type = type_for(d, i->kind);
    i->db = o->databases[random_below(&d->random, o->database_count)];
    size_item(d, i);
    if (i->variant % 3 == 0)
        i->expire_ms = clock_unix_ms() + FAR_S * 1000LL + (int64_t)random_below(&d->random, 100000000);
}

struct differences *differences_new(const struct differences_options *options)
{
    struct differences *d = x_calloc(1, sizeof *d);
    d->options = *options;
    d->random.state = options->seed;
    d->count = options->count + options->equal;
    d->items = x_calloc(d->count, sizeof *d->items);
    for (size_t n = 0; n < (1 << STRING_MAX_SHIFT) + 2; n++)
        buf_put_u8(&d->noise, (uint8_t)random_below(&d->random, 256));
    for (size_t n = 0; n < d->count; n++) {
        name_item(d, &d->items[n], n);
        plan_item(d, &d->items[n], n);
    }
    return d;
}

void differences_write_source(struct differences *d)
{
    d->source = (struct side){.c = server_connect(d->options.source_port)};
    for (size_t n = 0; n < d->count; n++)
        if (d->items[n].equal || d->items[n].kind != VERIFY_EXTRA)
            write_value(d, &d->items[n], &d->source);
    take_answers(&d->source);
    redisFree(d->source.c);
}

/* Each connection of a target is in database 0 to begin with, and again at the end. */
void differences_make(struct differences *d)
{
    struct side side = {0};
    for (size_t n = 0; n < d->count; n++) {
        redisContext *c = d->options.target(buf_slice(&d->items[n].key));
        if (d->items[n].equal)
            continue;
        if (c != side.c) {
            take_answers(&side);
            side = (struct side){.c = c};
        }
        make_one(d, &d->items[n], &side);
        if (d->options.database_count > 1)
            select_db(&side, 0);
    }
    take_answers(&side);
}

size_t differences_of_kind(const struct differences *d, enum verify_kind kind)
{
    size_t count = 0;
    for (size_t n = 0; n < d->count; n++)
        count += !d->items[n].equal && d->items[n].kind == kind;
    return count;
}

void differences_free(struct differences *d)
{
    if (!d)
        return;
    for (size_t n = 0; n < d->count; n++)
        buf_free(&d->items[n].key);
    free(d->items);
    buf_free(&d->noise);
    free(d);
}

/* ---- what was found ---- */

struct lines {
    char **list;
    size_t count;
};

static void add_line(struct lines *l, char *text)
{
    l->list = x_realloc(l->list, (l->count + 1) * sizeof *l->list);
    l->list[l->count++] = text;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_lines(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->list[i]);
    free(l->list);
}

/* TIME VERDICT KIND TYPE db N "KEY"; the time and the type are left out. */
static void read_log(struct lines *out, const char *path, const char *verdict)
{
    FILE *log = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    while (log && getline(&line, &room, log) > 0) {
        char said[24], kind[24], type[24];
        int at = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%*s %23s %23s %23s db %n", said, kind, type, &at) != 3 || !at)
            add_line(out, format_text("not understood: %s", line));
        else if (strcmp(said, verdict) == 0)
            add_line(out, format_text("%s db %s", kind, line + at));
    }
    free(line);
    if (log)
        fclose(log);
}

static bool lines_equal(const struct lines *expected, const struct lines *got)
{
    size_t e = 0, g = 0, wrong = 0;
    while (e < expected->count || g < got->count) {
        int order = e == expected->count ? 1 : g == got->count ? -1 : strcmp(expected->list[e], got->list[g]);
        if (order < 0)
            fprintf(stderr, "not found: %s\n", expected->list[e]);
        else if (order > 0)
            fprintf(stderr, "found, but not made: %s\n", got->list[g]);
        wrong += order != 0;
        e += order <= 0;
        g += order >= 0;
    }
    return !wrong;
}

bool differences_are_named(const struct differences *d, const char *log_path, const char *verdict)
{
    struct lines expected = {0}, got = {0};
    for (size_t n = 0; n < d->count; n++)
        if (!d->items[n].equal)
            add_line(&expected, format_text("%s db %u %s", verify_kind_name(d->items[n].kind), d->items[n].db,
                                            log_key(buf_slice(&d->items[n].key))));
    read_log(&got, log_path, verdict);
    qsort(expected.list, expected.count, sizeof *expected.list, by_text);
    if (got.count)
        qsort(got.list, got.count, sizeof *got.list, by_text);
    bool equal = lines_equal(&expected, &got);
    free_lines(&expected);
    free_lines(&got);
    return equal;
}
