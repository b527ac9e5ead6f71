/* Translates values, from the snapshot or from a RESTORE in the journal.
 *
 *   string                          SET key value [PXAT ms]
 *   layout the target shares        RESTORE key ms <type><value><version><crc> REPLACE ABSTTL
 *   JSON                            DEL, JSON.SET key $ text, [PEXPIREAT]
 *   too large, in pieces, foreign   DEL, RPUSH/SADD/HSET/ZADD/XADD …, [PEXPIREAT]
 *
 * With --on-conflict skip or stop no key is replaced: SET … NX, RESTORE without REPLACE; a value that takes several
 * commands is written to a temporary key, and renamed with RENAMENX. */
#include "worker/translate/value_write.h"

#include "common/ipc/divergence.h"
#include "common/redis/topology.h"
#include "worker/rdb/dump.h"
#include "worker/rdb/stream.h"
#include "worker/translate/left_out.h"
#include "worker/translate/rewrite.h"

enum { EXPLODE_ELEMENTS = 512, EXPLODE_BYTES = 256 * 1024 };

static unsigned place_flags(enum place place)
{
    return place == PLACE_REPORT_IF_PRESENT ? OUTPUT_CONFLICT : OUTPUT_IDEMPOTENT;
}

static void write_expiry(struct translator *t, struct slice key, int64_t expire_ms)
{
    if (!expire_ms)
        return;
    output_begin(t->out, t->db, key, 3, OUTPUT_IDEMPOTENT);
    output_text(t->out, "PEXPIREAT");
    output_arg(t->out, key);
    output_i64(t->out, expire_ms);
    output_end(t->out);
}

void value_write_string(struct translator *t, struct slice key, struct slice value, int64_t expire_ms,
                        enum place place)
{
    if (place == PLACE_REPLACE && !rewrite_value_fits(t, "string", key, value))
        return;
    output_begin(t->out, t->db, key, 3 + (expire_ms ? 2u : 0u) + (place != PLACE_REPLACE),
                 place_flags(place));
    output_text(t->out, "SET");
    output_arg(t->out, key);
    output_arg(t->out, value);
    if (expire_ms) {
        output_text(t->out, "PXAT");
        output_i64(t->out, expire_ms);
    }
    if (place != PLACE_REPLACE)
        output_text(t->out, "NX");
    output_end(t->out);
}

/* ---- several commands ---- */

void placing_begin(struct translator *t, struct placing *p, struct slice key, uint8_t type, int64_t expire_ms,
                   enum place place)
{
    *p = (struct placing){.key = key, .write_key = key, .type = type, .expire_ms = expire_ms};
    if (place == PLACE_REPLACE)
        return;
    buf_clear(&t->text);
    buf_printf(&t->text, "df2redis:%s:new:", t->settings->name);
    if (output_by_slot(t->out)) /* a name in the slot of the key */
        buf_printf(&t->text, "{%s}:", slot_tag(key_slot(key)));
    buf_put(&t->text, key.data, key.len);
    p->write_key = buf_slice(&t->text);
}

void placing_end(struct translator *t, const struct placing *p, enum place place)
{
    write_expiry(t, p->write_key, p->expire_ms);
    if (place == PLACE_REPLACE)
        return;
    output_begin(t->out, t->db, p->key, 3, OUTPUT_ONCE | place_flags(place));
    output_text(t->out, "RENAMENX");
    output_arg(t->out, p->write_key);
    output_arg(t->out, p->key);
    output_end(t->out);
    rewrite_one_key(t, "UNLINK", p->write_key, OUTPUT_IDEMPOTENT);
}

static bool explode(struct translator *t, const struct placing *p, struct slice value, struct error *error)
{
    struct value_reader reader = {0};
    while (!value_reader_done(&reader)) {
        enum element_class class;
        size_t count, consumed, needed;
        enum value_status status = value_reader_next(&reader, p->type, value, EXPLODE_ELEMENTS, EXPLODE_BYTES,
                                                     &t->scratch, &class, &count, &consumed, &needed, error);
        if (status == VALUE_MORE)
            error_set(error, ERROR_FATAL, "a %s ends within an element", rdb_type_name(p->type));
        if (status != VALUE_OK || (count && !elements_write(t, p, class, t->scratch.elements, count, error)))
            return false;
        value = slice_of(value.data + consumed, value.len - consumed);
    }
    return true;
}

static bool write_native(struct translator *t, struct slice key, uint8_t type, struct slice value,
                         int64_t expire_ms, enum place place, struct error *error)
{
    struct placing p;
    size_t borrowing = output_borrowing(t->out);
    placing_begin(t, &p, key, type, expire_ms, place);
    /* The next group overwrites the scratch memory of the elements, so they are copied. */
    output_borrow_from(t->out, 0);
    rewrite_one_key(t, "DEL", p.write_key, OUTPUT_IDEMPOTENT);
    bool ok = explode(t, &p, value, error);
    if (ok)
        placing_end(t, &p, place);
    output_borrow_from(t->out, borrowing);
    return ok;
}

/* The target cannot hold the value: an older value of the key is deleted. */
void value_leave_out(struct translator *t, struct slice key, uint8_t type, enum place place)
{
    t->report(t->report_arg, DIVERGENCE_TYPE, rdb_type_name(type), key, 1);
    if (rdb_type_unsupported(type))
        left_out_note(t, key, type);
    if (place == PLACE_REPLACE)
        rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
}

static void write_json(struct translator *t, struct slice key, struct slice text, int64_t expire_ms,
                       enum place place)
{
    struct placing p;
    if (!t->target->json) {
        value_leave_out(t, key, RDB_JSON, place);
        return;
    }
    placing_begin(t, &p, key, RDB_JSON, expire_ms, place);
    rewrite_one_key(t, "DEL", p.write_key, OUTPUT_IDEMPOTENT);
    output_begin(t->out, t->db, p.write_key, 4, OUTPUT_IDEMPOTENT);
    output_text(t->out, "JSON.SET");
    output_arg(t->out, p.write_key);
    output_text(t->out, "$");
    output_arg(t->out, text);
    output_end(t->out);
    placing_end(t, &p, place);
}

/* ---- RESTORE ---- */

static bool target_takes(const struct capabilities *target, uint8_t type)
{
    switch (type) {
    case RDB_HASH_LISTPACK:
    case RDB_ZSET_LISTPACK:
    case RDB_LIST_QUICKLIST_2:
        return target->restore_listpacks;
    case RDB_SET_LISTPACK:
        return target->restore_set_listpack;
    default:
        return rdb_type_shared(type);
    }
}

static void write_restore(struct translator *t, struct slice key, uint8_t type, struct slice value,
                          int64_t expire_ms, enum place place)
{
    uint8_t footer[DUMP_FOOTER_BYTES];
    dump_footer(footer, type, value);
    struct slice parts[] = {slice_of(&type, 1), value, slice_of(footer, sizeof footer)};
    size_t borrowing = output_borrowing(t->out);

    output_begin(t->out, t->db, key, place == PLACE_REPLACE ? 6 : 5, place_flags(place));
    output_text(t->out, "RESTORE");
    output_arg(t->out, key);
    output_i64(t->out, expire_ms);
    if (value.data == t->bytes.data)
        output_borrow_from(t->out, 0);
    output_arg_parts(t->out, parts, 3);
    output_borrow_from(t->out, borrowing);
    output_text(t->out, "ABSTTL");
    if (place == PLACE_REPLACE)
        output_text(t->out, "REPLACE");
    output_end(t->out);
}

/* A counted collection without elements: Redis has no such keys. */
static bool is_empty_collection(uint8_t type, struct slice value)
{
    switch (type) {
    case RDB_LIST:
    case RDB_SET:
    case RDB_ZSET:
    case RDB_HASH:
    case RDB_ZSET_2:
    case RDB_LIST_QUICKLIST:
    case RDB_LIST_QUICKLIST_2:
    case RDB_HASH_WITH_EXPIRY:
    case RDB_SET_WITH_EXPIRY:
        return value.len >= 1 && value.data[0] == 0;
    default:
        return false;
    }
}

bool value_write(struct translator *t, struct slice key, uint8_t type, struct slice value, int64_t expire_ms,
                 enum place place, struct error *error)
{
    if (rdb_type_unsupported(type)) {
        value_leave_out(t, key, type, place);
        return true;
    }
    if (type == RDB_JSON) {
        write_json(t, key, value, expire_ms, place);
        return true;
    }
    if (is_empty_collection(type, value)) {
        if (place == PLACE_REPLACE)
            rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
        return true;
    }
    bool fits = !t->by_elements && rewrite_dump_fits(t, key, value.len);
    if (rdb_type_is_stream(type) && fits) {
        if (type > t->target->stream_type) {
            buf_clear(&t->bytes);
            if (!stream_convert(value, type, t->target->stream_type, &t->bytes, error))
                return false;
            value = buf_slice(&t->bytes);
            type = t->target->stream_type;
        }
        write_restore(t, key, type, value, expire_ms, place);
        return true;
    }
    if (fits && target_takes(t->target, type)) {
        write_restore(t, key, type, value, expire_ms, place);
        return true;
    }
    return write_native(t, key, type, value, expire_ms, place, error);
}

/* The pieces of a list or a stream are in one MULTI, as each must not run twice. */
static bool needs_one_multi(uint8_t type)
{
    return type == RDB_LIST || type == RDB_LIST_QUICKLIST || type == RDB_LIST_QUICKLIST_2 ||
           rdb_type_is_stream(type);
}

bool translate_value(struct translator *t, struct slice key, uint8_t type, struct slice value,
                     int64_t expire_ms, bool replace, struct error *error)
{
    enum place place = replace ? PLACE_REPLACE : PLACE_IF_ABSENT;
    if (needs_one_multi(type) && value.len > capabilities_command_bytes(t->target) &&
        place == PLACE_REPLACE) {
        rewrite_leave_out(t, rdb_type_name(type), key);
        return true;
    }
    if (type == RDB_STRING || type == RDB_JSON) {
        struct slice text;
        size_t consumed, needed;
        struct error why;
        if (rdb_string_read(value, INT32_MAX, &t->bytes, &text, &consumed, &needed, &why) != VALUE_OK)
            return error_set(error, ERROR_DIVERGENCE, "invalid payload of a RESTORE");
        size_t borrowing = output_borrowing(t->out);
        output_borrow_from(t->out, 0);
        if (type == RDB_STRING)
            value_write_string(t, key, text, expire_ms, place);
        else
            write_json(t, key, text, expire_ms, place);
        output_borrow_from(t->out, borrowing);
        return true;
    }
    return value_write(t, key, type, value, expire_ms, place, error);
}
