/* The command: one worker, its reports, and the run that it works beside, asked once a second for its session. */
#include "supervisor/verify/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ipc/verify_report.h"
#include "supervisor/flow/worker_process.h"
#include "supervisor/state/state_dir.h"
#include "supervisor/verify/subject.h"
#include "supervisor/verify/verify_print.h"

enum { ASK_S = 1, SILENCE_MS = 10000, RATE_MS = 1000, PPM = 1000000 };

struct verification {
    const struct options *options;
    struct subject subject;
    struct event_base *base;
    struct event *signals[3], *ask;
    struct worker_process worker;
    struct verify_report report;
    bool has_report, interrupted, draws, drawn;
    uint64_t answered_ms; /* when the run answered last */
    uint64_t rate, rate_ms, rate_scanned;
    struct error error;
    int lock_fd;
};

/* ---- the display ---- */

static void erase(struct verification *v)
{
    if (v->drawn)
        fputs("\r\033[K", stderr);
    v->drawn = false;
}

static void draw(struct verification *v)
{
    char line[512];
    struct winsize size;
    size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    if (!v->draws || v->interrupted)
        return;
    erase(v);
    verify_format_progress(&v->report, v->rate, columns - 1, line, sizeof line);
    fputs(line, stderr);
    v->drawn = true;
}

static void note_rate(struct verification *v)
{
    uint64_t spent = v->report.spent_ms - v->rate_ms;
    if (spent < RATE_MS)
        return;
    v->rate = (v->report.scanned - v->rate_scanned) * 1000 / spent;
    v->rate_ms = v->report.spent_ms;
    v->rate_scanned = v->report.scanned;
}

/* ---- the worker ---- */

static void on_message(struct worker_process *w, struct message *m, void *arg)
{
    struct verification *v = arg;
    (void)w;
    switch (m->type) {
    case MESSAGE_HELLO:
        if (m->hello.version != MESSAGE_VERSION)
            error_fatal(&v->error, EX_SOFTWARE,
                        "df2redis-worker is of another version: install both programs together");
        return;
    case MESSAGE_VERIFY_REPORT:
        if (!verify_report_decode(&v->report, buf_slice(&m->verify_report.report)))
            return;
        v->has_report = true;
        note_rate(v);
        draw(v);
        return;
    case MESSAGE_FAILED:
        error_fatal(&v->error, m->failed.exit_code ? (int)m->failed.exit_code : EX_UNAVAILABLE, "%s",
                    m->failed.text);
        return;
    default:
        log_warning("unexpected message %s from the worker: ignored", message_name(m->type));
    }
}

static void on_log(struct slice lines, void *arg)
{
    struct verification *v = arg;
    erase(v);
    fwrite(lines.data, 1, lines.len, stderr);
    draw(v);
}

static void describe_order(const struct verification *v, bool whole, struct message *m)
{
    const struct options *o = v->options;
    *m = (struct message){.type = MESSAGE_VERIFY, .fd = -1};
    m->verify.active = v->subject.beside_run;
    m->verify.session = v->subject.session;
    m->verify.flow_count = v->subject.flow_count;
    memcpy(m->verify.master_id, v->subject.master_id, sizeof m->verify.master_id);
    m->verify.repair = o->repair;
    m->verify.again = o->restart;
    m->verify.sample_ppm = o->sample_ppm ? o->sample_ppm : PPM;
    m->verify.keys_per_second = o->keys_per_second;
    if (whole)
        settings_encode(&v->subject.settings, &m->verify.settings);
}

static bool send_order(struct verification *v, bool whole)
{
    struct message m;
    describe_order(v, whole, &m);
    bool ok = worker_process_send(&v->worker, &m);
    message_free(&m);
    return ok;
}

static bool start_worker(struct verification *v, struct error *error)
{
    char *path = worker_process_find(error);
    worker_process_init(&v->worker);
    v->worker.on_message = on_message;
    v->worker.on_log = on_log;
    v->worker.arg = v;
    bool ok = path && worker_process_start_as(&v->worker, v->base, path, "verify", error);
    free(path);
    return ok && (send_order(v, true) || error_fatal(error, EX_OSERR, "the worker does not take its order"));
}

/* ---- events ---- */

static void on_child(evutil_socket_t fd, short what, void *arg)
{
    struct verification *v = arg;
    int status;
    (void)fd, (void)what;
    if (v->worker.pid <= 0 || waitpid(v->worker.pid, &status, WNOHANG) != v->worker.pid)
        return;
    worker_process_drain(&v->worker);
    worker_process_forget(&v->worker);
    if (!v->error.class && !v->interrupted && v->report.phase != VERIFY_ENDED)
        error_fatal(&v->error, EX_SOFTWARE, "the worker ended (%s %d): the same command goes on from there",
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    event_base_loopbreak(v->base);
}

static void on_interrupt(evutil_socket_t fd, short what, void *arg)
{
    struct verification *v = arg;
    (void)fd, (void)what;
    erase(v);
    v->interrupted = true;
    worker_process_kill(&v->worker);
}

static void on_ask(evutil_socket_t fd, short what, void *arg)
{
    struct verification *v = arg;
    bool changed;
    (void)fd, (void)what;
    if (!v->subject.beside_run)
        return;
    if (subject_refresh(&v->subject, &changed)) {
        v->answered_ms = clock_monotonic_ms();
        if (changed)
            send_order(v, false);
    } else if (!v->error.class && clock_monotonic_ms() - v->answered_ms > SILENCE_MS) {
        error_fatal(&v->error, EX_UNAVAILABLE,
                    "the run %s has ended, or does not answer: start it again; the same command then goes on "
                    "from here",
                    v->subject.settings.name);
        v->interrupted = true;
        worker_process_kill(&v->worker);
    }
}

static bool add_signal(struct verification *v, size_t place, int number, event_callback_fn on)
{
    v->signals[place] = evsignal_new(v->base, number, on, v);
    return v->signals[place] && event_add(v->signals[place], NULL) == 0;
}

static bool set_up(struct verification *v, struct error *error)
{
    const struct timeval second = {ASK_S, 0};
    v->base = event_base_new();
    v->ask = v->base ? event_new(v->base, -1, EV_PERSIST, on_ask, v) : NULL;
    if (!v->ask || event_add(v->ask, &second) != 0 || !add_signal(v, 0, SIGINT, on_interrupt) ||
        !add_signal(v, 1, SIGTERM, on_interrupt) || !add_signal(v, 2, SIGCHLD, on_child))
        return error_fatal(error, EX_OSERR, "cannot set up the event loop: %s", strerror(errno));
    return true;
}

/* Held as long as this process lives. */
static bool take_lock(struct verification *v, struct error *error)
{
    if (state_dir_lock(&v->subject.settings, "verify.lock", &v->lock_fd, error))
        return true;
    if (error->exit_code == EX_TEMPFAIL)
        error_fatal(
            error, EX_TEMPFAIL,
            "another df2redis verify of %s is active, or the run itself compares all keys: wait for its "
            "end; df2redis status shows how far it is",
            v->subject.settings.name);
    return false;
}

static void tear_down(struct verification *v)
{
    if (v->worker.pid > 0) {
        worker_process_kill(&v->worker);
        while (waitpid(v->worker.pid, NULL, 0) < 0 && errno == EINTR)
            ;
        worker_process_forget(&v->worker);
    }
    for (size_t i = 0; i < sizeof v->signals / sizeof *v->signals; i++)
        if (v->signals[i])
            event_free(v->signals[i]);
    if (v->ask)
        event_free(v->ask);
    if (v->base)
        event_base_free(v->base);
    if (v->lock_fd >= 0)
        close(v->lock_fd);
    subject_free(&v->subject);
}

static int tell_end(struct verification *v)
{
    char source[256], target[256];
    char *log_path = state_dir_file(&v->subject.settings, "differences.log");
    struct verify_print with = {.name = v->subject.settings.name,
                                .source = source,
                                .target = target,
                                .log_path = log_path,
                                .interrupted = v->report.phase != VERIFY_ENDED};
    uri_display(&v->subject.settings.source, source, sizeof source);
    uri_display(&v->subject.settings.target, target, sizeof target);
    erase(v);
    if (v->has_report && v->options->json)
        verify_print_json(&v->report, &with, stdout);
    else if (v->has_report)
        verify_print_report(&v->report, &with, stdout);
    free(log_path);
    if (v->error.class) {
        fflush(stdout);
        fprintf(stderr, "df2redis: %s\n", v->error.text);
        return v->error.exit_code ? v->error.exit_code : EX_UNAVAILABLE;
    }
    return v->report.phase == VERIFY_ENDED ? (int)v->report.exit_code : EX_TEMPFAIL;
}

int verify_command(const struct options *options)
{
    struct verification v = {.options = options, .lock_fd = -1, .answered_ms = clock_monotonic_ms()};
    int code;
    worker_process_init(&v.worker);
    signal(SIGPIPE, SIG_IGN);
    v.draws = isatty(STDERR_FILENO) && !options->json && !options->settings.progress_off;
    if (subject_find(&v.subject, options, &v.error) && take_lock(&v, &v.error) && set_up(&v, &v.error) &&
        start_worker(&v, &v.error)) {
        event_base_dispatch(v.base);
        code = tell_end(&v);
    } else {
        fprintf(stderr, "df2redis: %s\n", v.error.text);
        code = v.error.exit_code ? v.error.exit_code : EX_UNAVAILABLE;
    }
    tear_down(&v);
    return code;
}
