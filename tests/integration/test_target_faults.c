/* The target back from an older copy of its data, or without any: the journal goes on meanwhile, and in the
 * end it holds each command once, brought forward from the spool or by a full sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/scripted_words.h"
#include "tests/support/target_trouble.h"

static struct server replica;

static int teardown_both(void **state)
{
    server_stop(&replica);
    return teardown(state);
}

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
    scripted_write(crash.run.source, 0, 0, 0, words);
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

/* A flush that was run and is undone: what came after it must not be flushed away, nor what came before stay.
 */
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

/* The replica has all until now; what comes after does not reach it. Then it takes the target's place. */
static void fail_over_after(uint32_t ms)
{
    char *follow = format_text("REPLICAOF 127.0.0.1 %u", crash.run.target.port);
    redis_start(&replica, NULL);
    tell("CONFIG SET repl-diskless-sync-delay 0");
    redisContext *c = server_connect(replica.port);
    server_ok(c, follow);
    assert_true(wait_until(redis_is_in_sync, &replica, RUN_DEADLINE_MS));
    write_for(300);
    assert_true(acknowledged());
    tell("WAIT 1 60000");
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
        cmocka_unit_test_teardown(restart_with_its_data_is_waited_out, teardown_both),
        cmocka_unit_test_teardown(restart_without_its_data_is_noticed, teardown_both),
        cmocka_unit_test_teardown(restart_without_its_data_is_noticed_while_idle, teardown_both),
        cmocka_unit_test_teardown(restart_without_its_data_in_the_full_sync_is_noticed, teardown_both),
        cmocka_unit_test_teardown(target_with_an_older_copy_is_brought_forward_from_the_spool, teardown_both),
        cmocka_unit_test_teardown(writes_since_the_last_mark_that_are_gone_come_again, teardown_both),
        cmocka_unit_test_teardown(target_with_too_old_a_copy_gets_a_full_sync, teardown_both),
        cmocka_unit_test_teardown(target_from_before_a_flush_gets_a_full_sync, teardown_both),
        cmocka_unit_test_teardown(target_from_after_a_flush_is_brought_forward, teardown_both),
        cmocka_unit_test_teardown(older_copy_and_dead_workers_together_are_brought_forward, teardown_both),
        cmocka_unit_test_teardown(restart_without_marks_means_a_full_sync, teardown_both),
        cmocka_unit_test_teardown(without_marks_the_target_has_no_key_of_ours, teardown_both),
        cmocka_unit_test_teardown(failover_to_a_replica_that_lags_is_brought_forward, teardown_both),
        cmocka_unit_test_teardown(failover_to_a_replica_that_lags_far_gets_a_full_sync, teardown_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
