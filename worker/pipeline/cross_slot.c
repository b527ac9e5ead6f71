/* The steps of a cross-slot command. A value that is copied from one node to another is in memory as a whole. */
#include "worker/pipeline/cross_slot.h"

#include <stdlib.h>
#include <strings.h>

#include "common/ipc/divergence.h"
#include "common/redis/topology.h"
#include "worker/pipeline/cross_slot_plan.h"
#include "worker/translate/rewrite.h"

/* The value of one source key. */
struct reading {
    struct buf value;
    bool present;
    int64_t expire_ms; /* Unix ms; 0: none */
};

struct cross {
    struct flow *flow;
    struct router *router;
    struct translator *translator;
    struct commit *commit;
    struct cross_plan plan;
    struct entry entry; /* with copies of its arguments */
    struct buf bytes;
    struct slice *argv;
    struct reading *readings; /* of plan.sources */
    size_t reading;
    bool nothing;    /* the source key or member does not exist */
    bool written;    /* the step's commands are in a round */
    uint64_t serial; /* answers with an earlier one are ignored */
};

static void cross_reset(struct cross *c)
{
    for (size_t i = 0; i < c->plan.source_count; i++)
        buf_free(&c->readings[i].value);
    free(c->readings);
    free(c->argv);
    buf_free(&c->bytes);
    cross_plan_free(&c->plan);
    *c = (struct cross){.flow = c->flow,
                        .router = c->router,
                        .translator = c->translator,
                        .commit = c->commit,
                        .serial = c->serial + 1};
}

struct cross *cross_new(struct flow *flow, struct router *router, struct translator *translator,
                        struct commit *commit)
{
    struct cross *c = x_calloc(1, sizeof *c);
    *c = (struct cross){.flow = flow, .router = router, .translator = translator, .commit = commit};
    return c;
}

void cross_free(struct cross *c)
{
    if (!c)
        return;
    cross_reset(c);
    free(c);
}

void cross_cancel(struct cross *c)
{
    cross_reset(c);
}

static void keep_entry(struct cross *c, const struct entry *e)
{
    size_t total = 0;
    for (size_t i = 0; i < e->argc; i++)
        total += e->argv[i].len;
    buf_reserve(&c->bytes, total);
    c->argv = x_calloc(e->argc, sizeof *c->argv);
    for (size_t i = 0; i < e->argc; i++) {
        c->argv[i] = slice_of(c->bytes.data + c->bytes.len, e->argv[i].len);
        buf_put(&c->bytes, e->argv[i].data, e->argv[i].len);
    }
    c->entry = *e;
    c->entry.argv = c->argv;
}

static uint16_t slot_of(const struct cross *c, size_t position)
{
    return key_slot(c->argv[position]);
}

static bool slot_is_written(const struct cross *c, size_t position)
{
    return router_slot_has(c->router, slot_of(c, position), c->entry.seq, c->entry.lsn);
}

/* Number of replicas of the destination's node that must have a step before the next begins. 0 within one slot, whose
 * replicas apply both steps in order. */
static uint32_t destination_replicas(const struct cross *c)
{
    return c->plan.one_slot ? 0 : router_replicas(c->router, slot_of(c, c->plan.destination));
}

/* Whether the slot of a source is past the command. */
static bool source_is_past(const struct cross *c)
{
    for (size_t i = 0; i < c->plan.source_count; i++) {
        uint64_t seq = c->entry.seq + !c->plan.moves, lsn = c->entry.lsn + !c->plan.moves;
        if (router_slot_has(c->router, slot_of(c, c->plan.sources[i]), seq, lsn))
            return true;
    }
    return false;
}

static void cross_finish(struct cross *c)
{
    c->flow->hold = HOLD_NONE;
    cross_cancel(c);
    flow_wake(c->flow);
}

bool cross_begin(struct cross *c, const struct entry *e, bool *taken, struct error *error)
{
    struct cross_plan plan;
    *taken = false;
    if (!cross_plan(c->translator, c->router, e, &plan))
        return true;
    *taken = true;
    c->plan = plan;
    c->readings = x_calloc(plan.source_count ? plan.source_count : 1, sizeof *c->readings);
    c->reading = 0;
    keep_entry(c, e);
    bool written = slot_is_written(c, plan.destination), went_on = source_is_past(c);
    if (!written && went_on)
        return error_set(
            error, ERROR_REDIRECT,
            "%.*s: the slot of its source is past the command, and the slot of its destination has lost "
            "it; a full sync is needed",
            (int)(e->argv[0].len < 32 ? e->argv[0].len : 32), (const char *)e->argv[0].data);
    if (written && (went_on || !plan.moves)) {
        cross_cancel(c);
        return true;
    }
    c->flow->hold = HOLD_CROSS_DRAINING;
    return true;
}

/* ---- reading ---- */

static void read_next_source(struct cross *c);

static void reading_failed(struct cross *c, const struct redisReply *reply)
{
    struct error error;
    error_set(&error, ERROR_RETRY, "reading the source key of a cross-slot command: %.200s",
              reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply");
    router_wait(c->router, &error);
}

/* Whether the answer is to the current question. */
static bool answer_is_awaited(const struct cross *c, uint64_t serial)
{
    return c->serial == serial && c->flow->hold == HOLD_CROSS_READING;
}

static void on_expiry(void *arg, uint64_t serial, const redisReply *reply)
{
    struct cross *c = arg;
    if (!answer_is_awaited(c, serial))
        return;
    if (reply->type != REDIS_REPLY_INTEGER) {
        reading_failed(c, reply);
        return;
    }
    struct reading *r = &c->readings[c->reading++];
    if (reply->integer > 0)
        r->expire_ms = reply->integer;
    read_next_source(c);
}

static void on_value(void *arg, uint64_t serial, const redisReply *reply)
{
    struct cross *c = arg;
    if (!answer_is_awaited(c, serial))
        return;
    struct reading *r = &c->readings[c->reading];
    /* The key has another type than the command needs: the source refused the command, too. */
    bool wrong = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0;
    r->present = reply->type == REDIS_REPLY_STRING || (reply->type == REDIS_REPLY_INTEGER && reply->integer);
    if (reply->type == REDIS_REPLY_STRING)
        buf_put(&r->value, reply->str, (size_t)reply->len);
    else if (reply->type != REDIS_REPLY_NIL && reply->type != REDIS_REPLY_INTEGER && !wrong) {
        reading_failed(c, reply);
        return;
    }
    if (!c->plan.dumps) {
        c->reading++;
        read_next_source(c);
    }
}

static void read_next_source(struct cross *c)
{
    if (c->reading == c->plan.source_count) {
        bool apart = c->plan.moves || destination_replicas(c);
        c->flow->hold = apart ? HOLD_CROSS_WRITING : HOLD_CROSS_LAST;
        flow_wake(c->flow);
        return;
    }
    uint16_t slot = slot_of(c, c->plan.sources[c->reading]);
    struct slice argv[4];
    size_t argc = cross_plan_question(&c->plan, &c->entry, c->reading, argv);
    router_ask(c->router, slot, on_value, c, c->serial, argc, argv);
    if (c->plan.dumps) {
        argc = cross_plan_expiry_question(c->translator->target, argv[1], argv);
        router_ask(c->router, slot, on_expiry, c, c->serial, argc, argv);
    }
}

/* ---- writing ---- */

static void begin_writing(struct cross *c)
{
    router_begin_entry(c->router, &c->entry);
    output_entry(c->translator->out, c->entry.seq);
    settings_db_target(&c->flow->settings, c->entry.db, &c->translator->db);
}

static void write_removal(struct cross *c, struct slice name)
{
    output_begin(c->translator->out, 0, name, 2, OUTPUT_ONCE);
    output_text(c->translator->out, "DEL");
    output_arg(c->translator->out, name);
    output_end(c->translator->out);
}

/* A value too large for one command: its pieces are in the MULTI of the removal. */
static void write_pieces(struct cross *c, struct slice key, const struct reading *r)
{
    struct error error;
    write_removal(c, key);
    if (!translate_dump(c->translator, key, buf_slice(&r->value), r->expire_ms, &error))
        c->translator->report(c->translator->report_arg, DIVERGENCE_TOO_LARGE, "RESTORE", key, 1);
}

static void write_restore(struct cross *c, struct slice key, const struct reading *r, unsigned flags)
{
    struct output *o = c->translator->out;
    if (!rewrite_dump_fits(c->translator, key, r->value.len)) {
        write_pieces(c, key, r);
        return;
    }
    output_begin(o, 0, key, 6, flags);
    output_text(o, "RESTORE");
    output_arg(o, key);
    output_i64(o, r->expire_ms);
    output_arg(o, buf_slice(&r->value));
    output_text(o, "ABSTTL");
    output_text(o, "REPLACE");
    output_end(o);
}

/* Name of the copy of source i in the slot of the destination. */
static void temporary_name(const struct cross *c, size_t i, struct buf *out)
{
    uint16_t slot = slot_of(c, c->plan.destination);
    buf_printf(out, "df2redis:%s:tmp:{%s}:%zu", c->flow->settings.name, slot_tag(slot), i);
}

/* The source of the journal moved something, and the target has nothing to move: both keys may be wrong. */
static void suspect_both_keys(struct cross *c)
{
    if (!flow_heals(c->flow))
        return;
    flow_suspect(c->flow, c->translator->db, c->argv[c->plan.sources[0]], SUSPECT_ABSENT, c->plan.name);
    flow_suspect(c->flow, c->translator->db, c->argv[c->plan.destination], SUSPECT_ABSENT, c->plan.name);
}

/* Writes the mark alone: a promoted replica needs it, as the source is past the command by then. */
static void write_nothing_moved(struct cross *c)
{
    struct buf name = {0};
    c->nothing = true;
    suspect_both_keys(c);
    if (c->plan.dumps) /* RENAME; the other commands allow a missing source */
        c->translator->report(c->translator->report_arg, DIVERGENCE_REFUSED, c->plan.name,
                              c->argv[c->plan.sources[0]], 1);
    if (!destination_replicas(c) && !c->plan.one_slot)
        return;
    temporary_name(c, 0, &name);
    write_removal(c, buf_slice(&name));
    buf_free(&name);
}

static void write_moved(struct cross *c)
{
    struct output *o = c->translator->out;
    struct slice to = c->argv[c->plan.destination];
    unsigned flags = c->plan.one_slot ? OUTPUT_IDEMPOTENT : OUTPUT_ONCE;
    if (!c->readings[0].present) {
        write_nothing_moved(c);
        return;
    }
    if (c->plan.dumps) {
        write_restore(c, to, &c->readings[0], flags);
        return;
    }
    output_begin(o, 0, to, 3, flags);
    output_text(o, c->plan.put);
    output_arg(o, to);
    output_arg(o, c->plan.member ? c->argv[c->plan.member] : buf_slice(&c->readings[0].value));
    output_end(o);
}

static void write_taken(struct cross *c)
{
    struct output *o = c->translator->out;
    struct slice from = c->argv[c->plan.sources[0]];
    output_begin(o, 0, from, c->plan.member ? 3 : 2, OUTPUT_ONCE);
    output_text(o, c->plan.take);
    output_arg(o, from);
    if (c->plan.member)
        output_arg(o, c->argv[c->plan.member]);
    output_end(o);
}

/* The command, with copies of its sources in the slot of its destination. */
static bool write_gathered(struct cross *c, struct error *error)
{
    struct buf *names = x_calloc(c->plan.source_count, sizeof *names);
    for (size_t i = 0; i < c->plan.source_count; i++) {
        temporary_name(c, i, &names[i]);
        if (c->readings[i].present) {
            c->readings[i].expire_ms = 0;
            write_restore(c, buf_slice(&names[i]), &c->readings[i], OUTPUT_ONCE);
        }
        c->argv[c->plan.sources[i]] = buf_slice(&names[i]);
    }
    c->translator->all_wanted = true;
    bool ok = translate(c->translator, &c->entry, error);
    c->translator->all_wanted = false;
    for (size_t i = 0; i < c->plan.source_count; i++) {
        write_removal(c, buf_slice(&names[i]));
        buf_free(&names[i]);
    }
    free(names);
    return ok;
}

/* The commands of the current step; none when it is applied already. False: failed. */
static bool write_commands(struct cross *c, struct error *error)
{
    if (c->flow->hold == HOLD_CROSS_REPLICATING)
        router_put_wait(c->router, slot_of(c, c->plan.destination));
    else if (c->plan.moves && c->flow->hold == HOLD_CROSS_WRITING)
        write_moved(c);
    else if (c->plan.moves && !c->nothing)
        write_taken(c);
    else if (!c->plan.moves && !slot_is_written(c, c->plan.destination))
        return write_gathered(c, error);
    return true;
}

static void write_step(struct cross *c)
{
    struct error error;
    /* Borrowed bytes must outlive the round; the temporary names do not. */
    size_t borrowing = output_borrowing(c->translator->out);
    output_borrow_from(c->translator->out, 0);
    begin_writing(c);
    bool ok = write_commands(c, &error);
    output_borrow_from(c->translator->out, borrowing);
    c->written = true;
    if (!ok)
        flow_fail(c->flow, &error);
    else if (round_empty(router_open(c->router))) {
        cross_finish(c);
        commit_hold_done(c->commit);
    }
}

void cross_advance(struct cross *c)
{
    if (!round_empty(router_open(c->router)) || !router_idle(c->router))
        return;
    if (c->flow->hold == HOLD_CROSS_DRAINING) {
        c->written = false;
        c->flow->hold = HOLD_CROSS_READING;
        if (slot_is_written(c, c->plan.destination))
            c->flow->hold = HOLD_CROSS_LAST; /* written before a restart of the worker */
        else
            read_next_source(c);
    }
    if (c->flow->hold >= HOLD_CROSS_WRITING && !c->written) {
        write_step(c);
        flow_wake(c->flow);
    }
}

void cross_acknowledged(struct cross *c, uint64_t seq)
{
    if (!commit_between_steps(c->commit) && !(c->flow->hold == HOLD_CROSS_LAST && seq == c->entry.seq))
        return;
    if (c->flow->hold == HOLD_CROSS_LAST) {
        cross_finish(c);
        return;
    }
    uint16_t slot = slot_of(c, c->plan.destination);
    if (c->flow->hold == HOLD_CROSS_REPLICATING) {
        router_waited(c->router, slot);
        c->flow->hold = HOLD_CROSS_LAST;
    } else {
        /* The round ends before the command, so its acknowledgement does not record the slot. */
        if (!c->plan.one_slot)
            router_slot_did(c->router, slot, c->entry.seq);
        c->flow->hold = destination_replicas(c) ? HOLD_CROSS_REPLICATING : HOLD_CROSS_LAST;
    }
    c->written = false;
    flow_wake(c->flow);
}

/* The node refused WAIT, as a replica does: the topology has changed. */
void cross_not_replicated(struct cross *c, const char *text)
{
    struct error error;
    error_set(&error, ERROR_RETRY, "waiting for the replicas of a node: %.200s", text);
    router_wait(c->router, &error);
}
