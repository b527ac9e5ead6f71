/* Snapshot entries into commands.
 *
 *   string                          SET key value [PXAT ms]
 *   layout the target shares        RESTORE key ms <type><value><version><crc> REPLACE ABSTTL
 *   JSON                            DEL, JSON.SET key $ text, [PEXPIREAT]
 *   too large, in pieces, foreign   DEL, RPUSH/SADD/HSET/ZADD/XADD …, [PEXPIREAT]
 *
 * With --on-conflict skip or stop nothing may give way: SET … NX, RESTORE without REPLACE, and what takes
 * several commands is written to a key beside it and moved into place with RENAMENX. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/crc.h"
#include "common/ipc/divergence.h"
#include "common/redis/topology.h"
#include "worker/rdb/stream.h"
#include "worker/translate/elements.h"
#include "worker/translate/left_out.h"
#include "worker/translate/rewrite.h"
#include "worker/translate/translator.h"

/* What happens to a key that is there already. */
enum place { PLACE_REPLACE, PLACE_IF_ABSENT, PLACE_REPORT_IF_PRESENT };

enum { DUMP_VERSION = 9, EXPLODE_ELEMENTS = 512, EXPLODE_BYTES = 256 * 1024 };

void translator_init(struct translator *t, const struct settings *s, const struct capabilities *target,
                     struct output *out)
{
    *t = (struct translator){.settings = s, .target = target, .out = out, .now_unix_ms = clock_unix_ms};
    t->node = stream_node_reader_new();
}

void translator_free(struct translator *t)
{
    value_scratch_free(&t->scratch);
    buf_free(&t->bytes);
    buf_free(&t->text);
    free(t->args);
    stream_node_reader_free(t->node);
    *t = (struct translator){0};
}

struct slice *translator_args(struct translator *t, size_t n)
{
    if (n > t->args_capacity) {
        t->args_capacity = n < 64 ? 64 : n * 2;
        t->args = x_realloc(t->args, t->args_capacity * sizeof *t->args);
    }
    return t->args;
}

/* A command, or a type. */
static void report_left_out(struct translator *t, const struct entry *e, unsigned count)
{
    const struct command *c = e->kind == ENTRY_COMMAND ? command_find(e->argv[0]) : NULL;
    const char *name = c ? c->name : e->kind == ENTRY_SCRIPT ? "SCRIPT" : rdb_type_name(e->type);
    t->report(t->report_arg, DIVERGENCE_TOO_LARGE, name, c ? command_first_key(c, e) : e->key, count);
}

static bool translate_entry(struct translator *t, const struct entry *e, struct error *error)
{
    switch (e->kind) {
    case ENTRY_COMMAND:
        return translate_command(t, e, error);
    case ENTRY_STRING:
    case ENTRY_VALUE:
    case ENTRY_BEGIN:
    case ENTRY_ELEMENTS:
    case ENTRY_END:
    case ENTRY_UNSUPPORTED:
    case ENTRY_SCRIPT:
    case ENTRY_INDEX:
        return translate_snapshot(t, e, error);
    default:
        return true;
    }
}

static void limit(struct translator *t)
{
    struct output_limits most = {capabilities_argument_bytes(t->target),
                                 capabilities_command_bytes(t->target), capabilities_multi_bytes(t->target)};
    output_limit(t->out, most);
}

bool translate_dump(struct translator *t, struct slice key, struct slice dump, int64_t expire_ms,
                    struct error *error)
{
    uint8_t type;
    struct slice value;
    if (!rewrite_dump_parse(dump, &type, &value))
        return error_set(error, ERROR_RETRY, "the target's DUMP of a key is broken");
    limit(t);
    bool ok = translate_value(t, key, type, value, expire_ms, true, error);
    output_limit(t->out, OUTPUT_UNLIMITED);
    unsigned left_out = output_left_out(t->out);
    if (left_out)
        t->report(t->report_arg, DIVERGENCE_TOO_LARGE, rdb_type_name(type), key, left_out);
    return ok;
}

bool translate(struct translator *t, const struct entry *e, struct error *error)
{
    limit(t);
    bool ok = translate_entry(t, e, error);
    output_limit(t->out, OUTPUT_UNLIMITED);
    unsigned left_out = output_left_out(t->out);
    if (left_out && t->report)
        report_left_out(t, e, left_out);
    return ok;
}

static enum place snapshot_place(const struct translator *t)
{
    if (t->settings->on_conflict != ON_CONFLICT_SKIP && t->settings->on_conflict != ON_CONFLICT_STOP)
        return PLACE_REPLACE;
    return t->ignore_conflicts ? PLACE_IF_ABSENT : PLACE_REPORT_IF_PRESENT;
}

static unsigned place_flags(enum place place)
{
    return place == PLACE_REPORT_IF_PRESENT ? OUTPUT_CONFLICT : OUTPUT_IDEMPOTENT;
}

static void write_1(struct translator *t, const char *name, struct slice key, unsigned flags)
{
    output_begin(t->out, t->db, key, 2, flags);
    output_text(t->out, name);
    output_arg(t->out, key);
    output_end(t->out);
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

static void write_string(struct translator *t, struct slice key, struct slice value, int64_t expire_ms,
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

/* ---- what takes several commands ---- */

/* Fills p for writing under `key`; the key beside it is built in t->text. */
static void placing_begin(struct translator *t, struct placing *p, struct slice key, uint8_t type,
                          int64_t expire_ms, enum place place)
{
    *p = (struct placing){.key = key, .write_key = key, .type = type, .expire_ms = expire_ms};
    if (place == PLACE_REPLACE)
        return;
    buf_clear(&t->text);
    buf_printf(&t->text, "df2redis:%s:new:", t->settings->name);
    if (output_by_slot(t->out)) /* in the key's slot */
        buf_printf(&t->text, "{%s}:", slot_tag(key_slot(key)));
    buf_put(&t->text, key.data, key.len);
    p->write_key = buf_slice(&t->text);
}

static void placing_end(struct translator *t, const struct placing *p, enum place place)
{
    write_expiry(t, p->write_key, p->expire_ms);
    if (place == PLACE_REPLACE)
        return;
    output_begin(t->out, t->db, p->key, 3, OUTPUT_ONCE | place_flags(place));
    output_text(t->out, "RENAMENX");
    output_arg(t->out, p->write_key);
    output_arg(t->out, p->key);
    output_end(t->out);
    write_1(t, "UNLINK", p->write_key, OUTPUT_IDEMPOTENT);
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
            error_set(error, ERROR_FATAL, "a %s ends in the middle of an element", rdb_type_name(p->type));
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
    /* Elements stand in scratch memory that the next group overwrites. */
    output_borrow_from(t->out, 0);
    write_1(t, "DEL", p.write_key, OUTPUT_IDEMPOTENT);
    bool ok = explode(t, &p, value, error);
    if (ok)
        placing_end(t, &p, place);
    output_borrow_from(t->out, borrowing);
    return ok;
}

/* What the target cannot hold is not there: nothing older under its name either. */
static void leave_out(struct translator *t, struct slice key, uint8_t type, enum place place)
{
    t->report(t->report_arg, DIVERGENCE_TYPE, rdb_type_name(type), key, 1);
    if (rdb_type_unsupported(type))
        left_out_note(t, key, type);
    if (place == PLACE_REPLACE)
        write_1(t, "DEL", key, OUTPUT_IDEMPOTENT);
}

static void write_json(struct translator *t, struct slice key, struct slice text, int64_t expire_ms,
                       enum place place)
{
    struct placing p;
    if (!t->target->json) {
        leave_out(t, key, RDB_JSON, place);
        return;
    }
    placing_begin(t, &p, key, RDB_JSON, expire_ms, place);
    write_1(t, "DEL", p.write_key, OUTPUT_IDEMPOTENT);
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
    uint8_t footer[10] = {DUMP_VERSION & 0xff, DUMP_VERSION >> 8};
    uint64_t crc = crc64(crc64(crc64(0, &type, 1), value.data, value.len), footer, 2);
    for (int i = 0; i < 8; i++)
        footer[2 + i] = (uint8_t)(crc >> (8 * i));
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

/* A collection of the counted kind with nothing in it: no Redis keeps such a key. */
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

static bool place_value(struct translator *t, struct slice key, uint8_t type, struct slice value,
                        int64_t expire_ms, enum place place, struct error *error)
{
    if (rdb_type_unsupported(type)) {
        leave_out(t, key, type, place);
        return true;
    }
    if (type == RDB_JSON) {
        write_json(t, key, value, expire_ms, place);
        return true;
    }
    if (is_empty_collection(type, value)) {
        if (place == PLACE_REPLACE)
            write_1(t, "DEL", key, OUTPUT_IDEMPOTENT);
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

/* In pieces a list or a stream goes in one MULTI with all of them: each must not run twice. */
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
            return error_set(error, ERROR_DIVERGENCE, "the payload of a RESTORE is broken");
        size_t borrowing = output_borrowing(t->out);
        output_borrow_from(t->out, 0);
        if (type == RDB_STRING)
            write_string(t, key, text, expire_ms, place);
        else
            write_json(t, key, text, expire_ms, place);
        output_borrow_from(t->out, borrowing);
        return true;
    }
    return place_value(t, key, type, value, expire_ms, place, error);
}

/* ---- entries ---- */

/* When the target is to expire the key: as the source says, but never before a prolongation that lies
 * behind in the stream can have arrived. */
static int64_t deadline(const struct translator *t, const struct entry *e)
{
    return e->expire_ms ? rewrite_deadline(t, e->key, e->expire_ms) : 0;
}

static bool collection_part(struct translator *t, const struct entry *e, struct error *error)
{
    struct placing p;
    enum place place = snapshot_place(t);
    placing_begin(t, &p, e->key, e->type, deadline(t, e), place);
    switch (e->kind) {
    case ENTRY_BEGIN:
        write_1(t, "DEL", p.write_key, OUTPUT_IDEMPOTENT);
        return true;
    case ENTRY_ELEMENTS:
        return elements_write(t, &p, e->class, e->elements, e->element_count, error);
    default:
        placing_end(t, &p, place);
        return true;
    }
}

static void load_script_as(struct translator *t, struct slice body)
{
    size_t nodes = output_nodes(t->out);
    for (size_t i = 0; i < nodes; i++) {
        output_begin(t->out, t->settings->target.db, slice_of("", 0), 3, OUTPUT_IDEMPOTENT | output_node(i));
        output_text(t->out, "SCRIPT");
        output_text(t->out, "LOAD");
        output_arg(t->out, body);
        output_end(t->out);
    }
}

/* redis.call → redis.acall, redis.pcall → redis.apcall: what --lua_auto_async makes of calls whose value is not used. Its
 * clients know the script by the SHA of what they sent. False: there is nothing of that in it. */
static bool undo_asynchronous_calls(struct slice body, struct buf *out)
{
    static const char prefix[] = "redis.a";
    size_t done = 0;
    for (size_t i = 0; i + sizeof prefix - 1 < body.len; i++) {
        size_t name = i + sizeof prefix - 1, end = name;
        if (memcmp(body.data + i, prefix, sizeof prefix - 1) != 0)
            continue;
        while (end < body.len && body.data[end] == 'p')
            end++;
        if (body.len - end < 4 || memcmp(body.data + end, "call", 4) != 0)
            continue;
        buf_put(out, body.data + done, name - 1 - done);
        done = name;
    }
    buf_put(out, body.data + done, body.len - done);
    return done > 0;
}

/* Which of the two its clients use is not known: a script may have asynchronous calls of its own. */
static void load_script(struct translator *t, struct slice body)
{
    size_t borrowing = output_borrowing(t->out);
    output_borrow_from(t->out, 0); /* it is named when it is refused */
    load_script_as(t, body);
    buf_clear(&t->text);
    if (undo_asynchronous_calls(body, &t->text))
        load_script_as(t, buf_slice(&t->text));
    output_borrow_from(t->out, borrowing);
}

bool translate_snapshot(struct translator *t, const struct entry *e, struct error *error)
{
    if (e->kind == ENTRY_SCRIPT) {
        load_script(t, e->value);
        return true;
    }
    if (e->kind == ENTRY_INDEX) {
        if (e->value.len) {
            const uint8_t *blank = memchr(e->value.data, ' ', e->value.len);
            t->report(t->report_arg, DIVERGENCE_SEARCH, "FT.CREATE",
                      slice_of(e->value.data, blank ? (size_t)(blank - e->value.data) : e->value.len), 1);
        }
        return true;
    }
    if (!settings_db_target(t->settings, e->db, &t->db) || !settings_key_wanted(t->settings, e->key))
        return true;
    const char *lacks =
        settings_key_reserved(t->settings, e->key) ? DIVERGENCE_RESERVED : rewrite_database_lacks(t, t->db);
    if (lacks) {
        if (e->kind != ENTRY_ELEMENTS && e->kind != ENTRY_END)
            t->report(t->report_arg, lacks, rdb_type_name(e->type), e->key, 1);
        return true;
    }
    switch (e->kind) {
    case ENTRY_STRING:
        write_string(t, e->key, e->value, deadline(t, e), snapshot_place(t));
        return true;
    case ENTRY_VALUE:
        return place_value(t, e->key, e->type, e->value, deadline(t, e), snapshot_place(t), error);
    case ENTRY_UNSUPPORTED:
        leave_out(t, e->key, e->type, snapshot_place(t));
        return true;
    default:
        return collection_part(t, e, error);
    }
}
