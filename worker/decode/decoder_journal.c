/* Journal entries, in JOURNAL_BLOBs of the snapshot and as the stream after EOF.
 *
 *   210 packed count, string of that many entries
 *
 * COMMAND and PING take an LSN each. In JOURNAL_BLOBs they are counted from 1, as the master does not send their LSNs;
 * in the stream they are counted from JOURNAL_OFFSET on, and checked against the master's LSN entries.
 *
 * A master that was made a replica refuses REPLCONF ACK, and writes the error between two entries of the stream: "-ERR
 * …\r\n". No opcode is 45, so '-' at the beginning of an entry is an error line. */
#include <inttypes.h>

#include "worker/decode/decoder_internal.h"

enum { ERROR_LINE_MAX_BYTES = 512 };

uint64_t decoder_next_lsn(const struct decoder *d)
{
    return decoder_comparing(d) ? d->config.first_lsn : d->next_lsn;
}

bool decoder_comparing(const struct decoder *d)
{
    return (d->phase == PHASE_JOURNAL || d->config.in_blobs) && d->next_lsn < d->config.first_lsn;
}

struct journal_check decoder_check(const struct decoder *d, uint64_t lsn)
{
    const struct noted_command *c = &d->last[d->newest];
    if (c->lsn >= lsn)
        c = &d->last[!d->newest];
    return (struct journal_check){c->lsn, c->summed ? c->checksum : journal_sum_end(&c->sum)};
}

void decoder_note_check(struct decoder *d, struct journal_check newest, struct journal_check before)
{
    struct noted_command *c = &d->last[d->newest], *b = &d->last[!d->newest];
    c->lsn = newest.lsn;
    c->checksum = newest.sum;
    b->lsn = before.lsn;
    b->checksum = before.sum;
    c->summed = b->summed = true;
}

/* COMMAND or PING, the entries that take an LSN. */
static enum step give_item(struct decoder *d, const struct journal_item *item, uint32_t db, uint64_t lsn,
                           struct entry *out)
{
    decoder_give(d, out, item->opcode == JOURNAL_PING ? ENTRY_PING : ENTRY_COMMAND, 1);
    out->db = db;
    out->lsn = lsn;
    out->txid = item->value;
    out->argv = item->argv;
    out->argc = item->argc;
    return STEP_ENTRY;
}

static enum step read_error_line(struct decoder *d, struct text *t)
{
    size_t most = t->n < ERROR_LINE_MAX_BYTES ? t->n : ERROR_LINE_MAX_BYTES;
    const uint8_t *end = memchr(t->p, '\n', most);
    if (!end && t->n < ERROR_LINE_MAX_BYTES)
        return decoder_more(t, t->n + 1);
    if (!end)
        return decoder_broken(d, "journal entry: opcode 45 is not known, and is not an error line");
    char text[ERROR_LINE_MAX_BYTES];
    size_t len = 0;
    for (const uint8_t *p = t->p + 1; p < end && *p != '\r'; p++)
        text[len++] = *p >= ' ' && *p <= '~' ? (char)*p : '?';
    error_set(&d->why, ERROR_RETRY, "the source answers REPLCONF ACK with an error: %.*s", (int)len, text);
    return STEP_BREAK;
}

/* The master's LSN differs from the counted one: its journal is of another history. */
static enum step break_on_lsn(struct decoder *d, uint64_t lsn)
{
    error_set(&d->why, ERROR_RETRY,
              "the source says LSN %" PRIu64 " where %" PRIu64
              " was counted: its journal is not the one that was followed, or it lost entries",
              lsn, d->next_lsn - 1);
    return STEP_BREAK;
}

static enum step give_lsn(struct decoder *d, uint64_t lsn, struct entry *out)
{
    if (lsn == UINT64_MAX)
        return decoder_broken(d, "journal entry: invalid LSN");
    d->next_lsn = lsn + 1;
    decoder_give(d, out, ENTRY_LSN, 1);
    out->db = d->journal_db;
    out->lsn = lsn;
    return STEP_ENTRY;
}

/* Compares an entry that was applied in an earlier session. */
static enum step compare_item(struct decoder *d, const struct journal_item *item, uint32_t db)
{
    const struct journal_check *was = &d->config.check;
    bool same = item->opcode == JOURNAL_PING;
    if (d->next_lsn == was->lsn)
        same = item->opcode == JOURNAL_COMMAND && journal_checksum(db, item->argv, item->argc) == was->sum;
    if (!same) {
        error_set(&d->why, ERROR_REDIRECT,
                  "the source's journal is not the one that was followed: its entry %" PRIu64
                  " differs from the one applied here; the source was made a replica meanwhile, or promoted",
                  d->next_lsn);
        return STEP_BREAK;
    }
    if (d->next_lsn == was->lsn && d->config.compared)
        d->config.compared(d->config.compared_arg, db, item->argv, item->argc);
    d->next_lsn++;
    return STEP_ON;
}

static void note_command(struct decoder *d, const struct journal_item *item, uint32_t db)
{
    d->newest = !d->newest;
    struct noted_command *c = &d->last[d->newest];
    c->lsn = d->next_lsn;
    c->summed = false;
    journal_sum_begin(&c->sum, db, item->argv, item->argc);
}

/* COMMAND or PING of the journal stream. STEP_ON: applied already. */
static enum step take_item(struct decoder *d, const struct journal_item *item, uint32_t db, struct entry *out)
{
    if (decoder_comparing(d))
        return compare_item(d, item, db);
    give_item(d, item, db, d->next_lsn, out);
    out->in_snapshot = false;
    if (d->next_lsn && item->opcode == JOURNAL_COMMAND)
        note_command(d, item, db);
    if (d->next_lsn)
        d->next_lsn++;
    return STEP_ENTRY;
}

enum step decoder_journal_entry(struct decoder *d, struct text *t, struct entry *out)
{
    struct journal_item item;
    size_t used, wanted;
    if (t->n && t->p[0] == '-')
        return read_error_line(d, t);
    enum value_status status = journal_read(&d->args, slice_of(t->p, t->n), &item, &used, &wanted, &d->why);
    if (status == VALUE_MORE)
        return decoder_more(t, wanted);
    if (status == VALUE_BROKEN)
        return STEP_ERROR;

    enum step step = STEP_ON;
    if (item.opcode == JOURNAL_SELECT) {
        d->journal_db = (uint32_t)item.value;
    } else if (item.opcode == JOURNAL_LSN && d->next_lsn && item.value != d->next_lsn - 1) {
        return break_on_lsn(d, item.value);
    } else if (item.opcode == JOURNAL_LSN && !decoder_comparing(d)) {
        step = give_lsn(d, item.value, out);
    } else if (item.opcode == JOURNAL_LSN) {
        step = STEP_ON;
    } else {
        step = take_item(d, &item, d->journal_db, out);
    }
    if (step != STEP_ERROR && step != STEP_BREAK)
        decoder_consume(d, t, used);
    return step;
}

/* The head of the blob, once all of it is there; a compressed content is decoded and kept. */
static enum step open_blob(struct decoder *d, struct text *t)
{
    struct rdb_string_head head;
    struct slice content;
    unsigned used = packed_read(t->p + 1, t->n - 1, &d->journal_blob.count);
    if (used == PACKED_MORE)
        return decoder_more(t, t->n + 1);
    if (used == PACKED_BROKEN)
        return decoder_broken(d, "invalid count of a JOURNAL_BLOB");
    size_t at = 1 + used;
    enum value_status status = rdb_string_head(t->p + at, t->n - at, &head);
    if (status == VALUE_MORE)
        return decoder_more(t, t->n + 1);
    if (status == VALUE_BROKEN)
        return decoder_broken(d, "a JOURNAL_BLOB without entries");
    d->journal_blob.content_at = at + head.head_bytes;
    d->journal_blob.total = d->journal_blob.content_at + (size_t)head.stored_bytes;
    if (d->journal_blob.total > t->n)
        return decoder_more(t, d->journal_blob.total);
    buf_clear(&d->journal_text);
    if (!rdb_string_decode(&head, t->p + d->journal_blob.content_at, &d->journal_text, &content))
        return decoder_broken(d, "invalid LZF of a JOURNAL_BLOB");
    d->journal_blob.lzf = head.encoding != RDB_PLAIN;
    d->journal_blob.content_len = content.len;
    d->journal_blob.position = 0;
    d->journal_blob.ready = true;
    return STEP_ON;
}

/* The next entry of the blob, after any SELECT. */
static enum step read_item(struct decoder *d, const struct text *t, struct journal_item *item)
{
    const uint8_t *content = d->journal_blob.lzf ? d->journal_text.data : t->p + d->journal_blob.content_at;
    do {
        size_t used, wanted, at = d->journal_blob.position;
        enum value_status status =
            journal_read(&d->args, slice_of(content + at, d->journal_blob.content_len - at), item, &used,
                         &wanted, &d->why);
        if (status == VALUE_BROKEN)
            return STEP_ERROR;
        if (status == VALUE_MORE)
            return decoder_broken(d, "a JOURNAL_BLOB with fewer entries than announced");
        if (item->opcode == JOURNAL_LSN)
            return decoder_broken(d, "an LSN in a JOURNAL_BLOB");
        if (item->opcode == JOURNAL_SELECT)
            d->snapshot_journal_db = (uint32_t)item->value;
        d->journal_blob.position += used;
    } while (item->opcode == JOURNAL_SELECT);
    return STEP_ON;
}

static enum step close_blob(struct decoder *d, struct text *t)
{
    if (d->journal_blob.position != d->journal_blob.content_len)
        return decoder_broken(d, "a JOURNAL_BLOB with more entries than announced");
    decoder_consume(d, t, d->journal_blob.total);
    d->journal_blob.ready = false;
    d->journal_given = 0;
    return STEP_ON;
}

enum step decoder_journal_blob(struct decoder *d, struct text *t, struct entry *out)
{
    struct journal_item item = {0};
    enum step step = STEP_ON;
    if (!d->journal_blob.ready) {
        step = open_blob(d, t);
        if (step != STEP_ON)
            return step;
        if (d->journal_given && d->journal_given >= d->journal_blob.count)
            return decoder_broken(d, "the saved position is not in this JOURNAL_BLOB");
        for (uint64_t i = 0; i < d->journal_given && step == STEP_ON; i++)
            step = read_item(d, t, &item);
        if (step != STEP_ON)
            return step;
    }
    if (d->journal_blob.count == 0)
        return close_blob(d, t);
    size_t position = d->journal_blob.position;
    step = read_item(d, t, &item);
    if (step != STEP_ON)
        return step;

    enum step given = d->config.in_blobs
                          ? take_item(d, &item, d->snapshot_journal_db, out)
                          : give_item(d, &item, d->snapshot_journal_db, d->snapshot_lsn++, out);
    if (given == STEP_BREAK) {
        d->journal_blob.position = position;
        return given;
    }
    if (++d->journal_given == d->journal_blob.count) {
        /* The arguments of the entry stay valid until the next call. */
        step = close_blob(d, t);
        return step == STEP_ON ? given : step;
    }
    return given;
}
