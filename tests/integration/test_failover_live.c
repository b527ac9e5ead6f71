/* Real Dragonflies that change their roles: a master that becomes a replica, is a master again with another
 * history, or hands over to a replica of its own. Needs DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/proxy.h"
#include "tests/support/run.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"
#include "tests/support/workload.h"

enum { SHARDS = 2 };

static struct run run;
static struct server second; /* another Dragonfly */
static struct proxy *proxy;

static int teardown(void **state)
{
    (void)state;
    df2redis_end(&run.program);
    proxy_stop(proxy);
    proxy = NULL;
    server_stop(&second);
    run_end(&run);
    return 0;
}

static void begin_with(const char *const *flags)
{
    if (!run_begin_live(&run, SHARDS, flags))
        skip();
    dragonfly_start(&second, SHARDS, flags);
}

static void begin(void)
{
    begin_with(NULL);
}

static void write_some(uint16_t port, const char *prefix, unsigned from, unsigned to)
{
    redisContext *c = server_connect(port);
    for (unsigned i = from; i < to; i++) {
        freeReplyObject(server_commandf(c, "SET %s:%u v%u", prefix, i, i));
        freeReplyObject(server_commandf(c, "INCR %s:counter", prefix));
    }
    redisFree(c);
}

static void tell(const struct server *s, const char *words)
{
    server_tell(s->port, words);
}

static void become_replica(const struct server *s, const struct server *of)
{
    char *words = format_text("REPLICAOF 127.0.0.1 %u", of->port);
    tell(s, words);
    free(words);
}

static void replicate_from(const char *uris)
{
    df2redis_start(&run.program, "replicate", uris, run.target.uri, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
}

static bool info_is(const struct server *s, const char *section, const char *field, const char *value)
{
    redisContext *c = server_connect(s->port);
    char *is = server_info(c, section, field);
    bool same = is && strcmp(is, value) == 0;
    free(is);
    redisFree(c);
    return same;
}

/* The second one has all that the first one has. */
static bool has_followed(void *arg)
{
    (void)arg;
    redisContext *a = server_connect(run.dragonfly.port), *b = server_connect(second.port);
    bool equal = server_keys(a) == server_keys(b) &&
                 info_is(&second, "replication", "master_link_status", "up") &&
                 info_is(&second, "replication", "master_sync_in_progress", "0");
    redisFree(a);
    redisFree(b);
    return equal;
}

static bool equals(const struct server *source)
{
    struct server was = run.dragonfly;
    /* A relative time to live counts from the arrival at a replica, too. */
    struct state_rules rules = {.ttl_tolerance_ms = 1000, .read = {.stream_details = true}};
    uint64_t keys = 0;
    run.dragonfly = *source;
    bool applied = run_wait_applied(&run);
    bool equal = applied && run_equals_dragonfly(&run, &rules, &keys) && keys > 0;
    run.dragonfly = was;
    if (!equal)
        df2redis_print(&run.program);
    return equal;
}

static void assert_last_sync(const char *kind, const char *reason)
{
    cJSON *status = df2redis_status(&run.program);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    const char *was = df2redis_text(sync, "kind"), *said = df2redis_text(sync, "reason");
    if (strcmp(was, kind) != 0 || !strstr(said, reason)) {
        df2redis_print(&run.program);
        fail_msg("last sync: %s, %s", was, said);
    }
    cJSON_Delete(status);
}

/* ---- another history ---- */

/* While it loads it says so instead. */
static bool has_theirs(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(run.dragonfly.port);
    redisReply *reply = server_command(c, "EXISTS theirs:299");
    bool has = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    redisFree(c);
    return has;
}

static void another_history_under_the_same_id_is_synced_anew(void **state)
{
    (void)state;
    begin();
    proxy = proxy_start(run.dragonfly.port);
    replicate_from(proxy_uri(proxy));
    write_some(run.dragonfly.port, "ours", 0, 500);
    write_some(second.port, "theirs", 0, 300);
    assert_true(equals(&run.dragonfly));
    proxy_to(proxy, 1); /* nobody listens there */
    assert_true(df2redis_wait_said(&run.program, "the session with the source is over", RUN_DEADLINE_MS));
    become_replica(&run.dragonfly, &second);
    assert_true(wait_until(has_theirs, NULL, RUN_DEADLINE_MS));
    tell(&run.dragonfly, "REPLICAOF NO ONE");
    write_some(run.dragonfly.port, "later", 0, 1400);
    proxy_to(proxy, run.dragonfly.port);
    assert_true(df2redis_wait_said(&run.program, "full sync: FLOW", RUN_DEADLINE_MS) ||
                df2redis_wait_said(&run.program, "no longer goes back", RUN_DEADLINE_MS));
    assert_true(equals(&run.dragonfly));
    assert_last_sync("full", "journal");
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- REPLICAOF while connected ---- */

static bool session_is_over(void *arg)
{
    (void)arg;
    return df2redis_said(&run.program, "the session with the source is over");
}

static void master_that_becomes_a_replica_does_not_empty_the_target(void **state)
{
    (void)state;
    begin();
    write_some(run.dragonfly.port, "ours", 0, 500);
    write_some(second.port, "theirs", 0, 20);
    replicate_from(run.dragonfly.uri);
    write_some(run.dragonfly.port, "ours", 500, 600);
    assert_true(equals(&run.dragonfly));
    uint64_t keys = run_target_keys(&run);
    become_replica(&run.dragonfly, &second);
    assert_true(wait_until(session_is_over, NULL, RUN_DEADLINE_MS));
    assert_true(df2redis_wait_said(&run.program, "is itself a replica", RUN_DEADLINE_MS));
    assert_int_equal(run_target_keys(&run), keys);
    assert_false(df2redis_said(&run.program, "was run on the target"));
    assert_int_equal(run_terminate(&run), EX_TEMPFAIL);
    assert_int_equal(run_target_keys(&run), keys);
}

/* A flush of the source's own clients is run as ever. */
static void flush_of_a_master_is_run(void **state)
{
    (void)state;
    begin();
    write_some(run.dragonfly.port, "ours", 0, 200);
    replicate_from(run.dragonfly.uri);
    tell(&run.dragonfly, "FLUSHALL");
    write_some(run.dragonfly.port, "later", 0, 50);
    assert_true(equals(&run.dragonfly));
    assert_true(df2redis_said(&run.program, "FLUSHALL of the source was run on the target"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- failover ---- */

static void follow_and_replicate(const char *const *flags)
{
    begin_with(flags);
    write_some(run.dragonfly.port, "ours", 0, 500);
    become_replica(&second, &run.dragonfly);
    assert_true(wait_until(has_followed, NULL, RUN_DEADLINE_MS));
    proxy = proxy_start(second.port);
    char *both = format_text("%s,%s", run.dragonfly.uri, proxy_uri(proxy));
    replicate_from(both);
    free(both);
    write_some(run.dragonfly.port, "ours", 500, 800);
    assert_true(equals(&run.dragonfly));
    assert_true(wait_until(has_followed, NULL, RUN_DEADLINE_MS));
}

static void assert_went_on(void)
{
    write_some(second.port, "later", 0, 200);
    assert_true(
        df2redis_wait_said(&run.program, "was promoted from a replica of the one before", RUN_DEADLINE_MS));
    assert_true(equals(&second));
    assert_last_sync("partial", "was promoted from a replica of the one before");
    /* And once more, in its own journal. */
    write_some(second.port, "later", 200, 300);
    assert_true(equals(&second));
    proxy_cut(proxy);
    write_some(second.port, "later", 300, 400);
    assert_true(df2redis_wait_said(&run.program, "the source still has the journal that the target lacks",
                                   RUN_DEADLINE_MS));
    assert_true(equals(&second));
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void run_follows_a_takeover(void **state)
{
    (void)state;
    follow_and_replicate(NULL);
    tell(&second, "REPLTAKEOVER 10");
    assert_went_on();
}

static void run_follows_a_promotion(void **state)
{
    (void)state;
    follow_and_replicate(NULL);
    server_stop(&run.dragonfly);
    tell(&second, "REPLICAOF NO ONE");
    assert_went_on();
}

static struct workload *write_at(const struct server *s, uint64_t seed)
{
    struct workload_options options;
    workload_options_init(&options, s->port);
    options.seed = seed;
    options.connections = 4;
    options.keys = 200;
    options.rate = 300;
    options.may_break = true;
    return workload_start(&options);
}

static bool has_written_more(void *arg)
{
    return workload_progress(arg) >= 1000;
}

/* Clients write until the old master is gone, and to the new one from then on. */
static void takeover_under_load_needs_no_full_sync(void **state)
{
    (void)state;
    follow_and_replicate((const char *const[]){"--shard_repl_backlog_len=1000000", NULL});
    struct workload *writers = write_at(&run.dragonfly, 1);
    assert_true(wait_until(has_written_more, writers, RUN_DEADLINE_MS));
    tell(&second, "REPLTAKEOVER 30");
    struct workload *after = write_at(&second, 2);
    workload_stop(writers);
    assert_true(wait_until(has_written_more, after, RUN_DEADLINE_MS));
    assert_true(
        df2redis_wait_said(&run.program, "was promoted from a replica of the one before", RUN_DEADLINE_MS));
    workload_stop(after);
    assert_true(equals(&second));
    assert_last_sync("partial", "was promoted from a replica of the one before");
    assert_false(df2redis_said(&run.program, "flushing it"));
    assert_true(suspects_wait_settled(&run));
    int code = run_terminate(&run);
    if (code != EX_OK)
        df2redis_print(&run.program);
    assert_int_equal(code, EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(another_history_under_the_same_id_is_synced_anew, teardown),
        cmocka_unit_test_teardown(master_that_becomes_a_replica_does_not_empty_the_target, teardown),
        cmocka_unit_test_teardown(flush_of_a_master_is_run, teardown),
        cmocka_unit_test_teardown(run_follows_a_takeover, teardown),
        cmocka_unit_test_teardown(run_follows_a_promotion, teardown),
        cmocka_unit_test_teardown(takeover_under_load_needs_no_full_sync, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
