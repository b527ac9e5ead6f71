/* The clock of the target is set while the run is connected, or its import mode begins or ends: noticed, told, and
 * what expired by it is healed. Load and slow answers are no such thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/support/proxy.h"
#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/server_clock.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum { SET_BY_MS = 300000, LIVES_MS = 120000, SHORT_MS = 2000, RENEWED_MS = 600000, STOPPED_MS = 1200 };

#define IMPORT_SOURCE "*3\r\n$6\r\nCLIENT\r\n$13\r\nIMPORT-SOURCE\r\n$2\r\nON\r\n"
#define ANSWERED_OK "*3\r\n$6\r\nCLIENT\r\n$8\r\nNO-EVICT\r\n$3\r\nOFF\r\n"
#define GET_IMPORT_MODE "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$11\r\nimport-mode\r\n"
#define GET_STAND_IN "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$10\r\nappendonly\r\n"

static struct run run;
static struct redis_cluster cluster; /* the target of one */
static bool in_cluster;
static struct server data;  /* what the source has */
static struct proxy *proxy; /* to the target */
static int clock_of_target = -1;

static int teardown(void **state)
{
    (void)state;
    proxy_stop(proxy);
    proxy = NULL;
    run_end(&run);
    server_stop(&data);
    if (in_cluster)
        redis_cluster_stop(&cluster);
    in_cluster = false;
    if (clock_of_target >= 0)
        close(clock_of_target);
    clock_of_target = -1;
    return 0;
}

static void give_target_a_clock(void)
{
    clock_of_target = server_clock_open(&run.target);
    server_clock_load(&run.target);
    redis_restart(&run.target, NULL);
    server_clock_unload();
}

/* An empty source of one shard, which lets its values be read. */
static void prepare(void)
{
    struct scripted_options options;
    redis_start(&data, NULL);
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_small(1, NULL));
    options.data_port = data.port;
    if (in_cluster)
        run_begin_in(&run, &cluster, &options);
    else
        run_begin(&run, &options);
}

static void begin(void)
{
    prepare();
    give_target_a_clock();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
}

/* On the source, and journaled. */
static void source(const char *format, ...)
{
    char words[256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (!scripted_carry_out(run.source, 0, 0, words))
        fail_msg("%s", words);
}

static void wait_said(const char *text)
{
    if (!df2redis_wait_said(&run.program, text, RUN_DEADLINE_MS))
        fail_msg("it did not say: %s", text);
}

/* Seconds, as the line has them in front of this text: a late answer makes them a little more. */
static void wait_said_seconds(double seconds, const char *after)
{
    wait_said(after);
    char *output = process_output(&run.program.process), *at = strstr(output, after);
    while (at > output && (at[-1] == '.' || (at[-1] >= '0' && at[-1] <= '9')))
        at--;
    double said = strtod(at, NULL);
    free(output);
    if (said < seconds - 1 || said > seconds + 10)
        fail_msg("%.1f%s", said, after);
}

/* The object first. */
static void wait_said_of_target(const char *before, const char *after)
{
    char *text = format_text("%s 127.0.0.1:%u %s", before, run.target.port, after);
    wait_said(text);
    free(text);
}

static bool has_passed(void *at_ms)
{
    return clock_unix_ms() > *(int64_t *)at_ms;
}

static void wait_beyond(int64_t at_ms)
{
    assert_true(wait_until(has_passed, &at_ms, RUN_DEADLINE_MS));
}

static void write_mortal(void)
{
    long long at_ms = clock_unix_ms() + LIVES_MS;
    source("INCRBY counter 5");
    source("PEXPIREAT counter %lld", at_ms);
    source("SET text abc PXAT %lld", at_ms);
    source("SET unwritten abc PXAT %lld", at_ms);
    source("HSET for-ever a 1");
    assert_true(run_wait_in_step(&run));
}

static long long of_target(const char *words)
{
    return server_ask(run.target.port, words);
}

static void assert_comes_out_equal(void)
{
    assert_true(run_wait_in_step(&run));
    assert_true(suspects_settle_equal(&run, data.port));
}

static bool waits_for_the_clock(void *none)
{
    (void)none;
    cJSON *status = df2redis_status(&run.program);
    bool waits =
        strstr(df2redis_text(status, "in_step_reason"), "ahead of that of this machine: set the clocks");
    cJSON_Delete(status);
    return waits;
}

/* What is written before it is right expires at once. */
static void assert_waits_for_the_clock(void)
{
    assert_true(wait_until(waits_for_the_clock, NULL, RUN_DEADLINE_MS));
}

static void set_forward_its_keys_expire_and_are_healed_once_it_is_right(void **state)
{
    (void)state;
    begin();
    write_mortal();
    assert_int_equal(of_target("EXISTS counter text unwritten for-ever"), 4);
    server_clock_set(clock_of_target, SET_BY_MS);
    wait_said_of_target("the clock of target", "was set forward by ");
    wait_said_seconds(SET_BY_MS / 1000,
                      " s ahead of that of this machine now: keys with a time to live expire too early");
    wait_said("by which keys expire: all keys are compared with the source's");
    assert_int_equal(of_target("EXISTS counter text unwritten for-ever"), 1);
    assert_waits_for_the_clock();
    server_clock_set(clock_of_target, 0);
    wait_said_of_target("the clock of target", "was set back by ");
    assert_comes_out_equal();
    assert_int_equal(of_target("EXISTS counter text unwritten for-ever"), 4);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool two_are_healed(void *none)
{
    (void)none;
    return suspects(&run, "healed") >= 2;
}

/* The workers know the clock: commands behind the time of their key make it a suspect at once. */
static void what_is_written_behind_the_new_time_is_suspected_and_healed(void **state)
{
    (void)state;
    begin();
    server_clock_set(clock_of_target, -SET_BY_MS);
    wait_said_of_target("the clock of target", "was set back by ");
    write_mortal();
    server_clock_set(clock_of_target, SET_BY_MS);
    wait_said_of_target("the clock of target", "was set forward by ");
    assert_int_equal(of_target("EXISTS counter text"), 0);
    source("INCR counter"); /* makes it anew there */
    source("APPEND text def");
    assert_true(wait_until(two_are_healed, NULL, RUN_DEADLINE_MS));
    assert_true(df2redis_said(&run.program, "INCR \"counter\" ran after the key may have expired"));
    server_clock_set(clock_of_target, 0);
    wait_said_of_target("the clock of target", "was set back by ");
    assert_comes_out_equal();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void set_back_it_is_told_and_new_times_are_the_sources(void **state)
{
    (void)state;
    begin();
    write_mortal();
    server_clock_set(clock_of_target, -SET_BY_MS);
    wait_said_of_target("the clock of target", "was set back by ");
    wait_said_seconds(SET_BY_MS / 1000,
                      " s behind that of this machine now: keys with a time to live expire too late");
    source("SET later abc PXAT %lld", (long long)clock_unix_ms() + RENEWED_MS);
    assert_comes_out_equal();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Its answers are late, and so are ours. */
static void a_clock_that_is_right_is_never_suspected(void **state)
{
    (void)state;
    begin();
    for (int round = 0; round < 4; round++) {
        struct process *stopped = round % 2 ? &run.program.process : &run.target.process;
        for (int i = 0; i < 500; i++)
            source("SET key:%d %d PXAT %lld", i, round, (long long)clock_unix_ms() + RENEWED_MS);
        process_signal(stopped, SIGSTOP);
        wait_beyond(clock_unix_ms() + STOPPED_MS);
        process_signal(stopped, SIGCONT);
        assert_true(run_wait_in_step(&run));
    }
    assert_comes_out_equal();
    assert_false(df2redis_said(&run.program, "the clock of"));
    assert_false(df2redis_said(&run.program, "by which keys expire"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* It reads TIME as any user of a run; the wrong clock is the same for the whole run. */
static void a_clock_that_is_wrong_throughout_is_no_change(void **state)
{
    (void)state;
    prepare();
    give_target_a_clock();
    server_clock_set(clock_of_target, SET_BY_MS);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    wait_beyond(clock_unix_ms() + 2 * STOPPED_MS);
    assert_true(run_wait_in_step(&run));
    assert_false(df2redis_said(&run.program, "the clock of"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The target is restarted with another clock: a machine that was resumed. */
static void set_while_the_target_was_away_it_is_noticed(void **state)
{
    (void)state;
    begin();
    write_mortal();
    server_clock_set(clock_of_target, SET_BY_MS);
    server_tell(run.target.port, "CLIENT KILL TYPE normal");
    wait_said_of_target("the clock of target", "was set forward by ");
    server_clock_set(clock_of_target, 0);
    assert_comes_out_equal();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void set_between_two_sessions_all_keys_are_compared_in_the_next(void **state)
{
    (void)state;
    begin();
    write_mortal();
    scripted_listen(run.source, false);
    scripted_cut_all(run.source);
    wait_said("the session with the source is over");
    server_clock_set(clock_of_target, SET_BY_MS);
    wait_said_of_target("the clock of target", "was set forward by ");
    server_clock_set(clock_of_target, 0);
    wait_said_of_target("the clock of target", "was set back by ");
    assert_false(df2redis_said(&run.program, "all keys are compared with the source's"));
    assert_int_equal(of_target("EXISTS counter text unwritten for-ever"), 1);
    scripted_listen(run.source, true);
    wait_said("all keys are compared with the source's");
    assert_comes_out_equal();
    assert_int_equal(of_target("EXISTS counter text unwritten for-ever"), 4);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Nothing can be repaired where keys may be foreign. */
static void where_no_key_is_compared_it_counts_as_a_divergence(void **state)
{
    (void)state;
    const char *const skip_keys[] = {"--on-conflict", "skip", NULL};
    prepare();
    give_target_a_clock();
    run_replicate(&run, skip_keys);
    assert_true(run_wait_in_step(&run));
    server_clock_set(clock_of_target, -SET_BY_MS);
    wait_said_of_target("the clock of target", "was set back by ");
    assert_true(run_wait_in_step(&run));
    assert_true(df2redis_status_number(&run.program, "divergences.expired_on_target") == 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* Of one of three masters. */
static void a_clock_of_a_cluster_is_noticed_with_its_master(void **state)
{
    (void)state;
    enum { BY_MS = 5000, PATIENCE_MS = 60000 };
    struct redis_cluster_options o;
    redis_cluster_options_init(&o);
    o.node_timeout_ms = PATIENCE_MS;
    redis_cluster_start_with(&cluster, &o);
    in_cluster = true;
    const struct server *server = &cluster.members[1].server;
    clock_of_target = server_clock_open(server);
    redis_cluster_kill(&cluster, 1);
    server_clock_load(server);
    redis_cluster_revive(&cluster, 1);
    server_clock_unload();
    assert_true(redis_cluster_wait_ok(&cluster));
    char *said = format_text("the clock of target 127.0.0.1:%u was set forward by ", server->port);
    prepare();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    write_mortal();
    server_clock_set(clock_of_target, BY_MS);
    wait_said(said);
    free(said);
    assert_waits_for_the_clock();
    server_clock_set(clock_of_target, 0);
    wait_said("was set back by ");
    assert_comes_out_equal();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- import mode ---- */

static void replicate_through_proxy(void)
{
    df2redis_start(&run.program, "replicate", scripted_uri(run.source), proxy_uri(proxy), NULL);
    assert_true(run_wait_in_step(&run));
}

static int64_t write_short_lived(void)
{
    uint64_t begun_ms = clock_monotonic_ms();
    source("INCRBY counter 5");
    source("RPUSH list a b");
    assert_true(run_wait_in_step(&run));
    int64_t at_ms = clock_unix_ms() + SHORT_MS + 4 * (int64_t)(clock_monotonic_ms() - begun_ms);
    source("PEXPIREAT counter %lld", (long long)at_ms);
    source("PEXPIREAT list %lld", (long long)at_ms);
    source("INCR last");
    assert_true(run_wait_in_step(&run));
    return at_ms;
}

/* A Redis behind a proxy that answers as one in import mode does; its keys expire. */
static void in_import_mode_no_key_is_suspected_and_once_it_ends_all_are_known(void **state)
{
    (void)state;
    prepare();
    proxy = proxy_start(run.target.port);
    proxy_replace(proxy, IMPORT_SOURCE, ANSWERED_OK);
    replicate_through_proxy();
    wait_said("the target is in import mode");
    assert_false(df2redis_said(&run.program, "not in import mode"));
    int64_t at_ms = write_short_lived();
    proxy_as_it_is(proxy);
    wait_said("is not in import mode any more");
    wait_said("its import mode has changed: connecting anew");
    assert_true(run_wait_in_step(&run));
    process_signal(&run.target.process, SIGSTOP);
    assert_true(clock_unix_ms() < at_ms);
    source("INCR counter");
    source("PEXPIREAT counter %lld", (long long)at_ms + RENEWED_MS);
    source("RPUSH list c");
    source("PEXPIREAT list %lld", (long long)at_ms + RENEWED_MS);
    wait_beyond(at_ms + 500);
    process_signal(&run.target.process, SIGCONT);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") >= 2);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void import_mode_that_begins_later_is_used_and_its_end_is_noticed(void **state)
{
    (void)state;
    prepare();
    proxy = proxy_start(run.target.port);
    proxy_replace(proxy, "redis_git_sha1:00000000", "valkey_version:8.1.1000");
    proxy_replace(proxy, GET_IMPORT_MODE, GET_STAND_IN);
    replicate_through_proxy();
    wait_beyond(clock_unix_ms() + STOPPED_MS);
    assert_false(df2redis_said(&run.program, "import mode"));
    proxy_replace(proxy, IMPORT_SOURCE, ANSWERED_OK);
    server_tell(run.target.port, "CONFIG SET appendonly yes");
    wait_said("is in import mode now");
    wait_said("the target is in import mode: it expires no keys");
    assert_true(run_wait_in_step(&run));
    proxy_as_it_is(proxy);
    wait_said("is not in import mode any more");
    assert_comes_out_equal();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void on_a_valkey_the_end_of_import_mode_is_noticed(void **state)
{
    (void)state;
    prepare();
    redisContext *c = server_connect(run.target.port);
    redisReply *r = server_command(c, "CONFIG SET import-mode yes");
    bool taken = r->type == REDIS_REPLY_STATUS;
    freeReplyObject(r);
    if (!taken) {
        redisFree(c);
        print_message("the target is no Valkey 8.1 or newer (DF2REDIS_TEST_REDIS): skipped\n");
        skip();
    }
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    server_ok(c, "CONFIG SET import-mode no");
    wait_said_of_target("target", "is not in import mode any more");
    server_ok(c, "CONFIG SET import-mode yes");
    wait_said_of_target("target", "is in import mode now");
    assert_true(run_wait_in_step(&run));
    redisFree(c);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- a real source ---- */

static void of_a_real_source_what_expired_is_healed(void **state)
{
    (void)state;
    if (!run_begin_live(&run, 2, NULL))
        skip();
    give_target_a_clock();
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    redisContext *c = server_connect(run.dragonfly.port);
    for (int i = 0; i < 200; i++)
        freeReplyObject(server_commandf(c, "SET key:%d %d PX %d", i, i, LIVES_MS));
    assert_true(run_wait_applied(&run));
    server_clock_set(clock_of_target, SET_BY_MS);
    wait_said_of_target("the clock of target", "was set forward by ");
    freeReplyObject(server_commandf(c, "APPEND key:7 x"));
    freeReplyObject(server_commandf(c, "INCR key:8"));
    server_clock_set(clock_of_target, 0);
    wait_said_of_target("the clock of target", "was set back by ");
    assert_true(run_wait_applied(&run));
    redisFree(c);
    struct state_rules rules = {0};
    uint64_t keys;
    assert_true(run_equals_dragonfly(&run, &rules, &keys));
    assert_int_equal(keys, 200);
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(set_forward_its_keys_expire_and_are_healed_once_it_is_right, teardown),
        cmocka_unit_test_teardown(what_is_written_behind_the_new_time_is_suspected_and_healed, teardown),
        cmocka_unit_test_teardown(set_back_it_is_told_and_new_times_are_the_sources, teardown),
        cmocka_unit_test_teardown(a_clock_that_is_right_is_never_suspected, teardown),
        cmocka_unit_test_teardown(a_clock_that_is_wrong_throughout_is_no_change, teardown),
        cmocka_unit_test_teardown(set_while_the_target_was_away_it_is_noticed, teardown),
        cmocka_unit_test_teardown(set_between_two_sessions_all_keys_are_compared_in_the_next, teardown),
        cmocka_unit_test_teardown(where_no_key_is_compared_it_counts_as_a_divergence, teardown),
        cmocka_unit_test_teardown(a_clock_of_a_cluster_is_noticed_with_its_master, teardown),
        cmocka_unit_test_teardown(in_import_mode_no_key_is_suspected_and_once_it_ends_all_are_known,
                                  teardown),
        cmocka_unit_test_teardown(import_mode_that_begins_later_is_used_and_its_end_is_noticed, teardown),
        cmocka_unit_test_teardown(on_a_valkey_the_end_of_import_mode_is_noticed, teardown),
        cmocka_unit_test_teardown(of_a_real_source_what_expired_is_healed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
