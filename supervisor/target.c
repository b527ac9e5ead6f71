/* Probing and flushing of the target: one connection that is closed again afterwards. */
#include "supervisor/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/client.h"
#include "common/log.h"

struct target_job {
    const struct settings *settings;
    struct target_callbacks callbacks;
    struct client *client;
    struct capabilities capabilities;
    char name[256];
    bool flush;
    int answered; /* of the probe's commands */
    bool over;
};

static void fail(struct target_job *job, const struct error *error)
{
    if (job->over)
        return;
    job->over = true;
    job->callbacks.failed(error, job->callbacks.arg);
}

static void done(struct target_job *job)
{
    job->over = true;
    job->callbacks.done(&job->capabilities, job->callbacks.arg);
}

static void on_flushed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    struct error error = {0};
    if (job->over)
        return;
    if (reply->type == REDIS_REPLY_STATUS) {
        done(job);
        return;
    }
    error_fatal(&error, EX_NOPERM,
                "target %s does not take FLUSHALL: %.200s; flush it yourself or give this user the right to",
                job->name, reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
    fail(job, &error);
}

static void probed(struct target_job *job)
{
    struct error error = {0};
    if (!capabilities_check(&job->capabilities, &error)) {
        fail(job, &error);
    } else if (job->flush) {
        client_words(job->client, 0, on_flushed, job, "FLUSHALL", NULL);
    } else {
        done(job);
    }
}

static void on_probe(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    struct error error = {0};
    if (job->over)
        return;
    if (!capabilities_reply(&job->capabilities, job->answered, reply, &error)) {
        fail(job, &error);
        return;
    }
    if (++job->answered == CAPABILITIES_COMMANDS)
        probed(job);
}

static void on_ready(struct client *c, void *arg)
{
    struct target_job *job = arg;
    struct slice argv[CAPABILITIES_MAX_ARGS];
    for (int i = 0; i < CAPABILITIES_COMMANDS; i++) {
        size_t argc = capabilities_command(i, argv, CAPABILITIES_MAX_ARGS);
        client_command(c, job->settings->connect_timeout_ms, on_probe, job, argc, argv);
    }
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    fail(arg, error);
}

struct target_job *target_start(struct event_base *base, const struct settings *settings, bool flush,
                                const struct target_callbacks *callbacks, struct error *error)
{
    struct target_job *job = x_calloc(1, sizeof *job);
    job->settings = settings;
    job->callbacks = *callbacks;
    job->flush = flush;
    uri_display(&settings->target, job->name, sizeof job->name);
    struct client_callbacks client_callbacks = {.arg = job, .ready = on_ready, .failed = on_failed};
    job->client = client_connect(base, &settings->target, settings, "target", &client_callbacks, error);
    if (!job->client) {
        free(job);
        return NULL;
    }
    return job;
}

void target_free(struct target_job *job)
{
    if (!job)
        return;
    client_free(job->client);
    free(job);
}

enum target_policy target_policy(const struct capabilities *capabilities, const struct settings *settings,
                                 struct error *error)
{
    if (capabilities->keys == 0)
        return TARGET_USE;
    if (settings->flush_target)
        return TARGET_FLUSH;
    if (settings->on_conflict != ON_CONFLICT_UNSET)
        return TARGET_USE;
    char name[256];
    uri_display(&settings->target, name, sizeof name);
    error_fatal(
        error, EX_CANTCREAT,
        "target %s holds %llu keys. Choose: an empty target; --flush-target, which deletes them all; or "
        "--on-conflict overwrite|skip|stop, which says what to do with keys that are on both sides and "
        "leaves the others",
        name, (unsigned long long)capabilities->keys);
    return TARGET_REFUSED;
}
