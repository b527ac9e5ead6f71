/* The worker: sets up its parts, connects them by callbacks, and handles the supervisor's messages. */
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/client.h"
#include "worker/cluster/members.h"
#include "worker/confine.h"
#include "worker/log_pipe.h"
#include "worker/pipeline/report.h"
#include "worker/source/received.h"
#include "worker/translate/left_out.h"

enum {
    TICK_MS = 100,
    IDLE_MARK_MS = 10000,
    BORROW_FROM_BYTES = 128 * 1024,
    DEADLINES_PART = 8,
    GROUP_ELEMENTS = 512,
    GROUP_BYTES = 128 * 1024
};

static void begin_drain(struct worker *w)
{
    drain_begin(&w->pipeline.drain);
    w->pipeline.commit.last_mark_sent = false;
    flow_wake(w->flow);
}

/* Only a new connection is an import source, or none any more. */
static void connect_anew(struct worker *w)
{
    struct error why;
    if (!w->flow->ready)
        return;
    w->flow->connect_anew = false;
    error_set(&why, ERROR_RETRY, "its import mode has changed: connecting anew");
    router_reset(w->router, &why);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct worker *w = arg;
    /* Also without once commands, so that the target has a recent mark. */
    bool due = clock_monotonic_ms() - w->pipeline.commit.marked_at_ms >= 1000 &&
               w->pipeline.commit.sent_marked_seq < decoder_seq(w->flow->decoder);
    /* While idle a mark checks that the target still has the previous one: another client may have emptied it. */
    bool idle_long = clock_monotonic_ms() - w->pipeline.commit.marked_at_ms >= IDLE_MARK_MS;
    if (w->flow->ready && w->source.opened && commit_marks_on(&w->pipeline.commit) &&
        (due || w->pipeline.commit.mark_wanted || idle_long) && w->flow->hold == HOLD_NONE &&
        round_empty(router_open(w->router)) && router_idle(w->router))
        commit_send(&w->pipeline.commit, true);
    source_tls_acknowledge(&w->source, false);
    source_update_lag(&w->source);
    pops_go_on(w->pops);
    log_turn();
    log_pipe_turn();
    flow_tell_logged(w->flow);
    cursor_set(&w->flow->cursor.marks->alive_ms, clock_monotonic_ms());
    if (w->flow->connect_anew)
        connect_anew(w);
    source_watch_full(&w->source);
    heal_go_on(w->heal);
    drain_put_off(&w->pipeline.drain);
    if (drain_is_due(&w->pipeline.drain))
        begin_drain(w);
    pump(&w->pipeline);
}

/* ---- the supervisor's messages ---- */

static void handle_message(struct worker *w, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_ENTER_STABLE:
        w->entered_stable = true;
        if (w->flow->decoder && decoder_in_journal(w->flow->decoder) && !w->flow->stable_reported) {
            w->flow->stable_reported = true;
            cursor_set(&w->flow->cursor.marks->phase, CURSOR_STABLE);
            flow_tell_simple(w->flow, MESSAGE_STABLE);
        }
        return;
    case MESSAGE_RUN_GLOBAL:
        if (flush_run(&w->pipeline.flush, m->global.txid, m->global.arrival))
            pump(&w->pipeline);
        return;
    case MESSAGE_PASS_GLOBAL:
        flush_pass(&w->pipeline.flush, m->global.txid, m->global.arrival, m->global.age_ms, m->global.unheld);
        return;
    case MESSAGE_DRAIN:
        drain_order(&w->pipeline.drain, m->drain.lsn);
        if (!heal_has_work(w->heal))
            begin_drain(w);
        return;
    case MESSAGE_CLOCK:
        w->flow->clock_told = true;
        w->flow->clock_told_ms = w->flow->target.clock_ahead_ms = m->clock.ahead_ms;
        w->flow->connect_anew |= m->clock.anew != 0;
        return;
    case MESSAGE_STOP:
        event_base_loopbreak(w->flow->base);
        return;
    case MESSAGE_RECONFIGURE: {
        struct settings fresh;
        struct error error;
        settings_init(&fresh);
        if (settings_decode(&fresh, buf_slice(&m->reconfigure.settings), &error)) {
            log_setup(fresh.log_level, fresh.log_format);
            w->flow->settings.max_rate_bytes = fresh.max_rate_bytes;
            w->flow->settings.spool_limit_bytes = fresh.spool_limit_bytes;
            w->flow->settings.on_spool_full = fresh.on_spool_full;
            spool_set_limit(w->spool, fresh.spool_limit_bytes);
            source_resume(&w->source);
        } else {
            log_error("changed settings from the supervisor are invalid: %s; the old ones stay in effect",
                      error.text);
        }
        settings_free(&fresh);
        return;
    }
    default:
        log_error("unexpected message %s from the supervisor: ignored", message_name(m->type));
    }
}

static void on_supervisor(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct worker *w = arg;
    struct message m;
    struct error error;
    for (;;) {
        enum message_status status = message_receive(fd, &m, &error);
        if (status == MESSAGE_AGAIN)
            return;
        if (status != MESSAGE_OK) {
            log_info("the supervisor has exited: exiting");
            w->flow->exit_code = EX_SOFTWARE;
            event_base_loopbreak(w->flow->base);
            return;
        }
        handle_message(w, &m);
        message_free(&m);
    }
}

/* ---- start ---- */

static bool read_start(struct worker *w, const struct message *start, struct error *error)
{
    settings_init(&w->flow->settings);
    if (!settings_decode(&w->flow->settings, buf_slice(&start->start.settings), error))
        return false;
    log_setup(w->flow->settings.log_level, w->flow->settings.log_format);
    w->flow->number = start->start.flow;
    w->flow->count = start->start.flow_count ? start->start.flow_count : 1;
    w->flow->session = start->start.session;
    memcpy(w->flow->master_id, start->start.master_id, sizeof w->flow->master_id);
    memcpy(w->flow->last_master_id, start->start.last_master_id, sizeof w->flow->last_master_id);
    memcpy(w->source.sync_id, start->start.sync_id, sizeof w->source.sync_id);
    memcpy(w->masters, start->start.masters, sizeof w->masters);
    w->source.tls_first_lsn = start->start.mode == START_PARTIAL ? start->start.first_lsn : 0;
    buf_put(&w->source.tls_asked, start->start.asked.data, start->start.asked.len);
    log_set_flow((int)w->flow->number);
    snprintf(w->flow->directory, sizeof w->flow->directory, "%s/%s", w->flow->settings.state_dir,
             w->flow->settings.name);
    snprintf(w->flow->mark_key, sizeof w->flow->mark_key, "df2redis:%s", w->flow->settings.name);
    snprintf(w->flow->mark_field, sizeof w->flow->mark_field, "flow-%u", w->flow->number);
    snprintf(w->flow->node_field, sizeof w->flow->node_field, "node-%u", w->flow->number);
    snprintf(w->flow->heal_name, sizeof w->flow->heal_name, "df2redis:%s:heal-%u", w->flow->settings.name,
             w->flow->number);
    snprintf(w->flow->client_name, sizeof w->flow->client_name, "df2redis:%s:flow-%u", w->flow->settings.name,
             w->flow->number);
    return true;
}

static bool open_files(struct worker *w, const struct message *start, struct error *error)
{
    bool resume = start->start.mode == START_RESUME;
    struct spool_config config = {
        .directory = w->flow->directory,
        .flow = w->flow->number,
        .ring_bytes = w->flow->settings.ring_bytes,
        .ring_max_bytes = UINT64_C(1) << 30,
        .limit_bytes = w->flow->settings.spool_limit_bytes,
        .session = w->flow->session,
    };
    uint64_t received;
    w->spool = w->source.spool = spool_open(&config, resume, error);
    if (!w->spool || !cursor_open(&w->flow->cursor, w->flow->directory, w->flow->number, !resume, error))
        return false;
    cursor_set(&w->flow->cursor.marks->session, w->flow->session);
    flow_open_reports(w->flow);
    w->history = history_open(w->flow->directory, w->flow->number, w->flow->session, resume, error);
    if (!w->history)
        return false;
    if (start->start.mode == START_FULL)
        history_set_target(w->history, "", "");
    w->flow->suspects =
        suspects_open(w->flow->directory, w->flow->number, start->start.mode == START_FULL, error);
    if (!w->flow->suspects)
        return false;
    w->left_out = left_out_open(w->flow->directory, w->flow->number, start->start.mode == START_FULL, error);
    if (!w->left_out)
        return false;
    w->pops = pops_new(w->flow, start->start.mode == START_FULL, error);
    if (!w->pops)
        return false;
    w->deadlines =
        deadlines_open(w->flow->directory, w->flow->number, w->flow->settings.ring_bytes / DEADLINES_PART,
                       start->start.mode == START_FULL, error);
    if (!w->deadlines)
        return false;
    if (!resume)
        deadlines_set_lost(w->deadlines, 0);
    flow_note_suspects(w->flow);
    cursor_set(&w->flow->cursor.marks->pid, (uint64_t)getpid());
    cursor_set(&w->flow->cursor.marks->alive_ms, clock_monotonic_ms());
    cursor_set(&w->flow->cursor.marks->in_contact, 0);
    cursor_set(&w->flow->cursor.marks->busy, 0);
    if (!resume)
        cursor_set(&w->flow->cursor.marks->phase, CURSOR_FULL_SYNC);
    if (w->flow->settings.migrate && w->flow->settings.marks &&
        cursor_get(&w->flow->cursor.marks->phase) == CURSOR_DRAINED) {
        w->pipeline.commit.unmarking = true;
        w->flow->settings.marks = false;
    }
    /* Bytes that the dead worker had read are in the spool; only their number is missing. */
    if (!resume || w->source.fd < 0)
        return true;
    if (!received_from_kernel(w->source.fd, &received))
        return error_set(error, ERROR_REDIRECT,
                         "the kernel does not report how much of FLOW %u was read; a full sync is needed",
                         w->flow->number);
    if (!spool_adopt(w->spool, received - start->start.received_base, error)) {
        error->class = ERROR_REDIRECT; /* not the spool of the dead worker: start over */
        return false;
    }
    source_waits_from(&w->source, cursor_get(&w->flow->cursor.marks->applied_offset));
    return true;
}

/* "FLOW:SEQ", or "SEQ" for every FLOW. */
static void read_test_hook(struct worker *w)
{
    const char *text = getenv("DF2REDIS_TEST_CRASH_AT_SEQ");
    uint64_t flow = w->flow->number;
    const char *colon = text ? strchr(text, ':') : NULL;
    if (colon && !slice_to_u64(slice_of(text, (size_t)(colon - text)), &flow))
        return;
    if (text && flow == w->flow->number)
        slice_to_u64(slice_str(colon ? colon + 1 : text), &w->pipeline.crash_at_seq);
}

/* Created before the connections: rounds are needed from the start. */
static void create_router(struct worker *w)
{
    struct link_config config = {.settings = &w->flow->settings,
                                 .mark_key = w->flow->mark_key,
                                 .mark_field = w->flow->mark_field,
                                 .node_field = w->flow->node_field,
                                 .client_name = w->flow->client_name};
    struct router_callbacks on = answers_callbacks(&w->pipeline);
    w->router = router_new(w->flow->base, &config, w->output, &on);
}

/* Call once the beginning of the FLOW is known. */
static void open_target(struct worker *w)
{
    struct router_session session = {.id = w->flow->session,
                                     .first_lsn = w->flow->decoder_config.first_lsn,
                                     .applied_seq = cursor_get(&w->flow->cursor.marks->applied_seq),
                                     .directory = w->flow->directory,
                                     .flow = w->flow->number,
                                     .masters = w->masters};
    struct buf record = {0};
    if (cursor_load_record(&w->flow->cursor, &record) && record.len >= sizeof session.marked_seq)
        memcpy(&session.marked_seq, record.data, sizeof session.marked_seq);
    buf_free(&record);
    memcpy(session.master_id, w->flow->master_id, sizeof session.master_id);
    memcpy(session.last_master_id, w->flow->last_master_id, sizeof session.last_master_id);
    router_start(w->router, &session);
}

static void on_begun(void *arg)
{
    open_target(arg);
}

static void on_received(void *arg)
{
    struct worker *w = arg;
    pump(&w->pipeline);
}

static bool create_verifiers(struct worker *w, bool fresh, struct error *error)
{
    w->expiry = expiry_new(w->flow, &w->pipeline.translator, w->router, w->deadlines);
    struct heal_config with = {.flow = w->flow,
                               .router = w->router,
                               .translator = &w->pipeline.translator,
                               .expiry = w->expiry,
                               .pops = w->pops};
    w->heal = heal_new(&with, fresh, error);
    return w->heal != NULL;
}

static void create_pipeline(struct worker *w)
{
    struct pipeline *p = &w->pipeline;
    p->flow = w->flow;
    p->source = &w->source;
    p->spool = w->spool;
    p->router = w->router;
    p->output = w->output;
    p->expiry = w->expiry;
    p->heal = w->heal;
    p->pops = w->pops;
    p->drain = (struct drain){.flow = w->flow, .spool = w->spool, .heal = w->heal};
    p->commit.flow = w->flow;
    p->commit.source = &w->source;
    p->commit.spool = w->spool;
    p->commit.history = w->history;
    p->commit.router = w->router;
    p->commit.expiry = w->expiry;
    p->commit.drain = &p->drain;
    p->flush = (struct flush){
        .flow = w->flow, .router = w->router, .translator = &p->translator, .commit = &p->commit};
    p->cross = cross_new(w->flow, w->router, &p->translator, &p->commit);
    pump_init(p);
}

bool worker_start(struct worker *w, const struct message *start, struct error *error)
{
    w->source = (struct source){.flow = w->flow,
                                .on = {w, on_begun, on_received},
                                .fd = start->fd,
                                .resumed = start->start.mode == START_RESUME,
                                .lag_ms = &w->pipeline.translator.lag_ms};
    if (!read_start(w, start, error) ||
        (w->flow->settings.confine && !confine_worker(&w->flow->settings, w->flow->directory, error)) ||
        !open_files(w, start, error))
        return false;
    w->flow->decoder_config = (struct decoder_config){
        .restore_limit_bytes = w->flow->settings.restore_limit_bytes,
        .group_elements = GROUP_ELEMENTS,
        .group_bytes = GROUP_BYTES,
        .first_lsn =
            start->start.first_lsn, /* also after a restart, as the dead worker may have stored nothing */
        .asked_lsn = start->start.asked_lsn,
        .check = start->start.check,
        .in_blobs = start->start.in_blobs,
        .compared = report_compared,
        .compared_arg = &w->pipeline,
    };
    memcpy(w->flow->decoder_config.token, start->start.token, sizeof w->flow->decoder_config.token);
    w->flow->decoder = decoder_new(&w->flow->decoder_config);
    w->output = output_new();
    output_borrow_from(w->output, BORROW_FROM_BYTES);
    create_router(w);
    if (!create_verifiers(w, start->start.mode == START_FULL, error))
        return false;
    create_pipeline(w);
    translator_init(&w->pipeline.translator, &w->flow->settings, &w->flow->target, w->output);
    w->pipeline.translator.source_release = start->start.source_release;
    w->pipeline.translator.report = report_translated;
    w->pipeline.translator.report_arg = &w->pipeline;
    if (flow_heals(w->flow))
        w->pipeline.translator.suspect = report_suspect;
    w->pipeline.translator.left_out = w->left_out;
    w->pipeline.translator.told = expiry_told;
    w->pipeline.translator.told_arg = w->expiry;
    w->pipeline.rate_at_ms = w->pipeline.commit.marked_at_ms = clock_monotonic_ms();

    w->supervisor_event =
        event_new(w->flow->base, w->flow->supervisor, EV_READ | EV_PERSIST, on_supervisor, w);
    event_add(w->supervisor_event, NULL);
    w->tick_event = event_new(w->flow->base, -1, EV_PERSIST, on_tick, w);
    struct timeval tick = {0, TICK_MS * 1000};
    event_add(w->tick_event, &tick);

    struct message hello = {.type = MESSAGE_HELLO, .fd = -1};
    hello.hello.version = MESSAGE_VERSION;
    hello.hello.pid = (uint32_t)getpid();
    flow_tell(w->flow, &hello);
    w->pipeline.commit.had_trouble = start->start.mode == START_RESUME;
    read_test_hook(w);
    flow_wake(w->flow);
    source_start(&w->source);
    if (!w->flow->settings.source.tls || w->source.resumed)
        open_target(w);
    return true;
}

void worker_finish(struct worker *w)
{
    struct event *events[] = {w->supervisor_event, w->flow->wake, w->tick_event};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    source_free(&w->source);
    heal_free(w->heal);
    pops_free(w->pops);
    expiry_free(w->expiry);
    router_free(w->router);
    cross_free(w->pipeline.cross);
    buf_free(&w->pipeline.commit.sent.record);
    decoder_free(w->flow->decoder);
    translator_free(&w->pipeline.translator);
    output_free(w->output);
    if (w->spool)
        spool_close(w->spool);
    if (w->flow->cursor.marks)
        cursor_close(&w->flow->cursor);
    flow_close_reports(w->flow);
    /* A complete migration leaves no files. */
    if (w->flow->drained && w->flow->settings.migrate && w->pipeline.drain.reached) {
        spool_remove(w->flow->directory, w->flow->number);
        cursor_remove(w->flow->directory, w->flow->number);
        history_remove(w->flow->directory, w->flow->number);
        identities_remove(w->flow->directory, w->flow->number);
        suspects_remove_file(w->flow->directory, w->flow->number);
        left_out_remove_file(w->flow->directory, w->flow->number);
        pops_remove_file(w->flow->directory, w->flow->number);
        heal_remove_files(w->flow->directory, w->flow->number);
        deadlines_remove_file(w->flow->directory, w->flow->number);
    }
    history_close(w->history);
    deadlines_close(w->deadlines);
    suspects_close(w->flow->suspects);
    suspects_close(w->left_out);
    settings_free(&w->flow->settings);
}
