/* The life of a verification: the order, ticks, reports to the command, the end. */
#include "worker/verifier/verifier.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "worker/verifier/verifier_internal.h"

enum {
    TICK_MS = 2,        /* while a comparison may wait for the FLOWs */
    TELL_MS = 250,      /* between reports to the command */
    SAVE_MS = 1000,     /* between savings of the position */
    TROUBLE_MS = 60000, /* without any connection, before it gives up */
};

/* A full socket (MESSAGE_AGAIN) is no harm: a later report follows. */
static enum message_status tell_report(struct verifier *v)
{
    struct message m = {.type = MESSAGE_VERIFY_REPORT, .fd = -1};
    struct error error;
    v->report.pending = doubts_count(v->doubts);
    verify_report_encode(&v->report, &m.verify_report.report);
    enum message_status status = message_send(v->channel, &m, &error);
    message_free(&m);
    return status;
}

/* The last one has to arrive. */
static void tell_last_report(struct verifier *v)
{
    struct pollfd room = {v->channel, POLLOUT, 0};
    while (tell_report(v) == MESSAGE_AGAIN)
        poll(&room, 1, -1);
}

static void tell_failed(struct verifier *v, const struct error *error)
{
    struct message m = {.type = MESSAGE_FAILED, .fd = -1};
    struct error ignored;
    m.failed.class = error->class;
    m.failed.exit_code = (uint32_t)error->exit_code;
    snprintf(m.failed.text, sizeof m.failed.text, "%s", error->text);
    message_send(v->channel, &m, &ignored);
    v->exit_code = error->exit_code ? error->exit_code : EX_SOFTWARE;
}

static void verifier_fail(struct verifier *v, const struct error *error)
{
    if (v->position.phase)
        saved_store(v);
    tell_failed(v, error);
    event_base_loopbreak(v->base);
}

static void verifier_finish(struct verifier *v)
{
    v->report.phase = VERIFY_ENDED;
    v->report.exit_code = (uint64_t)outcome_exit_code(v);
    v->report.trouble[0] = '\0';
    v->exit_code = (int)v->report.exit_code;
    saved_remove(v);
    saved_store_report(v);
    tell_last_report(v);
    event_base_loopbreak(v->base);
}

static void note_time(struct verifier *v, uint64_t now)
{
    v->report.spent_ms += now - v->turned_ms;
    v->turned_ms = now;
}

static void turn(struct verifier *v)
{
    uint64_t now = clock_monotonic_ms();
    note_time(v, now);
    course_turn(v, now);
    if (v->trouble.class == ERROR_FATAL) {
        struct error why = v->trouble;
        verifier_fail(v, &why);
        return;
    }
    if (v->trouble_since_ms && now - v->trouble_since_ms > TROUBLE_MS) {
        struct error why;
        error_fatal(&why, EX_UNAVAILABLE, "%s; the same command goes on from here", v->report.trouble);
        verifier_fail(v, &why);
        return;
    }
    if (v->course_over && !doubts_count(v->doubts) && v->exact && !exact_is_busy(v->exact)) {
        verifier_finish(v);
        return;
    }
    if (now - v->told_ms >= TELL_MS) {
        v->told_ms = now;
        tell_report(v);
        v->host->turn();
    }
    if (now - v->saved_ms >= SAVE_MS && v->position.phase) {
        v->saved_ms = now;
        saved_store(v);
        saved_store_report(v);
    }
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    turn(arg);
}

/* ---- messages ---- */

/* The session of the run; cursors of another number of FLOWs are others. */
static void note_session(struct verifier *v, const struct message *m)
{
    if (!m->verify.active)
        return;
    if (v->exact)
        exact_rest(v->exact);
    if (!v->cursors || v->flow_count != m->verify.flow_count) {
        flow_cursors_free(v->cursors);
        v->cursors = flow_cursors_new(v->directory, m->verify.flow_count);
    }
    v->session = m->verify.session;
    v->flow_count = m->verify.flow_count;
    memcpy(v->master_id, m->verify.master_id, sizeof v->master_id);
}

static void on_channel(evutil_socket_t fd, short what, void *arg)
{
    struct verifier *v = arg;
    struct message m;
    struct error error;
    enum message_status status;
    (void)what;
    while ((status = message_receive(fd, &m, &error)) == MESSAGE_OK) {
        if (m.type == MESSAGE_VERIFY)
            note_session(v, &m);
        message_free(&m);
    }
    if (status != MESSAGE_AGAIN) {
        v->exit_code = EX_SOFTWARE;
        event_base_loopbreak(v->base);
    }
}

/* ---- start and end ---- */

static bool take_order(struct verifier *v, const struct message *order, struct error *error)
{
    settings_init(&v->settings);
    if (!settings_decode(&v->settings, buf_slice(&order->verify.settings), error))
        return false;
    log_setup(v->settings.log_level, v->settings.log_format);
    snprintf(v->directory, sizeof v->directory, "%s/%s", v->settings.state_dir, v->settings.name);
    snprintf(v->client_name, sizeof v->client_name, "df2redis:%s:verify", v->settings.name);
    v->beside_run = order->verify.active;
    v->repair = order->verify.repair;
    v->by_run = order->verify.by_run;
    v->source_only = order->verify.source_only;
    v->sample_ppm = order->verify.sample_ppm;
    v->keys_per_second = order->verify.keys_per_second;
    note_session(v, order);
    return !v->settings.confine || v->host->confine(&v->settings, v->directory, error);
}

static void tell_hello(struct verifier *v)
{
    struct message hello = {.type = MESSAGE_HELLO, .fd = -1};
    struct error ignored;
    hello.hello.version = MESSAGE_VERSION;
    hello.hello.pid = (uint32_t)getpid();
    message_send(v->channel, &hello, &ignored);
}

static bool begin_or_go_on(struct verifier *v, bool again, struct error *error)
{
    uint64_t log_length = 0;
    v->doubts = doubts_new();
    v->scratch = digest_scratch_new();
    if (again)
        saved_remove(v);
    else if (saved_load(v, &log_length))
        log_info("the verification goes on where an earlier one was broken off");
    if (!v->report.begun_unix_ms)
        v->report.begun_unix_ms = (uint64_t)clock_unix_ms();
    v->report.exact = v->beside_run;
    v->report.repair = v->repair;
    v->report.sample_ppm = v->sample_ppm;
    v->course_over = v->position.phase == VERIFY_DOUBTFUL_KEYS;
    return outcome_open_log(v, log_length, error);
}

static void verifier_free(struct verifier *v)
{
    course_rest(v);
    flow_cursors_free(v->cursors);
    doubts_free(v->doubts);
    hash_set_free(&v->large);
    hash_set_free(&v->reported);
    digest_scratch_free(v->scratch);
    free(v->legs);
    if (v->log >= 0)
        close(v->log);
    settings_free(&v->settings);
    free(v);
}

int verifier_run(int channel, const struct message *order, const struct verifier_host *host)
{
    struct verifier *v = x_calloc(1, sizeof *v);
    const struct timeval tick = {0, TICK_MS * 1000};
    struct error error = {0};
    v->host = host;
    v->channel = channel;
    v->log = -1;
    v->base = event_base_new();
    v->turned_ms = clock_monotonic_ms();
    v->tick = event_new(v->base, -1, EV_PERSIST, on_turn, v);
    v->soon = event_new(v->base, -1, 0, on_turn, v);
    struct event *messages = event_new(v->base, channel, EV_READ | EV_PERSIST, on_channel, v);
    tell_hello(v);
    if (take_order(v, order, &error) && begin_or_go_on(v, order->verify.again, &error)) {
        event_add(v->tick, &tick);
        event_add(messages, NULL);
        event_base_dispatch(v->base);
    } else {
        tell_failed(v, &error);
    }
    int code = v->exit_code;
    struct event_base *base = v->base;
    event_free(v->tick);
    event_free(v->soon);
    event_free(messages);
    verifier_free(v);
    event_base_free(base);
    return code;
}
