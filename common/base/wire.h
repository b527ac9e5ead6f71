/* Numbers and byte strings in messages: little-endian, every length checked.
 *
 * Reading past the end returns zeros and sets `failed`; the caller checks wire_done() once after the last field. */
#ifndef DF2REDIS_COMMON_BASE_WIRE_H
#define DF2REDIS_COMMON_BASE_WIRE_H

#include "common/base/mem.h"

static inline void wire_put_number(struct buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_put_u8(out, (uint8_t)(v >> (8 * i)));
}
static inline void wire_put_u8(struct buf *out, uint8_t v)
{
    buf_put_u8(out, v);
}
static inline void wire_put_u32(struct buf *out, uint32_t v)
{
    wire_put_number(out, v, 4);
}
static inline void wire_put_u64(struct buf *out, uint64_t v)
{
    wire_put_number(out, v, 8);
}
/* Length, then the bytes. */
static inline void wire_put_bytes(struct buf *out, struct slice bytes)
{
    wire_put_u32(out, (uint32_t)bytes.len);
    buf_put(out, bytes.data, bytes.len);
}

struct wire_reader {
    struct slice left;
    bool failed;
};

static inline struct slice wire_take(struct wire_reader *r, size_t bytes)
{
    if (r->failed || bytes > r->left.len) {
        r->failed = true;
        return slice_of("", 0);
    }
    struct slice taken = slice_of(r->left.data, bytes);
    if (bytes > 0)
        r->left = slice_of(r->left.data + bytes, r->left.len - bytes);
    return taken;
}
static inline uint64_t wire_get_number(struct wire_reader *r, unsigned bytes)
{
    struct slice s = wire_take(r, bytes);
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++)
        v |= (uint64_t)s.data[i] << (8 * i);
    return v;
}
static inline uint8_t wire_get_u8(struct wire_reader *r)
{
    return (uint8_t)wire_get_number(r, 1);
}
static inline uint32_t wire_get_u32(struct wire_reader *r)
{
    return (uint32_t)wire_get_number(r, 4);
}
static inline uint64_t wire_get_u64(struct wire_reader *r)
{
    return wire_get_number(r, 8);
}
static inline struct slice wire_get_bytes(struct wire_reader *r)
{
    return wire_take(r, wire_get_u32(r));
}
/* All fields were present, and no bytes are left. */
static inline bool wire_done(const struct wire_reader *r)
{
    return !r->failed && r->left.len == 0;
}

#endif
