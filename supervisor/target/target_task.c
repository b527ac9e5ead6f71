/* The task on a target whose nodes are known: read the marks, ask the caller for the order, flush, ask what was evicted
 * until then, claim.
 *
 * An empty target is claimed without a flush, by a script that counts the keys again and refuses when there are any. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/redis/marks.h"
#include "supervisor/target/target_internal.h"

static bool has_marks(const struct target_job *job)
{
    return job->settings->marks && !job->settings->target.null_sink;
}

static void run_key(const struct target_job *job, char *out)
{
    snprintf(out, SLOT_KEY_BYTES, "df2redis:%s", job->settings->name);
}

/* The node that serves the hash without a tag. */
static struct target_node *run_node(struct target_job *job)
{
    char key[SLOT_KEY_BYTES];
    run_key(job, key);
    return &job->nodes[target_is_cluster(job) ? job->topology.owner[key_slot(slice_str(key))] : 0];
}

/* True: an error of a cluster in the middle of a change. A new attempt finds the new master. */
static bool error_may_pass(const struct target_job *job, const redisReply *reply)
{
    static const char *const words[] = {"MOVED ",    "ASK ",     "TRYAGAIN ",  "CLUSTERDOWN ",
                                        "READONLY ", "LOADING ", "MASTERDOWN "};
    for (size_t i = 0;
         target_is_cluster(job) && reply->type == REDIS_REPLY_ERROR && i < sizeof words / sizeof *words; i++)
        if (strncmp(reply->str, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* ---- claiming ---- */

/* Returns the number of keys besides the run's marks. Claims the target if there are none. ARGV: the session, the
 * database. */
static const char claim_script[] =
    "local n=-redis.call('EXISTS',KEYS[1]) local h=redis.call('HGETALL',KEYS[1]) for i=1,#h,2 do "
    "local d=string.match(h[i],'^" MARK_DATABASE_PATTERN "$') if d then redis.call('SELECT',d) "
    "n=n-redis.call('EXISTS',KEYS[1]..'" MARK_DATABASE_SUFFIX "') end end redis.call('SELECT',ARGV[2]) "
    "for k in string.gmatch(redis.call('INFO','keyspace'),':keys=(%d+)') do n=n+tonumber(k) end "
    "if n<=0 then redis.call('HSET',KEYS[1],'" MARK_RUN_FIELD "',ARGV[1]) return 0 end return n";

static void on_claimed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    struct error error = {0};
    if (n->job->over)
        return;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0)
        error_fatal(
            &error, EX_NOPERM,
            "target %s refuses the run's mark, the hash df2redis:%s: %.200s; give its user the right to "
            "write it",
            n->name, n->job->settings->name, reply->str);
    else if (reply->type == REDIS_REPLY_ERROR)
        error_set(&error, ERROR_RETRY, "target %s refuses HSET: %.200s", n->name, reply->str);
    if (error.class == ERROR_NONE)
        target_done(n->job);
    else
        target_fail(n->job, &error);
}

static void claim_target(struct target_job *job, bool empty);

static void on_empty_claimed(struct client *c, const redisReply *reply, void *arg)
{
    struct target_node *n = arg;
    struct error error = {0};
    if (n->job->over)
        return;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "ERR ", 4) == 0) {
        claim_target(n->job,
                     false); /* no INFO within scripts on this server; its keys were counted a moment ago */
        return;
    }
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer == 0) {
        on_claimed(c, reply, arg);
        return;
    }
    /* The next attempt counts them. */
    error_set(&error, ERROR_RETRY, "target %s was empty, and holds %lld keys now", n->name, reply->integer);
    target_fail(n->job, &error);
}

static void claim_target(struct target_job *job, bool empty)
{
    char key[SLOT_KEY_BYTES], session[24], database[24];
    if (!has_marks(job)) {
        target_done(job);
        return;
    }
    struct target_node *n = run_node(job);
    uint32_t timeout_ms = job->settings->connect_timeout_ms;
    run_key(job, key);
    snprintf(session, sizeof session, "%llu", (unsigned long long)job->session);
    snprintf(database, sizeof database, "%u", (unsigned)job->settings->target.db);
    if (empty && job->capabilities.scripts)
        client_words(n->client, timeout_ms, on_empty_claimed, n, "EVAL", claim_script, "1", key, session,
                     database, NULL);
    else
        client_words(n->client, timeout_ms, on_claimed, n, "HSET", key, MARK_RUN_FIELD, session, NULL);
}

/* ---- evictions before the copy ---- */

static void on_evictions(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    if (n->job->over)
        return;
    target_node_take_evicted(n, reply);
    if (target_answered(n->job))
        claim_target(n->job, n->job->empty);
}

/* The target is empty. One that was full may have evicted up to the flush, and by it. */
static void ask_evictions(struct target_job *job)
{
    job->pending = target_nodes_there(job);
    for (size_t i = 0; i < job->count; i++)
        if (!job->nodes[i].away)
            client_words(job->nodes[i].client, job->settings->connect_timeout_ms, on_evictions,
                         &job->nodes[i], "INFO", "stats", NULL);
}

/* ---- flushing ---- */

static void on_flushed(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    struct target_job *job = n->job;
    struct error error = {0};
    if (job->over)
        return;
    if (reply->type == REDIS_REPLY_STATUS) {
        if (target_answered(job))
            ask_evictions(job);
        return;
    }
    if (error_may_pass(job, reply))
        error_set(&error, ERROR_RETRY, "target %s refuses FLUSHALL: %.200s", n->name, reply->str);
    else
        error_fatal(&error, EX_NOPERM,
                    "target %s refuses FLUSHALL: %.200s; flush it yourself, or give its user +flushall",
                    n->name, reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
    target_fail(job, &error);
}

static void flush_target(struct target_job *job)
{
    job->pending = target_nodes_there(job);
    for (size_t i = 0; i < job->count; i++)
        if (!job->nodes[i].away)
            client_words(job->nodes[i].client, 0, on_flushed, &job->nodes[i], "FLUSHALL", NULL);
}

/* ---- the order ---- */

static void carry_out_order(struct target_job *job)
{
    if (job->task == TARGET_ASK) {
        target_done(job);
        return;
    }
    switch (job->callbacks.decide(target_keys_found(job), &job->marks, job->callbacks.arg)) {
    case TARGET_LEAVE:
        job->over = true;
        break;
    case TARGET_CLAIM_EMPTY:
        job->empty = true;
        ask_evictions(job);
        break;
    case TARGET_CLAIM:
        claim_target(job, false);
        break;
    case TARGET_FLUSH:
        job->empty = false;
        flush_target(job);
        break;
    }
}

/* ---- marks ---- */

static void on_all_marks_read(struct target_job *job)
{
    if (target_is_cluster(job)) {
        struct target_marks *all = x_calloc(job->count, sizeof *all);
        size_t serving = 0;
        for (size_t i = 0; i < job->count; i++)
            if (job->topology.nodes[i].slots)
                all[serving++] = job->nodes[i].marks;
        target_marks_common(&job->marks, all, serving);
        free(all);
    }
    carry_out_order(job);
}

static void on_marks(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    if (job->over)
        return;
    target_marks_read(&job->marks, reply);
    if (target_answered(job))
        on_all_marks_read(job);
}

static void on_node_marks(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    struct target_job *job = n->job;
    if (job->over)
        return;
    target_marks_read_node(&n->marks, reply, job->topology.nodes[n - job->nodes].fingerprint);
    if (target_answered(job))
        on_all_marks_read(job);
}

static void read_marks(struct target_job *job)
{
    char key[SLOT_KEY_BYTES];
    uint32_t timeout_ms = job->settings->connect_timeout_ms;
    job->pending = 1;
    run_key(job, key);
    client_words(run_node(job)->client, timeout_ms, on_marks, job, "HGETALL", key, NULL);
    for (size_t i = 0; target_is_cluster(job) && i < job->count; i++) {
        if (!job->topology.nodes[i].slots)
            continue;
        job->pending++;
        slot_mark_key(key, sizeof key, job->settings->name, job->topology.nodes[i].first_slot);
        client_words(job->nodes[i].client, timeout_ms, on_node_marks, &job->nodes[i], "HGETALL", key, NULL);
    }
}

void target_perform(struct target_job *job)
{
    if (job->task == TARGET_CLEAN)
        target_clean(job);
    else if (has_marks(job))
        read_marks(job);
    else
        carry_out_order(job);
}
