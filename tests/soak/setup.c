/* Servers, load and program of the soak test. */
#include "tests/soak/soak.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/soak/record.h"
#include "tests/support/testing.h"

enum {
    TURN_MS = 20,
    RATE = 700,
    LEAST_RATE = 20000,
    MOST_RATE = 500000,
    READER_LIMIT_MS = 2000,
    PIPE_BYTES = 4096
};

/* A long backlog: that the source's ring is over is no fault of this test's. */
const char *const soak_dragonfly_words[] = {"--shard_repl_backlog_len=1000000", "--dbnum=18", NULL};

/* ---- servers ---- */

static void begin_run(struct soak *s, const struct scripted_options *options)
{
    if (s->in_cluster)
        run_begin_in(&s->run, &s->cluster, options);
    else
        run_begin(&s->run, options);
}

static void begin_source(struct soak *s)
{
    static const struct journal_snapshot small = {
        .strings = 300, .collections = 1, .elements = 300, .commands = 30};
    struct scripted_options options;
    if (s->live) {
        begin_run(s, NULL);
        dragonfly_start(&s->run.dragonfly, SOAK_FLOWS, soak_dragonfly_words);
    } else {
        journal_script_init(&s->script, SOAK_FLOWS, s->seed);
        s->script.one_database = s->in_cluster;
        scripted_options_init(&options);
        scripted_options_add(&options, journal_script_session(&s->script, &small));
        begin_run(s, &options);
    }
    uint16_t port = s->live ? s->run.dragonfly.port : scripted_port(s->run.source);
    for (size_t i = 0; i < SOAK_SOURCES; i++)
        s->sources[i] = proxy_start(i == 0 ? port : 1); /* nobody is at the other one yet */
    s->spare_link = proxy_start(port);
}

void soak_begin(struct soak *s)
{
    s->databases = s->in_cluster ? 1 : 16;
    s->may_sync = true;
    s->pipe = -1;
    for (size_t i = 0; i < SOAK_TARGETS; i++)
        s->targets[i].clock = -1;
    if (s->in_cluster)
        soak_begin_cluster(s);
    begin_source(s);
    if (s->live)
        soak_record(&s->run.dragonfly, "source");
    soak_begin_targets(s);
}

void soak_record(const struct server *server, const char *name)
{
    record_begin(&(struct recorded){.name = name, .dir = server->dir, .port = server->port});
}

static void end_reader(struct soak *s)
{
    if (s->pipe >= 0)
        close(s->pipe);
    s->pipe = -1;
    process_wait(&s->reader, READER_LIMIT_MS);
    process_stop(&s->reader);
}

void soak_end(struct soak *s)
{
    soak_end_load(s);
    record_end();
    end_reader(s);
    run_end(&s->run);
    server_stop(&s->spare);
    server_stop(&s->expected);
    redis_cluster_stop(&s->cluster);
    for (size_t i = 0; i < SOAK_SOURCES; i++)
        proxy_stop(s->sources[i]);
    proxy_stop(s->spare_link);
    soak_end_targets(s);
    journal_script_free(&s->script);
}

bool soak_tell(uint16_t port, const char *command)
{
    bool done = false;
    struct timeval limit = {2, 0};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, limit);
    if (c && !c->err) {
        redisSetTimeout(c, limit);
        redisReply *r = redisCommand(c, command);
        done = r && r->type != REDIS_REPLY_ERROR;
        if (r)
            freeReplyObject(r);
    }
    if (c)
        redisFree(c);
    return done;
}

/* ---- load ---- */

static struct workload *begin_load(struct soak *s, uint16_t port, uint64_t seed)
{
    struct workload_options o;
    workload_options_init(&o, port);
    o.seed = seed;
    o.databases = s->databases;
    o.short_ttls = true;
    o.rate = RATE;
    o.may_break = true;
    return workload_start(&o);
}

void soak_begin_load(struct soak *s)
{
    if (s->live && !s->load)
        s->load = begin_load(s, s->run.dragonfly.port, s->seed + s->rounds * 1000 + s->survived);
}

struct workload *soak_load_other(struct soak *s, uint16_t port)
{
    return begin_load(s, port, ~(s->seed + s->rounds * 1000 + s->survived));
}

void soak_end_load(struct soak *s)
{
    if (s->load)
        workload_stop(s->load);
    s->load = NULL;
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

uint32_t soak_some_ms(struct soak *s, uint32_t least, uint32_t most)
{
    return least + (uint32_t)random_below(&s->random, most - least);
}

uint32_t soak_some_rate(struct soak *s)
{
    bool limited = random_below(&s->random, 2);
    return limited ? LEAST_RATE + (uint32_t)random_below(&s->random, MOST_RATE - LEAST_RATE) : 0;
}

/* ---- program ---- */

/* What it says goes through a short pipe to a reader that may stop. */
static void begin_reader(struct soak *s)
{
    unsigned start = s->run.program.starts;
    char *pipe = format_text("%s/output-%u", s->run.program.dir, start);
    char *log = format_text("%s/log-%u", s->run.program.dir, start);
    end_reader(s);
    if (mkfifo(pipe, 0600) != 0)
        die("%s cannot be made", pipe);
    /* Open here as well, so that nobody waits for the other in open(). */
    s->pipe = open(pipe, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (s->pipe < 0 || fcntl(s->pipe, F_SETPIPE_SZ, PIPE_BYTES) < 0 ||
        !process_start(&s->reader, log, (const char *const[]){"cat", pipe, NULL}))
        die("nobody reads %s", pipe);
    free(pipe);
    free(log);
}

static bool has_begun(void *arg)
{
    struct soak *s = arg;
    return !process_running(&s->run.program.process) ||
           df2redis_status_number(&s->run.program, "sessions") > 0;
}

void soak_start_program(struct soak *s)
{
    /* What a killed one left in the target is not refused. */
    static const char *const extra[] = {
        "--flush-target", "--on-full-resync", "flush", "--ring-size", "4m", NULL};
    const char *target = s->in_cluster ? redis_cluster_any(&s->cluster)->uri : proxy_uri(s->targets[0].link);
    char *sources = s->live ? format_text("%s,%s", proxy_uri(s->sources[0]), proxy_uri(s->sources[1])) : NULL;
    process_stop(&s->run.program.process);
    begin_reader(s);
    df2redis_start(&s->run.program, "replicate", sources ? sources : proxy_uri(s->sources[0]), target, extra);
    free(sources);
    s->starts++;
    /* A start into a target that is in trouble is refused, as it should be. */
    wait_until(has_begun, s, RUN_DEADLINE_MS);
}

/* Of the last start. */
void soak_print_program(struct soak *s)
{
    char *line = format_text("tail -n 120 %s/log-%u >&2", s->run.program.dir, s->run.program.starts - 1);
    process_signal(&s->reader, SIGCONT);
    if (system(line) != 0)
        fprintf(stderr, "nothing is known of what the program said\n");
    free(line);
}
