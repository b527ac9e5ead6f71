/* Everything that is known to happen to a target, to a link and to processes. */
#include "tests/soak/faults.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/support/kills.h"
#include "tests/support/testing.h"

enum { TURN_MS = 20 };

static const char *const with_data[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};

static bool has_begun(void *arg)
{
    struct soak *s = arg;
    return !process_running(&s->run.program.process) ||
           df2redis_status_number(&s->run.program, "sessions") > 0;
}

void soak_start_program(struct soak *s)
{
    /* What a killed one left in the target is not refused. */
    static const char *const extra[] = {"--flush-target", "--ring-size", "4m", NULL};
    const char *source = s->live ? proxy_uri(s->to_source) : scripted_uri(s->run.source);
    df2redis_start(&s->run.program, "replicate", source, proxy_uri(s->to_target), extra);
    s->starts++;
    /* A start into a target that is in trouble is refused, as it should be. */
    wait_until(has_begun, s, RUN_DEADLINE_MS);
}

bool soak_go_on(struct soak *s, uint32_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;
    do {
        if (!s->live)
            journal_script_append(&s->script, s->run.source, 1 + (uint32_t)random_below(&s->random, 60));
        poll(NULL, 0, TURN_MS); /* the pace of the load */
    } while (clock_monotonic_ms() < end_ms && process_running(&s->run.program.process));
    return process_running(&s->run.program.process);
}

static uint32_t some_ms(struct soak *s, uint32_t least, uint32_t most)
{
    return least + (uint32_t)random_below(&s->random, most - least);
}

/* Whatever state the target is in, its answer does not matter. */
static void tell(struct soak *s, const char *command)
{
    struct timeval limit = {2, 0};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", s->run.target.port, limit);
    if (c && !c->err) {
        redisSetTimeout(c, limit);
        redisReply *r = redisCommand(c, command);
        if (r)
            freeReplyObject(r);
    }
    if (c)
        redisFree(c);
}

static void kill_one(struct soak *s)
{
    pid_t pid = worker_pid(&s->run.program, (uint32_t)random_below(&s->random, s->flows));
    if (pid > 0)
        kill(pid, SIGKILL);
}

static void kill_workers(struct soak *s)
{
    for (uint32_t f = 0; f < s->flows; f++) {
        pid_t pid = worker_pid(&s->run.program, f);
        if (pid > 0)
            kill(pid, SIGKILL);
    }
}

static void kill_supervisor(struct soak *s)
{
    process_signal(&s->run.program.process, SIGKILL);
    process_wait(&s->run.program.process, 10000);
    soak_start_program(s);
}

static void kill_all(struct soak *s)
{
    kill_workers(s);
    kill_supervisor(s);
}

static void cut_source(struct soak *s)
{
    if (s->live)
        proxy_cut(s->to_source);
    else
        scripted_cut_all(s->run.source);
}

static void cut_target(struct soak *s)
{
    proxy_cut(s->to_target);
}

static void cut_target_anywhere(struct soak *s)
{
    proxy_cut_after(s->to_target, 1000 + random_below(&s->random, 100000));
    soak_go_on(s, some_ms(s, 200, 2000));
    proxy_cut_after(s->to_target, 0);
}

static void kill_clients(struct soak *s)
{
    tell(s, "CLIENT KILL TYPE normal");
}

static void restart_target(struct soak *s)
{
    redis_restart(&s->run.target, with_data);
}

static void run_shell(const char *format, const char *dir)
{
    char *line = format_text(format, dir, dir, dir);
    if (system(line) != 0)
        die("%s", line);
    free(line);
}

static void restart_target_empty(struct soak *s)
{
    process_stop(&s->run.target.process);
    run_shell("rm -rf %s/appendonlydir", s->run.target.dir);
    redis_restart(&s->run.target, with_data);
}

/* As a snapshot of its disk would bring it back; half a command at the end is cut off by the server. */
static void restart_target_from_an_older_copy(struct soak *s)
{
    process_signal(&s->run.target.process, SIGSTOP);
    run_shell("rm -rf %s/old; cp -r %s/appendonlydir %s/old", s->run.target.dir);
    process_signal(&s->run.target.process, SIGCONT);
    soak_go_on(s, some_ms(s, 50, 3000));
    process_stop(&s->run.target.process);
    run_shell("rm -rf %s/appendonlydir; mv %s/old %s/appendonlydir", s->run.target.dir);
    redis_restart(&s->run.target, with_data);
}

static void stop_target(struct soak *s)
{
    process_signal(&s->run.target.process, SIGSTOP);
    soak_go_on(s, some_ms(s, 100, 4000));
    process_signal(&s->run.target.process, SIGCONT);
}

static void fill_target(struct soak *s)
{
    tell(s, "CONFIG SET maxmemory 1");
    soak_go_on(s, some_ms(s, 50, 2000));
    tell(s, "CONFIG SET maxmemory 0");
}

static void demote_target(struct soak *s)
{
    tell(s, "REPLICAOF 127.0.0.1 1");
    soak_go_on(s, some_ms(s, 50, 2000));
    tell(s, "REPLICAOF NO ONE");
}

static void flush_source(struct soak *s)
{
    if (!s->live) {
        journal_script_flush(&s->script, s->run.source);
        return;
    }
    redisContext *c = server_connect(s->run.dragonfly.port);
    server_ok(c, random_below(&s->random, 4) ? "FLUSHDB" : "FLUSHALL");
    redisFree(c);
}

static const struct fault faults[] = {
    {"kill -9 of a worker", 8, kill_one},
    {"kill -9 of all workers", 3, kill_workers},
    {"kill -9 of the supervisor", 3, kill_supervisor},
    {"kill -9 of everything", 2, kill_all},
    {"source link cut", 4, cut_source},
    {"target connections cut", 6, cut_target},
    {"target connections cut after some bytes", 4, cut_target_anywhere},
    {"target kills its clients", 4, kill_clients},
    {"target restarted with its data", 4, restart_target},
    {"target restarted empty", 1, restart_target_empty},
    {"target restarted from an older copy", 3, restart_target_from_an_older_copy},
    {"target stopped for a while", 4, stop_target},
    {"target out of memory for a while", 4, fill_target},
    {"target made a replica for a while", 2, demote_target},
    {"source flushed", 4, flush_source},
};

const struct fault *soak_choose(struct soak *s)
{
    unsigned total = 0;
    const size_t count = sizeof faults / sizeof *faults;
    for (size_t i = 0; i < count; i++)
        total += faults[i].weight;
    uint64_t at = random_below(&s->random, total);
    size_t i = 0;
    while (at >= faults[i].weight)
        at -= faults[i++].weight;
    return &faults[i];
}
