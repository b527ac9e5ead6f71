/* Batches out, acknowledgements in: checkpoints, marks, the cursor.
 *
 * A sealed batch carries the checkpoint it leads to. When the target has acknowledged it, and so all
 * before it, the checkpoint becomes the cursor's restart record and the spool may let go. */
#include <stdio.h>

#include "common/clock.h"
#include "worker/worker.h"

enum { BATCH_KEEP_BYTES = 2 << 20, MARK_EVERY_MS = 1000 };

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void seal_prepare(struct worker *w)
{
    if (!w->open) {
        if (w->spare) {
            w->open = w->spare;
            w->spare = w->spare->next;
            w->open->next = NULL;
        } else {
            w->open = batch_new();
        }
    }
    output_target(w->output, w->open);
    w->entries = w->keys = 0;
}

/* The decoder has a global command in hand that is not done: what can be sealed ends before it. */
static bool before_global(const struct worker *w)
{
    return w->global == GLOBAL_DRAINING || w->global == GLOBAL_WAITING;
}

static void put_mark(struct worker *w, struct batch *b)
{
    char text[128];
    uint64_t seq = decoder_seq(w->decoder) - before_global(w);
    /* 0 during full sync: nothing can be resumed from there. */
    uint64_t lsn = decoder_next_lsn(w->decoder) - before_global(w);
    int n = snprintf(text, sizeof text, "%s %llu %llu %llu", w->master_id, (unsigned long long)w->session,
                     (unsigned long long)seq,
                     (unsigned long long)lsn);
    /* Once, whatever else is in the batch: a mark among pipelined batches could be taken after one before
     * it was refused (OOM comes and goes), and would then vouch for what was never applied. */
    output_begin(w->output, w->settings.target.db, slice_str(w->mark_key), 4, OUTPUT_ONCE);
    output_text(w->output, "HSET");
    output_text(w->output, w->mark_key);
    output_text(w->output, w->mark_field);
    output_arg(w->output, slice_of(text, (size_t)n));
    output_end(w->output);
    b->marked = true;
    w->sealed_marked_seq = seq;
    w->marked_at_ms = clock_monotonic_ms();
    w->marked_offset = decoder_offset(w->decoder);
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

/* Before a global command the decoder's state is already the one after it, so the checkpoint before stays; the
 * mark tells how far behind it things are done. */
static void fill_checkpoint(struct worker *w, struct checkpoint *at)
{
    uint8_t header[RECORD_HEADER];
    if (before_global(w)) {
        copy_checkpoint(at, &w->sealed);
        return;
    }
    at->offset = decoder_offset(w->decoder);
    at->seq = decoder_seq(w->decoder);
    at->next_lsn = decoder_next_lsn(w->decoder);
    memcpy(header, &w->sealed_marked_seq, sizeof header);
    buf_clear(&at->record);
    buf_put(&at->record, header, sizeof header);
    decoder_save(w->decoder, &at->record);
    copy_checkpoint(&w->sealed, at);
}

/* Not while the target is ahead of us: a mark would take it back, and what it has would be carried twice
 * after the next loss of the connection. */
bool seal_marks_on(const struct worker *w)
{
    bool behind = decoder_seq(w->decoder) < w->skip_seq ||
                  (w->skip_lsn && decoder_next_lsn(w->decoder) < w->skip_lsn);
    return w->settings.marks && w->link && !behind;
}

static bool mark_due(const struct worker *w)
{
    return seal_marks_on(w) && (clock_monotonic_ms() - w->marked_at_ms >= MARK_EVERY_MS ||
                                decoder_offset(w->decoder) - w->marked_offset >= w->mark_every_bytes);
}

bool seal_may_send(struct worker *w)
{
    return !w->link || link_can_send(w->link, w->open->once || mark_due(w));
}

void seal_and_send(struct worker *w, bool force_mark)
{
    struct batch *b = w->open;
    worker_wait_until_told(w);
    /* Due only where it can go out now: it might have become so since seal_may_send was asked. */
    bool due = mark_due(w) && link_idle(w->link);
    if (seal_marks_on(w) && (b->once || force_mark || due))
        put_mark(w, b);
    fill_checkpoint(w, &b->end);
    b->entries = w->entries;
    b->keys = w->keys;
    batch_seal(b);
    w->open = NULL;
    seal_prepare(w);
    cursor_set(&w->cursor.marks->sent_offset, b->end.offset);
    cursor_set(&w->cursor.marks->sent_seq, b->end.seq);
    if (w->link)
        link_send(w->link, b);
    else
        seal_acknowledged(w, b);
}

bool seal_last_mark(struct worker *w)
{
    if ((!seal_marks_on(w) && !w->unmarking) || w->last_mark_sent)
        return false;
    w->last_mark_sent = true;
    if (!w->settings.migrate || !w->draining) {
        seal_and_send(w, true);
        return true;
    }
    /* A successor must not take the missing mark for lost data. */
    cursor_set(&w->cursor.marks->phase, CURSOR_DRAINED);
    w->unmarking = true;
    output_begin(w->output, w->settings.target.db, slice_str(w->mark_key), 5, OUTPUT_IDEMPOTENT);
    output_text(w->output, "HDEL");
    output_text(w->output, w->mark_key);
    output_text(w->output, w->mark_field);
    output_text(w->output, MARK_FLUSHED_FIELD);
    output_text(w->output, MARK_RUN_FIELD);
    output_end(w->output);
    w->settings.marks = false;
    seal_and_send(w, false);
    return true;
}

void seal_save_record(struct worker *w, const struct checkpoint *at)
{
    struct cursor_marks *m = w->cursor.marks;
    struct error error;
    worker_wait_until_told(w);
    if (!cursor_save_record(&w->cursor, buf_slice(&at->record), &error)) {
        worker_fail(w, &error);
        return;
    }
    cursor_set(&m->applied_offset, at->offset);
    cursor_set(&m->applied_seq, at->seq);
    cursor_set(&m->applied_lsn, at->next_lsn);
    cursor_set(&m->last_applied_ms, clock_monotonic_ms());
    if (at->seq >= w->seen_seq && w->ready)
        cursor_set(&m->in_contact, 1);
    if (w->ping_lsn && at->next_lsn >= w->ping_lsn) {
        w->ping_lsn = 0;
        worker_tell_simple(w, MESSAGE_PING);
        source_tls_acknowledge(w, true);
    }
    source_note_waiting(w);
}

void seal_acknowledged(struct worker *w, struct batch *b)
{
    struct cursor_marks *m = w->cursor.marks;
    uint64_t last = b->end.seq;
    if (b->end.record.len)
        seal_save_record(w, &b->end);
    if (b->marked && b->end.record.len) {
        memcpy(&w->marked_seq, b->end.record.data, sizeof w->marked_seq);
        rewind_keep(w, &b->end);
    }
    cursor_add(&m->entries, b->entries);
    cursor_add(&m->keys, b->keys);
    cursor_add(&m->commands, b->commands);
    if (b->sent_at_us)
        cursor_count_batch(m, now_us() - b->sent_at_us);
    if (w->global == GLOBAL_RUNNING && last == w->global_seq)
        global_acknowledged(w);
    batch_reset(b, BATCH_KEEP_BYTES);
    b->next = w->spare;
    w->spare = b;
}

void seal_settle(struct worker *w)
{
    struct cursor_marks *m = w->cursor.marks;
    uint64_t offset = decoder_offset(w->decoder);
    if (w->global == GLOBAL_NONE && decoder_seq(w->decoder) != cursor_get(&m->applied_seq)) {
        cursor_add(&m->entries, w->entries);
        w->entries = 0;
        fill_checkpoint(w, &w->open->end);
        seal_save_record(w, &w->open->end);
    }
    if (offset >= spool_received(w->spool))
        source_note_waiting(w);
    /* Nothing but the offset went on since the last mark: the mark vouches for that, too. */
    if (w->global == GLOBAL_NONE && seal_marks_on(w) && w->marked_seq == decoder_seq(w->decoder) &&
        offset != w->sealed.offset) {
        fill_checkpoint(w, &w->open->end);
        seal_save_record(w, &w->open->end);
        rewind_keep(w, &w->open->end);
    }
    rewind_release(w);
}

void seal_restart(struct worker *w)
{
    struct cursor_marks *m = w->cursor.marks;
    fill_checkpoint(w, &w->open->end);
    w->marked_offset = decoder_offset(w->decoder);
    w->mark_wanted = w->settings.marks;
    w->mark_every_bytes = 0;
    w->last_mark_sent = false;
    cursor_set(&m->decoded_offset, decoder_offset(w->decoder));
    cursor_set(&m->sent_offset, decoder_offset(w->decoder));
    batch_reset(w->open, BATCH_KEEP_BYTES);
    seal_prepare(w);
}
