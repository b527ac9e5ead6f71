/* Sets up a run, connects it with supervisor/observe and supervisor/service, runs the event loop, frees everything.
 *
 * The callbacks of a run post events (run/run.c). perform_next() takes them one by one through the session's table, and
 * performs the action. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/config/options.h"
#include "supervisor/cutover/cutover.h"
#include "supervisor/observe/control.h"
#include "supervisor/observe/progress.h"
#include "supervisor/observe/settings_document.h"
#include "supervisor/observe/status_document.h"
#include "supervisor/run/run.h"
#include "supervisor/service/daemon.h"
#include "supervisor/service/operator.h"
#include "supervisor/service/terminal.h"

static void perform_next(struct run *run)
{
    enum session_event event = run->queue[0];
    run->queued--;
    memmove(run->queue, run->queue + 1, run->queued * sizeof *run->queue);
    enum session_state before = run->session.state;
    enum session_action action = session_step(&run->session, event);
    if (before != run->session.state)
        run->state_ms = clock_monotonic_ms();
    if (action == ACTION_FORBIDDEN) {
        run->session.permit = PHASE_NONE;
        error_fatal(&run->cause, EX_SOFTWARE,
                    "unexpected event %s in state %s: please report this; no command was sent to the source",
                    session_event_name(event), session_state_name(before));
        action = ACTION_FAIL;
    }
    run_perform(run, action);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct run *run = arg;
    while (run->queued)
        perform_next(run);
}

static void end_at_once(struct run *run)
{
    log_warning(
        "stopped immediately: received but unapplied data stays in the spools; start the run again to "
        "resume from there, or to start over if the copy was not complete");
    for (uint32_t i = 0; i < run->flow_count; i++)
        worker_process_kill(&run->flows[i].worker);
    run->ending = true;
    run->exit_code = EX_TEMPFAIL;
    event_base_loopbreak(run->base);
}

static void on_stop_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct run *run = arg;
    bool again = run->signalled;
    log_info("%s received%s", fd == SIGINT ? "SIGINT" : "SIGTERM",
             again ? " again" : ": stopping; once more ends it at once");
    run->signalled = true;
    if (again)
        end_at_once(run);
    else
        run_stop(run);
}

static void on_suspend(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    log_info("Ctrl-Z: the run goes on in the background; fg brings it back, df2redis stop ends it");
    terminal_leave();
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    run_reap(arg);
}

static bool add_signal(struct run *run, size_t index, int number, event_callback_fn callback)
{
    run->signals[index] = evsignal_new(run->base, number, callback, run);
    return run->signals[index] && event_add(run->signals[index], NULL) == 0;
}

/* Writes 40 random hex digits, the name of this replica in the master's list. */
static void make_client_id(char out[41])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[20] = {0};
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        log_debug("no random bytes for the client id");
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[40] = '\0';
}

/* By default libevent writes to standard error, which may block. */
static void on_libevent_log(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN)
        log_warning("libevent: %s", text);
}

static struct event_base *make_base(void)
{
    event_set_log_callback(on_libevent_log);
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void on_control_stop(void *arg)
{
    log_info("asked to stop over the control socket");
    run_stop(arg);
}

static cJSON *on_control_settings(void *arg)
{
    return settings_document(arg);
}

static cJSON *on_control_status(void *arg)
{
    return run_status(arg);
}

static void on_target_done(const struct capabilities *capabilities, void *arg)
{
    struct run *run = arg;
    struct error error = {0};
    run->target = *capabilities;
    const struct target_marks *marks = target_marks_found(run->target_job);
    static const char *const kinds[] = {"Redis", "Valkey", "server"};
    char cluster[48] = "";
    if (capabilities->cluster)
        snprintf(cluster, sizeof cluster, "a cluster of %zu master%s, ", target_nodes(run->target_job),
                 target_nodes(run->target_job) == 1 ? "" : "s");
    log_info("target %s: %s%s %s, %llu key%s", run->target_name, cluster, kinds[capabilities->kind],
             *capabilities->version_text ? capabilities->version_text : "of unknown version",
             (unsigned long long)capabilities->keys, capabilities->keys == 1 ? "" : "s");
    uint64_t keys = target_keys_found(run->target_job);
    if (!run_find_on_target(run, keys && run->settings->flush_target)) {
        run->refused = true;
        run_post(run, EVENT_TARGET_READY);
        return;
    }
    bool goes_on = run_resume_earlier(run, marks);
    run_watch_target(run, goes_on);
    if (goes_on) {
        daemon_tell_ready();
        return;
    }
    if (!run_may_begin(run, keys, marks, &error)) {
        run_fatal(run, &error);
        return;
    }
    daemon_tell_ready();
    run_post(run, EVENT_TARGET_READY);
}

static void on_target_failed(const struct error *error, void *arg)
{
    run_fatal(arg, error);
}

static bool probe_target(struct run *run, struct error *error)
{
    if (run->settings->target.null_sink) {
        log_info("target %s: everything is thrown away", run->target_name);
        daemon_tell_ready();
        run_post(run, EVENT_TARGET_READY);
        return true;
    }
    struct target_callbacks callbacks = {.arg = run, .done = on_target_done, .failed = on_target_failed};
    run->target_job =
        target_start(run->base, run->settings, TARGET_ASK, 0, &run->target_nodes, &callbacks, error);
    return run->target_job != NULL;
}

static void on_tick(struct run *run, uint64_t now_ms)
{
    operation_turn(run->operation, now_ms);
    if (!run->ending)
        progress_redraw();
}

static bool set_up(struct run *run, struct error *error)
{
    if (!state_dir_open(&run->dir, run->settings, error))
        return false;
    char *log_path = state_dir_file(run->settings, "divergences.log");
    bool ok = divergences_init(&run->divergences, log_path, error);
    free(log_path);
    run->worker_path = ok ? worker_process_find(error) : NULL;
    run->base = run->worker_path ? make_base() : NULL;
    if (!ok || !run->worker_path)
        return false;
    run_flow_context_init(run);
    comparison_init(run);
    run->observer =
        (struct run_observer){.tick = on_tick, .shows_progress = progress_active, .summarize = run_summary};
    if (run->base)
        run->pump = event_new(run->base, -1, 0, on_pump, run);
    if (!run->pump || !add_signal(run, 0, SIGINT, on_stop_signal) ||
        !add_signal(run, 1, SIGTERM, on_stop_signal) || !add_signal(run, 2, SIGCHLD, on_child) ||
        !add_signal(run, 3, SIGTSTP, on_suspend) || !run_watch_start(run))
        return error_fatal(error, EX_OSERR, "cannot set up the event loop: %s", strerror(errno));
    run->cutover = cutover_new(run);
    if (!run->cutover || !cutover_may_run(run->cutover, error))
        return false;
    struct control_callbacks callbacks = {.arg = run,
                                          .status = on_control_status,
                                          .settings = on_control_settings,
                                          .stop = on_control_stop,
                                          .cutover = run->cutover};
    run->control = control_open(run->base, run->dir.path, &callbacks, error);
    if (!run->control)
        return false;
    run->operation = operation_start(run, error);
    if (!run->operation)
        return false;
    progress_start(run);
    return probe_target(run, error);
}

/* Kills the workers that are left, however the loop ended. */
static void end_workers(struct run *run)
{
    for (uint32_t i = 0; i < run->flow_count; i++) {
        struct worker_process *w = &run->flows[i].worker;
        if (w->pid <= 0)
            continue;
        worker_process_kill(w);
        while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        worker_process_forget(w);
    }
}

static void tear_down(struct run *run)
{
    end_workers(run);
    comparison_free(run);
    progress_stop(run);
    run_close_source(run);
    run_free_flows(run);
    target_watch_free(run->target_watch);
    target_free(run->target_job);
    topology_free(&run->target_nodes);
    operation_stop(run->operation);
    control_ended(run->control, run->exit_code);
    cutover_free(run->cutover);
    run_watch_stop(run);
    for (size_t i = 0; i < sizeof run->signals / sizeof *run->signals; i++)
        if (run->signals[i])
            event_free(run->signals[i]);
    if (run->retry)
        event_free(run->retry);
    if (run->pump)
        event_free(run->pump);
    if (run->base)
        event_base_free(run->base);
    divergences_free(&run->divergences);
    free(run->resume);
    addresses_free(&run->addresses);
    uri_free(&run->source_uri);
    free(run->beyond);
    free(run->beyond_lsns);
    free(run->drain.lsns);
    free(run->final_lsns);
    findings_free(&run->findings);
    free(run->worker_path);
    state_dir_close(&run->dir);
}

int supervisor_run(struct options *options)
{
    const struct settings *settings = &options->settings;
    struct run run = {.options = options, .settings = settings, .dir.lock_fd = -1, .role_changes = -1};
    struct error error = {0};
    session_init(&run.session);
    addresses_init(&run.addresses, settings);
    addresses_display(&run.addresses, run.source_list, sizeof run.source_list);
    uri_display(&settings->source, run.source_name, sizeof run.source_name);
    uri_display(&settings->target, run.target_name, sizeof run.target_name);
    make_client_id(run.client_id);
    run.started_unix_ms = clock_unix_ms();
    run.started_ms = run.state_ms = clock_monotonic_ms();
    signal(SIGPIPE, SIG_IGN);
    /* A background job of a terminal is not stopped by them. */
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    log_info("%s %s → %s, run \"%s\"", settings->migrate ? "migrate" : "replicate", run.source_list,
             run.target_name, settings->name);
    if (set_up(&run, &error)) {
        event_base_dispatch(run.base);
        run_watch_stop(&run);
        cutover_conclude(run.cutover);
    } else {
        log_error("%s", error.text);
        run.exit_code = error.exit_code ? error.exit_code : EX_UNAVAILABLE;
    }
    int exit_code = run.exit_code;
    daemon_tell_failed(exit_code, error.text[0] ? error.text : run.cause.text);
    tear_down(&run);
    return exit_code;
}
