/* When a round goes out, what mark it carries, and what is noted once it is acknowledged. */
#include "worker/pipeline/commit.h"

#include "common/base/clock.h"
#include "worker/link/mark_text.h"

enum { MARK_EVERY_MS = 1000 };

/* The decoder has a global command in hand that is not done: what can be sealed ends before it. A mark beside
 * a flush must not vouch for it: the target may refuse the flush and take the mark. */
static bool before_global(const struct commit *c)
{
    return c->flow->global != GLOBAL_NONE && c->flow->global < CROSS_LAST;
}

bool seal_between_steps(const struct commit *c)
{
    return c->flow->global == CROSS_WRITING || c->flow->global == CROSS_REPLICATING;
}

/* whole: of the FLOW; else, in a cluster, of the slots that need one. */
static void put_marks(struct commit *c, bool whole)
{
    char text[MARK_TEXT_BYTES];
    /* A step of a command across slots: in the slot it goes to it is done. */
    unsigned before = before_global(c) && c->flow->global != CROSS_WRITING;
    uint64_t seq = decoder_seq(c->flow->decoder) - before;
    /* 0 during full sync: nothing can be resumed from there. */
    uint64_t lsn = decoder_next_lsn(c->flow->decoder);
    lsn -= lsn ? before : 0;
    struct mark mark = {
        .session = c->flow->session, .seq = seq, .lsn = lsn, .check = decoder_check(c->flow->decoder, lsn)};
    memcpy(mark.master_id, c->flow->master_id, sizeof mark.master_id);
    mark_write(&mark, text);
    router_put_marks(c->router, text, whole);
    if (!router_open(c->router)->marked)
        return;
    expiry_mark_sent(c->expiry, seq);
    c->sealed_marked_seq = seq;
    c->marked_at_ms = clock_monotonic_ms();
    c->marked_offset = decoder_offset(c->flow->decoder);
    c->mark_wanted = false;
}

static void copy_checkpoint(struct checkpoint *to, const struct checkpoint *from)
{
    struct buf record = to->record;
    *to = *from;
    to->record = record;
    buf_clear(&to->record);
    buf_put(&to->record, from->record.data, from->record.len);
}

/* Before a global command the decoder's state is already the one after it, so the checkpoint before stays;
 * the mark tells how far behind it things are done. */
static void fill_checkpoint(struct commit *c, struct checkpoint *at)
{
    uint8_t header[RECORD_HEADER];
    if (before_global(c)) {
        copy_checkpoint(at, &c->sealed);
        return;
    }
    at->offset = decoder_offset(c->flow->decoder);
    at->seq = decoder_seq(c->flow->decoder);
    at->next_lsn = decoder_next_lsn(c->flow->decoder);
    at->check = decoder_check(c->flow->decoder, at->next_lsn);
    memcpy(header, &c->sealed_marked_seq, sizeof header);
    buf_clear(&at->record);
    buf_put(&at->record, header, sizeof header);
    decoder_save(c->flow->decoder, &at->record);
    copy_checkpoint(&c->sealed, at);
}

bool seal_is_behind(const struct commit *c)
{
    return decoder_seq(c->flow->decoder) < c->skip_seq ||
           (c->skip_lsn && decoder_next_lsn(c->flow->decoder) < c->skip_lsn);
}

/* Not while the target is ahead of us: a mark would take it back, and what it has would be carried twice
 * after the next loss of the connection. */
bool seal_marks_on(const struct commit *c)
{
    return c->flow->settings.marks && !c->flow->settings.target.null_sink && !seal_is_behind(c);
}

static bool mark_due(const struct commit *c)
{
    return seal_marks_on(c) && (clock_monotonic_ms() - c->marked_at_ms >= MARK_EVERY_MS ||
                                decoder_offset(c->flow->decoder) - c->marked_offset >= c->mark_every_bytes);
}

bool seal_may_send(struct commit *c)
{
    return router_can_send(c->router, router_open(c->router)->has_once || mark_due(c));
}

/* In a cluster a mark of the whole FLOW vouches on each node for all before it, also for slots that are on their
 * way from there: what another node may still refuse must not be in the same round. A flush is carried out by all
 * or ends the run. */
static bool whole_marks_fit(const struct commit *c, const struct round *r)
{
    return round_empty(r) || c->flow->global == GLOBAL_RUNNING;
}

void seal_and_send(struct commit *c, bool force_mark)
{
    struct round *r = router_open(c->router);
    flow_wait_until_told(c->flow);
    /* Due only where it can go out now: it might have become so since seal_may_send was asked. */
    bool due = mark_due(c) && router_idle(c->router);
    bool cluster = router_is_cluster(c->router);
    /* The source of a command across slots is perhaps on another node. */
    bool whole = (force_mark || due) && !seal_between_steps(c);
    c->marks_owed = cluster && whole && seal_marks_on(c) && !whole_marks_fit(c, r);
    if (seal_marks_on(c) && !c->marks_owed && (whole || (r->has_once && !cluster)))
        put_marks(c, true);
    else if (c->flow->settings.marks && r->has_once && cluster)
        put_marks(c, false); /* of slots: each is behind its own command, wherever others stand */
    fill_checkpoint(c, &r->end);
    r->done_seq = decoder_seq(c->flow->decoder) - before_global(c);
    r->entries = c->entries;
    r->keys = c->keys;
    c->entries = c->keys = 0;
    cursor_set(&c->flow->cursor.marks->sent_offset, r->end.offset);
    cursor_set(&c->flow->cursor.marks->sent_seq, r->end.seq);
    router_send(c->router);
}

/* Only a migration that is complete leaves no mark: another one goes on from it. */
bool seal_last_mark(struct commit *c)
{
    if ((!seal_marks_on(c) && !c->unmarking) || c->last_mark_sent)
        return false;
    c->last_mark_sent = true;
    if (!c->flow->settings.migrate || !drain_reached_lsn(c->drain)) {
        seal_and_send(c, true);
        return true;
    }
    /* A successor must not take the missing mark for lost data. */
    cursor_set(&c->flow->cursor.marks->phase, CURSOR_DRAINED);
    c->unmarking = true;
    router_remove_marks(c->router);
    c->flow->settings.marks = false;
    seal_and_send(c, false);
    return true;
}

void seal_note_lsn(struct commit *c, uint64_t next_lsn, struct journal_check check)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    cursor_set(&m->check_lsn, check.lsn);
    cursor_set(&m->check_sum, check.sum);
    cursor_set(&m->applied_lsn, next_lsn);
}

void seal_save_record(struct commit *c, const struct checkpoint *at)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    struct error error;
    flow_wait_until_told(c->flow);
    if (!cursor_save_record(&c->flow->cursor, buf_slice(&at->record), &error)) {
        flow_fail(c->flow, &error);
        return;
    }
    cursor_set(&m->applied_offset, at->offset);
    cursor_set(&m->applied_seq, at->seq);
    seal_note_lsn(c, at->next_lsn, at->check);
    cursor_set(&m->last_applied_ms, clock_monotonic_ms());
    if (at->seq >= c->flow->seen_seq && c->flow->ready && !decoder_comparing(c->flow->decoder))
        cursor_set(&m->in_contact, 1);
    if (c->ping_lsn && at->next_lsn >= c->ping_lsn) {
        c->ping_lsn = 0;
        flow_tell_simple(c->flow, MESSAGE_PING);
        source_tls_acknowledge(c->source, true);
    }
    source_note_waiting(c->source);
}

void seal_acknowledged(struct commit *c, struct round *r)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    expiry_acknowledged(c->expiry, r->done_seq);
    if (r->end.record.len)
        seal_save_record(c, &r->end);
    if (r->marked && r->end.record.len) {
        memcpy(&c->marked_seq, r->end.record.data, sizeof c->marked_seq);
        retain_keep(c, &r->end);
    }
    cursor_add(&m->entries, r->entries);
    cursor_add(&m->keys, r->keys);
    cursor_add(&m->commands, r->commands);
    if (r->sent_at_us)
        cursor_count_batch(m, clock_monotonic_us() - r->sent_at_us);
}

void seal_settle(struct commit *c)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    struct checkpoint *open = &router_open(c->router)->end;
    uint64_t offset = decoder_offset(c->flow->decoder);
    if (c->flow->global == GLOBAL_NONE && decoder_seq(c->flow->decoder) != cursor_get(&m->applied_seq)) {
        cursor_add(&m->entries, c->entries);
        c->entries = 0;
        fill_checkpoint(c, open);
        seal_save_record(c, open);
    }
    if (offset >= spool_received(c->spool))
        source_note_waiting(c->source);
    /* Nothing but the offset went on since the last mark: the mark vouches for that, too. */
    if (c->flow->global == GLOBAL_NONE && seal_marks_on(c) &&
        c->marked_seq == decoder_seq(c->flow->decoder) && offset != c->sealed.offset) {
        fill_checkpoint(c, open);
        seal_save_record(c, open);
        retain_keep(c, open);
    }
    retain_release(c);
}

void seal_held_done(struct commit *c)
{
    router_begin_at(c->router, decoder_seq(c->flow->decoder));
    seal_settle(c);
}

void seal_restart(struct commit *c)
{
    struct cursor_marks *m = c->flow->cursor.marks;
    router_forget_open(c->router);
    router_begin_at(c->router, decoder_seq(c->flow->decoder));
    fill_checkpoint(c, &router_open(c->router)->end);
    c->marked_offset = decoder_offset(c->flow->decoder);
    c->mark_wanted = c->flow->settings.marks;
    c->mark_every_bytes = 0;
    c->last_mark_sent = false;
    cursor_set(&m->decoded_offset, decoder_offset(c->flow->decoder));
    cursor_set(&m->sent_offset, decoder_offset(c->flow->decoder));
    c->entries = c->keys = 0;
}
