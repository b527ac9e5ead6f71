/* The current flush, from its entry in the journal to the acknowledgement by the target. */
#include "worker/pipeline/flush.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "common/log/log.h"
#include "worker/keys/suspects.h"

/* KEYS[1]: the hash of the marks; ARGV: its database, the value of its field "flushed" (empty: no marks), then the
 * databases to flush ("all": every one; none: only the field is set). A flushed database gets its mark again if the hash
 * names it. */
static const char flush_script[] =
    "local m,f,r={},{},'' if #ARGV>2 then "
    "redis.call('SELECT',ARGV[1]) m=redis.call('HGETALL',KEYS[1]) "
    "for i=3,#ARGV do f[ARGV[i]]=1 if ARGV[i]=='all' then redis.call('FLUSHALL') "
    "else redis.call('SELECT',ARGV[i]) redis.call('FLUSHDB') end end "
    "for i=1,#m,2 do if m[i]=='" MARK_RUN_FIELD "' then r=m[i+1] end end "
    "for i=1,#m,2 do local d=string.match(m[i],'^" MARK_DATABASE_PATTERN "$') "
    "if d and m[i+1]==r and (f[d] or f['all']) then "
    "redis.call('SELECT',d) redis.call('SET',KEYS[1]..'" MARK_DATABASE_SUFFIX "',d) end end "
    "redis.call('SELECT',ARGV[1]) end if #m>0 then redis.call('HSET',KEYS[1],unpack(m)) end "
    "if ARGV[2]~='' then redis.call('HSET',KEYS[1],'" MARK_FLUSHED_FIELD "',ARGV[2]) end return #m";

static bool target_has_database(const struct flush *f, uint32_t db)
{
    return router_is_cluster(f->router) ? db == 0 : !capabilities_lack_database(&f->flow->target, db);
}

/* Of a database that is not copied. */
static bool is_not_copied(const struct flush *f)
{
    uint32_t db;
    return strcasecmp(f->command, "FLUSHDB") == 0 &&
           !(settings_db_target(&f->flow->settings, f->db, &db) && target_has_database(f, db));
}

static bool is_filtered(const struct flush *f)
{
    return f->flow->settings.include || f->flow->settings.exclude;
}

/* Whether the flush deletes keys of the target. */
static bool deletes_keys(const struct flush *f)
{
    return !is_filtered(f) && !is_not_copied(f);
}

/* Whether entries before the flush were applied since the target was greeted last. */
static bool applied_before_it(const struct flush *f)
{
    uint64_t had = f->commit->skip_seq > f->restored_seq ? f->commit->skip_seq : f->restored_seq;
    if (router_is_cluster(f->router))
        return router_lacked_before(f->router, f->seq, f->lsn);
    return f->seq > had + 1 && (!f->lsn || f->lsn > f->commit->skip_lsn);
}

static bool deletes_with_note(const struct flush *f)
{
    return f->flow->settings.marks && !f->flow->settings.target.null_sink && deletes_keys(f);
}

/* Slots past the flush prove that it ran; a slot before it proves that its node has lost it. */
static bool flush_is_lost(const struct flush *f, const struct entry *e)
{
    bool noted = f->flushed_txid && e->txid <= f->flushed_txid;
    bool in_session = e->seq > f->all_seq && e->seq <= f->commit->skip_seq;
    bool before_it = e->lsn >= f->all_lsn && e->lsn < f->commit->skip_lsn;
    return (in_session || before_it) && !noted && deletes_with_note(f);
}

/* The target has the flush. What a FLOW has before it was marked before the flush ran, so a target without that mark was
 * flushed while it lacked those entries: it had lost them, and another FLOW ran the flush too early. */
static bool entries_came_after(const struct flush *f)
{
    return deletes_with_note(f) && applied_before_it(f);
}

static void flush_left_out(struct flush *f)
{
    uint32_t db;
    if (strcasecmp(f->command, "FLUSHDB") != 0)
        suspects_remove_all(f->translator->left_out, NULL);
    else if (settings_db_target(&f->flow->settings, f->db, &db))
        suspects_remove_all(f->translator->left_out, &db);
}

/* New marks are written immediately: until then a flush by another client would go unnoticed. */
static void flush_over(struct flush *f)
{
    router_flush_over(f->router);
    f->commit->mark_wanted = f->flow->settings.marks && router_is_cluster(f->router);
}

static void flush_tell(struct flush *f, enum message_type type)
{
    struct message m = {.type = type, .fd = -1, .global.txid = f->txid, .global.arrival = f->arrival};
    memcpy(m.global.command, f->command, sizeof m.global.command);
    flow_tell(f->flow, &m);
}

static void flush_done(struct flush *f)
{
    flush_left_out(f);
    if (f->flow->hold == HOLD_FLUSH_RUNNING)
        router_note_flushed(f->router, f->txid);
    flush_over(f);
    f->flow->hold = HOLD_NONE;
    flush_tell(f, MESSAGE_GLOBAL_DONE);
    flow_wake(f->flow);
}

bool flush_begin(struct flush *f, const struct entry *e, struct error *error)
{
    f->txid = e->txid;
    f->seq = e->seq;
    f->lsn = e->lsn;
    f->again = e->seq <= f->flow->seen_seq;
    f->db = e->db;
    snprintf(f->command, sizeof f->command, "%.*s", (int)e->argv[0].len, (const char *)e->argv[0].data);
    if (e->in_snapshot)
        return is_not_copied(f) ||
               error_set(
                   error, ERROR_REDIRECT,
                   "%s during full sync cannot be ordered against the snapshot: the full sync starts over",
                   f->command);
    if (router_is_cluster(f->router) && flush_is_lost(f, e))
        return error_set(
            error, ERROR_REDIRECT,
            "a node of the cluster has lost %s, and other FLOWs may be past it; a full sync is needed",
            f->command);
    if (e->seq <= f->commit->skip_seq || e->lsn < f->commit->skip_lsn ||
        (f->flushed_txid && e->txid <= f->flushed_txid)) {
        /* Run by this worker before its restart, or by another FLOW. */
        if (entries_came_after(f))
            return error_set(error, ERROR_REDIRECT,
                             "the target has %s and had lost entries that stand before it in the journal; a "
                             "full sync is needed",
                             f->command);
        if (e->txid <= f->flushed_txid)
            router_note_flushed(f->router, f->flushed_txid);
        flush_done(f);
        return true;
    }
    f->flow->hold = HOLD_FLUSH_DRAINING;
    return true;
}

/* The restart record stays at the previous checkpoint. If the session ends here, the next one asks for the journal from
 * the LSN of the cursor on, perhaps from a promoted replica that lacks the last applied entries. */
static void note_applied_lsn(struct flush *f)
{
    uint64_t lsn = decoder_next_lsn(f->flow->decoder);
    if (lsn)
        commit_note_lsn(f->commit, lsn - 1, decoder_check(f->flow->decoder, lsn - 1));
}

void flush_advance(struct flush *f)
{
    if (!round_empty(router_open(f->router)) || !router_idle(f->router))
        return;
    /* If the session ends here, the next one continues from the mark. In a cluster whose positions come from memory no
     * master may have that mark yet. */
    bool wanted = f->commit->mark_wanted && router_is_cluster(f->router);
    if (commit_marks_on(f->commit) &&
        (wanted || f->commit->sent_marked_seq + 1 < decoder_seq(f->flow->decoder))) {
        commit_send(f->commit, true);
        return;
    }
    f->flow->hold = HOLD_FLUSH_WAITING;
    note_applied_lsn(f);
    log_debug("%s (txid %llu) is reached%s: waiting for the other FLOWs", f->command,
              (unsigned long long)f->txid, f->again ? " once more" : "");
    router_flush_begins(f->router);
    f->arrival++;
    flush_tell(f, MESSAGE_AT_GLOBAL);
}

/* The databases of the target to flush, as arguments; the caller frees them. Returns their number. */
static size_t databases_to_flush(struct flush *f, char (**words)[12])
{
    const struct settings *s = &f->flow->settings;
    uint32_t db;
    size_t n = 0;
    *words = x_calloc(s->db_map_count + 1, sizeof **words);
    if (is_filtered(f))
        return 0;
    if (strcasecmp(f->command, "FLUSHDB") == 0) {
        if (settings_db_target(s, f->db, &db) && target_has_database(f, db))
            format_u64((*words)[n++], db);
    } else if (s->db_map_count == 0) {
        memcpy((*words)[n++], "all", sizeof "all");
    } else {
        for (size_t i = 0; i < s->db_map_count; i++)
            if (target_has_database(f, s->db_maps[i].to))
                format_u64((*words)[n++], s->db_maps[i].to);
    }
    return n;
}

static void write_flush(struct flush *f)
{
    char(*databases)[12], flushed[FLUSHED_TEXT_BYTES] = "";
    size_t n = databases_to_flush(f, &databases);
    struct output *o = f->translator->out;
    if (commit_marks_on(f->commit))
        flushed_write(f->flow->session, f->txid, f->flow->master_id, flushed);
    if (n || *flushed) {
        output_entry(o, f->seq);
        output_begin(o, f->flow->settings.target.db, slice_str(f->flow->mark_key), 6 + n, OUTPUT_ONCE);
        output_text(o, "EVAL");
        output_text(o, flush_script);
        output_text(o, "1");
        output_text(o, f->flow->mark_key);
        output_i64(o, f->flow->settings.target.db);
        output_text(o, flushed);
        for (size_t i = 0; i < n; i++)
            output_text(o, databases[i]);
        output_end(o);
        router_open(f->router)->plain[0]->current_db = UINT32_MAX;
    }
    free(databases);
}

/* On every master, which keeps its marks. False: a master is not connected; the router reconnects. */
static bool write_flush_everywhere(struct flush *f, bool note)
{
    char flushed[FLUSHED_TEXT_BYTES];
    struct error error;
    if (!router_reaches_all(f->router, &error)) {
        router_wait(f->router, &error);
        return false;
    }
    flushed_write(f->flow->session, f->txid, f->flow->master_id, flushed);
    output_entry(f->translator->out, f->seq);
    router_flush_nodes(f->router, flush_script, note && commit_marks_on(f->commit) ? flushed : "",
                       deletes_keys(f));
    return true;
}

/* Flushes a second time: a resharding may have moved keys from a node that was not flushed yet to one that was. All
 * FLOWs are held, so no key is added in between. */
static void flush_cleared(struct flush *f)
{
    f->flow->hold = HOLD_FLUSH_RUNNING;
    if (write_flush_everywhere(f, true))
        flow_wake(f->flow);
}

/* The answer to an arrival before the connection to the target was lost is void: the supervisor has not read yet that
 * the FLOW left. */
static bool answers_arrival(const struct flush *f, uint64_t txid, uint64_t arrival)
{
    return f->flow->hold == HOLD_FLUSH_WAITING && txid == f->txid && arrival == f->arrival;
}

bool flush_run(struct flush *f, uint64_t txid, uint64_t arrival)
{
    if (!answers_arrival(f, txid, arrival))
        return false;
    bool cluster = router_is_cluster(f->router), deletes = deletes_keys(f);
    if (cluster && (deletes || commit_marks_on(f->commit)) && !write_flush_everywhere(f, !deletes))
        return false;
    if (!cluster && !router_is_null(f->router))
        write_flush(f);
    if (is_filtered(f))
        f->translator->report(f->translator->report_arg, DIVERGENCE_FILTER, f->command,
                              slice_str("(every key)"), 1);
    if (round_empty(router_open(f->router))) {
        flush_done(f);
        return false;
    }
    f->flow->hold = cluster && deletes ? HOLD_FLUSH_CLEARING : HOLD_FLUSH_RUNNING;
    return true;
}

/* Whether the target has been up, in the same role, for longer than age_ms, and so has lost nothing since. (The flush
 * note does not tell: in a cluster it moves with its slot.) */
static bool target_up_longer_than(const struct capabilities *target, uint64_t age_ms)
{
    enum { ROUNDED_MS = 2000 };
    return age_ms && !target->promoted && target->up_s * 1000 > age_ms + ROUNDED_MS;
}

/* Another FLOW ran the flush, and the target may have lost it since: a reconnect reads the flush note. While the link
 * is down a reconnect is under way, and this is called again. */
static bool target_has_flush(struct flush *f, uint64_t age_ms)
{
    struct error error;
    if (!f->flow->ready)
        return false;
    if (target_up_longer_than(&f->flow->target, age_ms))
        return true;
    if (f->doubted_txid == f->txid) {
        error_set(&error, ERROR_REDIRECT,
                  "the target has lost %s, and other FLOWs may be past it; a full sync is needed",
                  f->command);
        flow_fail(f->flow, &error);
        return false;
    }
    f->doubted_txid = f->txid;
    error_set(&error, ERROR_RETRY, "reconnecting to read whether it has %s", f->command);
    router_reset(f->router, &error);
    return false;
}

void flush_pass(struct flush *f, uint64_t txid, uint64_t arrival, uint64_t age_ms, bool unheld)
{
    struct error error;
    if (!answers_arrival(f, txid, arrival))
        return;
    if (unheld && !router_is_null(f->router) && deletes_keys(f) && applied_before_it(f)) {
        error_set(&error, ERROR_REDIRECT,
                  "%s may have run before entries of this FLOW that stand before it in the journal, as the "
                  "connection to the target was lost in the meantime; a full sync is needed",
                  f->command);
        flow_fail(f->flow, &error);
        return;
    }
    if (f->again && deletes_with_note(f) && !target_has_flush(f, age_ms))
        return;
    router_note_flushed(f->router, f->txid);
    flush_left_out(f);
    flush_over(f);
    f->flow->hold = HOLD_NONE;
    commit_hold_done(f->commit);
    flow_wake(f->flow);
}

bool flush_refused(struct flush *f, const char *text)
{
    struct error error;
    if (f->flow->hold != HOLD_FLUSH_CLEARING && f->flow->hold != HOLD_FLUSH_RUNNING)
        return false;
    error_fatal(
        &error, EX_NOPERM,
        "the target refuses the %s of the source (%.160s), so later commands would find keys that the "
        "source has deleted; allow its user EVAL, SELECT, FLUSHALL, FLUSHDB, HGETALL and HSET, undo "
        "any renaming of them, and start again: the run continues with the %s",
        f->command, text, f->command);
    flow_fail(f->flow, &error);
    return true;
}

void flush_leave(struct flush *f)
{
    if (f->flow->hold != HOLD_FLUSH_WAITING)
        return;
    f->flow->hold = HOLD_FLUSH_DRAINING;
    log_debug("%s (txid %llu) is left: the connection to the target is lost", f->command,
              (unsigned long long)f->txid);
    flush_tell(f, MESSAGE_LEFT_GLOBAL);
}

void flush_acknowledged(struct flush *f)
{
    if (f->flow->hold == HOLD_FLUSH_CLEARING) {
        flush_cleared(f);
    } else if (f->flow->hold == HOLD_FLUSH_RUNNING) {
        flush_done(f);
        commit_hold_done(f->commit);
    }
}
