/* Checksums of journal entries, and as text. */
#include "common/redis/journal_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/crc.h"

static void sum_up(struct journal_sum *s)
{
    s->crc = crc64(s->crc, s->bytes, s->len);
    s->len = 0;
}

static void add_number(struct journal_sum *s, uint32_t n)
{
    uint8_t bytes[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    if (sizeof s->bytes - s->len < sizeof bytes)
        sum_up(s);
    memcpy(s->bytes + s->len, bytes, sizeof bytes);
    s->len += sizeof bytes;
}

static void add_bytes(struct journal_sum *s, struct slice piece)
{
    if (sizeof s->bytes - s->len < piece.len)
        sum_up(s);
    if (piece.len > sizeof s->bytes) {
        s->crc = crc64(s->crc, piece.data, piece.len);
    } else if (piece.len) {
        memcpy(s->bytes + s->len, piece.data, piece.len);
        s->len += piece.len;
    }
}

void journal_sum_begin(struct journal_sum *s, uint32_t db, const struct slice *argv, size_t argc)
{
    s->crc = UINT64_MAX;
    s->len = 0;
    add_number(s, db);
    for (size_t i = 0; i < argc; i++) {
        add_number(s, (uint32_t)argv[i].len);
        add_bytes(s, argv[i]);
    }
}

uint64_t journal_sum_end(const struct journal_sum *s)
{
    return crc64(s->crc, s->bytes, s->len);
}

uint64_t journal_checksum(uint32_t db, const struct slice *argv, size_t argc)
{
    struct journal_sum s;
    journal_sum_begin(&s, db, argv, argc);
    return journal_sum_end(&s);
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
