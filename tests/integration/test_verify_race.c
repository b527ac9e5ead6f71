/* Keys that the source writes all the time are spoilt on the target and repaired, again and again: no repair takes a write
 * back, and none has it twice. Every command that the target executed is looked at, in its order.
 *
 * DF2REDIS_TEST_RACES: how many repairs; DF2REDIS_TEST_RACE_KEYS: of how many strings, and as many lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/repair_watch.h"
#include "tests/support/verify_case.h"

enum {
    SHARDS = 2,
    RACES = 3000,
    RACE_KEYS = 500,
    LIST_ELEMENTS = 20,
    AT_A_TIME = 25,
    PAUSE_MS = 1,
    ROUNDS_MAX = 4
};

static struct repair_watch *watch;
static pthread_t writer;
static atomic_bool writer_ends;
static bool writer_runs;
static unsigned keys;
static uint16_t source_port;

static unsigned number_from(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void end_writer(void)
{
    writer_ends = true;
    if (writer_runs)
        pthread_join(writer, NULL);
    writer_runs = false;
}

static int teardown_race(void **state)
{
    end_writer();
    repair_watch_free(watch);
    watch = NULL;
    return teardown_verify(state);
}

static unsigned append_writes(redisContext *c, unsigned key, unsigned long round)
{
    redisAppendCommand(c, "INCR race:%u", key);
    redisAppendCommand(c, "RPUSH races:%u %lu", key, round);
    if (round <= LIST_ELEMENTS)
        return 2;
    redisAppendCommand(c, "LPOP races:%u", key);
    return 3;
}

static void *write_all(void *arg)
{
    redisContext *c = server_connect(source_port);
    unsigned pending = 0;
    (void)arg;
    for (unsigned long i = 0; !writer_ends; i++) {
        pending += append_writes(c, (unsigned)(i % keys), i / keys + 1);
        if (i % AT_A_TIME && i % keys)
            continue;
        for (; pending; pending--) {
            redisReply *r = NULL;
            if (redisGetReply(c, (void **)&r) != REDIS_OK || r->type == REDIS_REPLY_ERROR)
                die("a write to the source: %s", r ? r->str : c->errstr);
            freeReplyObject(r);
        }
        poll(NULL, 0, PAUSE_MS);
    }
    for (redisReply *r = NULL; pending && redisGetReply(c, (void **)&r) == REDIS_OK; pending--)
        freeReplyObject(r);
    redisFree(c);
    return NULL;
}

static bool all_are_written(void *arg)
{
    char *last = format_text("LLEN races:%u", keys - 1);
    long long len = server_ask(run.target.port, last);
    (void)arg;
    free(last);
    return len > 0;
}

static void begin_writes(uint16_t port)
{
    source_port = port;
    keys = number_from("DF2REDIS_TEST_RACE_KEYS", RACE_KEYS);
    watch = repair_watch_start(run.target.port, data.port, keys);
    writer_ends = false;
    writer_runs = pthread_create(&writer, NULL, write_all, NULL) == 0;
    assert_true(writer_runs);
    assert_true(wait_until(all_are_written, NULL, RUN_DEADLINE_MS));
}

/* What the source writes afterwards does not mend it. */
static void spoil_all(void)
{
    redisContext *c = server_connect(run.target.port);
    for (unsigned i = 0; i < keys; i++) {
        redisAppendCommand(c, "INCRBY race:%u %d", i, REPAIR_WATCH_MILLION);
        redisAppendCommand(c, "LPUSH races:%u spoilt", i);
    }
    for (unsigned i = 0; i < 2 * keys; i++) {
        redisReply *r = NULL;
        if (redisGetReply(c, (void **)&r) != REDIS_OK || r->type == REDIS_REPLY_ERROR)
            die("the target: %s", r ? r->str : c->errstr);
        freeReplyObject(r);
    }
    redisFree(c);
}

static void tell(const char *what)
{
    fprintf(stderr, "%s%llu repairs, %llu with a write to the same key within 20 ms, %llu wrong\n", what,
            (unsigned long long)repair_watch_repairs(watch), (unsigned long long)repair_watch_raced(watch),
            (unsigned long long)repair_watch_wrong(watch));
}

/* Each round has to repair something, or the races are none. */
static void race(unsigned races)
{
    static const char *const repair[] = {"--repair", NULL};
    unsigned rounds = races / (2 * keys) * ROUNDS_MAX + ROUNDS_MAX;
    while (repair_watch_repairs(watch) < races && rounds--) {
        spoil_all();
        int code = verify(repair);
        if (code != EX_OK && code != EX_TEMPFAIL && code != EX_DATAERR)
            print_message("%s\n", verify_printed ? verify_printed : "nothing was printed");
        assert_true(code == EX_OK || code == EX_TEMPFAIL || code == EX_DATAERR);
        if (getenv("DF2REDIS_TEST_RACES"))
            tell("so far: ");
    }
}

static void assert_never_set_back(unsigned races)
{
    repair_watch_stop(watch);
    tell("");
    assert_int_equal(repair_watch_wrong(watch), 0);
    assert_true(repair_watch_repairs(watch) >= races);
    assert_true(repair_watch_raced(watch) >= races / 20);
}

/* And in the end nothing is left to be repaired. */
static void race_and_compare(unsigned races)
{
    static const char *const repair[] = {"--repair", NULL};
    race(races);
    end_writer();
    assert_true(run_wait_in_step(&run));
    assert_verified(EX_OK, repair);
    assert_never_set_back(races);
    assert_verified(EX_OK, NULL);
}

static void no_repair_sets_a_key_back(void **state)
{
    (void)state;
    keyspace_of_data = true;
    begin();
    begin_writes(scripted_port(run.source));
    race_and_compare(number_from("DF2REDIS_TEST_RACES", RACES));
    assert_equal_to_source();
}

static void nor_beside_a_real_dragonfly(void **state)
{
    (void)state;
    if (!run_begin_live(&run, SHARDS, NULL))
        skip();
    redis_start(&data, NULL);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    begin_writes(run.dragonfly.port);
    race_and_compare(number_from("DF2REDIS_TEST_RACES", RACES));
    struct state_rules rules = {0};
    assert_true(run_equals_dragonfly(&run, &rules, NULL));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_repair_sets_a_key_back, teardown_race),
        cmocka_unit_test_teardown(nor_beside_a_real_dragonfly, teardown_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
