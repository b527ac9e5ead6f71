/* A target that throws keys away below its maxmemory: what is lacking there is counted, and nobody takes the
 * copy for complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/generate.h"
#include "tests/support/monitor.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { STRINGS = 20000, STRING_BYTES = 400, MASTERS = 3 };

static const char *const evicting[] = {"--maxmemory", "6mb", "--maxmemory-policy", "allkeys-lru", NULL};
static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

static void begin(uint64_t strings, const char *const *target)
{
    struct scripted_options options;
    struct generate_options g;
    generate_options_init(&g);
    g.flows = 2;
    g.strings = strings;
    g.string_bytes = STRING_BYTES;
    scripted_options_init(&options);
    scripted_options_add(&options, generate_session(&g, NULL));
    run_begin(&run, &options);
    if (target) {
        server_stop(&run.target);
        redis_start(&run.target, target);
    }
}

static double evicted(void)
{
    return df2redis_status_number(&run.program, "divergences.evicted_by_target");
}

static uint64_t info_number(const char *section, const char *field)
{
    redisContext *c = server_connect(run.target.port);
    char *text = server_info(c, section, field);
    uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    free(text);
    redisFree(c);
    return n;
}

static void tell_target(const char *command)
{
    redisContext *c = server_connect(run.target.port);
    server_ok(c, command);
    redisFree(c);
}

static void migration_into_a_target_that_evicts_ends_with_divergences(void **state)
{
    (void)state;
    begin(STRINGS, evicting);
    int code = run_migrate(&run, NULL);
    if (code == EX_CONFIG && df2redis_said(&run.program, "has evicted the run's mark"))
        return; /* the mark was among them, which a busy machine makes likelier */
    if (code != EX_DATAERR)
        df2redis_print(&run.program);
    assert_int_equal(code, EX_DATAERR);
    assert_true(run_target_keys(&run) < STRINGS);
    assert_true(
        df2redis_said(&run.program, "evicts keys once it uses 6.0 MiB (maxmemory-policy allkeys-lru)"));
    char *summary =
        format_text("evicted_by_target: %llu", (unsigned long long)info_number("stats", "evicted_keys"));
    assert_true(df2redis_said(&run.program, summary));
    free(summary);
}

/* Keys that may be evicted, beside the copy and its marks, which may not. */
static void fill_with_keys_that_expire(void)
{
    redisContext *c = server_connect(run.target.port);
    redisReply *r = redisCommand(
        c, "EVAL %s 0", "for i=1,4000 do redis.call('SET','t'..i,string.rep('x',300),'EX',1000) end");
    assert_true(r && r->type != REDIS_REPLY_ERROR);
    freeReplyObject(r);
    redisFree(c);
}

/* As things are now: connections that have come and gone meanwhile have had their part of what was used before. */
static void take_room(void)
{
    char *limit = format_text("CONFIG SET maxmemory %llu",
                              (unsigned long long)info_number("memory", "used_memory") - 300000);
    tell_target(limit);
    free(limit);
}

static bool more_are_evicted(void *before)
{
    return (double)info_number("stats", "evicted_keys") > *(double *)before;
}

static bool some_are_evicted(void *arg)
{
    (void)arg;
    return evicted() > 0 || !process_running(&run.program.process);
}

static bool all_are_counted(void *arg)
{
    (void)arg;
    return (uint64_t)evicted() == info_number("stats", "evicted_keys") ||
           !process_running(&run.program.process);
}

static bool metric_has_all(void *arg)
{
    (void)arg;
    cJSON *status = df2redis_status(&run.program);
    const char *address =
        df2redis_text(cJSON_GetArrayItem(cJSON_GetObjectItem(status, "targets"), 0), "address");
    char *sample = format_text("target_evicted_keys_total{target=\"%s\"}", address);
    double told = monitor_metric(&run.program, sample);
    free(sample);
    cJSON_Delete(status);
    return told > 0 && (uint64_t)told == info_number("stats", "evicted_keys");
}

static void end_program(void)
{
    process_signal(&run.program.process, SIGKILL);
    process_wait(&run.program.process, RUN_DEADLINE_MS);
}

static void evictions_are_counted_while_it_runs_and_over_a_kill(void **state)
{
    (void)state;
    begin(2000, NULL);
    run_replicate(&run, (const char *const[]){"--metrics", "0", NULL});
    assert_true(run_wait_in_step(&run));
    assert_int_equal(evicted(), 0);
    fill_with_keys_that_expire();
    tell_target("CONFIG SET maxmemory-policy volatile-random");
    take_room();
    assert_true(wait_until(some_are_evicted, NULL, RUN_DEADLINE_MS));
    assert_true(wait_until(all_are_counted, NULL, RUN_DEADLINE_MS));
    assert_true(wait_until(metric_has_all, NULL, RUN_DEADLINE_MS));
    double before = evicted();
    assert_true(df2redis_wait_said(&run.program, "evicts keys once", RUN_DEADLINE_MS));
    assert_true(df2redis_status_true(&run.program, "targets.0.evicts"));
    /* What is thrown away while nobody watches counts, too. */
    end_program();
    take_room();
    assert_true(wait_until(more_are_evicted, &before, RUN_DEADLINE_MS));
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_said(&run.program, "an earlier run of this name", RUN_DEADLINE_MS));
    assert_true(wait_until(all_are_counted, NULL, RUN_DEADLINE_MS));
    assert_true(evicted() > before);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

static void evictions_before_the_run_are_none_of_ours(void **state)
{
    (void)state;
    begin(100, NULL);
    tell_target("CONFIG SET maxmemory-policy allkeys-random");
    tell_target("SET one 1");
    tell_target("CONFIG SET maxmemory 1");
    redisContext *c = server_connect(run.target.port);
    freeReplyObject(server_command(c, "SET two 2")); /* refused when nothing is left to throw away */
    redisFree(c);
    tell_target("CONFIG SET maxmemory 0");
    tell_target("FLUSHALL");
    assert_true(info_number("stats", "evicted_keys") > 0);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(evicted(), 0);
    assert_false(df2redis_said(&run.program, "evicts keys once"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

static const char *const appendonly[] = {"--appendonly", "yes", NULL};

/* Neither end of that process has seen the other. */
static void evictions_of_a_target_that_was_restarted_unwatched_count(void **state)
{
    (void)state;
    double none = 0;
    begin(100, appendonly);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    fill_with_keys_that_expire();
    end_program();
    process_stop(&run.target.process);
    redis_restart(&run.target, appendonly);
    tell_target("CONFIG SET maxmemory-policy volatile-random");
    take_room();
    assert_true(wait_until(more_are_evicted, &none, RUN_DEADLINE_MS));
    tell_target("CONFIG SET maxmemory 0");
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_true(wait_until(all_are_counted, NULL, RUN_DEADLINE_MS));
    assert_true(evicted() > 0);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

static bool evicts_as_reported(void *arg)
{
    (void)arg;
    return df2redis_status_true(&run.program, "targets.0.evicts");
}

/* It has room for what connections take, and evicts nothing. */
static void wait_full(const char *policy)
{
    char *command = format_text("CONFIG SET maxmemory-policy %s", policy);
    tell_target(command);
    free(command);
    char *limit = format_text("CONFIG SET maxmemory %llu",
                              (unsigned long long)info_number("memory", "used_memory") * 106 / 100);
    tell_target(limit);
    free(limit);
    assert_true(wait_until(evicts_as_reported, NULL, RUN_DEADLINE_MS));
    assert_int_equal(evicted(), 0);
}

/* In step, then full, then killed: it comes back with these words. */
static void begin_and_restart_full(const char *const *words)
{
    begin(STRINGS, words);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    wait_full("allkeys-random");
    process_signal(&run.target.process, SIGKILL);
    redis_restart(&run.target, words);
}

/* The last count has gone with the process. */
static void full_target_that_is_restarted_may_have_evicted(void **state)
{
    (void)state;
    begin_and_restart_full(appendonly);
    assert_true(wait_until(some_are_evicted, NULL, RUN_DEADLINE_MS));
    assert_true(df2redis_said(&run.program, "what it evicted since its last answer is unknown"));
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* Its keys have no time to live, and are spared. */
static void full_target_that_never_evicted_is_only_warned_of(void **state)
{
    (void)state;
    begin(100, appendonly);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    wait_full("volatile-lru");
    process_signal(&run.target.process, SIGKILL);
    redis_restart(&run.target, appendonly);
    assert_true(
        df2redis_wait_said(&run.program, "an eviction after its last answer is unlikely", RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(evicted(), 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool is_copied_anew(void *arg)
{
    (void)arg;
    return scripted_count(run.source, "control", "DFLY SYNC") > 1 || !process_running(&run.program.process);
}

static void evictions_of_an_earlier_copy_do_not_count(void **state)
{
    (void)state;
    begin(100, NULL);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    fill_with_keys_that_expire();
    tell_target("CONFIG SET maxmemory-policy volatile-random");
    take_room();
    assert_true(wait_until(some_are_evicted, NULL, RUN_DEADLINE_MS));
    tell_target("CONFIG SET maxmemory 0");
    assert_true(wait_until(all_are_counted, NULL, RUN_DEADLINE_MS));
    tell_target("FLUSHALL");
    assert_true(wait_until(is_copied_anew, NULL, RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(evicted(), 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* It has no maxmemory. */
static bool new_process_is_watched(void *arg)
{
    (void)arg;
    return df2redis_status_number(&run.program, "targets.0.keys") > 0 &&
           !df2redis_status_true(&run.program, "targets.0.evicts");
}

/* The watch connects again later than the FLOWs. */
static void full_target_that_returns_empty_begins_at_0(void **state)
{
    (void)state;
    begin_and_restart_full(NULL);
    assert_true(wait_until(is_copied_anew, NULL, RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    assert_true(wait_until(new_process_is_watched, NULL, RUN_DEADLINE_MS));
    assert_int_equal(evicted(), 0);
    /* What the new copy loses counts. */
    fill_with_keys_that_expire();
    tell_target("CONFIG SET maxmemory-policy volatile-random");
    take_room();
    assert_true(wait_until(some_are_evicted, NULL, RUN_DEADLINE_MS));
    tell_target("CONFIG SET maxmemory 0");
    assert_true(wait_until(all_are_counted, NULL, RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

static void target_that_is_started_anew_is_named(void **state)
{
    (void)state;
    begin(100, appendonly);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    process_signal(&run.target.process, SIGKILL);
    redis_restart(&run.target, appendonly);
    assert_true(df2redis_wait_said(&run.program, "was restarted: its run_id is", RUN_DEADLINE_MS));
}

static struct crash crash;
static struct redis_cluster cluster;

static int teardown_cluster(void **state)
{
    (void)state;
    struct redis_cluster_mover *none = NULL;
    crash_end_in(&crash, &cluster, &none);
    return 0;
}

static bool all_masters_answer(void *arg)
{
    (void)arg;
    cJSON *status = df2redis_status(&crash.run.program);
    const cJSON *one, *targets = cJSON_GetObjectItem(status, "targets");
    bool all = cJSON_GetArraySize(targets) == MASTERS;
    cJSON_ArrayForEach(one, targets)
    {
        const cJSON *role = cJSON_GetObjectItem(one, "role"), *rtt = cJSON_GetObjectItem(one, "rtt_us");
        all &= role && strcmp(role->valuestring, "master") == 0 && rtt && rtt->valuedouble > 0 &&
               !cJSON_GetObjectItem(one, "trouble");
    }
    cJSON_Delete(status);
    return all;
}

enum { EVICTS = 1 };

static uint64_t evicted_by(size_t master)
{
    redisContext *c = redis_cluster_connect(&cluster, master);
    char *text = server_info(c, "stats", "evicted_keys");
    uint64_t n = text ? strtoull(text, NULL, 10) : 0;
    free(text);
    redisFree(c);
    return n;
}

/* Keys that may be evicted, in a slot of its own, and less room than they take. */
static void make_evict(size_t master)
{
    redisContext *c = redis_cluster_connect(&cluster, master);
    const char *tag = slot_tag((uint16_t)(CLUSTER_SLOTS * master / MASTERS + 7));
    redisReply *r =
        redisCommand(c, "EVAL %s 1 {%s}",
                     "for i=1,4000 do redis.call('SET',KEYS[1]..i,string.rep('x',300),'EX',1000) end", tag);
    assert_true(r && r->type != REDIS_REPLY_ERROR);
    freeReplyObject(r);
    server_ok(c, "CONFIG SET maxmemory-policy volatile-random");
    char *used = server_info(c, "memory", "used_memory");
    char *limit = format_text("CONFIG SET maxmemory %llu", strtoull(used, NULL, 10) - 300000);
    server_ok(c, limit);
    free(limit);
    free(used);
    redisFree(c);
}

static bool evicted_are_counted(void *arg)
{
    uint64_t n = evicted_by(*(size_t *)arg);
    double counted = df2redis_status_number(&crash.run.program, "divergences.evicted_by_target");
    return (n > 0 && (uint64_t)counted == n) || !process_running(&crash.run.program.process);
}

static void every_master_of_a_cluster_is_watched(void **state)
{
    (void)state;
    size_t master = EVICTS;
    assert_true(crash_begin_in_step(&crash, &cluster, MASTERS, 0));
    assert_true(wait_until(all_masters_answer, NULL, RUN_DEADLINE_MS));
    make_evict(master);
    assert_true(wait_until(evicted_are_counted, &master, RUN_DEADLINE_MS));
    assert_true(process_running(&crash.run.program.process));
    assert_int_equal(evicted_by(0) + evicted_by(2), 0);
    char *uri = format_text("%s:%u evicts keys once", "127.0.0.1", cluster.members[master].server.port);
    assert_true(df2redis_wait_said(&crash.run.program, uri, RUN_DEADLINE_MS));
    free(uri);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
}

/* ---- a replica that takes over ---- */

enum { PROMOTED = MASTERS };

static void tell_member(size_t member, const char *command)
{
    server_tell(cluster.members[member].server.port, command);
}

/* In the lowest slot, which is the first master's. */
static void fill_first_master(void)
{
    redisContext *c = server_connect(cluster.members[0].server.port);
    char *key = format_text("{%s}t", slot_tag(0));
    redisReply *r =
        redisCommand(c, "EVAL %s 1 %s",
                     "for i=1,9000 do redis.call('SET',KEYS[1]..i,string.rep('x',300),'EX',1000) end", key);
    assert_true(r && r->type != REDIS_REPLY_ERROR);
    freeReplyObject(r);
    free(key);
    assert_int_equal(server_integer(c, "WAIT 1 60000"), 1);
    redisFree(c);
}

static bool all_of_the_promoted_are_counted(void *arg)
{
    redisContext *c = server_connect(cluster.members[PROMOTED].server.port);
    char *text = server_info(c, "stats", "evicted_keys");
    *(double *)arg = text ? (double)strtoull(text, NULL, 10) : 0;
    free(text);
    redisFree(c);
    return *(double *)arg > 0 &&
           df2redis_status_number(&crash.run.program, "divergences.evicted_by_target") >= *(double *)arg;
}

/* While it was a replica it left evicting to its master, and was not watched. */
static void promoted_replica_that_evicts_at_once_is_counted_from_its_begin(void **state)
{
    (void)state;
    double keys = 0;
    assert_true(crash_begin_in_step(&crash, &cluster, MASTERS, 1));
    fill_first_master();
    tell_member(PROMOTED, "CONFIG SET maxmemory-policy volatile-random");
    /* (A replica that has received much at once uses more than it will.) */
    redisContext *c = server_connect(cluster.members[0].server.port);
    char *used = server_info(c, "memory", "used_memory");
    char *limit = format_text("CONFIG SET maxmemory %llu", strtoull(used, NULL, 10) - 1500000);
    redisFree(c);
    tell_member(PROMOTED, limit);
    free(limit);
    free(used);
    tell_member(PROMOTED, "CLUSTER FAILOVER");
    assert_true(redis_cluster_wait_promoted(&cluster, 0));
    assert_true(wait_until(all_of_the_promoted_are_counted, &keys, RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TEST(migration_into_a_target_that_evicts_ends_with_divergences),
        TEST(evictions_are_counted_while_it_runs_and_over_a_kill),
        TEST(evictions_before_the_run_are_none_of_ours),
        TEST(evictions_of_a_target_that_was_restarted_unwatched_count),
        TEST(full_target_that_is_restarted_may_have_evicted),
        TEST(full_target_that_never_evicted_is_only_warned_of),
        TEST(evictions_of_an_earlier_copy_do_not_count),
        TEST(full_target_that_returns_empty_begins_at_0),
        TEST(target_that_is_started_anew_is_named),
        cmocka_unit_test_teardown(every_master_of_a_cluster_is_watched, teardown_cluster),
        cmocka_unit_test_teardown(promoted_replica_that_evicts_at_once_is_counted_from_its_begin,
                                  teardown_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
