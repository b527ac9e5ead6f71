/* What a source or a target lacks is named at the start, all of it at once, and nothing was written. Rights on the target
 * are in test_findings_rights.c, a real source in test_findings_live.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/findings_case.h"

/* ---- the source ---- */

static void make_real_cluster(struct scripted_options *o)
{
    o->info = "cluster_enabled:1\r\n";
    o->dflycluster = "*0";
}

static void hide_real_cluster(struct scripted_options *o)
{
    o->info = "cluster_enabled:1\r\n";
    o->dflycluster = "-NOPERM copy has no ACL permissions";
}

static void rename_dflycluster(struct scripted_options *o)
{
    o->info = "cluster_enabled:1\r\n";
    o->dflycluster = "-ERR unknown command `DFLYCLUSTER`";
}

static void restrict_dflycluster(struct scripted_options *o)
{
    o->info = "cluster_enabled:1\r\n";
    o->dflycluster = "-ERR Cannot execute restricted command (admin only)";
}

#define CLUSTER_DISABLED "-ERR Cluster is disabled. Use --cluster_mode=yes to enable."
#define SLOTS_UP_TO(last) "*1\r\n*3\r\n:0\r\n:" last "\r\n*2\r\n$9\r\n127.0.0.1\r\n:6379"

static void serve_some_slots(struct scripted_options *o)
{
    restrict_dflycluster(o);
    o->cluster_slots = SLOTS_UP_TO("8191");
}

static void serve_all_slots(struct scripted_options *o)
{
    restrict_dflycluster(o);
    o->cluster_slots = SLOTS_UP_TO("16383");
    o->readwrite = CLUSTER_DISABLED;
}

static void serve_no_slots_yet(struct scripted_options *o)
{
    rename_dflycluster(o);
    o->cluster_slots = "-ERR Cluster is not yet configured";
}

static void emulate_and_restrict(struct scripted_options *o)
{
    serve_all_slots(o);
    o->readwrite = "+OK";
}

static void emulate_and_hide(struct scripted_options *o)
{
    hide_real_cluster(o);
    o->cluster_slots = SLOTS_UP_TO("16383");
    o->readwrite = "-NOPERM copy has no ACL permissions";
}

static void have_no_cluster(struct scripted_options *o)
{
    rename_dflycluster(o);
    o->cluster_slots = CLUSTER_DISABLED;
}

static void make_emulated_cluster(struct scripted_options *o)
{
    o->info = "cluster_enabled:1\r\n";
}

static void use_database_20(struct scripted_options *o)
{
    o->keyspace = "db0:keys=10,expires=0\r\ndb20:keys=3,expires=0\r\n";
    o->config_databases = "32";
}

static void have_32_databases(struct scripted_options *o)
{
    o->keyspace = "db0:keys=10,expires=0\r\n";
    o->config_databases = "32";
}

static void node_of_a_dragonfly_cluster_is_refused(void **state)
{
    (void)state;
    begin(make_real_cluster);
    run_replicate(&crash.run, NULL);
    assert_refused(EX_CONFIG, 0);
    assert_said("is a node of a Dragonfly Cluster");
}

static void source_that_may_be_a_part_of_a_cluster_is_refused(void **state)
{
    (void)state;
    begin(hide_real_cluster);
    on_target("SET a 1");
    run_replicate(&crash.run, (const char *const[]){"--flush-target", NULL});
    assert_refused(EX_NOPERM, 1);
    assert_said("give its user +dflycluster");
}

/* DFLYCLUSTER is renamed, restricted, or forbidden. */
static void source_that_cannot_tell_of_a_cluster_is_refused(void **state)
{
    static void (*const changes[])(struct scripted_options *) = {rename_dflycluster, restrict_dflycluster};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        begin(changes[i]);
        run_replicate(&crash.run, NULL);
        assert_refused(EX_NOPERM, 0);
        assert_said("+cluster +readwrite");
        crash_end(&crash);
    }
}

static void node_of_a_dragonfly_cluster_is_known_by_its_slots(void **state)
{
    static void (*const changes[])(struct scripted_options *) = {serve_some_slots, serve_all_slots,
                                                                 serve_no_slots_yet};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        begin(changes[i]);
        run_replicate(&crash.run, NULL);
        assert_refused(EX_CONFIG, 0);
        assert_said("is a node of a Dragonfly Cluster");
        crash_end(&crash);
    }
}

static void emulated_cluster_is_known_by_its_slots(void **state)
{
    static void (*const changes[])(struct scripted_options *) = {emulate_and_restrict, emulate_and_hide,
                                                                 have_no_cluster};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        begin(changes[i]);
        run_replicate(&crash.run, NULL);
        assert_in_step();
        crash_end(&crash);
    }
}

static void source_whose_user_may_not_replicate_is_refused(void **state)
{
    (void)state;
    begin(hide_real_cluster);
    on_target("SET a 1");
    scripted_refuse_offsets(crash.run.source, "NOPERM copy has no ACL permissions");
    run_replicate(&crash.run, (const char *const[]){"--flush-target", NULL});
    assert_refused(EX_NOPERM, 1);
    assert_said("give it +dfly ");
    assert_said("give its user +dflycluster");
}

static void emulated_cluster_is_copied(void **state)
{
    (void)state;
    begin(make_emulated_cluster);
    run_replicate(&crash.run, NULL);
    assert_in_step();
}

static void databases_that_the_target_lacks_are_refused_before_anything_is_written(void **state)
{
    (void)state;
    begin(use_database_20);
    run_replicate(&crash.run, NULL);
    assert_refused(EX_CONFIG, 0);
    assert_said("in database 20, and the target has 16 databases: raise its databases to 21");
    run_replicate(&crash.run, (const char *const[]){"--db", "0,3,20:1", NULL});
    assert_true(run_wait_in_step(&crash.run));
}

static void databases_are_tried_where_the_target_does_not_tell(void **state)
{
    (void)state;
    begin(use_database_20);
    server_stop(&crash.run.target);
    redis_start(&crash.run.target,
                (const char *const[]){"--databases", "20", "--rename-command", "CONFIG", "", NULL});
    run_replicate(&crash.run, NULL);
    assert_refused(EX_CONFIG, 0);
    assert_said("the target has 20 databases");
}

static void databases_that_may_come_into_use_are_warned_of(void **state)
{
    (void)state;
    begin(have_32_databases);
    run_replicate(&crash.run, NULL);
    assert_in_step();
    assert_said("may have 32 databases, and target");
    assert_said("--journal_omit_redundant_writes=false");
}

static void use_much_memory(struct scripted_options *o)
{
    o->info = "used_memory:209715200\r\n";
}

static void eviction_is_warned_of(void **state)
{
    (void)state;
    begin(use_much_memory);
    on_target("CONFIG SET maxmemory 100mb");
    on_target("CONFIG SET maxmemory-policy allkeys-lru");
    run_replicate(&crash.run, NULL);
    assert_in_step();
    assert_said("evicts keys when its maxmemory of 100 MiB is reached (allkeys-lru), which is less than the "
                "source uses");
}

/* ---- all at once ---- */

static void all_that_is_missing_is_named_at_once(void **state)
{
    (void)state;
    begin(make_real_cluster);
    on_target("SET app:1 x");
    on_target("ACL SETUSER app on >sesame ~app:* +@all -restore -flushall");
    replicate_as("app", (const char *const[]){"--db", "0:40", "--flush-target", NULL});
    assert_refused(EX_NOPERM, 1);
    assert_said("~df2redis:default*");
    assert_said("give it ~*, or choose keys");
    assert_said("+restore");
    assert_said("+flushall");
    assert_said("--db 0:40: target");
    assert_said("is a node of a Dragonfly Cluster");
    assert_said("source and target: 6 errors");
}

/* No full sync is going to run. */
static void what_a_full_sync_may_leave_out_is_no_matter_where_none_begins(void **state)
{
    (void)state;
    begin(use_database_20);
    run_replicate(&crash.run, NULL);
    assert_refused(EX_CONFIG, 0);
    assert_false(df2redis_said(&crash.run.program, "journal_omit_redundant_writes"));
}

static void target_that_is_not_there_is_told_with_what_to_do(void **state)
{
    (void)state;
    begin(NULL);
    server_stop(&crash.run.target);
    run_replicate(&crash.run, NULL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_UNAVAILABLE);
    assert_said("Connection refused: start the server, or correct host and port");
    redis_start(&crash.run.target, NULL);
}

static void what_the_target_lacks_is_named_though_the_source_is_away(void **state)
{
    (void)state;
    begin(NULL);
    scripted_listen(crash.run.source, false);
    on_target("ACL SETUSER app on >sesame ~app:* +@all");
    replicate_as("app", NULL);
    assert_refused(EX_NOPERM, 0);
    assert_said("~df2redis:default*");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(node_of_a_dragonfly_cluster_is_refused, teardown),
        cmocka_unit_test_teardown(source_that_may_be_a_part_of_a_cluster_is_refused, teardown),
        cmocka_unit_test_teardown(source_that_cannot_tell_of_a_cluster_is_refused, teardown),
        cmocka_unit_test_teardown(node_of_a_dragonfly_cluster_is_known_by_its_slots, teardown),
        cmocka_unit_test_teardown(emulated_cluster_is_known_by_its_slots, teardown),
        cmocka_unit_test_teardown(source_whose_user_may_not_replicate_is_refused, teardown),
        cmocka_unit_test_teardown(emulated_cluster_is_copied, teardown),
        cmocka_unit_test_teardown(databases_that_the_target_lacks_are_refused_before_anything_is_written,
                                  teardown),
        cmocka_unit_test_teardown(databases_are_tried_where_the_target_does_not_tell, teardown),
        cmocka_unit_test_teardown(databases_that_may_come_into_use_are_warned_of, teardown),
        cmocka_unit_test_teardown(eviction_is_warned_of, teardown),
        cmocka_unit_test_teardown(all_that_is_missing_is_named_at_once, teardown),
        cmocka_unit_test_teardown(what_a_full_sync_may_leave_out_is_no_matter_where_none_begins, teardown),
        cmocka_unit_test_teardown(target_that_is_not_there_is_told_with_what_to_do, teardown),
        cmocka_unit_test_teardown(what_the_target_lacks_is_named_though_the_source_is_away, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
