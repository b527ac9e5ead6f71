/* Journaled commands into commands for the target: what the table says, behind the filters of databases and
 * keys. */
#include <stdlib.h>

#include "common/redis/topology.h"
#include "worker/translate/left_out.h"
#include "worker/translate/rewrite.h"

bool rewrite_report(struct translator *t, const char *reason, const struct command *c, struct slice key)
{
    if (t->report)
        t->report(t->report_arg, reason, c->name, key, 1);
    return true;
}

void rewrite_leave_out(struct translator *t, const char *name, struct slice key)
{
    rewrite_one_key(t, "DEL", key, OUTPUT_IDEMPOTENT);
    if (t->report)
        t->report(t->report_arg, DIVERGENCE_TOO_LARGE, name, key, 1);
}

enum { BESIDE_BYTES = 256 }; /* of a command with a value: its name, options, what RESTORE wraps it in */

bool rewrite_dump_fits(const struct translator *t, struct slice key, size_t bytes)
{
    size_t argument = capabilities_argument_bytes(t->target), command = capabilities_command_bytes(t->target);
    return bytes < argument && argument - bytes > 16 && bytes < command &&
           command - bytes > BESIDE_BYTES + key.len;
}

bool rewrite_value_fits(struct translator *t, const char *name, struct slice key, struct slice value)
{
    size_t argument = capabilities_argument_bytes(t->target), command = capabilities_command_bytes(t->target);
    bool fits = value.len <= argument && value.len < command && command - value.len > BESIDE_BYTES + key.len;
    if (fits || key.len > argument) /* of such a key the target has nothing */
        return true;
    rewrite_leave_out(t, name, key);
    return false;
}

bool rewrite_suspect(struct translator *t, const char *reason, const struct command *c, struct slice key)
{
    if (!t->suspect)
        return rewrite_report(t, reason, c, key);
    t->suspect(t->report_arg, t->db, key, reason, c->name);
    return true;
}

const char *rewrite_database_lacks(const struct translator *t, uint32_t db)
{
    if (db != 0 && output_by_slot(t->out))
        return DIVERGENCE_DATABASE;
    return capabilities_lack_database(t->target, db) ? DIVERGENCE_DATABASE_MISSING : NULL;
}

void rewrite_args(struct translator *t, const struct entry *e, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        output_arg(t->out, e->argv[i]);
}

bool rewrite_pass(struct translator *t, const struct entry *e, struct slice key, unsigned flags)
{
    output_begin(t->out, t->db, key, e->argc, flags);
    rewrite_args(t, e, 0, e->argc);
    output_end(t->out);
    return true;
}

bool rewrite_pass_as(struct translator *t, const struct entry *e, const char *name, struct slice key,
                     unsigned flags)
{
    output_begin(t->out, t->db, key, e->argc, flags);
    output_text(t->out, name);
    rewrite_args(t, e, 1, e->argc);
    output_end(t->out);
    return true;
}

bool rewrite_one_key(struct translator *t, const char *name, struct slice key, unsigned flags)
{
    output_begin(t->out, t->db, key, 2, flags);
    output_text(t->out, name);
    output_arg(t->out, key);
    output_end(t->out);
    return true;
}

void rewrite_probe(struct translator *t, struct slice key, unsigned flags, bool alone)
{
    char name[SLOT_KEY_BYTES];
    if (!output_wants_probe(t->out, key, flags, alone))
        return;
    slot_probe_key(name, sizeof name, t->settings->name, key_slot(key));
    output_begin(t->out, t->db, key, 3, flags);
    output_text(t->out, "HDEL"); /* whoever writes marks may do that */
    output_text(t->out, name);
    output_text(t->out, "probe");
    output_end(t->out);
}

bool rewrite_eval(struct translator *t, const struct command *c, const char *script, struct slice key,
                  size_t keys, size_t args, unsigned flags)
{
    if (!t->target->scripts) {
        rewrite_report(t, DIVERGENCE_COMMAND, c, key);
        return false;
    }
    rewrite_probe(t, key, flags, false);
    output_begin(t->out, t->db, key, 3 + keys + args, flags);
    output_text(t->out, "EVAL");
    output_text(t->out, script);
    output_i64(t->out, (int64_t)keys);
    return true;
}

bool rewrite_was_over(const struct translator *t, int64_t at_ms)
{
    return at_ms < translator_arrived_ms(t) - t->late_ms - REWRITE_SKEW_MS;
}

static int64_t put_off(const struct translator *t, int64_t at_ms)
{
    int64_t now = t->now_unix_ms();
    int64_t lag = t->lag_ms < REWRITE_GRACE_MS / 2 ? (int64_t)t->lag_ms : REWRITE_GRACE_MS / 2;
    int64_t near = now + REWRITE_NEAR_MS + 2 * lag;
    if (at_ms > now)
        return at_ms > near ? at_ms : near;
    return now + REWRITE_GRACE_MS;
}

int64_t rewrite_field_deadline(const struct translator *t, struct slice key, struct slice field,
                               int64_t at_ms)
{
    if (t->target->import_mode || rewrite_was_over(t, at_ms))
        return at_ms;
    int64_t told_ms = put_off(t, at_ms);
    if (t->told)
        t->told(t->report_arg, key, field, at_ms, told_ms);
    return told_ms;
}

int64_t rewrite_deadline(const struct translator *t, struct slice key, int64_t at_ms)
{
    return rewrite_field_deadline(t, key, slice_of(NULL, 0), at_ms);
}

bool rewrite_after(const struct translator *t, int64_t amount, int64_t unit_ms, int64_t *at_ms)
{
    return !__builtin_mul_overflow(amount, unit_ms, at_ms) &&
           !__builtin_add_overflow(*at_ms, translator_arrived_ms(t), at_ms);
}

bool rewrite_expiry_option(const struct translator *t, struct slice option, struct slice value,
                           int64_t *at_ms)
{
    int64_t n;
    if (!slice_to_i64(value, &n))
        return false;
    if (slice_is(option, "PXAT")) {
        *at_ms = n;
        return true;
    }
    if (slice_is(option, "EXAT"))
        return !__builtin_mul_overflow(n, INT64_C(1000), at_ms);
    if (slice_is(option, "EX"))
        return rewrite_after(t, n, 1000, at_ms);
    if (slice_is(option, "PX"))
        return rewrite_after(t, n, 1, at_ms);
    return false;
}

bool rewrite_target_6_2(const struct capabilities *target)
{
    return target->xadd_minid;
}

bool rewrite_target_7_0(const struct capabilities *target)
{
    return target->xgroup_entriesread;
}

bool rewrite_target_throttle(const struct capabilities *target)
{
    return target->throttle;
}

/* A name that is not in the table is data like any other: only what can be printed of it goes into reports.
 */
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

/* What becomes of a command whose row leaves its keys to the filter; *named: the key that would differ. */
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

/* The marks must not be touched by a source that has keys of their names. Reports it. */
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

/* What is left of a command that spanned shards are its keys: LMPOP key. */
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

/* MOVE out of a database that is not wanted may still end in one that is. */
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

/* SUNIONSTORE and the like come as one SADD of all members. Redis before 7.0 takes a million arguments, any
 * of them a gigabyte in all; beyond it closes the connection. */
enum { CUT_ARGS = 65536, CUT_BYTES = 64 << 20, ARGUMENT_BYTES = 16 };

static size_t cut_bytes(const struct translator *t)
{
    size_t most = capabilities_command_bytes(t->target) / 2;
    return most < CUT_BYTES ? most : CUT_BYTES;
}

/* The options of ZADD and GEOADD stand before what repeats. */
static size_t head_of(const struct command *c, const struct entry *e)
{
    size_t head = (size_t)c->head;
    while (c->rewrite == rewrite_zadd && head < e->argc && rewrite_zadd_option(e->argv[head]))
        head++;
    return head;
}

/* Is one of the arguments from..from+n-1 too large for the target? */
static bool has_large(const struct translator *t, const struct entry *e, size_t from, size_t n)
{
    size_t most = capabilities_argument_bytes(t->target);
    for (size_t i = from; i < from + n && i < e->argc; i++)
        if (e->argv[i].len > most)
            return true;
    return false;
}

/* What is too large stands alone, so that it alone is left out. */
static bool dispatch_in_parts(struct translator *t, const struct command *c, const struct entry *e,
                              struct error *error)
{
    size_t head = head_of(c, e), together = (size_t)c->repeat;
    if (head >= e->argc || (e->argc - head) % together != 0)
        return report_lost(t, c, e);
    struct slice *argv = translator_args(t, CUT_ARGS);
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
    if (c->class == COMMAND_DROP) /* what is passed on of these lies in no database */
        t->db = t->settings->target.db;
    const char *lacks = rewrite_database_lacks(t, t->db);
    if (lacks)
        return rewrite_report(t, lacks, c, command_first_key(c, e));
    if (c->class == COMMAND_GLOBAL)
        return error_fatal(error, 0, "%s of the journal was not held at the barrier of all FLOWs", c->name);
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
