/* Commands that a real Dragonfly carries out in its own way, one by one: JSON into a target with a JSON
 * module, and what Redis by itself would do otherwise. Needs DF2REDIS_TEST_DRAGONFLY; JSON
 * DF2REDIS_TEST_JSON_MODULE as well, a module for the target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/run.h"

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

static void send_all(const char *const *lines, size_t count)
{
    redisContext *c = server_connect(run.dragonfly.port);
    for (size_t i = 0; i < count; i++) {
        redisReply *r = server_command(c, lines[i]);
        if (r->type == REDIS_REPLY_ERROR)
            fail_msg("%s: %s", lines[i], r->str);
        freeReplyObject(r);
    }
    redisFree(c);
}
#define SEND(lines) send_all(lines, sizeof(lines) / sizeof *(lines))

static void assert_equal_now(uint64_t at_least)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    uint64_t keys = 0;
    assert_true(run_wait_applied(&run));
    assert_true(run_equals_dragonfly(&run, &rules, &keys));
    assert_true(keys >= at_least);
}

static void begin(unsigned shards, const char *const *target_options)
{
    if (!run_begin_live(&run, shards, NULL))
        skip();
    if (target_options) {
        server_stop(&run.target);
        redis_start(&run.target, target_options);
    }
}

static bool target_knows(const char *command)
{
    redisContext *c = server_connect(run.target.port);
    redisReply *r = server_commandf(c, "COMMAND INFO %s", command);
    bool known = r->type == REDIS_REPLY_ARRAY && r->elements == 1 && r->element[0]->type == REDIS_REPLY_ARRAY;
    freeReplyObject(r);
    redisFree(c);
    return known;
}

static void json_comes_out_equal(void **state)
{
    (void)state;
    const char *module = getenv("DF2REDIS_TEST_JSON_MODULE");
    if (!module || !*module) {
        print_message("DF2REDIS_TEST_JSON_MODULE names no module: skipped\n");
        skip();
    }
    static const char *const before[] = {
        "JSON.SET doc $ {\"a\":1,\"b\":[1,2,3],\"c\":{\"d\":\"x\"},\"n\":null,\"t\":true}",
        "JSON.SET numbers $ [0,-1,1.5,0.1,1e-7,9007199254740993,1e100]",
        "JSON.SET text $ \"\\u00e4\\u20ac\\n\\\"\"",
        "JSON.SET empty . {}",
        "JSON.SET expires $ [[],{},\"\"]",
        "PEXPIRE expires 900000000",
        "SET string text",
        "SELECT 2",
        "JSON.SET doc $ {\"two\":2}",
    };
    static const char *const journal[] = {
        "JSON.SET new $ {\"a\":{\"a\":[1]},\"s\":\"x\",\"k\":2}",
        "JSON.SET doc $.c.e [7]",
        "JSON.SET doc .a 10 XX",
        "JSON.SET fresh $ 5 NX",
        "JSON.MSET m1 $ {\"a\":1} m2 $ [1,2] doc $.m 0.5",
        "JSON.NUMINCRBY doc $.a 0.1",
        "JSON.NUMINCRBY numbers $[1] 41",
        "JSON.NUMMULTBY new $.k 3",
        "JSON.ARRAPPEND doc $.b 4 \"five\" {\"six\":6}",
        "JSON.ARRINSERT doc $.b 1 null",
        "JSON.ARRPOP doc $.b 0",
        "JSON.ARRTRIM numbers $ 1 4",
        "JSON.STRAPPEND new $.s \"yz\"",
        "JSON.TOGGLE doc $.t",
        "JSON.CLEAR new $.a",
        "JSON.DEL doc $.n",
        "JSON.FORGET new $.k",
        "JSON.SET string $ \"no_string_any_more\"",
        "JSON.SET expires $ {\"lives\":\"on\"}",
        "JSON.DEL empty",
        "COPY m1 m3",
        "RENAME m2 m4",
        "SELECT 2",
        "JSON.ARRAPPEND doc $.none 1",
        "JSON.SET doc $.two {\"three\":3}",
    };
    static const char *const merge[] = {"JSON.MERGE doc $ {\"a\":null,\"q\":{\"r\":1}}"};
    static const char *options[] = {"--loadmodule", NULL, NULL};
    options[1] = module;
    begin(2, options);
    SEND(before);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_equal_now(7);
    SEND(journal);
    if (target_knows("JSON.MERGE"))
        SEND(merge);
    assert_equal_now(10);
    int status = run_terminate(&run);
    if (status != EX_OK)
        df2redis_print(&run.program);
    assert_int_equal(status, EX_OK);
}

/* Where there is no JSON, nothing older stays under the key of a document. */
static void what_json_replaced_is_gone_without_the_module(void **state)
{
    (void)state;
    static const char *const before[] = {"SET s1 text", "SET s2 text", "SET s3 text"};
    static const char *const journal[] = {"JSON.SET s1 $ {\"a\":1}", "JSON.MSET s2 $ 1 s4 $ 2",
                                          "JSON.SET other $ {\"b\":2}", "RENAME other s3", "SET kept 1"};
    begin(2, NULL);
    SEND(before);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    SEND(journal);
    assert_equal_now(5);
    assert_int_equal(run_target_keys(&run), 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

#define LONG "a-member-of-more-than-thirty-two-bytes"

static void what_dragonfly_does_in_its_own_way_comes_out_so(void **state)
{
    (void)state;
    static const char *const before[] = {("ZADD long 5 a 7 " LONG),
                                         "ZADD short 5 a 7 b",
                                         "BITFIELD bits SET u8 0 3 SET u8 8 3 SET u8 16 3",
                                         "XGROUP CREATE x g 0 MKSTREAM",
                                         "XADD x 1-0 f v",
                                         "XADD x 2-0 f v",
                                         "XADD x 3-0 f v",
                                         "XREADGROUP GROUP g reader COUNT 3 STREAMS x >"};
    static const char *const journal[] = {
        "ZADD long GT 1 a",
        ("ZADD long LT CH 100 " LONG),
        "ZADD short GT 1 a 9 b",
        "ZADD short LT INCR 3 a",
        ("ZADD short GT 1 a 1 " LONG " 1 b"),
        "BITFIELD bits OVERFLOW SAT INCRBY u8 0 -4 INCRBY u8 8 -2 OVERFLOW WRAP INCRBY u8 16 -4",
        "BITFIELD bits OVERFLOW SAT INCRBY u63 #1 -1 INCRBY i8 #30 -200",
        "XDEL x 1-0 3-0",
        "XAUTOCLAIM x g other 0 0",
        "XCLAIM x g third 0 9-0 LASTID 2-0"};
    begin(2, NULL);
    SEND(before);
    redisContext *c = server_connect(run.dragonfly.port);
    for (int i = 0; i < 200; i++) {
        redisReply *r = server_commandf(c, "ZADD many %d m%d", i, i);
        freeReplyObject(r);
    }
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    for (int i = 0; i < 20; i++) {
        redisReply *r = server_commandf(c, "ZADD many %s %d m%d", i % 2 ? "GT" : "LT", i * 10 - 30, i * 9);
        freeReplyObject(r);
    }
    redisFree(c);
    SEND(journal);
    assert_equal_now(5);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* However short the time to live was, a key that was kept in time is kept. */
static void keys_that_are_kept_in_time_stay(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    begin(2, NULL);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    redisContext *c = server_connect(run.dragonfly.port);
    for (int i = 0; i < KEYS; i++) {
        redisAppendCommand(c, "SET k%d v PX 3", i);
        redisAppendCommand(c, i % 2 ? "PERSIST k%d" : "PEXPIRE k%d 90000000", i);
    }
    long long kept = 0;
    for (int i = 0; i < 2 * KEYS; i++) {
        redisReply *r = NULL;
        assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
        kept += r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
        freeReplyObject(r);
    }
    redisFree(c);
    assert_true(kept > KEYS / 2);
    assert_equal_now((uint64_t)kept);
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(json_comes_out_equal, teardown),
        cmocka_unit_test_teardown(what_json_replaced_is_gone_without_the_module, teardown),
        cmocka_unit_test_teardown(keys_that_are_kept_in_time_stay, teardown),
        cmocka_unit_test_teardown(what_dragonfly_does_in_its_own_way_comes_out_so, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
