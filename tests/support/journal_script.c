/* Made-up streams with their expected outcome. */
#include "tests/support/journal_script.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdlib.h>

#include "tests/support/generate.h"
#include "tests/support/servers.h"

enum { MAX_WORDS = 8, KEYS = 12, BLOB_BYTES = 16384, EXPECTED_PART = 1 << 20 };

void journal_script_init(struct journal_script *s, uint32_t flows, uint64_t seed)
{
    *s = (struct journal_script){.flows = flows, .random = {seed}, .txid = 1000};
}

void journal_script_free(struct journal_script *s)
{
    buf_free(&s->expected);
    *s = (struct journal_script){0};
}

static void expect_args(struct journal_script *s, uint32_t db, size_t argc, const struct slice *argv)
{
    if (db != s->expected_db) {
        char number[16];
        snprintf(number, sizeof number, "%u", db);
        struct slice select[] = {slice_str("SELECT"), slice_str(number)};
        s->expected_db = db;
        expect_args(s, db, 2, select);
    }
    buf_printf(&s->expected, "*%zu\r\n", argc);
    for (size_t i = 0; i < argc; i++) {
        buf_printf(&s->expected, "$%zu\r\n", argv[i].len);
        buf_put(&s->expected, argv[i].data, argv[i].len);
        buf_put(&s->expected, "\r\n", 2);
    }
    s->expected_count++;
}

/* Words separated by spaces: to the FLOW and to the list. */
static void command(struct journal_script *s, uint32_t db, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void command(struct journal_script *s, uint32_t db, const char *format, ...)
{
    char line[512];
    struct slice argv[MAX_WORDS];
    size_t argc = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *rest = line, *word; argc < MAX_WORDS && (word = strsep(&rest, " "));)
        argv[argc++] = slice_str(word);
    if (s->writer)
        writer_command(s->writer, db, 0, argc, argv);
    else
        write_journal_args(s->bytes, db, 0, argc, argv);
    expect_args(s, db, argc, argv);
    s->made++;
}

/* Floats are whole halves, so that every server prints them the same. */
static void any_command(struct journal_script *s, uint32_t f)
{
    uint64_t r = random_next(&s->random), n = s->made;
    unsigned k = (unsigned)(r >> 8) % KEYS;
    uint32_t db = f % 3 == 2 && !s->one_database ? 3 : 0;
    switch (r % 20) {
    case 0:
        command(s, db, "INCR c:%u:%u", f, k);
        break;
    case 1:
        command(s, db, "DECRBY c:%u:%u %u", f, k, k + 1);
        break;
    case 2:
    case 3:
        command(s, db, "APPEND a:%u:%u %llu,", f, k, (unsigned long long)n);
        break;
    case 4:
    case 5:
        command(s, db, "RPUSH l:%u:%u %llu x%llu", f, k, (unsigned long long)n, (unsigned long long)n);
        break;
    case 6:
        command(s, db, "LPUSH l:%u:%u %llu", f, k, (unsigned long long)n);
        break;
    case 7: /* journaled only when there is something to do, as LMOVE */
        command(s, db, "RPUSH l:%u:%u %llu", f, k, (unsigned long long)n);
        command(s, db, "LPOP l:%u:%u", f, k);
        break;
    case 8:
        command(s, db, "LTRIM l:%u:%u 1 200", f, k);
        break;
    case 9:
        command(s, db, "ZINCRBY z:%u:%u 1.5 m%u", f, k, (unsigned)(r >> 20) % 40);
        break;
    case 10:
        command(s, db, "XADD x:%u:%u %llu-1 f %llu", f, k, (unsigned long long)n + 1,
                (unsigned long long)r % 1000);
        break;
    case 11:
        command(s, db, "HINCRBYFLOAT h:%u:%u f%u 0.5", f, k, (unsigned)(r >> 20) % 20);
        break;
    case 12:
        command(s, db, "HINCRBY h:%u:%u i%u 3", f, k, (unsigned)(r >> 20) % 20);
        break;
    case 13:
        command(s, db, "INCRBYFLOAT d:%u:%u 2.5", f, k);
        break;
    case 14:
        command(s, db, "SET r:%u:%u %llu", f, k, (unsigned long long)n);
        command(s, db, "RENAME r:%u:%u r:%u:to:%u", f, k, f, (unsigned)(r >> 20) % KEYS);
        break;
    case 15:
        command(s, db, "RPUSH l:%u:%u %llu", f, k, (unsigned long long)n);
        command(s, db, "LMOVE l:%u:%u l:%u:%u LEFT RIGHT", f, k, f, (unsigned)(r >> 20) % KEYS);
        break;
    case 16:
        command(s, db, "SADD s:%u:%u %llu", f, k, (unsigned long long)(r >> 20) % 500);
        break;
    case 17:
        command(s, db, "SREM s:%u:%u %llu", f, k, (unsigned long long)(r >> 20) % 500);
        break;
    case 18:
        command(s, db, r >> 60 ? "SET t:%u:%u %llu" : "SET a:%u:%u %llu", f, k, (unsigned long long)n);
        break;
    default:
        command(s, db, "DEL t:%u:%u", f, k);
        break;
    }
}

void journal_script_commands(struct journal_script *s, uint32_t flow, uint32_t count, struct buf *bytes)
{
    s->writer = NULL;
    s->bytes = bytes;
    for (uint32_t i = 0; i < count; i++)
        any_command(s, flow);
    s->bytes = NULL;
}

void journal_script_append(struct journal_script *s, struct scripted *m, uint32_t commands_each)
{
    struct buf bytes = {0};
    for (uint32_t f = 0; f < s->flows; f++) {
        buf_clear(&bytes);
        journal_script_commands(s, f, commands_each, &bytes);
        scripted_append(m, f, buf_slice(&bytes));
    }
    buf_free(&bytes);
}

void journal_script_line(struct journal_script *s, struct scripted *m, uint32_t flow, const char *words)
{
    struct buf bytes = {0};
    s->writer = NULL;
    s->bytes = &bytes;
    command(s, 0, "%s", words);
    s->bytes = NULL;
    scripted_append(m, flow, buf_slice(&bytes));
    buf_free(&bytes);
}

void journal_script_flush(struct journal_script *s, struct scripted *m)
{
    struct buf bytes = {0};
    struct slice word = slice_str("FLUSHALL");
    s->txid++;
    for (uint32_t f = 0; f < s->flows; f++) {
        buf_clear(&bytes);
        write_journal_args(&bytes, 0, s->txid, 1, &word);
        scripted_append(m, f, buf_slice(&bytes));
    }
    expect_args(s, s->expected_db, 1, &word);
    buf_free(&bytes);
}

/* ---- the snapshot ---- */

enum kind { HASH, ZSET, LIST, SET, KINDS };

static const char *const kind_names[KINDS] = {"hash", "zset", "list", "set"};
static const char *const kind_writes[KINDS] = {"HSET", "ZADD", "RPUSH", "SADD"};
static const uint8_t kind_types[KINDS] = {4, 5, 18, 2};

/* One element, to the stream and to the list. Lists have a node of its own for each. */
static void element(struct journal_script *s, struct buf *out, enum kind kind, struct slice key, uint64_t n,
                    uint64_t i)
{
    struct buf a = {0}, b = {0}, packed = {0};
    double score = generate_score(n, i);
    generate_member(&a, n, i);
    if (kind == HASH)
        generate_value(&b, n, i);
    else if (kind == ZSET)
        buf_printf(&b, "%.17g", score);
    if (kind == LIST) {
        listpack_begin(&packed);
        listpack_item(&packed, buf_slice(&a));
        listpack_end(&packed, 0, 1);
        write_packed(out, 2);
        write_string(out, buf_slice(&packed));
    } else {
        write_string(out, buf_slice(&a));
    }
    if (kind == HASH)
        write_string(out, buf_slice(&b));
    else if (kind == ZSET)
        buf_put(out, &score, sizeof score);
    struct slice argv[4] = {slice_str(kind_writes[kind]), key, buf_slice(&a), buf_slice(&b)};
    if (kind == ZSET) {
        argv[2] = buf_slice(&b);
        argv[3] = buf_slice(&a);
    }
    expect_args(s, 0, kind == HASH || kind == ZSET ? 4 : 3, argv);
    buf_free(&a);
    buf_free(&b);
    buf_free(&packed);
}

/* Commands for other keys come among a large value's chunks, as they do from a busy master. */
static void collection(struct journal_script *s, uint32_t f, enum kind kind, uint64_t n,
                       const struct journal_snapshot *what)
{
    char name[64];
    struct stream_writer *w = s->writer;
    snprintf(name, sizeof name, "big:%s:%llu", kind_names[kind], (unsigned long long)n);
    struct slice key = slice_str(name);
    struct buf *out = writer_entry(w, kind_types[kind], key, 0);
    write_packed(out, what->elements);
    for (uint64_t i = 0; i < what->elements; i++) {
        element(s, out, kind, key, n, i);
        writer_element_end(w);
        if (w->in_chunks && w->pending.len == 0 && i + 1 < what->elements && what->commands)
            any_command(s, f);
    }
    writer_entry_end(w);
}

static void string(struct journal_script *s, uint64_t n)
{
    struct generate_options g;
    struct buf value = {0};
    char name[64];
    generate_options_init(&g);
    generate_string(&value, &g, n);
    snprintf(name, sizeof name, "string:%llu", (unsigned long long)n);
    writer_string(s->writer, slice_str(name), buf_slice(&value));
    struct slice argv[] = {slice_str("SET"), slice_str(name), buf_slice(&value)};
    expect_args(s, 0, 3, argv);
    buf_free(&value);
}

static struct scripted_flow one_flow(struct journal_script *s, uint32_t f,
                                     const struct journal_snapshot *what, const char *token)
{
    struct stream_writer w;
    uint32_t parts = what->collections * KINDS + 1;
    writer_begin(&w, what->plain ? 0 : BLOB_BYTES, token);
    w.chunk_bytes = what->chunk_bytes;
    s->writer = &w;
    for (uint32_t part = 0; part < parts; part++) {
        for (uint32_t i = 0; i < what->strings / parts; i++)
            string(s, (uint64_t)i * 1000 * s->flows + (uint64_t)part * s->flows + f);
        for (uint32_t i = 0; i < what->commands / parts; i++)
            any_command(s, f);
        if (part < parts - 1)
            collection(s, f, (enum kind)(part % KINDS), (uint64_t)part * s->flows + f, what);
    }
    writer_fullsync_end(&w);
    for (uint32_t i = 0; i < what->commands / parts; i++)
        any_command(s, f); /* after FULLSYNC_END, before STARTSTABLE */
    writer_stable(&w, w.next_lsn);
    for (uint32_t i = 0; i < what->journal; i++)
        any_command(s, f);
    s->writer = NULL;
    return writer_finish(&w);
}

struct scripted_session journal_script_session(struct journal_script *s, const struct journal_snapshot *what)
{
    struct scripted_session session = scripted_session_new(s->flows);
    for (uint32_t f = 0; f < s->flows; f++) {
        char token[41];
        snprintf(token, sizeof token, "%s", session.flows[f].token);
        session.flows[f] = one_flow(s, f, what, token);
    }
    return session;
}

void journal_script_expect(struct journal_script *s, uint16_t port)
{
    redisContext *c = server_connect(port);
    redisReply *reply = NULL;
    if (s->expected.len)
        redisAppendFormattedCommand(c, (const char *)s->expected.data, s->expected.len);
    for (size_t i = 0; i < s->expected_count; i++) {
        if (redisGetReply(c, (void **)&reply) != REDIS_OK)
            die("the expected state: %s", c->errstr);
        if (reply->type == REDIS_REPLY_ERROR)
            die("the expected state: %s", reply->str);
        freeReplyObject(reply);
    }
    redisFree(c);
}
