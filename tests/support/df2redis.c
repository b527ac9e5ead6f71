/* The program under test. */
#include "tests/support/df2redis.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/testing.h"

enum { MAX_ARGS = 64, PRINTED_BYTES = 20000, STATUS_DEADLINE_MS = 300000 };

#ifndef DF2REDIS_BUILD_DIR
#define DF2REDIS_BUILD_DIR "build"
#endif

const char *df2redis_binary(void)
{
    const char *named = getenv("DF2REDIS_TEST_BINARY");
    return named && *named ? named : DF2REDIS_BUILD_DIR "/df2redis";
}

void df2redis_init(struct df2redis *d)
{
    *d = (struct df2redis){.dir = temp_dir_make("run")};
}

void df2redis_start(struct df2redis *d, const char *verb, const char *source, const char *target,
                    const char *const *extra)
{
    process_stop(&d->process);
    const char *argv[MAX_ARGS] = {df2redis_binary(), verb,   "--source",    source, "--target", target,
                                  "--state-dir",     d->dir, "--log-level", "debug"};
    size_t n = 10;
    for (; extra && *extra && n < MAX_ARGS - 1; extra++)
        argv[n++] = *extra;
    char *log = format_text("%s/output-%u", d->dir, d->starts++);
    if (!process_start(&d->process, log, argv))
        die("%s cannot be started", argv[0]);
    free(log);
}

int df2redis_run(struct df2redis *d, const char *verb, const char *source, const char *target,
                 const char *const *extra, uint32_t deadline_ms)
{
    df2redis_start(d, verb, source, target, extra);
    return process_wait(&d->process, deadline_ms);
}

void df2redis_end(struct df2redis *d)
{
    process_stop(&d->process);
    temp_dir_remove(d->dir);
    d->dir = NULL;
}

cJSON *df2redis_status(const struct df2redis *d)
{
    const char *argv[] = {df2redis_binary(), "status", "--json", "--state-dir", d->dir, NULL};
    char *text = NULL;
    process_run(argv, STATUS_DEADLINE_MS, &text);
    const char *begin = text ? strchr(text, '{') : NULL;
    cJSON *status = begin ? cJSON_Parse(begin) : NULL;
    if (!status && d->process.pid && *text)
        fprintf(stderr, "df2redis status: %s\n", text);
    free(text);
    return status;
}

static const cJSON *walk(const cJSON *at, const char *path)
{
    char *copy = x_strdup(path), *rest = copy;
    for (char *step; at && (step = strsep(&rest, "."));)
        at = cJSON_IsArray(at) ? cJSON_GetArrayItem(at, (int)strtol(step, NULL, 10))
                               : cJSON_GetObjectItem(at, step);
    free(copy);
    return at;
}

double df2redis_status_number(const struct df2redis *d, const char *path)
{
    cJSON *status = df2redis_status(d);
    const cJSON *item = walk(status, path);
    double v = cJSON_IsNumber(item) ? item->valuedouble : 0;
    cJSON_Delete(status);
    return v;
}

bool df2redis_status_true(const struct df2redis *d, const char *path)
{
    cJSON *status = df2redis_status(d);
    bool yes = cJSON_IsTrue(walk(status, path));
    cJSON_Delete(status);
    return yes;
}

const char *df2redis_text(const cJSON *part, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(part, name));
    return text ? text : "";
}

struct awaited {
    struct df2redis *d;
    const char *path, *text;
    bool reached;
};

static bool reached_or_ended(void *arg)
{
    struct awaited *a = arg;
    bool running = process_running(&a->d->process);
    cJSON *status = running ? df2redis_status(a->d) : NULL;
    const cJSON *item = walk(status, a->path);
    a->reached =
        a->text ? cJSON_IsString(item) && strcmp(item->valuestring, a->text) == 0 : cJSON_IsTrue(item);
    cJSON_Delete(status);
    return a->reached || !running;
}

static bool wait_for(struct awaited *a, uint32_t deadline_ms)
{
    wait_until(reached_or_ended, a, deadline_ms);
    if (!a->reached)
        df2redis_print(a->d);
    return a->reached;
}

bool df2redis_wait_status(struct df2redis *d, const char *path, const char *text, uint32_t deadline_ms)
{
    struct awaited a = {.d = d, .path = path, .text = text};
    return wait_for(&a, deadline_ms);
}

bool df2redis_wait_in_step(struct df2redis *d, uint32_t deadline_ms)
{
    struct awaited a = {.d = d, .path = "in_step"};
    return wait_for(&a, deadline_ms);
}

bool df2redis_said(const struct df2redis *d, const char *text)
{
    return process_said(&d->process, text);
}

static bool said_or_ended(void *arg)
{
    struct awaited *a = arg;
    bool running = process_running(&a->d->process);
    a->reached = df2redis_said(a->d, a->text);
    return a->reached || !running;
}

bool df2redis_wait_said(struct df2redis *d, const char *text, uint32_t deadline_ms)
{
    struct awaited a = {.d = d, .text = text};
    wait_until(said_or_ended, &a, deadline_ms);
    return a.reached;
}

void df2redis_print(const struct df2redis *d)
{
    char *said = process_output(&d->process);
    size_t len = strlen(said);
    fprintf(stderr, "df2redis (status %d) said:\n%s%s\n", d->process.status, len > PRINTED_BYTES ? "…" : "",
            said + (len > PRINTED_BYTES ? len - PRINTED_BYTES : 0));
    free(said);
}
