/* The watches on source and target, and what follows from their answers: in step or behind, the end of the session if
 * the source is no longer a master, divergences for evicted keys. */
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/rules/in_step.h"
#include "supervisor/run/run.h"

enum { BEHIND_MS = 5000 }; /* shorter delays are not logged */

static void on_told(void *arg)
{
    run_source_told(arg);
}

static void on_changed(const struct error *error, void *arg)
{
    struct run *run = arg;
    if (error->class != ERROR_FATAL)
        run_link_lost(run, error);
    else if (!run->streamed)
        run_fatal(run, error);
    else
        log_warning("%s", error->text);
}

void run_watch_source(struct run *run)
{
    struct source_watch_callbacks callbacks = {.arg = run, .told = on_told, .changed = on_changed};
    source_watch_free(run->source_watch);
    run->source_watch =
        source_watch_start(run->base, run->settings, &run->source_uri, run->flow_count, &callbacks);
    source_watch_turn(run->source_watch, clock_monotonic_ms());
}

static void on_evicted(const char *node, uint64_t keys, void *arg)
{
    struct run *run = arg;
    divergences_add(&run->divergences, 0, DIVERGENCE_EVICTED, "eviction", node, keys);
}

static void on_target_told(void *arg)
{
    struct run *run = arg;
    run_tell_clock(run);
    run_check_drained(run);
}

/* Before the target is claimed, and once a full sync is due, the marks of the copy that was there count no more. */
static void on_emptied(const struct error *error, void *arg)
{
    struct run *run = arg;
    enum session_state state = run->session.state;
    if (state < SESSION_WORKERS_FULL || state > SESSION_SETTLING)
        return;
    if (error->class == ERROR_FATAL)
        run_fatal(run, error);
    else
        run_resync(run, error);
}

static void on_process(void *arg, const char *run_id, uint64_t evicted)
{
    struct run *run = arg;
    target_watch_before(run->target_watch, run_id, evicted);
}

/* With the probe at hand: what was evicted before the copy is known before anything is written. A watch that was
 * there is replaced, and with it all that it knew of processes, their last answers and those that are due. */
void run_watch_target(struct run *run, bool goes_on)
{
    struct target_watch_callbacks callbacks = {.arg = run,
                                               .evicted = on_evicted,
                                               .told = on_target_told,
                                               .emptied = on_emptied,
                                               .clock_set = run_on_clock_set,
                                               .import_mode = run_on_import_mode};
    char *path = state_dir_file(run->settings, "evictions");
    target_watch_free(run->target_watch);
    if (!goes_on)
        run->clock.doubt[0] = '\0'; /* all keys come anew */
    run->target_watch =
        target_watch_start(run->base, run->settings, &run->target_nodes, path, goes_on, &callbacks);
    free(path);
    target_each_process(run->target_job, on_process, run);
    target_watch_turn(run->target_watch, clock_monotonic_ms());
}

void run_expect_databases(struct run *run)
{
    size_t count;
    const uint32_t *databases = source_databases(run->source, &count);
    if (databases)
        target_watch_expect(run->target_watch, databases, count);
}

static struct in_step_flow flow_facts(struct flow *f)
{
    const struct cursor_marks *m = flow_marks(f);
    struct in_step_flow out = {.failed = f->failed, .worker = m && f->hello, .pid = (long)f->worker.pid};
    if (!m)
        return out;
    out.alive_ms = cursor_get(&m->alive_ms);
    out.stable = cursor_get(&m->phase) == CURSOR_STABLE;
    out.in_contact = cursor_get(&m->in_contact) != 0;
    out.received_lsn = cursor_get(&m->received_lsn);
    out.applied_lsn = flow_applied_lsn(f);
    out.waiting = cursor_get(&m->received_offset) > cursor_done_offset(m);
    return out;
}

/* answers: the source's, the newest first. */
static bool decide(struct run *run, const struct source_lsns *answers, size_t answer_count, uint64_t *age_ms,
                   char *reason, size_t reason_bytes)
{
    char own[IN_STEP_REASON_BYTES], comparing[IN_STEP_REASON_BYTES];
    comparison_tell(run, comparing, sizeof comparing);
    struct in_step_facts facts = {.now_ms = clock_monotonic_ms(),
                                  .stable = run->session.state == SESSION_STABLE,
                                  .phase = session_phase_name(run->session.state),
                                  .trouble = source_watch_trouble(run->source_watch),
                                  .comparing = comparing,
                                  .answers = answers,
                                  .answer_count = answer_count,
                                  .flow_count = run->flow_count};
    struct in_step_flow *flows = x_calloc(run->flow_count ? run->flow_count : 1, sizeof *flows);
    uint64_t confirmed_ms;
    for (uint32_t i = 0; i < run->flow_count; i++)
        flows[i] = flow_facts(&run->flows[i]);
    facts.flows = flows;
    bool in_step =
        in_step_decide(&facts, &confirmed_ms, reason ? reason : own, reason ? reason_bytes : sizeof own);
    if (age_ms)
        *age_ms = in_step ? facts.now_ms - confirmed_ms : 0;
    free(flows);
    return in_step;
}

bool run_in_step(struct run *run, uint64_t *age_ms, char *reason, size_t reason_bytes)
{
    const struct source_lsns *answers;
    size_t count = source_watch_answers(run->source_watch, &answers);
    return decide(run, answers, count, age_ms, reason, reason_bytes);
}

bool run_in_step_with(struct run *run, const uint64_t *lsns, char *reason, size_t reason_bytes)
{
    struct source_lsns answer = {.asked_ms = clock_monotonic_ms(), .lsns = (uint64_t *)lsns};
    return decide(run, &answer, 1, NULL, reason, reason_bytes);
}

uint64_t run_source_lsn(const struct run *run, uint32_t flow)
{
    const struct source_lsns *answers;
    return source_watch_answers(run->source_watch, &answers) ? answers[0].lsns[flow] : 0;
}

void run_tell_in_step(struct run *run, uint64_t now_ms)
{
    char reason[IN_STEP_REASON_BYTES];
    if (run->session.state != SESSION_STABLE)
        return;
    uint64_t since_ms = run->in_step_ms > run->state_ms ? run->in_step_ms : run->state_ms;
    if (run_in_step(run, NULL, reason, sizeof reason)) {
        if (!run->in_step_told) {
            run->spool_full = false; /* the LSNs are younger than the full spool */
            log_info("in step: the target has what the source has");
        }
        run->in_step_told = true;
        run->in_step_ms = now_ms;
        run->behind_warned_ms = 0;
    } else if (now_ms - since_ms >= BEHIND_MS &&
               (!run->behind_warned_ms ||
                now_ms - run->behind_warned_ms >= run->settings->stuck_warning_ms)) {
        bool first = run->in_step_told;
        run->in_step_told = false;
        run->behind_warned_ms = now_ms;
        log_warning("%s for %llu s: %s", first ? "no longer in step" : "not in step",
                    (unsigned long long)(now_ms - since_ms) / 1000, reason);
    }
}
