/* Packed lengths and RDB strings: see rdb_string.h for the bytes. */
#include "worker/rdb/rdb_string.h"

#if __has_include(<liblzf/lzf.h>)
#include <liblzf/lzf.h>
#else
#include <lzf.h>
#endif
#include <sysexits.h>

enum value_status rdb_string_head_slow(const uint8_t *p, size_t n, struct rdb_string_head *h)
{
    static const struct {
        enum rdb_encoding encoding;
        uint8_t bytes, text_bytes;
    } integers[] = {{RDB_INT8, 1, 4}, {RDB_INT16, 2, 6}, {RDB_INT32, 4, 11}};

    if (n == 0)
        return VALUE_MORE;
    unsigned kind = p[0] & 0x3fu;
    if (p[0] < 0xc0 || kind > 3)
        return VALUE_BROKEN;
    if (kind < 3) {
        h->encoding = integers[kind].encoding;
        h->head_bytes = 1;
        h->stored_bytes = integers[kind].bytes;
        h->plain_bytes = integers[kind].text_bytes;
        return VALUE_OK;
    }
    unsigned first = packed_read(p + 1, n - 1, &h->stored_bytes);
    if (first == PACKED_BROKEN)
        return VALUE_BROKEN;
    if (first == PACKED_MORE)
        return VALUE_MORE;
    unsigned second = packed_read(p + 1 + first, n - 1 - first, &h->plain_bytes);
    if (second == PACKED_BROKEN)
        return VALUE_BROKEN;
    if (second == PACKED_MORE)
        return VALUE_MORE;
    h->encoding = RDB_LZF;
    h->head_bytes = 1 + first + second;
    if (h->stored_bytes > RDB_STRING_MAX_BYTES || h->plain_bytes > RDB_STRING_MAX_BYTES)
        return VALUE_BROKEN;
    /* Three bytes of LZF decode to at most 264: refuses before memory is allocated. */
    return h->plain_bytes > h->stored_bytes * 264 ? VALUE_BROKEN : VALUE_OK;
}

static int32_t integer_of(const struct rdb_string_head *h, const uint8_t *content)
{
    if (h->encoding == RDB_INT8)
        return (int8_t)content[0];
    if (h->encoding == RDB_INT16)
        return (int16_t)load_le16(content);
    return (int32_t)load_le32(content);
}

bool rdb_string_decode(const struct rdb_string_head *h, const uint8_t *content, struct buf *scratch,
                       struct slice *out)
{
    if (h->encoding == RDB_PLAIN) {
        *out = slice_of(content, (size_t)h->stored_bytes);
        return true;
    }
    if (h->encoding == RDB_LZF) {
        size_t plain = (size_t)h->plain_bytes;
        uint8_t *to = buf_reserve(scratch, plain);
        if (h->stored_bytes > UINT32_MAX || plain == 0 ||
            lzf_decompress(content, (unsigned)h->stored_bytes, to, (unsigned)plain) != plain)
            return false;
        scratch->len += plain;
        *out = slice_of(to, plain);
        return true;
    }
    uint8_t *to = buf_reserve(scratch, 24);
    size_t len = format_i64((char *)to, integer_of(h, content));
    scratch->len += len;
    *out = slice_of(to, len);
    return true;
}

enum value_status rdb_string_read(struct slice input, uint64_t max_bytes, struct buf *scratch,
                                  struct slice *out, size_t *consumed, size_t *wanted, struct error *error)
{
    struct rdb_string_head h;
    enum value_status status = rdb_string_head(input.data, input.len, &h);
    if (status == VALUE_MORE) {
        *wanted = input.len + 1;
        return VALUE_MORE;
    }
    if (status == VALUE_BROKEN) {
        error_fatal(error, EX_DATAERR, "invalid RDB string: first byte 0x%02x", input.data[0]);
        return VALUE_BROKEN;
    }
    if (h.plain_bytes > max_bytes && h.encoding != RDB_INT8 && h.encoding != RDB_INT16 &&
        h.encoding != RDB_INT32) {
        error_fatal(error, EX_DATAERR, "a string of %llu bytes, at most %llu are allowed",
                    (unsigned long long)h.plain_bytes, (unsigned long long)max_bytes);
        return VALUE_BROKEN;
    }
    uint64_t whole = h.head_bytes + h.stored_bytes;
    if (whole > input.len) {
        *wanted = (size_t)whole;
        return VALUE_MORE;
    }
    if (!rdb_string_decode(&h, input.data + h.head_bytes, scratch, out)) {
        error_fatal(error, EX_DATAERR, "an LZF string of %llu bytes does not decompress to its %llu bytes",
                    (unsigned long long)h.stored_bytes, (unsigned long long)h.plain_bytes);
        return VALUE_BROKEN;
    }
    *consumed = (size_t)whole;
    return VALUE_OK;
}

enum value_status rdb_length_read(struct slice input, uint64_t *out, size_t *consumed, struct error *error)
{
    unsigned used = packed_read(input.data, input.len, out);
    if (used == PACKED_MORE)
        return VALUE_MORE;
    if (used == PACKED_BROKEN) {
        error_fatal(error, EX_DATAERR, "invalid packed length: first byte 0x%02x", input.data[0]);
        return VALUE_BROKEN;
    }
    *consumed = used;
    return VALUE_OK;
}

void rdb_length_write(struct buf *out, uint64_t v)
{
    uint8_t b[9];
    size_t n;
    if (v < 64) {
        b[0] = (uint8_t)v;
        n = 1;
    } else if (v < 16384) {
        b[0] = (uint8_t)(0x40 | v >> 8);
        b[1] = (uint8_t)v;
        n = 2;
    } else {
        n = v <= UINT32_MAX ? 5 : 9;
        b[0] = n == 5 ? 0x80 : 0x81;
        for (size_t i = 1; i < n; i++)
            b[i] = (uint8_t)(v >> 8 * (n - 1 - i));
    }
    buf_put(out, b, n);
}
