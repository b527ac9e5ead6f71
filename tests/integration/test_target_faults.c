/* The target in trouble: away, stopped, refusing, cut off, back from an older copy of its data. The journal goes on meanwhile.
 * Whatever happens, in the end it holds each command once: brought forward from the spool, or by a full sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/crash.h"
#include "tests/support/proxy.h"
#include "tests/support/testing.h"

enum { FLOWS = 3, ROUND_MS = 20 };

static struct crash crash;
static struct proxy *proxy;
static struct server replica;

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    proxy_stop(proxy);
    proxy = NULL;
    server_stop(&replica);
    return 0;
}

static const struct journal_snapshot small = {.strings = 300, .collections = 1, .elements = 200, .commands = 30, .journal = 300};

static bool long_test(void)
{
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    return wanted && *wanted && *wanted != '0';
}

static void begin(const char *const *extra)
{
    crash_begin(&crash, FLOWS, &small);
    run_replicate(&crash.run, extra);
    assert_true(run_wait_in_step(&crash.run));
}

static void begin_behind_proxy(const char *const *extra)
{
    crash_begin(&crash, FLOWS, &small);
    proxy = proxy_start(crash.run.target.port);
    df2redis_start(&crash.run.program, "replicate", scripted_uri(crash.run.source), proxy_uri(proxy), extra);
    assert_true(run_wait_in_step(&crash.run));
}

static void tell(const char *command)
{
    redisContext *c = server_connect(crash.run.target.port);
    server_ok(c, command);
    redisFree(c);
}

static void write_for(uint32_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;
    do {
        journal_script_append(&crash.script, crash.run.source, 60);
        poll(NULL, 0, ROUND_MS); /* the rate of the load */
    } while (clock_monotonic_ms() < end_ms && process_running(&crash.run.program.process));
}

static void write_some(void)
{
    journal_script_append(&crash.script, crash.run.source, 400);
}

static bool acknowledged(void)
{
    return scripted_wait_acked(crash.run.source, RUN_DEADLINE_MS);
}

static void assert_ends_equal(size_t full_syncs)
{
    bool equal = crash_came_out_equal(&crash);
    size_t syncs = crash_full_syncs(&crash);
    if (equal && full_syncs && syncs != full_syncs)
        df2redis_print(&crash.run.program);
    assert_true(equal);
    assert_true(!full_syncs || syncs == full_syncs);
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* ---- restarts ---- */

static void restart_with_its_data_is_waited_out(void **state)
{
    (void)state;
    static const char *const appendonly[] = {"--appendonly", "yes", NULL};
    crash_begin(&crash, FLOWS, &small);
    redis_restart(&crash.run.target, appendonly);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    for (int i = 0; i < 3; i++) {
        write_some();
        redis_restart(&crash.run.target, appendonly);
        write_some();
    }
    assert_ends_equal(1);
}

static void restart_without_its_data_is_noticed(void **state)
{
    (void)state;
    begin(NULL);
    write_some();
    assert_true(acknowledged());
    redis_restart(&crash.run.target, NULL);
    write_some();
    assert_ends_equal(0);
    assert_true(df2redis_said(&crash.run.program, "has lost writes"));
}

/* Nothing is written afterwards: it is noticed all the same. */
static void restart_without_its_data_is_noticed_while_idle(void **state)
{
    (void)state;
    begin(NULL);
    redis_restart(&crash.run.target, NULL);
    assert_true(df2redis_wait_said(&crash.run.program, "has lost writes", RUN_DEADLINE_MS));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_ends_equal(2);
}

static void restart_without_its_data_in_the_full_sync_is_noticed(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &small);
    scripted_hold(crash.run.source, 1, 3000);
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_status(&crash.run.program, "flows.0.phase", "full-sync-end", RUN_DEADLINE_MS));
    redis_restart(&crash.run.target, NULL);
    scripted_hold(crash.run.source, 1, NEVER);
    assert_ends_equal(0);
}

/* It saves, takes more, and comes back with what it had saved. */
static void lose_the_last(uint32_t ms)
{
    tell("SAVE");
    write_for(ms);
    assert_true(acknowledged());
    redis_restart(&crash.run.target, NULL);
}

static void target_with_an_older_copy_is_brought_forward_from_the_spool(void **state)
{
    (void)state;
    begin(NULL);
    for (int i = 0; i < 3; i++) {
        lose_the_last(700);
        write_some();
        assert_true(acknowledged());
    }
    assert_ends_equal(1);
    assert_true(df2redis_said(&crash.run.program, "brought forward from the spool"));
}

static bool target_has(void *arg)
{
    redisContext *c = server_connect(crash.run.target.port);
    bool there = server_integer(c, arg) == 1;
    redisFree(c);
    return there;
}

static void append_line(const char *words)
{
    struct buf bytes = {0};
    write_journal(&bytes, 0, 0, words);
    scripted_append(crash.run.source, 0, buf_slice(&bytes));
    buf_free(&bytes);
}

/* No mark tells of it: it was acknowledged since the last one, and is gone all the same. */
static void writes_since_the_last_mark_that_are_gone_come_again(void **state)
{
    (void)state;
    char set[32], exists[32];
    begin(NULL);
    for (int i = 0; i < 3; i++) {
        append_line("INCR once");
        assert_true(acknowledged());
        tell("SAVE");
        snprintf(set, sizeof set, "SET plain:%d x", i);
        append_line(set);
        assert_true(acknowledged());
        redis_restart(&crash.run.target, NULL);
        snprintf(exists, sizeof exists, "EXISTS plain:%d", i);
        assert_true(wait_until(target_has, exists, RUN_DEADLINE_MS));
    }
    redisContext *c = server_connect(crash.run.target.port);
    assert_int_equal(server_integer(c, "INCRBY once 0"), 3);
    redisFree(c);
    assert_int_equal(crash_full_syncs(&crash), 1);
}

/* The bytes it lacks are overwritten long ago. */
static void target_with_too_old_a_copy_gets_a_full_sync(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", NULL};
    begin(extra);
    tell("SAVE");
    for (int i = 0; i < 40; i++)
        write_some();
    assert_true(acknowledged());
    redis_restart(&crash.run.target, NULL);
    write_some();
    assert_ends_equal(2);
    assert_true(df2redis_said(&crash.run.program, "a full sync is needed"));
}

/* A flush that was run and is undone: what came after it must not be flushed away, nor what came before stay. */
static void target_from_before_a_flush_gets_a_full_sync(void **state)
{
    (void)state;
    begin(NULL);
    tell("SAVE");
    write_some();
    journal_script_flush(&crash.script, crash.run.source);
    write_some();
    assert_true(acknowledged());
    redis_restart(&crash.run.target, NULL);
    write_some();
    assert_ends_equal(2);
}

static void target_from_after_a_flush_is_brought_forward(void **state)
{
    (void)state;
    begin(NULL);
    for (int i = 0; i < 3; i++) {
        write_some();
        journal_script_flush(&crash.script, crash.run.source);
        write_some();
        assert_true(acknowledged());
        tell("SAVE");
        write_some();
        assert_true(acknowledged());
        redis_restart(&crash.run.target, NULL);
    }
    assert_ends_equal(1);
}

/* Its worker dies as well: the successor knows the states before, too. */
static void older_copy_and_dead_workers_together_are_brought_forward(void **state)
{
    (void)state;
    begin(NULL);
    lose_the_last(1500);
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(kill_worker(&crash.kills, &crash.run.program, f));
    write_some();
    assert_ends_equal(1);
}

static void restart_without_marks_means_a_full_sync(void **state)
{
    (void)state;
    static const char *const extra[] = {"--marks", "off", NULL};
    begin(extra);
    redis_restart(&crash.run.target, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_ends_equal(2);
}

static void without_marks_the_target_has_no_key_of_ours(void **state)
{
    (void)state;
    static const char *const extra[] = {"--marks", "off", NULL};
    begin(extra);
    write_some();
    journal_script_flush(&crash.script, crash.run.source);
    write_some();
    assert_true(acknowledged());
    redisContext *c = server_connect(crash.run.target.port);
    redisReply *keys = server_command(c, "KEYS *df2redis*");
    size_t own = keys->elements;
    freeReplyObject(keys);
    redisFree(c);
    assert_int_equal(own, 0);
    assert_ends_equal(1);
}

/* ---- refusals ---- */

static bool target_was_refused(void *arg)
{
    (void)arg;
    return df2redis_status_number(&crash.run.program, "flows.0.target_waits") > 0 ||
           !process_running(&crash.run.program.process);
}

/* It is refused, the source goes on, and then it is taken. */
static void wait_out(const char *answer)
{
    uint64_t acked = scripted_acked(crash.run.source, 0);
    write_for(300);
    assert_true(wait_until(target_was_refused, NULL, RUN_DEADLINE_MS));
    assert_true(df2redis_wait_said(&crash.run.program, answer, RUN_DEADLINE_MS));
    write_for(300);
    assert_true(scripted_acked(crash.run.source, 0) >= acked);
    assert_false(scripted_wait_acked(crash.run.source, 0));
}

static void out_of_memory_is_waited_out(void **state)
{
    (void)state;
    begin(NULL);
    tell("CONFIG SET maxmemory 1");
    wait_out("OOM");
    tell("CONFIG SET maxmemory 0");
    assert_ends_equal(1);
}

/* It comes and goes within batches. */
static void out_of_memory_now_and_then_loses_nothing(void **state)
{
    (void)state;
    begin(NULL);
    for (int i = 0; i < 40; i++) {
        tell(i % 2 ? "CONFIG SET maxmemory 0" : "CONFIG SET maxmemory 1");
        write_for(25);
    }
    tell("CONFIG SET maxmemory 0");
    assert_ends_equal(1);
}

static void read_only_replica_is_waited_out(void **state)
{
    (void)state;
    begin(NULL);
    tell("REPLICAOF 127.0.0.1 1");
    wait_out("READONLY");
    tell("REPLICAOF NO ONE");
    assert_ends_equal(1);
}

static void too_few_replicas_are_waited_out(void **state)
{
    (void)state;
    begin(NULL);
    tell("CONFIG SET min-replicas-to-write 1");
    wait_out("NOREPLICAS");
    tell("CONFIG SET min-replicas-to-write 0");
    assert_ends_equal(1);
}

static void failed_background_saves_are_waited_out(void **state)
{
    (void)state;
    begin(NULL);
    char *saved = format_text("%s/dump.rdb", crash.run.target.dir), *taken = format_text("%s/x", saved);
    redisContext *c = server_connect(crash.run.target.port);
    server_ok(c, "CONFIG SET stop-writes-on-bgsave-error yes");
    freeReplyObject(redisCommand(c, "CONFIG SET save %s", "1000000 1000000"));
    /* A directory that is not empty stands where the file should go. */
    char *make = format_text("mkdir -p %s", taken);
    assert_int_equal(system(make), 0);
    server_ok(c, "BGSAVE");
    char *status = NULL;
    for (uint64_t end = clock_monotonic_ms() + RUN_DEADLINE_MS; clock_monotonic_ms() < end;) {
        free(status);
        status = server_info(c, "persistence", "rdb_last_bgsave_status");
        if (status && strcmp(status, "err") == 0)
            break;
        poll(NULL, 0, 10);
    }
    assert_string_equal(status, "err");
    wait_out("MISCONF");
    server_ok(c, "CONFIG SET stop-writes-on-bgsave-error no");
    redisFree(c);
    free(status);
    free(make);
    free(taken);
    free(saved);
    assert_ends_equal(1);
}

static void long_script_is_waited_out(void **state)
{
    (void)state;
    begin(NULL);
    tell("CONFIG SET busy-reply-threshold 50");
    redisContext *c = server_connect(crash.run.target.port);
    redisAppendCommand(c, "EVAL %s 0", "while true do end");
    int done = 0;
    while (!done)
        assert_int_equal(redisBufferWrite(c, &done), REDIS_OK);
    wait_out("BUSY");
    tell("SCRIPT KILL");
    redisFree(c);
    assert_ends_equal(1);
}

static void replica_without_its_master_is_waited_out(void **state)
{
    (void)state;
    begin(NULL);
    tell("CONFIG SET replica-serve-stale-data no");
    tell("REPLICAOF 127.0.0.1 1");
    wait_out("MASTERDOWN");
    tell("REPLICAOF NO ONE");
    assert_ends_equal(1);
}

/* 340 keys, 6 ms each. */
static void loading_is_waited_out(void **state)
{
    (void)state;
    static const char *const slow[] = {"--key-load-delay", "6000", "--loading-process-events-interval-bytes", "1024", NULL};
    begin(NULL);
    tell("SAVE");
    redis_restart(&crash.run.target, slow);
    assert_true(df2redis_wait_said(&crash.run.program, "LOADING", RUN_DEADLINE_MS));
    write_some();
    assert_ends_equal(1);
}

/* ---- silence and broken connections ---- */

static void stopped_target_is_waited_out_while_the_spool_grows(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", NULL};
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_for(long_test() ? 60000 : 1500);
    for (int i = 0; i < 100; i++)
        write_some();
    uint64_t end_ms = clock_monotonic_ms() + RUN_DEADLINE_MS;
    while (!scripted_all_sent(crash.run.source) && clock_monotonic_ms() < end_ms)
        poll(NULL, 0, 10);
    assert_true(scripted_all_sent(crash.run.source));
    assert_true(df2redis_status_number(&crash.run.program, "flows.0.spool_overflow_bytes") > 0);
    assert_false(df2redis_status_true(&crash.run.program, "in_step"));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_ends_equal(1);
}

static void killed_connections_lose_nothing(void **state)
{
    (void)state;
    begin(NULL);
    for (int i = 0; i < 40; i++) {
        write_for(25);
        tell("CLIENT KILL TYPE normal SKIPME yes");
    }
    assert_ends_equal(1);
}

static void connections_cut_anywhere_lose_nothing(void **state)
{
    (void)state;
    begin_behind_proxy(NULL);
    uint64_t end_ms = clock_monotonic_ms() + RUN_DEADLINE_MS;
    while (proxy_cuts(proxy) < 25 && clock_monotonic_ms() < end_ms) {
        proxy_cut_after(proxy, 3000 + random_below(&crash.script.random, 60000));
        write_for(15);
    }
    assert_true(proxy_cuts(proxy) >= 25);
    proxy_cut_after(proxy, 0);
    assert_ends_equal(1);
}

/* With every connection cut before it has carried much, it still gets forward. */
static void short_lived_connections_get_forward(void **state)
{
    (void)state;
    static const char *const extra[] = {"--batch-commands", "100", NULL};
    begin_behind_proxy(extra);
    proxy_cut_after(proxy, 60000);
    for (int i = 0; i < 10; i++)
        write_some();
    assert_true(acknowledged());
    proxy_cut_after(proxy, 0);
    assert_ends_equal(1);
}

/* ---- failover ---- */

static bool replica_in_sync(void *arg)
{
    redisContext *c = server_connect(replica.port);
    char *link = server_info(c, "replication", "master_link_status");
    bool up = link && strcmp(link, "up") == 0;
    free(link);
    redisFree(c);
    (void)arg;
    return up;
}

/* The replica has all until now; what comes after does not reach it. Then it takes the target's place. */
static void fail_over_after(uint32_t ms)
{
    char *follow = format_text("REPLICAOF 127.0.0.1 %u", crash.run.target.port);
    redis_start(&replica, NULL);
    tell("CONFIG SET repl-diskless-sync-delay 0");
    redisContext *c = server_connect(replica.port);
    server_ok(c, follow);
    assert_true(wait_until(replica_in_sync, NULL, RUN_DEADLINE_MS));
    write_for(300);
    assert_true(acknowledged());
    tell("WAIT 1 5000");
    server_ok(c, "REPLICAOF NO ONE");
    redisFree(c);
    free(follow);
    write_for(ms);
    assert_true(acknowledged());
    struct server old = crash.run.target;
    crash.run.target = replica;
    replica = (struct server){0};
    proxy_to(proxy, crash.run.target.port);
    server_stop(&old);
}

static void failover_to_a_replica_that_lags_is_brought_forward(void **state)
{
    (void)state;
    begin_behind_proxy(NULL);
    fail_over_after(500);
    write_some();
    assert_ends_equal(1);
    assert_true(df2redis_said(&crash.run.program, "brought forward from the spool"));
}

static void failover_to_a_replica_that_lags_far_gets_a_full_sync(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", NULL};
    begin_behind_proxy(extra);
    fail_over_after(1500);
    write_some();
    assert_ends_equal(2);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(restart_with_its_data_is_waited_out, teardown),
        cmocka_unit_test_teardown(restart_without_its_data_is_noticed, teardown),
        cmocka_unit_test_teardown(restart_without_its_data_is_noticed_while_idle, teardown),
        cmocka_unit_test_teardown(restart_without_its_data_in_the_full_sync_is_noticed, teardown),
        cmocka_unit_test_teardown(target_with_an_older_copy_is_brought_forward_from_the_spool, teardown),
        cmocka_unit_test_teardown(writes_since_the_last_mark_that_are_gone_come_again, teardown),
        cmocka_unit_test_teardown(target_with_too_old_a_copy_gets_a_full_sync, teardown),
        cmocka_unit_test_teardown(target_from_before_a_flush_gets_a_full_sync, teardown),
        cmocka_unit_test_teardown(target_from_after_a_flush_is_brought_forward, teardown),
        cmocka_unit_test_teardown(older_copy_and_dead_workers_together_are_brought_forward, teardown),
        cmocka_unit_test_teardown(restart_without_marks_means_a_full_sync, teardown),
        cmocka_unit_test_teardown(without_marks_the_target_has_no_key_of_ours, teardown),
        cmocka_unit_test_teardown(out_of_memory_is_waited_out, teardown),
        cmocka_unit_test_teardown(out_of_memory_now_and_then_loses_nothing, teardown),
        cmocka_unit_test_teardown(read_only_replica_is_waited_out, teardown),
        cmocka_unit_test_teardown(too_few_replicas_are_waited_out, teardown),
        cmocka_unit_test_teardown(failed_background_saves_are_waited_out, teardown),
        cmocka_unit_test_teardown(long_script_is_waited_out, teardown),
        cmocka_unit_test_teardown(replica_without_its_master_is_waited_out, teardown),
        cmocka_unit_test_teardown(loading_is_waited_out, teardown),
        cmocka_unit_test_teardown(stopped_target_is_waited_out_while_the_spool_grows, teardown),
        cmocka_unit_test_teardown(killed_connections_lose_nothing, teardown),
        cmocka_unit_test_teardown(connections_cut_anywhere_lose_nothing, teardown),
        cmocka_unit_test_teardown(short_lived_connections_get_forward, teardown),
        cmocka_unit_test_teardown(failover_to_a_replica_that_lags_is_brought_forward, teardown),
        cmocka_unit_test_teardown(failover_to_a_replica_that_lags_far_gets_a_full_sync, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
