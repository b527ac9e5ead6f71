/* The link to the source breaks while the target is in trouble, too: what was received is kept until the
 * target takes it, and the rest of the journal is asked for then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>

#include "tests/support/target_trouble.h"

static const char *const appendonly[] = {"--appendonly", "yes", NULL};
/* The limit is that of a session's start, too: a loaded machine needs more than a second for that. */
static const char *const quickly[] = {"--stuck-warning", "700ms", "--barrier-timeout", "5s", NULL};
enum { LONGER_THAN_THAT = 9 }; /* warnings, 750 ms apart; the log limits a kind to 10 a minute */

static bool all_received(void *arg)
{
    (void)arg;
    bool all = scripted_all_sent(crash.run.source);
    for (uint32_t f = 0; all && f < FLOWS; f++)
        all = worker_received(&crash.run.program, f) >= scripted_sent(crash.run.source, f);
    return all;
}

static void write_what_stays_in_the_spool(void)
{
    journal_script_append(&crash.script, crash.run.source, 3000);
    assert_true(wait_until(all_received, NULL, RUN_DEADLINE_MS));
    scripted_cut_all(crash.run.source);
}

/* How often it said so. */
struct said {
    const char *text;
    unsigned times;
};

static bool was_said_often(void *arg)
{
    const struct said *said = arg;
    unsigned n = 0;
    char *output = process_output(&crash.run.program.process);
    for (const char *at = output; (at = strstr(at, said->text)); at++)
        n++;
    free(output);
    return n >= said->times || !process_running(&crash.run.program.process);
}

static void begin_with_appendonly(void)
{
    crash_begin(&crash, FLOWS, &small);
    redis_restart(&crash.run.target, appendonly);
    run_replicate(&crash.run, quickly);
    assert_true(run_wait_in_step(&crash.run));
}

/* Longer than a target that is there would be waited for. */
static void target_that_is_away_is_waited_for(void **state)
{
    (void)state;
    begin_with_appendonly();
    process_signal(&crash.run.target.process, SIGKILL);
    write_what_stays_in_the_spool();
    struct said away = {"the target is away or refuses; the source is asked for the rest after it",
                        LONGER_THAN_THAT};
    assert_true(wait_until(was_said_often, &away, RUN_DEADLINE_MS));
    assert_int_equal(scripted_count(crash.run.source, NULL, "REPLCONF capa dragonfly"), 1);
    redis_restart(&crash.run.target, appendonly);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_last_sync(&crash, "partial", "still has the journal"));
    assert_ends_equal(1);
}

static void target_that_refuses_is_waited_for(void **state)
{
    (void)state;
    begin_with_appendonly();
    tell("CONFIG SET maxmemory 1");
    write_what_stays_in_the_spool();
    struct said away = {"the target is away or refuses; the source is asked for the rest after it",
                        LONGER_THAN_THAT};
    assert_true(wait_until(was_said_often, &away, RUN_DEADLINE_MS));
    tell("CONFIG SET maxmemory 0");
    assert_ends_equal(1);
}

static void target_that_takes_nothing_is_given_up(void **state)
{
    (void)state;
    begin_with_appendonly();
    process_signal(&crash.run.target.process, SIGSTOP);
    write_what_stays_in_the_spool();
    assert_true(df2redis_wait_said(&crash.run.program, "what was received is given up (--barrier-timeout)",
                                   RUN_DEADLINE_MS));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 2));
    assert_ends_equal(2);
}

/* Half a minute of waiting: only where DF2REDIS_TEST_LONG is set. */
static void run_stopped_while_the_target_is_away_keeps_the_rest(void **state)
{
    (void)state;
    const char *wanted = getenv("DF2REDIS_TEST_LONG");
    if (!wanted || !*wanted || *wanted == '0')
        skip();
    begin_with_appendonly();
    process_signal(&crash.run.target.process, SIGKILL);
    journal_script_append(&crash.script, crash.run.source, 3000);
    assert_true(wait_until(all_received, NULL, RUN_DEADLINE_MS));
    process_signal(&crash.run.program.process, SIGTERM);
    assert_int_equal(process_wait(&crash.run.program.process, 2 * RUN_DEADLINE_MS), EX_TEMPFAIL);
    assert_true(df2redis_said(&crash.run.program, "received but not applied"));
    redis_restart(&crash.run.target, appendonly);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_last_sync(&crash, "partial", "still has the journal"));
    assert_ends_equal(1);
}

/* The supervisor meets both at once: a successor applies what the spool holds, and nothing of it is given up. */
static void a_worker_that_dies_with_the_link_has_a_successor(void **state)
{
    (void)state;
    begin(NULL);
    process_signal(&crash.run.target.process, SIGSTOP);
    journal_script_append(&crash.script, crash.run.source, 3000);
    assert_true(wait_until(all_received, NULL, RUN_DEADLINE_MS));
    process_signal(&crash.run.program.process, SIGSTOP);
    assert_int_equal(kill(worker_pid(&crash.run.program, 0), SIGKILL), 0);
    scripted_cut_all(crash.run.source);
    process_signal(&crash.run.program.process, SIGCONT);
    process_signal(&crash.run.target.process, SIGCONT);
    assert_true(
        df2redis_wait_said(&crash.run.program, "FLOW 0: its worker was killed by signal 9", RUN_DEADLINE_MS));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_false(df2redis_said(&crash.run.program, "is given up"));
    assert_ends_equal(1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(target_that_is_away_is_waited_for, teardown),
        cmocka_unit_test_teardown(target_that_refuses_is_waited_for, teardown),
        cmocka_unit_test_teardown(run_stopped_while_the_target_is_away_keeps_the_rest, teardown),
        cmocka_unit_test_teardown(target_that_takes_nothing_is_given_up, teardown),
        cmocka_unit_test_teardown(a_worker_that_dies_with_the_link_has_a_successor, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
