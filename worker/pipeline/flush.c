/* FLUSHALL and FLUSHDB: every FLOW has them, with one txid. Each worker applies what comes before, says
 * AT_GLOBAL and stops decoding; the supervisor, once all are there, lets one run it and the others go on.
 *
 * The flush would wipe the marks as well, and a worker that died then would take the target for one
 * that lost its data. So the marks are carried over it in one script.
 *
 * The script also notes the flush's txid. A FLOW that comes to a flush again, put back to its mark, sees by
 * it whether the target has the flush. If not, the target went back to before it: other FLOWs may be
 * beyond it already, so that it can no longer be put in its place, and only a full sync helps.
 *
 * A target that refuses the flush keeps what the source has no more: nothing that comes after would be right,
 * so the run ends. The marks stand before the flush then, and the next run begins with it. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "common/log/log.h"
#include "worker/worker.h"

/* KEYS[1] the marks' hash; ARGV: its database, the value of its field "flushed" (empty: no marks), then the
 * databases to flush ("all": every one). */
static const char flush_script[] =
    "redis.call('SELECT',ARGV[1]) local m=redis.call('HGETALL',KEYS[1]) "
    "for i=3,#ARGV do if ARGV[i]=='all' then redis.call('FLUSHALL') "
    "else redis.call('SELECT',ARGV[i]) redis.call('FLUSHDB') end end "
    "redis.call('SELECT',ARGV[1]) if #m>0 then redis.call('HSET',KEYS[1],unpack(m)) end "
    "if ARGV[2]~='' then redis.call('HSET',KEYS[1],'" MARK_FLUSHED_FIELD "',ARGV[2]) end return #m";

static bool has_database(const struct worker *w, uint32_t db)
{
    return router_is_cluster(w->router) ? db == 0 : !capabilities_lack_database(&w->flow->target, db);
}

static bool writes_anything(const struct worker *w)
{
    uint32_t db;
    return strcasecmp(w->global_command, "FLUSHDB") != 0 ||
           (settings_db_target(&w->flow->settings, w->global_db, &db) && has_database(w, db));
}

/* Slots that are beyond it show that it was run; one that is not shows that its node went back to before it.
 */
static bool lost_by_some(const struct worker *w, const struct entry *e)
{
    bool noted = w->flushed_txid && e->txid <= w->flushed_txid;
    bool in_session = e->seq > w->all_seq && e->seq <= w->skip_seq;
    bool before_it = e->lsn >= w->all_lsn && e->lsn < w->skip_lsn;
    return (in_session || before_it) && !noted && w->flow->settings.marks && !w->flow->settings.include &&
           !w->flow->settings.exclude && writes_anything(w);
}

bool global_begin(struct worker *w, const struct entry *e, struct error *error)
{
    w->global_txid = e->txid;
    w->global_seq = e->seq;
    w->global_again = e->seq <= w->flow->seen_seq;
    w->global_db = e->db;
    snprintf(w->global_command, sizeof w->global_command, "%.*s", (int)e->argv[0].len,
             (const char *)e->argv[0].data);
    if (e->in_snapshot)
        return !writes_anything(w) || /* of a database that is not copied */
               error_set(
                   error, ERROR_REDIRECT,
                   "%s came during full sync, where it cannot be ordered against the snapshot: the full sync "
                   "starts anew",
                   w->global_command);
    if (router_is_cluster(w->router) && lost_by_some(w, e))
        return error_set(
            error, ERROR_REDIRECT,
            "a node of the cluster has lost a %s that was run on it: what came after cannot be put in order "
            "any more; a full sync is needed",
            w->global_command);
    if (e->seq <= w->skip_seq || e->lsn < w->skip_lsn || (w->flushed_txid && e->txid <= w->flushed_txid)) {
        /* Our predecessor ran it and died before it could say so, or another FLOW did. */
        if (e->txid <= w->flushed_txid)
            router_note_flushed(w->router, w->flushed_txid);
        global_acknowledged(w);
        return true;
    }
    w->flow->global = GLOBAL_DRAINING;
    return true;
}

static void tell(struct worker *w, enum message_type type)
{
    struct message m = {.type = type, .fd = -1, .global.txid = w->global_txid};
    memcpy(m.global.command, w->global_command, sizeof m.global.command);
    flow_tell(w->flow, &m);
}

/* The restart record stays at the checkpoint before. The session may end here, though, and the next one asks for what
 * comes after the LSN of the cursor, perhaps a master that lacks the last entries that were applied. */
static void note_all_before(struct worker *w)
{
    uint64_t lsn = decoder_next_lsn(w->flow->decoder);
    if (lsn)
        seal_note_lsn(w, lsn - 1, decoder_check(w->flow->decoder, lsn - 1));
}

void global_advance(struct worker *w)
{
    if (!round_empty(router_open(w->router)) || !router_idle(w->router))
        return;
    /* Should the session end here, the next one goes on from the mark. In a cluster that was judged by memory
     * none of the masters may have it yet. */
    bool wanted = w->mark_wanted && router_is_cluster(w->router);
    if (seal_marks_on(w) && (wanted || w->sealed_marked_seq + 1 < decoder_seq(w->flow->decoder))) {
        seal_and_send(w, true);
        return;
    }
    w->flow->global = GLOBAL_WAITING;
    note_all_before(w);
    log_debug("%s (txid %llu) is reached%s: waiting for the other FLOWs", w->global_command,
              (unsigned long long)w->global_txid, w->global_again ? " once more" : "");
    router_flush_begins(w->router);
    tell(w, MESSAGE_AT_GLOBAL);
}

/* The databases to flush on the target, as words; the caller frees them. */
static size_t databases_to_flush(struct worker *w, char (**words)[12])
{
    const struct settings *s = &w->flow->settings;
    uint32_t db;
    size_t n = 0;
    *words = x_calloc(s->db_map_count + 1, sizeof **words);
    if (strcasecmp(w->global_command, "FLUSHDB") == 0) {
        if (settings_db_target(s, w->global_db, &db) && has_database(w, db))
            format_u64((*words)[n++], db);
    } else if (s->db_map_count == 0) {
        memcpy((*words)[n++], "all", sizeof "all");
    } else {
        for (size_t i = 0; i < s->db_map_count; i++)
            if (has_database(w, s->db_maps[i].to))
                format_u64((*words)[n++], s->db_maps[i].to);
    }
    return n;
}

static void write_flush(struct worker *w)
{
    char(*databases)[12], flushed[FLUSHED_TEXT_BYTES] = "";
    size_t n = databases_to_flush(w, &databases);
    struct output *o = w->output;
    if (seal_marks_on(w))
        flushed_write(w->flow->session, w->global_txid, w->flow->master_id, flushed);
    if (n) {
        output_entry(o, w->global_seq);
        output_begin(o, w->flow->settings.target.db, slice_str(w->flow->mark_key), 6 + n, OUTPUT_ONCE);
        output_text(o, "EVAL");
        output_text(o, flush_script);
        output_text(o, "1");
        output_text(o, w->flow->mark_key);
        output_i64(o, w->flow->settings.target.db);
        output_text(o, flushed);
        for (size_t i = 0; i < n; i++)
            output_text(o, databases[i]);
        output_end(o);
        router_open(w->router)->plain[0]->current_db = UINT32_MAX;
    }
    free(databases);
}

/* On every master, each with the marks it carries. False: not now, everything begins again. */
static bool write_flush_everywhere(struct worker *w, bool note)
{
    char flushed[FLUSHED_TEXT_BYTES];
    struct error error;
    if (!router_reaches_all(w->router, &error)) {
        router_wait(w->router, &error);
        return false;
    }
    flushed_write(w->flow->session, w->global_txid, w->flow->master_id, flushed);
    output_entry(w->output, w->global_seq);
    router_flush_nodes(w->router, flush_script, note && seal_marks_on(w) ? flushed : "");
    return true;
}

/* Keys that a resharding moved meanwhile from a node that was not flushed yet to one that was are still
 * there: nobody writes now, so a second time finds them. */
void global_cleared(struct worker *w)
{
    w->flow->global = GLOBAL_RUNNING;
    if (write_flush_everywhere(w, true))
        pump_schedule(w);
}

void global_run(struct worker *w, uint64_t txid)
{
    if (w->flow->global != GLOBAL_WAITING || txid != w->global_txid)
        return;
    if (w->flow->settings.include || w->flow->settings.exclude)
        worker_report(w, DIVERGENCE_FILTER, w->global_command, slice_str("(every key)"), 1);
    else if (router_is_cluster(w->router) && writes_anything(w) && !write_flush_everywhere(w, false))
        return;
    else if (!router_is_null(w->router) && !router_is_cluster(w->router))
        write_flush(w);
    if (round_empty(router_open(w->router))) {
        global_acknowledged(w);
        return;
    }
    w->flow->global = router_is_cluster(w->router) ? GLOBAL_CLEARING : GLOBAL_RUNNING;
    pump(w);
}

/* Is there anything to be done for it on the target, and a note of it? */
static bool is_carried_out(const struct worker *w)
{
    if (!seal_marks_on(w) || w->flow->settings.include || w->flow->settings.exclude)
        return false;
    return writes_anything(w);
}

/* Has the target been up, as what it is, for longer than that? Then it has lost nothing since. (Its note of
 * the flush may be somewhere else by now: in a cluster it moves with its slot.) */
static bool is_older_than(const struct capabilities *target, uint64_t age_ms)
{
    enum { ROUNDED_MS = 2000 };
    return age_ms && !target->promoted && target->up_s * 1000 > age_ms + ROUNDED_MS;
}

/* Another FLOW ran it, but perhaps the target went back since: it is asked by connecting to it anew. In
 * trouble that is under way already, and we come here again. */
static bool target_has_it(struct worker *w, uint64_t age_ms)
{
    struct error error;
    if (!w->flow->ready)
        return false;
    if (is_older_than(&w->flow->target, age_ms))
        return true;
    if (w->doubted_txid == w->global_txid) {
        error_set(&error, ERROR_REDIRECT,
                  "the target has lost a %s that was run on it: what came after cannot be put in order any "
                  "more; a full sync "
                  "is needed",
                  w->global_command);
        flow_fail(w->flow, &error);
        return false;
    }
    w->doubted_txid = w->global_txid;
    error_set(&error, ERROR_RETRY, "it is asked whether it has the %s that was run", w->global_command);
    router_reset(w->router, &error);
    return false;
}

static void forget_left_out(struct worker *w)
{
    uint32_t db;
    if (strcasecmp(w->global_command, "FLUSHDB") != 0)
        suspects_remove_all(w->left_out, NULL);
    else if (settings_db_target(&w->flow->settings, w->global_db, &db))
        suspects_remove_all(w->left_out, &db);
}

/* Marks are written anew at once: before that nothing tells of a flush by somebody else. */
static void flush_over(struct worker *w)
{
    router_flush_over(w->router);
    w->mark_wanted = w->flow->settings.marks && router_is_cluster(w->router);
}

void global_pass(struct worker *w, uint64_t txid, uint64_t age_ms)
{
    if (w->flow->global != GLOBAL_WAITING || txid != w->global_txid)
        return;
    if (w->global_again && is_carried_out(w) && !target_has_it(w, age_ms))
        return;
    router_note_flushed(w->router, w->global_txid);
    forget_left_out(w);
    flush_over(w);
    w->flow->global = GLOBAL_NONE;
    seal_held_done(w);
    pump_schedule(w);
}

bool global_refused(struct worker *w, const char *text)
{
    struct error error;
    if (w->flow->global != GLOBAL_CLEARING && w->flow->global != GLOBAL_RUNNING)
        return false;
    error_fatal(&error, EX_NOPERM,
                "the target refuses the %s of the source (%.160s), and nothing that comes after it would be "
                "right there: let its user run EVAL, SELECT, FLUSHALL, FLUSHDB, HGETALL and HSET, none of "
                "them renamed, and start again: the %s is carried out then",
                w->global_command, text, w->global_command);
    flow_fail(w->flow, &error);
    return true;
}

void global_acknowledged(struct worker *w)
{
    forget_left_out(w);
    if (w->flow->global == GLOBAL_RUNNING)
        router_note_flushed(w->router, w->global_txid);
    flush_over(w);
    w->flow->global = GLOBAL_NONE;
    tell(w, MESSAGE_GLOBAL_DONE);
    pump_schedule(w);
}
