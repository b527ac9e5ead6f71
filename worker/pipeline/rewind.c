/* Back to where the target is, whatever happened to it meanwhile.
 *
 *        mark in the target           applied
 *   ----------|--------------------------|-----------------> stream
 *      ^ decoder state at or before it, of the cursor or the history
 *
 * The mark vouches for all before it and for nothing after it: what was acknowledged since may be gone with
 * the target's last second. It is all idempotent (anything else carries a mark of its own), so it runs again.
 * A mark older than one that was acknowledged means that the target lost more: the same, only further
 * back. What is no longer in the spool cannot be brought: then only a full sync helps. */
#include <stdio.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "worker/worker.h"

enum { KEEP_EVERY_BYTES = 1 << 20, KEEP_EVERY_MS = 1000, MARK_EVERY_MAX_BYTES = 16 << 20 };

static bool lacks(struct worker *w, uint64_t seq, struct error *error)
{
    return error_set(error, ERROR_REDIRECT,
                     "the target has lost writes: its mark stands at entry %llu, it had acknowledged the "
                     "mark of %llu, and the "
                     "spool holds nothing before byte %llu; a full sync is needed",
                     (unsigned long long)seq, (unsigned long long)w->marked_seq,
                     (unsigned long long)spool_oldest(w->spool));
}

/* Is its LSN one of the journal that is followed? */
static bool follows(const struct worker *w, const struct mark *mark)
{
    return mark->present &&
           (strcmp(mark->master_id, w->flow->master_id) == 0 ||
            (*w->flow->last_master_id && strcmp(mark->master_id, w->flow->last_master_id) == 0));
}

/* Which entries of this session the target has, by its mark. */
static bool read_position(struct worker *w, const struct mark *mark, uint64_t *seq, struct error *error)
{
    uint64_t first_lsn = w->flow->decoder_config.first_lsn;
    bool of_source = follows(w, mark);
    *seq = 0;
    if (!mark->present && w->marked_seq && w->flow->target.evicts_any)
        return error_fatal(error, EX_CONFIG, LINK_EVICTED_TEXT);
    /* At a migration's end another FLOW may have taken it away. */
    if (mark->present && !mark->claimed && !w->flow->settings.migrate)
        return error_set(
            error, ERROR_REDIRECT,
            "the target's mark %s %s was written after somebody had emptied it (FLUSHALL, FLUSHDB): "
            "what was there before is gone; a full sync is needed",
            w->flow->mark_key, w->flow->mark_field);
    if (mark->present && mark->session == w->flow->session) {
        *seq = mark->seq;
        return true;
    }
    if (mark->present && mark->session > w->flow->session && w->marked_seq)
        return error_fatal(error, EX_TEMPFAIL,
                           "the target's mark %s %s is of a later session: another run named \"%s\" writes "
                           "there, too; this one "
                           "ends; give each its own --name",
                           w->flow->mark_key, w->flow->mark_field, w->flow->settings.name);
    /* None of this session. The first batch brings one, so nothing of it was written yet, or all of it is
     * lost. */
    /* The promoted master's own entries have these numbers, and may be others. */
    if (first_lsn && of_source && mark->lsn > first_lsn && strcmp(mark->master_id, w->flow->master_id) != 0)
        return error_set(error, ERROR_REDIRECT,
                         "the target has entries %llu to %llu of FLOW %u of the master before, and the "
                         "promoted master may not have had them; a full sync is needed",
                         (unsigned long long)first_lsn, (unsigned long long)mark->lsn - 1, w->flow->number);
    if (first_lsn && of_source && mark->lsn >= first_lsn) {
        w->skip_lsn = mark->lsn;
        return true;
    }
    if (first_lsn)
        return error_set(error, ERROR_REDIRECT,
                         "the target's mark stands at LSN %llu of FLOW %u, and the journal was asked for "
                         "from %llu on: what is "
                         "between is lost; a full sync is needed",
                         (unsigned long long)(of_source ? mark->lsn : 0), w->flow->number,
                         (unsigned long long)first_lsn);
    return !w->marked_seq || lacks(w, 0, error);
}

static bool restore(struct worker *w, const struct buf *record, struct error *error)
{
    decoder_free(w->flow->decoder);
    w->flow->decoder = decoder_new(&w->flow->decoder_config);
    if (record->len < RECORD_HEADER)
        return true; /* the begin */
    return decoder_restore(w->flow->decoder,
                           slice_of(record->data + RECORD_HEADER, record->len - RECORD_HEADER), error);
}

/* The newest state not after seq whose bytes are still here: the cursor's record, or one of the history. */
static bool find_state(struct worker *w, const struct buf *newest, uint64_t seq, struct error *error)
{
    if (newest->len && restore(w, newest, error) && decoder_seq(w->flow->decoder) <= seq &&
        spool_seek_back(w->spool, decoder_offset(w->flow->decoder)))
        return true;
    struct buf record = {0};
    bool ok = history_find(w->history, seq, spool_oldest(w->spool), &record) || spool_oldest(w->spool) == 0;
    ok = ok ? restore(w, &record, error) && spool_seek_back(w->spool, decoder_offset(w->flow->decoder))
            : lacks(w, seq, error);
    buf_free(&record);
    return ok;
}

/* Without marks nothing tells where the target is, but a server that was started anew may have lost anything.
 */
static bool same_target(struct worker *w, struct error *error)
{
    const char *was = history_target(w->history), *is = w->flow->target.run_id;
    if (!router_is_null(w->router) && !w->flow->settings.marks && !w->unmarking && *was && *is &&
        strcmp(was, is) != 0)
        return error_set(error, ERROR_REDIRECT,
                         "the target was started anew or replaced by another, and without marks (--marks "
                         "off) nothing tells "
                         "what it still has; a full sync is needed");
    history_set_target(w->history, is);
    return true;
}

/* What was acknowledged is no longer there: it is told as it is, until it is there again. So does a successor
 * begin, that may not know who has lost it. */
static void went_back(struct worker *w)
{
    struct cursor_marks *m = w->flow->cursor.marks;
    cursor_set(&m->applied_offset, decoder_offset(w->flow->decoder));
    cursor_set(&m->applied_seq, decoder_seq(w->flow->decoder));
    if (decoder_next_lsn(w->flow->decoder))
        seal_note_lsn(w, decoder_next_lsn(w->flow->decoder),
                      decoder_check(w->flow->decoder, decoder_next_lsn(w->flow->decoder)));
    source_waits_from(&w->source, decoder_offset(w->flow->decoder));
}

static void tell_lost(const struct worker *w, uint64_t seq)
{
    log_warning("the target has lost writes that it had acknowledged (its mark stands at entry %llu, and it "
                "had acknowledged that of %llu): brought forward from the spool, %llu bytes",
                (unsigned long long)seq, (unsigned long long)w->marked_seq,
                (unsigned long long)(cursor_get(&w->flow->cursor.marks->applied_offset) -
                                     decoder_offset(w->flow->decoder)));
}

bool rewind_to_target(struct worker *w, const struct position *at, struct error *error)
{
    const struct mark *mark = &at->mark;
    bool cluster = router_is_cluster(w->router);
    uint64_t seq = UINT64_MAX, applied = cursor_get(&w->flow->cursor.marks->applied_seq);
    /* Without marks, and after they were removed at the end, we go on from what was acknowledged. */
    bool known = !router_is_null(w->router) && w->flow->settings.marks;
    struct buf newest = {0};
    expiry_rewound(w->expiry);
    /* What is unheard of is suspect once the decoder has passed it. */
    w->unheard = router_take_answers_lost(w->router) || (w->unheard && seal_is_behind(w));
    w->flow->seen_seq = cursor_get(&w->flow->cursor.marks->decoded_seq);
    if (applied > w->answered_seq)
        w->answered_seq = applied;
    reports_rewound(&w->reports);
    w->marked_seq = w->skip_lsn = 0;
    /* A session that began with the journal goes on with the earlier one's. */
    bool same_master = !*mark->flushed_master || strcmp(mark->flushed_master, w->flow->master_id) == 0;
    bool continued = w->flow->decoder_config.first_lsn && follows(w, mark) && same_master;
    w->flushed_txid = mark->flushed_session == w->flow->session || continued ? mark->flushed_txid : 0;
    if (cursor_load_record(&w->flow->cursor, &newest) && newest.len >= RECORD_HEADER)
        memcpy(&w->marked_seq, newest.data, RECORD_HEADER);
    bool ok = same_target(w, error);
    if (known && cluster)
        seq = mark->seq; /* judged already, slot by slot */
    else if (known)
        ok = ok && read_position(w, mark, &seq, error);
    ok = ok && find_state(w, &newest, seq, error);
    buf_free(&newest);
    if (!ok)
        return false;
    if (known && !cluster && seq > applied && seq != UINT64_MAX)
        log_info("the target has carried out entries %llu to %llu, but its answers were lost with the "
                 "connection: their keys are compared with the source's",
                 (unsigned long long)applied + 1, (unsigned long long)seq);
    bool behind = known && decoder_seq(w->flow->decoder) < applied, lost = behind && seq < w->marked_seq;
    if (lost)
        tell_lost(w, seq);
    if (lost || (behind && cluster && seq < applied))
        went_back(w);
    w->skip_seq = w->marked_seq = w->sealed_marked_seq = known ? seq : 0;
    if (cluster && known) {
        w->all_seq = seq;
        w->all_lsn = mark->lsn;
        w->skip_seq = at->ahead_seq;
        w->skip_lsn = at->ahead_lsn;
    }
    seal_restart(w);
    w->contact_waits =
        decoder_seq(w->flow->decoder) >= w->flow->seen_seq && decoder_comparing(w->flow->decoder);
    if (decoder_seq(w->flow->decoder) >= w->flow->seen_seq && !w->contact_waits)
        cursor_set(&w->flow->cursor.marks->in_contact, 1);
    return true;
}

void rewind_keep(struct worker *w, const struct checkpoint *at)
{
    expiry_marked(w->expiry, at->seq);
    uint64_t now = clock_monotonic_ms(), newest = history_newest_offset(w->history);
    uint64_t spacing = w->flow->settings.ring_bytes / 16, most = w->flow->settings.ring_bytes / 4;
    if (spacing > KEEP_EVERY_BYTES)
        spacing = KEEP_EVERY_BYTES;
    if (most > MARK_EVERY_MAX_BYTES)
        most = MARK_EVERY_MAX_BYTES;
    /* After trouble the next trouble may be near: marks come thick at first, so that there is always some
     * progress. */
    w->mark_every_bytes = w->mark_every_bytes ? w->mark_every_bytes * 4 : w->flow->settings.batch_bytes;
    if (w->mark_every_bytes > most || !w->had_trouble)
        w->mark_every_bytes = most;
    /* With the ring full it is what keeps the next bytes out. */
    bool tight = spool_overflow_bytes(w->spool) > 0 || w->source.paused;
    if (at->offset <= newest ||
        (!tight && at->offset < newest + spacing && now - w->kept_at_ms < KEEP_EVERY_MS))
        return;
    history_add(w->history, at->seq, at->offset, spool_oldest(w->spool), buf_slice(&at->record));
    w->kept_at_ms = now;
}

void rewind_release(struct worker *w)
{
    uint64_t applied = cursor_get(&w->flow->cursor.marks->applied_offset);
    if (!router_is_null(w->router) && w->flow->settings.marks) {
        uint64_t kept = history_newest_offset(w->history);
        if (kept < applied)
            applied = kept;
    }
    spool_release(w->spool, applied);
}
