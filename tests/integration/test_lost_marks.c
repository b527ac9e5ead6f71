/* A target that somebody empties while the run is connected: the mark tells, and nothing goes on as if its keys
 * were there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/target_trouble.h"

static bool has_new_session(void *arg)
{
    (void)arg;
    return crash_full_syncs(&crash) >= 2 || !process_running(&crash.run.program.process);
}

static void a_flush_by_somebody_is_noticed(void **state)
{
    (void)state;
    begin(NULL);
    tell("FLUSHALL");
    for (int i = 0; i < 200 && !has_new_session(NULL); i++)
        write_for(20);
    assert_true(df2redis_said(&crash.run.program, "has emptied it (FLUSHALL, FLUSHDB)"));
    assert_true(wait_until(has_new_session, NULL, RUN_DEADLINE_MS));
    assert_true(process_running(&crash.run.program.process));
    assert_ends_equal(0);
}

/* Nothing comes from the source that would bring a mark. */
static void a_flush_by_somebody_is_noticed_while_nothing_comes(void **state)
{
    (void)state;
    begin(NULL);
    tell("FLUSHALL");
    assert_true(wait_until(has_new_session, NULL, RUN_DEADLINE_MS));
    assert_true(df2redis_said(&crash.run.program, "has emptied it (FLUSHALL, FLUSHDB)"));
    assert_ends_equal(0);
}

static bool mark_is_gone(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(crash.run.target.port);
    long long there = server_integer(c, "EXISTS df2redis:default");
    redisFree(c);
    return there == 0;
}

static void a_target_that_evicted_the_mark_ends_the_run(void **state)
{
    (void)state;
    begin(NULL);
    tell("CONFIG SET maxmemory-policy allkeys-lru");
    tell("CONFIG SET maxmemory 1gb");
    tell("CLIENT KILL TYPE normal SKIPME yes"); /* the policy is asked for when connecting */
    assert_true(run_wait_in_step(&crash.run));
    write_some();
    assert_true(acknowledged());
    tell("CONFIG SET maxmemory 1"); /* every key goes */
    assert_true(wait_until(mark_is_gone, NULL, RUN_DEADLINE_MS));
    tell("CONFIG SET maxmemory 1gb");
    for (int i = 0; i < 200 && process_running(&crash.run.program.process); i++)
        write_for(20);
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_CONFIG);
    assert_true(df2redis_said(&crash.run.program, "has evicted the run's mark"));
    assert_int_equal(crash_full_syncs(&crash), 1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_flush_by_somebody_is_noticed, teardown),
        cmocka_unit_test_teardown(a_flush_by_somebody_is_noticed_while_nothing_comes, teardown),
        cmocka_unit_test_teardown(a_target_that_evicted_the_mark_ends_the_run, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
