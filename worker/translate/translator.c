/* Dispatches entries to snapshot.c and command_translate.c, and applies the limits of the target. */
#include "worker/translate/translator.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "worker/rdb/dump.h"
#include "worker/rdb/stream.h"
#include "worker/translate/commands.h"
#include "worker/translate/value_write.h"

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

/* Reports commands over a limit of the target, by the name of the command or type. */
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

static void set_output_limits(struct translator *t)
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
    if (!dump_parse(dump, &type, &value))
        return error_set(error, ERROR_RETRY, "invalid payload of DUMP from the target");
    set_output_limits(t);
    bool ok = translate_value(t, key, type, value, expire_ms, true, error);
    output_limit(t->out, OUTPUT_UNLIMITED);
    unsigned left_out = output_left_out(t->out);
    if (left_out)
        t->report(t->report_arg, DIVERGENCE_TOO_LARGE, rdb_type_name(type), key, left_out);
    return ok;
}

bool translate(struct translator *t, const struct entry *e, struct error *error)
{
    set_output_limits(t);
    bool ok = translate_entry(t, e, error);
    output_limit(t->out, OUTPUT_UNLIMITED);
    unsigned left_out = output_left_out(t->out);
    if (left_out && t->report)
        report_left_out(t, e, left_out);
    return ok;
}
