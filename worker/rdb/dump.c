/* The frame around a value, and its checksum. */
#include "worker/rdb/dump.h"

#include "common/base/crc.h"
#include "worker/rdb/rdb_string.h"

enum { DUMP_VERSION = 9, CRC_BYTES = 8 };

bool dump_parse(struct slice dump, uint8_t *type, struct slice *value)
{
    if (dump.len < 1 + DUMP_FOOTER_BYTES)
        return false;
    size_t before = dump.len - CRC_BYTES;
    uint64_t stored = load_le64(dump.data + before);
    if (stored != 0 && stored != crc64(0, dump.data, before))
        return false;
    *type = dump.data[0];
    *value = slice_of(dump.data + 1, dump.len - 1 - DUMP_FOOTER_BYTES);
    return true;
}

void dump_footer(uint8_t footer[DUMP_FOOTER_BYTES], uint8_t type, struct slice value)
{
    footer[0] = DUMP_VERSION & 0xff;
    footer[1] = DUMP_VERSION >> 8;
    uint64_t crc = crc64(crc64(crc64(0, &type, 1), value.data, value.len), footer, 2);
    for (int i = 0; i < CRC_BYTES; i++)
        footer[2 + i] = (uint8_t)(crc >> (8 * i));
}
