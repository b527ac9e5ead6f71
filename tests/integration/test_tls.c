/* TLS on both sides: the workers open their FLOWs themselves, acknowledge themselves, and the death of one
 * ends the session, which begins anew. */
#include "tests/unit/tls_testing.h"

#include <sysexits.h>

#include "tests/support/recorded_losses.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/tls_proxy.h"

static const char recording_dir[] = "tests/recordings/lz4-4flows";

static struct run run;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(recording_over_tls_ends_in_the_recorded_state),
        TLS_TEST(worker_that_dies_ends_the_session_and_it_begins_anew),
        TLS_TEST(certificate_that_is_not_trusted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
