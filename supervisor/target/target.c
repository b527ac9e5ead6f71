/* A job at the target: a connection to the seed; in a cluster one to each master; the task; the end.
 *
 *   ask the URI ──standalone──────────────────────────────────> task ──> done
 *        └──a cluster──> CLUSTER SLOTS, NODES ──> probe every master ──^
 *   (after a failure of TARGET_ASK that may pass, in a cluster: again from the beginning)
 *   (after a replica, if the URI's host has several addresses: the next address) */
#include "supervisor/target/target.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/target/target_internal.h"

enum { PATIENCE_MS = 60000 };

static void start_attempt(struct target_job *job);

/* ---- another attempt ---- */

static void close_nodes(struct target_job *job)
{
    for (size_t i = 0; i < job->count; i++)
        target_node_close(&job->nodes[i]);
    free(job->nodes);
    job->nodes = NULL;
    job->count = 0;
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct target_job *job = arg;
    close_nodes(job);
    job->over = false;
    if (!job->next_address)
        job->seed = (job->seed + 1) % target_seeds(job);
    job->next_address = false;
    topology_free(&job->topology);
    start_attempt(job);
}

static void remember_masters(struct target_job *job)
{
    if (!job->known || !target_is_cluster(job))
        return;
    topology_free(job->known);
    *job->known = job->topology;
    job->known->nodes = x_calloc(job->topology.count, sizeof *job->known->nodes);
    job->known->count = 0;
    for (size_t i = 0; i < job->topology.count; i++)
        if (job->topology.nodes[i].slots) /* one without may have been forgotten by the cluster */
            job->known->nodes[job->known->count++] = job->topology.nodes[i];
}

/* ---- all nodes are known ---- */

static void check_and_perform(struct target_job *job)
{
    struct error error = {0};
    bool lone_replica = job->capabilities.replica && !job->capabilities.cluster;
    if (lone_replica && target_ask_next_address(job))
        return;
    if (!capabilities_check(&job->capabilities, &error)) {
        if (lone_replica &&
            job->task == TARGET_PREPARE) /* a master when the run began, and perhaps again soon */
            error.class = ERROR_RETRY;
        if (lone_replica && job->address_count > 1)
            target_no_master_found(job, &error);
        else if (job->task == TARGET_ASK)
            target_done(job); /* the caller checks the capabilities itself */
        else
            target_fail(job, &error);
        return;
    }
    remember_masters(job);
    job->begun = true;
    target_perform(job);
}

/* False and *error: a failover has made the master a replica meanwhile. */
static bool node_is_master(const struct target_node *n, struct error *error)
{
    if (!n->capabilities.replica)
        return true;
    return error_set(error, ERROR_RETRY, "target %s has become a replica of %s", n->name,
                     n->capabilities.master_text);
}

/* ---- unreachable masters without slots ---- */

static void on_move(void *arg, uint16_t slot, bool importing, const char *id)
{
    (void)slot;
    struct target_job *job = arg;
    struct error error = {0};
    size_t node = topology_find(&job->topology, id);
    if (importing || node == TOPOLOGY_NOBODY || !job->nodes[node].away)
        return;
    error_set(
        &error, ERROR_RETRY,
        "target %s, a master without slots, cannot be reached, and a slot whose keys must be deleted is "
        "migrating to it: bring it back, or close the slot (redis-cli --cluster fix)",
        job->nodes[node].name);
    target_fail(job, &error);
}

static void on_moves(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    if (n->job->over)
        return;
    topology_each_move(reply, on_move, n->job);
    if (!target_answered(n->job))
        return;
    for (size_t i = 0; i < n->job->count; i++)
        if (n->job->nodes[i].away)
            log_warning("target %s, a master without slots, cannot be reached and is not flushed; no slot is "
                        "migrating "
                        "to it",
                        n->job->nodes[i].name);
    check_and_perform(n->job);
}

/* A flush must not leave out a master to which keys of a migrating slot have gone already. */
static void ask_moves(struct target_job *job)
{
    job->pending = 0;
    for (size_t i = 0; i < job->count; i++) {
        if (!job->topology.nodes[i].slots)
            continue;
        job->pending++;
        client_words(job->nodes[i].client, job->settings->connect_timeout_ms, on_moves, &job->nodes[i],
                     "CLUSTER", "NODES", NULL);
    }
}

/* The capabilities of masters without slots do not count. */
static void join_masters(struct target_job *job)
{
    struct error error = {0};
    uint64_t keys = 0;
    bool first = true;
    for (size_t i = 0; i < job->count; i++) {
        struct target_node *n = &job->nodes[i];
        if (!job->topology.nodes[i].slots) {
            keys += n->away ? 0 : n->capabilities.keys;
            continue;
        }
        if (!node_is_master(n, &error)) {
            target_fail(job, &error);
            return;
        }
        if (first)
            job->capabilities = n->capabilities;
        else
            capabilities_merge(&job->capabilities, &n->capabilities);
        first = false;
    }
    job->capabilities.keys += keys;
    if (job->task == TARGET_PREPARE && target_nodes_there(job) < job->count)
        ask_moves(job);
    else
        check_and_perform(job);
}

static void on_node_failed(struct target_node *n, const struct error *error);

static void connect_to_masters(struct target_job *job)
{
    struct error error = {0};
    close_nodes(job);
    job->nodes = x_calloc(job->topology.count, sizeof *job->nodes);
    job->pending = job->topology.count;
    for (size_t i = 0; i < job->topology.count; i++) {
        struct uri uri = {0};
        topology_uri(&job->topology, i, &job->settings->target, &uri);
        bool ok = target_node_open(&job->nodes[i], job, &uri, &error);
        job->count++;
        uri_free(&uri);
        if (!ok)
            on_node_failed(&job->nodes[i], &error);
        if (job->over)
            return;
    }
}

static void seed_uri(const struct target_job *job, struct uri *out)
{
    if (job->seed)
        topology_uri(job->known, job->seed - 1, &job->settings->target, out);
    else if (job->address < job->address_count)
        uri_copy(out, &job->addresses[job->address]);
    else
        uri_copy(out, &job->settings->target);
}

static void on_slots(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    struct error error = {0};
    struct uri asked = {0};
    if (job->over)
        return;
    if (job->task == TARGET_ASK && reply->type == REDIS_REPLY_ERROR &&
        strncmp(reply->str, "NOPERM", 6) == 0) {
        job->slots_refused = true;
        target_done(job); /* target_findings() names it beside the node's other rights */
        return;
    }
    seed_uri(job, &asked);
    if (!topology_parse(&job->topology, reply, &asked, &error) || !topology_complete(&job->topology, &error))
        target_fail(job, &error);
    uri_free(&asked);
}

/* An empty master may hold keys of a slot that is migrating to it. Without permission for CLUSTER NODES we do not learn
 * about empty masters. */
static void on_masters(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_job *job = arg;
    struct uri asked = {0};
    if (job->over)
        return;
    seed_uri(job, &asked);
    topology_add_idle(&job->topology, reply, &asked);
    uri_free(&asked);
    connect_to_masters(job);
}

/* True: an empty master, which the task can do without (a flush checks that no slot is migrating to it). */
static bool may_be_away(const struct target_node *n)
{
    const struct target_job *job = n->job;
    return target_is_cluster(job) && !job->topology.nodes[n - job->nodes].slots &&
           n->answered < CAPABILITIES_COMMANDS;
}

static void on_node_failed(struct target_node *n, const struct error *error)
{
    struct target_job *job = n->job;
    if (job->over || n->away)
        return;
    n->away = may_be_away(n);
    if (!n->away)
        target_fail(job, error);
    else if (target_answered(job))
        join_masters(job);
}

static void on_node_probed(struct target_node *n)
{
    struct target_job *job = n->job;
    if (target_is_cluster(job)) {
        if (target_answered(job))
            join_masters(job);
    } else if (n->capabilities.cluster && n->capabilities.kind != SERVER_OTHER) {
        /* The slots are not known yet; a failure may pass. */
        job->deadline_ms = job->deadline_ms ? job->deadline_ms : clock_monotonic_ms() + PATIENCE_MS;
        client_words(n->client, job->settings->connect_timeout_ms, on_slots, job, "CLUSTER", "SLOTS", NULL);
        client_words(n->client, job->settings->connect_timeout_ms, on_masters, job, "CLUSTER", "NODES", NULL);
    } else {
        job->capabilities = n->capabilities;
        check_and_perform(job);
    }
}

/* ---- the beginning ---- */

static bool connect_to_seed(struct target_job *job, struct error *error)
{
    struct uri uri = {0};
    seed_uri(job, &uri);
    job->nodes = x_calloc(1, sizeof *job->nodes);
    bool ok = target_node_open(job->nodes, job, &uri, error);
    job->count = 1;
    uri_free(&uri);
    return ok;
}

static void start_attempt(struct target_job *job)
{
    struct error error = {0};
    if (!connect_to_seed(job, &error))
        target_fail(job, &error);
}

struct target_job *target_start(struct event_base *base, const struct settings *settings,
                                enum target_task task, uint64_t session, struct topology *known,
                                const struct target_callbacks *callbacks, struct error *error)
{
    struct target_job *job = x_calloc(1, sizeof *job);
    *job = (struct target_job){.base = base,
                               .settings = settings,
                               .callbacks = *callbacks,
                               .task = task,
                               .session = session,
                               .known = known,
                               .node_probed = on_node_probed,
                               .node_failed = on_node_failed};
    uri_display(&settings->target, job->name, sizeof job->name);
    job->again = evtimer_new(base, on_again, job);
    if (!job->again || !connect_to_seed(job, error)) {
        target_free(job);
        return NULL;
    }
    return job;
}

void target_free(struct target_job *job)
{
    if (!job)
        return;
    close_nodes(job);
    for (size_t i = 0; i < job->address_count; i++)
        uri_free(&job->addresses[i]);
    if (job->again)
        event_free(job->again);
    target_marks_free(&job->marks);
    topology_free(&job->topology);
    free(job);
}
