/* Decodes from the spool, translates, and sends rounds until the target's limit of rounds in flight. */
#include "worker/pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "common/log/invariant.h"
#include "worker/pipeline/cut_scores.h"
#include "worker/pipeline/omitted.h"
#include "worker/translate/commands.h"

enum {
    BYTES_PER_TURN = 1 << 20, /* of input, between two reads of the socket */
    WAITING_FACTOR = 4,       /* a round that cannot be sent yet may grow by this factor */
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

void pump_init(struct pipeline *p)
{
    p->flow->wake = event_new(p->flow->base, -1, 0, on_pump, p);
}

static void report_snapshot_done(struct pipeline *p)
{
    if (cursor_get(&p->flow->cursor.marks->phase) < CURSOR_FULL_SYNC_END)
        cursor_set(&p->flow->cursor.marks->phase, CURSOR_FULL_SYNC_END);
    if (!p->snapshot_reported)
        flow_tell_simple(p->flow, MESSAGE_SNAPSHOT_DONE);
    p->snapshot_reported = true;
}

static void report_stable(struct pipeline *p)
{
    cursor_set(&p->flow->cursor.marks->phase, CURSOR_STABLE);
    if (!p->flow->stable_reported)
        flow_tell_simple(p->flow, MESSAGE_STABLE);
    p->flow->stable_reported = true;
}

/* The session with the source ends. The entries before the break are applied, as at the end of the stream. */
static void report_break(struct pipeline *p, const struct error *why)
{
    struct message m = {.type = MESSAGE_BREAK, .fd = -1};
    if (p->journal_broke)
        return;
    p->journal_broke = true;
    snprintf(m.source_break.text, sizeof m.source_break.text, "%s", why->text);
    flow_tell(p->flow, &m);
}

static bool entry_is_global(const struct entry *e)
{
    if (e->kind != ENTRY_COMMAND || e->argc == 0)
        return false;
    const struct command *c = command_find(e->argv[0]);
    return c && command_is_global(c);
}

/* Whether the target lacks the entry or a part of it. In a cluster the router decides, slot by slot. */
static bool target_lacks_entry(struct pipeline *p, struct entry *e)
{
    if (router_is_cluster(p->router))
        return router_begin_entry(p->router, e);
    return entry_drop_front(e, p->commit.skip_seq) && !(e->lsn && e->lsn < p->commit.skip_lsn);
}

/* Calls `take` for each key of the entry, with the target's database. */
static void take_keys(struct pipeline *p, const struct entry *e,
                      void (*take)(struct pipeline *p, uint32_t db, struct slice key, const char *name))
{
    size_t positions[64], n = 0;
    uint32_t db;
    if (!flow_heals(p->flow) || !settings_db_target(&p->flow->settings, e->db, &db))
        return;
    const struct command *c = e->kind == ENTRY_COMMAND && e->argc ? command_find(e->argv[0]) : NULL;
    if (c)
        n = command_keys(c, e, positions, sizeof positions / sizeof *positions);
    for (size_t i = 0; i < n && i < sizeof positions / sizeof *positions; i++)
        take(p, db, e->argv[positions[i]], c->name);
    if (e->kind == ENTRY_STRING || e->kind == ENTRY_VALUE || e->kind == ENTRY_ELEMENTS ||
        e->kind == ENTRY_END)
        take(p, db, e->key, rdb_type_name(e->type));
}

/* The target has the entry, by its mark, but its answer, perhaps a refusal, was lost with the connection. (Entries that
 * are decoded again as slots of a cluster move have lost no answer.) */
static void suspect_unanswered(struct pipeline *p, uint32_t db, struct slice key, const char *name)
{
    flow_suspect(p->flow, db, key, SUSPECT_UNHEARD, name);
}

/* The target was started again, and its append-only file may end in the first part of a transaction with the entry,
 * without its EXEC (heal.h). */
static void remember_resent(struct pipeline *p, uint32_t db, struct slice key, const char *name)
{
    (void)name;
    heal_remember_resent(p->heal, db, key);
}

/* False: failed, and reported. */
static bool handle_entry(struct pipeline *p, struct entry *e)
{
    struct error error = {0};
    bool fresh = e->seq > p->flow->seen_seq;
    p->entry_offset = e->offset;
    p->commit.entries += fresh;
    if (p->crash_at_seq && e->seq >= p->crash_at_seq)
        abort();
    switch (e->kind) {
    case ENTRY_FULLSYNC_END:
        report_snapshot_done(p);
        return true;
    case ENTRY_EOF:
        report_stable(p);
        return true;
    case ENTRY_PING:
        if (!e->in_snapshot) /* in the snapshot an LSN is only a counter */
            p->commit.ping_lsn = e->lsn + 1;
        return true;
    case ENTRY_LSN:
    case ENTRY_JOURNAL_OFFSET:
        return true;
    case ENTRY_STRING:
    case ENTRY_VALUE:
    case ENTRY_END:
        p->commit.keys += fresh;
        break;
    default:
        break;
    }
    if (entry_is_global(e)) {
        if (flush_begin(&p->flush, e, &error))
            return true;
        flow_fail(p->flow, &error);
        return false;
    }
    if (router_is_null(p->router))
        return true;
    if (e->kind == ENTRY_COMMAND)
        pops_note(p->pops, e);
    cut_scores_note(&p->cut_scores, p->flow, e);
    if (!target_lacks_entry(p, e)) {
        if (p->unheard && e->seq > p->answered_seq)
            take_keys(p, e, suspect_unanswered);
        expiry_entry(p->expiry, e, true);
        return true;
    }
    if (!fresh && p->resent_left) {
        p->resent_left--;
        take_keys(p, e, remember_resent);
    }
    expiry_entry(p->expiry, e, false);
    omitted_entry(p, e);
    bool across = false;
    if (router_is_cluster(p->router) && e->kind == ENTRY_COMMAND &&
        !cross_begin(p->cross, e, &across, &error)) {
        flow_fail(p->flow, &error);
        return false;
    }
    if (across)
        return true;
    output_entry(p->output, e->seq);
    p->translator.ignore_conflicts = e->first_seq <= p->flow->seen_seq;
    if (translate(&p->translator, e, &error))
        return true;
    if (error.class == ERROR_DIVERGENCE) {
        p->translator.report(p->translator.report_arg, DIVERGENCE_REFUSED, error.text,
                             e->kind == ENTRY_COMMAND && e->argc > 1 ? e->argv[1] : e->key, 1);
        return true;
    }
    flow_fail(p->flow, &error);
    return false;
}

static bool all_applied(const struct pipeline *p)
{
    return round_empty(router_open(p->router)) && router_idle(p->router) && p->flow->hold == HOLD_NONE;
}

/* Moves bytes from the overflow into the ring, as far as it has room. False: they are lost; reported. */
static bool refill_ring(struct pipeline *p)
{
    struct error error = {0};
    if (spool_refill(p->spool, &error)) {
        source_resume(p->source);
        return true;
    }
    if (error.class == ERROR_NONE)
        return true;
    flow_fail(p->flow, &error);
    return false;
}

/* More input for a decoder that has consumed the ring. False: none now, or failed. */
static bool fetch_input(struct pipeline *p, size_t had)
{
    struct error error;
    uint64_t offset = decoder_offset(p->flow->decoder);
    if (p->drain.on && spool_ring_end(p->spool) >= p->drain.offset)
        return false;
    if (!refill_ring(p))
        return false;
    if (spool_peek(p->spool, offset).len > had)
        return true;
    /* The next bytes are not received yet, or the ring is full of bytes that await an acknowledgement … */
    bool kept_out = spool_overflow_bytes(p->spool) > 0 || p->source->paused;
    if (!kept_out || !all_applied(p))
        return false;
    /* … or of bytes that are retained for a rewind: a new mark releases them … */
    if (commit_marks_on(&p->commit) && p->commit.sent_marked_seq < decoder_seq(p->flow->decoder)) {
        commit_send(&p->commit, true);
        return false;
    }
    /* … or the current element is larger than the ring. */
    commit_idle(&p->commit);
    if (!refill_ring(p))
        return false;
    if (spool_peek(p->spool, offset).len <= had) {
        if (!spool_grow(p->spool, offset, decoder_wanted(p->flow->decoder), &error)) {
            flow_fail(p->flow, &error);
            return false;
        }
        if (!refill_ring(p))
            return false;
    }
    source_resume(p->source);
    return spool_peek(p->spool, offset).len > had;
}

static bool rate_allows(struct pipeline *p)
{
    if (!p->flow->settings.max_rate_bytes)
        return true;
    uint64_t now = clock_monotonic_ms();
    double per_ms = (double)p->flow->settings.max_rate_bytes / p->flow->count / 1000.0;
    p->rate_tokens += per_ms * (double)(now - p->rate_at_ms);
    p->rate_at_ms = now;
    if (p->rate_tokens > per_ms * 1000)
        p->rate_tokens = per_ms * 1000;
    if (p->rate_tokens > 0)
        return true;
    struct timeval tick = {0, RATE_TICK_MS * 1000};
    event_add(p->flow->wake, &tick);
    return false;
}

/* Whether the open round has room for an entry; sends it if it is full. */
static bool make_room(struct pipeline *p)
{
    if (p->commit.marks_owed) {
        if (!router_idle(p->router))
            return false;
        commit_send(&p->commit, true);
    }
    const struct round *r = router_open(p->router);
    if (r->borrowed || router_borrowing(p->router)) {
        if (r->borrowed && commit_may_send(&p->commit))
            commit_send(&p->commit, false);
        return false;
    }
    /* Entries that run again and new ones are in separate rounds, as refusals of the former are ignored. Some entries
     * of a cluster need a round of their own. */
    if (r->alone ||
        (p->flow->seen_seq && decoder_seq(p->flow->decoder) == p->flow->seen_seq && !round_empty(r))) {
        if (!commit_may_send(&p->commit))
            return false;
        commit_send(&p->commit, false);
        return true;
    }
    /* The batch limit for each node, and at most what a MULTI may hold besides one large command. */
    size_t most_bytes = p->flow->settings.batch_bytes * r->nodes,
           of_target = p->flow->target.query_bytes / 32,
           most_commands = (size_t)p->flow->settings.batch_commands * r->nodes;
    if (of_target && most_bytes > of_target)
        most_bytes = of_target;
    if (r->bytes < most_bytes && r->commands < most_commands && r->once_count < ONCE_SLOTS_MAX)
        return true;
    if (commit_may_send(&p->commit)) {
        commit_send(&p->commit, false);
        return true;
    }
    return r->has_once && r->once_count < ONCE_SLOTS_MAX && r->bytes < most_bytes * WAITING_FACTOR &&
           r->commands < most_commands * WAITING_FACTOR;
}

static struct slice decoder_input(const struct pipeline *p)
{
    uint64_t offset = decoder_offset(p->flow->decoder);
    struct slice in = spool_peek(p->spool, offset);
    if (p->drain.on && offset + in.len > p->drain.offset)
        in.len = p->drain.offset > offset ? (size_t)(p->drain.offset - offset) : 0;
    return in;
}

/* When the entry at `offset` was received, and how long before that the source may have written it: a snapshot waits
 * for its reader, and a partial sync begins with entries from before the session. */
static void note_arrival(struct pipeline *p, uint64_t offset)
{
    int64_t arrived_ms = spool_arrived_ms(p->spool, offset);
    bool missed =
        p->flow->decoder_config.first_lsn && arrived_ms - (int64_t)(p->flow->session / 1000) <
                                                 MISSED_MS; /* the session's number is its start in us */
    p->translator.arrived_ms = arrived_ms;
    p->translator.late_ms = missed || !decoder_in_journal(p->flow->decoder) ? LATE_MAX_MS : 0;
}

static void decode_entries(struct pipeline *p)
{
    struct entry e;
    struct error error;
    uint64_t begun = decoder_offset(p->flow->decoder);
    p->starved = false;
    struct slice in = decoder_input(p);
    uint64_t in_offset = begun;
    for (unsigned n = 0; p->flow->hold == HOLD_NONE && make_room(p); n++) {
        uint64_t offset = decoder_offset(p->flow->decoder);
        if (drain_reached_lsn(&p->drain)) {
            p->starved = true;
            return;
        }
        if (n >= 20000 || offset - begun >= BYTES_PER_TURN) {
            flow_wake(p->flow);
            return;
        }
        note_arrival(p, offset);
        size_t past = (size_t)(offset - in_offset);
        struct slice rest = past ? slice_of(in.data + past, in.len - past) : in;
        enum decode_status status = decoder_next(p->flow->decoder, rest, &e, &error);
        if (status == DECODE_ERROR) {
            flow_fail(p->flow, &error);
            return;
        }
        if (status == DECODE_BREAK && error.class == ERROR_REDIRECT) {
            flow_fail(p->flow, &error);
            return;
        }
        if (status == DECODE_BREAK) {
            report_break(p, &error);
            p->starved = true;
            return;
        }
        if (status == DECODE_MORE) {
            if (!fetch_input(p, rest.len)) {
                p->starved = !p->flow->failed;
                return;
            }
            in = decoder_input(p);
            in_offset = decoder_offset(p->flow->decoder);
            continue;
        }
        if (!handle_entry(p, &e))
            return;
    }
}

/* Whether everything that DRAIN waits for is decoded. */
static bool drain_is_over(struct pipeline *p)
{
    uint64_t offset = decoder_offset(p->flow->decoder), end = p->drain.offset;
    if (drain_reached_lsn(&p->drain) || p->journal_broke)
        return true;
    if (p->drain.lsn && !p->flow->source_ended)
        return false;
    if (p->drain.lsn)
        end = spool_received(p->spool);
    /* Undecoded bytes that are at hand are the beginning of a truncated entry. */
    return offset + spool_peek(p->spool, offset).len >= end;
}

static void check_end(struct pipeline *p)
{
    struct error error;
    if (!p->starved || !all_applied(p))
        return;
    if (expiry_put_right(p->expiry, p->drain.on)) {
        commit_send(&p->commit, false);
        return;
    }
    if (p->drain.on && !p->flow->drained) {
        if (!drain_is_over(p) || drain_waits_for_suspects(&p->drain) || commit_last_mark(&p->commit))
            return;
        commit_check_end(&p->commit);
        p->flow->drained = true;
        if (p->flow->settings.migrate) /* no later session heals the rest */
            heal_give_up(p->heal);
        p->drain.reached = drain_reached_lsn(&p->drain);
        /* A restarted worker takes CURSOR_DRAINED of a migration for the end, after which there are no marks. */
        if (!p->flow->settings.migrate || p->drain.reached)
            cursor_set(&p->flow->cursor.marks->phase, CURSOR_DRAINED);
        flow_tell_simple(p->flow, MESSAGE_DRAINED);
    } else if (p->flow->source_ended && !p->drain.on) {
        /* The next session continues from the target's mark. */
        if (decoder_in_journal(p->flow->decoder) && commit_last_mark(&p->commit))
            return;
        if (decoder_in_journal(p->flow->decoder))
            commit_check_end(&p->commit);
        error_set(&error, ERROR_RETRY, "the source closed FLOW %u%s", p->flow->number,
                  decoder_in_journal(p->flow->decoder) ? "; all received data is applied"
                                                       : " during full sync");
        flow_fail(p->flow, &error);
    }
}

static void pump_once(struct pipeline *p)
{
    uint64_t before = decoder_offset(p->flow->decoder);
    if (p->flow->hold == HOLD_NONE)
        decode_entries(p);
    if (p->flow->failed)
        return;
    p->rate_tokens -= (double)(decoder_offset(p->flow->decoder) - before);

    struct cursor_marks *m = p->flow->cursor.marks;
    if (p->contact_waits && !decoder_comparing(p->flow->decoder)) {
        p->contact_waits = false;
        cursor_set(&m->in_contact, capabilities_contact(&p->flow->target));
    }
    uint64_t decoded = decoder_offset(p->flow->decoder);
    INVARIANT(3.1, decoded <= spool_ring_end(p->spool) && decoded >= cursor_get(&m->sent_offset));
    cursor_set(&m->decoded_offset, decoded);
    if (decoder_seq(p->flow->decoder) > cursor_get(&m->decoded_seq))
        cursor_set(&m->decoded_seq, decoder_seq(p->flow->decoder));
    cursor_set(&m->received_lsn, decoder_next_lsn(p->flow->decoder));

    if (!round_empty(router_open(p->router)) && commit_may_send(&p->commit) &&
        (p->starved || p->flow->hold != HOLD_NONE))
        commit_send(&p->commit, p->flow->hold == HOLD_FLUSH_DRAINING || p->flow->hold == HOLD_FLUSH_RUNNING);
    if (p->flow->hold != HOLD_NONE && round_empty(router_open(p->router)) && router_idle(p->router))
        commit_note_held(&p->commit, p->entry_offset);
    if (p->flow->hold == HOLD_FLUSH_DRAINING)
        flush_advance(&p->flush);
    else if (p->flow->hold >= HOLD_CROSS_DRAINING)
        cross_advance(p->cross);
    if (all_applied(p))
        commit_idle(&p->commit);
    else if (!router_borrowing(p->router) && !router_open(p->router)->borrowed)
        retain_release(&p->commit);
    source_resume(p->source);
    check_end(p);
}

void pump(struct pipeline *p)
{
    if (!p->flow->ready || !p->source->opened || p->flow->failed || !rate_allows(p))
        return;
    cursor_set(&p->flow->cursor.marks->busy, 1);
    atomic_signal_fence(memory_order_seq_cst);
    pump_once(p);
    atomic_signal_fence(memory_order_seq_cst);
    cursor_set(&p->flow->cursor.marks->busy, 0);
}

void pump_acknowledged(struct pipeline *p, struct round *r)
{
    uint64_t seq = r->end.seq;
    if (p->flow->failed) /* one of the answers was fatal */
        return;
    commit_acknowledged(&p->commit, r);
    if (p->flow->hold >= HOLD_CROSS_DRAINING)
        cross_acknowledged(p->cross, seq);
    else
        flush_acknowledged(&p->flush);
}
