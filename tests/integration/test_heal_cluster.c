/* Keys of a cluster are compared on the master that has them, and healed there, also when their slot moves meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/redis/topology.h"
#include "tests/support/heal_case.h"
#include "tests/support/kills.h"

/* On the master that has the key. */
static void in_target_cluster(const char *key, const char *words)
{
    redisContext *c =
        redis_cluster_connect(&cluster, redis_cluster_owner(&cluster, key_slot(slice_str(key))));
    server_ok(c, words);
    redisFree(c);
}

/* Each key is compared on the master that has it, also after its slot has gone to another one. */
static void keys_of_a_cluster_are_healed(void **state)
{
    (void)state;
    enum { KEYS = 20 };
    char key[16], words[64];
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    begin();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < KEYS; i++) {
            snprintf(key, sizeof key, "k%d", i);
            snprintf(words, sizeof words, "SET %s wrong", key);
            in_target_cluster(key, words);
            snprintf(words, sizeof words, "HSET %s f v%d", key, round);
            source(words);
        }
        wait_settled();
        assert_equal_to_source();
        assert_true(suspects(&run, "healed") == KEYS * (round + 1));
        uint16_t slot = key_slot(slice_str("k0"));
        size_t owner = redis_cluster_owner(&cluster, slot);
        assert_true(redis_cluster_move_slot(&cluster, slot, (owner + 1) % 3));
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Its comparison has read the target's value, and not written yet. */
static bool is_being_compared(void *owner)
{
    redisContext *c = redis_cluster_connect(&cluster, *(size_t *)owner);
    redisReply *r = server_command(c, "CLIENT LIST");
    char *at = strstr(r->str, " name=df2redis:default:heal-0 "), *end = at ? strchr(at, '\n') : NULL;
    if (end)
        *end = '\0';
    bool read = end && (strstr(at, " cmd=pexpiretime ") || strstr(at, " cmd=pttl "));
    freeReplyObject(r);
    redisFree(c);
    return read;
}

/* It waits for what the source has and the FLOW has not; then its slot is another master's. */
static void a_key_whose_slot_moves_while_it_is_compared_is_healed(void **state)
{
    (void)state;
    static const char refused[] = "HSET k f v";
    struct buf journal = {0};
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    begin();
    uint16_t slot = key_slot(slice_str("k"));
    size_t owner = redis_cluster_owner(&cluster, slot);
    in_target_cluster("k", "SET k wrong");
    uint64_t sent = scripted_sent(run.source, 0);
    scripted_hold(run.source, 0, sent);
    source(refused);
    source("SET later 1");
    write_journal(&journal, 0, 0, refused);
    scripted_hold(run.source, 0, sent + journal.len);
    buf_free(&journal);
    assert_true(wait_until(is_being_compared, &owner, RUN_DEADLINE_MS));
    assert_true(redis_cluster_move_slot(&cluster, slot, (owner + 1) % 3));
    scripted_hold(run.source, 0, NEVER);
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool has_passed(void *at_ms)
{
    return clock_unix_ms() > *(int64_t *)at_ms;
}

/* Between two slots, after the time to live of what is moved: the key that it went to is compared, too. */
static void what_was_to_come_from_a_key_that_has_expired_is_healed(void **state)
{
    (void)state;
    static const char *const values[] = {"SET text new", "SET b old",    "SADD set m",
                                         "SADD other z", "RPUSH list e", "RPUSH queue z"};
    static const char *const keys[] = {"text", "set", "list"};
    char words[64];
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    begin();
    uint64_t begun_ms = clock_monotonic_ms();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        source(values[i]);
    wait_settled();
    int64_t at_ms = clock_unix_ms() + 3000 + 4 * (int64_t)(clock_monotonic_ms() - begun_ms);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(words, sizeof words, "PEXPIREAT %s %lld", keys[i], (long long)at_ms);
        source(words);
    }
    wait_settled();
    pid_t worker = worker_pid(&run.program, 0);
    kill(worker, SIGSTOP);
    source("RENAME text b");
    snprintf(words, sizeof words, "PEXPIREAT b %lld", (long long)at_ms + 600000);
    source(words);
    source("SMOVE set other m");
    source("RPOPLPUSH list queue");
    assert_true(clock_unix_ms() < at_ms);
    assert_true(wait_until(has_passed, &at_ms, RUN_DEADLINE_MS));
    kill(worker, SIGCONT);
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") >= 3);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- after a full sync ---- */

enum { LEFT_OUT_OF_CLUSTER = 300 };

static void leave_some_out(void)
{
    redisContext *c = server_connect(data.port);
    for (int i = 0; i < LEFT_OUT_OF_CLUSTER; i++)
        freeReplyObject(server_commandf(c, "SET left:%d %d", i, i));
    redisFree(c);
}

static void keys_that_a_full_sync_left_out_are_found_in_a_cluster(void **state)
{
    (void)state;
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    prepare = leave_some_out;
    source_omits = 1;
    begin();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == LEFT_OUT_OF_CLUSTER);
    assert_int_equal(run_terminate(&run), EX_OK);
}

enum { SOME_KEYS = 400 };

static void write_some(struct stream_writer *w)
{
    write_keys(w, SOME_KEYS);
}

/* One key at a time, and as soon as the one before has an end. */
static void the_end_waits_while_suspects_of_a_cluster_are_settled(void **state)
{
    (void)state;
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    in_snapshot = write_some;
    begin();
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_false(df2redis_said(&run.program, "not compared with the source's yet"));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_of_a_cluster_are_healed, teardown),
        cmocka_unit_test_teardown(a_key_whose_slot_moves_while_it_is_compared_is_healed, teardown),
        cmocka_unit_test_teardown(what_was_to_come_from_a_key_that_has_expired_is_healed, teardown),
        cmocka_unit_test_teardown(keys_that_a_full_sync_left_out_are_found_in_a_cluster, teardown),
        cmocka_unit_test_teardown(the_end_waits_while_suspects_of_a_cluster_are_settled, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
