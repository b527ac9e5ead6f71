/* make bench: how fast df2redis is, as ratios to a raw pipe of the same commands into the same kind of
 * server, on this machine.
 *
 * Every run has a fresh redis-server. Raw pipe and df2redis alternate; the medians are compared. The time of
 * df2redis goes from DFLY SYNC (from STARTSTABLE for a journal) until the target holds the last key of every
 * FLOW.
 *
 *   bench [NAME]                    only the rows whose name holds NAME; "live": those of live.c
 *   DF2REDIS_BENCH_ROUNDS (5), DF2REDIS_BENCH_PERCENT of the data (100), DF2REDIS_BENCH_FLOWS (2)
 * Ends with 1 when a limit is not kept. */
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/bench/measure.h"
#include "tests/bench/live.h"
#include "tests/support/raw_pipe.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/usage.h"

enum { MAX_ROUNDS = 31, SAMPLE_MS = 5, DEADLINE_MS = 600000 };

struct sample {
    double seconds, cpu_s;
    double anon_mib;
};

struct samples {
    struct sample all[MAX_ROUNDS];
    size_t count;
};

static unsigned rounds = 5, percent = 100, flows = 2;
static bool limits_kept = true;
static const char *only;

static double median(const struct samples *s, size_t offset)
{
    double values[MAX_ROUNDS];
    for (size_t i = 0; i < s->count; i++)
        memcpy(&values[i], (const char *)&s->all[i] + offset, sizeof *values);
    return median_of(values, s->count);
}
#define MEDIAN(samples, field) median(samples, offsetof(struct sample, field))

static void print_head(void)
{
    printf("%-46s %8s %8s %9s %9s %9s %10s\n", "what", "ratio", "limit", "raw s", "df2redis s", "CPU s",
           "RSS MiB");
    printf("%-46s %8s %8s %9s %9s %9s %10s\n", "", "", "", "median", "median", "workers", "anonymous");
}

/* at_most: the limit is an upper one. */
static void print_row(const char *what, double ratio, double limit, bool at_most, double raw_s,
                      const struct samples *ours)
{
    bool kept = limit <= 0 || (at_most ? ratio <= limit : ratio >= limit);
    char bound[24] = "-", raw[24] = "-";
    if (limit > 0)
        snprintf(bound, sizeof bound, "%s %.2f", at_most ? "<=" : ">=", limit);
    if (!isnan(raw_s))
        snprintf(raw, sizeof raw, "%.3f", raw_s);
    printf("%-46s %8.2f %8s %9s %9.3f %9.3f %10.1f%s\n", what, ratio, bound, raw, MEDIAN(ours, seconds),
           MEDIAN(ours, cpu_s), MEDIAN(ours, anon_mib), kept ? "" : "   NOT KEPT");
    fflush(stdout);
    limits_kept &= kept;
}

/* What the target must hold at the end. */
struct expected {
    uint64_t keys;
    char *last_keys; /* "EXISTS a b …" */
    long long last_count;
};

static struct expected expect(const char *kind, uint64_t count, uint64_t keys)
{
    struct buf words = {0};
    struct expected e = {.keys = keys};
    buf_printf(&words, "EXISTS");
    for (uint64_t i = 0; i < flows && i < count; i++, e.last_count++)
        buf_printf(&words, " %s:%llu", kind, (unsigned long long)(count - 1 - i));
    buf_put_u8(&words, 0);
    e.last_keys = (char *)words.data;
    return e;
}

static bool is_complete(redisContext *c, const struct expected *e)
{
    return (uint64_t)server_integer(c, "DBSIZE") >= e->keys &&
           server_integer(c, e->last_keys) == e->last_count;
}

/* From `since` (an event at the source) until the target is complete. */
static struct sample measure(struct run *run, const char *since, const struct expected *e)
{
    redisContext *c = server_connect(run->target.port);
    struct usage usage = {.parent = run->program.process.pid};
    double deadline = now_s() + DEADLINE_MS / 1000.0;
    while (!is_complete(c, e)) {
        usage_sample(&usage);
        if (now_s() > deadline || !process_running(&run->program.process)) {
            df2redis_print(&run->program);
            die("the target did not become complete");
        }
        poll(NULL, 0, SAMPLE_MS);
    }
    double end = now_s();
    usage_sample(&usage);
    redisFree(c);
    uint64_t begin_us = scripted_time_us(run->source, NULL, since, 0);
    return (struct sample){end - (double)begin_us / 1e6, usage_cpu_s(&usage),
                           (double)usage_peak_anon_bytes(&usage) / 1048576};
}

static void begin(struct run *run, const struct generate_options *g, uint64_t *plain_bytes)
{
    struct scripted_options options;
    scripted_options_init(&options);
    options.trust_acks = true;
    scripted_options_add(&options, generate_session(g, plain_bytes));
    run_begin(run, &options);
}

static void end(struct run *run)
{
    if (*scripted_violation(run->source))
        die("protocol violation: %s", scripted_violation(run->source));
    process_signal(&run->program.process, SIGKILL);
    run_end(run);
}

static void ours(const struct generate_options *g, const char *since, const struct expected *e,
                 const char *const *extra, struct samples *out)
{
    struct run run;
    begin(&run, g, NULL);
    run_replicate(&run, extra);
    out->all[out->count++] = measure(&run, since, e);
    end(&run);
}

static void raw(const struct raw_pipe *pipe, struct samples *out)
{
    struct server server;
    redis_start(&server, NULL);
    out->all[out->count++].seconds = raw_pipe_run(pipe, server.port);
    server_stop(&server);
}

static void against_raw(const char *what, const struct generate_options *g, bool journal,
                        const struct expected *e, double limit)
{
    struct raw_pipe pipe;
    struct samples raws = {0}, mine = {0};
    if (only && !strstr(what, only))
        return;
    if (journal)
        raw_pipe_journal(&pipe, g);
    else
        raw_pipe_snapshot(&pipe, g);
    for (unsigned i = 0; i < rounds; i++) {
        raw(&pipe, &raws);
        ours(g, journal ? "DFLY STARTSTABLE" : "DFLY SYNC", e, NULL, &mine);
    }
    raw_pipe_free(&pipe);
    print_row(what, MEDIAN(&mine, seconds) / MEDIAN(&raws, seconds), limit, true, MEDIAN(&raws, seconds),
              &mine);
}

static void strings(void)
{
    struct generate_options g;
    generate_options_init(&g);
    g.flows = flows;
    g.strings = 10000ull * percent;
    struct expected e = expect("string", g.strings, g.strings);
    against_raw("full sync, 1M strings of 100 bytes", &g, false, &e, 1.3);
    free(e.last_keys);
}

static void collections(void)
{
    struct generate_options g;
    generate_options_init(&g);
    g.flows = flows;
    g.hashes = 1000ull * percent;
    g.zsets = g.lists = 500ull * percent;
    struct expected e = expect("list", g.lists, g.hashes + g.zsets + g.lists);
    against_raw("full sync, 100k hashes, 50k zsets, 50k lists", &g, false, &e, 0.5);
    g.unpacked = true;
    against_raw("the same, hashes and zsets not in listpacks", &g, false, &e, 0);
    free(e.last_keys);
}

static struct generate_options journal_options(void)
{
    struct generate_options g;
    generate_options_init(&g);
    g.flows = flows;
    g.journal_sets = 10000ull * percent;
    return g;
}

static void journal(void)
{
    struct generate_options g = journal_options();
    struct expected e = expect("journal", g.journal_sets, g.journal_sets);
    against_raw("journal, 1M SETs of 100 bytes", &g, true, &e, 1.3);
    free(e.last_keys);
}

static void marks(void)
{
    static const char what[] = "journal, speed with marks / without";
    static const char *const off[] = {"--marks", "off", NULL};
    struct generate_options g = journal_options();
    struct expected e = expect("journal", g.journal_sets, g.journal_sets);
    struct samples with = {0}, without = {0};
    for (unsigned i = 0; i < rounds && !(only && !strstr(what, only)); i++) {
        ours(&g, "DFLY STARTSTABLE", &e, off, &without);
        ours(&g, "DFLY STARTSTABLE", &e, NULL, &with);
    }
    if (with.count)
        print_row(what, MEDIAN(&without, seconds) / MEDIAN(&with, seconds), 0.95, false,
                  MEDIAN(&without, seconds), &with);
    free(e.last_keys);
}

/* Into the null target: until every FULLSYNC_END is decoded, which the source sees as STARTSTABLE. */
static void decode(const char *what, const struct generate_options *g)
{
    struct samples mine = {0};
    uint64_t plain_bytes = 0;
    if (only && !strstr(what, only))
        return;
    for (unsigned i = 0; i < rounds; i++) {
        struct run run;
        begin(&run, g, &plain_bytes);
        struct usage usage = {.parent = 0};
        df2redis_start(&run.program, "replicate", scripted_uri(run.source), "null:", NULL);
        usage.parent = run.program.process.pid;
        while (!scripted_count(run.source, NULL, "DFLY STARTSTABLE")) {
            usage_sample(&usage);
            if (!process_running(&run.program.process)) {
                df2redis_print(&run.program);
                die("df2redis ended");
            }
            poll(NULL, 0, SAMPLE_MS);
        }
        usage_sample(&usage);
        uint64_t us = scripted_time_us(run.source, NULL, "DFLY STARTSTABLE", 0) -
                      scripted_time_us(run.source, NULL, "DFLY SYNC", 0);
        mine.all[mine.count++] = (struct sample){(double)us / 1e6, usage_cpu_s(&usage),
                                                 (double)usage_peak_anon_bytes(&usage) / 1048576};
        end(&run);
    }
    char name[80];
    snprintf(name, sizeof name, "%s (GB/s, plain stream)", what);
    print_row(name, (double)plain_bytes / 1e9 / MEDIAN(&mine, seconds), 0, false, NAN, &mine);
}

static void decoding(void)
{
    struct generate_options g;
    generate_options_init(&g);
    g.flows = 1;
    g.strings = 30000ull * percent;
    decode("decode, LZ4 strings", &g);
    g.plain = true;
    decode("decode, strings", &g);
    g.plain = false;
    g.strings = 0;
    g.hashes = 5000ull * percent;
    decode("decode, LZ4 hashes", &g);
}

static unsigned number_from(const char *name, unsigned otherwise, unsigned most)
{
    const char *text = getenv(name);
    unsigned long v = text ? strtoul(text, NULL, 10) : otherwise;
    return v < 1 ? 1 : v > most ? most : (unsigned)v;
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    rounds = number_from("DF2REDIS_BENCH_ROUNDS", rounds, MAX_ROUNDS);
    percent = number_from("DF2REDIS_BENCH_PERCENT", percent, 10000);
    flows = number_from("DF2REDIS_BENCH_FLOWS", flows, 64);
    printf("%u FLOWs, %u rounds, %u %% of the data\n", flows, rounds, percent);
    print_head();
    strings();
    collections();
    journal();
    marks();
    decoding();
    if (!only || strstr("live", only))
        limits_kept &= bench_live(rounds);
    if (!only || strstr("verify", only))
        limits_kept &= bench_verify(rounds, percent);
    if (!only || strstr("memory", only))
        limits_kept &= bench_memory(percent);
    if (!only || strstr("cluster", only))
        limits_kept &= bench_cluster(rounds, percent, flows);
    return limits_kept ? 0 : 1;
}
