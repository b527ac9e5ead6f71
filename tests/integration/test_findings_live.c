/* What a real source, or its user, lacks is named at the start, and nothing was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/findings_case.h"

static void begin_live(const char *const *options)
{
    crash = (struct crash){0};
    if (!run_begin_live(&crash.run, 2, options))
        skip();
}

static void on_source(const char *command)
{
    redisContext *c = server_connect(crash.run.dragonfly.port);
    server_ok(c, command);
    redisFree(c);
}

static void assert_live_refused(const char *text)
{
    run_replicate(&crash.run, NULL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_CONFIG);
    assert_said(text);
    assert_int_equal(run_target_keys(&crash.run), 0);
}

static void real_node_of_a_dragonfly_cluster_is_refused(void **state)
{
    (void)state;
    begin_live((const char *const[]){"--cluster_mode=yes", NULL});
    assert_live_refused("is a node of a Dragonfly Cluster");
}

static void real_emulated_cluster_is_copied(void **state)
{
    (void)state;
    begin_live((const char *const[]){"--cluster_mode=emulated", NULL});
    on_source("SET a 1");
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
    assert_int_equal(run_target_keys(&crash.run), 1);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void real_databases_that_the_target_lacks_are_refused(void **state)
{
    (void)state;
    begin_live((const char *const[]){"--dbnum=32", NULL});
    redisContext *c = server_connect(crash.run.dragonfly.port);
    server_ok(c, "SELECT 20");
    server_ok(c, "SET a 1");
    redisFree(c);
    assert_live_refused("in database 20, and the target has 16 databases: raise its databases to 21");
}

/* Of the commands that df2redis(1) lists for the source. */
static char *sources_rule_of_the_manual(void)
{
    struct buf manual = {0}, rule = {0};
    assert_true(file_read("man/df2redis.1", &manual));
    buf_put_u8(&manual, '\0');
    char *from = strstr((char *)manual.data, "\nThe user of the source needs\n"), *save = NULL;
    assert_non_null(from);
    *strstr(from, "\non all keys.") = '\0';
    buf_printf(&rule, "ACL SETUSER copy");
    for (char *line = strtok_r(from, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *at = NULL, *word = strncmp(line, ".Ic ", 4) == 0 ? strtok_r(line + 4, " ,;", &at) : NULL;
        for (; word; word = strtok_r(NULL, " ,;", &at))
            if (strcmp(word, "GET") != 0) /* of CONFIG GET */
                buf_printf(&rule, " +%s", word);
    }
    buf_put_u8(&rule, '\0');
    buf_free(&manual);
    return (char *)rule.data;
}

static void real_user_with_few_rights_copies_and_is_told_what_is_missing(void **state)
{
    (void)state;
    begin_live(NULL);
    on_source("SET a 1");
    on_source("ACL SETUSER copy ON >sesame ~* +PING +REPLCONF +DFLY +INFO");
    char *uri = format_text("redis://copy:sesame@127.0.0.1:%u", crash.run.dragonfly.port);
    df2redis_start(&crash.run.program, "replicate", uri, crash.run.target.uri, NULL);
    free(uri);
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
    assert_said("give its user ~* +dump +pexpiretime +memory +scan +select +type");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    char *rule = sources_rule_of_the_manual();
    on_source(rule);
    free(rule);
    uri = format_text("redis://copy:sesame@127.0.0.1:%u", crash.run.dragonfly.port);
    df2redis_start(&crash.run.program, "replicate", uri, crash.run.target.uri, NULL);
    free(uri);
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
    assert_false(df2redis_said(&crash.run.program, "its user"));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void replicate_as_copy(const char *rights)
{
    char *rule = format_text("ACL SETUSER copy ON >sesame RESETKEYS ~* -@ALL %s", rights);
    char *uri = format_text("redis://copy:sesame@127.0.0.1:%u", crash.run.dragonfly.port);
    on_source("ACL DELUSER copy");
    on_source(rule);
    df2redis_start(&crash.run.program, "replicate", uri, crash.run.target.uri,
                   (const char *const[]){"--flush-target", NULL});
    free(uri);
    free(rule);
}

static void assert_copy_is_refused(const char *rights, int code, const char *text)
{
    replicate_as_copy(rights);
    int ended = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    if (ended != code)
        df2redis_print(&crash.run.program);
    assert_int_equal(ended, code);
    assert_said(text);
    assert_int_equal(run_target_keys(&crash.run), 1);
}

static void real_user_without_a_right_that_is_needed_is_refused(void **state)
{
    (void)state;
    begin_live(NULL);
    on_source("SET a 1");
    on_target("SET b 1");
    on_source("ACL SETUSER copy ON >sesame");
    assert_copy_is_refused("+PING +REPLCONF +INFO", EX_NOPERM, "give it +dfly ");
    assert_copy_is_refused("+PING +DFLY +INFO", EX_NOPERM, "it needs +replconf +dfly +ping");
    assert_copy_is_refused("+REPLCONF +DFLY +INFO", EX_NOPERM, "it needs +replconf +dfly +ping");
    assert_copy_is_refused("+PING +REPLCONF +DFLY", EX_NOPERM, "give its user +dflycluster");
    replicate_as_copy("+PING +REPLCONF +DFLY +DFLYCLUSTER");
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void real_node_of_a_cluster_is_found_without_all_rights(void **state)
{
    (void)state;
    begin_live((const char *const[]){"--cluster_mode=yes", NULL});
    on_target("SET b 1");
    on_source("ACL SETUSER copy ON >sesame");
    assert_copy_is_refused("+PING +REPLCONF +DFLY +INFO", EX_NOPERM, "give its user +dflycluster");
    assert_copy_is_refused("+PING +REPLCONF +DFLY +DFLYCLUSTER", EX_CONFIG,
                           "is a node of a Dragonfly Cluster");
}

/* Restricted to an admin port, or forbidden: CLUSTER SLOTS tells. */
static void real_node_of_a_cluster_is_found_where_dflycluster_is_restricted(void **state)
{
    (void)state;
    begin_live((const char *const[]){"--cluster_mode=yes", "--restricted_commands=dflycluster", NULL});
    on_target("SET b 1");
    on_source("ACL SETUSER copy ON >sesame");
    assert_copy_is_refused("+PING +REPLCONF +DFLY +INFO +DFLYCLUSTER +CLUSTER", EX_CONFIG,
                           "is a node of a Dragonfly Cluster");
    assert_copy_is_refused("+PING +REPLCONF +DFLY +INFO +DFLYCLUSTER", EX_NOPERM, "+cluster +readwrite");
}

static void real_emulated_cluster_is_copied_where_dflycluster_is_restricted(void **state)
{
    (void)state;
    begin_live((const char *const[]){"--cluster_mode=emulated", "--restricted_commands=dflycluster", NULL});
    on_source("SET a 1");
    on_source("ACL SETUSER copy ON >sesame");
    replicate_as_copy("+PING +REPLCONF +DFLY +INFO +DFLYCLUSTER +CLUSTER +READWRITE");
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void real_databases_that_may_come_into_use_are_warned_of(void **state)
{
    (void)state;
    begin_live((const char *const[]){"--dbnum=32", NULL});
    on_source("SET a 1");
    run_replicate(&crash.run, NULL);
    assert_true(df2redis_wait_in_step(&crash.run.program, RUN_DEADLINE_MS));
    assert_said("may have 32 databases, and target");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(real_node_of_a_dragonfly_cluster_is_refused, teardown),
        cmocka_unit_test_teardown(real_emulated_cluster_is_copied, teardown),
        cmocka_unit_test_teardown(real_databases_that_the_target_lacks_are_refused, teardown),
        cmocka_unit_test_teardown(real_user_with_few_rights_copies_and_is_told_what_is_missing, teardown),
        cmocka_unit_test_teardown(real_user_without_a_right_that_is_needed_is_refused, teardown),
        cmocka_unit_test_teardown(real_node_of_a_cluster_is_found_without_all_rights, teardown),
        cmocka_unit_test_teardown(real_node_of_a_cluster_is_found_where_dflycluster_is_restricted, teardown),
        cmocka_unit_test_teardown(real_emulated_cluster_is_copied_where_dflycluster_is_restricted, teardown),
        cmocka_unit_test_teardown(real_databases_that_may_come_into_use_are_warned_of, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
