/* A real Dragonfly whose journal lacks a part of what it did: what the target lacks then is found and healed.
 * Needs DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum { SHARDS = 4, ROUNDS = 40 };

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

static void begin(void)
{
    if (!run_begin_live(&run, SHARDS, NULL))
        skip();
}

static void assert_comes_out_equal(void)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    uint64_t keys = 0;
    assert_true(run_wait_applied(&run));
    assert_true(suspects_wait_settled(&run));
    if (!run_equals_dragonfly(&run, &rules, &keys)) {
        df2redis_print(&run.program);
        fail_msg("not equal");
    }
    print_message("%llu keys; suspects: %.0f equal, %.0f healed, %.0f permanent\n", (unsigned long long)keys,
                  suspects(&run, "equal"), suspects(&run, "healed"), suspects(&run, "permanent"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void write_round(redisContext *c, int i)
{
    static const char *const commands[] = {
        "RPUSH list:%d 5 1 4 2 3",
        "SORT list:%d STORE sorted:%d",
        "GEOADD geo:%d 13.361389 38.115556 a 15.087269 37.502669 b",
        "GEORADIUS geo:%d 15 37 200 km STORE near:%d",
        "GEORADIUSBYMEMBER geo:%d a 200 km STORE beside:%d",
        "PFADD hll:%d a b c",
        "PFADD other-hll:%d c d e",
        "PFMERGE merged:%d hll:%d other-hll:%d",
        "ZADD z:%d 1 a 2 b",
        "ZADD z2:%d 3 b 4 c",
        "ZUNIONSTORE union:%d 2 z:%d z2:%d",
        "ZUNIONSTORE weighed:%d 2 z:%d z2:%d WEIGHTS 0.333333333 1.0000004",
        "ZINTERSTORE common:%d 2 z:%d z2:%d WEIGHTS 0.7777777777 1",
        "ZRANGESTORE part:%d weighed:%d 0 0",
        "ZMPOP 1 z:%d MIN COUNT 1",
        "SADD s:%d a b c",
        "SADD s2:%d b c d",
        "SINTERSTORE both:%d 2 s:%d",
        "SUNIONSTORE all:%d s:%d s2:%d",
        "COPY list:%d copy:%d",
        "RENAME z2:%d renamed:%d",
        "SETBIT b:%d 7 1",
        "BITOP NOT not:%d b:%d",
    };
    for (size_t n = 0; n < sizeof commands / sizeof *commands; n++) {
        char words[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(words, sizeof words, commands[n], i, i, i);
#pragma GCC diagnostic pop
        freeReplyObject(server_command(c, words));
    }
}

static void what_its_journal_lacks_is_healed(void **state)
{
    (void)state;
    begin();
    redisContext *c = server_connect(run.dragonfly.port);
    for (int i = 0; i < ROUNDS; i++)
        write_round(c, i);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    for (int i = ROUNDS / 2; i < ROUNDS * 2; i++)
        write_round(c, i);
    redisFree(c);
    assert_comes_out_equal();
}

static bool all_healed(void *arg)
{
    (void)arg;
    return suspects(&run, "healed") >= ROUNDS;
}

static void pops_of_several_elements_are_healed(void **state)
{
    (void)state;
    begin();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    redisContext *c = server_connect(run.dragonfly.port);
    for (int i = 0; i < ROUNDS; i++) {
        char words[200];
        snprintf(words, sizeof words, "RPUSH l:%d 1 2 3 4 5 6 7 8", i);
        freeReplyObject(server_command(c, words));
        snprintf(words, sizeof words, "LMPOP 2 none:%d l:%d LEFT COUNT %d", i, i, 2 + i % 3);
        freeReplyObject(server_command(c, words));
        snprintf(words, sizeof words, "BLMPOP 1 1 l:%d RIGHT COUNT 2", i);
        freeReplyObject(server_command(c, words));
    }
    redisFree(c);
    assert_true(wait_until(all_healed, NULL, RUN_DEADLINE_MS));
    assert_comes_out_equal();
}

enum { OLD_KEYS = 200000, NEW_KEYS = 100000, AT_ONCE = 1000, COUNTED_ROUNDS = 3 };

static void write_keys(redisContext *c, const char *prefix, int count)
{
    redisReply *r = NULL;
    for (int i = 0; i < count; i += AT_ONCE) {
        for (int k = i; k < i + AT_ONCE; k++)
            redisAppendCommand(c, "SET %s:%d %d", prefix, k, k);
        for (int k = i; k < i + AT_ONCE; k++) {
            assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
            freeReplyObject(r);
        }
    }
}

static bool written_beyond(void *arg)
{
    (void)arg;
    return df2redis_status_number(&run.program, "divergences.database_not_in_target") > 0;
}

/* What cannot be compared there holds up nothing else. */
static void keys_of_a_database_that_the_target_lacks_hold_up_no_comparison(void **state)
{
    (void)state;
    if (!run_begin_live(&run, SHARDS, (const char *const[]){"--dbnum=18", NULL}))
        skip();
    redisContext *c = server_connect(run.dragonfly.port), *beyond = server_connect(run.dragonfly.port);
    server_ok(beyond, "SELECT 17");
    freeReplyObject(server_commandf(c, "DEBUG POPULATE %d old 100", OLD_KEYS));
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_said(&run.program, "the source streams its snapshot", RUN_DEADLINE_MS));
    server_ok(beyond, "RPUSH l 1 2 3 4 5 6 7 8");
    assert_true(run_wait_in_step(&run));
    freeReplyObject(server_command(beyond, "LMPOP 1 l LEFT COUNT 3"));
    assert_true(wait_until(written_beyond, NULL, RUN_DEADLINE_MS));
    for (int i = 0; i < ROUNDS; i++) {
        char words[100];
        snprintf(words, sizeof words, "RPUSH l:%d 1 2 3 4 5 6 7 8", i);
        freeReplyObject(server_command(c, words));
        snprintf(words, sizeof words, "LMPOP 1 l:%d LEFT COUNT 2", i);
        freeReplyObject(server_command(c, words));
        snprintf(words, sizeof words, "LMPOP 1 l LEFT COUNT %d", 1 + i % 2);
        freeReplyObject(server_command(beyond, words));
    }
    redisFree(c);
    redisFree(beyond);
    assert_true(wait_until(all_healed, NULL, RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    assert_true(suspects_wait_settled(&run));
    assert_false(df2redis_said(&run.program, "DB index is out of range"));
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

enum { LARGE_ELEMENTS = 10000, LARGE_BYTES = 4096, LARGE_WRITES = 60 };

/* Of about 40 MB: "name key" and what stands before each element. */
static void write_large(redisContext *c, const char *command, const char *before)
{
    char *words = format_text("%s %s%%s", command, before);
    char *bytes = x_calloc(1, LARGE_BYTES + 1);
    redisReply *r;
    memset(bytes, 'x', LARGE_BYTES);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    for (int i = 0; i < LARGE_ELEMENTS; i++)
        redisAppendCommand(c, words, i, i, bytes);
#pragma GCC diagnostic pop
    for (int i = 0; i < LARGE_ELEMENTS; i++) {
        assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
        freeReplyObject(r);
    }
    free(bytes);
    free(words);
}

/* Made wrong on the target, and suspect, since the source takes a time to live away that the target does not have. They
 * are written to meanwhile. */
static void large_values_are_healed_while_they_are_written(void **state)
{
    (void)state;
    static const char *const keys[] = {"str", "list", "set", "zset", "hash"};
    begin();
    redisContext *c = server_connect(run.dragonfly.port);
    freeReplyObject(server_commandf(c, "SETRANGE str %d x", LARGE_ELEMENTS * LARGE_BYTES));
    write_large(c, "RPUSH list", "%d%d");
    write_large(c, "SADD set", "%d%d");
    write_large(c, "ZADD zset", "%d.5 %d");
    write_large(c, "HSET hash", "%d %d");
    run_replicate(&run, NULL);
    for (size_t i = 0; i < 5; i++)
        freeReplyObject(server_commandf(c, "PEXPIRE %s 86400000", keys[i]));
    redisContext *t = server_connect(run.target.port);
    redisReply *able = server_command(t, "HPEXPIRE none 1000 FIELDS 1 f");
    if (able->type == REDIS_REPLY_ARRAY)
        freeReplyObject(server_commandf(c, "HEXPIRE hash 100000 FIELDS 3 1 2 3"));
    freeReplyObject(able);
    assert_true(run_wait_in_step(&run));
    for (size_t i = 0; i < 5; i++)
        freeReplyObject(server_commandf(t, "PERSIST %s", keys[i]));
    freeReplyObject(server_command(t, "SETRANGE str 20000000 y"));
    freeReplyObject(server_command(t, "LREM list 2 none"));
    freeReplyObject(server_command(t, "LSET list 7000 y"));
    freeReplyObject(server_command(t, "SADD set y"));
    freeReplyObject(server_command(t, "DEL zset"));
    freeReplyObject(server_command(t, "HSET hash 2 y"));
    redisFree(t);
    for (size_t i = 0; i < 5; i++)
        freeReplyObject(server_commandf(c, "PERSIST %s", keys[i]));
    struct random random = {4711};
    for (int i = 0; i < LARGE_WRITES; i++) {
        freeReplyObject(server_commandf(c, "APPEND str %d", i));
        freeReplyObject(server_commandf(c, "RPUSH list %d", i));
        freeReplyObject(server_commandf(c, "SADD set %d", i));
        freeReplyObject(server_commandf(c, "ZINCRBY zset 1 %d", i));
        freeReplyObject(server_commandf(c, "HINCRBY hash n 1"));
        poll(NULL, 0, (int)random_below(&random, 100)); /* the load's own gaps */
    }
    redisFree(c);
    assert_comes_out_equal();
}

/* This release may have them in neither snapshot nor journal. */
static void keys_that_are_new_during_a_full_sync_are_there(void **state)
{
    (void)state;
    begin();
    redisContext *c = server_connect(run.dragonfly.port);
    freeReplyObject(server_commandf(c, "DEBUG POPULATE %d old 100", OLD_KEYS));
    run_replicate(&run, NULL);
    write_keys(c, "new", NEW_KEYS);
    char *omits = server_info(c, "stats", "total_journal_omits");
    print_message("omitted by the source: %s\n", omits ? omits : "?");
    free(omits);
    redisFree(c);
    assert_true(run_wait_in_step(&run));
    print_message("left out by the source: %.0f\n", suspects(&run, "pending") + suspects(&run, "healed"));
    assert_comes_out_equal();
}

/* Made with commands that are journaled all the same, deleted, and counted anew, each while the snapshot is made. */
static void count_anew(redisContext *c, int round)
{
    static const char *const commands[] = {
        "MSET counter:%d 5", "UNLINK counter:%d",   "INCR counter:%d", "SETNX lock:%d token",
        "DEL lock:%d",       "GETSET swapped:%d 7", "DEL swapped:%d",  "INCRBY swapped:%d 2",
        "MSETNX gone:%d a",  "DEL gone:%d",         "MSET list:%d x",  "DEL list:%d",
        "RPUSH list:%d y",   "INCR plain:%d",       "DEL plain:%d",    "INCR plain:%d",
    };
    const int kinds = sizeof commands / sizeof *commands;
    redisReply *r = NULL;
    for (int i = round * AT_ONCE; i < (round + 1) * AT_ONCE; i++)
        for (int n = 0; n < kinds; n++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            redisAppendCommand(c, commands[n], i);
#pragma GCC diagnostic pop
        }
    for (int i = 0; i < AT_ONCE * kinds; i++) {
        assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
        if (r->type == REDIS_REPLY_ERROR)
            fail_msg("%s: %s", commands[i % kinds], r->str);
        freeReplyObject(r);
    }
}

static void counters_that_are_deleted_during_a_full_sync_are_right(void **state)
{
    (void)state;
    static const char *const slow[] = {"--max-rate", "1m", NULL};
    begin();
    redisContext *c = server_connect(run.dragonfly.port);
    freeReplyObject(server_commandf(c, "DEBUG POPULATE %d old 100 RAND", OLD_KEYS));
    run_replicate(&run, slow);
    assert_true(df2redis_wait_status(&run.program, "phase", "full-sync", RUN_DEADLINE_MS));
    for (int round = 0; round < COUNTED_ROUNDS; round++)
        count_anew(c, round);
    redisFree(c);
    assert_comes_out_equal();
}

/* The same key again and again, by two clients. */
static void counters_of_a_busy_source_are_right(void **state)
{
    (void)state;
    begin();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    redisContext *c = server_connect(run.dragonfly.port), *target = server_connect(run.target.port);
    for (int i = 0; i < 20000; i++) {
        redisAppendCommand(c, "INCR k");
        if (i % 2000 == 0) {
            freeReplyObject(server_command(target, "RPUSH h x"));
            redisAppendCommand(c, "HSET h f v");
        }
    }
    redisReply *r = NULL;
    for (int i = 0; i < 20010; i++) {
        assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
        freeReplyObject(r);
    }
    redisFree(c);
    redisFree(target);
    assert_comes_out_equal();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_its_journal_lacks_is_healed, teardown),
        cmocka_unit_test_teardown(pops_of_several_elements_are_healed, teardown),
        cmocka_unit_test_teardown(keys_that_are_new_during_a_full_sync_are_there, teardown),
        cmocka_unit_test_teardown(large_values_are_healed_while_they_are_written, teardown),
        cmocka_unit_test_teardown(keys_of_a_database_that_the_target_lacks_hold_up_no_comparison, teardown),
        cmocka_unit_test_teardown(counters_that_are_deleted_during_a_full_sync_are_right, teardown),
        cmocka_unit_test_teardown(counters_of_a_busy_source_are_right, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
