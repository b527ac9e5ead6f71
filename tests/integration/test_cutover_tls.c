/* Cut-overs with TLS to both sides: the orders go over TLS, the workers acknowledge for themselves, and the death of one
 * ends the session. */
#include "tests/unit/common/net/tls_testing.h"

#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/crash.h"
#include "tests/support/cutover_order.h"
#include "tests/support/followers.h"
#include "tests/support/testing.h"
#include "tests/support/tls_proxy.h"

enum { FLOWS = 2, SHARDS = 2, CLIENTS = 4, SOME = 100 };

static struct crash crash;
static struct run live;
static struct tls_proxy *source, *target;
static struct certificate certificate;
static struct followers *clients;
static char *dir;
static const struct journal_snapshot small = {.strings = 60, .journal = 50};

static int setup(void **state)
{
    (void)state;
    dir = temp_dir_make("cutover-tls");
    certificate = make_certificate(dir, "both", "DNS:localhost,IP:127.0.0.1", 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    followers_free(clients);
    clients = NULL;
    process_stop(&order);
    df2redis_end(&crash.run.program);
    df2redis_end(&live.program);
    tls_proxy_stop(source);
    tls_proxy_stop(target);
    source = target = NULL;
    if (crash.run.source)
        crash_end(&crash);
    crash.run.source = NULL;
    run_end(&live);
    remove_certificate(&certificate);
    temp_dir_remove(dir);
    return 0;
}

static void start(struct run *run, uint16_t source_port)
{
    const char *const extra[] = {"--tls-ca", certificate.cert_file, NULL};
    source = tls_proxy_start(source_port, certificate.cert_file, certificate.key_file);
    target = tls_proxy_start(run->target.port, certificate.cert_file, certificate.key_file);
    df2redis_start(&run->program, "replicate", tls_proxy_uri(source), tls_proxy_uri(target), extra);
}

static void begin(void)
{
    crash_begin(&crash, FLOWS, &small);
    start(&crash.run, scripted_port(crash.run.source));
    assert_true(run_wait_in_step(&crash.run));
}

static void order_cutover(struct run *run, const char *then, const char *command)
{
    const char *argv[] = {df2redis_binary(), "cutover", "--state-dir", run->program.dir, "--max-pause", "60s",
                          "--then",          then,      "--exec",      command,          NULL};
    char *log = format_text("%s/cutover-output", run->program.dir);
    assert_true(process_start(&order, log, argv));
    free(log);
}

static void all_is_applied_when_the_run_ends(void **state)
{
    (void)state;
    begin();
    order_cutover(&crash.run, "stop", "true");
    assert_order_ends(&crash.run.program, EX_OK, "writes were paused for");
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_int_equal(scripted_count(crash.run.source, NULL, "CLIENT PAUSE 60000 WRITE"), 1);
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_true(crash_target_equal(&crash));
}

static void a_command_that_fails_is_undone(void **state)
{
    (void)state;
    begin();
    order_cutover(&crash.run, "stop", "exit 3");
    assert_order_ends(&crash.run.program, EX_TEMPFAIL, "exit code 3");
    assert_int_equal(scripted_count(crash.run.source, NULL, "CLIENT UNPAUSE"), 1);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(crash_came_out_equal(&crash));
}

/* The worker's connection ends with it, and with the connection the session. */
static void a_worker_that_dies_meanwhile_loses_nothing(void **state)
{
    (void)state;
    begin();
    pid_t worker = worker_pid(&crash.run.program, 0);
    char *command = format_text("kill -9 %d; sleep 1; exit 1", (int)worker);
    order_cutover(&crash.run, "stop", command);
    free(command);
    assert_order_ends(&crash.run.program, EX_TEMPFAIL, "undone");
    assert_true(scripted_wait(crash.run.source, NULL, "CLIENT UNPAUSE", 1, RUN_DEADLINE_MS));
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(crash_resumed_equal(&crash, 2));
}

static void reverse_is_refused_with_tls_to_the_target(void **state)
{
    (void)state;
    begin();
    order_cutover(&crash.run, "reverse", "true");
    assert_order_ends(&crash.run.program, EX_CONFIG, "with TLS (rediss:)");
    assert_int_equal(scripted_count(crash.run.source, NULL, "CLIENT PAUSE 60000 WRITE"), 0);
    assert_true(crash_came_out_equal(&crash));
}

static uint16_t port_of_target(const char *key)
{
    (void)key;
    return live.target.port;
}

static bool some_are_written(void *by_target)
{
    return followers_acknowledged(clients, *(bool *)by_target) >= SOME;
}

static void takeover_of_a_real_dragonfly_loses_nothing(void **state)
{
    bool by_source = false, by_target = true;
    (void)state;
    if (!run_begin_live(&live, SHARDS, NULL))
        skip();
    char *flip = format_text("%s/switched", live.program.dir), *command = format_text("touch '%s'", flip);
    clients = followers_start(CLIENTS, flip, live.dragonfly.port, port_of_target);
    assert_true(wait_until(some_are_written, &by_source, RUN_DEADLINE_MS));
    start(&live, live.dragonfly.port);
    assert_true(df2redis_wait_in_step(&live.program, RUN_DEADLINE_MS));
    order_cutover(&live, "takeover", command);
    free(command);
    free(flip);
    assert_order_ends(&live.program, EX_OK, "writes were paused for");
    assert_int_equal(process_wait(&live.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_true(process_wait(&live.dragonfly.process, RUN_DEADLINE_MS) >= 0);
    assert_true(wait_until(some_are_written, &by_target, RUN_DEADLINE_MS));
    followers_stop(clients);
    assert_true(followers_lost_nothing(clients, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_is_applied_when_the_run_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_that_fails_is_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_dies_meanwhile_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(reverse_is_refused_with_tls_to_the_target, setup, teardown),
        cmocka_unit_test_setup_teardown(takeover_of_a_real_dragonfly_loses_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
