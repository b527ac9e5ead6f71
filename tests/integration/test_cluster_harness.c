/* The clusters that the tests use: they lose no key themselves, whatever is done to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/support/cluster.h"
#include "tests/support/state.h"
#include "tests/support/testing.h"

enum { KEYS = 3000 };

static struct redis_cluster cluster;
static struct server twin; /* holds the same keys */

static int tear_down(void **state)
{
    (void)state;
    redis_cluster_stop(&cluster);
    server_stop(&twin);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    redis_start(&twin, NULL);
    return 0;
}

struct line {
    redisContext *c;
    const char *words;
};

static bool is_taken(void *arg)
{
    const struct line *line = arg;
    redisReply *r = server_command(line->c, line->words);
    bool down = r->type == REDIS_REPLY_ERROR && strncmp(r->str, "CLUSTERDOWN", 11) == 0;
    if (r->type == REDIS_REPLY_ERROR && !down)
        die("%s: %s", line->words, r->str);
    freeReplyObject(r);
    return !down;
}

/* On a loaded machine a node may be taken for failed for a moment. */
static void take(redisContext *c, const char *words)
{
    struct line line = {c, words};
    assert_true(wait_until(is_taken, &line, CLUSTER_DEADLINE_MS));
}

/* To the twin, and to the node that serves the key. */
static void put(redisContext *const *nodes, redisContext *to_twin, const struct topology *t, unsigned n)
{
    char key[32], words[80];
    snprintf(key, sizeof key, n % 3 ? "key:%u" : "{tag:%u}:x", n);
    snprintf(words, sizeof words, n % 2 ? "SET %s v%u" : "RPUSH %s a b %u", key, n);
    take(nodes[t->owner[key_slot(slice_str(key))]], words);
    server_ok(to_twin, words);
}

static void fill(void)
{
    struct topology t = {0};
    redisContext *nodes[CLUSTER_MEMBERS] = {0}, *to_twin = server_connect(twin.port);
    assert_true(redis_cluster_topology(&cluster, &t));
    for (size_t i = 0; i < t.count; i++)
        nodes[i] = server_connect(t.nodes[i].port);
    for (unsigned n = 0; n < KEYS; n++)
        put(nodes, to_twin, &t, n);
    for (size_t i = 0; i < t.count; i++) {
        if (cluster.count > cluster.masters)
            server_ok(nodes[i], "WAIT 1 60000");
        redisFree(nodes[i]);
    }
    redisFree(to_twin);
    topology_free(&t);
}

static bool is_equal(void)
{
    struct state_server expected, actual;
    struct state_rules rules = {0};
    struct state_report report;
    state_open(&expected, twin.port, NULL);
    state_open(&actual, redis_cluster_any(&cluster)->port, cluster.password);
    bool equal = state_compare_servers(&expected, &actual, &rules, &report) && report.keys == KEYS;
    if (!equal)
        fputs((const char *)report.text.data, stderr);
    state_report_free(&report);
    state_close(&expected);
    state_close(&actual);
    return equal;
}

static bool has_moved(void *mover)
{
    return redis_cluster_mover_progress(mover) >= 100;
}

static void slots_move_with_their_keys(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    fill();
    assert_true(is_equal());
    assert_true(redis_cluster_move_slots(&cluster, 0, 2, 200));
    assert_int_equal(redis_cluster_owner(&cluster, 0), 2);
    struct redis_cluster_mover *mover = redis_cluster_mover_start(&cluster, 11, NULL, 0);
    assert_true(wait_until(has_moved, mover, CLUSTER_DEADLINE_MS));
    assert_true(redis_cluster_mover_stop(mover) >= 100);
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_true(is_equal());
    if (redis_cluster_cli_available())
        assert_true(redis_cluster_reshard(&cluster, 1, 0, 50));
    assert_true(is_equal());
}

static void keys_survive_a_master_and_members_come_and_go(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 1);
    fill();
    redis_cluster_kill(&cluster, 1);
    assert_true(redis_cluster_wait_promoted(&cluster, 1));
    assert_int_equal(redis_cluster_owner(&cluster, CLUSTER_SLOTS / 2), 4);
    assert_true(is_equal());
    redis_cluster_revive(&cluster, 1);
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_true(is_equal());
    size_t added = redis_cluster_add(&cluster, CLUSTER_MEMBERS);
    assert_true(redis_cluster_move_slots(&cluster, 0, added, 300));
    assert_int_equal(redis_cluster_owner(&cluster, 0), added);
    assert_true(redis_cluster_remove(&cluster, added));
    assert_int_not_equal(redis_cluster_owner(&cluster, 0), added);
    assert_true(is_equal());
}

/* As after a meeting that was given up since one of them was too slow. */
static void members_that_do_not_know_each_other_meet_again(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    for (size_t i = 0; i < 2; i++) {
        char *forget = format_text("CLUSTER FORGET %s", cluster.members[2].id);
        redisContext *c = redis_cluster_connect(&cluster, i);
        server_ok(c, forget);
        redisFree(c);
        free(forget);
    }
    redis_cluster_introduce(&cluster);
    assert_true(redis_cluster_wait_ok(&cluster));
}

/* A difference is found wherever it lies, and the password is asked for. */
static void a_key_too_few_and_one_too_many_are_found(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 6, 0);
    fill();
    redis_cluster_lock(&cluster, "sesame");
    assert_true(is_equal());
    size_t owner = redis_cluster_owner(&cluster, key_slot(slice_str("key:1")));
    redisContext *c = redis_cluster_connect(&cluster, owner);
    server_ok(c, "SET {key:1}:more 1");
    assert_false(is_equal());
    server_ok(c, "DEL {key:1}:more");
    assert_true(is_equal());
    server_ok(c, "DEL key:1");
    assert_false(is_equal());
    redisFree(c);
    assert_int_equal(redis_cluster_keys(&cluster), KEYS - 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slots_move_with_their_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_survive_a_master_and_members_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(members_that_do_not_know_each_other_meet_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_too_few_and_one_too_many_are_found, set_up, tear_down),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
