/* Reading values element by element. */
#include "worker/rdb/value_reader.h"

#include <math.h>
#include <stdlib.h>

#include "worker/rdb/value_group.h"
#include "worker/rdb/value_walk.h"

enum { STAGE_FRESH, STAGE_ELEMENTS, STAGE_TAIL, STAGE_DONE };
enum { SCRATCH_MIN_BYTES = 16 << 10, SCRATCH_KEEP_BYTES = 4 << 20 };

/* Epoch of the expiries of fields and members, Unix time in seconds. */
#define MEMBER_EXPIRY_BASE_S INT64_C(1675209600)

void value_scratch_free(struct value_scratch *s)
{
    buf_free(&s->bytes);
    free(s->elements);
    *s = (struct value_scratch){0};
}

/* One element of a counted layout: its strings, and its score. */
struct layout {
    uint8_t strings;
    bool expiry; /* the last string is an expiry */
    enum { NO_SCORE, BINARY_SCORE, TEXT_SCORE } score;
};

static bool layout_of(uint8_t type, struct layout *out)
{
    switch (type) {
    case RDB_LIST:
    case RDB_SET:
        *out = (struct layout){.strings = 1};
        return true;
    case RDB_HASH:
        *out = (struct layout){.strings = 2};
        return true;
    case RDB_ZSET:
        *out = (struct layout){.strings = 1, .score = TEXT_SCORE};
        return true;
    case RDB_ZSET_2:
        *out = (struct layout){.strings = 1, .score = BINARY_SCORE};
        return true;
    case RDB_HASH_WITH_EXPIRY:
        *out = (struct layout){.strings = 3, .expiry = true};
        return true;
    case RDB_SET_WITH_EXPIRY:
        *out = (struct layout){.strings = 2, .expiry = true};
        return true;
    default:
        return false;
    }
}

static bool expiry_of(struct slice text, int64_t *expire_ms)
{
    int64_t seconds;
    if (!slice_to_i64(text, &seconds))
        return false;
    if (seconds == -1) {
        *expire_ms = 0;
        return true;
    }
    return !__builtin_add_overflow(seconds, MEMBER_EXPIRY_BASE_S, &seconds) &&
           !__builtin_mul_overflow(seconds, INT64_C(1000), expire_ms);
}

/* The score at p; *bytes: its size. */
static enum group_step score_at(struct group *g, int kind, const uint8_t *p, size_t there, double *score,
                                size_t *bytes)
{
    char text[256];
    *bytes = kind == BINARY_SCORE ? 8 : 1;
    if (there >= 1 && kind == TEXT_SCORE && p[0] < 253)
        *bytes += p[0];
    if (there < *bytes) {
        g->wanted = g->input.len + *bytes - there;
        return GROUP_MORE;
    }
    if (kind == BINARY_SCORE) {
        *score = load_double(p);
    } else if (p[0] >= 253) {
        *score = p[0] == 254 ? (double)INFINITY : p[0] == 255 ? -(double)INFINITY : (double)NAN;
    } else {
        memcpy(text, p + 1, p[0]);
        text[p[0]] = '\0';
        char *end;
        *score = strtod(text, &end);
        if (p[0] == 0 || end != text + p[0])
            return group_broken(g, "invalid score");
    }
    return isnan(*score) ? group_broken(g, "a score that is not a number (NaN)") : GROUP_ON;
}

static enum group_step counted_element(struct group *g, const struct layout *layout)
{
    struct rdb_string_head heads[3];
    const uint8_t *content[3], *p = g->input.data + g->consumed;
    size_t there = g->input.len - g->consumed, bytes, plain, score_bytes = 0;
    struct slice text[3];
    double score = 0;

    enum group_step step = group_strings(g, p, there, layout->strings, heads, content, &bytes, &plain);
    if (step == GROUP_ON && layout->score != NO_SCORE)
        step = score_at(g, (int)layout->score, p + bytes, there - bytes, &score, &score_bytes);
    if (step != GROUP_ON)
        return step;
    if (plain && !group_room(g, plain))
        return GROUP_FULL;
    for (unsigned i = 0; i < layout->strings; i++)
        if (!rdb_string_decode(&heads[i], content[i], &g->scratch->bytes, &text[i]))
            return group_broken(g, "broken LZF");

    struct element *e = group_slot(g);
    *e = (struct element){.a = text[0], .score = score};
    if (g->class == ELEMENT_HASH)
        e->b = text[1];
    if (layout->expiry && !expiry_of(text[layout->strings - 1], &e->expire_ms))
        return group_broken(g, "invalid expiry");
    g->count++;
    g->consumed += bytes + score_bytes;
    g->reader->remaining--;
    return GROUP_ON;
}

static enum group_step stream_node(struct group *g)
{
    struct rdb_string_head heads[2];
    const uint8_t *content[2];
    size_t bytes, plain;
    struct element e = {0};

    enum group_step step = group_strings(g, g->input.data + g->consumed, g->input.len - g->consumed, 2, heads,
                                         content, &bytes, &plain);
    if (step != GROUP_ON)
        return step;
    if (plain && !group_room(g, plain))
        return GROUP_FULL;
    if (!rdb_string_decode(&heads[0], content[0], &g->scratch->bytes, &e.a) ||
        !rdb_string_decode(&heads[1], content[1], &g->scratch->bytes, &e.b))
        return group_broken(g, "broken LZF");
    if (e.a.len != 16)
        return group_broken(g, "invalid id of a node");
    *group_slot(g) = e;
    g->count++;
    g->consumed += bytes;
    g->reader->remaining--;
    return GROUP_ON;
}

static enum group_step stream_tail(struct group *g)
{
    struct value_skip skip = {0};
    size_t bytes;
    enum value_status status =
        value_walk(&skip, walk_of_stream_tail(g->type),
                   slice_of(g->input.data + g->consumed, g->input.len - g->consumed), &bytes, g->error);
    if (status == VALUE_MORE) {
        g->wanted = g->consumed + skip.wanted;
        return GROUP_MORE;
    }
    if (status == VALUE_BROKEN)
        return GROUP_BROKEN;
    *group_slot(g) = (struct element){.a = slice_of(g->input.data + g->consumed, bytes)};
    g->class = ELEMENT_STREAM_TAIL;
    g->count = 1;
    g->consumed += bytes;
    g->reader->stage = STAGE_DONE;
    return GROUP_ON;
}

bool value_type_is_packed(uint8_t type)
{
    return (type >= RDB_HASH_ZIPMAP && type <= RDB_HASH_ZIPLIST) || type == RDB_HASH_LISTPACK ||
           type == RDB_ZSET_LISTPACK || type == RDB_SET_LISTPACK;
}

bool value_type_has_elements(uint8_t type)
{
    struct layout layout;
    return layout_of(type, &layout) || rdb_type_is_stream(type) || value_type_is_packed(type) ||
           type == RDB_LIST_QUICKLIST || type == RDB_LIST_QUICKLIST_2;
}

static enum element_class class_of(uint8_t type)
{
    switch (type) {
    case RDB_SET:
    case RDB_SET_INTSET:
    case RDB_SET_LISTPACK:
    case RDB_SET_WITH_EXPIRY:
        return ELEMENT_SET;
    case RDB_HASH:
    case RDB_HASH_ZIPMAP:
    case RDB_HASH_ZIPLIST:
    case RDB_HASH_LISTPACK:
    case RDB_HASH_WITH_EXPIRY:
        return ELEMENT_HASH;
    case RDB_ZSET:
    case RDB_ZSET_2:
    case RDB_ZSET_ZIPLIST:
    case RDB_ZSET_LISTPACK:
        return ELEMENT_ZSET;
    default:
        return rdb_type_is_stream(type) ? ELEMENT_STREAM_NODE : ELEMENT_LIST;
    }
}

static enum group_step begin(struct group *g)
{
    struct value_reader *r = g->reader;
    if (value_type_is_packed(g->type)) {
        r->remaining = 1;
    } else {
        unsigned used = packed_read(g->input.data, g->input.len, &r->total);
        if (used == PACKED_MORE) {
            g->wanted = g->input.len + 1;
            return GROUP_MORE;
        }
        if (used == PACKED_BROKEN || r->total > RDB_LENGTH_MAX)
            return group_broken(g, "invalid element count");
        r->remaining = r->total;
        g->consumed = used;
    }
    r->stage = STAGE_ELEMENTS;
    return GROUP_ON;
}

/* The next element or node. */
static enum group_step read_one(struct group *g, const struct layout *layout)
{
    if (layout->strings)
        return counted_element(g, layout);
    if (rdb_type_is_stream(g->type))
        return stream_node(g);
    if (value_type_is_packed(g->type))
        return group_packed_value(g);
    return group_list_node(g);
}

static enum group_step read_group(struct group *g)
{
    struct value_reader *r = g->reader;
    struct layout layout = {0};
    enum group_step step = GROUP_ON;

    layout_of(g->type, &layout);
    if (r->stage == STAGE_FRESH)
        step = begin(g);
    while (step == GROUP_ON && r->stage == STAGE_ELEMENTS && r->remaining && !group_is_full(g))
        step = read_one(g, &layout);
    if (step == GROUP_ON && r->stage == STAGE_ELEMENTS && r->remaining == 0)
        r->stage = rdb_type_is_stream(g->type) ? STAGE_TAIL : STAGE_DONE;
    if (step == GROUP_ON && r->stage == STAGE_TAIL && g->count == 0)
        step = stream_tail(g);
    return step;
}

enum value_status value_reader_next(struct value_reader *r, uint8_t type, struct slice input,
                                    size_t max_elements, size_t max_bytes, struct value_scratch *scratch,
                                    enum element_class *class, size_t *count, size_t *consumed,
                                    size_t *wanted, struct error *error)
{
    struct group g = {.reader = r,
                      .type = type,
                      .input = input,
                      .max_elements = max_elements ? max_elements : 1,
                      .max_bytes = max_bytes,
                      .scratch = scratch,
                      .class = class_of(type),
                      .error = error};
    if (!value_type_has_elements(type)) {
        group_broken(&g, "a type without elements");
        return VALUE_BROKEN;
    }
    if (scratch->bytes.cap > SCRATCH_KEEP_BYTES)
        buf_free(&scratch->bytes);
    buf_clear(&scratch->bytes);
    buf_reserve(&scratch->bytes, SCRATCH_MIN_BYTES);

    enum group_step step = read_group(&g);
    *class = g.class;
    *count = g.count;
    *consumed = g.consumed;
    *wanted = g.wanted;
    if (step == GROUP_BROKEN)
        return VALUE_BROKEN;
    return step == GROUP_MORE && g.count == 0 ? VALUE_MORE : VALUE_OK;
}

bool value_reader_done(const struct value_reader *r)
{
    return r->stage == STAGE_DONE;
}

bool value_reader_at_tail(const struct value_reader *r)
{
    return r->stage == STAGE_TAIL;
}

bool value_reader_valid(const struct value_reader *r, uint8_t type)
{
    if (!value_type_has_elements(type) || r->stage > STAGE_DONE || r->total > RDB_LENGTH_MAX ||
        r->remaining > RDB_LENGTH_MAX || (r->stage == STAGE_TAIL && !rdb_type_is_stream(type)))
        return false;
    return (r->stage == STAGE_ELEMENTS) == (r->remaining > 0);
}
