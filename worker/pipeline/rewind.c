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
#include "worker/pipeline/pipeline.h"

#include <sysexits.h>

#include "common/base/clock.h"

static bool lacks(struct pipeline *p, uint64_t seq, struct error *error)
{
    return error_set(error, ERROR_REDIRECT,
                     "the target has lost writes: its mark stands at entry %llu, it had acknowledged the "
                     "mark of %llu, and the "
                     "spool holds nothing before byte %llu; a full sync is needed",
                     (unsigned long long)seq, (unsigned long long)p->commit.marked_seq,
                     (unsigned long long)spool_oldest(p->spool));
}

/* Is its LSN one of the journal that is followed? */
static bool follows(const struct pipeline *p, const struct mark *mark)
{
    return mark->present &&
           (strcmp(mark->master_id, p->flow->master_id) == 0 ||
            (*p->flow->last_master_id && strcmp(mark->master_id, p->flow->last_master_id) == 0));
}

/* Which entries of this session the target has, by its mark. */
static bool read_position(struct pipeline *p, const struct mark *mark, uint64_t *seq, struct error *error)
{
    uint64_t first_lsn = p->flow->decoder_config.first_lsn;
    bool of_source = follows(p, mark);
    *seq = 0;
    if (!mark->present && p->commit.marked_seq && p->flow->target.evicts_any)
        return error_fatal(error, EX_CONFIG, LINK_EVICTED_TEXT);
    /* At a migration's end another FLOW may have taken it away. */
    if (mark->present && !mark->claimed && !p->flow->settings.migrate)
        return error_set(
            error, ERROR_REDIRECT,
            "the target's mark %s %s was written after somebody had emptied it (FLUSHALL, FLUSHDB): "
            "what was there before is gone; a full sync is needed",
            p->flow->mark_key, p->flow->mark_field);
    if (mark->present && mark->session == p->flow->session) {
        *seq = mark->seq;
        return true;
    }
    if (mark->present && mark->session > p->flow->session && p->commit.marked_seq)
        return error_fatal(error, EX_TEMPFAIL,
                           "the target's mark %s %s is of a later session: another run named \"%s\" writes "
                           "there, too; this one "
                           "ends; give each its own --name",
                           p->flow->mark_key, p->flow->mark_field, p->flow->settings.name);
    /* None of this session. The first batch brings one, so nothing of it was written yet, or all of it is
     * lost. */
    /* The promoted master's own entries have these numbers, and may be others. */
    if (first_lsn && of_source && mark->lsn > first_lsn && strcmp(mark->master_id, p->flow->master_id) != 0)
        return error_set(error, ERROR_REDIRECT,
                         "the target has entries %llu to %llu of FLOW %u of the master before, and the "
                         "promoted master may not have had them; a full sync is needed",
                         (unsigned long long)first_lsn, (unsigned long long)mark->lsn - 1, p->flow->number);
    if (first_lsn && of_source && mark->lsn >= first_lsn) {
        p->commit.skip_lsn = mark->lsn;
        return true;
    }
    if (first_lsn)
        return error_set(error, ERROR_REDIRECT,
                         "the target's mark stands at LSN %llu of FLOW %u, and the journal was asked for "
                         "from %llu on: what is "
                         "between is lost; a full sync is needed",
                         (unsigned long long)(of_source ? mark->lsn : 0), p->flow->number,
                         (unsigned long long)first_lsn);
    return !p->commit.marked_seq || lacks(p, 0, error);
}

static bool restore(struct pipeline *p, const struct buf *record, struct error *error)
{
    decoder_free(p->flow->decoder);
    p->flow->decoder = decoder_new(&p->flow->decoder_config);
    if (record->len < RECORD_HEADER)
        return true; /* the begin */
    return decoder_restore(p->flow->decoder,
                           slice_of(record->data + RECORD_HEADER, record->len - RECORD_HEADER), error);
}

/* The newest state not after seq whose bytes are still here: the cursor's record, or one of the history. */
static bool find_state(struct pipeline *p, const struct buf *newest, uint64_t seq, struct error *error)
{
    if (newest->len && restore(p, newest, error) && decoder_seq(p->flow->decoder) <= seq &&
        spool_seek_back(p->spool, decoder_offset(p->flow->decoder)))
        return true;
    struct buf record = {0};
    bool ok =
        history_find(p->commit.history, seq, spool_oldest(p->spool), &record) || spool_oldest(p->spool) == 0;
    ok = ok ? restore(p, &record, error) && spool_seek_back(p->spool, decoder_offset(p->flow->decoder))
            : lacks(p, seq, error);
    buf_free(&record);
    return ok;
}

/* Without marks nothing tells where the target is, but a server that was started anew may have lost anything.
 */
static bool same_target(struct pipeline *p, struct error *error)
{
    const char *was = history_target(p->commit.history), *is = p->flow->target.run_id;
    if (!router_is_null(p->router) && !p->flow->settings.marks && !p->commit.unmarking && *was && *is &&
        strcmp(was, is) != 0)
        return error_set(error, ERROR_REDIRECT,
                         "the target was started anew or replaced by another, and without marks (--marks "
                         "off) nothing tells "
                         "what it still has; a full sync is needed");
    history_set_target(p->commit.history, is);
    return true;
}

/* What was acknowledged is no longer there: it is told as it is, until it is there again. So does a successor
 * begin, that may not know who has lost it. */
static void went_back(struct pipeline *p)
{
    struct cursor_marks *m = p->flow->cursor.marks;
    cursor_set(&m->applied_offset, decoder_offset(p->flow->decoder));
    cursor_set(&m->applied_seq, decoder_seq(p->flow->decoder));
    if (decoder_next_lsn(p->flow->decoder))
        seal_note_lsn(&p->commit, decoder_next_lsn(p->flow->decoder),
                      decoder_check(p->flow->decoder, decoder_next_lsn(p->flow->decoder)));
    source_waits_from(p->source, decoder_offset(p->flow->decoder));
}

static void tell_lost(const struct pipeline *p, uint64_t seq)
{
    log_warning("the target has lost writes that it had acknowledged (its mark stands at entry %llu, and it "
                "had acknowledged that of %llu): brought forward from the spool, %llu bytes",
                (unsigned long long)seq, (unsigned long long)p->commit.marked_seq,
                (unsigned long long)(cursor_get(&p->flow->cursor.marks->applied_offset) -
                                     decoder_offset(p->flow->decoder)));
}

bool rewind_to_target(struct pipeline *p, const struct position *at, struct error *error)
{
    const struct mark *mark = &at->mark;
    bool cluster = router_is_cluster(p->router);
    uint64_t seq = UINT64_MAX, applied = cursor_get(&p->flow->cursor.marks->applied_seq);
    /* Without marks, and after they were removed at the end, we go on from what was acknowledged. */
    bool known = !router_is_null(p->router) && p->flow->settings.marks;
    struct buf newest = {0};
    expiry_rewound(p->expiry);
    /* What is unheard of is suspect once the decoder has passed it. */
    p->unheard = router_take_answers_lost(p->router) || (p->unheard && seal_is_behind(&p->commit));
    p->flow->seen_seq = cursor_get(&p->flow->cursor.marks->decoded_seq);
    if (applied > p->answered_seq)
        p->answered_seq = applied;
    reports_rewound(&p->reports);
    p->commit.marked_seq = p->commit.skip_lsn = 0;
    /* A session that began with the journal goes on with the earlier one's. */
    bool same_master = !*mark->flushed_master || strcmp(mark->flushed_master, p->flow->master_id) == 0;
    bool continued = p->flow->decoder_config.first_lsn && follows(p, mark) && same_master;
    p->flush.flushed_txid = mark->flushed_session == p->flow->session || continued ? mark->flushed_txid : 0;
    if (cursor_load_record(&p->flow->cursor, &newest) && newest.len >= RECORD_HEADER)
        memcpy(&p->commit.marked_seq, newest.data, RECORD_HEADER);
    bool ok = same_target(p, error);
    if (known && cluster)
        seq = mark->seq; /* judged already, slot by slot */
    else if (known)
        ok = ok && read_position(p, mark, &seq, error);
    ok = ok && find_state(p, &newest, seq, error);
    buf_free(&newest);
    if (!ok)
        return false;
    if (known && !cluster && seq > applied && seq != UINT64_MAX)
        log_info("the target has carried out entries %llu to %llu, but its answers were lost with the "
                 "connection: their keys are compared with the source's",
                 (unsigned long long)applied + 1, (unsigned long long)seq);
    bool behind = known && decoder_seq(p->flow->decoder) < applied,
         lost = behind && seq < p->commit.marked_seq;
    if (lost)
        tell_lost(p, seq);
    if (lost || (behind && cluster && seq < applied))
        went_back(p);
    p->commit.skip_seq = p->commit.marked_seq = p->commit.sealed_marked_seq = known ? seq : 0;
    if (cluster && known) {
        p->flush.all_seq = seq;
        p->flush.all_lsn = mark->lsn;
        p->commit.skip_seq = at->ahead_seq;
        p->commit.skip_lsn = at->ahead_lsn;
    }
    seal_restart(&p->commit);
    p->contact_waits =
        decoder_seq(p->flow->decoder) >= p->flow->seen_seq && decoder_comparing(p->flow->decoder);
    if (decoder_seq(p->flow->decoder) >= p->flow->seen_seq && !p->contact_waits)
        cursor_set(&p->flow->cursor.marks->in_contact, 1);
    return true;
}
