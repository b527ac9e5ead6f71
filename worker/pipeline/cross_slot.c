/* The steps of a command across slots. Values on their way from one node to another are held in memory whole.
 */
#include "worker/pipeline/cross_slot.h"

#include <stdlib.h>
#include <strings.h>

#include "common/redis/topology.h"
#include "worker/pipeline/cross_slot_plan.h"
#include "worker/translate/rewrite.h"

/* What was read of one source. */
struct reading {
    struct buf value;
    bool present;
    int64_t expire_ms; /* Unix ms; 0: none */
};

struct cross {
    struct cross_plan plan;
    struct entry entry; /* its arguments are our own copy */
    struct buf bytes;
    struct slice *argv;
    struct reading *readings; /* of plan.sources */
    size_t reading;
    bool nothing;    /* to be moved */
    uint64_t serial; /* answers to an earlier one are late */
};

static void forget(struct cross *c)
{
    for (size_t i = 0; i < c->plan.source_count; i++)
        buf_free(&c->readings[i].value);
    free(c->readings);
    free(c->argv);
    buf_free(&c->bytes);
    cross_plan_free(&c->plan);
    uint64_t serial = c->serial;
    *c = (struct cross){.serial = serial + 1};
}

void cross_free(struct cross *c)
{
    if (!c)
        return;
    forget(c);
    free(c);
}

void cross_cancel(struct worker *w)
{
    if (w->cross)
        forget(w->cross);
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

static bool done(const struct worker *w, const struct cross *c, size_t position)
{
    return router_slot_has(w->router, slot_of(c, position), c->entry.seq, c->entry.lsn);
}

/* How many replicas the destination's node has that must have a step before the next. Within a slot they have
 * both in order. */
static uint32_t replicas(const struct worker *w, const struct cross *c)
{
    return c->plan.one_slot ? 0 : router_replicas(w->router, slot_of(c, c->plan.destination));
}

/* Does a source stand behind the command already? */
static bool source_went_on(const struct worker *w, const struct cross *c)
{
    for (size_t i = 0; i < c->plan.source_count; i++) {
        uint64_t seq = c->entry.seq + !c->plan.moves, lsn = c->entry.lsn + !c->plan.moves;
        if (router_slot_has(w->router, slot_of(c, c->plan.sources[i]), seq, lsn))
            return true;
    }
    return false;
}

static void finish(struct worker *w)
{
    w->flow->global = GLOBAL_NONE;
    cross_cancel(w);
    pump_schedule(w);
}

bool cross_begin(struct worker *w, const struct entry *e, bool *taken, struct error *error)
{
    struct cross_plan plan;
    *taken = false;
    if (!cross_plan(&w->translator, w->router, e, &plan))
        return true;
    *taken = true;
    if (!w->cross)
        w->cross = x_calloc(1, sizeof *w->cross);
    struct cross *c = w->cross;
    c->plan = plan;
    c->readings = x_calloc(plan.source_count ? plan.source_count : 1, sizeof *c->readings);
    c->reading = 0;
    keep_entry(c, e);
    bool written = done(w, c, plan.destination), went_on = source_went_on(w, c);
    if (!written && went_on)
        return error_set(
            error, ERROR_REDIRECT,
            "%.*s takes from a slot of the cluster that has gone on meanwhile, to one whose node has lost "
            "writes: a full sync is needed",
            (int)(e->argv[0].len < 32 ? e->argv[0].len : 32), (const char *)e->argv[0].data);
    if (written && (went_on || !plan.moves)) {
        cross_cancel(w);
        return true;
    }
    w->flow->global = CROSS_DRAINING;
    w->global_seq = e->seq;
    return true;
}

/* ---- reading ---- */

static void read_next(struct worker *w);

static void read_failed(struct worker *w, const struct redisReply *reply)
{
    struct error error;
    error_set(&error, ERROR_RETRY, "reading a key that goes to another slot was answered: %.200s",
              reply->type == REDIS_REPLY_ERROR ? reply->str : "something unexpected");
    router_wait(w->router, &error);
}

/* Is it the answer to what is asked now? */
static struct cross *awaited(struct worker *w, uint64_t serial)
{
    return w->cross && w->cross->serial == serial && w->flow->global == CROSS_READING ? w->cross : NULL;
}

static void on_expiry(void *arg, uint64_t serial, const redisReply *reply)
{
    struct worker *w = arg;
    struct cross *c = awaited(w, serial);
    if (!c)
        return;
    if (reply->type != REDIS_REPLY_INTEGER) {
        read_failed(w, reply);
        return;
    }
    struct reading *r = &c->readings[c->reading++];
    if (reply->integer > 0)
        r->expire_ms = reply->integer;
    read_next(w);
}

static void on_value(void *arg, uint64_t serial, const redisReply *reply)
{
    struct worker *w = arg;
    struct cross *c = awaited(w, serial);
    if (!c)
        return;
    struct reading *r = &c->readings[c->reading];
    /* A key of another type than the command wants: refused on the source, too. */
    bool wrong = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0;
    r->present = reply->type == REDIS_REPLY_STRING || (reply->type == REDIS_REPLY_INTEGER && reply->integer);
    if (reply->type == REDIS_REPLY_STRING)
        buf_put(&r->value, reply->str, (size_t)reply->len);
    else if (reply->type != REDIS_REPLY_NIL && reply->type != REDIS_REPLY_INTEGER && !wrong) {
        read_failed(w, reply);
        return;
    }
    if (!c->plan.dumps) {
        c->reading++;
        read_next(w);
    }
}

static void read_next(struct worker *w)
{
    struct cross *c = w->cross;
    if (c->reading == c->plan.source_count) {
        bool apart = c->plan.moves || replicas(w, c);
        w->flow->global = apart ? CROSS_WRITING : CROSS_LAST;
        pump_schedule(w);
        return;
    }
    uint16_t slot = slot_of(c, c->plan.sources[c->reading]);
    struct slice argv[4];
    size_t argc = cross_plan_question(&c->plan, &c->entry, c->reading, argv);
    router_ask(w->router, slot, on_value, w, c->serial, argc, argv);
    if (c->plan.dumps) {
        argc = cross_plan_expiry_question(w->translator.target, argv[1], argv);
        router_ask(w->router, slot, on_expiry, w, c->serial, argc, argv);
    }
}

/* ---- writing ---- */

static void begin_writing(struct worker *w, struct cross *c)
{
    router_begin_entry(w->router, &c->entry);
    output_entry(w->output, c->entry.seq);
    settings_db_target(&w->flow->settings, c->entry.db, &w->translator.db);
}

static void write_removal(struct worker *w, struct slice name)
{
    output_begin(w->output, 0, name, 2, OUTPUT_ONCE);
    output_text(w->output, "DEL");
    output_arg(w->output, name);
    output_end(w->output);
}

/* Too large for one command: what comes behind the removal is in its MULTI. */
static void write_pieces(struct worker *w, struct slice key, const struct reading *r)
{
    struct error error;
    write_removal(w, key);
    if (!translate_dump(&w->translator, key, buf_slice(&r->value), r->expire_ms, &error))
        worker_report(w, DIVERGENCE_TOO_LARGE, "RESTORE", key, 1);
}

static void write_restore(struct worker *w, struct slice key, const struct reading *r, unsigned flags)
{
    struct output *o = w->output;
    if (!rewrite_dump_fits(&w->translator, key, r->value.len)) {
        write_pieces(w, key, r);
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

/* Where a source lies while it is beside the destination. */
static void temporary_name(const struct worker *w, const struct cross *c, size_t i, struct buf *out)
{
    uint16_t slot = slot_of(c, c->plan.destination);
    buf_printf(out, "df2redis:%s:tmp:{%s}:%zu", w->flow->settings.name, slot_tag(slot), i);
}

/* Only a mark tells who is promoted that there was nothing: the source has gone on by then. */
static void write_nothing(struct worker *w, struct cross *c)
{
    struct buf name = {0};
    c->nothing = true;
    if (c->plan.dumps) /* of the others it is no error */
        worker_report(w, DIVERGENCE_REFUSED, c->plan.name, c->argv[c->plan.sources[0]], 1);
    if (!replicas(w, c) && !c->plan.one_slot)
        return;
    temporary_name(w, c, 0, &name);
    write_removal(w, buf_slice(&name));
    buf_free(&name);
}

static void write_moved(struct worker *w, struct cross *c)
{
    struct output *o = w->output;
    struct slice to = c->argv[c->plan.destination];
    unsigned flags = c->plan.one_slot ? OUTPUT_IDEMPOTENT : OUTPUT_ONCE;
    if (!c->readings[0].present) {
        write_nothing(w, c);
        return;
    }
    if (c->plan.dumps) {
        write_restore(w, to, &c->readings[0], flags);
        return;
    }
    output_begin(o, 0, to, 3, flags);
    output_text(o, c->plan.put);
    output_arg(o, to);
    output_arg(o, c->plan.member ? c->argv[c->plan.member] : buf_slice(&c->readings[0].value));
    output_end(o);
}

static void write_taken(struct worker *w, struct cross *c)
{
    struct output *o = w->output;
    struct slice from = c->argv[c->plan.sources[0]];
    output_begin(o, 0, from, c->plan.member ? 3 : 2, OUTPUT_ONCE);
    output_text(o, c->plan.take);
    output_arg(o, from);
    if (c->plan.member)
        output_arg(o, c->argv[c->plan.member]);
    output_end(o);
}

/* The command again, with its sources where its destination is. */
static bool write_gathered(struct worker *w, struct cross *c, struct error *error)
{
    struct buf *names = x_calloc(c->plan.source_count, sizeof *names);
    for (size_t i = 0; i < c->plan.source_count; i++) {
        temporary_name(w, c, i, &names[i]);
        if (c->readings[i].present) {
            c->readings[i].expire_ms = 0;
            write_restore(w, buf_slice(&names[i]), &c->readings[i], OUTPUT_ONCE);
        }
        c->argv[c->plan.sources[i]] = buf_slice(&names[i]);
    }
    w->translator.all_wanted = true;
    bool ok = translate(&w->translator, &c->entry, error);
    w->translator.all_wanted = false;
    for (size_t i = 0; i < c->plan.source_count; i++) {
        write_removal(w, buf_slice(&names[i]));
        buf_free(&names[i]);
    }
    free(names);
    return ok;
}

/* What the state says; nothing when it was done before. False: failed. */
static bool write_commands(struct worker *w, struct cross *c, struct error *error)
{
    if (w->flow->global == CROSS_REPLICATING)
        router_put_wait(w->router, slot_of(c, c->plan.destination));
    else if (c->plan.moves && w->flow->global == CROSS_WRITING)
        write_moved(w, c);
    else if (c->plan.moves && !c->nothing)
        write_taken(w, c);
    else if (!c->plan.moves && !done(w, c, c->plan.destination))
        return write_gathered(w, c, error);
    return true;
}

static void write_step(struct worker *w)
{
    struct cross *c = w->cross;
    struct error error;
    /* What is borrowed must stay, and names do not. */
    size_t borrowing = output_borrowing(w->output);
    output_borrow_from(w->output, 0);
    begin_writing(w, c);
    bool ok = write_commands(w, c, &error);
    output_borrow_from(w->output, borrowing);
    w->cross_written = true;
    if (!ok)
        flow_fail(w->flow, &error);
    else if (round_empty(router_open(w->router))) {
        finish(w);
        seal_held_done(w);
    }
}

void cross_advance(struct worker *w)
{
    struct cross *c = w->cross;
    if (!round_empty(router_open(w->router)) || !router_idle(w->router))
        return;
    if (w->flow->global == CROSS_DRAINING) {
        w->cross_written = false;
        w->flow->global = CROSS_READING;
        if (done(w, c, c->plan.destination))
            w->flow->global = CROSS_LAST; /* we died in between */
        else
            read_next(w);
    }
    if (w->flow->global >= CROSS_WRITING && !w->cross_written) {
        write_step(w);
        pump_schedule(w);
    }
}

void cross_acknowledged(struct worker *w)
{
    if (w->flow->global == CROSS_LAST) {
        finish(w);
        return;
    }
    uint16_t slot = slot_of(w->cross, w->cross->plan.destination);
    if (w->flow->global == CROSS_REPLICATING) {
        router_waited(w->router, slot);
        w->flow->global = CROSS_LAST;
    } else {
        /* Its round ends before the command, so that the round's end does not tell. */
        if (!w->cross->plan.one_slot)
            router_slot_did(w->router, slot, w->cross->entry.seq);
        w->flow->global = replicas(w, w->cross) ? CROSS_REPLICATING : CROSS_LAST;
    }
    w->cross_written = false;
    pump_schedule(w);
}

/* The node has become a replica meanwhile. */
void cross_not_replicated(struct worker *w, const char *text)
{
    struct error error;
    error_set(&error, ERROR_RETRY, "the wait for a node's replicas was answered: %.200s", text);
    router_wait(w->router, &error);
}
