/* The report as bytes: u64 fields in the order of the struct, u32 and the text of the trouble, u32 and the rows. */
#include "common/ipc/verify_report.h"

#include "common/base/wire.h"

enum { NUMBERS = 11 + VERIFY_KINDS, ROW_NUMBERS = 5 };

const char *verify_phase_name(enum verify_phase phase)
{
    static const char *const names[] = {"connecting",         "keys of the target", "large keys",
                                        "keys of the source", "doubtful keys",      "ended"};
    return (unsigned)phase < VERIFY_PHASES ? names[phase] : "unknown";
}

const char *verify_kind_name(enum verify_kind kind)
{
    static const char *const names[] = {"value", "element", "order",     "entry",   "group", "pending-entry",
                                        "type",  "ttl",     "field-ttl", "missing", "extra"};
    return (unsigned)kind < VERIFY_KINDS ? names[kind] : "unknown";
}

const char *verify_type_name(uint32_t type)
{
    static const char *const names[] = {"none", "string", "list", "set",  "hash",
                                        "zset", "stream", "json", "other"};
    return type < VERIFY_TYPES ? names[type] : "unknown";
}

struct verify_row *verify_row(struct verify_report *r, uint32_t db, uint32_t type)
{
    for (size_t i = 0; i < r->row_count; i++)
        if (r->rows[i].db == db && r->rows[i].type == type)
            return &r->rows[i];
    if (r->row_count == VERIFY_ROWS_MAX)
        return &r->rows[VERIFY_ROWS_MAX - 1];
    r->rows[r->row_count] = (struct verify_row){.db = db, .type = type};
    return &r->rows[r->row_count++];
}

struct verify_row verify_total(const struct verify_report *r)
{
    struct verify_row sum = {0};
    for (size_t i = 0; i < r->row_count; i++) {
        sum.keys += r->rows[i].keys;
        sum.different += r->rows[i].different;
        sum.healed += r->rows[i].healed;
        sum.undecided += r->rows[i].undecided;
        sum.incomparable += r->rows[i].incomparable;
    }
    return sum;
}

static void list_numbers(struct verify_report *r, uint64_t *list[NUMBERS])
{
    uint64_t *const fields[] = {&r->phase,         &r->exact,    &r->repair,   &r->sample_ppm,
                                &r->begun_unix_ms, &r->spent_ms, &r->to_scan,  &r->scanned,
                                &r->doubtful,      &r->pending,  &r->exit_code};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        list[i] = fields[i];
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        list[NUMBERS - VERIFY_KINDS + i] = &r->kinds[i];
}

void verify_report_encode(const struct verify_report *r, struct buf *out)
{
    uint64_t *list[NUMBERS];
    list_numbers((struct verify_report *)r, list);
    for (size_t i = 0; i < NUMBERS; i++)
        wire_put_u64(out, *list[i]);
    wire_put_bytes(out, slice_of(r->trouble, strnlen(r->trouble, sizeof r->trouble - 1)));
    wire_put_u32(out, (uint32_t)r->row_count);
    for (size_t i = 0; i < r->row_count; i++) {
        const struct verify_row *row = &r->rows[i];
        const uint64_t numbers[ROW_NUMBERS] = {row->keys, row->different, row->healed, row->undecided,
                                               row->incomparable};
        wire_put_u32(out, row->db);
        wire_put_u32(out, row->type);
        for (size_t k = 0; k < ROW_NUMBERS; k++)
            wire_put_u64(out, numbers[k]);
    }
}

static void get_row(struct wire_reader *in, struct verify_row *row)
{
    row->db = wire_get_u32(in);
    row->type = wire_get_u32(in);
    row->keys = wire_get_u64(in);
    row->different = wire_get_u64(in);
    row->healed = wire_get_u64(in);
    row->undecided = wire_get_u64(in);
    row->incomparable = wire_get_u64(in);
}

bool verify_report_decode(struct verify_report *r, struct slice bytes)
{
    struct wire_reader in = {bytes, false};
    uint64_t *list[NUMBERS];
    memset(r, 0, sizeof *r);
    list_numbers(r, list);
    for (size_t i = 0; i < NUMBERS; i++)
        *list[i] = wire_get_u64(&in);
    struct slice text = wire_get_bytes(&in);
    if (text.len >= sizeof r->trouble)
        return false;
    if (text.len)
        memcpy(r->trouble, text.data, text.len);
    uint32_t rows = wire_get_u32(&in);
    if (in.failed || rows > VERIFY_ROWS_MAX || r->phase >= VERIFY_PHASES)
        return false;
    for (; r->row_count < rows && !in.failed; r->row_count++)
        get_row(&in, &r->rows[r->row_count]);
    return wire_done(&in);
}
