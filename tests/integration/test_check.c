/* df2redis check: everything is found in one pass, nothing is written, it ends whatever hangs, and its exit code is that
 * of a start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/testing.h"
#include "tests/support/wait_until.h"

enum { MOST_ARGS = 24, PATIENCE_MS = 10000 };

static struct run run;
static struct redis_cluster cluster;
static cJSON *document;

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(document);
    document = NULL;
    run_end(&run);
    redis_cluster_stop(&cluster);
    return 0;
}

static void begin(void (*change)(struct scripted_options *options))
{
    struct scripted_options options;
    scripted_options_init(&options);
    options.release = "1.38.0"; /* which omits nothing */
    options.info = "used_memory:1000000\r\n";
    options.keyspace = "db0:keys=1,expires=0\r\n";
    options.config_databases = "16";
    scripted_options_add(&options, scripted_session_with("a", "snapshot"));
    if (change)
        change(&options);
    run_begin(&run, &options);
}

static int check_of(const char *source, const char *target, const char *const *extra, char **output)
{
    const char *argv[MOST_ARGS] = {df2redis_binary(), "check", "--source",    source,
                                   "--target",        target,  "--state-dir", run.program.dir};
    size_t n = 8;
    for (; extra && *extra && n < MOST_ARGS - 1; extra++)
        argv[n++] = *extra;
    return process_run(argv, RUN_DEADLINE_MS, output);
}

/* Of one of the probe's rows. */
static bool has_row(const char *probe, const char *result, const char *text)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(document, "probes"))
    {
        if (strcmp(df2redis_text(row, "probe"), probe) == 0 &&
            strcmp(df2redis_text(row, "result"), result) == 0 && strstr(df2redis_text(row, "text"), text))
            return true;
    }
    return false;
}

static int check_once(const char *source, const char *target, const char *const *extra)
{
    const char *all[MOST_ARGS] = {"--json", "--spool-limit", "16m"}; /* whatever room the disk has */
    char *text = NULL;
    for (size_t n = 3; extra && *extra; extra++)
        all[n++] = *extra;
    int code = check_of(source, target, all, &text);
    cJSON_Delete(document);
    document = cJSON_Parse(text);
    if (!document)
        fail_msg("%s", text);
    free(text);
    return code;
}

/* The servers had less of a busy machine than the check has time for. */
static bool was_too_slow(void)
{
    return has_row("source", "error", "answer") || has_row("target", "error", "answer") ||
           (has_row("target", "ok", "a ") && has_row("round trips", "unknown", ""));
}

enum { ATTEMPTS = 20 };

/* Into `document`. */
static int check_as(const char *target, const char *const *extra)
{
    int code = check_once(scripted_uri(run.source), target, extra);
    for (int i = 1; i < ATTEMPTS && was_too_slow(); i++)
        code = check_once(scripted_uri(run.source), target, extra);
    assert_string_equal(scripted_violation(run.source), "");
    return code;
}

static int check(const char *const *extra)
{
    return check_as(run.target.uri, extra);
}

static void assert_row(const char *probe, const char *result, const char *text)
{
    if (has_row(probe, result, text))
        return;
    char *all = cJSON_Print(document);
    fail_msg("no row %s, %s, %s in %s", probe, result, text, all);
}

static void assert_code(int code, int expected)
{
    if (code == expected)
        return;
    char *all = cJSON_Print(document);
    fail_msg("exit code %d, not %d: %s", code, expected, all);
}

static void pair_in_order_has_no_findings(void **state)
{
    (void)state;
    begin(NULL);
    assert_code(check(NULL), EX_OK);
    assert_row("source", "ok", "Dragonfly 1.38.0, a master, 1 FLOW, protocol 5");
    assert_row("target", "ok", "a master, 0 keys");
    assert_row("target rights", "ok", "");
    assert_row("target keys", "ok", "none");
    assert_row("memory", "ok", "the source uses 976.6 KiB");
    assert_row("databases", "ok", "1 in use, 16 on the target");
    assert_row("clocks", "unknown", "+time");
}

/* The directory of the run is not made, no FLOW is opened, and the target's replication offset and its keys stand still. */
static void nothing_is_written(void **state)
{
    (void)state;
    begin(NULL);
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SET before 1");
    char *changes = server_info(c, "persistence", "rdb_changes_since_last_save");
    char *path = format_text("%s/default", run.program.dir);
    check((const char *const[]){"--flush-target", NULL});
    char *after = server_info(c, "persistence", "rdb_changes_since_last_save");
    assert_string_equal(changes, after);
    assert_int_equal(server_integer(c, "DBSIZE"), 1);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY FLOW"), 0);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 0);
    free(changes);
    free(after);
    free(path);
    redisFree(c);
}

static void make_worse(struct scripted_options *o)
{
    o->release = "1.40.1";
    o->info = "used_memory:100000000\r\n";
    o->keyspace = "db0:keys=10,expires=0\r\ndb20:keys=3,expires=0\r\n";
    o->config_databases = "32";
}

static void all_is_found_in_one_pass(void **state)
{
    (void)state;
    begin(make_worse);
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SET before 1");
    server_ok(c, "CONFIG SET maxmemory 20mb");
    server_ok(c, "CONFIG SET maxmemory-policy allkeys-lru");
    server_ok(c, "CONFIG SET proto-max-bulk-len 10mb");
    server_ok(c, "CONFIG SET client-query-buffer-limit 20mb");
    server_ok(c, "CONFIG SET min-replicas-to-write 1");
    server_ok(c, "ACL SETUSER app on >sesame ~* +@all -restore -flushall");
    server_ok(c, "CLIENT SETNAME df2redis:other:flow-0");
    char *uri = format_text("redis://app:sesame@127.0.0.1:%u", run.target.port);
    assert_code(check_as(uri, (const char *const[]){"--spool-limit", "900000g", NULL}), EX_NOPERM);
    assert_row("target rights", "error", "give it +restore");
    assert_row("target rights", "warning", "+flushall");
    assert_row("target keys", "error", "holds 1 key. Choose: an empty target");
    assert_row("databases", "error", "has keys in database 20");
    assert_row("memory", "warning", "evicts keys when its maxmemory of 20 MiB is reached");
    assert_row("target limits", "warning", "set proto-max-bulk-len to 512mb");
    assert_row("target limits", "warning", "set client-query-buffer-limit to 1gb");
    assert_row("target replicas", "error", "NOREPLICAS");
    assert_row("other runs", "warning", "the run other writes to target");
    assert_row("full sync", "warning", "--journal_omit_redundant_writes=false");
    assert_row("room for spools", "warning", "lower --spool-limit");
    free(uri);
    redisFree(c);
}

/* A start's. */
static void exit_code_is_that_of_a_start(void **state)
{
    (void)state;
    begin(NULL);
    server_tell(run.target.port, "SET before 1");
    assert_code(check(NULL), EX_CANTCREAT);
    run_replicate(&run, NULL);
    assert_true(run_ends_with(&run, EX_CANTCREAT, "holds 1 key"));
    server_tell(run.target.port, "FLUSHALL");
    server_tell(run.target.port, "ACL SETUSER app on >sesame ~* +@all -restore");
    char *uri = format_text("redis://app:sesame@127.0.0.1:%u", run.target.port);
    assert_code(check_as(uri, NULL), EX_NOPERM);
    df2redis_start(&run.program, "replicate", scripted_uri(run.source), uri, NULL);
    assert_true(run_ends_with(&run, EX_NOPERM, "+restore"));
    free(uri);
    scripted_become(run.source, SCRIPTED_REDIS);
    assert_code(check(NULL), EX_CONFIG);
    assert_row("source", "error", "is a Redis or Valkey, not a Dragonfly");
    scripted_become(run.source, SCRIPTED_REPLICA);
    assert_code(check(NULL), EX_CONFIG);
    assert_row("source", "error", "give the address of its master");
    scripted_listen(run.source, false);
    assert_code(check(NULL), EX_UNAVAILABLE);
    assert_row("target", "ok", "a master, 0 keys");
}

static void run_that_is_active_is_named(void **state)
{
    (void)state;
    begin(NULL);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_code(check(NULL), EX_TEMPFAIL);
    assert_row("state directory", "error", "a run named default is active");
    assert_row("other runs", "error", "a run named default is connected to target");
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_code(check(NULL), EX_OK);
    assert_row("target keys", "ok", "copied by this run, which resumes: the run before ended in stable sync");
}

static void source_that_hangs_is_named_in_time(void **state)
{
    (void)state;
    begin(NULL);
    scripted_deaf(run.source, true);
    assert_code(check_once(scripted_uri(run.source), run.target.uri, NULL), EX_UNAVAILABLE);
    assert_row("source", "error", "did not answer");
    assert_row("target", "ok", "");
    assert_row("clocks", "unknown", "see the line source");
}

static void target_that_hangs_is_named_in_time(void **state)
{
    (void)state;
    begin(NULL);
    process_signal(&run.target.process, SIGSTOP);
    assert_code(check_once(scripted_uri(run.source), run.target.uri, NULL), EX_UNAVAILABLE);
    process_signal(&run.target.process, SIGCONT);
    assert_row("target", "error", "did not answer");
    assert_row("source", "ok", "");
    assert_row("target keys", "unknown", "see the line target");
}

/* As a name look-up or a file system would: the child is stopped. */
static pid_t child_of(pid_t pid)
{
    char path[64];
    long child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *in = fopen(path, "r");
    if (in && fscanf(in, "%ld", &child) != 1)
        child = 0;
    if (in)
        fclose(in);
    return (pid_t)child;
}

static bool child_there(void *arg)
{
    return child_of(*(pid_t *)arg) > 0;
}

static void check_ends_although_it_hangs_itself(void **state)
{
    (void)state;
    begin(NULL);
    scripted_deaf(run.source, true);
    uint64_t begin_ms = clock_monotonic_ms();
    df2redis_start(&run.program, "check", scripted_uri(run.source), run.target.uri, NULL);
    assert_true(wait_until(child_there, &run.program.process.pid, RUN_DEADLINE_MS));
    kill(child_of(run.program.process.pid), SIGSTOP);
    int code = process_wait(&run.program.process, RUN_DEADLINE_MS);
    assert_true(code >= 0);
    print_message("ended after %llu ms\n", (unsigned long long)(clock_monotonic_ms() - begin_ms));
    /* Ten seconds, and what a busy machine adds. */
    assert_true(clock_monotonic_ms() - begin_ms < 3 * PATIENCE_MS);
}

static void table_is_for_80_columns(void **state)
{
    (void)state;
    char *text = NULL;
    begin(make_worse);
    assert_int_equal(check_of(scripted_uri(run.source), run.target.uri, NULL, &text), EX_CONFIG);
    assert_non_null(strstr(text, "\nerror     databases        source redis://127.0.0.1:"));
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        if (len >= 80)
            fail_msg("%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
    free(text);
}

static void cluster_is_examined(void **state)
{
    (void)state;
    struct scripted_options options;
    redis_cluster_start(&cluster, 3, 0);
    scripted_options_init(&options);
    options.release = "1.38.0";
    options.info = "used_memory:1000000\r\n";
    options.keyspace = "db0:keys=1,expires=0\r\n";
    scripted_options_add(&options, scripted_session_with("a", "snapshot"));
    run_begin_in(&run, &cluster, &options);
    assert_code(check(NULL), EX_OK);
    assert_row("target", "ok", "a cluster, 0 keys");
    assert_row("cluster slots", "ok", "");
    redis_cluster_each(&cluster, "ACL SETUSER app on >sesame ~* +@all -migrate");
    char *uri = format_text("redis://app:sesame@127.0.0.1:%u", run.target.port);
    assert_code(check_as(uri, NULL), EX_DATAERR);
    assert_row("target rights", "warning", "+migrate");
    free(uri);
}

/* The rule for a user of 127.0.0.1:PORT, with the password that the tests use. */
static void give_rights(uint16_t port, const char *rule)
{
    const char *rest = strstr(rule, ">PASSWORD");
    assert_non_null(rest);
    char *words = format_text("ACL SETUSER df2redis on >sesame%s", rest + strlen(">PASSWORD"));
    server_tell(port, words);
    free(words);
}

static char *printed_rule(size_t number)
{
    char *text = NULL, *save = NULL;
    const char *argv[] = {df2redis_binary(), "check", "--acl", NULL};
    assert_int_equal(process_run(argv, RUN_DEADLINE_MS, &text), EX_OK);
    char *line = strtok_r(text, "\n", &save);
    while (number-- && line)
        line = strtok_r(NULL, "\n", &save);
    assert_non_null(line);
    assert_int_equal(strncmp(line, "ACL SETUSER df2redis on ", 24), 0);
    line = x_strdup(line);
    free(text);
    return line;
}

static void manual_has_the_printed_rights(void **state)
{
    (void)state;
    struct buf manual = {0}, words = {0};
    char *rule = printed_rule(1), *save = NULL;
    assert_true(file_read("man/df2redis.1", &manual));
    buf_put_u8(&manual, '\0');
    char *from = strstr((char *)manual.data, "\nACL SETUSER df2redis on >... ");
    assert_non_null(from);
    *strstr(from, "\n.Ed") = '\0';
    buf_printf(&words, "ACL SETUSER df2redis on >PASSWORD");
    from += strlen("\nACL SETUSER df2redis on >...");
    for (char *word = strtok_r(from, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
        buf_printf(&words, " %s", word);
    buf_put_u8(&words, '\0');
    assert_string_equal(rule, (char *)words.data);
    free(rule);
    buf_free(&manual);
    buf_free(&words);
}

static void printed_rights_are_enough(void **state)
{
    (void)state;
    begin(NULL);
    char *rule = printed_rule(1);
    give_rights(run.target.port, rule);
    char *uri = format_text("redis://df2redis:sesame@127.0.0.1:%u", run.target.port);
    assert_code(check_as(uri, NULL), EX_OK);
    assert_row("target rights", "ok", "");
    assert_row("other runs", "ok", "");
    assert_row("target limits", "ok", "");
    assert_row("round trips", "ok", "");
    free(uri);
    free(rule);
}

static void real_dragonfly_is_examined(void **state)
{
    (void)state;
    if (!run_begin_live(&run, 2, NULL))
        skip();
    server_tell(run.dragonfly.port, "SET a 1");
    server_tell(run.dragonfly.port, "BF.ADD filter x");
    char *rule = printed_rule(0);
    give_rights(run.dragonfly.port, rule);
    char *uri = format_text("redis://df2redis:sesame@127.0.0.1:%u", run.dragonfly.port);
    int code = check_once(uri, run.target.uri, NULL);
    for (int i = 1; i < ATTEMPTS && (was_too_slow() || has_row("clocks", "unknown", "")); i++)
        code = check_once(uri, run.target.uri, NULL);
    assert_code(code, EX_DATAERR);
    assert_row("source rights", "ok", "");
    assert_row("source cluster", "ok", "");
    assert_row("types of keys", "warning", "1 are of type MBbloom--");
    assert_row("largest key", "ok", "in a sample of 2 keys");
    assert_row("clocks", "ok", "");
    assert_row("round trips", "ok", "source ");
    free(uri);
    free(rule);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(pair_in_order_has_no_findings, teardown),
        cmocka_unit_test_teardown(nothing_is_written, teardown),
        cmocka_unit_test_teardown(all_is_found_in_one_pass, teardown),
        cmocka_unit_test_teardown(exit_code_is_that_of_a_start, teardown),
        cmocka_unit_test_teardown(run_that_is_active_is_named, teardown),
        cmocka_unit_test_teardown(source_that_hangs_is_named_in_time, teardown),
        cmocka_unit_test_teardown(target_that_hangs_is_named_in_time, teardown),
        cmocka_unit_test_teardown(check_ends_although_it_hangs_itself, teardown),
        cmocka_unit_test_teardown(table_is_for_80_columns, teardown),
        cmocka_unit_test_teardown(cluster_is_examined, teardown),
        cmocka_unit_test_teardown(manual_has_the_printed_rights, teardown),
        cmocka_unit_test_teardown(printed_rights_are_enough, teardown),
        cmocka_unit_test_teardown(real_dragonfly_is_examined, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
