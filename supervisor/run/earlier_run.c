/* The record of a run, and what a later run makes of it. */
#include "supervisor/run/earlier_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/run/resume.h"

/* ---- the record ---- */

static void add_words(struct buf *out, const char *name, char *const *words)
{
    for (; words && *words; words++)
        buf_printf(out, " %s %zu:%s", name, strlen(*words), *words);
}

/* Returns the settings that define the copy: with others it would be another copy. Any node leads to the same cluster;
 * the marks identify the cluster. */
static void put_target(struct buf *out, const struct settings *settings, bool cluster)
{
    char name[256] = "cluster";
    if (!cluster)
        uri_display(&settings->target, name, sizeof name);
    buf_printf(out, "%s db ", name);
}

static char *copy_scope(const struct settings *settings, bool cluster)
{
    struct buf scope = {0};
    put_target(&scope, settings, cluster);
    buf_printf(&scope, "%u", settings->target.db);
    add_words(&scope, "include", settings->include);
    add_words(&scope, "exclude", settings->exclude);
    for (size_t i = 0; i < settings->db_map_count; i++)
        buf_printf(&scope, " map %u:%u", settings->db_maps[i].from, settings->db_maps[i].to);
    buf_put_u8(&scope, '\0');
    return (char *)scope.data;
}

static void remember_copy(struct run *run, const struct run_record *record)
{
    run->copy.state = record->copy;
    run->copy.kept = record->kept;
    run->copy.session = record->session;
    snprintf(run->copy.master_id, sizeof run->copy.master_id, "%s", record->master_id);
    snprintf(run->copy.source, sizeof run->copy.source, "%s", record->source);
}

static void record_comparison(const struct run *run, struct run_record *record)
{
    const struct comparison *c = &run->comparison;
    record->comparing = x_strdup(c->state == COMPARISON_DUE ? c->reason : "");
    record->prunes = c->prunes;
    record->repaired_session = c->repaired_session;
    record->counts_omits = c->state == COMPARISON_COUNTS;
    record->omits_told = c->begun.told;
    record->omits = c->begun.omits;
    snprintf(record->omits_master_id, sizeof record->omits_master_id, "%s", c->begun.master_id);
}

static bool inventory_was_due(const struct run *run)
{
    char *path = state_dir_file(run->settings, INVENTORY_FILE);
    bool due = access(path, F_OK) == 0;
    free(path);
    return due;
}

static void recall_comparison(struct run *run, const struct run_record *record)
{
    struct comparison *c = &run->comparison;
    c->state = record->comparing[0]   ? COMPARISON_DUE
               : record->counts_omits ? COMPARISON_COUNTS
                                      : COMPARISON_NONE;
    snprintf(c->reason, sizeof c->reason, "%s", record->comparing);
    if (c->state == COMPARISON_NONE && inventory_was_due(run)) {
        c->state = COMPARISON_DUE;
        snprintf(c->reason, sizeof c->reason, "an earlier release had not ended its search for missing keys");
    }
    c->prunes = record->prunes;
    c->repaired_session = record->repaired_session;
    c->begun.told = record->omits_told;
    c->begun.omits = record->omits;
    snprintf(c->begun.master_id, sizeof c->begun.master_id, "%s", record->omits_master_id);
}

/* A failure to write is only logged: the run continues. */
void run_save_record(struct run *run, enum run_copy copy)
{
    struct error error = {0};
    struct run_record record = {.session = run->session_id,
                                .flow_count = run->flow_count,
                                .copy = copy,
                                .target_owned = run->target_owned,
                                .kept = run->copy.kept};
    snprintf(record.master_id, sizeof record.master_id, "%s", run->greeting.master_id);
    snprintf(record.sync_id, sizeof record.sync_id, "%s", run->greeting.sync_id);
    snprintf(record.lineage, sizeof record.lineage, "%s", run->greeting.lineage);
    record.scope = copy_scope(run->settings, run->target.cluster);
    record.unmarked = !run->settings->marks;
    snprintf(record.target_run_id, sizeof record.target_run_id, "%s", run->target.run_id);
    record.source = x_strdup(run->source_list);
    snprintf(record.last_master_id, sizeof record.last_master_id, "%s", run->last_master_id);
    record.role_changes = run->role_changes;
    record.in_blobs = run->session.sync_after_partial;
    record_comparison(run, &record);
    record.begins = x_calloc(run->flow_count ? run->flow_count : 1, sizeof *record.begins);
    record.asked_lsns = x_calloc(run->flow_count ? run->flow_count : 1, sizeof *record.asked_lsns);
    record.tokens = x_calloc(run->flow_count ? run->flow_count : 1, sizeof *record.tokens);
    for (uint32_t i = 0; i < run->flow_count; i++) {
        if (!run->flows[i].full) {
            record.begins[i] = run->flows[i].begin;
            record.asked_lsns[i] = run->flows[i].asked_lsn;
        }
        memcpy(record.tokens[i], run->flows[i].token, sizeof *record.tokens);
    }
    if (!run_record_save(&run->dir, &record, &error))
        log_warning("%s", error.text);
    remember_copy(run, &record);
    run_record_free(&record);
}

/* ---- the owner of the target's keys ---- */

static bool carries_our_marks(const struct run *run, const struct target_marks *marks)
{
    bool claimed = marks->run_session && marks->run_session <= run->copy.session;
    return !run->settings->marks || claimed || strcmp(marks->seen_id, run->copy.master_id) == 0;
}

static enum flush_holds what_it_holds(const struct run *run, const struct target_marks *marks)
{
    if (!run->target_written && run->target_done)
        return FLUSH_HOLDS_DONE;
    if (!run->target_written)
        return run->target_stray && marks->seen_stable ? FLUSH_HOLDS_STRAY : FLUSH_HOLDS_OTHERS;
    if (!carries_our_marks(run, marks))
        return FLUSH_HOLDS_OTHERS;
    switch (run->copy.state) {
    case RUN_COPY_PARTIAL:
        return FLUSH_HOLDS_PARTIAL;
    case RUN_COPY_ENDED:
    case RUN_COPY_MIGRATED:
        return FLUSH_HOLDS_ENDED;
    case RUN_COPY_COMPLETE:
    case RUN_COPY_DEGRADED:
        break;
    }
    return FLUSH_HOLDS_COPY;
}

static enum flush_source compare_source(const struct run *run, bool at_home)
{
    if (!run->greeting.master_id[0]) /* not known yet: the guard is asked again when it is */
        return FLUSH_SOURCE_SAME;
    if (strcmp(run->copy.master_id, run->greeting.master_id) == 0)
        return run_role_is_unchanged(run) ? FLUSH_SOURCE_SAME : FLUSH_SOURCE_SAME_PROCESS;
    return at_home ? FLUSH_SOURCE_RESTARTED : FLUSH_SOURCE_OTHER;
}

void run_flush_facts(struct run *run, uint64_t keys, const struct target_marks *marks,
                     struct flush_facts *out)
{
    const struct settings *s = run->settings;
    bool at_home = !run->copy.source[0] || addresses_share(run->copy.source, run->source_list);
    *out = (struct flush_facts){.keys = keys,
                                .holds = what_it_holds(run, marks),
                                .owned = run->target_owned,
                                .kept = run->copy.kept,
                                .source = compare_source(run, at_home),
                                .flush_target = s->flush_target,
                                .conflict = s->on_conflict != ON_CONFLICT_UNSET,
                                .resync = s->on_full_resync,
                                .resync_given = s->on_full_resync_given};
    out->source_keys_known = source_keys_wanted(run->source, &out->source_keys);
}

/* ---- the decision ---- */

static const struct target_mark *mark_of(const struct target_marks *marks, uint32_t flow)
{
    for (size_t i = 0; i < marks->count; i++)
        if (marks->list[i].flow == flow)
            return &marks->list[i];
    return NULL;
}

/* Returns true for a mark of the recorded master, or of the master that it was promoted from. */
static bool is_of_source(const struct run_record *record, const struct target_mark *mark)
{
    return strcmp(mark->master_id, record->master_id) == 0 ||
           (*record->last_master_id && strcmp(mark->master_id, record->last_master_id) == 0);
}

/* A mark of an earlier session counts, too, if the recorded session began with the journal. */
static struct resume_point mark_point(const struct run_record *record, const struct target_marks *marks,
                                      uint32_t flow)
{
    const struct target_mark *mark = mark_of(marks, flow);
    if (!mark || !is_of_source(record, mark))
        return (struct resume_point){0};
    return mark->session == record->session || record->begins[flow].lsn ? mark->at : (struct resume_point){0};
}

static bool is_ours(const struct run_record *record, const struct target_marks *marks)
{
    bool ours = marks->run_session && marks->run_session <= record->session;
    for (uint32_t i = 0; i < record->flow_count && !ours; i++) {
        const struct target_mark *mark = mark_of(marks, i);
        ours = mark && is_of_source(record, mark);
    }
    /* In a cluster whose slots have moved since, no mark may hold for all nodes: then any mark of any node counts. */
    return ours || strcmp(marks->seen_id, record->master_id) == 0 ||
           (*record->last_master_id && strcmp(marks->seen_id, record->last_master_id) == 0);
}

/* Returns true for a cursor of this boot that had reached the journal. */
static bool cursor_is_usable(const struct run_record *record, const char *directory, uint32_t flow)
{
    struct cursor c = {0};
    char ring[512];
    snprintf(ring, sizeof ring, "%s/flow-%u.ring", directory, flow);
    if (access(ring, F_OK) != 0 || !cursor_open_readonly(&c, directory, flow, NULL))
        return false;
    uint64_t phase = cursor_get(&c.marks->phase);
    bool usable = cursor_get(&c.marks->session) == record->session &&
                  (phase == CURSOR_STABLE || phase == CURSOR_DRAINED);
    cursor_close(&c);
    return usable;
}

static bool all_cursors(const struct run_record *record, const char *directory)
{
    for (uint32_t i = 0; i < record->flow_count; i++)
        if (!cursor_is_usable(record, directory, i))
            return false;
    return true;
}

static bool all_marks(const struct run_record *record, const struct target_marks *marks,
                      struct resume_point *points)
{
    for (uint32_t i = 0; i < record->flow_count; i++) {
        points[i] = mark_point(record, marks, i);
        if (!points[i].lsn)
            return false;
    }
    return true;
}

/* Returns true if some FLOW of the recorded session, which went on with the journal, has received nothing of it. Then no
 * flush was run in that session, as each needs every FLOW, and it may begin again where it began: what other FLOWs have
 * applied since, the marks tell, or the worker refuses. */
static bool may_begin_again(const struct run_record *record, const char *directory,
                            struct resume_point *points)
{
    bool waits = false;
    for (uint32_t i = 0; i < record->flow_count; i++) {
        struct cursor c = {0};
        points[i] = record->begins[i];
        if (!points[i].check.lsn || !cursor_open_readonly(&c, directory, i, NULL))
            return false;
        uint64_t session = cursor_get(&c.marks->session);
        waits |= session < record->session || !cursor_get(&c.marks->received_offset);
        cursor_close(&c);
        if (!session || session > record->session) /* of a session that is not recorded, perhaps */
            return false;
    }
    return waits;
}

enum resume_way earlier_run_decide(const struct settings *settings, const struct run_record *record,
                                   const struct target_marks *marks, const struct capabilities *target,
                                   const char *directory, struct resume_point *points, char *why,
                                   size_t why_bytes)
{
    char *scope = copy_scope(settings, target->cluster);
    bool same_scope = strcmp(scope, record->scope) == 0;
    free(scope);
    const char *text;
    enum resume_way way = RESUME_NONE;
    if (record->copy == RUN_COPY_MIGRATED)
        text = "the run before had migrated completely";
    else if (!settings->marks)
        text = "without marks in the target (--marks off) nothing tells what the run before had done";
    else if (!same_scope)
        text = "the run before had another target, other databases, --include or --exclude";
    else if (target->keys == 0)
        text = "the target is empty";
    else if (!is_ours(record, marks))
        text = "the target has no mark of the run before";
    else if (!target->cluster && !marks->run_session)
        way = RESUME_FULL_SYNC,
        text = "the target was emptied since by somebody: the mark of the run itself is gone";
    else if (record->copy == RUN_COPY_PARTIAL)
        way = RESUME_FULL_SYNC, text = "the run before ended before its full sync was complete";
    else if (record->copy == RUN_COPY_DEGRADED)
        way = RESUME_FULL_SYNC, text = "the run before had given up a FLOW";
    else if (all_cursors(record, directory))
        way = RESUME_FROM_SPOOLS, text = "the run before ended in stable sync";
    else if (all_marks(record, marks, points))
        way = RESUME_FROM_MARKS, text = "the run before ended in stable sync, and its spools are gone";
    else if (target->cluster && may_begin_again(record, directory, points))
        way = RESUME_FROM_MARKS, text = "the run before had only begun to go on with the journal";
    else
        way = RESUME_FULL_SYNC,
        text = "neither spools nor marks tell for every FLOW how far the run before had come";
    snprintf(why, why_bytes, "%s", text);
    return way;
}

/* ---- the consequences ---- */

static void begin_settling(struct run *run, const struct run_record *record)
{
    struct error error = {0};
    run->flow_count = record->flow_count;
    run->session_id = record->session;
    run->flows = x_calloc(run->flow_count, sizeof *run->flows);
    flow_set_init(&run->snapshots_done, run->flow_count);
    globals_init(&run->globals, run->flow_count);
    session_flows_asked(&run->session, run->flow_count);
    session_sync_after_partial(&run->session, record->in_blobs);
    snprintf(run->greeting.master_id, sizeof run->greeting.master_id, "%s", record->master_id);
    snprintf(run->greeting.sync_id, sizeof run->greeting.sync_id, "%s", record->sync_id);
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        flow_init(f, run, &run->flow_context, i);
        f->session = record->session;
        f->begin = record->begins[i];
        f->asked_lsn = record->asked_lsns[i];
        f->full = f->begin.lsn == 0;
        memcpy(f->token, record->tokens[i], sizeof f->token);
        f->inherited = f->stable = f->answered = true;
        f->progress_ms = clock_monotonic_ms();
        if (!flow_start_worker(f, START_RESUME, &error)) {
            run_fatal(run, &error);
            return;
        }
    }
    run_post(run, EVENT_PREVIOUS);
}

/* Returns true: an event was posted. */
static bool resume_earlier_run(struct run *run, const struct run_record *record, enum resume_way way,
                               const struct resume_point *points)
{
    run->role_changes = record->role_changes;
    snprintf(run->last_master_id, sizeof run->last_master_id, "%s", record->last_master_id);
    run->stable_before = run->streamed = way != RESUME_FULL_SYNC;
    error_set(&run->cause, ERROR_RETRY, "%s", run->sync_reason);
    if (way == RESUME_FROM_SPOOLS || way == RESUME_FROM_MARKS)
        divergences_recall(&run->divergences);
    else
        divergences_begin(&run->divergences);
    if (way == RESUME_FROM_SPOOLS)
        begin_settling(run, record);
    if (way == RESUME_FROM_SPOOLS)
        return true;
    if (way == RESUME_FROM_MARKS) {
        run->resume = x_calloc(record->flow_count, sizeof *points);
        memcpy(run->resume, points, record->flow_count * sizeof *points);
        run->resume_count = record->flow_count;
        run->resume_by_marks = true;
        snprintf(run->resume_master_id, sizeof run->resume_master_id, "%s", record->master_id);
    }
    run_post(run, EVENT_TARGET_READY);
    return true;
}

/* A cluster is any cluster, as each node leads to it, and none of them need be the same later on. */
bool earlier_run_was_here(const struct settings *settings, const struct run_record *record,
                          const struct capabilities *target)
{
    struct buf name = {0};
    put_target(&name, settings, target->cluster);
    bool same = strncmp(record->scope, (const char *)name.data, name.len) == 0 ||
                (*record->target_run_id && strcmp(record->target_run_id, target->run_id) == 0);
    buf_free(&name);
    return same;
}

/* Returns true if the target holds a complete copy by the record, and no mark tells of it: none is left there, or none
 * was written, or none is read. */
static bool is_done_unmarked(const struct settings *settings, const struct run_record *record,
                             const struct capabilities *target)
{
    return (record->copy == RUN_COPY_MIGRATED || record->unmarked || !settings->marks) &&
           earlier_run_was_here(settings, record, target);
}

enum resume_way run_examine_earlier(struct run *run, const struct target_marks *marks,
                                    struct run_record *record, struct resume_point **points)
{
    static const char *const ways[] = {"a first start", "going on from its spools",
                                       "going on from the target's marks", "a full sync follows"};
    *points = NULL;
    snprintf(run->sync_reason, sizeof run->sync_reason, "first start");
    run->target_stray = true;
    run->target_done = false;
    if (!run_record_load(&run->dir, record))
        return RESUME_NONE;
    *points = x_calloc(record->flow_count, sizeof **points);
    char why[200];
    enum resume_way way = earlier_run_decide(run->settings, record, marks, &run->target, run->dir.path,
                                             *points, why, sizeof why);
    snprintf(run->sync_reason, sizeof run->sync_reason, "%s", why);
    log_info("an earlier run of this name (session %llu): %s: %s", (unsigned long long)record->session, why,
             ways[way]);
    run->session_id = record->session;
    run->target_stray = !is_ours(record, marks);
    run->target_done = way == RESUME_NONE && record->copy != RUN_COPY_PARTIAL &&
                       (!run->target_stray || is_done_unmarked(run->settings, record, &run->target));
    if (run->target_done)
        remember_copy(run, record);
    if (way == RESUME_NONE)
        return way;
    run->target_owned = record->target_owned;
    run->target_written = true;
    remember_copy(run, record);
    recall_comparison(run, record);
    return way;
}

bool run_resume_earlier(struct run *run, const struct target_marks *marks)
{
    struct run_record record = {0};
    struct resume_point *points;
    enum resume_way way = run_examine_earlier(run, marks, &record, &points);
    if (way != RESUME_NONE)
        resume_earlier_run(run, &record, way, points);
    free(points);
    run_record_free(&record);
    if (way == RESUME_NONE)
        divergences_begin(&run->divergences);
    return way != RESUME_NONE;
}
