/* One interface to the packed encodings; intset and zipmap are implemented here. */
#include "worker/rdb/packed.h"

#include "worker/rdb/rdb_string.h"

enum { LISTPACK_HEAD = 6, ZIPLIST_HEAD = 10, INTSET_HEAD = 8, ZIPMAP_HEAD = 1 };

static bool ends_at(struct slice blob, uint64_t total)
{
    return total == blob.len && blob.data[blob.len - 1] == 0xff;
}

size_t packed_begin(enum packed_kind kind, struct slice blob, uint64_t *count)
{
    static const size_t at_least[] = {LISTPACK_HEAD + 1, ZIPLIST_HEAD + 1, INTSET_HEAD, ZIPMAP_HEAD + 1};
    if (blob.len < at_least[kind])
        return 0;
    switch (kind) {
    case PACKED_LISTPACK:
        *count = load_le16(blob.data + 4);
        *count = *count == UINT16_MAX ? UINT64_MAX : *count;
        return ends_at(blob, load_le32(blob.data)) ? LISTPACK_HEAD : 0;
    case PACKED_ZIPLIST:
        if (!ends_at(blob, load_le32(blob.data)))
            return 0;
        *count = load_le16(blob.data + 8);
        *count = *count == UINT16_MAX ? UINT64_MAX : *count;
        return ZIPLIST_HEAD;
    case PACKED_INTSET: {
        uint32_t width = load_le32(blob.data);
        *count = load_le32(blob.data + 4);
        bool fits = (width == 2 || width == 4 || width == 8) && blob.len - INTSET_HEAD == *count * width;
        return fits ? INTSET_HEAD : 0;
    }
    case PACKED_ZIPMAP:
        if (!ends_at(blob, blob.len))
            return 0;
        *count = blob.data[0] < 254 ? (uint64_t)blob.data[0] * 2 : UINT64_MAX;
        return ZIPMAP_HEAD;
    }
    return 0;
}

static int intset_next(struct slice blob, size_t *position, struct packed_item *out)
{
    uint32_t width = load_le32(blob.data);
    if (*position == blob.len)
        return 0;
    if (*position > blob.len || blob.len - *position < width)
        return -1;
    const uint8_t *p = blob.data + *position;
    out->text = slice_of(NULL, 0);
    out->number = width == 2   ? (int16_t)load_le16(p)
                  : width == 4 ? (int32_t)load_le32(p)
                               : (int64_t)load_le64(p);
    *position += width;
    return 1;
}

static bool zipmap_length(struct slice blob, size_t *at, size_t *len)
{
    if (*at >= blob.len || blob.data[*at] == 0xff)
        return false;
    if (blob.data[*at] < 254) {
        *len = blob.data[(*at)++];
        return true;
    }
    if (blob.len - *at < 5)
        return false;
    *len = load_le32(blob.data + *at + 1);
    *at += 5;
    return true;
}

int zipmap_next(struct slice blob, size_t *position, struct packed_item *out)
{
    size_t at = *position, len, free_bytes;
    if (at + 1 == blob.len && blob.data[at] == 0xff)
        return 0;
    for (int i = 0; i < 2; i++) {
        if (!zipmap_length(blob, &at, &len))
            return -1;
        free_bytes = 0;
        if (i == 1 && at < blob.len)
            free_bytes = blob.data[at++];
        if (at >= blob.len || len >= blob.len - at || free_bytes >= blob.len - at - len)
            return -1;
        out[i].text = slice_of(blob.data + at, len);
        at += len + free_bytes;
    }
    *position = at;
    return 1;
}

int packed_next(enum packed_kind kind, struct slice blob, size_t *position, struct packed_item *out)
{
    switch (kind) {
    case PACKED_LISTPACK:
        return listpack_next(blob, position, out);
    case PACKED_ZIPLIST:
        return ziplist_next(blob, position, out);
    case PACKED_INTSET:
        return intset_next(blob, position, out);
    case PACKED_ZIPMAP:
        return zipmap_next(blob, position, out);
    }
    return -1;
}
