/* Workers that ended unasked: a restart, or the end of their FLOW.
 *
 * A worker's death costs the source nothing: the supervisor keeps the socket, spool and cursor outlive the worker, and
 * a successor continues from them. A FLOW fails only if its workers keep dying at one place. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/flow/poison.h"
#include "supervisor/run/run.h"

enum {
    WELL_AFTER_MS = 10000,
    AT_ONCE = 2,           /* deaths at one place that are followed by a restart without pause */
    PAUSE_LIMIT_MS = 2000, /* the FLOW is not read meanwhile, and its writers on the source would freeze */
    SHORT_LIFE_MS = 50,
    SHORT_LIVES = 20, /* in a row, after which even a kill by hand is followed by a pause */
};

static void describe_status(int status, char *out, size_t out_bytes)
{
    if (WIFSIGNALED(status))
        snprintf(out, out_bytes, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, out_bytes, "ended with code %d", WEXITSTATUS(status));
}

/* A failed FLOW is still read, or its writers on the source would freeze. */
static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    static uint8_t scratch[65536];
    struct flow *f = arg;
    struct error error = {0};
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (n > 0)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        event_del(f->drainer);
        error_set(&error, ERROR_RETRY, "source %s has closed FLOW %u", f->run->source_name, f->number);
        run_link_lost(f->run, &error);
        return;
    }
}

static void run_ready_globals(struct run *run)
{
    bool ready = false;
    while (globals_next_ready(&run->globals))
        ready = true;
    if (ready)
        run_confirm_globals(run);
}

/* Keeps the bytes on which the worker died, for a person to examine. */
static void save_bytes(struct flow *f, const char *place)
{
    struct error error = {0};
    const struct cursor_marks *marks = flow_marks(f);
    char *path = marks ? poison_save(f->run->dir.path, f->number, marks, &error) : NULL;
    if (path)
        log_error("FLOW %u: the bytes from %s on, which its worker died on, are kept in %s", f->number, place,
                  path);
    else
        log_error("FLOW %u: the bytes that its worker died on cannot be kept: %s", f->number,
                  marks ? error.text : "it has read none");
    free(path);
}

static void flow_give_up(struct flow *f, const char *how)
{
    struct run *run = f->run;
    struct error error = {0};
    uint32_t allowed = (uint32_t)((uint64_t)run->flow_count * run->settings->failed_flows_percent / 100);
    char place[32];
    f->failed = true;
    snprintf(place, sizeof place, "entry %llu", (unsigned long long)f->death_seq);
    log_error("FLOW %u failed: its worker %s %u times in a row at %s%s%s", f->number, how, f->deaths_here,
              place, f->failure[0] ? ": " : "", f->failure);
    save_bytes(f, place);
    divergences_add(&run->divergences, f->number, DIVERGENCE_FLOW_FAILED, "all further commands", place, 1);
    /* Before the barrier its snapshot would never become complete. */
    bool before_stable = run->session.state != SESSION_STABLE && run->session.state != SESSION_DRAINING;
    if (before_stable || f->socket < 0 || run_failed_flows(run) > allowed) {
        error_fatal(&error, EX_SOFTWARE,
                    "FLOW %u cannot be applied: its worker %s %u times in a row at %s%s%.250s; %s", f->number,
                    how, f->deaths_here, place, f->failure[0] ? ": " : "", f->failure,
                    before_stable ? "the copy cannot be completed without it"
                                  : "more FLOWs failed than --failed-flows allows");
        run_fatal(run, &error);
        return;
    }
    run_save_record(run, RUN_COPY_DEGRADED);
    log_error("the run goes on without FLOW %u, degraded: its keys no longer change on the target",
              f->number);
    if (f->closed)
        event_del(f->closed);
    flow_drain_socket(f, on_drain);
    globals_give_up(&run->globals, f->number);
    run_ready_globals(run);
    run_check_drained(run);
}

/* Returns true before the workers have read anything. */
static bool session_begins(const struct run *run)
{
    enum session_state state = run->session.state;
    return state == SESSION_FLOWS || state == SESSION_WORKERS_FULL || state == SESSION_WORKERS_PARTIAL ||
           state == SESSION_WORKERS_BLOBS;
}

/* Returns START_RESUME, or the mode of the first start if nothing was read yet. */
static enum start_mode next_mode(const struct flow *f)
{
    if (!session_begins(f->run))
        return START_RESUME;
    return f->begin.lsn && !f->full ? START_PARTIAL : START_FULL;
}

static void restart_worker(struct flow *f)
{
    struct error error = {0};
    f->restarts++;
    if (flow_start_worker(f, next_mode(f), &error))
        return;
    log_error("%s", error.text);
    if (!flow_worker_alive(f))
        f->restart_due_ms = clock_monotonic_ms() + PAUSE_LIMIT_MS;
}

/* Returns true for another death at the place of the last one. A worker that lived for a while passed that place. */
static bool died_at_same_place(struct flow *f, uint64_t seq)
{
    return f->restarts && seq == f->death_seq && clock_monotonic_ms() - f->started_ms < WELL_AFTER_MS;
}

/* Returns true if its files could not be made: disk full, quota or file size limit reached. */
static bool lacked_space(const struct flow *f)
{
    return !f->hello && f->failure_class == ERROR_RETRY && f->failure_exit_code == EX_IOERR;
}

/* Returns true if the worker idled, waited for the target or had read nothing: its data did not end it. */
static bool worker_is_blameless(const struct flow *f, const struct cursor_marks *marks, bool killed)
{
    if (!f->hello)
        return killed || lacked_space(f);
    return marks && f->failure_class == ERROR_NONE && !cursor_get(&marks->busy);
}

/* Returns true for a kill by a person: not by the kernel for want of memory, which an entry may cause, nor by the
 * supervisor after a failure. */
static bool killed_by_hand(const struct flow *f, bool killed)
{
    return killed && f->failure_class == ERROR_NONE && !oom_since(f->oom_at_start, oom_count_now());
}

static void restart_at_once(struct flow *f, const char *how, uint64_t seq)
{
    backoff_reset(&f->backoff);
    log_warning("FLOW %u: its worker %s%s%s; restarted at once from entry %llu", f->number, how,
                f->failure[0] ? ": " : "", f->failure, (unsigned long long)seq);
    restart_worker(f);
}

static void restart_later(struct flow *f, const char *how, uint64_t seq, bool blamed)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint32_t)clock_monotonic_ms();
    uint32_t pause_ms = backoff_next_ms(&f->backoff, random);
    if (pause_ms > PAUSE_LIMIT_MS)
        pause_ms = PAUSE_LIMIT_MS;
    f->restart_due_ms = clock_monotonic_ms() + pause_ms;
    char count[48] = "";
    if (blamed)
        snprintf(count, sizeof count, " (%u of %u)", f->deaths_here, f->run->settings->restart_limit);
    log_warning("FLOW %u: its worker %s again at entry %llu%s%s%s; restarted in %.1f s", f->number, how,
                (unsigned long long)seq, count, f->failure[0] ? ": " : "", f->failure, pause_ms / 1000.0);
}

/* Restarts at once: for the first deaths at one place, and after each kill by hand. Otherwise with backoff. */
static void schedule_restart(struct flow *f, int status, const char *how)
{
    const struct cursor_marks *marks = flow_marks(f);
    uint64_t seq = marks ? cursor_get(&marks->applied_seq) : 0;
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, by_hand = killed_by_hand(f, killed);
    bool again = died_at_same_place(f, seq), blamed = !by_hand && !worker_is_blameless(f, marks, killed);
    bool short_lived = clock_monotonic_ms() - f->started_ms < SHORT_LIFE_MS;
    f->short_lives = short_lived ? f->short_lives + 1 : 0;
    f->deaths_here = (again ? f->deaths_here : 0) + blamed;
    f->death_seq = seq;
    if (blamed && f->deaths_here >= f->run->settings->restart_limit)
        flow_give_up(f, how);
    else if (!again || (blamed && f->deaths_here <= AT_ONCE) || (by_hand && f->short_lives < SHORT_LIVES))
        restart_at_once(f, how, seq);
    else
        restart_later(f, how, seq, blamed);
}

/* After the end of the source a worker applies its data, reports that, and ends. */
static bool ended_in_order(struct flow *f)
{
    const struct cursor_marks *m = flow_marks(f);
    return m && f->stable && f->failure_class == ERROR_RETRY && flow_link_closed(f) &&
           cursor_get(&m->decoded_seq) == cursor_get(&m->applied_seq) &&
           cursor_get(&m->sent_seq) == cursor_get(&m->applied_seq);
}

/* With TLS the connection dies with the worker. In the journal a successor applies the spool, and the next session asks
 * for the rest; a snapshot cannot be resumed. */
static void died_with_tls(struct flow *f, int status, const char *how, const struct error *why)
{
    enum session_state state = f->run->session.state;
    if (state == SESSION_STABLE || state == SESSION_SETTLING || state == SESSION_DRAINING)
        schedule_restart(f, status, how);
    if (state != SESSION_SETTLING && state != SESSION_DRAINING)
        run_link_lost(f->run, why);
}

/* Worker and link ended at about the same time: a successor applies the spool before the next session. */
static void died_with_link(struct flow *f, int status, const char *how, const struct error *why)
{
    if (f->run->session.state == SESSION_STABLE && !f->drained)
        schedule_restart(f, status, how);
    run_link_lost(f->run, why);
}

/* The session is retried until there is space. A first session ends the run: there is nothing to lose yet. */
static void cannot_begin(struct flow *f)
{
    struct error error = {0};
    if (f->run->streamed)
        error_set(&error, ERROR_RETRY, "FLOW %u: %.400s", f->number, f->failure);
    else
        error_fatal(&error, f->failure_exit_code, "FLOW %u: %.400s", f->number, f->failure);
    run_link_lost(f->run, &error);
}

static void worker_died(struct flow *f, int status)
{
    struct run *run = f->run;
    struct error error = {0};
    enum session_state state = run->session.state;
    char how[96];
    if (run->ending || state == SESSION_WAITING || f->failed || f->failure_class == ERROR_FATAL ||
        f->failure_class == ERROR_REDIRECT)
        return;
    describe_status(status, how, sizeof how);
    if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXEC_FAILED) {
        error_fatal(&error, EX_OSFILE, "cannot run %s; install both programs together", run->worker_path);
        run_fatal(run, &error);
        return;
    }
    bool applying_rest = state == SESSION_DRAINING || state == SESSION_SETTLING;
    f->drained |= ended_in_order(f);
    globals_forget(&run->globals, f->number);
    error_set(&error, ERROR_RETRY, "FLOW %u: its worker %s%s%.300s", f->number, how,
              f->failure[0] ? ": " : "", f->failure);
    if (f->drained && applying_rest)
        run_check_drained(run);
    else if (session_begins(run) && lacked_space(f))
        cannot_begin(f);
    else if (run->settings->source.tls && !f->drained)
        died_with_tls(f, status, how, &error);
    else if (!applying_rest && flow_link_closed(f))
        died_with_link(f, status, how, &error);
    else
        schedule_restart(f, status, how);
}

void run_reap(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        int status;
        if (f->worker.pid <= 0 || waitpid(f->worker.pid, &status, WNOHANG) != f->worker.pid)
            continue;
        worker_process_drain(&f->worker);
        divergences_read_on(&run->divergences); /* what it had no time to tell */
        worker_process_forget(&f->worker);
        worker_died(f, status);
        f->hello &= flow_worker_alive(f);
    }
    comparison_reap(run);
    if (run->ending && run_workers_gone(run))
        event_base_loopbreak(run->base);
}

void run_restart_due(struct run *run, uint64_t now_ms)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct flow *f = &run->flows[i];
        if (f->kill_due_ms && now_ms >= f->kill_due_ms) {
            worker_process_kill(&f->worker);
            f->kill_due_ms = 0;
        }
        if (f->restart_due_ms && now_ms >= f->restart_due_ms && !flow_worker_alive(f) && !f->failed) {
            f->restart_due_ms = 0;
            restart_worker(f);
        }
    }
}
