/* One item of a listpack.
 *
 *   0xxxxxxx                 7-bit unsigned            11110000 LLLL bytes    string, 32-bit length
 *   10xxxxxx bytes           string, 6-bit length      11110001 bb            16-bit signed
 *   110xxxxx b               13-bit signed             11110010 bbb           24-bit
 *   1110xxxx b bytes         string, 12-bit length     11110011 bbbb          32-bit
 *   11111111                 end                       11110100 bbbbbbbb      64-bit
 *
 * after each: its size again, 7 bits per byte, for walking backwards. */
#include "worker/rdb/packed.h"
#include "worker/rdb/rdb_string.h"

/* As Redis counts it, with its uneven limits. */
static size_t backlen_bytes(size_t item_bytes)
{
    if (item_bytes <= 127)
        return 1;
    if (item_bytes < 16383)
        return 2;
    if (item_bytes < 2097151)
        return 3;
    return item_bytes < 268435455 ? 4 : 5;
}

static int64_t sign_extend(uint64_t v, unsigned bits)
{
    uint64_t sign = UINT64_C(1) << (bits - 1);
    return (int64_t)((v ^ sign) - sign);
}

/* Skips the item if all of it is there. */
static int pass(struct slice blob, size_t *position, size_t head, size_t text_bytes)
{
    size_t left = blob.len - *position;
    if (head > left || text_bytes > left - head)
        return -1;
    size_t item = head + text_bytes, all = item + backlen_bytes(item);
    if (all >= left) /* the end byte has to fit as well */
        return -1;
    *position += all;
    return 1;
}

static int text(struct slice blob, size_t *position, size_t head, size_t bytes, struct packed_item *out)
{
    out->text = slice_of(blob.data + *position + head, bytes);
    return pass(blob, position, head, bytes);
}

static int number(struct slice blob, size_t *position, size_t head, int64_t v, struct packed_item *out)
{
    out->text = slice_of(NULL, 0);
    out->number = v;
    return pass(blob, position, head, 0);
}

static int wide_item(struct slice blob, size_t *position, struct packed_item *out)
{
    const uint8_t *p = blob.data + *position;
    size_t left = blob.len - *position;

    switch (p[0]) {
    case 0xf0:
        return left < 5 ? -1 : text(blob, position, 5, load_le32(p + 1), out);
    case 0xf1:
        return left < 3 ? -1 : number(blob, position, 3, (int16_t)load_le16(p + 1), out);
    case 0xf2:
        return left < 4 ? -1
                        : number(blob, position, 4,
                                 sign_extend((uint64_t)load_le16(p + 1) | (uint64_t)p[3] << 16, 24), out);
    case 0xf3:
        return left < 5 ? -1 : number(blob, position, 5, (int32_t)load_le32(p + 1), out);
    case 0xf4:
        return left < 9 ? -1 : number(blob, position, 9, (int64_t)load_le64(p + 1), out);
    case 0xff:
        return left == 1 ? 0 : -1;
    default:
        return -1;
    }
}

int listpack_next(struct slice blob, size_t *position, struct packed_item *out)
{
    if (*position >= blob.len)
        return -1;
    const uint8_t *p = blob.data + *position;
    size_t left = blob.len - *position;

    if (p[0] < 0x80)
        return number(blob, position, 1, p[0], out);
    if (p[0] < 0xc0)
        return text(blob, position, 1, p[0] & 0x3fu, out);
    if (p[0] < 0xf0 && left < 2)
        return -1;
    if (p[0] < 0xe0)
        return number(blob, position, 2, sign_extend((uint64_t)(p[0] & 0x1f) << 8 | p[1], 13), out);
    if (p[0] < 0xf0)
        return text(blob, position, 2, (size_t)(p[0] & 0x0f) << 8 | p[1], out);
    return wide_item(blob, position, out);
}
