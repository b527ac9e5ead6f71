/* One item of a ziplist, Redis's older packed list.
 *
 * prevlen: 1 byte below 254, or 254 and 4 bytes; 255 there is the end. Then:
 *   00xxxxxx bytes            string, 6-bit length       11000000 bb           16-bit signed
 *   01xxxxxx b bytes          string, 14-bit length      11010000 bbbb         32-bit
 *   10------ LLLL bytes       string, 32-bit length      11100000 bbbbbbbb     64-bit
 *   1111xxxx                  1 … 13 stands for 0 … 12   11110000 bbb          24-bit
 *                                                        11111110 b            8-bit
 * String lengths are big-endian, integers little-endian. */
#include "worker/rdb/packed.h"
#include "worker/rdb/rdb_string.h"

static int text(struct slice blob, size_t at, size_t bytes, size_t *position, struct packed_item *out)
{
    if (at >= blob.len || bytes >= blob.len - at) /* room for the end byte, too */
        return -1;
    out->text = slice_of(blob.data + at, bytes);
    *position = at + bytes;
    return 1;
}

static int number(struct slice blob, size_t at, unsigned bytes, size_t *position, struct packed_item *out)
{
    if (at >= blob.len || bytes >= blob.len - at)
        return -1;
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)blob.data[at + i] << 8 * i;
    uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
    out->text = slice_of(NULL, 0);
    out->number = (int64_t)((v ^ sign) - sign);
    *position = at + bytes;
    return 1;
}

static int integer_item(struct slice blob, size_t at, size_t *position, struct packed_item *out)
{
    uint8_t first = blob.data[at];
    switch (first) {
    case 0xc0:
        return number(blob, at + 1, 2, position, out);
    case 0xd0:
        return number(blob, at + 1, 4, position, out);
    case 0xe0:
        return number(blob, at + 1, 8, position, out);
    case 0xf0:
        return number(blob, at + 1, 3, position, out);
    case 0xfe:
        return number(blob, at + 1, 1, position, out);
    }
    if (first < 0xf1 || first > 0xfd || at + 1 >= blob.len)
        return -1;
    out->text = slice_of(NULL, 0);
    out->number = (first & 0x0f) - 1;
    *position = at + 1;
    return 1;
}

int ziplist_next(struct slice blob, size_t *position, struct packed_item *out)
{
    size_t at = *position;
    if (at >= blob.len)
        return -1;
    if (blob.data[at] == 0xff)
        return at + 1 == blob.len ? 0 : -1;
    at += blob.data[at] < 254 ? 1 : 5;
    if (at >= blob.len)
        return -1;

    const uint8_t *p = blob.data + at;
    size_t left = blob.len - at;
    switch (p[0] >> 6) {
    case 0:
        return text(blob, at + 1, p[0] & 0x3fu, position, out);
    case 1:
        return left < 2 ? -1 : text(blob, at + 2, (size_t)(p[0] & 0x3f) << 8 | p[1], position, out);
    case 2:
        return left < 5
                   ? -1
                   : text(blob, at + 5, (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4],
                          position, out);
    default:
        return integer_item(blob, at, position, out);
    }
}
