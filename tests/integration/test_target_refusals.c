/* The target refusing, silent, or cut off for a while: it is waited out, and loses nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/target_trouble.h"

static inline bool long_test(void)
{
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    return wanted && *wanted && *wanted != '0';
}

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
    freeReplyObject(server_commandf(c, "CONFIG SET save %s", "1000000 1000000"));
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
    static const char *const slow[] = {"--key-load-delay", "6000", "--loading-process-events-interval-bytes",
                                       "1024", NULL};
    begin(NULL);
    tell("SAVE");
    redis_restart(&crash.run.target, slow);
    assert_true(df2redis_wait_said(&crash.run.program, "LOADING", RUN_DEADLINE_MS));
    write_some();
    assert_ends_equal(1);
}

/* ---- silence and broken connections ---- */

static bool not_in_step(void *arg)
{
    (void)arg;
    return !df2redis_status_true(&crash.run.program, "in_step");
}

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
    assert_true(wait_until(not_in_step, NULL, RUN_DEADLINE_MS));
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

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
