/* A Redis Cluster as the target: what it cannot take is refused, and what holds for a standalone target
 * (flush, conflicts, passwords, TLS, clean) holds for it. */
#include "tests/unit/common/net/tls_testing.h"

#include <sysexits.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

static struct redis_cluster cluster;
static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    redis_cluster_stop(&cluster);
    return 0;
}

/* ---- what it is not taken for ---- */

static void assert_ends(int status, const char *text)
{
    int ended = process_wait(&run.program.process, RUN_DEADLINE_MS);
    if (ended != status || !df2redis_said(&run.program, text))
        df2redis_print(&run.program);
    assert_int_equal(ended, status);
    assert_true(df2redis_said(&run.program, text));
}

static void begin_generated(uint64_t strings, const char *keyspace)
{
    struct generate_options g;
    struct scripted_options options;
    generate_options_init(&g);
    g.flows = 2;
    g.strings = strings;
    g.journal_sets = strings / 2;
    scripted_options_init(&options);
    options.keyspace = keyspace;
    scripted_options_add(&options, generate_session(&g, NULL));
    run_begin_in(&run, &cluster, &options);
}

static void databases_that_a_cluster_lacks_are_named(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    begin_generated(100, "db0:keys=90,expires=0,avg_ttl=0\r\ndb3:keys=9,expires=0,avg_ttl=0\r\n"
                         "db12:keys=1,expires=0,avg_ttl=0\r\n");
    run_replicate(&run, NULL);
    assert_ends(EX_CONFIG, "has keys in database 3, 12, and the target is a cluster");
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 0);
    assert_int_equal(redis_cluster_keys(&cluster), 0);
    run_replicate(&run, (const char *const[]){"--db", "0,3:4", NULL});
    assert_ends(EX_CONFIG, "--db 3:4: the target is a cluster");
    run_replicate(&run, (const char *const[]){"--db", "0", NULL});
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Beside what else the user lacks, and nothing is waited for. */
static void rights_to_ask_for_the_nodes_are_named_with_the_others(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    redis_cluster_each(&cluster, "ACL SETUSER app on >sesame ~* +@all -cluster -asking -migrate -xadd");
    begin_generated(100, NULL);
    snprintf(run.target.uri, sizeof run.target.uri, "redis://app:sesame@127.0.0.1:%u", run.target.port);
    run_replicate(&run, NULL);
    assert_ends(EX_NOPERM, "give it +cluster|slots +cluster|nodes +asking");
    assert_true(df2redis_said(&run.program, "give its user +cluster|getkeysinslot +migrate"));
    assert_true(df2redis_said(&run.program, "give it +xadd"));
    assert_int_equal(redis_cluster_keys(&cluster), 0);
    redis_cluster_each(&cluster, "ACL SETUSER app +cluster|slots +cluster|nodes +asking +xadd");
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Found by itself, from any node: here from a replica. */
static void a_replica_leads_to_the_masters(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 1);
    begin_generated(2000, NULL);
    snprintf(run.target.uri, sizeof run.target.uri, "%s", cluster.members[4].server.uri);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_true(df2redis_said(&run.program, "a cluster of 3 masters"));
    assert_int_equal(redis_cluster_keys(&cluster), 3000);
    for (size_t i = 0; i < 3; i++) {
        redisContext *c = redis_cluster_connect(&cluster, i);
        assert_true(server_keys(c) > 500);
        redisFree(c);
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void slots_without_a_master_are_waited_for(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    redis_cluster_each(&cluster, "CONFIG SET cluster-require-full-coverage no");
    redisContext *c = redis_cluster_connect(&cluster, 0);
    server_ok(c, "CLUSTER DELSLOTS 5 6");
    begin_generated(200, NULL);
    run_replicate(&run, NULL);
    assert_true(
        df2redis_wait_said(&run.program, "2 of the cluster's 16384 slots have no master", RUN_DEADLINE_MS));
    server_ok(c, "CLUSTER ADDSLOTS 5 6");
    redisFree(c);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- what was there before ---- */

static void put(const char *key, const char *value)
{
    char words[120];
    redisContext *c =
        redis_cluster_connect(&cluster, redis_cluster_owner(&cluster, key_slot(slice_str(key))));
    snprintf(words, sizeof words, "SET %s %s", key, value);
    server_ok(c, words);
    redisFree(c);
}

/* "" when there is none. */
static char *get(const char *key)
{
    redisContext *c =
        redis_cluster_connect(&cluster, redis_cluster_owner(&cluster, key_slot(slice_str(key))));
    redisReply *r = server_commandf(c, "GET %s", key);
    char *value = x_strdup(r && r->type == REDIS_REPLY_STRING ? r->str : "");
    freeReplyObject(r);
    redisFree(c);
    return value;
}

static void assert_value(const char *key, const char *value)
{
    char *is = get(key);
    assert_string_equal(is, value);
    free(is);
}

/* A key on every master, one of which the source has, too. */
static void begin_with_keys(void)
{
    redis_cluster_start(&cluster, 3, 0);
    put("string:7", "mine");
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "old:%d", i);
        put(key, "mine");
    }
    begin_generated(500, NULL);
}

static void keys_on_any_master_are_refused_without_a_decision(void **state)
{
    (void)state;
    begin_with_keys();
    run_replicate(&run, NULL);
    assert_ends(EX_CANTCREAT, "holds 31 keys");
    assert_int_equal(redis_cluster_keys(&cluster), 31);
}

static void flush_target_empties_every_master(void **state)
{
    (void)state;
    begin_with_keys();
    run_replicate(&run, (const char *const[]){"--flush-target", NULL});
    assert_true(run_wait_in_step(&run));
    assert_int_equal(redis_cluster_keys(&cluster), 750);
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "old:%d", i);
        assert_value(key, "");
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void skipped_keys_stay_and_are_counted(void **state)
{
    (void)state;
    begin_with_keys();
    run_replicate(&run, (const char *const[]){"--on-conflict", "skip", NULL});
    assert_true(run_wait_in_step(&run));
    assert_value("string:7", "mine");
    assert_value("old:3", "mine");
    assert_true(df2redis_status_number(&run.program, "divergences.key_existed") == 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

static void overwritten_keys_give_way_and_others_stay(void **state)
{
    (void)state;
    begin_with_keys();
    run_replicate(&run, (const char *const[]){"--on-conflict", "overwrite", NULL});
    assert_true(run_wait_in_step(&run));
    char *value = get("string:7");
    assert_string_not_equal(value, "mine");
    free(value);
    assert_value("old:3", "mine");
    assert_int_equal(redis_cluster_keys(&cluster), 780);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_conflict_stops_the_run_when_it_should(void **state)
{
    (void)state;
    begin_with_keys();
    run_replicate(&run, (const char *const[]){"--on-conflict", "stop", NULL});
    assert_ends(EX_CANTCREAT, "string:7");
    assert_value("string:7", "mine");
}

/* ---- who may ---- */

static void password_is_said_to_every_node(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    redis_cluster_lock(&cluster, "sesame-31");
    begin_generated(1000, NULL);
    run_replicate(&run, NULL);
    assert_ends(EX_NOPERM, "wants a password");
    setenv("DF2REDIS_TARGET_PASSWORD", "sesame-31", 1);
    run_replicate(&run, NULL);
    unsetenv("DF2REDIS_TARGET_PASSWORD");
    assert_true(run_wait_in_step(&run));
    assert_int_equal(redis_cluster_keys(&cluster), 1500);
    assert_false(df2redis_said(&run.program, "sesame-31"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Each member has a port for TLS beside its own: CLUSTER SLOTS tells a client the kind it came by. */
static void tls_leads_to_every_node(void **state)
{
    (void)state;
    char *dir = temp_dir_make("tls");
    struct certificate certificate = make_certificate(dir, "both", "DNS:localhost,IP:127.0.0.1", 2);
    struct redis_cluster_options options;
    redis_cluster_options_init(&options);
    options.extra = (const char *const[]){"--tls-cert-file",    certificate.cert_file, "--tls-key-file",
                                          certificate.key_file, "--tls-auth-clients",  "no",
                                          "--tls-ca-cert-file", certificate.cert_file, NULL};
    options.tls = true;
    redis_cluster_start_with(&cluster, &options);
    begin_generated(1000, NULL);
    snprintf(run.target.uri, sizeof run.target.uri, "rediss://127.0.0.1:%u", cluster.members[1].tls_port);
    run_replicate(&run, (const char *const[]){"--tls-ca", certificate.cert_file, NULL});
    bool in_step = run_wait_in_step(&run);
    if (!in_step)
        df2redis_print(&run.program);
    assert_true(in_step);
    assert_int_equal(redis_cluster_keys(&cluster), 1500);
    assert_int_equal(run_terminate(&run), EX_OK);
    remove_certificate(&certificate);
    temp_dir_remove(dir);
}

/* ---- marks ---- */

static void clean_leaves_nothing_of_ours(void **state)
{
    (void)state;
    const char *argv[] = {df2redis_binary(), "clean", "-t", NULL, NULL};
    char *said = NULL;
    redis_cluster_start(&cluster, 3, 0);
    begin_generated(1000, NULL);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    argv[3] = run.target.uri;
    assert_true(redis_cluster_own_keys(&cluster) >= 4); /* each master's, and the run's */
    assert_int_equal(process_run(argv, RUN_DEADLINE_MS, &said), EX_TEMPFAIL);
    assert_non_null(strstr(said, "run \"default\" is connected from"));
    free(said);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(process_run(argv, RUN_DEADLINE_MS, NULL), EX_OK);
    assert_int_equal(redis_cluster_own_keys(&cluster), 0);
    assert_int_equal(redis_cluster_keys(&cluster), 1500);
}

static void migration_leaves_nothing_of_ours(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    begin_generated(1000, NULL);
    int status = run_migrate(&run, NULL);
    if (status != EX_OK)
        df2redis_print(&run.program);
    assert_int_equal(status, EX_OK);
    assert_true(redis_cluster_keys(&cluster) >= 1000);
    assert_int_equal(redis_cluster_own_keys(&cluster), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(databases_that_a_cluster_lacks_are_named, teardown),
        cmocka_unit_test_teardown(rights_to_ask_for_the_nodes_are_named_with_the_others, teardown),
        cmocka_unit_test_teardown(a_replica_leads_to_the_masters, teardown),
        cmocka_unit_test_teardown(slots_without_a_master_are_waited_for, teardown),
        cmocka_unit_test_teardown(keys_on_any_master_are_refused_without_a_decision, teardown),
        cmocka_unit_test_teardown(flush_target_empties_every_master, teardown),
        cmocka_unit_test_teardown(skipped_keys_stay_and_are_counted, teardown),
        cmocka_unit_test_teardown(overwritten_keys_give_way_and_others_stay, teardown),
        cmocka_unit_test_teardown(a_conflict_stops_the_run_when_it_should, teardown),
        cmocka_unit_test_teardown(password_is_said_to_every_node, teardown),
        cmocka_unit_test_teardown(tls_leads_to_every_node, teardown),
        cmocka_unit_test_teardown(clean_leaves_nothing_of_ours, teardown),
        cmocka_unit_test_teardown(migration_leaves_nothing_of_ours, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
