/* Times to live of what a target gets late: they count from arrival, and nothing is lost by them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "tests/support/crash.h"
#include "tests/support/scripted_words.h"
#include "tests/support/testing.h"

static struct crash crash;
static redisContext *target;

static int teardown(void **state)
{
    (void)state;
    if (target)
        redisFree(target);
    target = NULL;
    crash_end(&crash);
    return 0;
}

static void begin(void)
{
    static const struct journal_snapshot none = {.strings = 1};
    assert_true(crash_start(&crash, 1, &none, NULL));
    target = server_connect(crash.run.target.port);
}

/* One command of the source's journal. */
static void source_writes(const char *format, ...)
{
    char words[256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    scripted_write(crash.run.source, 0, 0, 0, words);
}

static int64_t number_of(const char *command)
{
    redisReply *r = server_command(target, command);
    int64_t n = r->type == REDIS_REPLY_INTEGER ? r->integer : INT64_MIN;
    freeReplyObject(r);
    return n;
}

static void assert_text(const char *command, const char *expected)
{
    redisReply *r = server_command(target, command);
    assert_non_null(r->str);
    assert_string_equal(r->str, expected);
    freeReplyObject(r);
}

static bool has_passed(void *at_ms)
{
    return clock_unix_ms() > *(int64_t *)at_ms;
}

static void wait_beyond(int64_t at_ms)
{
    assert_true(wait_until(has_passed, &at_ms, RUN_DEADLINE_MS));
}

enum { LAG_MS = 2000 };

/* What was written has come to the worker; then time passes before the target has it. Returns when it had come. */
static int64_t wait_received_and_late(void)
{
    assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
    int64_t received = clock_unix_ms();
    wait_beyond(received + LAG_MS);
    return received;
}

static void a_time_that_was_over_when_it_came_deletes(void **state)
{
    (void)state;
    begin();
    source_writes("SET k 1");
    source_writes("PEXPIREAT k %lld", (long long)clock_unix_ms() - 60000);
    source_writes("APPEND k 2");
    assert_true(run_wait_in_step(&crash.run));
    assert_text("GET k", "2");
    assert_int_equal(number_of("PTTL k"), -1);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void relative_times_count_from_arrival(void **state)
{
    (void)state;
    begin();
    source_writes("SET k 1");
    assert_true(run_wait_in_step(&crash.run));
    process_signal(&crash.run.target.process, SIGSTOP);
    int64_t came = clock_unix_ms();
    source_writes("EXPIRE k 100");
    int64_t received = wait_received_and_late();
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(run_wait_in_step(&crash.run));
    assert_in_range(number_of("PEXPIRETIME k"), came + 100000, received + 100000);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void relative_times_count_from_arrival_for_a_successor_too(void **state)
{
    (void)state;
    begin();
    source_writes("SET k 1");
    assert_true(run_wait_in_step(&crash.run));
    process_signal(&crash.run.target.process, SIGSTOP);
    int64_t came = clock_unix_ms();
    source_writes("EXPIRE k 100");
    int64_t received = wait_received_and_late();
    kill(worker_pid(&crash.run.program, 0), SIGKILL);
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(run_wait_in_step(&crash.run));
    assert_in_range(number_of("PEXPIRETIME k"), came + 100000, received + 100000);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static bool is_gone(void *key)
{
    char command[64];
    snprintf(command, sizeof command, "EXISTS %s", (const char *)key);
    return number_of(command) == 0;
}

/* Passed by the time it can be told, it is put off, so that what renews it is not too late; but not for ever.
 */
static void a_time_that_was_put_off_is_told_as_it_is_once_in_step(void **state)
{
    (void)state;
    begin();
    source_writes("SET renewed 1");
    source_writes("SET over 1");
    assert_true(run_wait_in_step(&crash.run));
    pid_t worker = worker_pid(&crash.run.program, 0);
    kill(worker, SIGSTOP);
    int64_t now = clock_unix_ms();
    source_writes("PEXPIREAT renewed %lld", (long long)now + 1000);
    source_writes("PEXPIREAT over %lld", (long long)now + 1000);
    source_writes("PEXPIREAT renewed %lld", (long long)now + 600000);
    wait_beyond(now + 2000);
    kill(worker, SIGCONT);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(wait_until(is_gone, "over", RUN_DEADLINE_MS)); /* no DEL has come */
    assert_int_equal(number_of("PEXPIRETIME renewed"), now + 600000);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_time_that_was_over_when_it_came_deletes, teardown),
        cmocka_unit_test_teardown(relative_times_count_from_arrival, teardown),
        cmocka_unit_test_teardown(relative_times_count_from_arrival_for_a_successor_too, teardown),
        cmocka_unit_test_teardown(a_time_that_was_put_off_is_told_as_it_is_once_in_step, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
