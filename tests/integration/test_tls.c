/* TLS on both sides: the workers open their FLOWs themselves, acknowledge themselves, and the death of one
 * ends the session; the next goes on with the rest of the journal. */
#include "tests/unit/common/net/tls_testing.h"

#include <errno.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/proxy.h"
#include "tests/support/recorded_losses.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/tls_proxy.h"

enum { FLOWS = 3, SLOW_MS = 200 };

static const char recording_dir[] = "tests/recordings/lz4-4flows";

static struct run run;
static struct crash crash;
static struct tls_proxy *source, *target;
static struct certificate certificate;
static char *dir;

static int setup(void **state)
{
    (void)state;
    struct scripted_options options;
    dir = temp_dir_make("tls");
    certificate = make_certificate(dir, "both", "DNS:localhost,IP:127.0.0.1", 2);
    scripted_options_init(&options);
    scripted_options_recording(&options, recording_dir);
    run_begin(&run, &options);
    source = tls_proxy_start(scripted_port(run.source), certificate.cert_file, certificate.key_file);
    target = tls_proxy_start(run.target.port, certificate.cert_file, certificate.key_file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    df2redis_end(&run.program);
    tls_proxy_stop(source);
    tls_proxy_stop(target);
    run_end(&run);
    remove_certificate(&certificate);
    temp_dir_remove(dir);
    return 0;
}

static void start(const char *ca_file)
{
    const char *const extra[] = {"--tls-ca", ca_file, NULL};
    df2redis_start(&run.program, "replicate", tls_proxy_uri(source), tls_proxy_uri(target), extra);
}

static void assert_equals_recording(void)
{
    struct recording recording;
    recording_load(&recording, recording_dir);
    struct state_exception *losses;
    struct state_rules rules = {.exception_count = recorded_losses(&recording, &losses)};
    rules.exceptions = losses;
    bool equal = run_equals_recording(&run, recording_dir, &rules, NULL);
    free(losses);
    recording_free(&recording);
    assert_true(equal);
}

/* Nothing of the journal before it is here: what follows would be applied to nothing. */
static void partial_that_was_not_asked_for_ends_the_run(void **state)
{
    (void)state;
    struct scripted_options options;
    scripted_stop(run.source);
    tls_proxy_stop(source);
    scripted_options_init(&options);
    scripted_options_recording(&options, recording_dir);
    for (size_t f = 0; f < options.sessions[0].flow_count; f++)
        options.sessions[0].flows[f].reply = REPLY_PARTIAL;
    run.source = scripted_start(&options);
    source = tls_proxy_start(scripted_port(run.source), certificate.cert_file, certificate.key_file);
    start(certificate.cert_file);
    assert_true(df2redis_wait_said(&run.program, "PARTIAL, but a full sync was requested", RUN_DEADLINE_MS));
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_PROTOCOL);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE"), 0);
}

static bool target_has(const char *key)
{
    redisContext *c = server_connect(run.target.port);
    redisReply *reply = redisCommand(c, "EXISTS %s", key);
    bool has = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    freeReplyObject(reply);
    redisFree(c);
    return has;
}

/* The workers are there before the target is emptied. While the run waits for the end of one, it does nothing more with
 * the target. */
static void run_that_is_stopped_before_its_flush_does_not_flush(void **state)
{
    (void)state;
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SET kept 1");
    redisFree(c);
    struct proxy *slow = proxy_start(run.target.port);
    proxy_slow(slow, SLOW_MS, 0);
    const char *const extra[] = {"--tls-ca", certificate.cert_file, "--flush-target", NULL};
    df2redis_start(&run.program, "replicate", tls_proxy_uri(source), proxy_uri(slow), extra);
    bool preparing = df2redis_wait_said(&run.program, "full sync: first start", RUN_DEADLINE_MS);
    pid_t worker = worker_pid(&run.program, 0);
    bool stopped = worker > 0 && kill(worker, SIGSTOP) == 0;
    kill(run.program.process.pid, SIGTERM);
    int status = process_wait(&run.program.process, RUN_DEADLINE_MS);
    bool kept = target_has("kept"), begun = df2redis_said(&run.program, "flushing it");
    proxy_stop(slow);
    assert_true(preparing && stopped);
    assert_int_equal(status, EX_TEMPFAIL);
    assert_false(begun);
    assert_true(kept);
}

static void recording_over_tls_ends_in_the_recorded_state(void **state)
{
    (void)state;
    start(certificate.cert_file);
    assert_true(run_wait_in_step(&run)); /* every FLOW acknowledged to its end */
    assert_equals_recording();
    int status = run_terminate(&run);
    assert_true(status == EX_OK || status == EX_DATAERR);
    assert_string_equal(scripted_violation(run.source), "");
    assert_true(tls_proxy_connections(source) >= 5); /* control and four FLOWs */
}

static void worker_that_dies_ends_the_session_and_it_begins_anew(void **state)
{
    (void)state;
    start(certificate.cert_file);
    assert_true(run_wait_in_step(&run));
    pid_t worker = (pid_t)df2redis_status_number(&run.program, "flows.1.pid");
    assert_true(worker > 0);
    kill(worker, SIGKILL);
    assert_true(run_wait_source(&run, NULL, "REPLCONF capa dragonfly", 2));
    assert_true(run_wait_in_step(&run));
    assert_equals_recording();
    assert_string_equal(scripted_violation(run.source), "");
}

/* ---- deaths while writes that must not run twice come ---- */

static const struct journal_snapshot some = {
    .strings = 100, .collections = 1, .elements = 200, .commands = 50, .journal = 300};

static int setup_crash(void **state)
{
    (void)state;
    dir = temp_dir_make("tls");
    certificate = make_certificate(dir, "both", "DNS:localhost,IP:127.0.0.1", 2);
    crash_begin(&crash, FLOWS, &some);
    source = tls_proxy_start(scripted_port(crash.run.source), certificate.cert_file, certificate.key_file);
    return 0;
}

static int teardown_crash(void **state)
{
    (void)state;
    df2redis_end(&crash.run.program);
    tls_proxy_stop(source);
    crash_end(&crash);
    remove_certificate(&certificate);
    temp_dir_remove(dir);
    return 0;
}

static void start_crash(void)
{
    const char *const extra[] = {"--tls-ca", certificate.cert_file, NULL};
    df2redis_start(&crash.run.program, "replicate", tls_proxy_uri(source), crash.run.target.uri, extra);
}

/* Where another one died just before, it may have ended with the session. */
static void kill_flow(uint32_t flow)
{
    pid_t pid = worker_pid(&crash.run.program, flow);
    assert_true(pid > 0);
    assert_true(kill(pid, SIGKILL) == 0 || errno == ESRCH);
}

static void assert_comes_out_equal(size_t full_syncs)
{
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), full_syncs);
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void killed_workers_cost_no_full_sync(void **state)
{
    (void)state;
    start_crash();
    assert_true(run_wait_in_step(&crash.run));
    for (unsigned round = 1; round <= 8; round++) {
        journal_script_append(&crash.script, crash.run.source, 400);
        kill_flow(round % FLOWS);
        if (round % 4 == 0)
            kill_flow((round + 1) % FLOWS);
        journal_script_append(&crash.script, crash.run.source, 100);
        assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", round + 1));
        assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
    }
    assert_true(crash_last_sync(&crash, "partial", "still has the journal"));
    assert_comes_out_equal(1);
}

/* The workers themselves ask, in the second form, and compare. */
static void promoted_replica_goes_on_over_tls(void **state)
{
    (void)state;
    start_crash();
    assert_true(run_wait_in_step(&crash.run));
    scripted_promote(crash.run.source, "cccccccccccccccccccccccccccccccccccccccc", 0);
    scripted_cut_all(crash.run.source);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(crash_came_out_equal(&crash));
    assert_true(crash_last_sync(&crash, "partial", "was promoted from a replica"));
    assert_comes_out_equal(1);
}

static void master_that_becomes_a_replica_ends_the_session_over_tls(void **state)
{
    (void)state;
    start_crash();
    assert_true(run_wait_in_step(&crash.run));
    uint64_t keys = run_target_keys(&crash.run);
    struct buf flush = {0};
    write_journal(&flush, 0, 4711, "FLUSHALL");
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    for (size_t f = 0; f < FLOWS; f++)
        scripted_append(crash.run.source, f, buf_slice(&flush));
    buf_free(&flush);
    assert_true(df2redis_wait_said(&crash.run.program, "is itself a replica", RUN_DEADLINE_MS));
    assert_int_equal(run_target_keys(&crash.run), keys);
    assert_int_equal(run_terminate(&crash.run), EX_TEMPFAIL);
}

/* What the dead worker had received is applied by a successor that has no connection, even when that is
 * killed. */
static void spool_of_a_killed_worker_is_applied_first(void **state)
{
    (void)state;
    start_crash();
    assert_true(run_wait_in_step(&crash.run));
    process_signal(&crash.run.target.process, SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 3000);
    assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
    uint64_t end = scripted_end_lsn(crash.run.source, 1);
    for (int i = 0; i < 4; i++)
        assert_true(kill_worker(&crash.kills, &crash.run.program, 1));
    assert_true(df2redis_wait_said(&crash.run.program, "applying what was received", RUN_DEADLINE_MS));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    /* From the last command on, which is compared; a PING may have come after it. */
    size_t count = 0;
    for (uint64_t before_end = 1; before_end <= 2; before_end++) {
        char *asked = format_text("DFLY FLOW 00000000000000000000000000000000d0a60f17 SYNC2 1 %llu",
                                  (unsigned long long)(end - before_end));
        count += scripted_count(crash.run.source, NULL, asked);
        free(asked);
    }
    assert_int_equal(count, 1);
    assert_comes_out_equal(1);
}

static void worker_killed_while_draining_is_succeeded(void **state)
{
    (void)state;
    start_crash();
    assert_true(run_wait_in_step(&crash.run));
    process_signal(&crash.run.target.process, SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 1000);
    assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
    process_signal(&crash.run.program.process, SIGTERM);
    assert_true(df2redis_wait_said(&crash.run.program, "draining", RUN_DEADLINE_MS));
    assert_true(kill_worker(&crash.kills, &crash.run.program, 1));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_OK);
    start_crash();
    assert_comes_out_equal(1);
}

static void killed_run_goes_on_without_a_full_sync(void **state)
{
    (void)state;
    start_crash();
    assert_true(run_wait_in_step(&crash.run));
    for (size_t round = 1; round <= 4; round++) {
        journal_script_append(&crash.script, crash.run.source, 500);
        assert_true(crash_kill(&crash, round % 2));
        start_crash();
        assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", round + 1));
        assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
        assert_true(crash_last_sync(&crash, "partial", "still has the journal"));
    }
    assert_comes_out_equal(1);
}

static void worker_killed_in_the_full_sync_begins_it_anew(void **state)
{
    (void)state;
    scripted_hold(crash.run.source, 1, 2000);
    start_crash();
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 1));
    kill_flow(1);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 2));
    scripted_hold(crash.run.source, 1, NEVER);
    assert_comes_out_equal(2);
}

static void certificate_that_is_not_trusted_is_refused(void **state)
{
    (void)state;
    struct certificate other = make_certificate(dir, "other", "DNS:localhost", 2);
    start(other.cert_file);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_CONFIG);
    assert_true(df2redis_said(&run.program, "certificate"));
    assert_int_equal(scripted_count(run.source, NULL, "REPLCONF"), 0);
    remove_certificate(&other);
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define CRASH_TEST(f) cmocka_unit_test_setup_teardown(f, setup_crash, teardown_crash)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TLS_TEST(recording_over_tls_ends_in_the_recorded_state),
        TLS_TEST(partial_that_was_not_asked_for_ends_the_run),
        TLS_TEST(run_that_is_stopped_before_its_flush_does_not_flush),
        TLS_TEST(worker_that_dies_ends_the_session_and_it_begins_anew),
        CRASH_TEST(killed_workers_cost_no_full_sync),
        CRASH_TEST(promoted_replica_goes_on_over_tls),
        CRASH_TEST(master_that_becomes_a_replica_ends_the_session_over_tls),
        CRASH_TEST(spool_of_a_killed_worker_is_applied_first),
        CRASH_TEST(worker_killed_while_draining_is_succeeded),
        CRASH_TEST(killed_run_goes_on_without_a_full_sync),
        CRASH_TEST(worker_killed_in_the_full_sync_begins_it_anew),
        TLS_TEST(certificate_that_is_not_trusted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
