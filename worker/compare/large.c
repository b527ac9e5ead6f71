/* Questions and answers about a large value. */
#include "worker/compare/large.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 1 << 20, TEXT_BYTES = 16 << 20, STEP_CARD = 0, STEP_PAGE, STEP_TIMES, STEP_END };

enum digest_kind large_kind(const char *type)
{
    static const struct {
        const char *name;
        enum digest_kind kind;
    } kinds[] = {{"none", DIGEST_NOTHING}, {"string", DIGEST_STRING}, {"list", DIGEST_LIST},
                 {"set", DIGEST_SET},      {"hash", DIGEST_HASH},     {"zset", DIGEST_ZSET}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].name) == 0)
            return kinds[i].kind;
    return DIGEST_FOREIGN;
}

void large_begin(struct large_walk *w, struct digest *d, enum digest_kind kind, uint64_t bytes,
                 bool field_times, int64_t now_ms)
{
    large_free(w);
    w->kind = kind;
    w->bytes = bytes;
    w->field_times = field_times && kind == DIGEST_HASH;
    w->cursor[0] = '0';
    w->step = kind == DIGEST_NOTHING || kind == DIGEST_FOREIGN ? STEP_END : STEP_CARD;
    digest_pieces_begin(&w->digest, d, kind, now_ms);
}

void large_free(struct large_walk *w)
{
    buf_free(&w->bytes_of_page);
    free(w->elements);
    *w = (struct large_walk){0};
}

bool large_is_exact(const struct large_walk *w)
{
    return w->seen == w->card;
}

enum element_class large_class(const struct large_walk *w)
{
    return w->kind == DIGEST_LIST   ? ELEMENT_LIST
           : w->kind == DIGEST_SET  ? ELEMENT_SET
           : w->kind == DIGEST_HASH ? ELEMENT_HASH
                                    : ELEMENT_ZSET;
}

/* ---- questions ---- */

static const char *command_name(const char *const names[], enum digest_kind kind)
{
    return names[kind - DIGEST_STRING];
}

/* Adds both ends of the next range. */
static size_t ask_range(struct large_walk *w, struct slice *argv, uint64_t length)
{
    argv[2] = slice_of(w->number[0], format_u64(w->number[0], w->seen));
    argv[3] = slice_of(w->number[1], format_u64(w->number[1], w->seen + length - 1));
    return 4;
}

static size_t ask_page(struct large_walk *w, struct slice *argv)
{
    static const char *const names[] = {"GETRANGE", "LRANGE", "SSCAN", "HSCAN", "ZSCAN"};
    argv[0] = slice_str(command_name(names, w->kind));
    if (w->kind == DIGEST_STRING)
        return ask_range(w, argv,
                         TEXT_BYTES); /* large, as Dragonfly copies the whole string for each GETRANGE */
    if (w->kind == DIGEST_LIST)
        return ask_range(w, argv, w->window);
    argv[2] = slice_str(w->cursor);
    argv[3] = slice_str("COUNT");
    argv[4] = slice_of(w->number[0], format_u64(w->number[0], w->window));
    return 5;
}

static size_t ask_times(struct large_walk *w, struct slice *argv)
{
    size_t n = w->count < LARGE_ARGS_MAX - 4 ? w->count : LARGE_ARGS_MAX - 4;
    argv[0] = slice_str("HPEXPIRETIME");
    argv[2] = slice_str("FIELDS");
    argv[3] = slice_of(w->number[0], format_u64(w->number[0], n));
    for (size_t i = 0; i < n; i++)
        argv[4 + i] = w->elements[i].a;
    return 4 + n;
}

size_t large_question(struct large_walk *w, struct slice key, struct slice *argv)
{
    static const char *const cards[] = {"STRLEN", "LLEN", "SCARD", "HLEN", "ZCARD"};
    argv[1] = key;
    if (w->step == STEP_CARD) {
        argv[0] = slice_str(command_name(cards, w->kind));
        return 2;
    }
    if (w->step == STEP_PAGE)
        return ask_page(w, argv);
    if (w->step == STEP_TIMES)
        return ask_times(w, argv);
    digest_pieces_end(&w->digest);
    return 0;
}

/* ---- answers ---- */

static void on_card(struct large_walk *w, uint64_t card)
{
    uint64_t each = card ? w->bytes / card : 0;
    w->card = card;
    w->window = each ? PAGE_BYTES / each : LARGE_PAGE_MAX;
    if (w->window > LARGE_PAGE_MAX)
        w->window = LARGE_PAGE_MAX;
    if (w->window == 0)
        w->window = 1;
    w->step = card ? STEP_PAGE : STEP_END;
}

/* Appending may move the bytes, so the elements are pointed at them afterwards. */
static bool store_elements(struct large_walk *w, const redisReply *list)
{
    size_t width = w->kind == DIGEST_HASH || w->kind == DIGEST_ZSET ? 2 : 1, at = 0;
    if (list->type != REDIS_REPLY_ARRAY || list->elements % width)
        return false;
    w->count = list->elements / width;
    if (w->count > w->capacity)
        w->elements = x_realloc(w->elements, (w->capacity = w->count) * sizeof *w->elements);
    for (size_t i = 0; i < list->elements; i++) {
        if (list->element[i]->type != REDIS_REPLY_STRING)
            return false;
        buf_put(&w->bytes_of_page, list->element[i]->str, list->element[i]->len);
        buf_put_u8(&w->bytes_of_page, 0); /* ends the text for strtod */
    }
    for (size_t i = 0; i < list->elements; i++) {
        struct element *e = &w->elements[i / width];
        struct slice word = slice_of(w->bytes_of_page.data + at, list->element[i]->len);
        at += word.len + 1;
        if (i % width == 0)
            *e = (struct element){.a = word};
        else if (w->kind == DIGEST_HASH)
            e->b = word;
        else
            e->score = strtod((const char *)word.data, NULL);
    }
    w->seen += w->count;
    return true;
}

static bool on_page(struct large_walk *w, const redisReply *reply)
{
    buf_clear(&w->bytes_of_page);
    w->count = 0;
    if (w->kind == DIGEST_STRING) {
        if (reply->type != REDIS_REPLY_STRING)
            return false;
        buf_put(&w->bytes_of_page, reply->str, reply->len);
        w->seen += reply->len;
        w->last = reply->len == 0 || w->seen >= w->card;
        return true;
    }
    if (w->kind == DIGEST_LIST) {
        if (!store_elements(w, reply))
            return false;
        w->last = w->count == 0 || w->seen >= w->card;
        return true;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[0]->len >= sizeof w->cursor)
        return false;
    memcpy(w->cursor, reply->element[0]->str, reply->element[0]->len + 1);
    w->last = strcmp(w->cursor, "0") == 0;
    return store_elements(w, reply->element[1]);
}

/* A server without the command has no times of fields. */
static void on_times(struct large_walk *w, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || w->count > LARGE_ARGS_MAX - 4)
        w->digest.d->times_unknown = true;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements && i < w->count; i++)
        if (reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer > 0)
            w->elements[i].expire_ms = reply->element[i]->integer;
}

static void page_done(struct large_walk *w)
{
    if (w->kind == DIGEST_STRING)
        digest_pieces_text(&w->digest, buf_slice(&w->bytes_of_page));
    else
        digest_pieces_elements(&w->digest, large_class(w), w->elements, w->count);
    w->step = w->last ? STEP_END : STEP_PAGE;
}

bool large_answer(struct large_walk *w, const redisReply *reply, bool *whole)
{
    *whole = false;
    switch (w->step) {
    case STEP_CARD:
        if (reply->type != REDIS_REPLY_INTEGER)
            return false;
        on_card(w, (uint64_t)reply->integer);
        return true;
    case STEP_PAGE:
        if (!on_page(w, reply))
            return false;
        if (w->field_times && w->count) {
            w->step = STEP_TIMES;
            return true;
        }
        break;
    case STEP_TIMES:
        on_times(w, reply);
        break;
    default:
        return false;
    }
    page_done(w);
    *whole = true;
    return true;
}
