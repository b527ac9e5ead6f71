/* Everything that is known to happen to source, target, links and processes; and what happens to the
 * processes of the program and to their files. */
#include "tests/soak/soak.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/kills.h"
#include "tests/support/testing.h"

enum { SMALL_FILES = 1 << 20, LARGE_KEYS = 30, LARGE_BYTES = 600000 };

static void kill_one(struct soak *s)
{
    pid_t pid = worker_pid(&s->run.program, (uint32_t)random_below(&s->random, SOAK_FLOWS));
    if (pid > 0)
        kill(pid, SIGKILL);
}

static void kill_workers(struct soak *s)
{
    for (uint32_t f = 0; f < SOAK_FLOWS; f++) {
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

static void stop_one(struct soak *s)
{
    pid_t pid = worker_pid(&s->run.program, (uint32_t)random_below(&s->random, SOAK_FLOWS));
    if (pid <= 0)
        return;
    kill(pid, SIGSTOP);
    soak_go_on(s, soak_some_ms(s, 100, 4000));
    kill(pid, SIGCONT);
}

static bool is_stopped(void *process)
{
    return process_state(((struct process *)process)->pid) == 'T';
}

/* Returns true if there was room for anything. */
static bool fill_pipe(struct soak *s)
{
    static const char line[] = "the pipe is filled up\n";
    bool room = false;
    while (write(s->pipe, line, sizeof line - 1) > 0)
        room = true;
    while (write(s->pipe, "\n", 1) > 0)
        room = true;
    return room;
}

/* With something to say meanwhile: the program goes on, to the end of what the source has, though not a byte of it
 * finds room. */
static void stop_reader(struct soak *s)
{
    process_signal(&s->reader, SIGSTOP);
    if (!wait_until(is_stopped, &s->reader, SOAK_STEP_MS))
        die("the reader of the log does not stop");
    fill_pipe(s);
    for (int i = 0; i < 4; i++) {
        if (!s->in_cluster)
            proxy_cut(s->targets[0].link);
        else
            fault_cut_node(s);
        soak_go_on(s, soak_some_ms(s, 50, 1000));
    }
    soak_wait_in_step(s);
    if (fill_pipe(s))
        s->trouble = "the pipe to the reader that is stopped was not full";
    process_signal(&s->reader, SIGCONT);
}

static void limit_files(struct soak *s, rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    prlimit(s->run.program.process.pid, RLIMIT_FSIZE, &limit, NULL);
    for (uint32_t f = 0; f < SOAK_FLOWS; f++) {
        pid_t pid = worker_pid(&s->run.program, f);
        if (pid > 0)
            prlimit(pid, RLIMIT_FSIZE, &limit, NULL);
    }
}

/* More than the spools' rings hold. */
static void write_much(struct soak *s)
{
    char *value = x_malloc(LARGE_BYTES + 1);
    memset(value, 'a' + (int)random_below(&s->random, 26), LARGE_BYTES);
    value[LARGE_BYTES] = '\0';
    redisContext *c = s->live ? server_connect(s->run.dragonfly.port) : NULL;
    for (unsigned i = 0; i < LARGE_KEYS; i++) {
        char *words = format_text("SET large:%u %s", i, value);
        if (c)
            freeReplyObject(server_command(c, words));
        else
            journal_script_line(&s->script, s->run.source, i % SOAK_FLOWS, words);
        free(words);
    }
    for (unsigned i = 0; i < LARGE_KEYS; i++) {
        char *words = format_text("DEL large:%u", i);
        if (c)
            freeReplyObject(server_command(c, words));
        else
            journal_script_line(&s->script, s->run.source, i % SOAK_FLOWS, words);
        free(words);
    }
    if (c)
        redisFree(c);
    free(value);
}

/* A limit on the size of files is to the program what a full disk is. It may end then, with the code for a file that
 * cannot be written, or for a copy that is not complete. */
static void fill_disk(struct soak *s)
{
    size_t masters = s->in_cluster ? s->cluster.count : 1;
    limit_files(s, SMALL_FILES);
    for (size_t i = 0; i < masters; i++)
        process_signal(s->in_cluster ? &s->cluster.members[i].server.process : &s->run.target.process,
                       SIGSTOP);
    write_much(s);
    soak_go_on(s, soak_some_ms(s, 500, 2000));
    for (size_t i = 0; i < masters; i++)
        process_signal(s->in_cluster ? &s->cluster.members[i].server.process : &s->run.target.process,
                       SIGCONT);
    soak_go_on(s, soak_some_ms(s, 100, 1000));
    if (process_running(&s->run.program.process)) {
        limit_files(s, RLIM_INFINITY);
        return;
    }
    int code = s->run.program.process.status;
    printf("    it ended, with %d\n", code);
    if (code != EX_IOERR && code != EX_TEMPFAIL)
        s->trouble = "the program ended by itself on a full disk, and not as the manual says";
    else
        soak_start_program(s);
}

/* With the weights of their kinds; what needs a full sync is seldom. */
static const struct fault faults[] = {
    {"kill -9 of a worker", 8, kill_one, 0},
    {"kill -9 of all workers", 3, kill_workers, 0},
    {"kill -9 of the supervisor", 3, kill_supervisor, 0},
    {"kill -9 of everything", 2, kill_all, 0},
    {"a worker stopped for a while", 2, stop_one, 0},
    {"log reader stopped for a while", 2, stop_reader, 0},
    {"disk full for a while", 2, fill_disk, 0},
    {"source link cut", 4, fault_cut_source, 0},
    {"source link slow for a while", 3, fault_slow_source, 0},
    {"FLOWs in a black hole for a while", 2, fault_hold_flows, 0},
    {"source flushed", 4, fault_flush_source, 0},
    {"database of the source that the target lacks", 2, fault_write_beyond, 0},
    {"source made a replica for a while", 1, fault_demote_source, FAULT_SYNCS | FAULT_LIVE},
    {"source failed over to its replica", 1, fault_fail_over_source, FAULT_LIVE},
    {"idle source killed, its replica promoted", 1, fault_kill_idle_source, FAULT_LIVE},
    {"source killed under load, its replica promoted", 1, fault_kill_source, FAULT_SYNCS | FAULT_LIVE},
    {"target connections cut", 6, fault_cut_target, FAULT_SINGLE},
    {"target connections cut after some bytes", 4, fault_cut_target_anywhere, FAULT_SINGLE},
    {"target link slow for a while", 3, fault_slow_target, FAULT_SINGLE},
    {"target kills its clients", 4, fault_kill_clients, FAULT_SINGLE},
    {"target restarted with its data", 4, fault_restart_target, FAULT_SINGLE},
    {"target restarted empty", 1, fault_restart_target_empty, FAULT_SINGLE | FAULT_SYNCS},
    {"target restarted from an older copy", 3, fault_restart_target_from_an_older_copy,
     FAULT_SINGLE | FAULT_SYNCS},
    {"target stopped for a while", 4, fault_stop_target, FAULT_SINGLE},
    {"target out of memory for a while", 4, fault_fill_target, FAULT_SINGLE},
    {"target made a replica for a while", 2, fault_demote_target, FAULT_SINGLE},
    {"target flushed by another client", 1, fault_flush_target, FAULT_SINGLE | FAULT_SYNCS},
    {"target evicts for a while", 1, fault_evict, FAULT_SINGLE | FAULT_SYNCS},
    {"target's clock wrong for a while", 2, fault_change_clock, FAULT_SINGLE | FAULT_LIVE},
    {"node killed, its replica promoted", 3, fault_kill_node, FAULT_CLUSTER | FAULT_SYNCS},
    {"node failed over in order", 4, fault_fail_over_node, FAULT_CLUSTER},
    {"node stopped for a while", 4, fault_stop_node, FAULT_CLUSTER},
    {"node out of memory for a while", 4, fault_fill_node, FAULT_CLUSTER},
    {"node kills its clients", 6, fault_cut_node, FAULT_CLUSTER},
    {"node connections cut after some bytes", 3, fault_cut_node_anywhere, FAULT_CLUSTER},
    {"link to a node slow for a while", 2, fault_slow_node, FAULT_CLUSTER},
    {"links to all nodes slow for a while", 1, fault_slow_nodes, FAULT_CLUSTER},
    {"node flushed by another client", 1, fault_flush_node, FAULT_CLUSTER | FAULT_SYNCS},
    {"node evicts for a while", 1, fault_evict_on_node, FAULT_CLUSTER | FAULT_SYNCS},
    {"node's clock wrong for a while", 2, fault_change_node_clock, FAULT_CLUSTER | FAULT_LIVE},
    {"slots moved", 6, fault_move_slots, FAULT_CLUSTER},
};
enum { FAULTS = sizeof faults / sizeof *faults };
static uint64_t survived[FAULTS], missed[FAULTS];

/* DF2REDIS_SOAK_FAULTS: parts of the names, with commas between, to look into some kinds. */
static bool is_wanted(const char *name)
{
    const char *parts = getenv("DF2REDIS_SOAK_FAULTS");
    bool wanted = !parts || !*parts;
    while (parts && *parts) {
        size_t len = strcspn(parts, ",");
        wanted |= memmem(name, strlen(name), parts, len) != NULL;
        parts += len + (parts[len] == ',');
    }
    return wanted;
}

static unsigned weight_of(struct soak *s, const struct fault *f)
{
    unsigned not = (s->in_cluster ? FAULT_SINGLE : FAULT_CLUSTER) | (s->live ? 0 : FAULT_LIVE) |
                   (s->calm ? FAULT_SYNCS : 0);
    bool wanted = is_wanted(f->name);
    return wanted && !(f->flags & not ) ? f->weight : 0;
}

const struct fault *soak_choose(struct soak *s)
{
    unsigned total = 0;
    for (size_t i = 0; i < FAULTS; i++)
        total += weight_of(s, &faults[i]);
    if (!total)
        die("no such fault is possible here");
    uint64_t at = random_below(&s->random, total);
    size_t i = 0;
    for (; at >= weight_of(s, &faults[i]); i++)
        at -= weight_of(s, &faults[i]);
    return &faults[i];
}

void soak_survived(struct soak *s, const struct fault *fault)
{
    survived[fault - faults]++;
    s->survived++;
}

void soak_missed(struct soak *s, const struct fault *fault)
{
    (void)s;
    missed[fault - faults]++;
    printf("    it could not be made\n");
}

void soak_print_faults(void)
{
    for (size_t i = 0; i < FAULTS; i++) {
        if (survived[i])
            printf("  %4llu  %s\n", (unsigned long long)survived[i], faults[i].name);
        if (missed[i])
            printf("  %4llu  %s: could not be made\n", (unsigned long long)missed[i], faults[i].name);
    }
}
