/* Checksums of journal entries, and as text. */
#include "common/journal_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/crc.h"

static uint64_t add_number(uint64_t crc, uint32_t n)
{
    uint8_t bytes[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    return crc64(crc, bytes, sizeof bytes);
}

uint64_t journal_checksum(uint32_t db, const struct slice *argv, size_t argc)
{
    uint64_t crc = add_number(UINT64_MAX, db);
    for (size_t i = 0; i < argc; i++) {
        crc = add_number(crc, (uint32_t)argv[i].len);
        crc = crc64(crc, argv[i].data, argv[i].len);
    }
    return crc;
}

void journal_check_write(const struct journal_check *c, char out[JOURNAL_CHECK_TEXT_BYTES])
{
    snprintf(out, JOURNAL_CHECK_TEXT_BYTES, "%" PRIu64 ":%016" PRIx64, c->lsn, c->lsn ? c->sum : 0);
}

static bool read_hex(struct slice text, uint64_t *out)
{
    if (text.len != 16)
        return false;
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        *out = *out << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool journal_check_read(struct slice text, struct journal_check *out)
{
    const uint8_t *colon = text.len ? memchr(text.data, ':', text.len) : NULL;
    struct journal_check c;
    size_t at = colon ? (size_t)(colon - text.data) : 0;
    if (!colon || !slice_to_u64(slice_of(text.data, at), &c.lsn) ||
        !read_hex(slice_of(colon + 1, text.len - at - 1), &c.sum))
        return false;
    *out = c;
    return true;
}
