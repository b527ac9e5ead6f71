/* A cluster whose keys lie in many slots and whose slots move: commands over several slots give the source's
 * result, and nothing is lost, done twice or out of order while slots and nodes come and go under load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>

#include "tests/support/cluster_crash.h"

enum { ROUNDS = 40, LOAD_EACH = 60, LOAD_PAUSE_MS = 15 };

/* Equal key by key, nothing counted, one full sync, no worker died. */
static void assert_comes_out_equal(void)
{
    for (uint32_t f = 0; f < FLOWS; f++) {
        char path[32];
        snprintf(path, sizeof path, "flows.%u.restarts", f);
        assert_true(df2redis_status_number(&crash.run.program, path) == 0);
    }
    assert_equal_after(1);
}

static void load(void)
{
    journal_script_append(&crash.script, crash.run.source, LOAD_EACH);
    poll(NULL, 0, LOAD_PAUSE_MS);
}

/* ---- several slots in one command ---- */

/* # is the round: with it the keys of a line lie together sometimes, and mostly not. */
static const char *const several_keys[] = {
    "MSET ma:# 1 mb:# 2 mc:# 3",
    "MSETNX md:# 1 me:# 2",
    "DEL ma:# nowhere:#",
    "UNLINK mb:# md:# nowhere:#",
    "SADD s1:# 1 2 3 4",
    "SADD s2:# 3 4 5",
    "SUNIONSTORE su:# s1:# s2:#",
    "SINTERSTORE si:# s1:# s2:#",
    "SDIFFSTORE sd:# s1:# s2:#",
    "SINTERSTORE s9:# s1:# nowhere:#",
    "SMOVE s1:# s2:# 1",
    "SMOVE s1:# s3:# 2",
    "SMOVE s1:# s2:# 99",
    "RPUSH l1:# d b c a e f g",
    "LMOVE l1:# l2:# LEFT RIGHT",
    "LMOVE l1:# l2:# RIGHT LEFT",
    "RPOPLPUSH l1:# l3:#",
    "LMOVE nowhere:# l3:# LEFT LEFT",
    "SORT l1:# ALPHA STORE so:#",
    "SORT s2:# DESC STORE sp:#",
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
    "PFMERGE p1:# p2:#",
    "SET ra:# value",
    "RENAME ra:# rb:#",
    "SET rc:# other",
    "RENAME rc:# rb:#",
    "RENAMENX rb:# rd:#",
    "COPY rd:# re:#",
    "COPY z1:# zc:#",
    "COPY l1:# re:# REPLACE",
    "HSET h1:# f v g w",
    "RENAME h1:# h2:#",
    "XADD x1:# 1-1 f v",
    "RENAME x1:# x2:#",
    "GEOADD g1:# 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "GEORADIUS g1:# 15 37 200 km STORE g2:#",
    "GEORADIUSBYMEMBER g1:# Palermo 10 km STORE g3:#",
};

static void commands_over_several_slots_give_the_source_s_result(void **state)
{
    const unsigned *masters = *state;
    begin_in_step(*masters, 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof several_keys / sizeof *several_keys; i++) {
            struct buf line = {0};
            for (const char *p = several_keys[i]; *p; p++)
                buf_printf(&line, *p == '#' ? "%u" : "%c", *p == '#' ? round : (unsigned)*p);
            buf_put_u8(&line, 0);
            journal_script_line(&crash.script, crash.run.source, round % FLOWS, (const char *)line.data);
            buf_free(&line);
        }
    assert_comes_out_equal();
}

static bool three_flushes(void *arg)
{
    (void)arg;
    return scripted_all_sent(crash.run.source);
}

static void a_flush_reaches_every_master(void **state)
{
    (void)state;
    begin_in_step(3, 0);
    for (int i = 0; i < 3; i++) {
        journal_script_append(&crash.script, crash.run.source, 200);
        journal_script_flush(&crash.script, crash.run.source);
    }
    assert_true(wait_until(three_flushes, NULL, RUN_DEADLINE_MS));
    journal_script_append(&crash.script, crash.run.source, 50);
    assert_comes_out_equal();
}

/* ---- slots that move ---- */

static uint32_t load_seconds(void)
{
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    return wanted && *wanted && *wanted != '0' ? 60 : 8;
}

/* Those that the load's keys lie in: the others are empty, and soon moved. */
static size_t loaded_slots(uint16_t *slots)
{
    struct topology t = {0};
    bool has[CLUSTER_SLOTS] = {false};
    size_t n = 0;
    assert_true(redis_cluster_topology(&cluster, &t));
    for (size_t i = 0; i < t.count; i++) {
        redisContext *c = server_connect(t.nodes[i].port);
        redisReply *keys = server_command(c, "KEYS *");
        for (size_t k = 0; k < keys->elements; k++)
            has[key_slot(slice_of(keys->element[k]->str, keys->element[k]->len))] = true;
        freeReplyObject(keys);
        redisFree(c);
    }
    topology_free(&t);
    for (unsigned s = 0; s < CLUSTER_SLOTS; s++)
        if (has[s])
            slots[n++] = (uint16_t)s;
    return n;
}

/* A few keys that grow by numbers: what is missing, twice or in another order can be read off. */
static void keys_whose_slots_move_keep_their_order(void **state)
{
    (void)state;
    enum { KEYS = 4, LEAST_MOVES = 60 };
    uint16_t slots[KEYS];
    char line[64];
    begin_in_step(3, 0);
    for (unsigned k = 0; k < KEYS; k++) {
        snprintf(line, sizeof line, "grows:%u", k);
        slots[k] = key_slot(slice_str(line));
    }
    mover = redis_cluster_mover_start(&cluster, 3, slots, KEYS);
    for (unsigned n = 0; redis_cluster_mover_progress(mover) < LEAST_MOVES && n < 100000; n++) {
        snprintf(line, sizeof line, "APPEND grows:%u %u,", n % KEYS, n / KEYS);
        journal_script_line(&crash.script, crash.run.source, 0, line);
        if (n % 8 == 0)
            poll(NULL, 0, 1);
    }
    assert_true(redis_cluster_mover_stop(mover) >= LEAST_MOVES);
    mover = NULL;
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_comes_out_equal();
}

static void slots_moved_under_load(unsigned masters, bool flushes)
{
    uint16_t slots[CLUSTER_SLOTS];
    begin_in_step(masters, 0);
    mover = redis_cluster_mover_start(&cluster, 5, slots, loaded_slots(slots));
    uint64_t end_ms = clock_monotonic_ms() + load_seconds() * 1000;
    while (clock_monotonic_ms() < end_ms || redis_cluster_mover_progress(mover) < 50) {
        load();
        if (flushes && random_below(&crash.script.random, 40) == 0)
            journal_script_flush(&crash.script, crash.run.source);
        assert_true(clock_monotonic_ms() < end_ms + RUN_DEADLINE_MS);
    }
    uint64_t moved = redis_cluster_mover_stop(mover);
    mover = NULL;
    print_message("%llu slots moved\n", (unsigned long long)moved);
    assert_true(moved > 0);
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_comes_out_equal();
}

static void slots_may_move_between_3_masters(void **state)
{
    (void)state;
    slots_moved_under_load(3, false);
}

static void slots_may_move_between_6_masters(void **state)
{
    (void)state;
    slots_moved_under_load(6, false);
}

static void slots_may_move_among_flushes(void **state)
{
    (void)state;
    slots_moved_under_load(3, true);
}

/* The snapshot itself: the mover begins before the run. */
static void slots_may_move_in_full_sync(void **state)
{
    (void)state;
    static const struct journal_snapshot large = {
        .strings = 6000, .collections = 4, .elements = 2000, .commands = 300, .journal = 500};
    uint16_t slots[200];
    for (uint16_t i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof key, "string:%u", i);
        slots[i] = key_slot(slice_str(key));
    }
    redis_cluster_start(&cluster, 3, 0);
    crash_begin_in(&crash, &cluster, FLOWS, &large);
    mover = redis_cluster_mover_start(&cluster, 6, slots, 200);
    run_replicate(&crash.run, (const char *const[]){"--restore-limit", "8k", NULL});
    assert_true(run_wait_in_step(&crash.run));
    uint64_t moved = redis_cluster_mover_stop(mover);
    mover = NULL;
    print_message("%llu slots moved\n", (unsigned long long)moved);
    assert_true(moved > 0);
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_comes_out_equal();
}

static bool resharded(void *arg)
{
    struct process *p = arg;
    load();
    return !process_running(p);
}

/* What operators do. */
static void redis_cli_may_reshard(void **state)
{
    (void)state;
    if (!redis_cluster_cli_available()) {
        print_message("no redis-cli: skipped\n");
        skip();
    }
    begin_in_step(3, 0);
    char *dir = temp_dir_make("reshard"), *log = format_text("%s/output", dir);
    struct process cli = {0};
    const char *const argv[] = {"redis-cli",       "--cluster",
                                "reshard",         cluster.members[0].server.uri + strlen("redis://"),
                                "--cluster-from",  cluster.members[0].id,
                                "--cluster-to",    cluster.members[1].id,
                                "--cluster-slots", "600",
                                "--cluster-yes",   NULL};
    assert_true(process_start(&cli, log, argv));
    bool ended = wait_until(resharded, &cli, 4 * RUN_DEADLINE_MS);
    char *said = process_output(&cli);
    int status = cli.status;
    process_stop(&cli);
    if (!ended || status != 0)
        fprintf(stderr, "redis-cli ended with %d: %s\n", status, said);
    free(said);
    free(log);
    temp_dir_remove(dir);
    assert_true(ended);
    assert_int_equal(status, 0);
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_int_equal(redis_cluster_owner(&cluster, 0), 1);
    assert_comes_out_equal();
}

/* ---- nodes that come and go ---- */

/* The load goes on in this thread while another one works on the cluster. */
static void load_until(struct redis_cluster_work *work)
{
    while (!redis_cluster_work_done(work))
        load();
    assert_true(redis_cluster_work_end(work));
}

static bool take_in(void *arg)
{
    const size_t *added = arg;
    return redis_cluster_move_slots(&cluster, 0, *added, 400) &&
           redis_cluster_move_slots(&cluster, 1, *added, 400);
}

/* Each FLOW has met it: what comes to one that it has not met may have been lost there before. */
static void wait_met(size_t added)
{
    for (unsigned f = 0; f < FLOWS; f++) {
        char name[40];
        snprintf(name, sizeof name, "df2redis:default:flow-%u", f);
        assert_true(redis_cluster_wait_client(&cluster, added, name));
    }
}

static void a_node_may_be_added(void **state)
{
    (void)state;
    begin_in_step(3, 0);
    journal_script_append(&crash.script, crash.run.source, 3000);
    size_t added = redis_cluster_add(&cluster, CLUSTER_MEMBERS);
    wait_met(added);
    load_until(redis_cluster_work_begin(take_in, &added));
    assert_int_equal(redis_cluster_owner(&cluster, 0), added);
    for (int i = 0; i < 20; i++)
        load();
    assert_comes_out_equal();
    redisContext *c = redis_cluster_connect(&cluster, added);
    assert_true(server_keys(c) > 0);
    redisFree(c);
}

enum { REMOVED = 3, REMOVED_SLOTS = 300 };

static bool move_all(void *arg)
{
    (void)arg;
    return redis_cluster_empty(&cluster, REMOVED);
}

static bool let_go(void *arg)
{
    (void)arg;
    return redis_cluster_remove(&cluster, REMOVED);
}

/* Each FLOW has written to the last one. Whoever has not seen that a slot was given away while its master was
 * there cannot know whether its keys came along. */
static void until_all_have_seen_it(uint16_t last_slot)
{
    for (uint32_t f = 0; f < FLOWS; f++) {
        char line[40];
        snprintf(line, sizeof line, "INCR {%s}seen:%u", slot_tag(last_slot), f);
        journal_script_line(&crash.script, crash.run.source, f, line);
    }
    assert_true(run_wait_in_step(&crash.run));
}

static void a_node_may_be_removed(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    assert_int_equal(redis_cluster_add(&cluster, CLUSTER_MEMBERS), REMOVED);
    assert_true(redis_cluster_move_slots(&cluster, 0, REMOVED, REMOVED_SLOTS));
    crash_begin_in(&crash, &cluster, FLOWS, &crash_small);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    load_until(redis_cluster_work_begin(move_all, NULL));
    until_all_have_seen_it(REMOVED_SLOTS - 1);
    load_until(redis_cluster_work_begin(let_go, NULL));
    for (int i = 0; i < 20; i++)
        load();
    assert_comes_out_equal();
}

int main(int argc, char **argv)
{
    static unsigned three = 3, six = 6;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        {"commands_over_several_slots_of_3_masters", commands_over_several_slots_give_the_source_s_result,
         NULL, teardown, &three},
        {"commands_over_several_slots_of_6_masters", commands_over_several_slots_give_the_source_s_result,
         NULL, teardown, &six},
        cmocka_unit_test_teardown(a_flush_reaches_every_master, teardown),
        cmocka_unit_test_teardown(keys_whose_slots_move_keep_their_order, teardown),
        cmocka_unit_test_teardown(slots_may_move_between_3_masters, teardown),
        cmocka_unit_test_teardown(slots_may_move_between_6_masters, teardown),
        cmocka_unit_test_teardown(slots_may_move_among_flushes, teardown),
        cmocka_unit_test_teardown(slots_may_move_in_full_sync, teardown),
        cmocka_unit_test_teardown(redis_cli_may_reshard, teardown),
        cmocka_unit_test_teardown(a_node_may_be_added, teardown),
        cmocka_unit_test_teardown(a_node_may_be_removed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
