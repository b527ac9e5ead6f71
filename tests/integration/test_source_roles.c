/* The source changes its role: a master that is made a replica says so within its FLOWs, and empties itself.
 * The target keeps what it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/scripted_words.h"
#include "tests/support/testing.h"

enum { FLOWS = 3 };

static struct crash crash;

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static void begin_in_step(void)
{
    assert_true(crash_start(&crash, FLOWS, &crash_mixed, NULL));
}

/* By the answer to an acknowledgement, or by the watch on the source, whichever comes first. */
static bool noticed(void *arg)
{
    (void)arg;
    return df2redis_said(&crash.run.program, "answers REPLCONF ACK with an error") ||
           df2redis_said(&crash.run.program, "is no master any more");
}

static void append_flush(void)
{
    for (size_t f = 0; f < FLOWS; f++)
        scripted_write(crash.run.source, f, 0, 4711, "FLUSHALL");
}

static void assert_kept(uint64_t keys)
{
    assert_true(df2redis_wait_said(&crash.run.program, "is itself a replica", RUN_DEADLINE_MS));
    assert_true(run_target_keys(&crash.run) == keys && keys > 0);
    assert_false(df2redis_said(&crash.run.program, "was run on the target"));
    assert_string_equal(scripted_violation(crash.run.source), "");
    /* It goes on asking, and ends when it is told to. */
    assert_int_equal(run_terminate(&crash.run), EX_TEMPFAIL);
}

/* The master's own full sync begins with a FLUSHALL, which it journals before its replicas have heard
 * anything. */
static void flush_of_a_master_that_became_a_replica_is_not_run(void **state)
{
    (void)state;
    begin_in_step();
    uint64_t keys = run_target_keys(&crash.run);
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    append_flush();
    assert_true(df2redis_wait_said(&crash.run.program, "is no master any more", RUN_DEADLINE_MS));
    assert_kept(keys);
}

/* Its answer to an acknowledgement stands in the stream, where an entry should begin. */
static void refused_acknowledgement_ends_the_session(void **state)
{
    (void)state;
    begin_in_step();
    uint64_t keys = run_target_keys(&crash.run);
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    assert_true(wait_until(noticed, NULL, RUN_DEADLINE_MS));
    assert_kept(keys);
}

static void refused_acknowledgement_before_the_flush_ends_the_session(void **state)
{
    (void)state;
    begin_in_step();
    uint64_t keys = run_target_keys(&crash.run);
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    assert_true(wait_until(noticed, NULL, RUN_DEADLINE_MS));
    append_flush();
    assert_kept(keys);
}

/* The refusal falls into an entry: what was read of it is wrong. */
static void stream_broken_by_a_replica_is_synced_anew(void **state)
{
    (void)state;
    static const char garbage[] = "\x07\x07";
    begin_in_step();
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    for (size_t f = 0; f < FLOWS; f++)
        scripted_append(crash.run.source, f, slice_str(garbage));
    assert_true(df2redis_wait_said(&crash.run.program, "is no master any more", RUN_DEADLINE_MS));
    assert_true(df2redis_wait_said(&crash.run.program, "is itself a replica", RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&crash.run), EX_TEMPFAIL);
}

/* From a master it is what it always was: nothing that trying again would heal. */
static void stream_broken_by_a_master_ends_the_run(void **state)
{
    (void)state;
    static const char garbage[] = "\x07\x07";
    begin_in_step();
    scripted_append(crash.run.source, 0, slice_str(garbage));
    assert_true(df2redis_wait_said(&crash.run.program, "opcode 7 is not known", RUN_DEADLINE_MS));
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(flush_of_a_master_that_became_a_replica_is_not_run, teardown),
        cmocka_unit_test_teardown(refused_acknowledgement_ends_the_session, teardown),
        cmocka_unit_test_teardown(refused_acknowledgement_before_the_flush_ends_the_session, teardown),
        cmocka_unit_test_teardown(stream_broken_by_a_replica_is_synced_anew, teardown),
        cmocka_unit_test_teardown(stream_broken_by_a_master_ends_the_run, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
