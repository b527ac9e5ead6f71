/* The service manager's messages, the HTTP port, and SIGHUP:
 *
 *   the log is reopened and the configuration read again; settings that can change during a run take effect in the
 *   supervisor, and by RECONFIGURE in the workers; the others are logged and need a restart. */
#include "supervisor/service/operator.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/landlock.h"
#include "common/base/size_text.h"
#include "common/log/log.h"
#include "supervisor/config/options.h"
#include "supervisor/log/log_output.h"
#include "supervisor/observe/http.h"
#include "supervisor/observe/status_document.h"
#include "supervisor/run/run.h"
#include "supervisor/run/totals.h"
#include "supervisor/service/notify.h"

enum { MAX_SETTINGS = 128, STATUS_MS = 1000 };

struct operation {
    struct run *run;
    struct notify notify;
    struct http *http;
    struct event *hangup;
    uint64_t told_ms;
};

/* The supervisor reads these at each use; workers take theirs from RECONFIGURE. */
static const char *const live[] = {
    "log-level",     "log-format",      "max-rate",      "spool-limit",  "on-spool-full",
    "stuck-warning", "barrier-timeout", "restart-limit", "failed-flows", NULL};

static bool is_live(const char *name)
{
    for (const char *const *l = live; *l; l++)
        if (strcmp(*l, name) == 0)
            return true;
    return false;
}

static void add_name(struct buf *list, const char *name)
{
    buf_printf(list, "%s%s", list->len ? ", " : "", name);
}

static void tell_workers(struct run *run)
{
    struct message m = {.type = MESSAGE_RECONFIGURE, .fd = -1};
    settings_encode(run->settings, &m.reconfigure.settings);
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (flow_worker_alive(&run->flows[i]))
            worker_process_send(&run->flows[i].worker, &m);
    message_free(&m);
}

static void apply_settings(struct run *run, const struct settings *fresh)
{
    struct options *o = run->options;
    const char *names[MAX_SETTINGS];
    struct buf changed = {0}, waiting = {0};
    size_t n = settings_differences(&o->given, fresh, names, MAX_SETTINGS);
    for (size_t i = 0; i < n; i++) {
        add_name(is_live(names[i]) ? &changed : &waiting, names[i]);
        if (!is_live(names[i]))
            continue;
        settings_copy_number(&o->given, fresh, names[i]);
        settings_copy_number(&o->settings, fresh, names[i]);
    }
    if (changed.len) {
        log_setup(o->settings.log_level, o->settings.log_format);
        tell_workers(run);
        log_info("changed: %.*s", (int)changed.len, (const char *)changed.data);
    }
    if (waiting.len)
        log_warning("changed in %s, effective after a restart: %.*s", o->config.path, (int)waiting.len,
                    (const char *)waiting.data);
    if (n == 0)
        log_info("configuration %s read again: nothing has changed", o->config.path);
    buf_free(&changed);
    buf_free(&waiting);
}

static void reload_settings(struct run *run)
{
    struct error error = {0};
    struct settings fresh;
    log_output_reopen();
    log_info("SIGHUP received: %s",
             run->options->config.path ? "reading the configuration again" : "logs are reopened");
    if (!run->options->config.path)
        return;
    if (config_build(&run->options->config, &fresh, &error) && settings_check(&fresh, &error)) {
        fresh.migrate = run->options->given.migrate;
        apply_settings(run, &fresh);
    } else {
        log_error("%s; the settings stay as they were", error.text);
    }
    settings_free(&fresh);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct operation *o = arg;
    struct run *run = o->run;
    if (!run->options->config.path && !log_output_elsewhere() && !run->settings->daemon) {
        log_info("SIGHUP received, without a configuration or log file to read again: stopping");
        run_stop(run);
        return;
    }
    notify_reloading(&o->notify);
    reload_settings(run);
    notify_reloaded(&o->notify);
}

/* A SIGHUP ignored by nohup(1) stays ignored if there is nothing to reload. */
static bool listen_for_hangup(struct operation *o)
{
    struct sigaction before;
    const struct options *options = o->run->options;
    bool ignored = sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_IGN;
    if (ignored && !options->config.path && !log_output_elsewhere())
        return true;
    o->hangup = evsignal_new(o->run->base, SIGHUP, on_hangup, o);
    return o->hangup && event_add(o->hangup, NULL) == 0;
}

static cJSON *on_status(void *arg)
{
    struct operation *o = arg;
    return run_status(o->run);
}

static void tell_confinement(const struct settings *settings)
{
    int version = landlock_version();
    if (!settings->confine)
        log_info("workers are not confined (--confine off)");
    else if (!version)
        log_warning(
            "this kernel has no Landlock: the workers' system calls are confined, their files are not");
    else
        log_debug("workers are confined by Landlock (version %d) and a filter of system calls", version);
}

struct operation *operation_start(struct run *run, struct error *error)
{
    struct operation *o = x_calloc(1, sizeof *o);
    struct http_callbacks callbacks = {.arg = o, .status = on_status};
    const char *address = run->settings->metrics;
    o->run = run;
    notify_open(&o->notify);
    tell_confinement(run->settings);
    bool ok = true;
    if (address) {
        o->http = http_open(run->base, run->settings, &callbacks, error);
        ok = o->http != NULL;
    }
    if (ok && !listen_for_hangup(o))
        ok = error_fatal(error, EX_OSERR, "cannot listen for SIGHUP");
    if (!ok) {
        operation_stop(o);
        return NULL;
    }
    if (address)
        log_info("http://%s/ shows this run; /metrics is for Prometheus", http_listens_on(o->http));
    return o;
}

static void describe_run(struct run *run, uint64_t now_ms, char *out, size_t bytes)
{
    struct totals t;
    totals_of(run, now_ms, &t);
    const char *phase = session_phase_name(run->session.state);
    if (run->session.state == SESSION_FULL_SYNC)
        snprintf(out, bytes, "%s: %u of %u snapshots complete, %llu keys, %s/s", phase,
                 run->snapshots_done.count, run->flow_count, (unsigned long long)t.keys,
                 size_text(t.rate_bytes));
    else if (run->session.state == SESSION_WAITING)
        snprintf(out, bytes, "waiting to try again: %.120s", run->cause.text);
    else if (run->flow_count)
        snprintf(out, bytes, "%s, %s%s: %u FLOWs, lag %s, %.1f s, %s/s", phase,
                 run_in_step(run, NULL, NULL, 0) ? "in step" : "not in step",
                 run_failed_flows(run) ? ", degraded" : "", run->flow_count, size_text(t.lag_bytes),
                 (double)t.oldest_waiting_ms / 1000.0, size_text(t.rate_bytes));
    else
        snprintf(out, bytes, "%s", phase);
}

void operation_turn(struct operation *o, uint64_t now_ms)
{
    char text[NOTIFY_TEXT_BYTES];
    struct run *run = o->run;
    log_output_turn();
    if (o->notify.fd < 0)
        return;
    if (run->ending || run->stop_requested)
        notify_stopping(&o->notify);
    bool news = now_ms - o->told_ms >= STATUS_MS;
    if (news) {
        o->told_ms = now_ms;
        describe_run(run, now_ms, text, sizeof text);
    }
    notify_turn(&o->notify, now_ms, run_in_step(run, NULL, NULL, 0), news ? text : o->notify.status);
}

void operation_stop(struct operation *o)
{
    if (!o)
        return;
    /* A completed migration was ready, too. */
    if (o->run->stable_before && o->run->exit_code == EX_OK)
        notify_ready(&o->notify);
    notify_stopping(&o->notify);
    notify_close(&o->notify);
    http_close(o->http);
    if (o->hangup)
        event_free(o->hangup);
    free(o);
}
