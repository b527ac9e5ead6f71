/* Back to the position of the target after a reconnect or a restart.
 *
 *        mark in the target           applied
 *   ----------|--------------------------|-----------------> stream
 *      ^ restart record at or before it, of the cursor or the history
 *
 * The mark covers all entries before it and none after it: those acknowledged since may be lost with the target's last
 * second. They are idempotent (a once command has a mark with it), so they run again. If the mark is older than one
 * that was acknowledged, the target has lost more, and the decoder goes back further. If the spool no longer has the
 * bytes, a full sync is needed. */
#include "worker/pipeline/pipeline.h"

#include <sysexits.h>

#include "common/base/clock.h"

/* Entries: more than a transaction has. */
enum { RESENT_MAX = 16384 };

static bool spool_lacks(struct pipeline *p, uint64_t seq, struct error *error)
{
    return error_set(
        error, ERROR_REDIRECT,
        "the target has lost writes: its mark is at entry %llu, the last acknowledged mark was at "
        "%llu, and the spool has no bytes before %llu; a full sync is needed",
        (unsigned long long)seq, (unsigned long long)p->commit.marked_seq,
        (unsigned long long)spool_oldest(p->spool));
}

/* Whether the LSN of the mark is one of the current journal. */
static bool mark_is_of_journal(const struct pipeline *p, const struct mark *mark)
{
    return mark->present &&
           (strcmp(mark->master_id, p->flow->master_id) == 0 ||
            (*p->flow->last_master_id && strcmp(mark->master_id, p->flow->last_master_id) == 0));
}

/* *seq: the last entry of this session that the target has, by its mark. */
static bool read_position(struct pipeline *p, const struct mark *mark, uint64_t *seq, struct error *error)
{
    uint64_t first_lsn = p->flow->decoder_config.first_lsn;
    bool of_source = mark_is_of_journal(p, mark);
    *seq = 0;
    if (!mark->present && p->commit.marked_seq && p->flow->target.evicts_any)
        return error_fatal(error, EX_CONFIG, LINK_EVICTED_TEXT);
    /* At the end of a migration another FLOW may have removed the claim. */
    if (mark->present && !mark->claimed && !p->flow->settings.migrate)
        return error_set(error, ERROR_REDIRECT,
                         "the target was emptied by another client (FLUSHALL, FLUSHDB) before its mark %s %s "
                         "was written; a "
                         "full sync is needed",
                         p->flow->mark_key, p->flow->mark_field);
    if (mark->present && mark->session == p->flow->session) {
        *seq = mark->seq;
        return true;
    }
    if (mark->present && mark->session > p->flow->session && p->commit.marked_seq)
        return error_fatal(
            error, EX_TEMPFAIL,
            "the target's mark %s %s is of a later session: another run named \"%s\" writes to "
            "the same target; this run ends; give each run its own --name",
            p->flow->mark_key, p->flow->mark_field, p->flow->settings.name);
    /* No mark of this session. The first batch carries one, so none of the session was written, or all of it was
     * lost. */
    /* The promoted master's entries have the same LSNs, and may differ. */
    if (first_lsn && of_source && mark->lsn > first_lsn && strcmp(mark->master_id, p->flow->master_id) != 0)
        return error_set(
            error, ERROR_REDIRECT,
            "the target has the journal entries %llu to %llu of FLOW %u from the previous master, and "
            "the promoted master may lack them; a full sync is needed",
            (unsigned long long)first_lsn, (unsigned long long)mark->lsn - 1, p->flow->number);
    if (first_lsn && of_source && mark->lsn >= first_lsn) {
        p->commit.skip_lsn = mark->lsn;
        return true;
    }
    if (first_lsn)
        return error_set(error, ERROR_REDIRECT,
                         "the target's mark is at LSN %llu of FLOW %u, and the journal begins at %llu: the "
                         "entries in between are lost; a full sync is needed",
                         (unsigned long long)(of_source ? mark->lsn : 0), p->flow->number,
                         (unsigned long long)first_lsn);
    return !p->commit.marked_seq || spool_lacks(p, 0, error);
}

static bool restore_decoder(struct pipeline *p, const struct buf *record, struct error *error)
{
    decoder_free(p->flow->decoder);
    p->flow->decoder = decoder_new(&p->flow->decoder_config);
    if (record->len < RECORD_HEADER)
        return true; /* the beginning of the stream */
    return decoder_restore(p->flow->decoder,
                           slice_of(record->data + RECORD_HEADER, record->len - RECORD_HEADER), error);
}

/* The spool of a usable cursor is another one if its file was damaged or replaced. */
static bool go_to_record(struct pipeline *p, const struct buf *record, struct error *error)
{
    if (!restore_decoder(p, record, error))
        return false;
    return spool_seek_back(p->spool, decoder_offset(p->flow->decoder)) ||
           error_set(
               error, ERROR_REDIRECT,
               "the spool of FLOW %u has the bytes %llu to %llu, and is needed from %llu on: its file was "
               "replaced; a full sync is needed",
               p->flow->number, (unsigned long long)spool_oldest(p->spool),
               (unsigned long long)spool_ring_end(p->spool),
               (unsigned long long)decoder_offset(p->flow->decoder));
}

/* Restores the newest record at or before seq whose bytes the spool still has: the cursor's, or one of the history. */
static bool find_state(struct pipeline *p, const struct buf *newest, uint64_t seq, struct error *error)
{
    if (newest->len && restore_decoder(p, newest, error) && decoder_seq(p->flow->decoder) <= seq &&
        spool_seek_back(p->spool, decoder_offset(p->flow->decoder)))
        return true;
    struct buf record = {0};
    bool ok =
        history_find(p->commit.history, seq, spool_oldest(p->spool), &record) || spool_oldest(p->spool) == 0;
    ok = ok ? go_to_record(p, &record, error) : spool_lacks(p, seq, error);
    buf_free(&record);
    return ok;
}

/* A standalone target: whether it has, or had for a while, other data than when it was connected before. */
struct changes {
    bool other;   /* it was restarted, or replaced */
    bool replica; /* the same process was a replica meanwhile */
};

/* Without marks the target's position is unknown, and a restarted server may have lost any write. */
static bool target_is_same(struct pipeline *p, struct changes *since, struct error *error)
{
    const struct capabilities *target = &p->flow->target;
    const char *was = history_target(p->commit.history), *is = target->run_id;
    since->other = *was && *is && strcmp(was, is) != 0;
    since->replica = !since->other && capabilities_was_replica(target, history_replid(p->commit.history));
    if (!router_is_null(p->router) && !p->flow->settings.marks && !p->commit.unmarking &&
        (since->other || since->replica))
        return error_set(error, ERROR_REDIRECT,
                         "the target was restarted, replaced or a replica for a while, and without marks "
                         "(--marks off) its "
                         "position is unknown; a full sync is needed");
    return true;
}

/* The answer to a newer mark than the acknowledged one was lost. The connection may have written it over an older one,
 * to data that it did not know. */
static bool mark_is_of_these_data(const struct pipeline *p, const struct changes *since,
                                  const struct mark *mark, struct error *error)
{
    bool newer = mark->present && mark->session == p->flow->session && mark->seq > p->commit.marked_seq;
    return !since->replica || !newer ||
           error_set(error, ERROR_REDIRECT,
                     "the target was made a replica and a master again (REPLICAOF, or a failover), and its "
                     "mark at entry %llu may have been written after that, the last acknowledged one was at "
                     "%llu; a full sync is needed",
                     (unsigned long long)mark->seq, (unsigned long long)p->commit.marked_seq);
}

/* Acknowledged writes are lost: moves the applied position in the cursor back until they are applied again. */
static void note_setback(struct pipeline *p)
{
    struct cursor_marks *m = p->flow->cursor.marks;
    cursor_set(&m->applied_offset, decoder_offset(p->flow->decoder));
    cursor_set(&m->applied_seq, decoder_seq(p->flow->decoder));
    if (decoder_next_lsn(p->flow->decoder))
        commit_note_lsn(&p->commit, decoder_next_lsn(p->flow->decoder),
                        decoder_check(p->flow->decoder, decoder_next_lsn(p->flow->decoder)));
    source_waits_from(p->source, decoder_offset(p->flow->decoder));
}

static void log_lost_writes(const struct pipeline *p, uint64_t seq)
{
    log_warning("the target has lost writes that it had acknowledged (its mark is at entry %llu, the last "
                "acknowledged mark was at %llu): brought forward from the spool, %llu bytes",
                (unsigned long long)seq, (unsigned long long)p->commit.marked_seq,
                (unsigned long long)(cursor_get(&p->flow->cursor.marks->applied_offset) -
                                     decoder_offset(p->flow->decoder)));
}

bool rewind_to_target(struct pipeline *p, const struct position *at, struct error *error)
{
    const struct mark *mark = &at->mark;
    bool cluster = router_is_cluster(p->router);
    uint64_t seq = UINT64_MAX, applied = cursor_get(&p->flow->cursor.marks->applied_seq);
    /* Without marks, and once they are removed at the end, the position is the acknowledged one. */
    bool known = !router_is_null(p->router) && p->flow->settings.marks;
    struct buf newest = {0};
    expiry_rewound(p->expiry);
    /* Stays set until the decoder has passed the unanswered entries: their keys become suspects. */
    p->unheard = router_take_answers_lost(p->router) || (p->unheard && commit_is_behind(&p->commit));
    p->flow->seen_seq = cursor_get(&p->flow->cursor.marks->decoded_seq);
    if (applied > p->answered_seq)
        p->answered_seq = applied;
    p->commit.marked_seq = p->commit.skip_lsn = 0;
    /* A session that began with a partial sync keeps the flush note of the earlier session. */
    bool same_master = !*mark->flushed_master || strcmp(mark->flushed_master, p->flow->master_id) == 0;
    bool continued = p->flow->decoder_config.first_lsn && mark_is_of_journal(p, mark) && same_master;
    p->flush.flushed_txid = mark->flushed_session == p->flow->session || continued ? mark->flushed_txid : 0;
    if (cursor_load_record(&p->flow->cursor, &newest) && newest.len >= RECORD_HEADER)
        memcpy(&p->commit.marked_seq, newest.data, RECORD_HEADER);
    struct changes since;
    bool ok = target_is_same(p, &since, error);
    if (known && cluster)
        seq = mark->seq; /* determined slot by slot by the cluster */
    else if (known)
        ok = ok && mark_is_of_these_data(p, &since, mark, error) && read_position(p, mark, &seq, error);
    ok = ok && find_state(p, &newest, seq, error);
    buf_free(&newest);
    if (!ok)
        return false;
    history_set_target(p->commit.history, p->flow->target.run_id, p->flow->target.replid);
    history_forget_after(p->commit.history, decoder_offset(p->flow->decoder));
    if (known && !cluster && seq > applied && seq != UINT64_MAX)
        log_info("the target has entries %llu to %llu, but its answers were lost with the connection: their "
                 "keys are compared with the source",
                 (unsigned long long)applied + 1, (unsigned long long)seq);
    bool behind = known && decoder_seq(p->flow->decoder) < applied,
         lost = behind && seq < p->commit.marked_seq;
    if (lost)
        log_lost_writes(p, seq);
    if (lost || (behind && cluster && seq < applied)) {
        note_setback(p);
        expiry_lost(p->expiry, applied);
    }
    if (known && (lost || since.other || since.replica))
        heal_went_back(p->heal, seq);
    if (known && since.other)
        p->resent_left = RESENT_MAX;
    p->commit.skip_seq = p->commit.marked_seq = p->commit.sent_marked_seq = known ? seq : 0;
    if (cluster && known) {
        p->flush.all_seq = seq;
        p->flush.all_lsn = mark->lsn;
        p->commit.skip_seq = at->ahead_seq;
        p->commit.skip_lsn = at->ahead_lsn;
    }
    p->flush.restored_seq = decoder_seq(p->flow->decoder);
    commit_restart(&p->commit);
    p->contact_waits =
        decoder_seq(p->flow->decoder) >= p->flow->seen_seq && decoder_comparing(p->flow->decoder);
    if (decoder_seq(p->flow->decoder) >= p->flow->seen_seq && !p->contact_waits)
        cursor_set(&p->flow->cursor.marks->in_contact, capabilities_contact(&p->flow->target));
    return true;
}
