/* df2redis verify beside a run of a real Dragonfly, while several clients write as fast as they can: nothing that is
 * right is called different, and what is made different by hand is found, named and repaired.
 * Needs DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/verify_case.h"
#include "tests/support/workload.h"

enum { SHARDS = 2, ROUNDS = 3, RACES = 400, HOT_KEYS = 10 };

static struct workload *load;
static pthread_t hot;
static atomic_bool hot_ends;
static bool hot_runs;

static void end_load(void)
{
    if (load)
        workload_stop(load);
    load = NULL;
    hot_ends = true;
    if (hot_runs)
        pthread_join(hot, NULL);
    hot_runs = false;
}

static int teardown_live(void **state)
{
    end_load();
    return teardown_verify(state);
}

static void begin_live(void)
{
    if (!run_begin_live(&run, SHARDS, NULL))
        skip();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
}

/* A few keys, written again and again: counters, a list, a hash. */
static void *write_hot(void *arg)
{
    redisContext *c = server_connect(run.dragonfly.port);
    (void)arg;
    for (int i = 0; !hot_ends; i++) {
        redisReply *r = NULL;
        redisAppendCommand(c, "INCR hot:%d", i % HOT_KEYS);
        redisAppendCommand(c, "HSET hot:hash f%d %d", i % 7, i);
        redisAppendCommand(c, "RPUSH hot:list %d", i);
        redisAppendCommand(c, "LTRIM hot:list -20 -1");
        for (int n = 0; n < 4; n++) {
            if (redisGetReply(c, (void **)&r) != REDIS_OK)
                break;
            freeReplyObject(r);
        }
        poll(NULL, 0, 5);
    }
    redisFree(c);
    return NULL;
}

static void begin_load(void)
{
    struct workload_options o;
    workload_options_init(&o, run.dragonfly.port);
    o.connections = 4;
    o.keys = 300;
    load = workload_start(&o);
    hot_ends = false;
    hot_runs = pthread_create(&hot, NULL, write_hot, NULL) == 0;
    assert_true(hot_runs);
}

static void assert_nothing_differs(const char *const *extra)
{
    int code = verify(extra);
    if (count_of("different") != 0 || (code != EX_OK && code != EX_TEMPFAIL))
        print_message("%s\n", verify_printed ? verify_printed : "nothing was printed");
    assert_int_equal(count_of("different"), 0);
    assert_true(code == EX_OK || code == EX_TEMPFAIL);
}

static void nothing_right_is_called_different_under_writes(void **state)
{
    (void)state;
    begin_live();
    begin_load();
    for (int i = 0; i < ROUNDS; i++)
        assert_nothing_differs(NULL);
    end_load();
    assert_true(run_wait_applied(&run));
    assert_verified(EX_OK, NULL);
}

/* Keys that nothing else writes. */
static void write_quiet_keys(void)
{
    static const char *const commands[] = {
        "SET q:string a",      "RPUSH q:list a b c",    "SADD q:set a b c",      "HSET q:hash a 1 b 2",
        "ZADD q:zset 1 a 2 b", "RPUSH q:turned a b c",  "SET q:typed a",         "SET q:mortal a EX 90000",
        "SET q:missing a",     "XADD q:stream 1-1 a b", "XADD q:groups 1-1 a b", "XGROUP CREATE q:groups g 0",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        server_tell(run.dragonfly.port, commands[i]);
}

static const char *const spoil[] = {
    "SET q:string b",
    "LSET q:list 1 x",
    "SADD q:set d",
    "HSET q:hash a 2",
    "ZADD q:zset 3 a",
    "RPOPLPUSH q:turned q:turned",
    "DEL q:typed",
    "RPUSH q:typed a",
    "PERSIST q:mortal",
    "DEL q:missing",
    "SET q:extra 1",
    "XADD q:stream 2-1 a b",
    "XGROUP CREATE q:groups h 0",
};
enum { SPOILT = 12 };

static void differences_are_found_and_repaired_under_writes(void **state)
{
    static const char *const kinds[] = {"value",   "element", "order", "type", "ttl",
                                        "missing", "extra",   "entry", "group"};
    static const char *const repair[] = {"--repair", NULL};
    (void)state;
    begin_live();
    write_quiet_keys();
    begin_load();
    assert_true(run_wait_in_step(&run));
    assert_nothing_differs(NULL);
    for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++)
        target(spoil[i]);
    assert_verified(EX_DATAERR, NULL);
    assert_int_equal(count_of("different"), SPOILT);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_true(kind_of(kinds[i]) > 0);
    verify(repair);
    assert_int_equal(count_of("different"), SPOILT);
    assert_int_equal(count_of("repaired"), SPOILT);
    assert_nothing_differs(NULL);
    end_load();
    assert_true(run_wait_applied(&run));
    struct state_rules rules = {.read = {.stream_details = true}};
    assert_true(run_equals_dragonfly(&run, &rules, NULL));
}

/* The source sets a key to ever higher numbers, somebody spoils it on the target, and it is repaired meanwhile: it never
 * goes back to what the source had before. */
static void a_key_written_meanwhile_is_never_set_back(void **state)
{
    static const char *const repair[] = {"--repair", NULL};
    (void)state;
    begin_live();
    redisContext *source_side = server_connect(run.dragonfly.port);
    const char *argv[VERIFY_ARGS];
    struct process process = {0};
    char *output = format_text("%s/verify.out", run.program.dir);
    verify_words(argv, repair);
    for (int i = 1; i <= RACES; i++) {
        char words[40];
        if (!process_running(&process)) {
            process_stop(&process);
            assert_true(process_start(&process, output, argv));
        }
        snprintf(words, sizeof words, "SET race %d", i);
        server_ok(source_side, words);
        if (i % 3 == 0)
            target("SET race spoilt");
        snprintf(words, sizeof words, "SET race %d", ++i);
        server_ok(source_side, words);
    }
    process_wait(&process, RUN_DEADLINE_MS);
    process_stop(&process);
    free(output);
    redisFree(source_side);
    assert_true(run_wait_applied(&run));
    verify(repair);
    struct state_rules rules = {0};
    assert_true(run_equals_dragonfly(&run, &rules, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_right_is_called_different_under_writes, teardown_live),
        cmocka_unit_test_teardown(differences_are_found_and_repaired_under_writes, teardown_live),
        cmocka_unit_test_teardown(a_key_written_meanwhile_is_never_set_back, teardown_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
