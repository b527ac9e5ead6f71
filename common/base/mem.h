/* Checked memory, and the two containers used everywhere: slice (borrowed) and buf (owned).
 *
 * x_* never return NULL: without memory the process prints an error and aborts (a restarted worker continues
 * from the cursor).
 *
 * This folder knows nothing about Redis. Every file in it may call mem.c and error.c; error.c calls printable.c;
 * there are no other calls within the folder. */
#ifndef DF2REDIS_COMMON_BASE_MEM_H
#define DF2REDIS_COMMON_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void *x_malloc(size_t bytes);
void *x_calloc(size_t count, size_t bytes);
void *x_realloc(void *p, size_t bytes);
char *x_strdup(const char *s);
char *x_strndup(const char *s, size_t bytes);

/* Borrowed bytes; not NUL-terminated, may contain any byte. */
struct slice {
    const uint8_t *data;
    size_t len; /* bytes */
};

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){data, len};
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){(const uint8_t *)s, strlen(s)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_begins(struct slice a, const char *with)
{
    size_t n = strlen(with);
    return a.len >= n && memcmp(a.data, with, n) == 0;
}

/* ASCII case-insensitive comparison with a literal. */
bool slice_is(struct slice a, const char *word);

/* The slice as a decimal integer; false for any other text, and when the number does not fit. */
bool slice_to_i64(struct slice a, int64_t *out);
bool slice_to_u64(struct slice a, uint64_t *out);

/* Owned, growing bytes. Zero-initialise; buf_free leaves it empty and usable again. */
struct buf {
    uint8_t *data;
    size_t len; /* bytes in use */
    size_t cap;
};

void buf_free(struct buf *b);
void buf_clear(struct buf *b);
/* Makes room for `extra` more bytes and returns their address. The caller raises buf.len. */
uint8_t *buf_reserve_slow(struct buf *b, size_t extra);
static inline uint8_t *buf_reserve(struct buf *b, size_t extra)
{
    return b->cap - b->len > extra ? b->data + b->len : buf_reserve_slow(b, extra); /* never NULL */
}
static inline void buf_put(struct buf *b, const void *data, size_t len)
{
    if (len) {
        memcpy(buf_reserve(b, len), data, len);
        b->len += len;
    }
}
static inline void buf_put_u8(struct buf *b, uint8_t byte)
{
    *buf_reserve(b, 1) = byte;
    b->len++;
}
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data, b->len};
}

/* Decimal text of v into out (at least 21 bytes); returns its length; no terminator. */
size_t format_u64(char *out, uint64_t v);
size_t format_i64(char *out, int64_t v);

#endif
