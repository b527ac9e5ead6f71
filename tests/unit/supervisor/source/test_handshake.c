/* The source's answers, the target's policy, the pauses between attempts. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "common/base/backoff.h"
#include "supervisor/rules/databases.h"
#include "supervisor/source/flow_open.h"
#include "supervisor/source/source.h"
#include "supervisor/target/target.h"

#define MASTER "0123456789abcdef0123456789abcdef01234567"

static struct error error;

static redisReply *reply_of(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, bytes, strlen(bytes)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static bool greeting(const char *bytes, struct greeting *out)
{
    redisReply *reply = reply_of(bytes);
    error = (struct error){0};
    bool ok = greeting_parse(reply, "redis://h:1", out, &error);
    freeReplyObject(reply);
    return ok;
}

static bool flow_answer(const char *bytes, bool asked_lsn, struct flow_answer *out)
{
    redisReply *reply = reply_of(bytes);
    error = (struct error){0};
    bool ok = flow_answer_parse(reply, asked_lsn, 3, "redis://h:1", out, &error);
    freeReplyObject(reply);
    return ok;
}

static void assert_says(int exit_code, const char *what)
{
    assert_int_equal(error.exit_code, exit_code);
    if (!strstr(error.text, what))
        fail_msg("\"%s\" does not say \"%s\"", error.text, what);
}

static int64_t role_changes(const char *text)
{
    return greeting_role_changes(slice_str(text));
}

static void changes_of_role_are_counted(void **state)
{
    (void)state;
    assert_int_equal(role_changes("# Commandstats\r\ncmdstat_PING:calls=7,usec=9,usec_per_call=1\r\n"), 0);
    assert_int_equal(role_changes("cmdstat_REPLICAOF:calls=12,usec=9\r\ncmdstat_get:calls=7,usec=1\r\n"
                                  "cmdstat_slaveof:calls=3,usec=9\r\ncmdstat_REPLTAKEOVER:calls=1,usec=1\r\n"
                                  "cmdstat_replicaofx:calls=100,usec=1"),
                     16); /* each is told apart by its whole name */
    assert_int_equal(role_changes("# Server\r\nredis_version:7.4.0\r\n"), -1);
    assert_int_equal(role_changes(""), -1);
}

static void greetings_of_all_versions_are_read(void **state)
{
    (void)state;
    struct greeting g;
    assert_true(greeting("*5\r\n+" MASTER "\r\n+SYNC7\r\n:4\r\n:5\r\n+" MASTER "\r\n", &g));
    assert_string_equal(g.master_id, MASTER);
    assert_string_equal(g.sync_id, "SYNC7");
    assert_int_equal(g.flow_count, 4);
    assert_int_equal(g.version, 5);
    assert_string_equal(g.lineage, MASTER);
    assert_true(greeting("*4\r\n$40\r\n" MASTER "\r\n$5\r\nSYNC1\r\n:1\r\n:4\r\n", &g));
    assert_int_equal(g.version, 4);
    assert_string_equal(g.lineage, "");
    assert_true(greeting("*3\r\n+" MASTER "\r\n+SYNC1\r\n:2\r\n", &g));
    assert_int_equal(g.version, 0);
}

static void the_release_is_read_where_it_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *info;
        uint32_t release;
    } cases[] = {
        {"# Server\r\nredis_version:7.4.0\r\ndragonfly_version:df-v1.40.1\r\nos:x\r\n", 14001},
        {"dragonfly_version:df-v1.41.0-rc1\r\n", 14100},
        {"dragonfly_version:df-v2.0", 20000},
        {"dragonfly_version:df-v1.30.3", 13003},
        {"dragonfly_version:df-dev\r\n", 0},
        {"dragonfly_version:df-v1.999.1\r\n", 0},
        {"redis_version:7.0.15\r\n", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(greeting_release(slice_str(cases[i].info)), cases[i].release);
}

static void what_is_no_dragonfly_is_told_apart(void **state)
{
    (void)state;
    struct greeting g;
    assert_false(greeting("+OK\r\n", &g));
    assert_says(EX_CONFIG, "is a Redis or Valkey, not a Dragonfly");
    assert_false(greeting("-Replicating a replica is unsupported\r\n", &g));
    assert_says(EX_CONFIG, "give the address of its master");
    assert_false(greeting("-ERR Replicating a replica is unsupported\r\n", &g));
    assert_says(EX_CONFIG, "give the address of its master");
    assert_false(greeting("-NOAUTH Authentication required.\r\n", &g));
    assert_says(EX_NOPERM, "wants a password");
    assert_false(greeting("-NOPERM replconf\r\n", &g));
    assert_says(EX_NOPERM, "does not permit");
    assert_false(greeting("-LOADING Dragonfly is loading\r\n", &g));
    assert_int_equal(error.class, ERROR_RETRY);
    assert_false(greeting(":1\r\n", &g));
    assert_says(EX_PROTOCOL, "not understood");
}

static void malformed_greetings_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "*2\r\n+" MASTER "\r\n+SYNC1\r\n",
        "*3\r\n+short\r\n+SYNC1\r\n:2\r\n",
        "*3\r\n+" MASTER "xx\r\n+SYNC1\r\n:2\r\n",
        "*3\r\n+" MASTER "\r\n:1\r\n:2\r\n",
        "*3\r\n+" MASTER "\r\n+SYNC1-and-a-text-that-is-much-too-long\r\n:2\r\n",
        "*3\r\n+" MASTER "\r\n+SYNC1\r\n:0\r\n",
        "*3\r\n+" MASTER "\r\n+SYNC1\r\n:100000\r\n",
        "*3\r\n+" MASTER "\r\n+SYNC1\r\n+2\r\n",
        "*4\r\n+" MASTER "\r\n+SYNC1\r\n:2\r\n+5\r\n",
        "*4\r\n+" MASTER "\r\n+SYNC1\r\n:2\r\n:-1\r\n",
        "*0\r\n",
    };
    struct greeting g;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(greeting(bad[i], &g));
        assert_int_equal(error.exit_code, EX_PROTOCOL);
    }
}

static void flow_answers_are_read(void **state)
{
    (void)state;
    struct flow_answer a;
    assert_true(flow_answer("*2\r\n+FULL\r\n+" MASTER "\r\n", false, &a));
    assert_true(a.full);
    assert_string_equal(a.token, MASTER);
    assert_true(flow_answer("*2\r\n+FULL\r\n+" MASTER "\r\n", true, &a));
    assert_true(a.full);
    assert_true(flow_answer("*2\r\n$7\r\nPARTIAL\r\n$40\r\n" MASTER "\r\n", true, &a));
    assert_false(a.full);
}

static void partial_that_was_not_asked_for_is_refused(void **state)
{
    (void)state;
    struct flow_answer a;
    assert_false(flow_answer("*2\r\n+PARTIAL\r\n+" MASTER "\r\n", false, &a));
    assert_says(EX_PROTOCOL, "not asked for");
    assert_false(flow_answer("*2\r\n+FULL\r\n+short\r\n", false, &a));
    assert_says(EX_PROTOCOL, "EOF token");
    assert_false(flow_answer("*2\r\n+HALF\r\n+" MASTER "\r\n", true, &a));
    assert_says(EX_PROTOCOL, "HALF");
}

static void refused_flow_is_worth_another_session_but_a_missing_right_is_not(void **state)
{
    (void)state;
    struct flow_answer a;
    assert_false(flow_answer("-ERR invalid state\r\n", false, &a));
    assert_int_equal(error.class, ERROR_RETRY);
    assert_false(flow_answer("-NOPERM no dfly\r\n", false, &a));
    assert_int_equal(error.class, ERROR_FATAL);
}

static void databases_with_keys_are_read_from_info(void **state)
{
    (void)state;
    uint32_t *list;
    size_t n = info_databases(slice_str("# Keyspace\r\ndb0:keys=0,expires=0\r\ndb3:keys=12,expires=1\r\n"
                                        "dbx:keys=1\r\ndb15:keys=1,expires=0"),
                              &list);
    assert_int_equal(n, 2);
    assert_int_equal(list[0], 3);
    assert_int_equal(list[1], 15);
    free(list);
    assert_int_equal(info_databases(slice_str("# Keyspace\r\n"), &list), 0);
    assert_null(list);

    struct settings settings;
    struct slice info = slice_str("# Keyspace\r\ndb0:keys=10,expires=0\r\ndb3:keys=12,expires=1\r\n");
    settings_init(&settings);
    assert_int_equal(info_keys_wanted(info, &settings), 22);
    assert_true(settings_set(&settings, "db", "3:0", NULL));
    assert_int_equal(info_keys_wanted(info, &settings), 12);
    settings_free(&settings);
}

static void databases_without_a_place_are_named(void **state)
{
    (void)state;
    static const uint32_t databases[] = {0, 3, 15};
    struct settings s;
    settings_init(&s);
    assert_true(databases_fit(&s, databases, 1, "redis://h:1", 1, true, &error));
    assert_false(databases_fit(&s, databases, 3, "redis://h:1", 1, true, &error));
    assert_says(EX_CONFIG, "redis://h:1 has keys in database 3, 15, and");
    assert_says(EX_CONFIG, "--db 3:0");
    assert_true(settings_set(&s, "db", "15:0", NULL));
    assert_true(databases_fit(&s, databases, 3, "redis://h:1", 1, true, &error));
    settings_free(&s);
}

static void databases_that_the_target_lacks_are_named_with_both_ways_out(void **state)
{
    (void)state;
    static const uint32_t databases[] = {0, 15, 20, 31};
    struct settings s;
    settings_init(&s);
    assert_true(databases_fit(&s, databases, 2, "redis://h:1", 16, false, &error));
    assert_false(databases_fit(&s, databases, 4, "redis://h:1", 16, false, &error));
    assert_says(EX_CONFIG,
                "in database 20, 31, and the target has 16 databases: raise its databases to 32, or");
    assert_non_null(strstr(error.text, "--db 20:0"));
    assert_true(settings_set(&s, "db", "0,20:5", NULL));
    assert_true(databases_fit(&s, databases, 4, "redis://h:1", 16, false, &error));
    settings_free(&s);
}

static void assert_map_judged(const struct settings *s, const struct capabilities *c, size_t errors,
                              const char *text)
{
    struct findings found = {0};
    databases_judge_map(s, c, "redis://h:1", &found);
    assert_int_equal(found.errors, errors);
    if (errors)
        assert_non_null(strstr(found.list[0].text, text));
    findings_free(&found);
}

static void database_that_the_target_lacks_is_none_to_map_to(void **state)
{
    (void)state;
    struct settings s;
    struct capabilities c = {.cluster = true, .databases = 16, .databases_told = true};
    settings_init(&s);
    assert_map_judged(&s, &c, 0, "");
    assert_true(settings_set(&s, "db", "3:0", NULL));
    assert_map_judged(&s, &c, 0, "");
    assert_true(settings_set(&s, "db", "4,5:20", NULL));
    assert_map_judged(&s, &c, 2, "--db 4:4: the target is a cluster");
    c.cluster = false;
    assert_map_judged(&s, &c, 1, "--db 5:20: target redis://h:1 has 16 databases");
    c.databases_told = false;
    assert_map_judged(&s, &c, 0, "");
    settings_free(&s);
}

static void pauses_grow_from_a_tenth_to_thirty_seconds(void **state)
{
    (void)state;
    struct backoff b = {0};
    uint32_t most = 100;
    for (int i = 0; i < 1000; i++) {
        uint32_t pause = backoff_next_ms(&b, (uint32_t)i * 2654435761u);
        assert_true(pause <= most && pause >= most - most / 4);
        most = most * 2 < 30000 ? most * 2 : 30000;
    }
    backoff_reset(&b);
    assert_true(backoff_next_ms(&b, 0) == 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_of_role_are_counted),
        cmocka_unit_test(greetings_of_all_versions_are_read),
        cmocka_unit_test(the_release_is_read_where_it_is_told),
        cmocka_unit_test(what_is_no_dragonfly_is_told_apart),
        cmocka_unit_test(malformed_greetings_are_refused),
        cmocka_unit_test(flow_answers_are_read),
        cmocka_unit_test(partial_that_was_not_asked_for_is_refused),
        cmocka_unit_test(refused_flow_is_worth_another_session_but_a_missing_right_is_not),
        cmocka_unit_test(databases_with_keys_are_read_from_info),
        cmocka_unit_test(databases_without_a_place_are_named),
        cmocka_unit_test(databases_that_the_target_lacks_are_named_with_both_ways_out),
        cmocka_unit_test(database_that_the_target_lacks_is_none_to_map_to),
        cmocka_unit_test(pauses_grow_from_a_tenth_to_thirty_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
