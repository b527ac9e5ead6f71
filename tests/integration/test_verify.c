/* df2redis verify beside a run of a scripted source: every difference is found and named, repaired on request, and a
 * killed verification goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/verify_case.h"
#include "tests/support/wait_until.h"

static const char *const repair[] = {"--repair", NULL};

static const struct difference {
    const char *kind, *key, *source[3], *target;
} differences[] = {
    {"value", "string", {"SET string a"}, "SET string b"},
    {"element", "list", {"RPUSH list a b c"}, "LSET list 1 x"},
    {"element", "set", {"SADD set a b c"}, "SADD set d"},
    {"element", "hash", {"HSET hash a 1 b 2"}, "HSET hash a 2"},
    {"element", "zset", {"ZADD zset 1 a 2 b"}, "ZADD zset 3 a"},
    {"order", "turned", {"RPUSH turned a b c"}, "RPOPLPUSH turned turned"},
    {"type", "typed", {"SET typed a"}, NULL},
    {"ttl", "mortal", {"SET mortal a PXAT 4000000000000"}, "PERSIST mortal"},
    {"missing", "missing", {"SET missing a"}, "DEL missing"},
    {"extra", "extra", {NULL}, "SET extra a"},
    {"entry", "stream", {"XADD stream 1-1 a b"}, "XADD stream 2-1 a b"},
    {"group", "groups", {"XADD groups 1-1 a b", "XGROUP CREATE groups g 0"}, "XGROUP CREATE groups h 0"},
    {"pending-entry",
     "pending",
     {"XADD pending 1-1 a b", "XGROUP CREATE pending g 1-1", "XGROUP CREATECONSUMER pending g c"},
     "XCLAIM pending g c 0 1-1 FORCE JUSTID"},
};
enum { DIFFERENCES = sizeof differences / sizeof *differences };

/* What the source has is in a server like the target, and older ones have no PEXPIRETIME. */
static void begin_verify(void)
{
    begin();
    redisContext *c = server_connect(data.port);
    redisReply *r = server_command(c, "PEXPIRETIME none");
    bool lacks = r->type == REDIS_REPLY_ERROR;
    freeReplyObject(r);
    redisFree(c);
    if (lacks)
        skip();
}

static void write_source(void)
{
    for (size_t i = 0; i < DIFFERENCES; i++)
        for (size_t k = 0; k < 3 && differences[i].source[k]; k++)
            source(differences[i].source[k]);
    source("SET same a");
    assert_true(run_wait_in_step(&run));
}

static void write_target(void)
{
    for (size_t i = 0; i < DIFFERENCES; i++)
        if (differences[i].target)
            target(differences[i].target);
    target("DEL typed");
    target("RPUSH typed a");
}

static void equal_sides_have_no_difference(void **state)
{
    (void)state;
    begin_verify();
    write_source();
    assert_verified(EX_OK, NULL);
    assert_int_equal(count_of("keys"), DIFFERENCES);
    assert_int_equal(count_of("different"), 0);
    assert_int_equal(df2redis_status_number(&run.program, "verify.keys"), DIFFERENCES);
    assert_true(df2redis_status_true(&run.program, "verify.ended"));
}

static void every_difference_is_found_and_named(void **state)
{
    (void)state;
    begin_verify();
    write_source();
    write_target();
    assert_verified(EX_DATAERR, NULL);
    assert_int_equal(count_of("different"), DIFFERENCES);
    for (size_t i = 0; i < DIFFERENCES; i++) {
        char line[100];
        snprintf(line, sizeof line, " db 0 \"%s\"\n", differences[i].key);
        assert_true(differences_say(line));
        assert_true(kind_of(differences[i].kind) > 0);
    }
    assert_int_equal(kind_of("element"), 4);
    assert_true(differences_say(" different order list db 0 \"turned\"\n"));
}

static void repaired_differences_are_gone(void **state)
{
    (void)state;
    begin_verify();
    write_source();
    write_target();
    assert_verified(EX_OK, repair);
    assert_int_equal(count_of("different"), DIFFERENCES);
    assert_int_equal(count_of("repaired"), DIFFERENCES);
    assert_equal_to_source();
    assert_verified(EX_OK, NULL);
    assert_int_equal(count_of("different"), 0);
}

static void own_keys_and_those_of_other_runs_are_no_difference(void **state)
{
    (void)state;
    begin_verify();
    source("SET a 1");
    assert_true(run_wait_in_step(&run));
    target("SET df2redis:other 1");
    assert_verified(EX_OK, NULL);
    assert_int_equal(count_of("keys"), 1);
}

static void a_large_value_is_compared_in_pieces_and_repaired(void **state)
{
    (void)state;
    begin_verify();
    source("SETRANGE large 40000000 x");
    assert_true(run_wait_in_step(&run));
    target("SETRANGE large 20000000 y");
    assert_verified(EX_DATAERR, NULL);
    assert_int_equal(kind_of("value"), 1);
    assert_verified(EX_OK, repair);
    assert_verified(EX_OK, NULL);
}

/* ---- a killed one ---- */

static bool is_saved(void *arg)
{
    (void)arg;
    char *path = format_text("%s/default/verify.state", run.program.dir);
    bool is = access(path, F_OK) == 0;
    free(path);
    return is;
}

static void a_killed_verification_goes_on(void **state)
{
    static const char *const slow[] = {"--max-rate", "40", NULL};
    const char *argv[VERIFY_ARGS];
    struct process process = {0};
    char *output = NULL;
    (void)state;
    begin_verify();
    for (int i = 0; i < 300; i++) {
        char words[40];
        snprintf(words, sizeof words, "SET key:%d %d", i, i);
        source(words);
    }
    assert_true(run_wait_in_step(&run));
    target("SET key:17 other");
    target("SET extra 1");
    verify_words(argv, slow);
    output = format_text("%s/verify.out", run.program.dir);
    assert_true(process_start(&process, output, argv));
    assert_true(wait_until(is_saved, NULL, RUN_DEADLINE_MS));
    process_stop(&process);
    free(output);
    assert_verified(EX_DATAERR, NULL);
    assert_int_equal(count_of("keys"), 301);
    assert_int_equal(count_of("different"), 2);
    assert_false(is_saved(NULL));
}

/* ---- what is refused ---- */

static void two_verifications_at_a_time_are_refused(void **state)
{
    static const char *const slow[] = {"--max-rate", "1", NULL};
    const char *argv[VERIFY_ARGS];
    struct process process = {0};
    (void)state;
    begin_verify();
    for (int i = 0; i < 20; i++) {
        char words[40];
        snprintf(words, sizeof words, "SET key:%d %d", i, i);
        source(words);
    }
    assert_true(run_wait_in_step(&run));
    verify_words(argv, slow);
    char *output = format_text("%s/verify.out", run.program.dir);
    assert_true(process_start(&process, output, argv));
    free(output);
    assert_true(wait_until(is_saved, NULL, RUN_DEADLINE_MS));
    assert_int_equal(verify(NULL), EX_TEMPFAIL);
    assert_non_null(strstr(verify_printed, "another df2redis verify"));
    process_stop(&process);
}

static void source_and_target_beside_a_run_are_refused(void **state)
{
    const char *extra[] = {"--source", "redis://127.0.0.1:1", NULL};
    (void)state;
    begin_verify();
    assert_int_equal(verify(extra), EX_USAGE);
    assert_non_null(strstr(verify_printed, "leave out --source"));
}

static void no_run_and_no_addresses_are_refused(void **state)
{
    (void)state;
    begin_verify();
    run_terminate(&run);
    assert_int_equal(verify(NULL), EX_UNAVAILABLE);
    assert_non_null(strstr(verify_printed, "no run named default is active"));
}

static void without_a_run_both_sides_are_read_repeatedly(void **state)
{
    (void)state;
    begin_verify();
    write_source();
    write_target();
    run_terminate(&run);
    const char *extra[] = {"--source", scripted_uri(run.source), "--target", run.target.uri, NULL, NULL};
    assert_verified(EX_DATAERR, extra);
    assert_int_equal(count_of("different"), DIFFERENCES);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(report, "exact")));
    extra[4] = "--repair";
    assert_int_equal(verify(extra), EX_USAGE);
}

/* ---- a cluster ---- */

/* The first key of a member. */
static void delete_one_of(size_t member)
{
    for (int i = 0; i < 60; i++) {
        char key[20], words[40];
        snprintf(key, sizeof key, "key:%d", i);
        snprintf(words, sizeof words, "DEL %s", key);
        if (redis_cluster_owner(&cluster, key_slot(slice_str(key))) != member)
            continue;
        redisContext *c = redis_cluster_connect(&cluster, member);
        assert_int_equal(server_integer(c, words), 1);
        redisFree(c);
        return;
    }
    fail();
}

static void every_master_of_a_cluster_is_compared(void **state)
{
    (void)state;
    redis_cluster_start(&cluster, 3, 0);
    in_cluster = true;
    begin_verify();
    for (int i = 0; i < 60; i++) {
        char words[40];
        snprintf(words, sizeof words, "SET key:%d %d", i, i);
        source(words);
    }
    assert_true(run_wait_in_step(&run));
    for (size_t member = 0; member < 3; member++)
        delete_one_of(member);
    assert_verified(EX_DATAERR, NULL);
    assert_int_equal(kind_of("missing"), 3);
    assert_verified(EX_OK, repair);
    assert_verified(EX_OK, NULL);
    assert_int_equal(count_of("keys"), 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(equal_sides_have_no_difference, teardown_verify),
        cmocka_unit_test_teardown(every_difference_is_found_and_named, teardown_verify),
        cmocka_unit_test_teardown(repaired_differences_are_gone, teardown_verify),
        cmocka_unit_test_teardown(own_keys_and_those_of_other_runs_are_no_difference, teardown_verify),
        cmocka_unit_test_teardown(a_large_value_is_compared_in_pieces_and_repaired, teardown_verify),
        cmocka_unit_test_teardown(a_killed_verification_goes_on, teardown_verify),
        cmocka_unit_test_teardown(two_verifications_at_a_time_are_refused, teardown_verify),
        cmocka_unit_test_teardown(source_and_target_beside_a_run_are_refused, teardown_verify),
        cmocka_unit_test_teardown(no_run_and_no_addresses_are_refused, teardown_verify),
        cmocka_unit_test_teardown(without_a_run_both_sides_are_read_repeatedly, teardown_verify),
        cmocka_unit_test_teardown(every_master_of_a_cluster_is_compared, teardown_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
