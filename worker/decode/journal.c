/* Reading journal entries: see journal.h for the bytes. */
#include "worker/decode/journal.h"

#include <stdlib.h>
#include <sysexits.h>

#include "worker/rdb/rdb_string.h"

enum { ARGC_MAX = 1 << 24, ARGS_KEEP = 1 << 16, DB_MAX = 65535 };

struct reading {
    const uint8_t *p;
    size_t at, len;
    struct error *error;
    size_t *wanted;
};

void journal_args_free(struct journal_args *a)
{
    free(a->argv);
    *a = (struct journal_args){0};
}

static enum value_status read_packed(struct reading *r, uint64_t *v)
{
    unsigned used = packed_read(r->p + r->at, r->len - r->at, v);
    if (used == PACKED_MORE) {
        *r->wanted = r->len + 1;
        return VALUE_MORE;
    }
    if (used == PACKED_BROKEN) {
        error_fatal(r->error, EX_PROTOCOL, "journal entry: no packed number begins with byte 0x%02x",
                    r->p[r->at]);
        return VALUE_BROKEN;
    }
    r->at += used;
    return VALUE_OK;
}

static enum value_status journal_broken(struct reading *r, const char *what)
{
    error_fatal(r->error, EX_PROTOCOL, "journal entry: %s", what);
    return VALUE_BROKEN;
}

static void args_make_room(struct journal_args *a, size_t argc)
{
    if (a->capacity >= argc && (a->capacity <= ARGS_KEEP || argc > ARGS_KEEP / 2))
        return;
    journal_args_free(a);
    a->capacity = argc < 64 ? 64 : argc;
    a->argv = x_malloc(a->capacity * sizeof *a->argv);
}

static enum value_status read_arguments(struct journal_args *a, struct reading *r, size_t argc, uint64_t sum)
{
    for (size_t i = 0; i < argc; i++) {
        uint64_t len;
        unsigned used = packed_read(r->p + r->at, r->len - r->at, &len);
        if (used == PACKED_BROKEN)
            return journal_broken(r, "invalid length of an argument");
        if (used != PACKED_MORE && len > sum)
            return journal_broken(r, "arguments longer than announced");
        /* Minimum that is missing: these bytes, and a byte of length for each argument. */
        uint64_t least = used == PACKED_MORE ? sum + (argc - i) : used + sum + (argc - i - 1);
        if (used == PACKED_MORE || least > r->len - r->at) {
            *r->wanted = r->at + least > r->len ? r->at + (size_t)least : r->len + 1;
            return VALUE_MORE;
        }
        r->at += used;
        a->argv[i] = slice_of(r->p + r->at, (size_t)len);
        r->at += (size_t)len;
        sum -= len;
    }
    return sum ? journal_broken(r, "arguments shorter than announced") : VALUE_OK;
}

static enum value_status read_command(struct journal_args *a, struct reading *r, struct journal_item *out)
{
    uint64_t shards, argc, sum;
    enum value_status status;
    if ((status = read_packed(r, &out->value)) != VALUE_OK ||
        (status = read_packed(r, &shards)) != VALUE_OK || (status = read_packed(r, &argc)) != VALUE_OK ||
        (status = read_packed(r, &sum)) != VALUE_OK)
        return status;
    if (argc == 0 || argc > ARGC_MAX)
        return journal_broken(r, argc ? "more than 16777216 arguments" : "a command without a name");
    if (sum > RDB_LENGTH_MAX)
        return journal_broken(r, "invalid size");
    if (r->len - r->at < sum + argc) {
        *r->wanted = r->at + (size_t)(sum + argc);
        return VALUE_MORE;
    }
    args_make_room(a, (size_t)argc);
    out->opcode = JOURNAL_COMMAND;
    out->argv = a->argv;
    out->argc = (size_t)argc;
    return read_arguments(a, r, (size_t)argc, sum);
}

enum value_status journal_read(struct journal_args *a, struct slice input, struct journal_item *out,
                               size_t *consumed, size_t *wanted, struct error *error)
{
    struct reading r = {.p = input.data, .len = input.len, .error = error, .wanted = wanted};
    uint64_t opcode;
    enum value_status status;

    if (input.len == 0) {
        *wanted = 1;
        return VALUE_MORE;
    }
    if ((status = read_packed(&r, &opcode)) != VALUE_OK)
        return status;
    out->opcode = (uint8_t)opcode;
    out->argv = NULL;
    out->argc = 0;
    out->value = 0;
    if (opcode == JOURNAL_COMMAND || opcode == JOURNAL_EXPIRED) {
        status = read_command(a, &r, out);
    } else if (opcode == JOURNAL_SELECT) {
        status = read_packed(&r, &out->value);
        if (status == VALUE_OK && out->value > DB_MAX)
            status = journal_broken(&r, "SELECT of a database above 65535");
    } else if (opcode == JOURNAL_LSN) {
        status = read_packed(&r, &out->value);
    } else if (opcode != JOURNAL_PING) {
        error_fatal(error, EX_PROTOCOL, "journal entry: opcode %llu is not known",
                    (unsigned long long)opcode);
        return VALUE_BROKEN;
    }
    *consumed = r.at;
    return status;
}
