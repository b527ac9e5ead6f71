/* Keys that may have come out wrong are compared with the source's, and what is not equal is written anew: what was
 * only suspected counts for nothing, and no suspect is lost by a death or by the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/heal_case.h"
#include "tests/support/kills.h"

static struct kills kills;

static void what_was_refused_and_is_equal_counts_nothing(void **state)
{
    (void)state;
    begin();
    source("SET k v");
    /* Journaled, though the source has refused it, too. */
    assert_false(scripted_carry_out(run.source, 0, 0, "HSET k f v"));
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "equal") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_was_refused_and_differs_is_healed(void **state)
{
    (void)state;
    static const char *const writes[] = {"HSET k f v",       "RPUSH k a b c",  "SADD k a b",
                                         "ZADD k 1.5 a 2 b", "XADD k 5-1 f v", NULL};
    begin();
    unsigned n = 0;
    for (const char *const *write = writes; *write; write++) {
        source("DEL k");
        wait_settled();
        target(write == writes + 1 ? "HSET k f v" : "RPUSH k x");
        source(*write);
        if (write == writes + 1)
            source("PEXPIREAT k 9999999999999");
        wait_settled();
        assert_equal_to_source();
        assert_true(suspects(&run, "healed") == ++n);
    }
    assert_true(log_says("healed refused_by_target"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* SORT ... STORE across shards: its journal names the keys and nothing else. */
static void what_the_source_lost_is_healed(void **state)
{
    (void)state;
    struct buf journal = {0};
    begin();
    source("RPUSH l 3 1 2");
    source_secretly("SORT l STORE sorted");
    write_journal(&journal, 0, 77, "SORT l");
    scripted_append(run.source, 0, buf_slice(&journal));
    buf_clear(&journal);
    write_journal(&journal, 0, 77, "SORT sorted");
    scripted_append(run.source, 1, buf_slice(&journal));
    buf_free(&journal);
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1 && suspects(&run, "equal") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_the_source_has_no_more_is_removed(void **state)
{
    (void)state;
    begin();
    source("SET k v");
    wait_settled();
    source_secretly("DEL k");
    scripted_hold(run.source, 0, 10); /* or the comparison may come before the deletion */
    scripted_carry_out(run.source, 0, 0, "HSET k f v");
    source_secretly("DEL k");
    scripted_hold(run.source, 0, NEVER);
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_wrong_time_to_live_is_healed(void **state)
{
    (void)state;
    begin();
    char words[64];
    long long end_ms = (long long)clock_unix_ms() + 3600 * 1000;
    snprintf(words, sizeof words, "SET k v PXAT %lld", end_ms);
    source(words);
    wait_settled();
    snprintf(words, sizeof words, "PEXPIREAT k %lld", end_ms + 100);
    target(words);
    scripted_carry_out(run.source, 0, 0, "HSET k f v");
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void databases_are_mapped(void **state)
{
    (void)state;
    static const char *const map[] = {"--db", "3:5", NULL};
    begin_with(true, map);
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SELECT 5");
    server_ok(c, "SET k wrong");
    assert_true(scripted_carry_out(run.source, 1, 3, "HSET k f v"));
    wait_settled();
    redisReply *r = server_command(c, "HGET k f");
    assert_string_equal(r->str, "v");
    freeReplyObject(r);
    redisFree(c);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_source_that_cannot_be_read_leaves_divergences(void **state)
{
    (void)state;
    begin_with(false, NULL);
    target("RPUSH k x");
    source_secretly("SET other v");
    struct buf journal = {0};
    write_journal(&journal, 0, 0, "HSET k f v");
    scripted_append(run.source, 0, buf_slice(&journal));
    buf_free(&journal);
    wait_settled();
    assert_true(df2redis_status_number(&run.program, "divergences.refused_by_target") == 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* A key of the target may be another's: it is only told. */
static void nothing_is_healed_where_keys_may_be_others(void **state)
{
    (void)state;
    static const char *const skip[] = {"--on-conflict", "skip", NULL};
    begin_with(true, skip);
    target("RPUSH k x");
    source("HSET k f v");
    assert_true(run_wait_in_step(&run));
    assert_true(df2redis_status_number(&run.program, "divergences.refused_by_target") == 1);
    redisContext *c = server_connect(run.target.port);
    assert_int_equal(server_integer(c, "LLEN k"), 1);
    redisFree(c);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* ---- deaths, and the end ---- */

static void suspects_outlive_the_run(void **state)
{
    (void)state;
    begin();
    target("RPUSH k x");
    /* The source does not answer to anybody new, and so nothing is compared. */
    scripted_listen(run.source, false);
    source("HSET k f v");
    assert_true(run_wait_in_step(&run));
    assert_true(suspects(&run, "pending") == 1);
    for (int i = 0; i < 2; i++)
        assert_true(kill_worker(&kills, &run.program, 0));
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_true(suspects(&run, "pending") == 1);
    process_signal(&run.program.process, SIGKILL);
    process_wait(&run.program.process, RUN_DEADLINE_MS);
    scripted_listen(run.source, true);
    run_replicate(&run, NULL);
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The target carries out a MULTI while nobody is left to hear that it refused a part of it. */
static void what_was_refused_unheard_is_healed(void **state)
{
    (void)state;
    begin();
    source("SET once 0");
    wait_settled();
    target("RPUSH k x");
    process_signal(&run.target.process, SIGSTOP);
    source("INCR once");
    source("HSET k f v");
    uint64_t begun = clock_monotonic_ms();
    while (!port_unread_bytes(run.target.port) && clock_monotonic_ms() - begun < RUN_DEADLINE_MS)
        poll(NULL, 0, 5);
    assert_true(kill_worker(&kills, &run.program, 0));
    process_signal(&run.target.process, SIGCONT);
    wait_settled();
    assert_equal_to_source();
    assert_true(df2redis_said(&run.program, "its answers were lost"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The same command twice in a row, and the promoted replica has journaled one of both: what is compared is the same. */
static void what_a_promoted_source_did_not_journal_is_healed(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 4; i++)
        source("INCR k");
    assert_true(scripted_carry_out(run.source, 1, 0, "INCR of_the_other_flow"));
    wait_settled();
    source_secretly("INCR k");
    scripted_promote(run.source, "dddddddddddddddddddddddddddddddddddddddd", 2);
    scripted_cut_all(run.source);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE", 2));
    source("INCR other");
    wait_settled();
    assert_equal_to_source();
    assert_true(log_says("healed source_failed_over INCR"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Those of the end are compared before it. */
static void the_end_waits_for_suspects(void **state)
{
    (void)state;
    begin();
    target("RPUSH k x");
    source("HSET k f v");
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_equal_to_source();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_was_refused_and_is_equal_counts_nothing, teardown),
        cmocka_unit_test_teardown(what_was_refused_and_differs_is_healed, teardown),
        cmocka_unit_test_teardown(what_the_source_lost_is_healed, teardown),
        cmocka_unit_test_teardown(what_the_source_has_no_more_is_removed, teardown),
        cmocka_unit_test_teardown(a_wrong_time_to_live_is_healed, teardown),
        cmocka_unit_test_teardown(databases_are_mapped, teardown),
        cmocka_unit_test_teardown(a_source_that_cannot_be_read_leaves_divergences, teardown),
        cmocka_unit_test_teardown(nothing_is_healed_where_keys_may_be_others, teardown),
        cmocka_unit_test_teardown(suspects_outlive_the_run, teardown),
        cmocka_unit_test_teardown(what_was_refused_unheard_is_healed, teardown),
        cmocka_unit_test_teardown(what_a_promoted_source_did_not_journal_is_healed, teardown),
        cmocka_unit_test_teardown(the_end_waits_for_suspects, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
