/* What a target or a source lacks is named at the start, all of it at once, and nothing was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/crash.h"
#include "tests/support/scripted_words.h"
#include "tests/support/testing.h"

enum { FLOWS = 2 };

static const struct journal_snapshot small = {.strings = 50, .commands = 10, .journal = 50};
static struct crash crash;

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static void on_target(const char *command)
{
    server_tell(crash.run.target.port, command);
}

static void begin(void (*change)(struct scripted_options *options))
{
    struct scripted_options options;
    crash = (struct crash){0};
    journal_script_init(&crash.script, FLOWS, 7);
    scripted_options_init(&options);
    scripted_options_add(&options, journal_script_session(&crash.script, &small));
    if (change)
        change(&options);
    run_begin(&crash.run, &options);
}

static void replicate_as(const char *user, const char *const *extra)
{
    char *uri = format_text("redis://%s:sesame@127.0.0.1:%u", user, crash.run.target.port);
    df2redis_start(&crash.run.program, "replicate", scripted_uri(crash.run.source), uri, extra);
    free(uri);
}

static void assert_refused(int code, uint64_t keys)
{
    int ended = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    if (ended != code)
        df2redis_print(&crash.run.program);
    assert_int_equal(ended, code);
    assert_int_equal(scripted_count(crash.run.source, NULL, "DFLY FLOW"), 0);
    redisContext *c = server_connect(crash.run.target.port);
    assert_int_equal(server_keys(c), keys);
    redisFree(c);
}

static void assert_said(const char *text)
{
    if (!df2redis_said(&crash.run.program, text)) {
        df2redis_print(&crash.run.program);
        fail_msg("not said: %s", text);
    }
}

static void assert_in_step(void)
{
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* ---- rights on the target ---- */

static void target_whose_mark_may_not_be_written_is_refused(void **state)
{
    (void)state;
    begin(NULL);
    on_target("SET app:1 x");
    on_target("ACL SETUSER app on >sesame ~app:* +@all");
    replicate_as("app", (const char *const[]){"--flush-target", NULL});
    assert_refused(EX_NOPERM, 1);
    assert_said("~df2redis:default*");
}

static void assert_user_is_refused(const char *rights, const char *const *extra, const char *named)
{
    char rule[200];
    begin(NULL);
    on_target("SET app:1 x");
    snprintf(rule, sizeof rule, "ACL SETUSER app on >sesame %s", rights);
    on_target(rule);
    replicate_as("app", extra);
    assert_refused(EX_NOPERM, 1);
    assert_said(named);
    crash_end(&crash);
}

static void target_whose_broken_connections_may_not_be_ended_is_refused(void **state)
{
    (void)state;
    static const char *const flush[] = {"--flush-target", NULL};
    assert_user_is_refused("~* +@all -client +client|list +client|kill", flush, "give it +client|setname");
    assert_user_is_refused("~* +@all -client +client|setname +client|kill", flush, "give it +client|list");
    assert_user_is_refused("~* +@all -client +client|setname +client|list", flush, "give it +client|kill");
}

static void target_whose_keys_may_not_all_be_written_is_refused(void **state)
{
    (void)state;
    static const char *const flush[] = {"--flush-target", NULL};
    assert_user_is_refused("~app:* ~df2redis:* +@all", flush, "give it ~*, or choose keys with --include");
    assert_user_is_refused("~app:* ~df2redis:* +@all",
                           (const char *const[]){"--flush-target", "--exclude", "b*", NULL},
                           "give it ~*, or choose keys with --include");
    assert_user_is_refused(
        "~app:* ~df2redis:* +@all",
        (const char *const[]){"--flush-target", "--include", "app:*", "--include", "b*", NULL},
        "give it ~b*");
}

static void keys_that_are_chosen_are_enough(void **state)
{
    (void)state;
    begin(NULL);
    on_target("ACL SETUSER app on >sesame ~string:* ~df2redis:* +@all");
    replicate_as("app", (const char *const[]){"--include", "string:*", NULL});
    assert_true(run_wait_in_step(&crash.run));
    assert_false(df2redis_said(&crash.run.program, "its user"));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void say(const char *words)
{
    scripted_write(crash.run.source, 0, 0, 0, words);
}

/* As Redis 8 has them. The run begins, goes on, and counts what is refused. */
static void commands_of_modules_that_are_refused_are_counted(void **state)
{
    (void)state;
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    char *module = format_text("%s/" DF2REDIS_BUILD_DIR "/tests/modules.so", here);
    begin(NULL);
    server_stop(&crash.run.target);
    redis_start(&crash.run.target, (const char *const[]){"--loadmodule", module, NULL});
    free(module);
    on_target("ACL SETUSER app on >sesame ~* +@all -bf.add -cf.add -json.set -json.get -ft._dropindexifx");
    replicate_as("app", NULL);
    assert_true(run_wait_in_step(&crash.run));
    assert_said("give it +json.get +json.set +bf.add +cf.add +ft._dropindexifx");
    say("BF.ADD bloom x");        /* may run twice */
    say("CF.ADD cuckoo x");       /* must not */
    say("JSON.SET document $ 1"); /* in a script */
    say("JSON.TOGGLE document $");
    say("FT.DROPINDEX index");
    say("SET after 1");
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(df2redis_status_number(&crash.run.program, "divergences.refused_by_target"), 4);
    redisContext *c = server_connect(crash.run.target.port);
    server_ok(c, "RENAME after before"); /* it came */
    redisFree(c);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
    assert_said("NOPERM");
}

static void right_that_was_taken_away_is_named_at_the_next_start(void **state)
{
    (void)state;
    begin(NULL);
    on_target("ACL SETUSER app on >sesame ~* +@all");
    replicate_as("app", NULL);
    assert_true(run_wait_in_step(&crash.run));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    on_target("ACL SETUSER app -restore -xadd");
    uint64_t keys = run_target_keys(&crash.run);
    replicate_as("app", NULL);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_NOPERM);
    assert_said("+restore +xadd");
    assert_int_equal(run_target_keys(&crash.run), keys);
}

/* Every word of what was said that ACL SETUSER would take, in its order. */
static void give_what_was_named(void)
{
    char *said = process_output(&crash.run.program.process), *save = NULL, rule[128];
    for (char *word = strtok_r(said, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
        size_t len = strcspn(word, ",;");
        bool is_rule = word[0] == '+' || word[0] == '~' || strncmp(word, "-@", 2) == 0;
        if (!is_rule || len < 2)
            continue;
        snprintf(rule, sizeof rule, "ACL SETUSER app %.*s", (int)len, word);
        on_target(rule);
    }
    free(said);
}

/* Whatever it may do already: one start names all that lacks, and with that the next one copies. */
static void all_rights_that_lack_are_named_by_one_start(void **state)
{
    static const char *const users[] = {
        "",  " +info", " +multi +exec +discard", " +info +multi", " ~* +@all -info -exec -discard -@read",
        NULL};
    (void)state;
    for (size_t i = 0; users[i]; i++) {
        char rule[128];
        begin(NULL);
        on_target("SET app:1 x");
        snprintf(rule, sizeof rule, "ACL SETUSER app on >sesame%s", users[i]);
        on_target(rule);
        replicate_as("app", (const char *const[]){"--flush-target", NULL});
        assert_refused(EX_NOPERM, 1);
        give_what_was_named();
        replicate_as("app", (const char *const[]){"--flush-target", NULL});
        if (!run_wait_in_step(&crash.run)) {
            df2redis_print(&crash.run.program);
            fail_msg("what was named to a user with%s is not enough", users[i]);
        }
        assert_int_equal(run_terminate(&crash.run), EX_OK);
        crash_end(&crash);
    }
}

/* The rule that df2redis(1) shows, from its first line to .Ed. */
static char *rule_of_the_manual(void)
{
    struct buf manual = {0};
    assert_true(file_read("man/df2redis.1", &manual));
    buf_put_u8(&manual, '\0');
    char *from = strstr((char *)manual.data, "\nACL SETUSER df2redis on >..."), *save = NULL;
    assert_non_null(from);
    *strstr(from, "\n.Ed") = '\0';
    from += strlen("\nACL SETUSER df2redis on >...");
    struct buf rule = {0};
    buf_printf(&rule, "ACL SETUSER app on >sesame");
    for (char *word = strtok_r(from, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
        buf_printf(&rule, " %s", word);
    buf_put_u8(&rule, '\0');
    buf_free(&manual);
    return (char *)rule.data;
}

static void user_with_the_rights_of_the_manual_copies(void **state)
{
    (void)state;
    begin(NULL);
    char *rule = rule_of_the_manual();
    on_target(rule);
    free(rule);
    replicate_as("app", NULL);
    assert_in_step();
    assert_false(df2redis_said(&crash.run.program, "its user"));
}

static void missing_rights_that_are_only_useful_are_warned_of(void **state)
{
    (void)state;
    begin(NULL);
    on_target("ACL SETUSER app on >sesame ~* +@all -config -flushall -dump");
    replicate_as("app", NULL);
    assert_in_step();
    assert_said("+config|get");
    assert_said("+flushall");
    assert_said("+dump");
}

static void renamed_flush_is_refused_where_it_is_due(void **state)
{
    (void)state;
    begin(NULL);
    server_stop(&crash.run.target);
    redis_start(&crash.run.target, (const char *const[]){"--rename-command", "FLUSHALL", "", NULL});
    on_target("SET a 1");
    run_replicate(&crash.run, (const char *const[]){"--flush-target", NULL});
    assert_refused(EX_NOPERM, 1);
    assert_said("+flushall, which the target does not have");
}

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

/* Renamed, restricted, or older: no right helps. */
static void source_that_cannot_tell_of_a_cluster_is_warned_of(void **state)
{
    static void (*const changes[])(struct scripted_options *) = {rename_dflycluster, restrict_dflycluster};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        begin(changes[i]);
        run_replicate(&crash.run, NULL);
        assert_in_step();
        assert_said("has no DFLYCLUSTER");
        assert_false(df2redis_said(&crash.run.program, "+dflycluster"));
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

/* ---- a real Dragonfly ---- */

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
        cmocka_unit_test_teardown(target_whose_mark_may_not_be_written_is_refused, teardown),
        cmocka_unit_test_teardown(target_whose_broken_connections_may_not_be_ended_is_refused, teardown),
        cmocka_unit_test_teardown(target_whose_keys_may_not_all_be_written_is_refused, teardown),
        cmocka_unit_test_teardown(keys_that_are_chosen_are_enough, teardown),
        cmocka_unit_test_teardown(commands_of_modules_that_are_refused_are_counted, teardown),
        cmocka_unit_test_teardown(right_that_was_taken_away_is_named_at_the_next_start, teardown),
        cmocka_unit_test_teardown(all_rights_that_lack_are_named_by_one_start, teardown),
        cmocka_unit_test_teardown(user_with_the_rights_of_the_manual_copies, teardown),
        cmocka_unit_test_teardown(missing_rights_that_are_only_useful_are_warned_of, teardown),
        cmocka_unit_test_teardown(renamed_flush_is_refused_where_it_is_due, teardown),
        cmocka_unit_test_teardown(node_of_a_dragonfly_cluster_is_refused, teardown),
        cmocka_unit_test_teardown(source_that_may_be_a_part_of_a_cluster_is_refused, teardown),
        cmocka_unit_test_teardown(source_that_cannot_tell_of_a_cluster_is_warned_of, teardown),
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
        cmocka_unit_test_teardown(real_node_of_a_dragonfly_cluster_is_refused, teardown),
        cmocka_unit_test_teardown(real_emulated_cluster_is_copied, teardown),
        cmocka_unit_test_teardown(real_databases_that_the_target_lacks_are_refused, teardown),
        cmocka_unit_test_teardown(real_user_with_few_rights_copies_and_is_told_what_is_missing, teardown),
        cmocka_unit_test_teardown(real_user_without_a_right_that_is_needed_is_refused, teardown),
        cmocka_unit_test_teardown(real_node_of_a_cluster_is_found_without_all_rights, teardown),
        cmocka_unit_test_teardown(real_databases_that_may_come_into_use_are_warned_of, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
