/* What follows from the target's answers: the router's callbacks. */
#include "worker/pipeline/answers.h"

#include <stdio.h>
#include <sysexits.h>

#include "common/ipc/divergence.h"
#include "worker/keys/suspects.h"
#include "worker/pipeline/report.h"
#include "worker/pipeline/script_name.h"
#include "worker/translate/commands.h"
#include "worker/translate/elements.h"

static void on_ready(void *arg, const struct position *at, const struct capabilities *target)
{
    struct pipeline *p = arg;
    struct error error;
    p->flow->target = *target;
    /* In a cluster some nodes were asked long ago. */
    if (p->flow->clock_told && p->flow->clock_told_ms > target->clock_ahead_ms)
        p->flow->target.clock_ahead_ms = p->flow->clock_told_ms;
    p->flow->hold = HOLD_NONE;
    p->commit.marks_owed = false;
    cross_cancel(p->cross);
    if (!rewind_to_target(p, at, &error)) {
        flow_fail(p->flow, &error);
        return;
    }
    router_save_nodes(p->router);
    if (p->flow->suspects)
        suspects_forget_differences(p->flow->suspects);
    p->flow->ready = true;
    flow_wake(p->flow);
}

static void on_acknowledged(void *arg, struct round *r)
{
    struct pipeline *p = arg;
    pump_acknowledged(p, r);
    heal_go_on(p->heal);
}

static void describe_command(const struct batch *b, uint32_t i, char *name, size_t name_bytes,
                             struct slice *key)
{
    struct slice word;
    if (!batch_describe(b, i, &word, key)) {
        word = slice_str("?");
        *key = slice_of("", 0);
    }
    snprintf(name, name_bytes, "%.*s", (int)word.len, (const char *)word.data);
}

/* Reports command i of the batch. */
static bool report_command(struct pipeline *p, const struct batch *b, uint32_t i, const char *reason,
                           const char *text)
{
    struct slice key, word;
    char name[64];
    uint32_t db = p->flow->settings.target.db;
    describe_command(b, i, name, sizeof name, &key);
    batch_command(b, i, &word, 1, &db);
    return flow_report(p->flow, &(struct report){reason, name, db, key, 1, text});
}

/* A command that runs again may be refused as the key has the state after later commands, which also run again: no
 * difference. If its first answer was lost, only XADD is sure to be such a case: the stream has its entry. */
static bool xadd_met_its_entry(const struct pipeline *p, uint64_t seq, const char *text)
{
    return seq <= p->flow->seen_seq && strstr(text, "equal or smaller than the target stream");
}

static bool command_met_later_state(const struct pipeline *p, uint64_t seq, const char *text)
{
    return seq <= p->answered_seq || xadd_met_its_entry(p, seq, text);
}

/* Makes the keys of a refused command suspects. False: it has none. */
static bool suspect_keys(struct pipeline *p, const struct batch *b, uint32_t i, const char *reason,
                         const char *text)
{
    struct slice argv[SUSPECT_ARGS], keys[SUSPECT_ARGS];
    uint32_t db = p->flow->settings.target.db;
    size_t argc = batch_command(b, i, argv, SUSPECT_ARGS, &db);
    size_t n = argc ? command_written_keys(argv, argc, keys, SUSPECT_ARGS) : 0;
    char name[SUSPECT_WORD_BYTES];
    if (!n || slice_begins(keys[0], "df2redis:"))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)argv[0].len, (const char *)argv[0].data);
    log_debug("%s %s will be compared with the source: %s", name, log_key(keys[0]), text);
    for (size_t k = 0; k < n; k++)
        flow_suspect(p->flow, db, keys[k], reason, name);
    return true;
}

/* A script with Dragonfly's own syntax, or with flags that Redis does not have. */
static bool on_script_refused(struct pipeline *p, const struct batch *b, uint32_t i, const char *text)
{
    struct slice argv[SUSPECT_ARGS];
    uint32_t db = 0;
    char name[SCRIPT_NAME_BYTES];
    if (batch_command(b, i, argv, SUSPECT_ARGS, &db) != 3 || !slice_is(argv[0], "SCRIPT"))
        return false;
    script_name(argv[2], name, sizeof name);
    flow_report(p->flow, &(struct report){DIVERGENCE_SCRIPT, "SCRIPT LOAD", 0, slice_str(name), 1, text});
    return true;
}

/* By the ACL: neither reading the key nor writing it anew would be let through. */
static bool is_denied(const char *text)
{
    return strncmp(text, "NOPERM", 6) == 0 || strstr(text, "ACL failure in script") ||
           strstr(text, "The user executing the script ");
}

static void on_refused(void *arg, const struct batch *b, uint32_t i, const char *text)
{
    struct pipeline *p = arg;
    struct slice key;
    char name[64];
    if (p->flow->hold == HOLD_CROSS_REPLICATING) {
        cross_not_replicated(p->cross, text);
        return;
    }
    bool again = command_met_later_state(p, batch_command_seq(b, i), text);
    if (flush_refused(&p->flush, text) || on_script_refused(p, b, i, text) ||
        (flow_heals(p->flow) && !is_denied(text) && !xadd_met_its_entry(p, batch_command_seq(b, i), text) &&
         suspect_keys(p, b, i, again ? SUSPECT_UNHEARD : DIVERGENCE_REFUSED, text)))
        return;
    describe_command(b, i, name, sizeof name, &key);
    if (again) {
        log_debug("%s %s was refused while being run again: %s", name, log_key(key), text);
        return;
    }
    if (report_command(p, b, i, DIVERGENCE_REFUSED, text))
        log_debug("the target refused %s %s: %s", name, log_key(key), text);
}

/* A pending entry of a deleted message: no command creates it, only RESTORE of the stream. */
static void on_unclaimed(struct pipeline *p, const struct batch *b, uint32_t i)
{
    if (!flow_heals(p->flow) ||
        !suspect_keys(p, b, i, DIVERGENCE_STREAM, "a pending entry of a deleted message"))
        report_command(p, b, i, DIVERGENCE_STREAM, NULL);
}

/* Whether the XCLAIM is one that stream_tail_write() makes from a value, not one of the journal. */
static bool is_pending_of_value(const struct batch *b, uint32_t i, const char *name)
{
    struct slice argv[STREAM_PENDING_ARGS + 1];
    uint32_t db = 0;
    return strcmp(name, "XCLAIM") == 0 &&
           batch_command(b, i, argv, STREAM_PENDING_ARGS + 1, &db) == STREAM_PENDING_ARGS &&
           slice_is(argv[STREAM_PENDING_ARGS - 1], "JUSTID");
}

/* Whether the answer is to a first run: a command that runs again may find the key as later commands left it. A once
 * command never does. */
static bool answered_in_place(const struct pipeline *p, const struct batch *b, uint32_t i, const char *name)
{
    const struct command *c = command_find(slice_str(name));
    return (c && c->class == COMMAND_ONCE) || batch_command_seq(b, i) > p->flow->seen_seq;
}

static void on_conflict(void *arg, const struct batch *b, uint32_t i)
{
    struct pipeline *p = arg;
    struct slice key;
    struct error error;
    char name[64];
    describe_command(b, i, name, sizeof name, &key);
    if (is_pending_of_value(b, i, name)) {
        on_unclaimed(p, b, i);
        return;
    }
    if (strcmp(name, "JSON.NUMINCRBY") == 0) {
        if (!flow_heals(p->flow) ||
            !suspect_keys(p, b, i, DIVERGENCE_DIFFERS, "the sum is beyond what is exact"))
            report_command(p, b, i, DIVERGENCE_DIFFERS, NULL);
        return;
    }
    if (flow_heals(p->flow)) {
        if (answered_in_place(p, b, i, name))
            suspect_keys(p, b, i, SUSPECT_ABSENT, "no effect on the target");
        return;
    }
    if (p->flow->settings.on_conflict == ON_CONFLICT_STOP) {
        error_fatal(
            &error, EX_CANTCREAT,
            "the key %s exists on the target already (--on-conflict stop): remove it, or choose overwrite "
            "or skip",
            log_key(key));
        flow_fail(p->flow, &error);
        return;
    }
    report_command(p, b, i, DIVERGENCE_CONFLICT, NULL);
}

static void on_lost(void *arg, const struct error *error)
{
    struct pipeline *p = arg;
    p->flow->ready = p->contact_waits = false;
    p->commit.had_trouble = true;
    cursor_set(&p->flow->cursor.marks->in_contact, 0);
    cursor_add(&p->flow->cursor.marks->target_waits, 1);
    flush_leave(&p->flush);
    if (error->class != ERROR_RETRY)
        flow_fail(p->flow, error);
}

static void on_writable(void *arg)
{
    pump(arg);
}

struct router_callbacks answers_callbacks(struct pipeline *p)
{
    return (struct router_callbacks){.arg = p,
                                     .ready = on_ready,
                                     .acknowledged = on_acknowledged,
                                     .refused = on_refused,
                                     .conflict = on_conflict,
                                     .lost = on_lost,
                                     .writable = on_writable};
}
