/* Checked memory, slices and growing buffers. */
#include "common/base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static void out_of_memory(void)
{
    static const char text[] = "df2redis: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    abort();
}

void *x_malloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *x_calloc(size_t count, size_t bytes)
{
    void *p = calloc(count ? count : 1, bytes ? bytes : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *x_realloc(void *p, size_t bytes)
{
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        out_of_memory();
    return q;
}

char *x_strdup(const char *s)
{
    return x_strndup(s, strlen(s));
}

char *x_strndup(const char *s, size_t bytes)
{
    char *p = x_malloc(bytes + 1);
    memcpy(p, s, bytes);
    p[bytes] = '\0';
    return p;
}

bool slice_is(struct slice a, const char *word)
{
    size_t n = strlen(word);
    return a.len == n && (n == 0 || strncasecmp((const char *)a.data, word, n) == 0);
}

bool slice_to_u64(struct slice a, uint64_t *out)
{
    uint64_t v = 0;
    if (a.len == 0 || a.len > 20)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        uint8_t digit = (uint8_t)(a.data[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(v, UINT64_C(10), &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *out = v;
    return true;
}

bool slice_to_i64(struct slice a, int64_t *out)
{
    bool negative = a.len > 0 && a.data[0] == '-';
    uint64_t v;
    if (a.len == 0 || !slice_to_u64(slice_of(a.data + negative, a.len - negative), &v))
        return false;
    if (v > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

uint8_t *buf_reserve_slow(struct buf *b, size_t extra)
{
    size_t need, cap = b->cap ? b->cap : 256;
    if (__builtin_add_overflow(b->len, extra, &need))
        out_of_memory();
    while (cap < need)
        if (__builtin_mul_overflow(cap, (size_t)2, &cap))
            out_of_memory();
    if (cap != b->cap) {
        b->data = x_realloc(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return;
    uint8_t *at = buf_reserve(b, (size_t)n + 1);
    va_start(args, format);
    vsnprintf((char *)at, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

size_t format_u64(char *out, uint64_t v)
{
    char tmp[20];
    size_t n = 0;
    do {
        tmp[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    for (size_t i = 0; i < n; i++)
        out[i] = tmp[n - 1 - i];
    return n;
}

size_t format_i64(char *out, int64_t v)
{
    if (v >= 0)
        return format_u64(out, (uint64_t)v);
    out[0] = '-';
    return 1 + format_u64(out + 1, 0 - (uint64_t)v);
}
