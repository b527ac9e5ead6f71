/* `df2redis clean`: what a run has left in a target goes, everything else stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sysexits.h>
#include <cmocka.h>

#include "tests/support/cluster.h"
#include "tests/support/df2redis.h"
#include "tests/support/testing.h"

enum { MARKED_SLOTS = 400 };

static struct server target;
static struct redis_cluster cluster;
static char *said;

static int tear_down(void **state)
{
    (void)state;
    server_stop(&target);
    redis_cluster_stop(&cluster);
    target = (struct server){0};
    free(said);
    said = NULL;
    return 0;
}

static int clean(const char *uri, const char *name)
{
    const char *const argv[] = {df2redis_binary(), "clean", "--target", uri, "--name", name, NULL};
    free(said);
    said = NULL;
    return process_run(argv, CLUSTER_DEADLINE_MS, &said);
}

static void assert_said(const char *text)
{
    if (!strstr(said, text))
        fail_msg("\"%s\" does not say \"%s\"", said, text);
}

static void run_words(uint16_t port, const char *const *lines)
{
    redisContext *c = server_connect(port);
    for (; *lines; lines++)
        server_ok(c, *lines);
    redisFree(c);
}

/* Keys of all databases. */
static uint64_t keys_of(uint16_t port)
{
    redisContext *c = server_connect(port);
    uint64_t keys = server_keys(c);
    redisFree(c);
    return keys;
}

static void a_standalone_target_loses_the_marks_of_this_name_alone(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "HSET df2redis:orders flow-0 x flow-1 y run 5",
        "HSET df2redis:orders2 flow-0 x",
        "SET df2redis:orders:news 1",
        "SET df2redis:orders:new:some:key 1",
        "SET key 1",
        "SELECT 5",
        "RPUSH df2redis:orders:new:list a",
        "HSET df2redis:orders:tmp:z a b",
        "HSET df2redis:orders flow-0 x",
        NULL,
    };
    redis_start(&target, NULL);
    run_words(target.port, lines);
    assert_int_equal(clean(target.uri, "orders"), EX_OK);
    assert_said("1 key with marks of run \"orders\" removed, and 3 half-built values");
    assert_int_equal(keys_of(target.port), 4);
    /* A second time there is nothing. */
    assert_int_equal(clean(target.uri, "orders"), EX_OK);
    assert_said("0 keys with marks");
    assert_int_equal(keys_of(target.port), 4);
}

static void a_run_that_goes_on_keeps_its_marks(void **state)
{
    (void)state;
    redis_start(&target, NULL);
    redisContext *worker = server_connect(target.port);
    server_ok(worker, "HSET df2redis:orders flow-0 x");
    server_ok(worker, "CLIENT SETNAME df2redis:orders:flow-7");
    assert_int_equal(clean(target.uri, "orders"), EX_TEMPFAIL);
    assert_said("run \"orders\" is connected from 127.0.0.1:");
    assert_int_equal(keys_of(target.port), 1);
    /* Of another name, it is none of its business. */
    assert_int_equal(clean(target.uri, "order"), EX_OK);
    redisFree(worker);
    assert_int_equal(clean(target.uri, "orders"), EX_OK);
    assert_int_equal(keys_of(target.port), 0);
}

/* Marks in slots of every master, the run's hash, half-built values, and what has to stay. */
static void mark_cluster(void)
{
    struct topology t = {0};
    redisContext *nodes[CLUSTER_MEMBERS];
    assert_true(redis_cluster_topology(&cluster, &t));
    for (size_t i = 0; i < t.count; i++)
        nodes[i] = server_connect(t.nodes[i].port);
    for (unsigned n = 0; n < MARKED_SLOTS; n++) {
        uint16_t slot = (uint16_t)(n * (CLUSTER_SLOTS - 1) / (MARKED_SLOTS - 1));
        char key[160], words[200];
        slot_mark_key(key, sizeof key, "orders", slot);
        assert_int_equal(key_slot(slice_str(key)), slot);
        snprintf(words, sizeof words, "HSET %s flow-0 x node-0 y", key);
        server_ok(nodes[t.owner[slot]], words);
        snprintf(words, sizeof words, "SET {%s}:mine 1", slot_tag(slot));
        server_ok(nodes[t.owner[slot]], words);
    }
    static const char *const keys[] = {"df2redis:orders", "df2redis:orders:new:a", "df2redis:orders:tmp:b",
                                       "df2redis:orders:new:{c}", "df2redis:other:{0}"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char words[80];
        snprintf(words, sizeof words, "HSET %s a b", keys[i]);
        server_ok(nodes[t.owner[key_slot(slice_str(keys[i]))]], words);
    }
    for (size_t i = 0; i < t.count; i++)
        redisFree(nodes[i]);
    topology_free(&t);
}

static void a_cluster_loses_the_marks_of_every_slot(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    mark_cluster();
    redisContext *worker = redis_cluster_connect(&cluster, 2);
    server_ok(worker, "CLIENT SETNAME df2redis:orders:flow-1");
    assert_int_equal(clean(cluster.members[0].server.uri, "orders"), EX_TEMPFAIL);
    assert_int_equal(redis_cluster_own_keys(&cluster), MARKED_SLOTS + 5);
    redisFree(worker);
    /* Where it goes nobody finds it without asking. */
    assert_true(redis_cluster_begin_slot(&cluster, 0, 1, 10));
    assert_int_equal(clean(cluster.members[1].server.uri, "orders"), EX_OK);
    assert_said("(3 masters): 401 keys with marks of run \"orders\" removed, and 3 half-built values");
    assert_int_equal(redis_cluster_own_keys(&cluster), 1);
    assert_int_equal(redis_cluster_keys(&cluster), MARKED_SLOTS);
}

static void a_target_that_is_not_there_is_told(void **state)
{
    (void)state;
    char *uri = format_text("redis://127.0.0.1:%u", free_port());
    int status = clean(uri, "orders");
    free(uri);
    assert_int_equal(status, EX_UNAVAILABLE);
}

/* Nobody imports the slot there any more: it cannot be reached. */
static void a_mark_that_a_move_which_was_called_off_leaves_stays(void **state)
{
    enum { SLOT = 100, OTHER = 1 };
    char key[160], words[200];
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    redisContext *c = redis_cluster_connect(&cluster, 0);
    slot_mark_key(key, sizeof key, "orders", SLOT);
    snprintf(words, sizeof words, "HSET %s flow-0 x", key);
    server_ok(c, words);
    redisFree(c);
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, OTHER, 1));
    assert_true(redis_cluster_call_off_slot(&cluster, SLOT, OTHER));
    assert_int_equal(clean(cluster.members[0].server.uri, "orders"), EX_OK);
    c = redis_cluster_connect(&cluster, OTHER);
    assert_int_equal(server_integer(c, "DBSIZE"),
                     1); /* Redis 8.4 counts no keys of slots that others serve */
    redisFree(c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_standalone_target_loses_the_marks_of_this_name_alone, tear_down),
        cmocka_unit_test_teardown(a_run_that_goes_on_keeps_its_marks, tear_down),
        cmocka_unit_test_teardown(a_cluster_loses_the_marks_of_every_slot, tear_down),
        cmocka_unit_test_teardown(a_mark_that_a_move_which_was_called_off_leaves_stays, tear_down),
        cmocka_unit_test_teardown(a_target_that_is_not_there_is_told, tear_down),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
