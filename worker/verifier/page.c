/* Questions about the names of a page, and the comparison of the answers.
 *
 * A tag is the number of the item, 0 for what belongs to none, and in its lowest bits what was asked. */
#include "worker/verifier/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"

enum { SOURCE_SIDE, TARGET_SIDE };
enum asked {
    ASKED_SOURCE_VALUE, /* the first four in the order of side and value */
    ASKED_SOURCE_EXPIRY,
    ASKED_TARGET_VALUE,
    ASKED_TARGET_EXPIRY,
    ASKED_EXISTS,
    ASKED_MEMORY,
    ASKED_SELECT,
    ASKED_TIME,
    ASKED_KINDS,
};
enum { FOOTER_BYTES = 10, FIELD_TOLERANCE_MS = 2000, NO_EXPIRY = -1, NO_KEY = -2 };

struct item {
    uint32_t name_at, name_len;
    uint32_t at[2], len[2]; /* payloads */
    int64_t expire_ms[2];
    bool there[2];
    bool large, refused;
};

struct page {
    struct page_config config;
    uint32_t source_db, target_db;
    bool of_target, asked, moved;
    struct buf names, payloads;
    size_t side_bytes[2];
    uint64_t bytes;
    struct item *items;
    size_t count, capacity, awaited;
    int64_t clock_ms;
};

struct page *page_new(const struct page_config *config, uint32_t source_db, uint32_t target_db,
                      bool of_target)
{
    struct page *p = x_calloc(1, sizeof *p);
    p->config = *config;
    p->source_db = source_db;
    p->target_db = target_db;
    p->of_target = of_target;
    return p;
}

void page_free(struct page *p)
{
    if (!p)
        return;
    buf_free(&p->names);
    buf_free(&p->payloads);
    free(p->items);
    free(p);
}

void page_add(struct page *p, struct slice name, bool large)
{
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 64;
        p->items = x_realloc(p->items, p->capacity * sizeof *p->items);
    }
    p->items[p->count++] = (struct item){.name_at = (uint32_t)p->names.len,
                                         .name_len = (uint32_t)name.len,
                                         .expire_ms = {NO_KEY, NO_KEY},
                                         .large = large};
    buf_put(&p->names, name.data, name.len);
}

size_t page_count(const struct page *p)
{
    return p->count;
}

static struct slice name_of(const struct page *p, const struct item *i)
{
    return slice_of(p->names.data + i->name_at, i->name_len);
}

/* ---- questions ---- */

static void ask(struct page *p, struct pipe *pipe, size_t item, enum asked what, size_t argc,
                const struct slice *argv)
{
    p->awaited++;
    pipe_ask(pipe, p, (uint32_t)(item * ASKED_KINDS + what), argc, argv);
}

static void ask_key(struct page *p, struct pipe *pipe, size_t item, enum asked what, const char *command)
{
    const struct slice argv[] = {slice_str(command), name_of(p, &p->items[item])};
    ask(p, pipe, item, what, 2, argv);
}

static void select_db(struct page *p, struct pipe *pipe, uint32_t db)
{
    char text[24];
    if (*pipe_database(pipe) == db)
        return;
    *pipe_database(pipe) = db;
    const struct slice argv[] = {slice_str("SELECT"), slice_of(text, format_u64(text, db))};
    ask(p, pipe, 0, ASKED_SELECT, 2, argv);
}

static bool has_pexpiretime(const struct page *p)
{
    return p->config.target->kind != SERVER_REDIS || p->config.target->version >= 70000;
}

static void ask_both_values(struct page *p)
{
    const struct slice time[] = {slice_str("TIME")};
    struct pipe *last = NULL;
    for (size_t i = 0; i < p->count; i++) {
        if (p->items[i].large)
            continue;
        struct pipe *target = p->config.pipe_of(p->config.arg, name_of(p, &p->items[i]));
        if (!p->config.target->cluster)
            select_db(p, target, p->target_db);
        if (!has_pexpiretime(p) && target != last)
            ask(p, target, 0, ASKED_TIME, 1, time);
        last = target;
        ask_key(p, p->config.source, i, ASKED_SOURCE_VALUE, "DUMP");
        ask_key(p, p->config.source, i, ASKED_SOURCE_EXPIRY, "PEXPIRETIME");
        ask_key(p, target, i, ASKED_TARGET_VALUE, "DUMP");
        ask_key(p, target, i, ASKED_TARGET_EXPIRY, has_pexpiretime(p) ? "PEXPIRETIME" : "PTTL");
    }
}

static void ask_existence(struct page *p, struct pipe *target)
{
    select_db(p, target, p->target_db);
    for (size_t i = 0; i < p->count; i++) {
        const struct slice memory[] = {slice_str("MEMORY"), slice_str("USAGE"), name_of(p, &p->items[i])};
        ask_key(p, p->config.source, i, ASKED_EXISTS, "EXISTS");
        ask(p, target, i, ASKED_MEMORY, 3, memory);
    }
}

void page_ask(struct page *p, struct pipe *target)
{
    p->awaited = 1; /* so that it is not done before all is asked */
    select_db(p, p->config.source, p->source_db);
    if (target)
        ask_existence(p, target);
    else
        ask_both_values(p);
    p->asked = true;
    if (!--p->awaited)
        p->config.done(p->config.arg, p);
}

/* ---- answers ---- */

static void take_payload(struct page *p, struct item *i, int side, const struct pipe_answer *a)
{
    i->there[side] = a->type == PIPE_BULK || a->type == PIPE_TOO_LARGE;
    if (a->type == PIPE_NIL)
        return;
    if (a->type != PIPE_BULK || p->side_bytes[side] + a->text.len > PAGE_BYTES_MAX) {
        i->large |= a->type == PIPE_TOO_LARGE;
        i->refused = true;
        p->bytes += (uint64_t)a->number;
        return;
    }
    p->side_bytes[side] += a->text.len;
    p->bytes += a->text.len;
    i->at[side] = (uint32_t)p->payloads.len;
    i->len[side] = (uint32_t)a->text.len;
    buf_put(&p->payloads, a->text.data, a->text.len);
}

static void take_expiry(struct page *p, struct item *i, int side, const struct pipe_answer *a)
{
    if (a->type != PIPE_INTEGER) {
        i->refused = true;
        return;
    }
    bool relative = side == TARGET_SIDE && a->number >= 0 && !has_pexpiretime(p);
    i->expire_ms[side] = relative ? a->number + p->clock_ms : a->number;
}

static void take_time(struct page *p, const struct pipe_answer *a)
{
    unsigned long long seconds, micros;
    char text[64] = "";
    if (a->type == PIPE_ARRAY && a->text.len < sizeof text) {
        memcpy(text, a->text.data, a->text.len);
        if (sscanf(text, "$%*u\r\n%llu\r\n$%*u\r\n%llu", &seconds, &micros) == 2)
            p->clock_ms = (int64_t)(seconds * 1000 + micros / 1000);
    }
}

/* A refusal that other keys will meet as well; the others make a key doubtful. */
static bool is_denied(const struct pipe_answer *a)
{
    return slice_begins(a->text, "NOPERM") || slice_begins(a->text, "ERR unknown command") ||
           slice_begins(a->text, "ERR Unknown command");
}

static void on_error(struct page *p, uint32_t what, struct item *i, const struct pipe_answer *a)
{
    struct error error;
    bool memory = what == ASKED_MEMORY; /* taken for small, if it is not told */
    const char *side = what <= ASKED_SOURCE_EXPIRY || what == ASKED_EXISTS ? "source" : "target";
    bool moved = slice_begins(a->text, "MOVED") || slice_begins(a->text, "ASK");
    p->moved |= moved;
    if (i && !memory)
        i->refused = true;
    if (what == ASKED_SELECT)
        error_set(&error, ERROR_RETRY, "the database %u of the source, or %u of the target, is refused: %.*s",
                  p->source_db, p->target_db, (int)(a->text.len < 200 ? a->text.len : 200), a->text.data);
    else if (is_denied(a) && !memory)
        error_fatal(&error, EX_NOPERM, "the %s answers %.*s: allow its user what df2redis check --acl prints",
                    side, (int)(a->text.len < 200 ? a->text.len : 200), a->text.data);
    else
        return;
    p->config.failed(p->config.arg, &error);
}

void page_answer(struct page *p, uint32_t tag, const struct pipe_answer *a)
{
    enum asked what = (enum asked)(tag % ASKED_KINDS);
    int side = what < ASKED_TARGET_VALUE ? SOURCE_SIDE : TARGET_SIDE;
    struct item *i = what < ASKED_SELECT ? &p->items[tag / ASKED_KINDS] : NULL;
    if (a->type == PIPE_ERROR)
        on_error(p, what, i, a);
    else if (what <= ASKED_TARGET_EXPIRY && what % 2)
        take_expiry(p, i, side, a);
    else if (what <= ASKED_TARGET_EXPIRY)
        take_payload(p, i, side, a);
    else if (what == ASKED_EXISTS)
        i->there[SOURCE_SIDE] = a->type == PIPE_INTEGER && a->number > 0;
    else if (what == ASKED_MEMORY)
        i->large = a->type == PIPE_INTEGER && a->number > PAGE_VALUE_MAX_BYTES;
    else if (what == ASKED_TIME)
        take_time(p, a);
    if (!--p->awaited)
        p->config.done(p->config.arg, p);
}

/* ---- the comparison ---- */

static struct slice payload(const struct page *p, const struct item *i, int side)
{
    return slice_of(p->payloads.data + i->at[side], i->len[side]);
}

/* Payloads of different versions differ in their footers only. */
static bool same_bytes(struct slice a, struct slice b)
{
    return a.len == b.len && a.len > FOOTER_BYTES && memcmp(a.data, b.data, a.len - FOOTER_BYTES) == 0;
}

static bool same_digests(struct page *p, const struct item *i)
{
    struct digest source = {0}, target = {0};
    struct digest_options options = {.stream_counters = p->config.target->xsetid_entries,
                                     .now_ms = clock_unix_ms()};
    struct error why;
    bool same = digest_dump(&source, payload(p, i, SOURCE_SIDE), &options, p->config.scratch, &why) &&
                digest_dump(&target, payload(p, i, TARGET_SIDE), &options, p->config.scratch, &why);
    if (same && !p->config.target->hash_field_ttl) /* it cannot have any */
        buf_clear(&source.times);
    same = same && digest_equal(&source, &target, FIELD_TOLERANCE_MS);
    digest_free(&source);
    digest_free(&target);
    return same;
}

static bool is_equal(struct page *p, const struct item *i)
{
    if (i->refused || i->there[SOURCE_SIDE] != i->there[TARGET_SIDE])
        return false;
    if (!i->there[SOURCE_SIDE])
        return true;
    return comparison_same_expiry(p->config.target, i->expire_ms[TARGET_SIDE], i->expire_ms[SOURCE_SIDE]) &&
           (same_bytes(payload(p, i, SOURCE_SIDE), payload(p, i, TARGET_SIDE)) || same_digests(p, i));
}

static void tell_result(struct page *p, struct item *i)
{
    struct page_result r = {.db = p->target_db, .key = name_of(p, i), .outcome = PAGE_DOUBTFUL};
    if (p->of_target)
        r.outcome = i->refused || !i->there[SOURCE_SIDE] ? PAGE_DOUBTFUL : i->large ? PAGE_LARGE : PAGE_EQUAL;
    else if (i->large)
        r.outcome = PAGE_LARGE;
    else if (is_equal(p, i))
        r.outcome = PAGE_EQUAL;
    if (r.outcome == PAGE_EQUAL && i->len[SOURCE_SIDE])
        r.type = digest_kind_of(*payload(p, i, SOURCE_SIDE).data);
    p->config.result(p->config.arg, &r);
}

void page_tell(struct page *p)
{
    for (size_t i = 0; i < p->count; i++)
        tell_result(p, &p->items[i]);
}

bool page_is_done(const struct page *p)
{
    return p->asked && !p->awaited;
}

uint64_t page_bytes(const struct page *p)
{
    return p->bytes;
}

bool page_saw_moved(const struct page *p)
{
    return p->moved;
}
