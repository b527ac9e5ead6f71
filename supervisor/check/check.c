/* A child process asks and looks, and writes what it knows so far as one line of JSON, the whole document each time; this
 * process prints the newest one. So it ends in time even if a name look-up or a file system hangs in the child.
 *
 * The child fills the part of a struct run that the probes of a start read, and calls these. */
#include "supervisor/check/check.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "supervisor/check/ask.h"
#include "supervisor/check/report.h"
#include "supervisor/run/earlier_run.h"
#include "supervisor/source/source_facts.h"

enum { CONNECT_MS = 6000, ASK_MS = 7500, PATIENCE_MS = 9300 };

struct check {
    struct settings settings; /* as given, with a shorter patience */
    struct run run;
    struct check_facts facts;
    struct event *deadline, *again; /* again: the next address of the source */
    bool source_over, target_over, target_found, late;
    struct error source_error, target_error;
    struct ask_source *ask_source;
    struct ask_target *ask_target;
    struct source_more source_more; /* being asked: facts once all is answered */
    struct target_more target_more;
    int out;
};

/* ---- what is known so far ---- */

/* A side that has not answered. which: source or target; name: its address; e: the last error, if any. */
static void judge_silence(struct check *c, const char *which, const char *name, const struct error *e)
{
    struct findings *f = &c->run.findings;
    if (e->class == ERROR_NONE && !c->late) {
        findings_unknown(f, which, "not asked yet: try again");
        return;
    }
    findings_probe(f, which, " ");
    if (e->class != ERROR_NONE)
        findings_refuse(f, e->class == ERROR_FATAL && e->exit_code ? e->exit_code : EX_UNAVAILABLE, "%s",
                        e->text);
    else
        findings_refuse(f, EX_UNAVAILABLE,
                        "%s %s does not answer in time: check the address, and whether a firewall drops "
                        "packets to it",
                        which, name);
}

static void judge_target(struct check *c)
{
    struct run *run = &c->run;
    const struct error *e = &c->target_error;
    if (run->settings->target.null_sink) {
        findings_probe(&run->findings, "target", "null:, where everything is thrown away");
        return;
    }
    if (!c->target_found && run->target_job && e->class == ERROR_NONE)
        e = target_last_error(run->target_job);
    if (c->target_found) {
        uint64_t keys = target_keys_found(run->target_job);
        run_find_on_target(run, keys && run->settings->flush_target);
        if (!c->facts.target_known)
            return;
        judge_limits(&c->facts, &run->findings);
        judge_writes(&c->facts, &run->findings);
        judge_replicas(&c->facts, &run->findings);
        judge_slots(&c->facts, &run->findings);
        judge_runs(&c->facts, &run->findings);
    } else {
        judge_silence(c, "target", run->target_name, e);
    }
}

static void judge_resume(struct check *c, enum resume_way way, uint64_t keys)
{
    struct run *run = &c->run;
    struct error error = {0};
    unsigned long long n = keys;
    if (way == RESUME_FROM_SPOOLS || way == RESUME_FROM_MARKS)
        findings_probe(&run->findings, "target keys", "%llu, copied by this run, which resumes: %s", n,
                       run->sync_reason);
    else if (!keys)
        findings_probe(&run->findings, "target keys", "none");
    else
        findings_probe(&run->findings, "target keys", "%llu: %s", n,
                       run->settings->flush_target ? "deleted at the start (--flush-target)"
                       : run->target_written       ? "copied by this run"
                                                   : "kept or overwritten (--on-conflict)");
    if (way == RESUME_FROM_SPOOLS || way == RESUME_FROM_MARKS || !keys)
        return;
    if (!run_may_begin(run, keys, target_marks_found(run->target_job), &error))
        findings_refuse(&run->findings, error.exit_code, "%s", error.text);
}

/* Keys that are there are judged by the rules of a start, once source and target are known. */
static void judge_keys(struct check *c)
{
    struct run *run = &c->run;
    struct run_record record = {0};
    struct resume_point *points;
    if (run->settings->target.null_sink)
        return;
    if (!c->facts.target_known) {
        findings_unknown(&run->findings, "target keys", "the target is not known: see the line target");
        return;
    }
    run->target_written = run->target_owned = false;
    memset(&run->copy, 0, sizeof run->copy);
    enum resume_way way = run_examine_earlier(run, target_marks_found(run->target_job), &record, &points);
    judge_resume(c, way, target_keys_found(run->target_job));
    free(points);
    run_record_free(&record);
}

static void judge_source(struct check *c)
{
    struct run *run = &c->run;
    const struct error *e = &c->source_error;
    uint32_t release = run->greeting.release;
    if (run->greeted) {
        findings_probe(&run->findings, "source",
                       "Dragonfly %u.%u.%u, a master, %u FLOW%s, protocol %u, %llu keys", release / 10000,
                       release / 100 % 100, release % 100, run->greeting.flow_count,
                       run->greeting.flow_count == 1 ? "" : "s", run->greeting.version,
                       (unsigned long long)source_keys(run->source));
        if (run->greeting.version > SOURCE_MAX_VERSION)
            findings_warn(
                &run->findings,
                "source %s speaks version %u of its protocol, newer than the %d known here: use a newer "
                "df2redis",
                run->source_name, run->greeting.version, SOURCE_MAX_VERSION);
        run_judge_source(run, true);
        judge_backlog(&c->facts, &run->findings);
        judge_types(&c->facts, &run->findings);
        judge_largest(&c->facts, &run->findings);
        judge_cutover(&c->facts, &run->findings);
    } else {
        judge_silence(c, "source", run->source_list, e);
    }
}

static void publish(struct check *c)
{
    struct run *run = &c->run;
    struct findings *out = &run->findings;
    struct error ignored = {0};
    c->facts.source = run->source_name;
    c->facts.target = run->target_name;
    c->facts.flow_count = run->greeted ? run->greeting.flow_count : 0;
    c->facts.source_known = run->greeted;
    c->facts.target_known = c->target_found && capabilities_check(&run->target, &ignored);
    c->facts.capabilities = run->target;
    c->facts.masters = c->target_found ? target_nodes(run->target_job) : 1;
    judge_state_dir(&c->facts, out);
    judge_worker(&c->facts, out);
    judge_room(&c->facts, out);
    judge_files(&c->facts, out);
    judge_confinement(&c->facts, out);
    judge_target(c);
    judge_keys(c);
    judge_source(c);
    judge_clocks(&c->facts, out);
    judge_round_trips(&c->facts, out);
    cJSON *json = report_document(run->settings, run->source_list, run->target_name, out);
    char *text = cJSON_PrintUnformatted(json);
    if (!text || dprintf(c->out, "%s\n", text) < 0)
        log_debug("the result of the check cannot be written");
    cJSON_free(text);
    cJSON_Delete(json);
    findings_free(out);
}

/* ---- asking ---- */

static void end_if_over(struct check *c)
{
    publish(c);
    if (c->source_over && c->target_over)
        event_base_loopbreak(c->run.base);
}

static void on_source_asked(void *arg)
{
    struct check *c = arg;
    c->facts.source_more = c->source_more;
    c->source_over = true;
    end_if_over(c);
}

static void on_target_asked(void *arg)
{
    struct check *c = arg;
    c->facts.target_more = c->target_more;
    c->target_over = true;
    end_if_over(c);
}

static void on_connected(void *arg)
{
    struct check *c = arg;
    source_greet(c->run.source);
}

static void on_greeted(const struct greeting *greeting, void *arg)
{
    static const uint32_t first[] = {0};
    struct check *c = arg;
    struct run *run = &c->run;
    size_t count;
    run->greeting = *greeting;
    run->greeted = true;
    const uint32_t *databases = source_databases(run->source, &count);
    if (!source_facts(run->source)->info) {
        databases = first;
        count = 1;
    }
    c->ask_source = ask_source_start(run->base, run->settings, &run->source_uri, databases, count,
                                     &c->source_more, on_source_asked, c);
    if (!c->ask_source)
        on_source_asked(c);
}

static void on_source_failed(const struct error *error, void *arg)
{
    struct check *c = arg;
    struct timeval at_once = {0};
    c->source_error = *error;
    if (c->run.greeted)
        return; /* what it told counts */
    if (!addresses_next(&c->run.addresses, error, &c->source_error) || event_add(c->again, &at_once) != 0)
        on_source_asked(c);
}

static void connect_to_source(struct check *c)
{
    struct run *run = &c->run;
    struct error error = {0};
    struct source_callbacks callbacks = {
        .arg = c, .connected = on_connected, .greeted = on_greeted, .failed = on_source_failed};
    const struct uri *uri = addresses_current(&run->addresses, &error);
    source_free(run->source);
    run->source = NULL;
    if (uri) {
        uri_copy(&run->source_uri, uri);
        uri_display(uri, run->source_name, sizeof run->source_name);
        run->source =
            source_connect(run->base, run->settings, &run->source_uri, run->client_id, &callbacks, &error);
    }
    if (!run->source) {
        c->source_error = error;
        on_source_asked(c);
    }
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    connect_to_source(arg);
}

static void on_target_done(const struct capabilities *capabilities, void *arg)
{
    struct check *c = arg;
    struct run *run = &c->run;
    struct error error = {0};
    run->target = *capabilities;
    c->target_found = true;
    c->ask_target = capabilities_check(capabilities, &error)
                        ? ask_target_start(run->base, run->settings, &run->target_nodes, &c->target_more,
                                           on_target_asked, c)
                        : NULL;
    if (!c->ask_target)
        on_target_asked(c);
}

static void on_target_failed(const struct error *error, void *arg)
{
    struct check *c = arg;
    c->target_error = *error;
    on_target_asked(c);
}

static void probe_target(struct check *c)
{
    struct run *run = &c->run;
    struct target_callbacks callbacks = {.arg = c, .done = on_target_done, .failed = on_target_failed};
    if (!run->settings->target.null_sink)
        run->target_job = target_start(run->base, run->settings, TARGET_ASK, 0, &run->target_nodes,
                                       &callbacks, &c->target_error);
    if (!run->target_job)
        on_target_asked(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct check *c = arg;
    c->late = true;
    event_base_loopbreak(c->run.base);
}

/* ---- the child ---- */

static void begin(struct check *c, const struct settings *given, int out)
{
    struct run *run = &c->run;
    *c = (struct check){.out = out, .run.dir.lock_fd = -1, .run.role_changes = -1};
    settings_copy(&c->settings, given);
    if (c->settings.connect_timeout_ms > CONNECT_MS)
        c->settings.connect_timeout_ms = CONNECT_MS;
    run->settings = c->facts.settings = &c->settings;
    run->dir.path = state_dir_file(&c->settings, NULL);
    addresses_init(&run->addresses, &c->settings);
    addresses_display(&run->addresses, run->source_list, sizeof run->source_list);
    uri_display(&c->settings.source, run->source_name, sizeof run->source_name);
    uri_display(&c->settings.target, run->target_name, sizeof run->target_name);
    memset(run->client_id, '0', sizeof run->client_id - 1);
    run->base = event_base_new();
    c->deadline = run->base ? evtimer_new(run->base, on_deadline, c) : NULL;
    c->again = run->base ? evtimer_new(run->base, on_again, c) : NULL;
}

static void end(struct check *c)
{
    struct run *run = &c->run;
    ask_source_free(c->ask_source);
    ask_target_free(c->ask_target);
    source_free(run->source);
    target_free(run->target_job);
    topology_free(&run->target_nodes);
    if (c->deadline)
        event_free(c->deadline);
    if (c->again)
        event_free(c->again);
    if (run->base)
        event_base_free(run->base);
    addresses_free(&run->addresses);
    uri_free(&run->source_uri);
    free(run->dir.path);
    settings_free(&c->settings);
}

/* The files come last: they are the only thing that may hang here for long. */
static int examine(const struct settings *settings, int out)
{
    struct check *c = x_calloc(1, sizeof *c);
    struct timeval patience = {.tv_sec = ASK_MS / 1000, .tv_usec = ASK_MS % 1000 * 1000};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    setenv("RES_OPTIONS", "timeout:1 attempts:2", 0); /* of name look-ups */
    begin(c, settings, out);
    publish(c);
    bool ok = c->deadline && c->again && event_add(c->deadline, &patience) == 0;
    if (ok) {
        probe_target(c);
        connect_to_source(c);
        if (!c->source_over || !c->target_over)
            event_base_dispatch(c->run.base);
        publish(c);
        look_here(&c->settings, &c->facts.here);
        publish(c);
    }
    end(c);
    free(c);
    return ok ? EX_OK : EX_OSERR;
}

/* ---- the parent ---- */

/* Reads until the child has ended, or its time is over. */
static void read_all(int fd, struct buf *out)
{
    uint64_t end_ms = clock_monotonic_ms() + PATIENCE_MS, now_ms;
    while ((now_ms = clock_monotonic_ms()) < end_ms) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)(end_ms - now_ms)) <= 0)
            continue;
        ssize_t n = read(fd, buf_reserve(out, 65536), 65536);
        if (n <= 0)
            return;
        out->len += (size_t)n;
    }
}

/* Returns the last whole line as a document; NULL: there is none. */
static cJSON *newest_document(struct buf *lines)
{
    const uint8_t *end = lines->len ? memrchr(lines->data, '\n', lines->len) : NULL;
    if (!end)
        return NULL;
    size_t len = (size_t)(end - lines->data);
    const uint8_t *before = memrchr(lines->data, '\n', len);
    const uint8_t *begin = before ? before + 1 : lines->data;
    return cJSON_ParseWithLength((const char *)begin, (size_t)(end - begin));
}

static int print_result(const cJSON *document, bool json)
{
    if (json) {
        char *text = cJSON_PrintUnformatted(document);
        puts(text ? text : "");
        cJSON_free(text);
    } else {
        report_print(document, stdout);
    }
    const cJSON *code = cJSON_GetObjectItem(document, "exit_code");
    return cJSON_IsNumber(code) ? code->valueint : EX_SOFTWARE;
}

int check_command(const struct settings *settings, bool json)
{
    int fds[2];
    struct buf lines = {0};
    if (settings->log_level < LOG_LEVEL_DEBUG)
        log_setup(LOG_LEVEL_ERROR, settings->log_format); /* the table has it all */
    pid_t child = pipe(fds) == 0 ? fork() : -1;
    if (child == 0) {
        close(fds[0]);
        _exit(examine(settings, fds[1]));
    }
    if (child < 0) {
        fprintf(stderr, "df2redis: cannot start a process: %s\n", strerror(errno));
        return EX_OSERR;
    }
    close(fds[1]);
    read_all(fds[0], &lines);
    kill(child, SIGKILL); /* (not waited for: it may hang in the kernel) */
    cJSON *document = newest_document(&lines);
    int code = EX_SOFTWARE;
    if (document)
        code = print_result(document, json);
    else
        fprintf(stderr, "df2redis: the check came to no result: please report it\n");
    cJSON_Delete(document);
    buf_free(&lines);
    close(fds[0]);
    return code;
}
