/* When a round is sent, which mark it carries, and what is stored once it is acknowledged. */
#include "worker/pipeline/commit.h"

#include "common/base/clock.h"
#include "common/log/invariant.h"
#include "worker/link/mark_text.h"

enum { MARK_EVERY_MS = 1000 };

/* The decoder is past a global command that has not run: a round ends before the command. A mark in the same round as
 * a flush must not cover the flush: the target may refuse the flush and accept the mark. */
static bool held_before_command(const struct commit *c)
{
    return c->flow->hold != HOLD_NONE && c->flow->hold < HOLD_CROSS_LAST;
}

bool commit_between_steps(const struct commit *c)
{
    return c->flow->hold == HOLD_CROSS_WRITING || c->flow->hold == HOLD_CROSS_REPLICATING;
}

/* whole: the mark of the FLOW; else, in a cluster, the marks of the slots that need one. */
static void put_marks(struct commit *c, bool whole)
{
    char text[MARK_TEXT_BYTES];
    /* A step of a cross-slot command: the mark of the slot that it writes covers the command. */
    unsigned before = held_before_command(c) && c->flow->hold != HOLD_CROSS_WRITING;
    uint64_t seq = decoder_seq(c->flow->decoder) - before;
    /* 0 during full sync, which cannot be resumed. */
    uint64_t lsn = decoder_next_lsn(c->flow->decoder);
    lsn -= lsn ? before : 0;
    struct mark mark = {
        .session = c->flow->session, .seq = seq, .lsn = lsn, .check = decoder_check(c->flow->decoder, lsn)};
    memcpy(mark.master_id, c->flow->master_id, sizeof mark.master_id);
    mark_write(&mark, text);
    router_put_marks(c->router, text, whole);
    if (!router_open(c->router)->marked)
        return;
    INVARIANT(3.3, router_idle(c->router) || !router_is_cluster(c->router));
    expiry_mark_sent(c->expiry, seq);
    c->sent_marked_seq = seq;
    c->sent_marked_lsn = lsn;
    c->marked_at_ms = clock_monotonic_ms();
    c->marked_offset = decoder_offset(c->flow->decoder);
    c->mark_wanted = false;
}

static void checkpoint_copy(struct checkpoint *to, const struct checkpoint *from)
{
    struct buf record = to->record;
    *to = *from;
    to->record = record;
    buf_clear(&to->record);
    buf_put(&to->record, from->record.data, from->record.len);
}

/* While a global command is held the decoder's state is the one after it, so the previous checkpoint is kept; the mark
 * tells which entries after it are applied. */
static void checkpoint_fill(struct commit *c, struct checkpoint *at)
{
    uint8_t header[RECORD_HEADER];
    if (held_before_command(c)) {
        checkpoint_copy(at, &c->sent);
        return;
    }
    at->offset = decoder_offset(c->flow->decoder);
    at->seq = decoder_seq(c->flow->decoder);
    at->next_lsn = decoder_next_lsn(c->flow->decoder);
    at->check = decoder_check(c->flow->decoder, at->next_lsn);
    memcpy(header, &c->sent_marked_seq, sizeof header);
    buf_clear(&at->record);
    buf_put(&at->record, header, sizeof header);
    decoder_save(c->flow->decoder, &at->record);
    checkpoint_copy(&c->sent, at);
}

bool commit_is_behind(const struct commit *c)
{
    return decoder_seq(c->flow->decoder) < c->skip_seq ||
           (c->skip_lsn && decoder_next_lsn(c->flow->decoder) < c->skip_lsn);
}

/* False while the target is ahead of the decoder: a mark would move it back, and the next loss of the connection would
 * apply entries twice. */
bool commit_marks_on(const struct commit *c)
{
    return c->flow->settings.marks && !c->flow->settings.target.null_sink && !commit_is_behind(c);
}

static bool mark_is_due(const struct commit *c)
{
    return commit_marks_on(c) && (clock_monotonic_ms() - c->marked_at_ms >= MARK_EVERY_MS ||
                                  decoder_offset(c->flow->decoder) - c->marked_offset >= c->mark_every_bytes);
}

bool commit_may_send(struct commit *c)
{
    return router_can_send(c->router, router_open(c->router)->has_once || mark_is_due(c));
}

static void note_sent(struct commit *c, const struct checkpoint *to)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    INVARIANT(3.1, to->offset >= cursor_get(&m->sent_offset) && to->seq >= cursor_get(&m->sent_seq));
    cursor_set(&m->sent_offset, to->offset);
    cursor_set(&m->sent_seq, to->seq);
}

/* In a cluster a mark of the whole FLOW covers, on each node, all entries before it, also those of slots that are
 * migrating: a round with commands that another node may refuse must not carry one. A flush is run by all nodes, or
 * ends the run. */
static bool whole_marks_fit(const struct commit *c, const struct round *r)
{
    return round_empty(r) || c->flow->hold == HOLD_FLUSH_RUNNING;
}

void commit_send(struct commit *c, bool force_mark)
{
    struct round *r = router_open(c->router);
    INVARIANT(3.4, c->flow->ready && c->flow->hold != HOLD_FLUSH_WAITING);
    /* Time has passed since commit_may_send: a mark that became due since waits for an idle router. */
    bool due = mark_is_due(c) && router_idle(c->router);
    bool cluster = router_is_cluster(c->router);
    /* Between the steps of a cross-slot command the node of its source may lack the last step. */
    bool whole = (force_mark || due) && !commit_between_steps(c);
    c->marks_owed = cluster && whole && commit_marks_on(c) && !whole_marks_fit(c, r);
    if (commit_marks_on(c) && !c->marks_owed && (whole || (r->has_once && !cluster)))
        put_marks(c, true);
    else if (c->flow->settings.marks && r->has_once && cluster)
        put_marks(c, false); /* of slots: each covers the commands of its slot only */
    checkpoint_fill(c, &r->end);
    r->done_seq = decoder_seq(c->flow->decoder) - held_before_command(c);
    r->entries = c->entries;
    r->keys = c->keys;
    c->entries = c->keys = 0;
    note_sent(c, &r->end);
    router_send(c->router);
}

/* A complete migration removes its marks; any other end leaves a mark for the next start. */
bool commit_last_mark(struct commit *c)
{
    bool there = c->unmarking || (c->sent_marked_seq == decoder_seq(c->flow->decoder) &&
                                  c->sent_marked_lsn == decoder_next_lsn(c->flow->decoder));
    if ((!commit_marks_on(c) && !c->unmarking) || (c->last_mark_sent && there))
        return false;
    c->last_mark_sent = true;
    if (!c->flow->settings.migrate || !drain_reached_lsn(c->drain)) {
        commit_send(c, true);
        return true;
    }
    /* Set first: a restarted worker must not take the missing mark for lost writes. */
    cursor_set(&c->flow->cursor.marks->phase, CURSOR_DRAINED);
    c->unmarking = true;
    router_remove_marks(c->router);
    c->flow->settings.marks = false;
    commit_send(c, false);
    return true;
}

void commit_note_lsn(struct commit *c, uint64_t next_lsn, struct journal_check check)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    cursor_set(&m->check_lsn, check.lsn);
    cursor_set(&m->check_sum, check.sum);
    cursor_set(&m->applied_lsn, next_lsn);
}

void commit_save_record(struct commit *c, const struct checkpoint *at)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    struct error error;
    INVARIANT(3.1, at->offset >= c->acknowledged_offset && at->seq >= c->acknowledged_seq);
    INVARIANT(3.1, at->offset <= cursor_get(&m->sent_offset) && at->seq <= cursor_get(&m->sent_seq));
    INVARIANT(4.1, at->offset >= spool_oldest(c->spool) && at->offset <= spool_ring_end(c->spool));
    c->acknowledged_offset = at->offset;
    c->acknowledged_seq = at->seq;
    if (!cursor_save_record(&c->flow->cursor, buf_slice(&at->record), &error)) {
        flow_fail(c->flow, &error);
        return;
    }
    cursor_set(&m->applied_offset, at->offset);
    cursor_set(&m->applied_seq, at->seq);
    commit_note_lsn(c, at->next_lsn, at->check);
    cursor_set(&m->last_applied_ms, clock_monotonic_ms());
    if (at->seq >= c->flow->seen_seq && c->flow->ready && !decoder_comparing(c->flow->decoder))
        cursor_set(&m->in_contact, capabilities_contact(&c->flow->target));
    if (c->ping_lsn && at->next_lsn >= c->ping_lsn) {
        c->ping_lsn = 0;
        flow_tell_simple(c->flow, MESSAGE_PING);
        source_tls_acknowledge(c->source, true);
    }
    source_update_lag(c->source);
}

void commit_acknowledged(struct commit *c, struct round *r)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    INVARIANT(3.2, r->after_seq == c->done_seq && r->done_seq >= r->after_seq);
    c->done_seq = r->done_seq;
    expiry_acknowledged(c->expiry, r->done_seq);
    if (r->end.record.len)
        commit_save_record(c, &r->end);
    if (r->marked && r->end.record.len) {
        memcpy(&c->marked_seq, r->end.record.data, sizeof c->marked_seq);
        INVARIANT(3.3, c->marked_seq <= r->done_seq);
        retain_keep(c, &r->end);
    }
    cursor_add(&m->entries, r->entries);
    cursor_add(&m->keys, r->keys);
    cursor_add(&m->commands, r->commands);
    if (r->sent_at_us)
        cursor_count_batch(m, clock_monotonic_us() - r->sent_at_us);
}

void commit_idle(struct commit *c)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    struct checkpoint *open = &router_open(c->router)->end;
    uint64_t offset = decoder_offset(c->flow->decoder);
    if (c->flow->hold == HOLD_NONE && decoder_seq(c->flow->decoder) != cursor_get(&m->applied_seq)) {
        cursor_add(&m->entries, c->entries);
        c->entries = 0;
        checkpoint_fill(c, open);
        note_sent(c, open); /* the entries had no commands */
        commit_save_record(c, open);
    }
    if (offset >= spool_received(c->spool))
        source_update_lag(c->source);
    /* Only the offset has advanced since the last mark: the mark covers it as well. */
    if (c->flow->hold == HOLD_NONE && commit_marks_on(c) && c->marked_seq == decoder_seq(c->flow->decoder) &&
        offset != c->sent.offset) {
        checkpoint_fill(c, open);
        note_sent(c, open);
        commit_save_record(c, open);
        retain_keep(c, open);
    }
    retain_release(c);
}

void commit_note_held(struct commit *c, uint64_t offset)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    cursor_set(&m->held_offset, offset);
    cursor_set(&m->held_seq, decoder_seq(c->flow->decoder) - 1);
}

void commit_hold_done(struct commit *c)
{
    c->done_seq = decoder_seq(c->flow->decoder);
    router_begin_at(c->router, c->done_seq);
    commit_idle(c);
}

void commit_check_end(const struct commit *c)
{
    const struct cursor_marks *m = c->flow->cursor.marks;
    INVARIANT(3.7, !commit_marks_on(c) || (c->marked_seq == cursor_get(&m->applied_seq) &&
                                           c->sent_marked_lsn == cursor_get(&m->applied_lsn)));
}

void commit_restart(struct commit *c)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    c->acknowledged_offset = decoder_offset(c->flow->decoder);
    c->acknowledged_seq = c->done_seq = decoder_seq(c->flow->decoder);
    router_forget_open(c->router);
    router_begin_at(c->router, c->done_seq);
    checkpoint_fill(c, &router_open(c->router)->end);
    c->marked_offset = decoder_offset(c->flow->decoder);
    c->mark_wanted = c->flow->settings.marks;
    c->mark_every_bytes = 0;
    c->last_mark_sent = false;
    cursor_set(&m->decoded_offset, decoder_offset(c->flow->decoder));
    cursor_set(&m->sent_offset, c->acknowledged_offset);
    cursor_set(&m->sent_seq, c->acknowledged_seq);
    cursor_set(&m->held_offset, 0);
    cursor_set(&m->held_seq, 0);
    c->entries = c->keys = 0;
}
