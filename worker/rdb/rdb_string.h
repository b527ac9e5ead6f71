/* Packed lengths and string headers, inline for the hot paths of the decoder.
 *
 *   00xxxxxx                        6-bit length
 *   01xxxxxx B                      14-bit length, big-endian
 *   10000000 BBBB                   32-bit length, big-endian
 *   10000001 BBBBBBBB               64-bit length, big-endian
 *   11000000 b | 11000001 bb | 11000010 bbbb     integer of 1, 2, 4 bytes, little-endian
 *   11000011 <packed len> <plain len> bytes      LZF
 */
#ifndef DF2REDIS_WORKER_RDB_RDB_STRING_H
#define DF2REDIS_WORKER_RDB_RDB_STRING_H

#include "worker/rdb/value.h"

/* Longer lengths are invalid: keeps sums of lengths from overflowing. */
#define RDB_LENGTH_MAX (UINT64_C(1) << 46)

static inline uint16_t load_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t load_le64(const uint8_t *p)
{
    return (uint64_t)load_le32(p) | (uint64_t)load_le32(p + 4) << 32;
}

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline double load_double(const uint8_t *p)
{
    uint64_t bits = load_le64(p);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

enum { PACKED_MORE = 0, PACKED_BROKEN = 255 };

/* The packed unsigned at p, with n bytes of input. Returns its size, PACKED_MORE, or PACKED_BROKEN (string encodings,
 * and undefined first bytes). */
static inline unsigned packed_read(const uint8_t *p, size_t n, uint64_t *v)
{
    if (n == 0)
        return PACKED_MORE;
    uint8_t first = p[0];
    if (first < 0x40) {
        *v = first;
        return 1;
    }
    if (first < 0x80) {
        if (n < 2)
            return PACKED_MORE;
        *v = (uint64_t)(first & 0x3f) << 8 | p[1];
        return 2;
    }
    if (first == 0x80) {
        if (n < 5)
            return PACKED_MORE;
        *v = (uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4];
        return 5;
    }
    if (first == 0x81) {
        if (n < 9)
            return PACKED_MORE;
        *v = load_be64(p + 1);
        return 9;
    }
    return PACKED_BROKEN;
}

enum rdb_encoding { RDB_PLAIN, RDB_INT8, RDB_INT16, RDB_INT32, RDB_LZF };

struct rdb_string_head {
    enum rdb_encoding encoding;
    uint32_t head_bytes;   /* before the content */
    uint64_t stored_bytes; /* of the content in the stream */
    uint64_t plain_bytes;  /* decoded; of integers: maximum */
};

/* Reads the head at p. VALUE_MORE: incomplete. */
enum value_status rdb_string_head_slow(const uint8_t *p, size_t n, struct rdb_string_head *h);
static inline enum value_status rdb_string_head(const uint8_t *p, size_t n, struct rdb_string_head *h)
{
    if (n && p[0] < 0xc0) {
        unsigned used = packed_read(p, n, &h->stored_bytes);
        if (used == PACKED_MORE)
            return VALUE_MORE;
        if (used == PACKED_BROKEN || h->stored_bytes > RDB_LENGTH_MAX)
            return VALUE_BROKEN;
        h->encoding = RDB_PLAIN;
        h->head_bytes = used;
        h->plain_bytes = h->stored_bytes;
        return VALUE_OK;
    }
    return rdb_string_head_slow(p, n, h);
}

/* Decodes the complete content of a string after its head. Integers and LZF are appended to *scratch, which must have
 * room for plain_bytes (buf_reserve), so that earlier slices into it stay valid. False: invalid LZF. */
bool rdb_string_decode(const struct rdb_string_head *h, const uint8_t *content, struct buf *scratch,
                       struct slice *out);

/* The maximum of a string in Redis and Dragonfly. */
#define RDB_STRING_MAX_BYTES (UINT64_C(512) << 20)

#endif
