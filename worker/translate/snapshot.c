/* Translates snapshot entries: filters of databases and keys, values (value_write.c), scripts, search indexes. */
#include "common/ipc/divergence.h"
#include "worker/translate/rewrite.h"
#include "worker/translate/translator.h"
#include "worker/translate/value_write.h"

static enum place snapshot_place(const struct translator *t)
{
    if (t->settings->on_conflict != ON_CONFLICT_SKIP && t->settings->on_conflict != ON_CONFLICT_STOP)
        return PLACE_REPLACE;
    return t->ignore_conflicts ? PLACE_IF_ABSENT : PLACE_REPORT_IF_PRESENT;
}

/* The deadline of the key for the target: that of the source, but late enough for a renewal later in the stream to be
 * applied. */
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
        rewrite_one_key(t, "DEL", p.write_key, OUTPUT_IDEMPOTENT);
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

/* redis.acall → redis.call, redis.apcall → redis.pcall: undoes --lua_auto_async, which converts calls with an unused
 * result. Clients know the script by the SHA of the text that they sent. False: the script has none of them. */
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

/* Loads both versions: which one clients use is unknown, as a script may have asynchronous calls of its own. */
static void load_script(struct translator *t, struct slice body)
{
    size_t borrowing = output_borrowing(t->out);
    output_borrow_from(t->out, 0); /* copied, as a refusal is reported with its text */
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
        t->lacking_db = t->db;
        if (e->kind != ENTRY_ELEMENTS && e->kind != ENTRY_END)
            t->report(t->report_arg, lacks, rdb_type_name(e->type), e->key, 1);
        return true;
    }
    switch (e->kind) {
    case ENTRY_STRING:
        value_write_string(t, e->key, e->value, deadline(t, e), snapshot_place(t));
        return true;
    case ENTRY_VALUE:
        return value_write(t, e->key, e->type, e->value, deadline(t, e), snapshot_place(t), error);
    case ENTRY_UNSUPPORTED:
        value_leave_out(t, e->key, e->type, snapshot_place(t));
        return true;
    default:
        return collection_part(t, e, error);
    }
}
