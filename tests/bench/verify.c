/* df2redis verify of a million strings beside a run, against a raw pipe of the same reads: DUMP and PEXPIRETIME of every
 * key, from the real Dragonfly and from the target at the same time. */
#include <errno.h>
#include <event2/util.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/live.h"
#include "tests/bench/measure.h"
#include "tests/support/raw_pipe.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/usage.h"

/* Requests in flight, about: Dragonfly stops reading at 10,000 */
enum { IN_FLIGHT = 4000 };
enum {
    SHARDS = 2,
    PER_PERCENT = 10000,
    ROUNDS_MAX = 31,
    MEMORY_LIMIT_MIB = 64,
    READ_BYTES = 1 << 18,
    WRITE_BYTES = 1 << 14
};
static const double ratio_limit = 1.5;

/* Counts answers: bulk strings and lines. */
struct reader {
    redisContext *c;
    uint64_t answers, skip;
    char line[32];
    size_t len;
    size_t sent;
};

static void take_bytes(struct reader *r, const char *at, size_t n)
{
    while (n) {
        if (r->skip) {
            size_t some = r->skip < n ? (size_t)r->skip : n;
            r->skip -= some;
            at += some;
            n -= some;
            r->answers += !r->skip;
            continue;
        }
        char byte = *at++;
        n--;
        if (byte != '\n') {
            if (r->len < sizeof r->line - 1)
                r->line[r->len++] = byte;
            continue;
        }
        r->line[r->len] = '\0';
        r->len = 0;
        if (r->line[0] == '$' && r->line[1] != '-')
            r->skip = strtoull(r->line + 1, NULL, 10) + 2;
        else
            r->answers++;
    }
}

static void exchange(struct reader *r, const struct buf *commands, short events, char *room)
{
    if (events & POLLIN) {
        ssize_t n = read(r->c->fd, room, READ_BYTES);
        if (n <= 0)
            die("a server ended");
        take_bytes(r, room, (size_t)n);
    }
    if (events & POLLOUT) {
        size_t left = commands->len - r->sent;
        ssize_t n = write(r->c->fd, commands->data + r->sent, left < WRITE_BYTES ? left : WRITE_BYTES);
        if (n < 0 && errno != EAGAIN)
            die("a server ended");
        r->sent += n > 0 ? (size_t)n : 0;
    }
}

static bool may_send(const struct reader *r, const struct buf *commands, uint64_t answers)
{
    uint64_t sent = r->sent * answers / commands->len; /* requests, about */
    return r->sent < commands->len && sent < r->answers + IN_FLIGHT;
}

static double raw_s(const uint16_t ports[2], const struct buf *commands, uint64_t answers)
{
    struct reader readers[2] = {{0}, {0}};
    char *room = x_malloc(READ_BYTES);
    double begin = now_s();
    for (int i = 0; i < 2; i++) {
        readers[i].c = server_connect(ports[i]);
        evutil_make_socket_nonblocking(readers[i].c->fd);
    }
    while (readers[0].answers < answers || readers[1].answers < answers) {
        struct pollfd ready[2];
        for (int i = 0; i < 2; i++)
            ready[i] = (struct pollfd){
                readers[i].c->fd, (short)(POLLIN | (may_send(&readers[i], commands, answers) ? POLLOUT : 0)),
                0};
        poll(ready, 2, -1);
        for (int i = 0; i < 2; i++)
            exchange(&readers[i], commands, ready[i].revents, room);
    }
    double seconds = now_s() - begin;
    redisFree(readers[0].c);
    redisFree(readers[1].c);
    free(room);
    return seconds;
}

static void put_reads(struct buf *out, uint64_t keys)
{
    for (uint64_t i = 0; i < keys; i++) {
        char name[40];
        int len = snprintf(name, sizeof name, "string:%llu", (unsigned long long)i);
        buf_printf(out, "*2\r\n$4\r\nDUMP\r\n$%d\r\n%s\r\n*2\r\n$11\r\nPEXPIRETIME\r\n$%d\r\n%s\r\n", len,
                   name, len, name);
    }
}

struct verified {
    double seconds, cpu_s, anon_mib;
};

static struct verified verify_once(struct run *run, uint64_t keys)
{
    const char *argv[] = {df2redis_binary(), "verify", "--json", "--state-dir", run->program.dir, NULL};
    struct process process = {0};
    char *path = format_text("%s/verify.json", run->program.dir);
    double begin = now_s();
    if (!process_start(&process, path, argv))
        die("df2redis verify cannot be started");
    struct usage usage = {.parent = process.pid};
    while (process_running(&process)) {
        usage_sample(&usage);
        poll(NULL, 0, 5);
    }
    struct verified v = {now_s() - begin, usage_cpu_s(&usage),
                         (double)usage_peak_anon_bytes(&usage) / 1048576};
    char *text = process_output(&process);
    char *expected = format_text("\"keys\":%llu,\"different\":0,", (unsigned long long)keys);
    if (process.status != 0 || !strstr(text, expected))
        die("df2redis verify: %s", text);
    free(text);
    free(expected);
    free(path);
    process_stop(&process);
    return v;
}

bool bench_verify(unsigned rounds, unsigned percent)
{
    double raw[ROUNDS_MAX], own[ROUNDS_MAX], cpu[ROUNDS_MAX], anon[ROUNDS_MAX];
    uint64_t keys = (uint64_t)PER_PERCENT * percent;
    struct generate_options g;
    struct raw_pipe strings = {0};
    struct buf reads = {0};
    struct run run;
    if (!dragonfly_available()) {
        puts("verify: skipped, DF2REDIS_TEST_DRAGONFLY names no Dragonfly");
        return true;
    }
    generate_options_init(&g);
    g.flows = 1;
    g.strings = keys;
    run_begin(&run, NULL);
    dragonfly_start(&run.dragonfly, SHARDS, NULL);
    raw_pipe_snapshot(&strings, &g);
    raw_pipe_run(&strings, run.dragonfly.port);
    raw_pipe_free(&strings);
    run_replicate(&run, NULL);
    if (!run_wait_applied(&run))
        die("df2redis does not come into step with Dragonfly");
    put_reads(&reads, keys);
    const uint16_t ports[] = {run.dragonfly.port, run.target.port};
    for (unsigned i = 0; i < rounds; i++) {
        raw[i] = raw_s(ports, &reads, keys * 2);
        struct verified v = verify_once(&run, keys);
        own[i] = v.seconds;
        cpu[i] = v.cpu_s;
        anon[i] = v.anon_mib;
    }
    buf_free(&reads);
    run_end(&run);
    double raw_median = median_of(raw, rounds), own_median = median_of(own, rounds);
    double anon_mib = median_of(anon, rounds), ratio = own_median / raw_median;
    bool kept = ratio <= ratio_limit && anon_mib <= MEMORY_LIMIT_MIB;
    printf("verify, %llu strings of 100 bytes: %.0f keys/s, raw pipe of both sides' reads %.0f keys/s, ratio "
           "%.2f "
           "(limit %.2f); worker %.2f CPU s, %.1f MiB (limit %d)%s\n",
           (unsigned long long)keys, (double)keys / own_median, (double)keys / raw_median, ratio, ratio_limit,
           median_of(cpu, rounds), anon_mib, MEMORY_LIMIT_MIB, kept ? "" : "   NOT KEPT");
    return kept;
}
