/* Probing and flushing of the target: one connection that is closed again afterwards. */
#include "supervisor/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/client.h"
#include "common/log.h"
#include "worker/link.h"

struct target_job {
    const struct settings *settings;
    struct target_callbacks callbacks;
    struct client *client;
    struct capabilities capabilities;
    char name[256];
    enum target_task task;
    uint64_t session;
    struct target_marks marks;
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

static bool has_marks(const struct target_job *job)
{
    return job->settings->marks && !job->settings->target.null_sink;
}

static void on_claimed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    struct error error = {0};
    if (job->over)
        return;
    if (reply->type != REDIS_REPLY_ERROR) {
        done(job);
        return;
    }
    error_set(&error, ERROR_RETRY, "target %s does not take HSET: %.200s", job->name, reply->str);
    fail(job, &error);
}

static void claim(struct target_job *job)
{
    char key[160], session[24];
    if (!has_marks(job)) {
        done(job);
        return;
    }
    snprintf(key, sizeof key, "df2redis:%s", job->settings->name);
    snprintf(session, sizeof session, "%llu", (unsigned long long)job->session);
    client_words(job->client, job->settings->connect_timeout_ms, on_claimed, job, "HSET", key, MARK_RUN_FIELD, session, NULL);
}

static bool next_word(struct slice *text, struct slice *word)
{
    const uint8_t *blank = memchr(text->data, ' ', text->len);
    size_t n = blank ? (size_t)(blank - text->data) : text->len;
    *word = slice_of(text->data, n);
    n += blank ? 1 : 0;
    *text = slice_of(text->data + n, text->len - n);
    return word->len > 0;
}

/* flow-N: "<master id> <session> <seq> <lsn>", as workers write it. */
static bool read_mark(struct slice field, struct slice text, struct target_mark *out)
{
    static const char prefix[] = "flow-";
    struct slice id, session, seq, lsn;
    uint64_t flow;
    if (field.len < sizeof prefix || memcmp(field.data, prefix, sizeof prefix - 1) != 0 ||
        !slice_to_u64(slice_of(field.data + sizeof prefix - 1, field.len - (sizeof prefix - 1)), &flow) ||
        flow > UINT32_MAX || !next_word(&text, &id) || id.len != sizeof out->master_id - 1 ||
        !next_word(&text, &session) || !slice_to_u64(session, &out->session) || !next_word(&text, &seq) ||
        !next_word(&text, &lsn) || !slice_to_u64(lsn, &out->lsn))
        return false;
    out->flow = (uint32_t)flow;
    memcpy(out->master_id, id.data, id.len);
    out->master_id[id.len] = '\0';
    return true;
}

static void on_marks(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    if (job->over)
        return;
    /* Of another type, or not ours to read: then there are none. */
    size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
    job->marks.list = x_calloc(count ? count : 1, sizeof *job->marks.list);
    for (size_t i = 0; i < count; i++) {
        const redisReply *name = reply->element[2 * i], *value = reply->element[2 * i + 1];
        if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
            continue;
        struct slice field = slice_of(name->str, (size_t)name->len), text = slice_of(value->str, (size_t)value->len);
        if (slice_eq(field, slice_str(MARK_RUN_FIELD)))
            slice_to_u64(text, &job->marks.run_session);
        else if (read_mark(field, text, &job->marks.list[job->marks.count]))
            job->marks.count++;
    }
    done(job);
}

static void on_flushed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    struct error error = {0};
    if (job->over)
        return;
    if (reply->type == REDIS_REPLY_STATUS) {
        claim(job);
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
    char key[160];
    if (!capabilities_check(&job->capabilities, &error)) {
        fail(job, &error);
    } else if (job->task == TARGET_EMPTY) {
        client_words(job->client, 0, on_flushed, job, "FLUSHALL", NULL);
    } else if (job->task == TARGET_CLAIM) {
        claim(job);
    } else if (has_marks(job)) {
        snprintf(key, sizeof key, "df2redis:%s", job->settings->name);
        client_words(job->client, job->settings->connect_timeout_ms, on_marks, job, "HGETALL", key, NULL);
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

struct target_job *target_start(struct event_base *base, const struct settings *settings, enum target_task task,
                                uint64_t session, const struct target_callbacks *callbacks, struct error *error)
{
    struct target_job *job = x_calloc(1, sizeof *job);
    job->settings = settings;
    job->callbacks = *callbacks;
    job->task = task;
    job->session = session;
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
    free(job->marks.list);
    free(job);
}

const struct target_marks *target_marks_found(const struct target_job *job)
{
    return &job->marks;
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
