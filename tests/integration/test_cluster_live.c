/* A real Dragonfly under concurrent writes of every kind, into clusters of 3 and 6 masters: what multi-key
 * commands of many shards come to, slots that move, masters that die. Needs DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/kills.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"
#include "tests/support/workload.h"

enum { SHARDS = 4, BEFORE = 3000, AFTER_SYNC = 20000, MULTI_KEY_ROUNDS = 60, OPEN_SLOT = 100 };

static struct redis_cluster cluster;
static struct run run;
static struct workload *load;
static struct redis_cluster_mover *mover;
static struct kills kills;

static int teardown(void **state)
{
    (void)state;
    if (mover)
        redis_cluster_mover_stop(mover);
    if (load)
        workload_stop(load);
    mover = NULL;
    load = NULL;
    kills = (struct kills){0};
    run_end(&run);
    redis_cluster_stop(&cluster);
    return 0;
}

static void begin(unsigned masters, unsigned replicas)
{
    if (!dragonfly_available()) {
        print_message("DF2REDIS_TEST_DRAGONFLY names no Dragonfly: skipped\n");
        skip();
    }
    redis_cluster_start(&cluster, masters, replicas);
    run_begin_in(&run, &cluster, NULL);
    dragonfly_start(&run.dragonfly, SHARDS, NULL);
}

/* commands 0: goes on until it is stopped. */
static void write_some(uint64_t commands, bool flushes)
{
    struct workload_options o;
    workload_options_init(&o, run.dragonfly.port);
    o.databases = 1;
    o.commands = commands;
    o.rate = commands ? 0 : 2000;
    o.flushes = flushes;
    o.seed = commands + 7;
    load = workload_start(&o);
    if (!commands)
        return;
    workload_finish(load);
    load = NULL;
}

static void begin_under_load(unsigned masters, unsigned replicas, bool flushes)
{
    begin(masters, replicas);
    write_some(BEFORE, false);
    write_some(0, flushes);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
}

static bool enough_written(void *arg)
{
    const uint64_t *wanted = arg;
    return workload_progress(load) >= *wanted || !process_running(&run.program.process);
}

static void write_until(uint64_t commands)
{
    uint64_t wanted = workload_progress(load) + commands;
    assert_true(wait_until(enough_written, &wanted, RUN_DEADLINE_MS));
}

/* The journal's end at the source, as it is now, has been applied. */
static bool everything_applied(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(run.dragonfly.port);
    redisReply *offsets = server_command(c, "DFLY REPLICAOFFSET");
    cJSON *status = df2redis_status(&run.program);
    const cJSON *flows = cJSON_GetObjectItem(status, "flows");
    bool all = cJSON_GetArraySize(flows) == (int)offsets->elements;
    for (size_t i = 0; all && i < offsets->elements; i++) {
        const cJSON *flow = cJSON_GetArrayItem(flows, (int)i);
        all = cJSON_GetObjectItem(flow, "lsn_applied")->valuedouble >= (double)offsets->element[i]->integer;
    }
    cJSON_Delete(status);
    freeReplyObject(offsets);
    redisFree(c);
    return all || !process_running(&run.program.process);
}

/* ttl_tolerance_ms: MIGRATE tells the other node how long a key still has to live, not until when. */
static void assert_comes_out_equal(int64_t ttl_tolerance_ms)
{
    struct state_rules rules = {.ttl_tolerance_ms = ttl_tolerance_ms,
                                .read = {.stream_details = true, .field_ttls = true},
                                .field_ttl_tolerance_ms = 3000};
    uint64_t keys = 0;
    if (load)
        workload_stop(load);
    load = NULL;
    run_follow(&run, &cluster);
    bool applied = wait_until(everything_applied, NULL, RUN_DEADLINE_MS);
    bool equal = applied && run_equals_dragonfly(&run, &rules, &keys);
    /* A large one that is being compared when the run is to stop is reported: nobody knows then. */
    assert_true(wait_until(suspects_settled, &run, 5 * RUN_DEADLINE_MS)); /* 200 a second */
    cJSON *status = df2redis_status(&run.program);
    const cJSON *divergences = cJSON_GetObjectItem(status, "divergences");
    bool diverged = divergences && divergences->child;
    double sessions = df2redis_status_number(&run.program, "sessions");
    cJSON_Delete(status);
    if (!equal || diverged)
        df2redis_print(&run.program);
    assert_true(equal);
    assert_false(diverged);
    assert_true(keys > 100);
    assert_true(sessions == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void writes_of_every_kind_come_into_3_masters(void **state)
{
    (void)state;
    begin_under_load(3, 0, false);
    write_until(AFTER_SYNC);
    assert_comes_out_equal(0);
}

static void writes_of_every_kind_and_flushes_come_into_6_masters(void **state)
{
    (void)state;
    begin_under_load(6, 0, true);
    write_until(AFTER_SYNC);
    workload_stop(load);
    write_some(BEFORE, false); /* a flush may have been the last */
    assert_comes_out_equal(0);
}

/* What the source makes of a command over several keys, whatever it journals: # is the round. */
static const char *const several_keys[] = {
    "MSET ma:# 1 mb:# 2 mc:# 3 md:# 4",
    "DEL ma:# nowhere:#",
    "UNLINK mb:# md:#",
    "SADD s1:# 1 2 3 4",
    "SADD s2:# 3 4 5",
    "SUNIONSTORE su:# s1:# s2:#",
    "SINTERSTORE si:# s1:# s2:#",
    "SDIFFSTORE sd:# s1:# s2:#",
    "SMOVE s1:# s2:# 1",
    "RPUSH l1:# d b c a e f g",
    "LMOVE l1:# l2:# LEFT RIGHT",
    "RPOPLPUSH l1:# l3:#",
    "ZADD z1:# 1 a 2 b 3 c",
    "ZADD z2:# 5 b 6 d",
    "ZUNIONSTORE zu:# 2 z1:# z2:# WEIGHTS 2 3",
    "ZINTERSTORE zi:# 2 z1:# z2:# AGGREGATE MAX",
    "ZDIFFSTORE zd:# 2 z1:# z2:#",
    "ZRANGESTORE zr:# z1:# 0 1",
    "SET b1:# abcdef",
    "SET b2:# xyz",
    "BITOP AND b3:# b1:# b2:#",
    "BITOP NOT b4:# b1:#",
    "PFADD p1:# a b c",
    "PFADD p2:# d",
    "PFMERGE p3:# p1:# p2:#",
    "SET ra:# value",
    "RENAME ra:# rb:#",
    "COPY rb:# rc:#",
    "RENAME z1:# zz:#",
    "HSET h1:# f v g w",
    "COPY h1:# h2:#",
    "XADD x1:# 1-1 f v",
    "XGROUP CREATE x1:# g 0",
    "XREADGROUP GROUP g c COUNT 1 STREAMS x1:# >",
    "RENAME x1:# x2:#",
    "GEOADD g1:# 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
};

static void commands_over_several_keys_give_the_source_s_result(void **state)
{
    (void)state;
    begin(3, 0);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    redisContext *c = server_connect(run.dragonfly.port);
    for (unsigned round = 0; round < MULTI_KEY_ROUNDS; round++)
        for (size_t i = 0; i < sizeof several_keys / sizeof *several_keys; i++) {
            struct buf line = {0};
            for (const char *p = several_keys[i]; *p; p++) {
                if (*p == '#')
                    buf_printf(&line, "%u", round);
                else
                    buf_put_u8(&line, (uint8_t)*p);
            }
            buf_put_u8(&line, 0);
            server_ok(c, (const char *)line.data);
            buf_free(&line);
        }
    redisFree(c);
    assert_comes_out_equal(0);
}

static void slots_may_move_meanwhile(void **state)
{
    (void)state;
    begin_under_load(3, 0, false);
    mover = redis_cluster_mover_start(&cluster, 21, NULL, 0);
    write_until(AFTER_SYNC);
    assert_true(redis_cluster_mover_stop(mover) > 0);
    mover = NULL;
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_comes_out_equal(2000);
}

static void say(redisContext *c, const char *format)
{
    char line[200];
    snprintf(line, sizeof line, format, slot_tag(OPEN_SLOT));
    server_ok(c, line);
}

/* One that a tag fills, which everything of one customer has. Every FLOW waits while what is left is moved
 * on. */
static void a_slot_of_real_size_may_stay_between_two_masters(void **state)
{
    (void)state;
    begin(3, 0);
    redisContext *c = server_connect(run.dragonfly.port);
    say(c, "DEBUG POPULATE 200000 {%s}key 100");
    say(c, "DEBUG POPULATE 1 {%s}set 8 RAND TYPE SET ELEMENTS 500000");
    say(c, "SETRANGE {%s}large 67108863 x");
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_true(redis_cluster_begin_slot(&cluster, OPEN_SLOT, 1, 1000));
    for (unsigned turn = 0; turn < 2000; turn++) {
        char line[100];
        snprintf(line, sizeof line, "APPEND {%%s}key:%u again", turn * 97);
        say(c, line);
        say(c, "SADD {%s}set:0 more");
        say(c, "INCR {%s}counter");
        if (turn % 20 == 0) /* the source copies all of it */
            say(c, "SETRANGE {%s}large 5 y");
    }
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_true(df2redis_said(&run.program, "serves it while importing it"));
    assert_int_equal(redis_cluster_keys_in_slot(&cluster, OPEN_SLOT, 0), 0);
    assert_true(redis_cluster_move_slot(&cluster, OPEN_SLOT, 1));
    say(c, "INCR {%s}counter");
    redisFree(c);
    assert_comes_out_equal(0);
}

static void a_master_may_die_meanwhile(void **state)
{
    (void)state;
    begin_under_load(3, 1, false);
    write_until(AFTER_SYNC / 4);
    redis_cluster_kill(&cluster, 1);
    write_until(AFTER_SYNC / 4);
    assert_true(redis_cluster_wait_promoted(&cluster, 1));
    write_until(AFTER_SYNC / 4);
    assert_comes_out_equal(0);
}

static void workers_may_die_meanwhile(void **state)
{
    (void)state;
    begin_under_load(3, 0, false);
    for (uint32_t i = 0; i < 20; i++) {
        write_until(AFTER_SYNC / 40);
        assert_true(kill_worker(&kills, &run.program, i % SHARDS));
    }
    assert_comes_out_equal(0);
}

/* Every master may be asked to run one. */
static void scripts_are_known_to_every_master(void **state)
{
    (void)state;
    begin(3, 0);
    redisContext *c = server_connect(run.dragonfly.port);
    redisReply *sha = server_commandf(c, "SCRIPT LOAD %s", "return redis.call('GET', KEYS[1])");
    assert_int_equal(sha->type, REDIS_REPLY_STRING);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    for (size_t i = 0; i < cluster.masters; i++) {
        redisContext *node = redis_cluster_connect(&cluster, i);
        redisReply *known = server_commandf(node, "SCRIPT EXISTS %s", sha->str);
        assert_int_equal(known->elements, 1);
        assert_int_equal(known->element[0]->integer, 1);
        freeReplyObject(known);
        redisFree(node);
    }
    freeReplyObject(sha);
    redisFree(c);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void other_databases_are_named(void **state)
{
    (void)state;
    begin(3, 0);
    redisContext *c = server_connect(run.dragonfly.port);
    server_ok(c, "SET here 1");
    server_ok(c, "SELECT 5");
    server_ok(c, "SET there 1");
    redisFree(c);
    run_replicate(&run, NULL);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_CONFIG);
    assert_true(df2redis_said(&run.program, "has keys in database 5, and the target is a cluster"));
    run_replicate(&run, (const char *const[]){"--db", "0", NULL});
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_int_equal(redis_cluster_keys(&cluster), 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(writes_of_every_kind_come_into_3_masters, teardown),
        cmocka_unit_test_teardown(writes_of_every_kind_and_flushes_come_into_6_masters, teardown),
        cmocka_unit_test_teardown(commands_over_several_keys_give_the_source_s_result, teardown),
        cmocka_unit_test_teardown(slots_may_move_meanwhile, teardown),
        cmocka_unit_test_teardown(a_slot_of_real_size_may_stay_between_two_masters, teardown),
        cmocka_unit_test_teardown(a_master_may_die_meanwhile, teardown),
        cmocka_unit_test_teardown(workers_may_die_meanwhile, teardown),
        cmocka_unit_test_teardown(scripts_are_known_to_every_master, teardown),
        cmocka_unit_test_teardown(other_databases_are_named, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
