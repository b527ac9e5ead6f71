/* The second half of the probe, at the start of a run: evictions, memory, databases, rights.
 *
 *   INFO stats, INFO memory, SELECT 1 … where CONFIG GET was refused
 *   → EXEC, DISCARD, which the server must both refuse outside of a MULTI
 *   → MULTI → the first row (supervisor/rules/rights.c), which must be queued → the other rows, DISCARD
 *
 * Each step waits for the one before: without a MULTI the rows would be executed. If DISCARD is refused, the connection
 * stays within its MULTI, and its end discards the rows. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "supervisor/target/target_internal.h"

enum { SELECTS = 255 };

static void ask_node(struct target_node *n, client_reply on_reply, size_t argc, const struct slice *argv)
{
    client_command(n->client, n->job->settings->connect_timeout_ms, on_reply, n, argc, argv);
}

static bool node_is_over(const struct target_node *n)
{
    return n->job->over || n->away;
}

/* ---- rights ---- */

static void ask_row(struct target_node *n, size_t i, client_reply on_reply)
{
    struct slice argv[RIGHTS_MAX_ARGS];
    size_t argc = rights_row(&n->rights, i, n->mark_key, argv);
    ask_node(n, on_reply, argc, argv);
}

static void on_row(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    rights_answer(&n->rights, n->rights_told++, reply);
    if (n->rights_told == rights_rows(&n->rights) && n->no_discard && !node_is_over(n))
        n->job->node_probed(n);
}

static void on_discarded(struct client *c, const redisReply *reply, void *arg)
{
    (void)c, (void)reply;
    struct target_node *n = arg;
    if (!node_is_over(n))
        n->job->node_probed(n);
}

static void discard_rows(struct target_node *n)
{
    struct slice word = slice_str("DISCARD");
    ask_node(n, on_discarded, 1, &word);
}

static void on_first_row(struct client *c, const redisReply *reply, void *arg)
{
    struct target_node *n = arg;
    if (node_is_over(n))
        return;
    /* An error or QUEUED is fine. Any other answer: the command was executed, and the server took no MULTI. */
    n->rights.probed = reply->type == REDIS_REPLY_ERROR ||
                       (reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "QUEUED") == 0);
    on_row(c, reply, arg);
    for (size_t i = 1; n->rights.probed && i < rights_rows(&n->rights); i++)
        ask_row(n, i, on_row);
    if (!n->no_discard)
        discard_rows(n);
    else if (!n->rights.probed)
        n->job->node_probed(n);
}

/* True: refused by an ACL, or renamed. (EXEC says "EXECABORT Transaction discarded because of: NOPERM ...".) */
static bool is_refused(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR &&
           (strstr(reply->str, "NOPERM") || strstr(reply->str, "unknown command"));
}

static void on_multi(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    if (node_is_over(n))
        return;
    n->no_multi = is_refused(reply);
    if (reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0)
        ask_row(n, 0, on_first_row);
    else
        n->job->node_probed(n);
}

/* The answers to EXEC, then to DISCARD. */
static void on_outside(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    if (node_is_over(n))
        return;
    bool refused = is_refused(reply);
    n->strange |= !refused && !(reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "without MULTI"));
    *(n->outside_told++ ? &n->no_discard : &n->no_exec) = refused;
    if (n->outside_told < 2)
        return;
    struct slice word = slice_str("MULTI");
    if (!n->strange)
        ask_node(n, on_multi, 1, &word);
    else
        n->job->node_probed(n);
}

static void probe_rights(struct target_node *n)
{
    const struct target_job *job = n->job;
    struct slice exec = slice_str("EXEC"), discard_word = slice_str("DISCARD");
    rights_keys(&n->rights, job->settings);
    if (target_is_cluster(job))
        slot_mark_key(n->mark_key, sizeof n->mark_key, job->settings->name,
                      job->topology.nodes[n - job->nodes].first_slot);
    else
        snprintf(n->mark_key, sizeof n->mark_key, "df2redis:%s", job->settings->name);
    ask_node(n, on_outside, 1, &exec);
    ask_node(n, on_outside, 1, &discard_word);
}

/* ---- databases ---- */

static void on_selected_back(struct client *c, const redisReply *reply, void *arg)
{
    (void)c, (void)reply;
    struct target_node *n = arg;
    if (!node_is_over(n))
        probe_rights(n);
}

/* Databases are selected in ascending order; database 0 always exists. */
static void on_selected(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    bool there = reply->type == REDIS_REPLY_STATUS;
    bool forbidden = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0;
    n->selected += there && n->selected == n->select_asked;
    if (++n->select_asked < SELECTS || forbidden)
        return;
    n->capabilities.databases_told = true;
    n->capabilities.databases = n->selected + 1;
}

static void probe_databases(struct target_node *n)
{
    char number[12];
    struct slice argv[] = {slice_str("SELECT"), slice_str(number)};
    if (n->capabilities.databases_told || n->capabilities.cluster) {
        probe_rights(n);
        return;
    }
    for (unsigned i = 1; i <= SELECTS; i++) {
        argv[1].len = (size_t)snprintf(number, sizeof number, "%u", i);
        ask_node(n, on_selected, 2, argv);
    }
    argv[1].len = (size_t)snprintf(number, sizeof number, "%u", n->job->settings->target.db);
    ask_node(n, on_selected_back, 2, argv);
}

/* ---- memory ---- */

static void on_memory(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    if (node_is_over(n))
        return;
    if (reply->type == REDIS_REPLY_STRING) {
        struct slice info = slice_of(reply->str, (size_t)reply->len),
                     policy = info_field(info, "maxmemory_policy");
        slice_to_u64(info_field(info, "maxmemory"), &n->memory.limit);
        slice_to_u64(info_field(info, "used_memory"), &n->memory.used);
        slice_to_u64(info_field(info, "total_system_memory"), &n->memory.system);
        snprintf(n->memory.policy, sizeof n->memory.policy, "%.*s", (int)policy.len,
                 (const char *)policy.data);
    }
    probe_databases(n);
}

void target_node_take_evicted(struct target_node *n, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STRING)
        slice_to_u64(info_field(slice_of(reply->str, (size_t)reply->len), "evicted_keys"), &n->evicted);
}

static void on_stats(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct target_node *n = arg;
    if (!node_is_over(n))
        target_node_take_evicted(n, reply);
}

void target_node_probe_more(struct target_node *n)
{
    struct slice stats[] = {slice_str("INFO"), slice_str("stats")},
                 memory[] = {slice_str("INFO"), slice_str("memory")};
    ask_node(n, on_stats, 2, stats);
    ask_node(n, on_memory, 2, memory);
}

/* ---- the result ---- */

void target_findings(const struct target_job *job, bool flush_due, struct findings *out)
{
    findings_probe(out, "target rights", "its user may do all that the run needs");
    for (size_t i = 0; i < job->count; i++) {
        const struct target_node *n = &job->nodes[i];
        struct rights_context context = {.target = n->name,
                                         .run = job->settings->name,
                                         .marks = job->settings->marks,
                                         .flush_due = flush_due,
                                         .include = job->settings->include != NULL,
                                         .databases =
                                             !n->capabilities.cluster && n->capabilities.databases > 1,
                                         .cluster = n->capabilities.cluster,
                                         .valkey = n->capabilities.kind == SERVER_VALKEY};
        if (target_is_cluster(job) && !job->topology.nodes[i].slots)
            continue;
        if (n->no_multi && job->settings->marks)
            findings_refuse(
                out, EX_NOPERM,
                "target %s: its user may not run MULTI, which the probe of its other rights needs: give it "
                "at least +@transaction; enough for everything is: ~* " RIGHTS_ENOUGH "%s%s",
                n->name, n->capabilities.search_again ? " " RIGHTS_ENOUGH_WITH_SEARCH : "",
                n->capabilities.cluster ? " " RIGHTS_ENOUGH_IN_CLUSTER : "");
        else if ((n->no_exec || n->no_discard) && job->settings->marks)
            findings_refuse(out, EX_NOPERM, "target %s: its user may not end transactions: give it%s%s",
                            n->name, n->no_exec ? " +exec" : "", n->no_discard ? " +discard" : "");
        if (!n->rights.probed && !(n->no_multi && job->settings->marks))
            findings_warn(out, "target %s: the rights of its user cannot be probed: it takes no MULTI",
                          n->name);
        rights_judge(&n->rights, &context, out);
    }
    if (job->slots_refused && !out->errors)
        findings_refuse(out, EX_NOPERM,
                        "target %s: its user may not ask for the cluster's nodes: give it +cluster|slots "
                        "+cluster|nodes",
                        job->name);
}

void target_memory(const struct target_job *job, struct target_memory *out)
{
    bool unlimited = false;
    *out = (struct target_memory){0};
    for (size_t i = 0; i < job->count; i++) {
        const struct target_memory *m = &job->nodes[i].memory;
        if (target_is_cluster(job) && !job->topology.nodes[i].slots)
            continue;
        bool evicts = m->policy[0] && strcmp(m->policy, "noeviction") != 0;
        if (!out->policy[0] || evicts)
            memcpy(out->policy, m->policy, sizeof out->policy);
        out->used += m->used;
        out->system += m->system;
        out->limit += m->limit;
        unlimited |= m->limit == 0;
    }
    out->limit = unlimited ? 0 : out->limit;
}

void target_each_process(const struct target_job *job,
                         void (*tell)(void *arg, const char *run_id, uint64_t evicted), void *arg)
{
    for (size_t i = 0; i < job->count; i++)
        if (!job->nodes[i].away)
            tell(arg, job->nodes[i].capabilities.run_id, job->nodes[i].evicted);
}
