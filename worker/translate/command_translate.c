/* Translates journaled commands by the table of commands, after the filters of databases and keys. */
#include <stdlib.h>

#include "worker/translate/commands.h"
#include "worker/translate/left_out.h"
#include "worker/translate/rewrite.h"

/* A name that is not in the table is untrusted data: reports have its printable bytes only. */
static bool report_unknown(struct translator *t, const struct entry *e)
{
    static const char hex[] = "0123456789abcdef";
    char name[64];
    size_t n = 0;
    for (size_t i = 0; i < e->argv[0].len && n + 4 < sizeof name; i++) {
        uint8_t byte = e->argv[0].data[i];
        if (byte > ' ' && byte < 0x7f) {
            name[n++] = (char)byte;
            continue;
        }
        name[n++] = '\\';
        name[n++] = 'x';
        name[n++] = hex[byte >> 4];
        name[n++] = hex[byte & 15];
    }
    name[n] = '\0';
    if (t->report)
        t->report(t->report_arg, DIVERGENCE_UNKNOWN, name, e->argc > 1 ? e->argv[1] : slice_of(NULL, 0), 1);
    return true;
}

/* The verdict of the key filter on a command without FILTER_REWRITE; *named: the key that would differ. */
enum verdict { PASS, DROP, REPORT };

static enum verdict filter_keys(struct translator *t, const struct command *c, const struct entry *e,
                                struct slice *named)
{
    size_t fixed[8], *positions = fixed, wanted = 0;
    size_t n = command_keys(c, e, fixed, sizeof fixed / sizeof *fixed);
    if (n > sizeof fixed / sizeof *fixed) {
        positions = x_calloc(n, sizeof *positions);
        command_keys(c, e, positions, n);
    }
    bool first_wanted = false;
    for (size_t i = 0; i < n; i++) {
        struct slice key = e->argv[positions[i]];
        if (!rewrite_wanted(t, key))
            continue;
        first_wanted |= i == 0;
        if (wanted++ == 0)
            *named = key;
    }
    if (positions != fixed)
        free(positions);
    if (wanted == n)
        return PASS;
    return wanted == 0 || (c->filter == FILTER_STORE && !first_wanted) ? DROP : REPORT;
}

static bool mentions_reserved_name(const struct translator *t, const struct entry *e)
{
    for (size_t i = 1; i < e->argc; i++)
        if (settings_key_reserved(t->settings, e->argv[i]))
            return true;
    return false;
}

static bool is_destination(const struct entry *e, size_t at)
{
    return slice_is(e->argv[at - 1], "STORE") || slice_is(e->argv[at - 1], "STOREDIST");
}

/* The source may have keys with the names of marks: commands on them are reported, not run. */
static bool names_reserved_key(struct translator *t, const struct command *c, const struct entry *e)
{
    if (!mentions_reserved_name(t, e))
        return false;
    struct slice found = {0};
    size_t n = command_keys(c, e, NULL, 0), *positions = x_calloc(n + 1, sizeof *positions);
    command_keys(c, e, positions, n);
    for (size_t i = n; i > 0; i--)
        if (settings_key_reserved(t->settings, e->argv[positions[i - 1]]))
            found = e->argv[positions[i - 1]];
    for (size_t i = 2; i < e->argc && !found.len; i++)
        if (is_destination(e, i) && settings_key_reserved(t->settings, e->argv[i]))
            found = e->argv[i];
    free(positions);
    return found.len && rewrite_report(t, DIVERGENCE_RESERVED, c, found);
}

static bool unsupported(struct translator *t, const struct command *c, const struct entry *e)
{
    bool search = strncmp(c->name, "FT.", 3) == 0;
    if (strstr(c->name, ".LOADCHUNK"))
        left_out_note(t, command_first_key(c, e), RDB_SBF2);
    return rewrite_report(t, search ? DIVERGENCE_SEARCH : DIVERGENCE_COMMAND, c, command_first_key(c, e));
}

/* A command across shards, of which the journal has the keys only: LMPOP key. */
static bool report_lost(struct translator *t, const struct command *c, const struct entry *e)
{
    struct slice key = command_first_key(c, e);
    for (size_t i = 1; t->suspect && i < e->argc; i++)
        t->suspect(t->report_arg, t->db, e->argv[i], DIVERGENCE_LOST_BY_SOURCE, c->name);
    if (t->suspect && e->argc > 1)
        return true;
    if (key.len == 0 && e->argc > 1)
        key = e->argv[1];
    return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, key);
}

/* MOVE from an unwanted database into a wanted one. */
static bool moves_into_wanted_db(const struct translator *t, const struct command *c, const struct entry *e)
{
    uint64_t db;
    uint32_t target_db;
    return c->rewrite == rewrite_move && e->argc == 3 && slice_to_u64(e->argv[2], &db) && db <= UINT32_MAX &&
           settings_db_target(t->settings, (uint32_t)db, &target_db) && rewrite_wanted(t, e->argv[1]);
}

static bool dispatch(struct translator *t, const struct command *c, const struct entry *e,
                     struct error *error)
{
    if (c->rewrite)
        return c->rewrite(t, c, e, error);
    if (c->class == COMMAND_UNSUPPORTED)
        return unsupported(t, c, e);
    return rewrite_pass(t, e, command_first_key(c, e),
                        (c->class == COMMAND_ONCE ? OUTPUT_ONCE : OUTPUT_IDEMPOTENT) |
                            (c->effective ? rewrite_effective(t) : 0));
}

/* SUNIONSTORE and others are journaled as one SADD of all members. Redis before 7.0 closes the connection above a
 * million arguments, any Redis above a gigabyte in all. */
enum { CUT_ARGS = 65536, CUT_BYTES = 64 << 20, ARGUMENT_BYTES = 16 };

static size_t cut_bytes(const struct translator *t)
{
    size_t most = capabilities_command_bytes(t->target) / 2;
    return most < CUT_BYTES ? most : CUT_BYTES;
}

/* Room for n arguments. */
static struct slice *room_for_args(struct translator *t, size_t n)
{
    if (n > t->args_capacity) {
        t->args_capacity = n < 64 ? 64 : n * 2;
        t->args = x_realloc(t->args, t->args_capacity * sizeof *t->args);
    }
    return t->args;
}

/* Number of arguments before the repeating ones, with the options of ZADD and GEOADD. */
static size_t head_of(const struct command *c, const struct entry *e)
{
    size_t head = (size_t)c->head;
    while (c->rewrite == rewrite_zadd && head < e->argc && rewrite_zadd_option(e->argv[head]))
        head++;
    return head;
}

/* Whether one of the arguments from..from+n-1 is too large for the target. */
static bool has_large(const struct translator *t, const struct entry *e, size_t from, size_t n)
{
    size_t most = capabilities_argument_bytes(t->target);
    for (size_t i = from; i < from + n && i < e->argc; i++)
        if (e->argv[i].len > most)
            return true;
    return false;
}

/* A too large argument is in a command of its own, so that only this one is left out. */
static bool dispatch_in_parts(struct translator *t, const struct command *c, const struct entry *e,
                              struct error *error)
{
    size_t head = head_of(c, e), together = (size_t)c->repeat;
    if (head >= e->argc || (e->argc - head) % together != 0)
        return report_lost(t, c, e);
    struct slice *argv = room_for_args(t, CUT_ARGS);
    struct entry part = *e;
    memcpy(argv, e->argv, head * sizeof *argv);
    part.argv = argv;
    for (size_t i = head; i < e->argc;) {
        size_t bytes = 0;
        bool alone = has_large(t, e, i, together);
        for (part.argc = head; i < e->argc && part.argc + together <= CUT_ARGS && bytes < cut_bytes(t) &&
                               (part.argc == head || (!alone && !has_large(t, e, i, together)));)
            for (size_t k = 0; k < together; k++, i++) {
                bytes += e->argv[i].len + ARGUMENT_BYTES;
                argv[part.argc++] = e->argv[i];
            }
        if (!dispatch(t, c, &part, error))
            return false;
    }
    return true;
}

static bool dispatch_any_size(struct translator *t, const struct command *c, const struct entry *e,
                              struct error *error)
{
    uint64_t bytes = 0, most = capabilities_argument_bytes(t->target);
    bool cut = e->argc > CUT_ARGS;
    for (size_t i = 0; i < e->argc; i++) {
        bytes += e->argv[i].len + ARGUMENT_BYTES;
        cut |= e->argv[i].len > most;
    }
    cut |= bytes > cut_bytes(t);
    if (c->repeat && cut && !has_large(t, e, 1, head_of(c, e) - 1))
        return dispatch_in_parts(t, c, e, error);
    return dispatch(t, c, e, error);
}

bool translate_command(struct translator *t, const struct entry *e, struct error *error)
{
    const struct command *c = e->argc ? command_find(e->argv[0]) : NULL;
    if (e->argc == 0)
        return error_fatal(error, 0, "journal entry %llu is a command without a name",
                           (unsigned long long)e->lsn);
    if (!settings_db_target(t->settings, e->db, &t->db)) {
        if (c && moves_into_wanted_db(t, c, e))
            rewrite_report(t, DIVERGENCE_FILTER, c, e->argv[1]);
        return true;
    }
    if (!c)
        return report_unknown(t, e);
    if (c->class == COMMAND_DROP) /* those that are passed on do not depend on a database */
        t->db = t->settings->target.db;
    const char *lacks = rewrite_database_lacks(t, t->db);
    if (lacks)
        return rewrite_report_lacking(t, lacks, c, command_first_key(c, e), t->db);
    if (c->class == COMMAND_GLOBAL)
        return error_fatal(error, 0, "%s of the journal was not held until all FLOWs had reached it",
                           c->name);
    if (c->class == COMMAND_DROP && !c->rewrite)
        return true;
    t->reserved = !t->all_wanted && names_reserved_key(t, c, e);
    if (rewrite_filtered(t) && c->filter != FILTER_REWRITE) {
        struct slice named = {0};
        enum verdict verdict = filter_keys(t, c, e, &named);
        if (verdict != PASS)
            return verdict == DROP || rewrite_report(t, DIVERGENCE_FILTER, c, named);
    }
    if (!command_arity_fits(c, e->argc))
        return report_lost(t, c, e);
    if (c->able && !c->able(t->target))
        return unsupported(t, c, e);
    return left_out_takes(t, c, e) || dispatch_any_size(t, c, e, error);
}
