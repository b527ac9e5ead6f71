/* From the spool to the link: decode, translate, batch, send; as far as the target takes it. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "worker/pipeline/cross_slot.h"
#include "worker/pipeline/omitted.h"
#include "worker/translate/commands.h"
#include "worker/worker.h"

enum {
    BYTES_PER_TURN = 1 << 20, /* of input; then the socket gets its turn */
    WAITING_FACTOR = 4,       /* a batch that has to wait may grow so much larger */
    RATE_TICK_MS = 10,
    LATE_MAX_MS = 24 * 3600 * 1000,
    MISSED_MS = 10 * 60 * 1000,
    ONCE_SLOTS_MAX = 512, /* MULTI … EXEC in one round */
};

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pump(arg);
}

void pump_schedule(struct worker *w)
{
    if (!w->pump_event)
        w->pump_event = event_new(w->flow->base, -1, 0, on_pump, w);
    event_active(w->pump_event, EV_TIMEOUT, 1);
}

static void say_snapshot_done(struct worker *w)
{
    if (cursor_get(&w->flow->cursor.marks->phase) < CURSOR_FULL_SYNC_END)
        cursor_set(&w->flow->cursor.marks->phase, CURSOR_FULL_SYNC_END);
    if (!w->said_snapshot_done)
        flow_tell_simple(w->flow, MESSAGE_SNAPSHOT_DONE);
    w->said_snapshot_done = true;
}

static void say_stable(struct worker *w)
{
    cursor_set(&w->flow->cursor.marks->phase, CURSOR_STABLE);
    if (!w->flow->said_stable)
        flow_tell_simple(w->flow, MESSAGE_STABLE);
    w->flow->said_stable = true;
}

/* The session with the source is over. What came before is applied, as after the end of the stream. */
static void say_break(struct worker *w, const struct error *why)
{
    struct message m = {.type = MESSAGE_BREAK, .fd = -1};
    if (w->journal_broke)
        return;
    w->journal_broke = true;
    snprintf(m.source_break.text, sizeof m.source_break.text, "%s", why->text);
    flow_tell(w->flow, &m);
}

static bool is_global(const struct entry *e)
{
    if (e->kind != ENTRY_COMMAND || e->argc == 0)
        return false;
    const struct command *c = command_find(e->argv[0]);
    return c && command_is_global(c);
}

/* Does the target lack any of it? A cluster's slots differ: there the router sees to it. */
static bool wanted_by_target(struct worker *w, struct entry *e)
{
    if (router_is_cluster(w->router))
        return router_begin_entry(w->router, e);
    return entry_drop_front(e, w->skip_seq) && !(e->lsn && e->lsn < w->skip_lsn);
}

/* The target has it, by its mark, and what it answered was lost with the connection: a refusal, perhaps. (When
 * slots of a cluster move, entries are gone through again, too, and no answer to them was lost.) */
static void suspect_unanswered(struct worker *w, const struct entry *e)
{
    size_t positions[64], n = 0;
    uint32_t db;
    if (!flow_heals(w->flow) || !w->unheard || e->seq <= w->answered_seq ||
        !settings_db_target(&w->flow->settings, e->db, &db))
        return;
    const struct command *c = e->kind == ENTRY_COMMAND && e->argc ? command_find(e->argv[0]) : NULL;
    if (c)
        n = command_keys(c, e, positions, sizeof positions / sizeof *positions);
    for (size_t i = 0; i < n && i < sizeof positions / sizeof *positions; i++)
        flow_suspect(w->flow, db, e->argv[positions[i]], SUSPECT_UNHEARD, c->name);
    if (e->kind == ENTRY_STRING || e->kind == ENTRY_VALUE || e->kind == ENTRY_ELEMENTS ||
        e->kind == ENTRY_END)
        flow_suspect(w->flow, db, e->key, SUSPECT_UNHEARD, rdb_type_name(e->type));
}

/* One entry. False: failed, already told. */
static bool take(struct worker *w, struct entry *e)
{
    struct error error = {0};
    bool fresh = e->seq > w->flow->seen_seq;
    w->entries += fresh;
    if (w->crash_at_seq && e->seq >= w->crash_at_seq)
        abort();
    switch (e->kind) {
    case ENTRY_FULLSYNC_END:
        say_snapshot_done(w);
        return true;
    case ENTRY_EOF:
        say_stable(w);
        return true;
    case ENTRY_PING:
        if (!e->in_snapshot) /* an LSN in the snapshot is only a counter */
            w->ping_lsn = e->lsn + 1;
        return true;
    case ENTRY_LSN:
    case ENTRY_JOURNAL_OFFSET:
        return true;
    case ENTRY_STRING:
    case ENTRY_VALUE:
    case ENTRY_END:
        w->keys += fresh;
        break;
    default:
        break;
    }
    if (is_global(e)) {
        if (global_begin(w, e, &error))
            return true;
        flow_fail(w->flow, &error);
        return false;
    }
    if (router_is_null(w->router))
        return true;
    if (e->kind == ENTRY_COMMAND)
        pops_note(w->pops, e);
    if (!wanted_by_target(w, e)) {
        suspect_unanswered(w, e);
        expiry_entry(w->expiry, e, true);
        return true;
    }
    expiry_entry(w->expiry, e, false);
    omitted_entry(w, e);
    bool across = false;
    if (router_is_cluster(w->router) && e->kind == ENTRY_COMMAND && !cross_begin(w, e, &across, &error)) {
        flow_fail(w->flow, &error);
        return false;
    }
    if (across)
        return true;
    output_entry(w->output, e->seq);
    w->translator.ignore_conflicts = e->first_seq <= w->flow->seen_seq;
    if (translate(&w->translator, e, &error))
        return true;
    if (error.class == ERROR_DIVERGENCE) {
        w->translator.report(w, DIVERGENCE_REFUSED, error.text,
                             e->kind == ENTRY_COMMAND && e->argc > 1 ? e->argv[1] : e->key, 1);
        return true;
    }
    flow_fail(w->flow, &error);
    return false;
}

bool pump_reached_drain_lsn(const struct worker *w)
{
    return w->draining && w->drain_lsn && decoder_in_journal(w->flow->decoder) &&
           decoder_next_lsn(w->flow->decoder) >= w->drain_lsn;
}

static bool all_applied(const struct worker *w)
{
    return round_empty(router_open(w->router)) && router_idle(w->router) && w->flow->global == GLOBAL_NONE;
}

/* What the ring has room for comes back from the overflow. False: it is no longer there, already told. */
static bool refill(struct worker *w)
{
    struct error error = {0};
    if (spool_refill(w->spool, &error)) {
        source_resume(&w->source);
        return true;
    }
    if (error.class == ERROR_NONE)
        return true;
    flow_fail(w->flow, &error);
    return false;
}

/* More input for a decoder that has had all of the ring. False: there is none now, or it failed. */
static bool more_input(struct worker *w, size_t had)
{
    struct error error;
    uint64_t offset = decoder_offset(w->flow->decoder);
    if (w->draining && spool_ring_end(w->spool) >= w->drain_offset)
        return false;
    if (!refill(w))
        return false;
    if (spool_peek(w->spool, offset).len > had)
        return true;
    /* What comes next lies on the wire, or is kept out by bytes whose acknowledgement is on its way … */
    bool kept_out = spool_overflow_bytes(w->spool) > 0 || w->source.paused;
    if (!kept_out || !all_applied(w))
        return false;
    /* … or by what is kept for a target that comes back with its last mark … */
    if (seal_marks_on(w) && w->sealed_marked_seq < decoder_seq(w->flow->decoder)) {
        seal_and_send(w, true);
        return false;
    }
    /* … or by this one element, which is larger than the ring. */
    seal_settle(w);
    if (!refill(w))
        return false;
    if (spool_peek(w->spool, offset).len <= had) {
        if (!spool_grow(w->spool, offset, decoder_wanted(w->flow->decoder), &error)) {
            flow_fail(w->flow, &error);
            return false;
        }
        if (!refill(w))
            return false;
    }
    source_resume(&w->source);
    return spool_peek(w->spool, offset).len > had;
}

static bool rate_allows(struct worker *w)
{
    if (!w->flow->settings.max_rate_bytes)
        return true;
    uint64_t now = clock_monotonic_ms();
    double per_ms = (double)w->flow->settings.max_rate_bytes / w->flow->count / 1000.0;
    w->rate_tokens += per_ms * (double)(now - w->rate_at_ms);
    w->rate_at_ms = now;
    if (w->rate_tokens > per_ms * 1000)
        w->rate_tokens = per_ms * 1000;
    if (w->rate_tokens > 0)
        return true;
    struct timeval tick = {0, RATE_TICK_MS * 1000};
    event_add(w->pump_event, &tick);
    return false;
}

/* Room in the open round, after sending it if it is full. */
static bool room(struct worker *w)
{
    if (w->marks_owed) {
        if (!router_idle(w->router))
            return false;
        seal_and_send(w, true);
    }
    const struct round *r = router_open(w->router);
    if (r->borrowed || router_borrowing(w->router)) {
        if (r->borrowed && seal_may_send(w))
            seal_and_send(w, false);
        return false;
    }
    /* What is run again and what is new are kept apart: refusals of the first kind mean nothing. And some
     * entries of a cluster go alone. */
    if (r->alone ||
        (w->flow->seen_seq && decoder_seq(w->flow->decoder) == w->flow->seen_seq && !round_empty(r))) {
        if (!seal_may_send(w))
            return false;
        seal_and_send(w, false);
        return true;
    }
    /* So much for each node, and no more than a MULTI may hold beside one large command. */
    size_t most_bytes = w->flow->settings.batch_bytes * r->nodes,
           of_target = w->flow->target.query_bytes / 32,
           most_commands = (size_t)w->flow->settings.batch_commands * r->nodes;
    if (of_target && most_bytes > of_target)
        most_bytes = of_target;
    if (r->bytes < most_bytes && r->commands < most_commands && r->once_count < ONCE_SLOTS_MAX)
        return true;
    if (seal_may_send(w)) {
        seal_and_send(w, false);
        return true;
    }
    return r->has_once && r->once_count < ONCE_SLOTS_MAX && r->bytes < most_bytes * WAITING_FACTOR &&
           r->commands < most_commands * WAITING_FACTOR;
}

static struct slice input(const struct worker *w)
{
    uint64_t offset = decoder_offset(w->flow->decoder);
    struct slice in = spool_peek(w->spool, offset);
    if (w->draining && offset + in.len > w->drain_offset)
        in.len = w->drain_offset > offset ? (size_t)(w->drain_offset - offset) : 0;
    return in;
}

/* When the entry at `offset` came; and how much earlier it may have been written: a snapshot waits for its
 * reader, and the first of a session that goes on with the journal is what was missed meanwhile. */
static void note_arrival(struct worker *w, uint64_t offset)
{
    int64_t arrived_ms = spool_arrived_ms(w->spool, offset);
    bool missed =
        w->flow->decoder_config.first_lsn && arrived_ms - (int64_t)(w->flow->session / 1000) <
                                                 MISSED_MS; /* the session's number is its start in us */
    w->translator.arrived_ms = arrived_ms;
    w->translator.late_ms = missed || !decoder_in_journal(w->flow->decoder) ? LATE_MAX_MS : 0;
}

static void decode(struct worker *w)
{
    struct entry e;
    struct error error;
    uint64_t begun = decoder_offset(w->flow->decoder);
    w->starved = false;
    struct slice in = input(w);
    uint64_t in_offset = begun;
    for (unsigned n = 0; w->flow->global == GLOBAL_NONE && room(w); n++) {
        uint64_t offset = decoder_offset(w->flow->decoder);
        if (pump_reached_drain_lsn(w)) {
            w->starved = true;
            return;
        }
        if (n >= 20000 || offset - begun >= BYTES_PER_TURN) {
            pump_schedule(w);
            return;
        }
        note_arrival(w, offset);
        size_t past = (size_t)(offset - in_offset);
        struct slice rest = past ? slice_of(in.data + past, in.len - past) : in;
        enum decode_status status = decoder_next(w->flow->decoder, rest, &e, &error);
        if (status == DECODE_ERROR) {
            flow_fail(w->flow, &error);
            return;
        }
        if (status == DECODE_BREAK && error.class == ERROR_REDIRECT) {
            flow_fail(w->flow, &error);
            return;
        }
        if (status == DECODE_BREAK) {
            say_break(w, &error);
            w->starved = true;
            return;
        }
        if (status == DECODE_MORE) {
            if (!more_input(w, rest.len)) {
                w->starved = !w->flow->failed;
                return;
            }
            in = input(w);
            in_offset = decoder_offset(w->flow->decoder);
            continue;
        }
        if (!take(w, &e))
            return;
    }
}

/* Nothing that DRAIN waits for can still be decoded. */
static bool drain_is_over(struct worker *w)
{
    uint64_t offset = decoder_offset(w->flow->decoder), end = w->drain_offset;
    if (pump_reached_drain_lsn(w) || w->journal_broke)
        return true;
    if (w->drain_lsn && !w->flow->source_ended)
        return false;
    if (w->drain_lsn)
        end = spool_received(w->spool);
    /* All bytes are at hand, the last of them perhaps the begin of an entry that was cut off. */
    return offset + spool_peek(w->spool, offset).len >= end;
}

/* What came last has made suspects: these need the journal to go on a little. */
static bool heal_puts_off_end(struct worker *w)
{
    if (!heal_has_work(w->heal) || clock_monotonic_ms() >= w->drain_due_ms)
        return false;
    w->draining = false;
    return true;
}

static void check_ends(struct worker *w)
{
    struct error error;
    if (!w->starved || !all_applied(w))
        return;
    if (expiry_put_right(w->expiry, w->draining)) {
        seal_and_send(w, false);
        return;
    }
    if (w->draining && !w->flow->drained) {
        if (!drain_is_over(w) || heal_puts_off_end(w) || seal_last_mark(w))
            return;
        w->flow->drained = true;
        if (w->flow->settings.migrate) /* nobody comes after us */
            heal_give_up(w->heal);
        w->reached_drain_lsn = pump_reached_drain_lsn(w);
        /* To a successor that is the end of a migration, which has no mark any more. */
        if (!w->flow->settings.migrate || w->reached_drain_lsn)
            cursor_set(&w->flow->cursor.marks->phase, CURSOR_DRAINED);
        flow_tell_simple(w->flow, MESSAGE_DRAINED);
    } else if (w->flow->source_ended && !w->draining) {
        /* The next session goes on from what the target says. */
        if (decoder_in_journal(w->flow->decoder) && seal_last_mark(w))
            return;
        error_set(&error, ERROR_RETRY, "the source closed FLOW %u%s", w->flow->number,
                  decoder_in_journal(w->flow->decoder) ? "; all that came is applied" : " during full sync");
        flow_fail(w->flow, &error);
    }
}

static void pump_once(struct worker *w)
{
    uint64_t before = decoder_offset(w->flow->decoder);
    if (w->flow->global == GLOBAL_NONE)
        decode(w);
    if (w->flow->failed)
        return;
    w->rate_tokens -= (double)(decoder_offset(w->flow->decoder) - before);

    struct cursor_marks *m = w->flow->cursor.marks;
    if (w->contact_waits && !decoder_comparing(w->flow->decoder)) {
        w->contact_waits = false;
        cursor_set(&m->in_contact, 1);
    }
    cursor_set(&m->decoded_offset, decoder_offset(w->flow->decoder));
    if (decoder_seq(w->flow->decoder) > cursor_get(&m->decoded_seq))
        cursor_set(&m->decoded_seq, decoder_seq(w->flow->decoder));
    cursor_set(&m->received_lsn, decoder_next_lsn(w->flow->decoder));

    if (!round_empty(router_open(w->router)) && seal_may_send(w) &&
        (w->starved || w->flow->global != GLOBAL_NONE))
        seal_and_send(w, w->flow->global == GLOBAL_DRAINING || w->flow->global == GLOBAL_RUNNING);
    if (w->flow->global == GLOBAL_DRAINING)
        global_advance(w);
    else if (w->flow->global >= CROSS_DRAINING)
        cross_advance(w);
    if (all_applied(w))
        seal_settle(w);
    else if (!router_borrowing(w->router) && !router_open(w->router)->borrowed)
        rewind_release(w);
    source_resume(&w->source);
    check_ends(w);
}

void pump(struct worker *w)
{
    if (!w->flow->ready || !w->source.opened || w->flow->failed || !rate_allows(w))
        return;
    cursor_set(&w->flow->cursor.marks->busy, 1);
    atomic_signal_fence(memory_order_seq_cst);
    pump_once(w);
    atomic_signal_fence(memory_order_seq_cst);
    cursor_set(&w->flow->cursor.marks->busy, 0);
}
