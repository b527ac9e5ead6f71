/* Beside a real Dragonfly's own replica: how late a single write is visible, and how long after a burst the
 * copy is whole. The replica and df2redis take turns as the only copy. */
#include "tests/bench/measure.h"
#include "tests/bench/live.h"

#include <stdlib.h>

#include "tests/support/raw_pipe.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { SHARDS = 2, WRITES = 300, BURST = 500000, ROUNDS_MAX = 31, BURST_DEADLINE_MS = 120000 };

struct pair {
    struct run run;
    struct server replica;
    uint16_t copy; /* port of what follows the master */
};

static bool replica_is_up(void *arg)
{
    redisContext *c = server_connect(*(uint16_t *)arg);
    char *link = server_info(c, "replication", "master_link_status");
    char *syncing = server_info(c, "replication", "master_sync_in_progress");
    bool up = link && strcmp(link, "up") == 0 && (!syncing || strcmp(syncing, "0") == 0);
    free(link);
    free(syncing);
    redisFree(c);
    return up;
}

static void begin(struct pair *p, bool own)
{
    run_begin(&p->run, NULL);
    dragonfly_start(&p->run.dragonfly, SHARDS, NULL);
    p->replica = (struct server){0};
    p->copy = p->run.target.port;
    if (own) {
        run_replicate(&p->run, NULL);
        if (!df2redis_wait_in_step(&p->run.program, RUN_DEADLINE_MS))
            die("df2redis does not come into step with Dragonfly");
        return;
    }
    dragonfly_start(&p->replica, SHARDS, NULL);
    p->copy = p->replica.port;
    redisContext *c = server_connect(p->copy);
    char *follow = format_text("REPLICAOF 127.0.0.1 %u", p->run.dragonfly.port);
    server_ok(c, follow);
    free(follow);
    redisFree(c);
    if (!wait_until(replica_is_up, &p->copy, RUN_DEADLINE_MS))
        die("the Dragonfly replica does not come up");
}

static void end(struct pair *p)
{
    if (p->replica.dir)
        server_stop(&p->replica);
    run_end(&p->run);
}

/* One write at a time, until it can be read from the copy: the median in ms. */
static double latency_ms(bool own)
{
    struct pair p;
    double ms[WRITES];
    begin(&p, own);
    redisContext *source = server_connect(p.run.dragonfly.port), *copy = server_connect(p.copy);
    for (size_t i = 0; i < WRITES; i++) {
        char *set = format_text("SET latency:%zu x", i), *exists = format_text("EXISTS latency:%zu", i);
        double from = now_s();
        server_ok(source, set);
        while (!server_integer(copy, exists))
            ;
        ms[i] = (now_s() - from) * 1000;
        free(set);
        free(exists);
    }
    redisFree(source);
    redisFree(copy);
    end(&p);
    return median_of(ms, WRITES);
}

struct awaited {
    redisContext *copy;
    uint64_t keys;
};

static bool all_there(void *arg)
{
    struct awaited *a = arg;
    return server_keys(a->copy) >= a->keys;
}

/* From the last answer of the master until the copy has every key. */
static double burst_s(bool own)
{
    struct pair p;
    struct raw_pipe pipe = {0};
    struct generate_options g;
    generate_options_init(&g);
    g.journal_sets = BURST;
    begin(&p, own);
    raw_pipe_journal(&pipe, &g);
    raw_pipe_run(&pipe, p.run.dragonfly.port);
    double from = now_s();
    redisContext *source = server_connect(p.run.dragonfly.port);
    struct awaited a = {server_connect(p.copy), server_keys(source)};
    if (!wait_until(all_there, &a, BURST_DEADLINE_MS))
        die("the copy does not get whole after a burst");
    double seconds = now_s() - from;
    redisFree(source);
    redisFree(a.copy);
    raw_pipe_free(&pipe);
    end(&p);
    return seconds;
}

bool bench_live(unsigned rounds)
{
    double latency[2][ROUNDS_MAX], burst[2][ROUNDS_MAX];
    if (!dragonfly_available()) {
        printf("live rows: skipped, DF2REDIS_TEST_DRAGONFLY names no Dragonfly\n");
        return true;
    }
    for (unsigned i = 0; i < rounds; i++)
        for (int own = 0; own < 2; own++) {
            latency[own][i] = latency_ms(own);
            burst[own][i] = burst_s(own);
        }
    double theirs_ms = median_of(latency[0], rounds), ours_ms = median_of(latency[1], rounds);
    double theirs_s = median_of(burst[0], rounds), ours_s = median_of(burst[1], rounds);
    bool kept = ours_ms <= theirs_ms + 1 && ours_s <= theirs_s;
    printf("live, p50 until a write is visible: Dragonfly replica %.1f ms, df2redis %.1f ms (limit: 1 ms "
           "more)\n",
           theirs_ms, ours_ms);
    printf("live, whole after a burst of 500,000 SETs: Dragonfly replica %.3f s, df2redis %.3f s (limit: no "
           "later)%s\n",
           theirs_s, ours_s, kept ? "" : "   NOT KEPT");
    return kept;
}
