/* The worker that compares all keys, and what follows from its reports. */
#include "supervisor/run/comparison.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "common/log/log.h"
#include "common/redis/releases.h"
#include "supervisor/run/run.h"
#include "supervisor/source/source_facts.h"

enum { AGAIN_MS = 2000, PPM = 1000000 };

static bool worker_is_alive(const struct comparison *c)
{
    return c->worker.pid > 0;
}

static void forget_report(struct comparison *c)
{
    free(c->report);
    c->report = NULL;
    c->resumes = false;
}

static void give_up_worker(struct comparison *c)
{
    if (worker_is_alive(c))
        worker_process_kill(&c->worker);
    c->given_up = true;
}

static void release_lock(struct comparison *c)
{
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    c->lock_fd = -1;
}

void comparison_init(struct run *run)
{
    worker_process_init(&run->comparison.worker);
    run->comparison.lock_fd = -1;
}

void comparison_free(struct run *run)
{
    struct comparison *c = &run->comparison;
    give_up_worker(c);
    while (worker_is_alive(c) && waitpid(c->worker.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (worker_is_alive(c))
        worker_process_forget(&c->worker);
    release_lock(c);
    forget_report(c);
    free(c->repaired_seqs);
}

/* ---- what is due ---- */

/* Between two sessions the record describes the last one, and its FLOWs are gone: the next session writes it anew. */
static bool record_may_change(const struct run *run)
{
    return run->session.state >= SESSION_WORKERS_FULL && run->session.state <= SESSION_SETTLING;
}

static void set_state(struct run *run, enum comparison_state state, const char *reason)
{
    struct comparison *c = &run->comparison;
    c->state = state;
    c->repeat = false;
    snprintf(c->reason, sizeof c->reason, "%s", reason);
    if (record_may_change(run))
        run_save_record(run, run->copy.state);
}

/* Of a release that looked for missing keys only (earlier_run.c). */
static void forget_inventory(struct run *run)
{
    char *path = state_dir_file(run->settings, INVENTORY_FILE);
    unlink(path);
    free(path);
}

bool comparison_can_prune(const struct run *run)
{
    return run->settings->on_full_resync == ON_FULL_RESYNC_PRUNE && run->target_owned &&
           settings_repairs(run->settings);
}

void comparison_full_sync(struct run *run)
{
    struct comparison *c = &run->comparison;
    const struct source_facts *facts = source_facts(run->source);
    bool counts = settings_repairs(run->settings) && release_omits(run->greeting.release);
    give_up_worker(c);
    forget_report(c);
    c->repaired = c->undecided = 0;
    c->repaired_session = 0;
    c->begun.told = facts->omits_told;
    c->begun.omits = facts->omits;
    snprintf(c->begun.master_id, sizeof c->begun.master_id, "%s", run->greeting.master_id);
    if (c->prunes)
        set_state(run, COMPARISON_DUE,
                  "the full sync wrote over the target's keys: what the source lacks is removed");
    else
        set_state(run, counts ? COMPARISON_COUNTS : COMPARISON_NONE, "");
    forget_inventory(run);
}

void comparison_need(struct run *run, const char *reason)
{
    struct comparison *c = &run->comparison;
    if (!settings_repairs(run->settings))
        return;
    if (c->state == COMPARISON_DUE) {
        if (worker_is_alive(c))
            c->repeat = true;
        else
            forget_report(c);
        return;
    }
    log_warning(
        "%s: all keys are compared with the source's, and repaired, before the copy counts as complete",
        reason);
    set_state(run, COMPARISON_DUE, reason);
}

/* The end of a comparison, or of the question whether one is due. */
static void nothing_is_due(struct run *run)
{
    set_state(run, COMPARISON_NONE, "");
    forget_inventory(run);
    if (run->settings->migrate && run->session.state == SESSION_STABLE)
        run_post(run, EVENT_COMPLETE);
}

static void on_omits(bool told, uint64_t omits, void *arg)
{
    struct run *run = arg;
    struct comparison *c = &run->comparison;
    char reason[sizeof c->reason];
    bool same = strcmp(c->begun.master_id, run->greeting.master_id) == 0;
    if (c->state != COMPARISON_COUNTS)
        return;
    if (!same) {
        comparison_need(run, "the source was replaced by its replica, and what its journal had left out "
                             "during the full sync is not known");
    } else if (!told || !c->begun.told) {
        comparison_need(run, "the source does not tell what its journal left out during the full sync");
    } else if (omits > c->begun.omits) {
        snprintf(reason, sizeof reason,
                 "the source's journal left out %llu entries during the full sync, and perhaps keys",
                 (unsigned long long)(omits - c->begun.omits));
        comparison_need(run, reason);
    } else {
        nothing_is_due(run);
    }
}

/* ---- the worker ---- */

/* After the first message of a worker its cursor alone tells of more. */
static void note_doubts(struct run *run)
{
    struct comparison *c = &run->comparison;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->flow_count; i++) {
        const struct cursor_marks *m = flow_marks(&run->flows[i]);
        sum += m ? cursor_get(&m->compare_all) : 0;
    }
    if (c->doubts_session != run->session_id)
        c->doubts = 0;
    bool more = sum > c->doubts;
    c->doubts_session = run->session_id;
    c->doubts = sum > c->doubts ? sum : c->doubts;
    if (more)
        comparison_need(run, "more keys are in doubt than a FLOW remembers");
}

/* Repairs are in no journal: up to here a target that goes back to an older copy of its data loses them. */
static void note_repairs(struct run *run)
{
    struct comparison *c = &run->comparison;
    free(c->repaired_seqs);
    c->repaired_seqs = x_calloc(run->flow_count ? run->flow_count : 1, sizeof *c->repaired_seqs);
    c->repaired_session = run->session_id;
    for (uint32_t i = 0; i < run->flow_count; i++) {
        const struct cursor_marks *m = flow_marks(&run->flows[i]);
        c->repaired_seqs[i] = m ? cursor_get(&m->sent_seq) : UINT64_MAX;
    }
}

void comparison_target_went_back(struct run *run, uint32_t flow, uint64_t seq)
{
    const struct comparison *c = &run->comparison;
    /* In a later session nothing may have been written yet: its first marks may be those of the session before. */
    bool later = c->repaired_session != run->session_id || !c->repaired_seqs || flow >= run->flow_count;
    bool repaired = c->repaired_session && (later || seq <= c->repaired_seqs[flow]);
    if (repaired || c->state == COMPARISON_DUE)
        comparison_need(run, "the target lost writes, perhaps also what a comparison had repaired");
}

static void conclude(struct run *run)
{
    struct comparison *c = &run->comparison;
    struct verify_row sum = verify_total(c->report);
    uint64_t left = sum.different - sum.healed;
    log_info("all %llu keys were compared with the source's in %.1f s: %llu differed, %llu of them were "
             "repaired%s",
             (unsigned long long)sum.keys, (double)c->report->spent_ms / 1000,
             (unsigned long long)sum.different, (unsigned long long)sum.healed,
             sum.different ? "; differences.log names them" : "");
    c->repaired += sum.healed;
    if (sum.healed)
        note_repairs(run);
    c->undecided += sum.undecided;
    if (sum.undecided)
        log_warning(
            "%llu key%s written too often to be compared with the source's: differences.log names them; "
            "df2redis verify compares all keys once more",
            (unsigned long long)sum.undecided, sum.undecided == 1 ? " was" : "s were");
    /* What the target cannot hold was counted when it was received; what is compared again may be repaired then. */
    if (c->repeat)
        log_debug("all keys are compared once more");
    else if (left || (sum.incomparable && !run->divergences.total))
        divergences_add(&run->divergences, 0, DIVERGENCE_LOST_BY_SOURCE, "comparison of all keys",
                        "named in differences.log", left ? left : sum.incomparable);
    forget_report(c);
    note_doubts(run);
    if (!c->repeat) {
        run->copy.kept &= !c->prunes;
        c->prunes = false;
        nothing_is_due(run);
    }
    c->repeat = false;
}

/* A right is missing: nothing is known of the keys then, and the exit code says so. */
static void give_up(struct run *run, const char *why)
{
    log_warning(
        "all keys cannot be compared with the source's: %s; some may be missing or wrong on the target; "
        "then compare them: df2redis verify --repair",
        why);
    divergences_add(&run->divergences, 0, DIVERGENCE_LOST_BY_SOURCE, "comparison of all keys",
                    "a right is missing", 1);
    if (run->comparison.prunes)
        divergences_add(&run->divergences, 0, DIVERGENCE_RESYNC_KEPT, "full sync", "all keys", 1);
    run->comparison.prunes = false;
    run->comparison.given_up = true;
    nothing_is_due(run);
}

static void on_report(struct run *run, const struct message *m)
{
    struct comparison *c = &run->comparison;
    c->report = c->report ? c->report : x_calloc(1, sizeof *c->report);
    if (!verify_report_decode(c->report, buf_slice(&m->verify_report.report)))
        return;
    c->resumes = true;
    snprintf(c->trouble, sizeof c->trouble, "%s", c->report->trouble);
    if (c->report->phase != VERIFY_ENDED)
        return;
    c->given_up = true; /* it has said all */
    conclude(run);
}

static void on_message(struct worker_process *w, struct message *m, void *arg)
{
    struct run *run = arg;
    struct comparison *c = &run->comparison;
    (void)w;
    if (c->given_up || c->state != COMPARISON_DUE)
        return;
    if (m->type == MESSAGE_VERIFY_REPORT) {
        on_report(run, m);
    } else if (m->type == MESSAGE_FAILED && m->failed.exit_code == EX_NOPERM) {
        give_up(run, m->failed.text);
    } else if (m->type == MESSAGE_FAILED) {
        snprintf(c->trouble, sizeof c->trouble, "%.199s", m->failed.text);
        log_warning("the comparison of all keys was broken off: %s; it goes on in %d s", m->failed.text,
                    AGAIN_MS / 1000);
    }
}

static void on_log(struct slice lines, void *arg)
{
    (void)arg;
    log_relay(lines);
}

static bool send_order(struct run *run, bool whole)
{
    struct comparison *c = &run->comparison;
    struct message m = {.type = MESSAGE_VERIFY, .fd = -1};
    m.verify.active = 1;
    m.verify.session = run->session_id;
    m.verify.flow_count = run->flow_count;
    snprintf(m.verify.master_id, sizeof m.verify.master_id, "%s", run->greeting.master_id);
    m.verify.repair = 1;
    m.verify.again = !c->resumes;
    m.verify.by_run = !run->settings->migrate;
    m.verify.source_only = !run->target_owned || (run->copy.kept && !c->prunes);
    m.verify.sample_ppm = PPM;
    struct settings settings = *run->settings; /* with the address at hand */
    if (run->source_uri.host)
        settings.source = run->source_uri;
    if (whole)
        settings_encode(&settings, &m.verify.settings);
    bool ok = worker_process_send(&c->worker, &m);
    message_free(&m);
    return ok;
}

bool comparison_stable(struct run *run)
{
    struct comparison *c = &run->comparison;
    if (c->state == COMPARISON_COUNTS)
        source_ask_omits(run->source, on_omits);
    if (worker_is_alive(c) && !c->given_up && !send_order(run, false))
        give_up_worker(c); /* it is told of the new session, and else started anew */
    return c->state != COMPARISON_NONE;
}

static void start_worker(struct run *run, uint64_t now_ms)
{
    struct comparison *c = &run->comparison;
    struct error error = {0};
    c->start_ms = now_ms + AGAIN_MS;
    if (c->lock_fd < 0 && !state_dir_lock(run->settings, "verify.lock", &c->lock_fd, &error)) {
        snprintf(c->trouble, sizeof c->trouble, "waiting for df2redis verify, which is active");
        return;
    }
    c->trouble[0] = '\0';
    c->given_up = false;
    worker_process_init(&c->worker);
    c->worker.on_message = on_message;
    c->worker.on_log = on_log;
    c->worker.arg = run;
    if (!worker_process_start_as(&c->worker, run->base, run->worker_path, "verify", &error) ||
        !send_order(run, true)) {
        snprintf(c->trouble, sizeof c->trouble, "%.199s", error.text);
        log_warning("the comparison of all keys cannot begin: %s; next attempt in %d s", c->trouble,
                    AGAIN_MS / 1000);
        give_up_worker(c);
    }
}

/* The target's clock was set, and what is written with a shorter time to live expires at once. (One that is wrong from
 * the start may stay so.) */
static bool waits_for_clock(struct run *run)
{
    struct comparison *c = &run->comparison;
    int64_t ahead_ms;
    if (!run->clock.was_set || !target_watch_clock(run->target_watch, &ahead_ms) ||
        ahead_ms < RUN_WRONG_CLOCK_MS)
        return false;
    snprintf(c->trouble, sizeof c->trouble,
             "the clock of the target is %.1f s ahead of that of this machine: set the clocks (NTP)",
             (double)ahead_ms / 1000);
    return true;
}

void comparison_turn(struct run *run, uint64_t now_ms)
{
    struct comparison *c = &run->comparison;
    note_doubts(run);
    if (c->state != COMPARISON_DUE) {
        if (!worker_is_alive(c))
            release_lock(c);
        return;
    }
    if (run->session.state == SESSION_STABLE && !run_failed_flows(run) && !worker_is_alive(c) &&
        now_ms >= c->start_ms && !waits_for_clock(run))
        start_worker(run, now_ms);
}

void comparison_reap(struct run *run)
{
    struct comparison *c = &run->comparison;
    if (!worker_is_alive(c) || waitpid(c->worker.pid, NULL, WNOHANG) != c->worker.pid)
        return;
    worker_process_drain(&c->worker);
    worker_process_forget(&c->worker);
    c->start_ms = clock_monotonic_ms() + AGAIN_MS;
}

bool comparison_stop(struct run *run, char *reason, size_t bytes)
{
    struct comparison *c = &run->comparison;
    give_up_worker(c);
    snprintf(reason, bytes, "%s",
             c->state == COMPARISON_COUNTS ? "the source was not asked yet what its journal had left out"
                                           : c->reason);
    return c->state != COMPARISON_NONE;
}

void comparison_tell(const struct run *run, char *out, size_t bytes)
{
    const struct comparison *c = &run->comparison;
    const struct verify_report *r = c->report;
    if (c->state == COMPARISON_NONE) {
        out[0] = '\0';
    } else if (c->state == COMPARISON_COUNTS) {
        snprintf(out, bytes, "the source is asked whether its journal left out entries during the full sync");
    } else {
        unsigned percent =
            r && r->to_scan ? (unsigned)(r->scanned >= r->to_scan ? 100 : r->scanned * 100 / r->to_scan) : 0;
        snprintf(out, bytes, "all keys are compared with the source's, %u %% so far (%s)%s%s", percent,
                 c->reason, c->trouble[0] ? "; " : "", c->trouble);
    }
}
