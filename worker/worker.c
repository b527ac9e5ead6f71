/* The worker: sets up its parts, connects them by callbacks, and handles the supervisor's messages. */
#include "worker/worker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/printable.h"
#include "common/ipc/divergence.h"
#include "common/net/client.h"
#include "worker/cluster/members.h"
#include "worker/confine.h"
#include "worker/log_pipe.h"
#include "worker/pipeline/script_name.h"
#include "worker/source/received.h"
#include "worker/translate/commands.h"
#include "worker/translate/elements.h"
#include "worker/translate/left_out.h"

enum {
    TICK_MS = 100,
    IDLE_MARK_MS = 10000,
    SUSPECT_ARGS = 64,
    BORROW_FROM_BYTES = 128 * 1024,
    DEADLINES_PART = 8,
    GROUP_ELEMENTS = 512,
    GROUP_BYTES = 128 * 1024
};

/* Appends the database to the key, for a divergence about a database that the target lacks. */
static void add_database(const struct worker *w, const char *reason, char *key, size_t bytes)
{
    size_t len = strlen(key);
    if (strcmp(reason, DIVERGENCE_DATABASE) == 0 || strcmp(reason, DIVERGENCE_DATABASE_MISSING) == 0)
        snprintf(key + len, bytes - len, " in database %u", (unsigned)w->pipeline.translator.lacking_db);
}

/* text: the target's error, or NULL. False: reported before. */
static bool report_divergence(struct worker *w, enum report_stream stream, uint64_t seq, const char *reason,
                              const char *command, struct slice key, uint64_t count, const char *text)
{
    struct message m = {.type = MESSAGE_DIVERGENCE, .fd = -1};
    /* The answers of different nodes of a cluster are not in the order of entries. */
    bool in_order = stream == REPORT_TRANSLATED || !router_is_cluster(w->router);
    if (!reports_next(&w->pipeline.reports, stream, seq) && in_order)
        return false;
    snprintf(m.divergence.reason, sizeof m.divergence.reason, "%s", reason);
    snprintf(m.divergence.command, sizeof m.divergence.command, "%s", command);
    snprintf(m.divergence.key, sizeof m.divergence.key, "%s", log_key(key));
    add_database(w, reason, m.divergence.key, sizeof m.divergence.key);
    snprintf(m.divergence.text, sizeof m.divergence.text, "%s", text ? text : "");
    printable(m.divergence.text, sizeof m.divergence.text);
    m.divergence.count = count;
    m.divergence.stream = stream;
    m.divergence.position = w->pipeline.reports.told[stream];
    cursor_add(&w->flow->cursor.marks->divergences, count);
    flow_tell(w->flow, &m);
    w->flow->reports_unread = true;
    return true;
}

/* Whether a comparison may heal the key: the source may have a value that the target lacks. Not if the target lacks the
 * module of the command. */
static bool is_healable(const char *reason, const char *command)
{
    return strcmp(reason, DIVERGENCE_LOST_BY_SOURCE) == 0 || strcmp(reason, DIVERGENCE_REFUSED) == 0 ||
           (strcmp(reason, DIVERGENCE_COMMAND) == 0 && !strchr(command, '.'));
}

static void on_suspect(void *arg, uint32_t db, struct slice key, const char *reason, const char *command)
{
    struct worker *w = arg;
    flow_suspect(w->flow, db, key, reason, command);
}

static void on_report(void *arg, const char *reason, const char *command, struct slice key, uint64_t count)
{
    struct worker *w = arg;
    if (key.len && is_healable(reason, command) && flow_heals(w->flow)) {
        flow_suspect(w->flow, w->pipeline.translator.db, key, reason, command);
        return;
    }
    report_divergence(w, REPORT_TRANSLATED, w->flow->decoder ? decoder_seq(w->flow->decoder) : 0, reason,
                      command, key, count, NULL);
}

/* ---- the router's callbacks ---- */

static void on_ready(void *arg, const struct position *at, const struct capabilities *target)
{
    struct worker *w = arg;
    struct error error;
    w->flow->target = *target;
    w->flow->hold = HOLD_NONE;
    w->pipeline.commit.marks_owed = false;
    cross_cancel(w->pipeline.cross);
    if (!rewind_to_target(&w->pipeline, at, &error)) {
        flow_fail(w->flow, &error);
        return;
    }
    router_save_nodes(w->router);
    w->flow->ready = true;
    flow_wake(w->flow);
}

static void on_acknowledged(void *arg, struct round *r)
{
    struct worker *w = arg;
    pump_acknowledged(&w->pipeline, r);
    heal_go_on(w->heal);
    inventory_go_on(w->inventory);
}

static void describe_command(const struct batch *b, uint32_t i, char *name, size_t name_bytes,
                             struct slice *key)
{
    struct slice word;
    if (!batch_describe(b, i, &word, key)) {
        word = slice_str("?");
        *key = slice_of("", 0);
    }
    snprintf(name, name_bytes, "%.*s", (int)word.len, (const char *)word.data);
}

/* A command that runs again may be refused as the key has the state after later commands, which also run again: no
 * difference. If its first answer was lost, only XADD is sure to be such a case: the stream has its entry. */
static bool xadd_met_its_entry(const struct worker *w, uint64_t seq, const char *text)
{
    return seq <= w->flow->seen_seq && strstr(text, "equal or smaller than the target stream");
}

static bool command_met_later_state(const struct worker *w, uint64_t seq, const char *text)
{
    return seq <= w->pipeline.answered_seq || xadd_met_its_entry(w, seq, text);
}

/* Makes the keys of a refused command suspects. False: it has none. */
static bool suspect_keys(struct worker *w, const struct batch *b, uint32_t i, const char *reason,
                         const char *text)
{
    struct slice argv[SUSPECT_ARGS], keys[SUSPECT_ARGS];
    uint32_t db = w->flow->settings.target.db;
    size_t argc = batch_command(b, i, argv, SUSPECT_ARGS, &db);
    size_t n = argc ? command_written_keys(argv, argc, keys, SUSPECT_ARGS) : 0;
    char name[SUSPECT_WORD_BYTES];
    if (!n || slice_begins(keys[0], "df2redis:"))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)argv[0].len, (const char *)argv[0].data);
    log_debug("%s %s will be compared with the source: %s", name, log_key(keys[0]), text);
    for (size_t k = 0; k < n; k++)
        flow_suspect(w->flow, db, keys[k], reason, name);
    return true;
}

/* False: reported before, as a script may be loaded many times, and on every node. */
static bool is_new_script(struct worker *w, const char *sha)
{
    for (size_t i = 0; i < REFUSED_SCRIPTS; i++)
        if (strcmp(w->refused_scripts[i], sha) == 0)
            return false;
    snprintf(w->refused_scripts[w->refused_script_next++ % REFUSED_SCRIPTS], sizeof *w->refused_scripts, "%s",
             sha);
    return true;
}

/* A script with Dragonfly's own syntax, or with flags that Redis does not have. */
static bool on_script_refused(struct worker *w, const struct batch *b, uint32_t i, const char *text)
{
    struct slice argv[SUSPECT_ARGS];
    uint32_t db = 0;
    char name[SCRIPT_NAME_BYTES];
    if (batch_command(b, i, argv, SUSPECT_ARGS, &db) != 3 || !slice_is(argv[0], "SCRIPT"))
        return false;
    script_name(argv[2], name, sizeof name);
    char sha[41] = "";
    memcpy(sha, name, 40);
    if (is_new_script(w, sha))
        report_divergence(w, REPORT_ANSWERED, batch_command_seq(b, i), DIVERGENCE_SCRIPT, "SCRIPT LOAD",
                          slice_str(name), 1, text);
    return true;
}

/* By the ACL: neither reading the key nor writing it anew would be let through. */
static bool is_denied(const char *text)
{
    return strncmp(text, "NOPERM", 6) == 0 || strstr(text, "ACL failure in script") ||
           strstr(text, "The user executing the script ");
}

static void on_refused(void *arg, const struct batch *b, uint32_t i, const char *text)
{
    struct worker *w = arg;
    struct slice key;
    char name[64];
    if (w->flow->hold == HOLD_CROSS_REPLICATING) {
        cross_not_replicated(w->pipeline.cross, text);
        return;
    }
    bool again = command_met_later_state(w, batch_command_seq(b, i), text);
    if (flush_refused(&w->pipeline.flush, text) || on_script_refused(w, b, i, text) ||
        (flow_heals(w->flow) && !is_denied(text) && !xadd_met_its_entry(w, batch_command_seq(b, i), text) &&
         suspect_keys(w, b, i, again ? SUSPECT_UNHEARD : DIVERGENCE_REFUSED, text)))
        return;
    describe_command(b, i, name, sizeof name, &key);
    if (again) {
        log_debug("%s %s was refused while being run again: %s", name, log_key(key), text);
        return;
    }
    /* Commands that were not queued are reported after the answer to EXEC, before the MULTI is sent again without
     * them. */
    enum report_stream stream = b->removing ? REPORT_NOT_QUEUED : REPORT_ANSWERED;
    if (report_divergence(w, stream, batch_command_seq(b, i), DIVERGENCE_REFUSED, name, key, 1, text))
        log_debug("the target refused %s %s: %s", name, log_key(key), text);
}

/* A pending entry of a deleted message: no command creates it, only RESTORE of the stream. */
static void on_unclaimed(struct worker *w, const struct batch *b, uint32_t i, const char *name,
                         struct slice key)
{
    if (!flow_heals(w->flow) ||
        !suspect_keys(w, b, i, DIVERGENCE_STREAM, "a pending entry of a deleted message"))
        report_divergence(w, REPORT_ANSWERED, batch_command_seq(b, i), DIVERGENCE_STREAM, name, key, 1, NULL);
}

/* Whether the XCLAIM is one that stream_tail_write() makes from a value, not one of the journal. */
static bool is_pending_of_value(const struct batch *b, uint32_t i, const char *name)
{
    struct slice argv[STREAM_PENDING_ARGS + 1];
    uint32_t db = 0;
    return strcmp(name, "XCLAIM") == 0 &&
           batch_command(b, i, argv, STREAM_PENDING_ARGS + 1, &db) == STREAM_PENDING_ARGS &&
           slice_is(argv[STREAM_PENDING_ARGS - 1], "JUSTID");
}

/* Whether the answer is to a first run: a command that runs again may find the key as later commands left it. A once
 * command never does. */
static bool answered_in_place(const struct worker *w, const struct batch *b, uint32_t i, const char *name)
{
    const struct command *c = command_find(slice_str(name));
    return (c && c->class == COMMAND_ONCE) || batch_command_seq(b, i) > w->flow->seen_seq;
}

static void on_conflict(void *arg, const struct batch *b, uint32_t i)
{
    struct worker *w = arg;
    struct slice key;
    struct error error;
    char name[64];
    describe_command(b, i, name, sizeof name, &key);
    if (is_pending_of_value(b, i, name)) {
        on_unclaimed(w, b, i, name, key);
        return;
    }
    if (flow_heals(w->flow)) {
        if (answered_in_place(w, b, i, name))
            suspect_keys(w, b, i, SUSPECT_ABSENT, "no effect on the target");
        return;
    }
    if (w->flow->settings.on_conflict == ON_CONFLICT_STOP) {
        error_fatal(
            &error, EX_CANTCREAT,
            "the key %s exists on the target already (--on-conflict stop): remove it, or choose overwrite "
            "or skip",
            log_key(key));
        flow_fail(w->flow, &error);
        return;
    }
    report_divergence(w, REPORT_ANSWERED, batch_command_seq(b, i), DIVERGENCE_CONFLICT, name, key, 1, NULL);
}

static void on_lost(void *arg, const struct error *error)
{
    struct worker *w = arg;
    w->flow->ready = w->pipeline.contact_waits = false;
    w->pipeline.commit.had_trouble = true;
    cursor_set(&w->flow->cursor.marks->in_contact, 0);
    cursor_add(&w->flow->cursor.marks->target_waits, 1);
    flush_leave(&w->pipeline.flush);
    if (error->class != ERROR_RETRY)
        flow_fail(w->flow, error);
}

static void on_writable(void *arg)
{
    struct worker *w = arg;
    pump(&w->pipeline);
}

static void begin_drain(struct worker *w)
{
    drain_begin(&w->pipeline.drain);
    w->pipeline.commit.last_mark_sent = false;
    flow_wake(w->flow);
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
    cursor_set(&w->flow->cursor.marks->alive_ms, clock_monotonic_ms());
    source_watch_full(&w->source);
    heal_go_on(w->heal);
    inventory_go_on(w->inventory);
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
        if (flush_run(&w->pipeline.flush, m->global.txid))
            pump(&w->pipeline);
        return;
    case MESSAGE_PASS_GLOBAL:
        flush_pass(&w->pipeline.flush, m->global.txid, m->global.age_ms);
        return;
    case MESSAGE_DRAIN:
        drain_order(&w->pipeline.drain, m->drain.lsn);
        if (!heal_has_work(w->heal))
            begin_drain(w);
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
    memcpy(w->pipeline.reports.told, start->start.told, sizeof w->pipeline.reports.told);
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
    w->history = history_open(w->flow->directory, w->flow->number, w->flow->session, resume, error);
    if (!w->history)
        return false;
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
    if (start->start.mode == START_FULL)
        inventory_order(w->flow, start->start.source_release);
    w->deadlines =
        deadlines_open(w->flow->directory, w->flow->number, w->flow->settings.ring_bytes / DEADLINES_PART,
                       start->start.mode == START_FULL, error);
    if (!w->deadlines)
        return false;
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
    struct router_callbacks on = {w,           on_ready, on_acknowledged, on_refused,
                                  on_conflict, on_lost,  on_writable};
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

/* The last applied command is also in the journal of the promoted master. A replica that is promoted while it executes
 * an entry counts one too few: of equal commands in a row, e.g. INCR, the compared one may be the next one, and one was
 * lost. So its keys become suspects. */
static void on_compared(void *arg, uint32_t source_db, const struct slice *argv, size_t argc)
{
    struct worker *w = arg;
    struct slice keys[SUSPECT_ARGS];
    uint32_t db;
    if (!*w->flow->last_master_id || !flow_heals(w->flow) ||
        !settings_db_target(&w->flow->settings, source_db, &db))
        return;
    size_t n = command_written_keys(argv, argc, keys, SUSPECT_ARGS);
    char name[SUSPECT_WORD_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)argv[0].len, (const char *)argv[0].data);
    for (size_t i = 0; i < n && i < SUSPECT_ARGS; i++)
        flow_suspect(w->flow, db, keys[i], SUSPECT_FAILED_OVER, name);
}

static void create_verifiers(struct worker *w)
{
    w->cursors = flow_cursors_new(w->flow);
    w->expiry = expiry_new(w->flow, &w->pipeline.translator, w->router, w->deadlines);
    w->inventory = inventory_new(w->flow, w->router, &w->pipeline.translator, w->cursors);
    struct heal_config with = {.flow = w->flow,
                               .router = w->router,
                               .translator = &w->pipeline.translator,
                               .cursors = w->cursors,
                               .expiry = w->expiry,
                               .pops = w->pops,
                               .inventory = w->inventory};
    w->heal = heal_new(&with);
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
    p->drain = (struct drain){.flow = w->flow, .spool = w->spool, .heal = w->heal, .inventory = w->inventory};
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
        .compared = on_compared,
        .compared_arg = w,
    };
    memcpy(w->flow->decoder_config.token, start->start.token, sizeof w->flow->decoder_config.token);
    w->flow->decoder = decoder_new(&w->flow->decoder_config);
    w->output = output_new();
    output_borrow_from(w->output, BORROW_FROM_BYTES);
    create_router(w);
    create_verifiers(w);
    create_pipeline(w);
    translator_init(&w->pipeline.translator, &w->flow->settings, &w->flow->target, w->output);
    w->pipeline.translator.source_release = start->start.source_release;
    w->pipeline.translator.report = on_report;
    w->pipeline.translator.report_arg = w;
    if (flow_heals(w->flow))
        w->pipeline.translator.suspect = on_suspect;
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
    inventory_free(w->inventory);
    pops_free(w->pops);
    flow_cursors_free(w->cursors);
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
    /* A complete migration leaves no files. */
    if (w->flow->drained && w->flow->settings.migrate && w->pipeline.drain.reached) {
        spool_remove(w->flow->directory, w->flow->number);
        cursor_remove(w->flow->directory, w->flow->number);
        history_remove(w->flow->directory, w->flow->number);
        identities_remove(w->flow->directory, w->flow->number);
        suspects_remove_file(w->flow->directory, w->flow->number);
        left_out_remove_file(w->flow->directory, w->flow->number);
        pops_remove_file(w->flow->directory, w->flow->number);
        deadlines_remove_file(w->flow->directory, w->flow->number);
    }
    history_close(w->history);
    deadlines_close(w->deadlines);
    suspects_close(w->flow->suspects);
    suspects_close(w->left_out);
    settings_free(&w->flow->settings);
}
