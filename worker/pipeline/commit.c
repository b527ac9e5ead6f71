/* Rounds out, acknowledgements in: checkpoints, marks, the cursor.
 *
 * A sealed round carries the checkpoint it leads to. When the target has acknowledged it, and so all
 * before it, the checkpoint becomes the cursor's restart record and the spool may let go. */
#include <stdio.h>

#include "common/base/clock.h"
#include "worker/link/mark_text.h"
#include "worker/pipeline/cross_slot.h"
#include "worker/worker.h"

enum { MARK_EVERY_MS = 1000 };

/* The decoder has a global command in hand that is not done: what can be sealed ends before it. A mark beside
 * a flush must not vouch for it: the target may refuse the flush and take the mark. */
static bool before_global(const struct worker *w)
{
    return w->flow->global != GLOBAL_NONE && w->flow->global < CROSS_LAST;
}

/* Of a command across slots: its destination may have it, its source has not. */
static bool between_steps(const struct worker *w)
{
    return w->flow->global == CROSS_WRITING || w->flow->global == CROSS_REPLICATING;
}

/* whole: of the FLOW; else, in a cluster, of the slots that need one. */
static void put_marks(struct worker *w, bool whole)
{
    char text[MARK_TEXT_BYTES];
    /* A step of a command across slots: in the slot it goes to it is done. */
    unsigned before = before_global(w) && w->flow->global != CROSS_WRITING;
    uint64_t seq = decoder_seq(w->flow->decoder) - before;
    /* 0 during full sync: nothing can be resumed from there. */
    uint64_t lsn = decoder_next_lsn(w->flow->decoder);
    lsn -= lsn ? before : 0;
    struct mark mark = {
        .session = w->flow->session, .seq = seq, .lsn = lsn, .check = decoder_check(w->flow->decoder, lsn)};
    memcpy(mark.master_id, w->flow->master_id, sizeof mark.master_id);
    mark_write(&mark, text);
    router_put_marks(w->router, text, whole);
    if (!router_open(w->router)->marked)
        return;
    expiry_mark_sent(w->expiry, seq);
    w->sealed_marked_seq = seq;
    w->marked_at_ms = clock_monotonic_ms();
    w->marked_offset = decoder_offset(w->flow->decoder);
    w->mark_wanted = false;
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
static void fill_checkpoint(struct worker *w, struct checkpoint *at)
{
    uint8_t header[RECORD_HEADER];
    if (before_global(w)) {
        copy_checkpoint(at, &w->sealed);
        return;
    }
    at->offset = decoder_offset(w->flow->decoder);
    at->seq = decoder_seq(w->flow->decoder);
    at->next_lsn = decoder_next_lsn(w->flow->decoder);
    at->check = decoder_check(w->flow->decoder, at->next_lsn);
    memcpy(header, &w->sealed_marked_seq, sizeof header);
    buf_clear(&at->record);
    buf_put(&at->record, header, sizeof header);
    decoder_save(w->flow->decoder, &at->record);
    copy_checkpoint(&w->sealed, at);
}

bool seal_is_behind(const struct worker *w)
{
    return decoder_seq(w->flow->decoder) < w->skip_seq ||
           (w->skip_lsn && decoder_next_lsn(w->flow->decoder) < w->skip_lsn);
}

/* Not while the target is ahead of us: a mark would take it back, and what it has would be carried twice
 * after the next loss of the connection. */
bool seal_marks_on(const struct worker *w)
{
    return w->flow->settings.marks && !w->flow->settings.target.null_sink && !seal_is_behind(w);
}

static bool mark_due(const struct worker *w)
{
    return seal_marks_on(w) && (clock_monotonic_ms() - w->marked_at_ms >= MARK_EVERY_MS ||
                                decoder_offset(w->flow->decoder) - w->marked_offset >= w->mark_every_bytes);
}

bool seal_may_send(struct worker *w)
{
    return router_can_send(w->router, router_open(w->router)->has_once || mark_due(w));
}

/* In a cluster a mark of the whole FLOW vouches on each node for all before it, also for slots that are on their
 * way from there: what another node may still refuse must not be in the same round. A flush is carried out by all
 * or ends the run. */
static bool whole_marks_fit(const struct worker *w, const struct round *r)
{
    return round_empty(r) || w->flow->global == GLOBAL_RUNNING;
}

void seal_and_send(struct worker *w, bool force_mark)
{
    struct round *r = router_open(w->router);
    flow_wait_until_told(w->flow);
    /* Due only where it can go out now: it might have become so since seal_may_send was asked. */
    bool due = mark_due(w) && router_idle(w->router);
    bool cluster = router_is_cluster(w->router);
    /* The source of a command across slots is perhaps on another node. */
    bool whole = (force_mark || due) && !between_steps(w);
    w->marks_owed = cluster && whole && seal_marks_on(w) && !whole_marks_fit(w, r);
    if (seal_marks_on(w) && !w->marks_owed && (whole || (r->has_once && !cluster)))
        put_marks(w, true);
    else if (w->flow->settings.marks && r->has_once && cluster)
        put_marks(w, false); /* of slots: each is behind its own command, wherever others stand */
    fill_checkpoint(w, &r->end);
    r->done_seq = decoder_seq(w->flow->decoder) - before_global(w);
    r->entries = w->entries;
    r->keys = w->keys;
    w->entries = w->keys = 0;
    cursor_set(&w->flow->cursor.marks->sent_offset, r->end.offset);
    cursor_set(&w->flow->cursor.marks->sent_seq, r->end.seq);
    router_send(w->router);
}

/* Only a migration that is complete leaves no mark: another one goes on from it. */
bool seal_last_mark(struct worker *w)
{
    if ((!seal_marks_on(w) && !w->unmarking) || w->last_mark_sent)
        return false;
    w->last_mark_sent = true;
    if (!w->flow->settings.migrate || !pump_reached_drain_lsn(w)) {
        seal_and_send(w, true);
        return true;
    }
    /* A successor must not take the missing mark for lost data. */
    cursor_set(&w->flow->cursor.marks->phase, CURSOR_DRAINED);
    w->unmarking = true;
    router_remove_marks(w->router);
    w->flow->settings.marks = false;
    seal_and_send(w, false);
    return true;
}

void seal_note_lsn(struct worker *w, uint64_t next_lsn, struct journal_check check)
{
    struct cursor_marks *m = w->flow->cursor.marks;
    cursor_set(&m->check_lsn, check.lsn);
    cursor_set(&m->check_sum, check.sum);
    cursor_set(&m->applied_lsn, next_lsn);
}

void seal_save_record(struct worker *w, const struct checkpoint *at)
{
    struct cursor_marks *m = w->flow->cursor.marks;
    struct error error;
    flow_wait_until_told(w->flow);
    if (!cursor_save_record(&w->flow->cursor, buf_slice(&at->record), &error)) {
        flow_fail(w->flow, &error);
        return;
    }
    cursor_set(&m->applied_offset, at->offset);
    cursor_set(&m->applied_seq, at->seq);
    seal_note_lsn(w, at->next_lsn, at->check);
    cursor_set(&m->last_applied_ms, clock_monotonic_ms());
    if (at->seq >= w->flow->seen_seq && w->flow->ready && !decoder_comparing(w->flow->decoder))
        cursor_set(&m->in_contact, 1);
    if (w->ping_lsn && at->next_lsn >= w->ping_lsn) {
        w->ping_lsn = 0;
        flow_tell_simple(w->flow, MESSAGE_PING);
        source_tls_acknowledge(&w->source, true);
    }
    source_note_waiting(&w->source);
}

void seal_acknowledged(struct worker *w, struct round *r)
{
    struct cursor_marks *m = w->flow->cursor.marks;
    uint64_t last = r->end.seq;
    if (w->flow->failed) /* by one of its answers */
        return;
    expiry_acknowledged(w->expiry, r->done_seq);
    if (r->end.record.len)
        seal_save_record(w, &r->end);
    if (r->marked && r->end.record.len) {
        memcpy(&w->marked_seq, r->end.record.data, sizeof w->marked_seq);
        rewind_keep(w, &r->end);
    }
    cursor_add(&m->entries, r->entries);
    cursor_add(&m->keys, r->keys);
    cursor_add(&m->commands, r->commands);
    if (r->sent_at_us)
        cursor_count_batch(m, clock_monotonic_us() - r->sent_at_us);
    if (between_steps(w) || (w->flow->global == CROSS_LAST && last == w->global_seq)) {
        cross_acknowledged(w);
    } else if (w->flow->global == GLOBAL_CLEARING) {
        global_cleared(w);
    } else if (w->flow->global == GLOBAL_RUNNING) {
        global_acknowledged(w);
        seal_held_done(w);
    }
}

void seal_settle(struct worker *w)
{
    struct cursor_marks *m = w->flow->cursor.marks;
    struct checkpoint *open = &router_open(w->router)->end;
    uint64_t offset = decoder_offset(w->flow->decoder);
    if (w->flow->global == GLOBAL_NONE && decoder_seq(w->flow->decoder) != cursor_get(&m->applied_seq)) {
        cursor_add(&m->entries, w->entries);
        w->entries = 0;
        fill_checkpoint(w, open);
        seal_save_record(w, open);
    }
    if (offset >= spool_received(w->spool))
        source_note_waiting(&w->source);
    /* Nothing but the offset went on since the last mark: the mark vouches for that, too. */
    if (w->flow->global == GLOBAL_NONE && seal_marks_on(w) &&
        w->marked_seq == decoder_seq(w->flow->decoder) && offset != w->sealed.offset) {
        fill_checkpoint(w, open);
        seal_save_record(w, open);
        rewind_keep(w, open);
    }
    rewind_release(w);
}

void seal_held_done(struct worker *w)
{
    router_begin_at(w->router, decoder_seq(w->flow->decoder));
    seal_settle(w);
}

void seal_restart(struct worker *w)
{
    struct cursor_marks *m = w->flow->cursor.marks;
    router_forget_open(w->router);
    router_begin_at(w->router, decoder_seq(w->flow->decoder));
    fill_checkpoint(w, &router_open(w->router)->end);
    w->marked_offset = decoder_offset(w->flow->decoder);
    w->mark_wanted = w->flow->settings.marks;
    w->mark_every_bytes = 0;
    w->last_mark_sent = false;
    cursor_set(&m->decoded_offset, decoder_offset(w->flow->decoder));
    cursor_set(&m->sent_offset, decoder_offset(w->flow->decoder));
    w->entries = w->keys = 0;
}
