/* Source, program and target together. */
#include "tests/support/run.h"

#include <signal.h>
#include <stdlib.h>

#include "common/ipc/cursor.h"
#include "tests/support/testing.h"

enum { MOST_FLOWS = 64, RUN_LONGEST_MS = 10 * RUN_DEADLINE_MS };

void run_begin(struct run *r, const struct scripted_options *options)
{
    *r = (struct run){0};
    redis_start(&r->target, NULL);
    if (options)
        r->source = scripted_start(options);
    df2redis_init(&r->program);
}

void run_begin_in(struct run *r, struct redis_cluster *c, const struct scripted_options *options)
{
    *r = (struct run){0};
    run_follow(r, c);
    snprintf(r->target.uri, sizeof r->target.uri, "%s", redis_cluster_any(c)->uri);
    if (options)
        r->source = scripted_start(options);
    df2redis_init(&r->program);
}

void run_follow(struct run *r, struct redis_cluster *c)
{
    r->target.port = redis_cluster_any(c)->port;
    r->password = c->password;
}

bool run_begin_live(struct run *r, unsigned shards, const char *const *options)
{
    if (!dragonfly_available()) {
        printf("DF2REDIS_TEST_DRAGONFLY names no Dragonfly: skipped\n");
        return false;
    }
    run_begin(r, NULL);
    dragonfly_start(&r->dragonfly, shards, options);
    return true;
}

void run_end(struct run *r)
{
    if (getenv("DF2REDIS_TEST_VERBOSE") && r->program.dir) {
        if (r->source)
            scripted_print(r->source, stderr);
        df2redis_print(&r->program);
    }
    df2redis_end(&r->program);
    scripted_stop(r->source);
    server_stop(&r->dragonfly);
    server_stop(&r->target);
    *r = (struct run){0};
}

static const char *source_uri(const struct run *r)
{
    return r->source ? scripted_uri(r->source) : r->dragonfly.uri;
}

void run_replicate(struct run *r, const char *const *extra)
{
    df2redis_start(&r->program, "replicate", source_uri(r), r->target.uri, extra);
}

int run_migrate(struct run *r, const char *const *extra)
{
    return df2redis_run(&r->program, "migrate", source_uri(r), r->target.uri, extra, RUN_DEADLINE_MS);
}

struct waiting {
    struct run *run;
    bool done;
};

/* A process that has ended or a master that has "crashed" will not get any further. */
static bool acked_or_over(void *arg)
{
    struct waiting *w = arg;
    w->done = scripted_wait_acked(w->run->source, 0);
    return w->done || !process_running(&w->run->program.process) || *scripted_violation(w->run->source);
}

/* What was read from the source, applied to the target and acknowledged, all in one number. */
static uint64_t progress(struct run *r)
{
    char *directory = format_text("%s/default", r->program.dir);
    uint64_t sum = 0;
    for (uint32_t f = 0; f < MOST_FLOWS; f++) {
        struct cursor c = {0};
        if (!cursor_open_readonly(&c, directory, f, NULL))
            break;
        sum += cursor_get(&c.marks->received_offset) + cursor_get(&c.marks->applied_offset) +
               scripted_acked(r->source, f);
        cursor_close(&c);
    }
    free(directory);
    return sum;
}

/* However much there is to apply and however slowly: given up once nothing has moved for so long. */
static void wait_acked_or_over(struct waiting *w)
{
    uint64_t before, end_ms = clock_monotonic_ms() + RUN_LONGEST_MS;
    do
        before = progress(w->run);
    while (!wait_until(acked_or_over, w, RUN_DEADLINE_MS) && progress(w->run) != before &&
           clock_monotonic_ms() < end_ms);
}

bool run_wait_in_step(struct run *r)
{
    struct waiting w = {.run = r, .done = true};
    if (r->source)
        wait_acked_or_over(&w);
    bool ok = w.done && df2redis_wait_in_step(&r->program, RUN_DEADLINE_MS);
    const char *violation = r->source ? scripted_violation(r->source) : "";
    if (ok && !*violation)
        return true;
    fprintf(stderr, "%s%s\n", *violation ? "protocol violation: " : "not in step", violation);
    if (r->source)
        scripted_print(r->source, stderr);
    if (!w.done)
        df2redis_print(&r->program);
    return false;
}

struct awaited {
    struct run *run;
    const char *who, *text;
    size_t count;
    bool came;
};

static bool came_or_over(void *arg)
{
    struct awaited *a = arg;
    bool running = process_running(&a->run->program.process);
    a->came = scripted_count(a->run->source, a->who, a->text) >= a->count;
    return a->came || !running;
}

bool run_wait_source(struct run *r, const char *who, const char *text, size_t count)
{
    struct awaited a = {r, who, text, count, false};
    wait_until(came_or_over, &a, RUN_DEADLINE_MS);
    if (!a.came) {
        scripted_print(r->source, stderr);
        df2redis_print(&r->program);
    }
    return a.came;
}

static bool applied_or_over(void *arg)
{
    struct waiting *w = arg;
    redisContext *c = server_connect(w->run->dragonfly.port);
    redisReply *offsets = server_command(c, "DFLY REPLICAOFFSET");
    cJSON *status = df2redis_status(&w->run->program);
    const cJSON *flows = cJSON_GetObjectItem(status, "flows");
    const cJSON *suspects = cJSON_GetObjectItem(cJSON_GetObjectItem(status, "suspects"), "pending");
    w->done = cJSON_GetArraySize(flows) == (int)offsets->elements &&
              cJSON_IsTrue(cJSON_GetObjectItem(status, "in_step")) &&
              (!suspects || suspects->valuedouble == 0);
    for (size_t i = 0; w->done && i < offsets->elements; i++) {
        const cJSON *applied = cJSON_GetObjectItem(cJSON_GetArrayItem(flows, (int)i), "lsn_applied");
        w->done = cJSON_IsNumber(applied) && applied->valuedouble >= (double)offsets->element[i]->integer;
    }
    cJSON_Delete(status);
    freeReplyObject(offsets);
    redisFree(c);
    return w->done || !process_running(&w->run->program.process);
}

bool run_wait_applied(struct run *r)
{
    struct waiting w = {.run = r};
    wait_until(applied_or_over, &w, RUN_DEADLINE_MS);
    return w.done;
}

uint64_t run_target_keys(const struct run *r)
{
    redisContext *c = server_connect(r->target.port);
    uint64_t keys = server_keys(c), own = 0;
    for (int db = 0; db < 16; db++) {
        char *select = format_text("SELECT %d", db);
        redisReply *there = server_command(c, select);
        bool ok = there->type == REDIS_REPLY_STATUS;
        freeReplyObject(there);
        free(select);
        if (!ok)
            break;
        redisReply *reply = server_command(c, "KEYS df2redis:*");
        own += reply->elements;
        freeReplyObject(reply);
    }
    redisFree(c);
    return keys - own;
}

int run_terminate(struct run *r)
{
    process_signal(&r->program.process, SIGTERM);
    return process_wait(&r->program.process, RUN_DEADLINE_MS);
}

bool run_ends_with(struct run *r, int code, const char *text)
{
    int ended = process_wait(&r->program.process, RUN_DEADLINE_MS);
    bool ok = ended == code && df2redis_said(&r->program, text);
    if (!ok) {
        df2redis_print(&r->program);
        fprintf(stderr, "ended with %d; expected: %d and \"%s\"\n", ended, code, text);
    }
    return ok;
}

static bool tell(struct state_report *report, bool equal, uint64_t *keys)
{
    if (!equal)
        fprintf(stderr, "of %llu keys %llu differ:\n%s", (unsigned long long)report->keys,
                (unsigned long long)report->different, (const char *)report->text.data);
    if (keys)
        *keys = report->keys;
    state_report_free(report);
    return equal;
}

bool run_equals_recording(struct run *r, const char *dir, struct state_rules *rules, uint64_t *keys)
{
    struct state_server server;
    struct state_report report;
    char *path = format_text("%s/state.jsonl.zst", dir);
    state_open(&server, r->target.port, r->password);
    bool equal = state_compare_file(path, &server, rules, &report);
    state_close(&server);
    free(path);
    return tell(&report, equal, keys);
}

bool run_equals_server(struct run *r, uint16_t port, struct state_rules *rules, uint64_t *keys)
{
    struct state_server expected, actual;
    struct state_report report;
    state_open(&expected, port, NULL);
    state_open(&actual, r->target.port, r->password);
    bool equal = state_compare_servers(&expected, &actual, rules, &report);
    state_close(&expected);
    state_close(&actual);
    return tell(&report, equal, keys);
}

bool run_equals_dragonfly(struct run *r, struct state_rules *rules, uint64_t *keys)
{
    return run_equals_server(r, r->dragonfly.port, rules, keys);
}

pid_t run_daemon_pid(const struct run *r)
{
    struct buf text = {0};
    char *path = format_text("%s/pid", r->program.dir);
    pid_t pid = 0;
    if (file_read(path, &text)) {
        buf_put_u8(&text, '\0');
        pid = (pid_t)strtol((const char *)text.data, NULL, 10);
    }
    buf_free(&text);
    free(path);
    return pid;
}
