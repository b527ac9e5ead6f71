/* The digest of JSON text: 1, 1.0 and 1e0 are the same number, "\u0041" and "A" the same string, and the order of
 * members does not count. Not a library's parser, as those convert integers to double: this one keeps every digit. */
#include <stdlib.h>

#include "worker/compare/digest.h"
#include "worker/compare/digest_hash.h"

enum { DEPTH_MAX = 1000, NUMBER_MAX = 350, EXACT_BITS = 53 };

struct json {
    const uint8_t *p, *end;
    unsigned depth;
    struct buf text;
};

static bool read_value(struct json *j, struct hasher *h);

static void skip_blanks(struct json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
        j->p++;
}

static bool match_word(struct json *j, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, text, n) != 0)
        return false;
    j->p += n;
    return true;
}

static bool read_hex4(struct json *j, uint32_t *out)
{
    *out = 0;
    if (j->end - j->p < 4)
        return false;
    for (int i = 0; i < 4; i++, j->p++) {
        uint8_t c = *j->p;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_put_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_put_u8(out, (uint8_t)(0xc0 | c >> 6));
        buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_put_u8(out, (uint8_t)(0xe0 | c >> 12));
        buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_put_u8(out, (uint8_t)(0xf0 | c >> 18));
        buf_put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

static bool read_escape(struct json *j)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t c, low;
    if (j->p == j->end)
        return false;
    uint8_t kind = *j->p++;
    const char *at = kind ? strchr(from, kind) : NULL;
    if (at) {
        buf_put_u8(&j->text, (uint8_t)to[at - from]);
        return true;
    }
    if (kind != 'u' || !read_hex4(j, &c))
        return false;
    if (c >= 0xd800 && c < 0xdc00 && match_word(j, "\\u")) {
        if (!read_hex4(j, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff) {
            put_utf8(&j->text, c);
            c = low;
        } else {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    put_utf8(&j->text, c);
    return true;
}

/* After the opening quote; decoded into j->text. */
static bool read_string(struct json *j)
{
    buf_clear(&j->text);
    for (;;) {
        const uint8_t *from = j->p;
        while (j->p < j->end && *j->p != '"' && *j->p != '\\')
            j->p++;
        buf_put(&j->text, from, (size_t)(j->p - from));
        if (j->p == j->end)
            return false;
        if (*j->p++ == '"')
            return true;
        if (!read_escape(j))
            return false;
    }
}

static bool read_number(struct json *j, struct hasher *h)
{
    char text[NUMBER_MAX + 1], *end;
    size_t n = 0;
    bool whole = true;
    int64_t integer;
    while (j->p < j->end && n < NUMBER_MAX && *j->p && strchr("+-0123456789.eE", *j->p)) {
        whole = whole && *j->p != '.' && *j->p != 'e' && *j->p != 'E';
        text[n++] = (char)*j->p++;
    }
    text[n] = '\0';
    double d = strtod(text, &end);
    if (n == 0 || *end)
        return false;
    bool exact = slice_to_i64(slice_of(text, n), &integer);
    if (whole && (!exact || integer > INT64_C(1) << EXACT_BITS || integer < -(INT64_C(1) << EXACT_BITS))) {
        hash_u64(h, 'i');
        hash_bytes(h, slice_of(text, n));
        return true;
    }
    hash_u64(h, 'd');
    hash_double(h, d);
    return true;
}

/* After the opening bracket, up to `close`. Elements in order, members in any order. */
static bool read_members(struct json *j, struct hasher *h, uint8_t close)
{
    uint64_t sum[2] = {0}, n = 0;
    hash_u64(h, close);
    skip_blanks(j);
    if (j->p < j->end && *j->p == close) {
        j->p++;
        return true;
    }
    for (;;) {
        struct hasher own = hash_begin(close);
        skip_blanks(j);
        if (close == '}') {
            if (!match_word(j, "\"") || !read_string(j))
                return false;
            hash_bytes(&own, buf_slice(&j->text));
            skip_blanks(j);
            if (!match_word(j, ":"))
                return false;
        }
        if (!read_value(j, close == '}' ? &own : h))
            return false;
        hash_add(sum, &own);
        n++;
        skip_blanks(j);
        if (match_word(j, ","))
            continue;
        if (j->p == j->end || *j->p++ != close)
            return false;
        hash_u64(h, n);
        if (close == '}') {
            hash_u64(h, sum[0]);
            hash_u64(h, sum[1]);
        }
        return true;
    }
}

static bool read_value(struct json *j, struct hasher *h)
{
    skip_blanks(j);
    if (j->p == j->end || ++j->depth > DEPTH_MAX)
        return false;
    bool ok;
    if (*j->p == '{' || *j->p == '[') {
        uint8_t close = *j->p++ == '{' ? '}' : ']';
        ok = read_members(j, h, close);
    } else if (match_word(j, "\"")) {
        ok = read_string(j);
        hash_u64(h, '"');
        hash_bytes(h, buf_slice(&j->text));
    } else if (match_word(j, "true") || match_word(j, "false") || match_word(j, "null")) {
        hash_u64(h, j->p[-1] == 'l' ? 'n' : j->p[-2] == 's' ? 'f' : 't');
        ok = true;
    } else {
        ok = read_number(j, h);
    }
    j->depth--;
    return ok;
}

bool digest_json(struct digest *d, struct slice text, struct error *error)
{
    struct json j = {.p = text.data, .end = text.data + text.len};
    struct hasher h = hash_begin(DIGEST_JSON);
    digest_free(d);
    d->kind = DIGEST_JSON;
    d->type = 30;
    bool ok = read_value(&j, &h);
    skip_blanks(&j);
    buf_free(&j.text);
    if (!ok || j.p != j.end) {
        d->kind = DIGEST_FOREIGN;
        return error_set(error, ERROR_DIVERGENCE, "invalid JSON text");
    }
    hash_add(d->hash, &h);
    return true;
}
