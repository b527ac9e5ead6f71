/* Shared by the rewrites: reports, limits of the target, unchanged commands, scripts, times. */
#include "worker/translate/rewrite.h"

#include "common/redis/topology.h"

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

enum { BESIDE_BYTES = 256 }; /* bytes of a command besides its value: name, options, footer of RESTORE */

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
    if (fits || key.len > argument) /* the target has no key of this length */
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

bool rewrite_report_lacking(struct translator *t, const char *reason, const struct command *c,
                            struct slice key, uint32_t db)
{
    t->lacking_db = db;
    return rewrite_report(t, reason, c, key);
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
    output_text(t->out, "HDEL"); /* permitted to any user that may write marks */
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
    if (rewrite_was_over(t, at_ms))
        return at_ms;
    int64_t told_ms = t->target->import_mode ? at_ms : put_off(t, at_ms);
    if (t->told)
        t->told(t->told_arg, key, field, at_ms, told_ms);
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
