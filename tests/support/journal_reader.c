/* Journal entries: packed opcode, then
 *
 *   6 SELECT   packed db
 *   13 PING
 *   15 LSN     packed lsn
 *   10 COMMAND packed txid, packed 1, packed argc, packed total bytes, argc × (packed length, bytes)
 *
 * A packed unsigned has its width in the first byte's top bits: 00 6 bits, 01 14 bits, 0x80 32 bits, 0x81 64
 * bits. */
#include "tests/support/journal_reader.h"

static bool packed(struct slice b, size_t *at, uint64_t *out)
{
    if (*at >= b.len)
        return false;
    const uint8_t *p = b.data + *at;
    size_t width = p[0] < 0x40 ? 0 : p[0] < 0x80 ? 1 : p[0] == 0x80 ? 4 : 8;
    if (b.len - *at - 1 < width)
        return false;
    uint64_t v = p[0] < 0x80 ? p[0] & 0x3fu : 0;
    for (size_t i = 1; i <= width; i++)
        v = v << 8 | p[i];
    *at += 1 + width;
    *out = v;
    return true;
}

static bool command(struct slice b, size_t *at, struct journal_item *item)
{
    uint64_t shards, argc, total;
    if (!packed(b, at, &item->txid) || !packed(b, at, &shards) || !packed(b, at, &argc) ||
        !packed(b, at, &total))
        return false;
    item->argc = (size_t)argc;
    for (size_t i = 0; i < argc; i++) {
        uint64_t len;
        if (!packed(b, at, &len) || b.len - *at < len)
            return false;
        if (i < JOURNAL_MAX_ARGS)
            item->args[i] = slice_of(b.data + *at, (size_t)len);
        *at += (size_t)len;
    }
    return true;
}

int journal_next(struct journal_reader *r, struct journal_item *item)
{
    size_t at = r->at;
    uint64_t op, db = r->db;
    if (!packed(r->bytes, &at, &op))
        return 0;
    if (op == 6 && (!packed(r->bytes, &at, &db) || !packed(r->bytes, &at, &op)))
        return 0;
    item->db = db;
    item->txid = item->argc = 0;
    item->lsn = r->next_lsn;
    if (op == 13) {
        item->kind = JOURNAL_PING;
    } else if (op == 15) {
        item->kind = JOURNAL_LSN;
        if (!packed(r->bytes, &at, &item->lsn))
            return 0;
    } else if (op == 10 || op == 9) {
        item->kind = JOURNAL_COMMAND;
        if (!command(r->bytes, &at, item))
            return 0;
    } else {
        return -1;
    }
    r->next_lsn += item->kind != JOURNAL_LSN;
    r->db = db;
    r->at = item->end = at;
    return 1;
}
