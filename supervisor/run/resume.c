/* The questions that a session asks about the journal, and the answers it accepts. */
#include "supervisor/run/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/log/log.h"

enum {
    PROMOTED_VERSION = 5,         /* first protocol version with <last master id> <lsn>-<lsn>-… */
    COUNTED_RING_RELEASE = 14099, /* last release whose ring holds a number of entries, 8192 by default */
    SURELY_IN_RING = 1024,
    WAIT_FOR_WRITE_MS = 10000,
    SYNC_AFTER_PARTIAL_FIRST = 13100, /* these releases refuse a lone STARTSTABLE */
    SYNC_AFTER_PARTIAL_LAST = 13499,
};

static bool is_another(const struct run *run)
{
    return strcmp(run->resume_master_id, run->greeting.master_id) != 0;
}

static void forget_beyond(struct run *run)
{
    free(run->beyond);
    free(run->beyond_lsns);
    run->beyond = NULL;
    run->beyond_lsns = NULL;
    run->beyond_master_id[0] = '\0';
    run->beyond_until_ms = 0;
}

bool run_role_is_unchanged(const struct run *run)
{
    return run->role_changes >= 0 && run->role_changes == run->greeting.role_changes;
}

/* Returns true if the ring may begin at the promotion of this master: it was just promoted, or it has been followed
 * since then. As long as no command of it was applied, the entry to compare is one of the master before. */
static bool began_with_promotion(const struct run *run)
{
    return is_another(run) || (*run->last_master_id && run_role_is_unchanged(run));
}

static void say_another(struct run *run)
{
    snprintf(run->sync_reason, sizeof run->sync_reason,
             "the source was replaced or restarted: its master id is %.40s, and was %.40s",
             run->greeting.master_id, run->resume_master_id);
}

/* Returns true if an entry can be compared, or if the journal is known to be the same. */
static bool can_be_told_apart(struct run *run, uint32_t flow)
{
    const struct resume_point *at = &run->resume[flow];
    if (at->check.lsn || (!is_another(run) && (at->unchecked || run_role_is_unchanged(run))))
        return true;
    if (is_another(run))
        say_another(run);
    else
        snprintf(run->sync_reason, sizeof run->sync_reason,
                 "FLOW %u has no applied journal command to compare, and the source %s", flow,
                 run->greeting.role_changes < 0
                     ? "refuses INFO COMMANDSTATS, so it may have been a replica meanwhile"
                     : "was made a replica or a master meanwhile");
    return false;
}

/* Returns true if the target may have entries that no mark tells of, and the source may lack them: it was promoted, or
 * was a replica meanwhile. The comparison shows the last entry that a mark tells of only. */
static bool may_lack_unmarked_entries(struct run *run)
{
    bool role_changed =
        run->role_changes >= 0 && run->greeting.role_changes >= 0 && !run_role_is_unchanged(run);
    if (!run->resume_by_marks || (!is_another(run) && !role_changed))
        return false;
    snprintf(
        run->sync_reason, sizeof run->sync_reason,
        "only the target's marks tell how far the run before had come, and the source %s since: it may lack "
        "entries that were applied after the marks",
        is_another(run) ? "is another one" : "was made a replica or a master");
    return true;
}

bool resume_wants_sync(const struct run *run)
{
    return run->greeting.release >= SYNC_AFTER_PARTIAL_FIRST &&
           run->greeting.release <= SYNC_AFTER_PARTIAL_LAST;
}

bool resume_plan(struct run *run, uint32_t flow_count)
{
    const struct greeting *g = &run->greeting;
    if (!run->resume || strcmp(run->beyond_master_id, g->master_id) != 0)
        forget_beyond(run);
    if (!run->resume)
        return false;
    if (is_another(run) && (g->version < PROMOTED_VERSION || resume_wants_sync(run))) {
        say_another(run);
        return false;
    }
    if (run->resume_count != flow_count) {
        snprintf(run->sync_reason, sizeof run->sync_reason, "the source has %u FLOWs, and had %u", flow_count,
                 run->resume_count);
        return false;
    }
    if (may_lack_unmarked_entries(run))
        return false;
    bool unchecked = false;
    for (uint32_t i = 0; i < flow_count; i++) {
        if (!can_be_told_apart(run, i))
            return false;
        unchecked |= run->resume[i].unchecked;
    }
    if (unchecked)
        log_warning("the marks in the target were written by an earlier release of df2redis: that the "
                    "source's journal is still the one that was followed cannot be verified this time");
    if (is_another(run))
        snprintf(run->last_master_id, sizeof run->last_master_id, "%s", run->resume_master_id);
    return true;
}

void resume_begin(struct run *run, struct flow *f)
{
    f->begin = run->resume[f->number];
    f->asked_lsn = f->begin.check.lsn ? f->begin.check.lsn : f->begin.lsn;
    if (began_with_promotion(run) && run->beyond && run->beyond[f->number]) {
        f->asked_lsn = f->begin.check.lsn + 1;
        f->begin.check = (struct journal_check){0};
    }
}

void run_put_question(const struct run *run, const struct flow *f, struct buf *out)
{
    if (!is_another(run)) {
        buf_printf(out, "%llu", (unsigned long long)f->asked_lsn);
        return;
    }
    buf_printf(out, "%s ", run->resume_master_id);
    for (uint32_t i = 0; i < run->flow_count; i++)
        buf_printf(out, "%s%llu", i ? "-" : "", (unsigned long long)run->flows[i].asked_lsn);
}

/* Returns true for a ring that holds a number of entries: it loses none until it is full. */
static bool has_counted_ring(const struct run *run)
{
    return run->greeting.release && run->greeting.release <= COUNTED_RING_RELEASE;
}

/* The ring of a promoted master begins at the promotion, after the entry to compare. Returns true if all entries
 * applied here are surely older than the promotion: the master's next LSN, asked before, is the next one wanted
 * (nothing was written since), or so few entries were written since that the ring would still hold that entry. */
static bool was_promoted_there(const struct run *run, const uint64_t *lsns, uint32_t flow)
{
    uint64_t wanted = run->resume[flow].lsn, next = lsns[flow];
    return next == wanted || (has_counted_ring(run) && next > wanted && next - wanted <= SURELY_IN_RING);
}

/* The same if more was written: a third session then shows whether the ring is full, as a full ring loses one entry
 * with each write. */
static bool may_be_promoted_there(const struct run *run, const uint64_t *lsns, uint32_t flow)
{
    return was_promoted_there(run, lsns, flow) ||
           (has_counted_ring(run) && lsns[flow] > run->resume[flow].lsn);
}

bool resume_ask_again(struct run *run, struct error *error)
{
    size_t count;
    const uint64_t *lsns = source_lsns(run->source, &count);
    if (!run->resume || !run->flows[0].begin.lsn || !began_with_promotion(run) || run->beyond ||
        count != run->flow_count)
        return false;
    bool *beyond = x_calloc(run->flow_count, sizeof *beyond);
    for (uint32_t i = 0; i < run->flow_count; i++) {
        beyond[i] = run->flows[i].full;
        if (beyond[i] && !may_be_promoted_there(run, lsns, i)) {
            free(beyond);
            return false;
        }
    }
    run->beyond = beyond;
    snprintf(run->beyond_master_id, sizeof run->beyond_master_id, "%s", run->greeting.master_id);
    return !error_set(
        error, ERROR_RETRY,
        "source %s no longer has the last entry that was applied: it is asked for what comes after it",
        run->source_name);
}

/* Returns true if the LSNs of this session leave no doubt: of each FLOW without the entry to compare it is sure that
 * all is older than the promotion, or it was written to since its ring was asked for. */
static bool leaves_no_doubt(const struct run *run)
{
    size_t count;
    const uint64_t *lsns = source_lsns(run->source, &count);
    if (run->beyond && count != run->flow_count)
        return false;
    for (uint32_t i = 0; run->beyond && i < run->flow_count; i++)
        if (run->beyond[i] && !was_promoted_there(run, lsns, i) &&
            (!run->beyond_lsns || lsns[i] <= run->beyond_lsns[i]))
            return false;
    return true;
}

bool resume_ask_to_be_sure(struct run *run, struct error *error)
{
    size_t count;
    const uint64_t *lsns = source_lsns(run->source, &count);
    uint64_t now_ms = clock_monotonic_ms();
    if (leaves_no_doubt(run) || (run->beyond_until_ms && now_ms >= run->beyond_until_ms))
        return false;
    if (!run->beyond_until_ms)
        run->beyond_until_ms = now_ms + WAIT_FOR_WRITE_MS;
    if (!run->beyond_lsns && count == run->flow_count) {
        run->beyond_lsns = x_malloc(count * sizeof *lsns);
        memcpy(run->beyond_lsns, lsns, count * sizeof *lsns);
    }
    return !error_set(
        error, ERROR_RETRY,
        "source %s has been written to much since it was promoted: it is asked again after the next "
        "write where its journal begins",
        run->source_name);
}

bool resume_is_sure(struct run *run, struct error *error)
{
    if (leaves_no_doubt(run))
        return true;
    return error_set(error, ERROR_RETRY,
                     "source %s is not sure to have had all that was applied before it was promoted: "
                     "its journal begins right behind that, perhaps by chance",
                     run->source_name);
}

void resume_refused(struct run *run)
{
    if (is_another(run))
        snprintf(run->sync_reason, sizeof run->sync_reason,
                 "the source is another one: its master id is %.40s, and was %.40s; asked for the journal "
                 "that the target "
                 "lacks, it answered FULL, as it does not have it",
                 run->greeting.master_id, run->resume_master_id);
    else
        snprintf(run->sync_reason, sizeof run->sync_reason,
                 "the source's journal no longer goes back to where the target is");
    if (!is_another(run))
        log_info("the source keeps more of its journal with a larger %s",
                 run->greeting.release > COUNTED_RING_RELEASE
                     ? "--shard_repl_backlog_time_ms and --shard_repl_backlog_max_bytes"
                     : "--shard_repl_backlog_len (8192 entries of each shard by default)");
}

void resume_granted(struct run *run)
{
    bool another = is_another(run);
    snprintf(
        run->sync_reason, sizeof run->sync_reason,
        another
            ? "the source was promoted from a replica of the one before, and still has the journal that the "
              "target lacks"
            : "the source still has the journal that the target lacks");
    if (another)
        run->role_changes = run->greeting.role_changes;
    forget_beyond(run);
}
