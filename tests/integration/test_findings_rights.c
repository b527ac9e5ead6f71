/* Rights that the target's user lacks are named at the start, all of them at once, and nothing was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/findings_case.h"
#include "tests/support/scripted_words.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
