/* A cluster of three masters on this machine: against three raw pipes at the same time, each fed its own
 * master's share; and a worker's CPU time against the same keys into one server. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/bench/measure.h"
#include "tests/bench/live.h"
#include "tests/support/raw_pipe.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/usage.h"

enum { MASTERS = 3, ROUNDS_MAX = 31, SAMPLE_MS = 5, DEADLINE_MS = 600000, LAST_KEYS_MAX = 64 };
#define TIME_LIMIT 1.3
#define CPU_LIMIT 1.3

struct figures {
    double raw_s[ROUNDS_MAX], ours_s[ROUNDS_MAX], cpu_s[ROUNDS_MAX], alone_cpu_s[ROUNDS_MAX];
};

struct shape {
    const char *what, *kind; /* of the keys */
    struct generate_options generate;
    bool journal;
    uint64_t count;
};

static struct redis_cluster cluster;
static struct topology topology;
static redisContext *masters[MASTERS]; /* in the topology's order */

/* ---- raw ---- */

static bool is_of_node(void *arg, struct slice key)
{
    return topology.owner[key_slot(key)] == *(size_t *)arg;
}

struct sender {
    struct raw_pipe pipe;
    uint16_t port;
    pthread_t thread;
};

static void *send_share(void *arg)
{
    struct sender *s = arg;
    raw_pipe_run(&s->pipe, s->port);
    return NULL;
}

/* From the first one's begin to the last one's end. */
static double raw_seconds(struct sender *senders)
{
    redis_cluster_each(&cluster, "FLUSHALL");
    double begin = now_s();
    for (size_t i = 0; i < MASTERS; i++)
        if (pthread_create(&senders[i].thread, NULL, send_share, &senders[i]) != 0)
            die("no thread");
    for (size_t i = 0; i < MASTERS; i++)
        pthread_join(senders[i].thread, NULL);
    return now_s() - begin;
}

/* ---- df2redis ---- */

static struct scripted_options source_of(const struct shape *s)
{
    struct scripted_options options;
    scripted_options_init(&options);
    options.trust_acks = true;
    scripted_options_add(&options, generate_session(&s->generate, NULL));
    return options;
}

static bool has_last_key(redisContext *const *servers, bool in_cluster, const struct shape *s, uint64_t back)
{
    char words[80], *key = format_text("%s:%llu", s->kind, (unsigned long long)(s->count - 1 - back));
    snprintf(words, sizeof words, "EXISTS %s", key);
    bool there =
        server_integer(servers[in_cluster ? topology.owner[key_slot(slice_str(key))] : 0], words) == 1;
    free(key);
    return there;
}

static bool is_complete(redisContext *const *servers, size_t count, const struct shape *s)
{
    uint64_t keys = 0;
    for (size_t i = 0; i < count; i++)
        keys += (uint64_t)server_integer(servers[i], "DBSIZE");
    bool all = keys >= s->count;
    for (uint64_t back = 0; all && back < s->generate.flows && back < LAST_KEYS_MAX; back++)
        all = has_last_key(servers, count > 1, s, back);
    return all;
}

/* Starts it, and waits until the target has every key. */
static double measure(struct run *run, redisContext *const *servers, size_t count, const struct shape *s,
                      double *cpu_s)
{
    run_replicate(run, NULL);
    struct usage usage = {.parent = run->program.process.pid};
    double deadline = now_s() + DEADLINE_MS / 1000.0;
    while (!is_complete(servers, count, s)) {
        usage_sample(&usage);
        if (now_s() > deadline || !process_running(&run->program.process)) {
            df2redis_print(&run->program);
            die("the target did not become complete");
        }
        poll(NULL, 0, SAMPLE_MS);
    }
    double end = now_s();
    usage_sample(&usage);
    *cpu_s = usage_cpu_s(&usage);
    if (*scripted_violation(run->source))
        die("protocol violation: %s", scripted_violation(run->source));
    const char *since = s->journal ? "DFLY STARTSTABLE" : "DFLY SYNC";
    return end - (double)scripted_time_us(run->source, NULL, since, 0) / 1e6;
}

static double cluster_seconds(const struct shape *s, double *cpu_s)
{
    struct run run;
    struct scripted_options options = source_of(s);
    redis_cluster_each(&cluster, "FLUSHALL");
    run_begin_in(&run, &cluster, &options);
    double seconds = measure(&run, masters, MASTERS, s, cpu_s);
    run_end(&run);
    return seconds;
}

static double alone_seconds(const struct shape *s, double *cpu_s)
{
    struct run run;
    struct scripted_options options = source_of(s);
    run_begin(&run, &options);
    redisContext *server = server_connect(run.target.port);
    double seconds = measure(&run, &server, 1, s, cpu_s);
    redisFree(server);
    run_end(&run);
    return seconds;
}

/* ---- rows ---- */

static bool print_ratio(const char *what, const char *of, double ratio, double limit)
{
    bool kept = ratio <= limit;
    printf("%-46s %-34s %8.2f   <= %.2f%s\n", what, of, ratio, limit, kept ? "" : "   NOT KEPT");
    fflush(stdout);
    return kept;
}

static bool row(const struct shape *s, unsigned rounds)
{
    static struct sender senders[MASTERS];
    static struct figures f;
    struct raw_pipe all;
    if (s->journal)
        raw_pipe_journal(&all, &s->generate);
    else
        raw_pipe_snapshot(&all, &s->generate);
    for (size_t i = 0; i < MASTERS; i++) {
        raw_pipe_share(&senders[i].pipe, &all, is_of_node, &i);
        senders[i].port = topology.nodes[i].port;
    }
    raw_pipe_free(&all);
    for (unsigned i = 0; i < rounds; i++) {
        f.raw_s[i] = raw_seconds(senders);
        f.ours_s[i] = cluster_seconds(s, &f.cpu_s[i]);
        alone_seconds(s, &f.alone_cpu_s[i]);
    }
    for (size_t i = 0; i < MASTERS; i++)
        raw_pipe_free(&senders[i].pipe);
    double raw_s = median_of(f.raw_s, rounds), ours_s = median_of(f.ours_s, rounds);
    double cpu_s = median_of(f.cpu_s, rounds), alone_s = median_of(f.alone_cpu_s, rounds);
    printf("%s: %u raw pipes %.3f s, df2redis %.3f s; workers' CPU %.3f s, into one server %.3f s\n", s->what,
           MASTERS, raw_s, ours_s, cpu_s, alone_s);
    bool kept = print_ratio(s->what, "time against three raw pipes", ours_s / raw_s, TIME_LIMIT);
    return print_ratio(s->what, "CPU against one server", cpu_s / alone_s, CPU_LIMIT) && kept;
}

bool bench_cluster(unsigned rounds, unsigned percent, unsigned flows)
{
    struct shape full = {.what = "full sync, 1M strings into 3 masters", .kind = "string"}, journal;
    uint64_t count = 10000ull * percent;
    if (rounds > ROUNDS_MAX)
        rounds = ROUNDS_MAX;
    generate_options_init(&full.generate);
    full.generate.flows = flows;
    full.count = count;
    journal = full;
    full.generate.strings = count;
    journal.what = "journal, 1M SETs into 3 masters";
    journal.kind = "journal";
    journal.journal = true;
    journal.generate.journal_sets = count;
    redis_cluster_start(&cluster, MASTERS, 0);
    if (!redis_cluster_topology(&cluster, &topology) || topology.count != MASTERS)
        die("a cluster of %d masters is not one", MASTERS);
    for (size_t i = 0; i < MASTERS; i++)
        masters[i] = server_connect(topology.nodes[i].port);
    bool kept = row(&full, rounds);
    kept &= row(&journal, rounds);
    for (size_t i = 0; i < MASTERS; i++)
        redisFree(masters[i]);
    topology_free(&topology);
    redis_cluster_stop(&cluster);
    return kept;
}
