/* Values in one form: items of length-prefixed parts, sorted where order means nothing. */
#include "tests/support/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void state_value_clear(struct state_value *v)
{
    buf_clear(&v->bytes);
    v->count = 0;
    v->expire_ms = 0;
    v->partial = false;
    snprintf(v->type, sizeof v->type, "none");
}

void state_value_free(struct state_value *v)
{
    buf_free(&v->bytes);
    free(v->items);
    *v = (struct state_value){0};
}

void state_item_add(struct state_value *v, size_t parts, const struct slice *part)
{
    if (v->count == v->capacity) {
        v->capacity = v->capacity ? v->capacity * 2 : 16;
        v->items = x_realloc(v->items, v->capacity * sizeof *v->items);
    }
    struct state_item *item = &v->items[v->count++];
    *item = (struct state_item){.at = v->bytes.len};
    for (size_t i = 0; i < parts; i++) {
        uint32_t len = (uint32_t)part[i].len;
        buf_put(&v->bytes, &len, sizeof len);
        buf_put(&v->bytes, part[i].data, part[i].len);
    }
    item->len = v->bytes.len - item->at;
}

void state_item_score(struct state_value *v, struct slice member, double score)
{
    char text[40];
    if (isinf(score))
        snprintf(text, sizeof text, "%s", score > 0 ? "inf" : "-inf");
    else
        snprintf(text, sizeof text, "%.17g", score == 0 ? 0 : score); /* -0 is 0 */
    struct slice parts[2] = {member, slice_str(text)};
    state_item_add(v, 2, parts);
}

enum { HLL_REGISTERS = 16384, HLL_HEADER = 16, HLL_DENSE_BYTES = HLL_REGISTERS * 6 / 8 };

/* Dense: 6 bits each, lowest bits first. */
static bool hll_dense(struct slice body, uint8_t *registers)
{
    if (body.len < HLL_DENSE_BYTES)
        return false;
    for (size_t i = 0; i < HLL_REGISTERS; i++) {
        size_t bit = i * 6, byte = bit / 8;
        unsigned two = body.data[byte] | (unsigned)(byte + 1 < body.len ? body.data[byte + 1] : 0) << 8;
        registers[i] = (uint8_t)(two >> (bit % 8) & 63);
    }
    return true;
}

/* Sparse: 00xxxxxx x+1 zeros; 01xxxxxx yyyyyyyy xy+1 zeros; 1vvvvvxx x+1 registers of v+1. */
static bool hll_sparse(struct slice body, uint8_t *registers)
{
    size_t at = 0;
    for (size_t i = 0; i < body.len; i++) {
        uint8_t op = body.data[i];
        size_t run = (op & 63u) + 1;
        uint8_t value = 0;
        if (op & 0x80) {
            run = (op & 3u) + 1;
            value = (uint8_t)((op >> 2 & 31) + 1);
        } else if (op & 0x40) {
            if (++i == body.len)
                return false;
            run = ((size_t)(op & 63) << 8 | body.data[i]) + 1;
        }
        if (run > HLL_REGISTERS - at)
            return false;
        memset(registers + at, value, run);
        at += run;
    }
    return at == HLL_REGISTERS;
}

void state_item_string(struct state_value *v, struct slice bytes)
{
    uint8_t registers[HLL_REGISTERS];
    if (bytes.len > HLL_HEADER && memcmp(bytes.data, "HYLL", 4) == 0) {
        struct slice body = slice_of(bytes.data + HLL_HEADER, bytes.len - HLL_HEADER);
        if (bytes.data[4] == 0 ? hll_dense(body, registers) : hll_sparse(body, registers))
            bytes = slice_of(registers, sizeof registers);
    }
    state_item_add(v, 1, &bytes);
}

static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c ? c : (a_len > b_len) - (a_len < b_len);
}

static int compare_items(const void *a, const void *b, void *bytes)
{
    const struct state_item *x = a, *y = b;
    const uint8_t *base = bytes;
    return compare_bytes(base + x->at, x->len, base + y->at, y->len);
}

void state_value_sort(struct state_value *v, bool drop_twins)
{
    if (v->count < 2)
        return;
    qsort_r(v->items, v->count, sizeof *v->items, compare_items, v->bytes.data);
    size_t kept = 1;
    for (size_t i = 1; drop_twins && i < v->count; i++)
        if (compare_items(&v->items[kept - 1], &v->items[i], v->bytes.data) != 0)
            v->items[kept++] = v->items[i];
    v->count = drop_twins ? kept : v->count;
}

/* An item for a line of text: its parts, shortened. */
static void print_item(struct buf *out, const struct state_value *v, size_t index)
{
    if (index >= v->count) {
        buf_printf(out, "nothing");
        return;
    }
    const uint8_t *p = v->bytes.data + v->items[index].at, *end = p + v->items[index].len;
    for (int part = 0; p < end && part < 12; part++) {
        uint32_t len;
        memcpy(&len, p, sizeof len);
        p += sizeof len;
        buf_printf(out, "%s'", part ? " " : "");
        for (uint32_t i = 0; i < len && i < 48; i++)
            buf_printf(out, p[i] >= 32 && p[i] < 127 ? "%c" : "\\x%02x", p[i]);
        if (len > 48)
            buf_printf(out, "…(%u bytes)", len);
        buf_printf(out, "'");
        p += len;
    }
}

static bool near(int64_t a, int64_t b, int64_t tolerance)
{
    return (a == 0) == (b == 0) && llabs(a - b) <= tolerance;
}

const char *state_value_difference(const struct state_value *expected, const struct state_value *actual,
                                   int64_t ttl_tolerance_ms, int64_t field_ttl_tolerance_ms)
{
    static struct buf text;
    buf_clear(&text);
    size_t i = 0;
    while (i < expected->count && i < actual->count && !expected->partial && !actual->partial &&
           compare_bytes(expected->bytes.data + expected->items[i].at, expected->items[i].len,
                         actual->bytes.data + actual->items[i].at, actual->items[i].len) == 0 &&
           near(expected->items[i].expire_ms, actual->items[i].expire_ms, field_ttl_tolerance_ms))
        i++;
    bool unread = expected->partial || actual->partial;
    if (strcmp(expected->type, actual->type) != 0) {
        buf_printf(&text, "is %s, expected %s", actual->type, expected->type);
    } else if (!unread && (i < expected->count || i < actual->count)) {
        buf_printf(&text, "%s of %zu items, expected %zu; item %zu is ", actual->type, actual->count,
                   expected->count, i);
        print_item(&text, actual, i);
        buf_printf(&text, ", expected ");
        print_item(&text, expected, i);
        if (i < expected->count && i < actual->count &&
            expected->items[i].expire_ms != actual->items[i].expire_ms)
            buf_printf(&text, " (field expires at %lld, expected %lld)",
                       (long long)actual->items[i].expire_ms, (long long)expected->items[i].expire_ms);
    } else if (!near(expected->expire_ms, actual->expire_ms, ttl_tolerance_ms)) {
        buf_printf(&text, "%s expires at %lld, expected %lld", actual->type, (long long)actual->expire_ms,
                   (long long)expected->expire_ms);
    }
    buf_put_u8(&text, 0);
    return (const char *)text.data;
}

/* A member, and its score as a number. */
static struct slice scored_item(const struct state_value *v, size_t index, double *score)
{
    const uint8_t *p = v->bytes.data + v->items[index].at;
    uint32_t member_len, score_len;
    char text[40] = "";
    memcpy(&member_len, p, sizeof member_len);
    memcpy(&score_len, p + sizeof member_len + member_len, sizeof score_len);
    memcpy(text, p + 2 * sizeof member_len + member_len,
           score_len < sizeof text ? score_len : sizeof text - 1);
    *score = strtod(text, NULL);
    return slice_of(p + sizeof member_len, member_len);
}

bool state_value_same_but_rounding(const struct state_value *expected, const struct state_value *actual)
{
    if (strcmp(expected->type, "zset") != 0 || strcmp(actual->type, "zset") != 0 ||
        expected->count != actual->count || expected->expire_ms != actual->expire_ms)
        return false;
    for (size_t i = 0; i < expected->count; i++) {
        double a, b;
        struct slice x = scored_item(expected, i, &a), y = scored_item(actual, i, &b);
        if (!slice_eq(x, y) || fabs(a - b) > 1e-12 * fmax(1, fabs(a)))
            return false;
    }
    return true;
}
