/* A source with several addresses: the master among them is found, and found again after a failover. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3 };

static struct crash crash;
static struct scripted *replica;
static const struct journal_snapshot small = {.strings = 100, .commands = 30, .journal = 300};

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    scripted_stop(replica);
    replica = NULL;
    return 0;
}

/* The crash's source, and another one of that kind before it in the list. */
static void start_with_another(enum scripted_kind kind)
{
    struct scripted_options options;
    scripted_options_init(&options);
    options.kind = kind;
    snprintf(options.master_id, sizeof options.master_id, "%040d", 7);
    scripted_options_add(&options, scripted_session_new(FLOWS));
    crash_begin(&crash, FLOWS, &small);
    replica = scripted_start(&options);
    char *both = format_text("redis://127.0.0.1:%u,127.0.0.1:%u", scripted_port(replica),
                             scripted_port(crash.run.source));
    df2redis_start(&crash.run.program, "replicate", both, crash.run.target.uri, NULL);
    free(both);
}

static void the_master_among_them_is_found(void **state)
{
    (void)state;
    start_with_another(SCRIPTED_REPLICA);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(scripted_count(replica, NULL, "DFLY FLOW"), 0);
    char *said = format_text("source redis://127.0.0.1:%u is itself a replica", scripted_port(replica));
    assert_true(df2redis_said(&crash.run.program, said));
    free(said);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void one_that_refuses_connections_is_passed_over(void **state)
{
    (void)state;
    start_with_another(SCRIPTED_REPLICA);
    scripted_listen(replica, false);
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void without_a_master_each_is_told(void **state)
{
    (void)state;
    start_with_another(SCRIPTED_REPLICA);
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    assert_true(df2redis_wait_said(&crash.run.program, "none of 2 addresses is a master that answers",
                                   RUN_DEADLINE_MS));
}

/* The first round found the second address; the next one begins there. */
static void a_broken_link_goes_back_to_the_same_one(void **state)
{
    (void)state;
    start_with_another(SCRIPTED_REPLICA);
    assert_true(run_wait_in_step(&crash.run));
    size_t asked = scripted_count(replica, NULL, "accepted");
    scripted_cut_all(crash.run.source);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(scripted_count(replica, NULL, "accepted"), asked);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* ---- a master of another history ---- */

/* The first address is a master whose history is not the copy's: an old one that came back, with keys of its own. */
static void follow_the_second_until_the_first_is_back(void)
{
    struct scripted_options options;
    struct journal_script script;
    journal_script_init(&script, FLOWS, 99);
    scripted_options_init(&options);
    options.kind = SCRIPTED_REPLICA;
    options.keyspace = "db0:keys=100000,expires=0\r\n";
    snprintf(options.master_id, sizeof options.master_id, "%040d", 7);
    scripted_options_add(&options, journal_script_session(&script, &small));
    journal_script_free(&script);
    crash_begin(&crash, FLOWS, &small);
    replica = scripted_start(&options);
    char *both = format_text("redis://127.0.0.1:%u,127.0.0.1:%u", scripted_port(replica),
                             scripted_port(crash.run.source));
    df2redis_start(&crash.run.program, "replicate", both, crash.run.target.uri, NULL);
    free(both);
    assert_true(run_wait_in_step(&crash.run));
    scripted_become(replica, SCRIPTED_DRAGONFLY);
    scripted_listen(crash.run.source, false);
    scripted_cut_all(crash.run.source);
    assert_true(scripted_wait(replica, NULL, "DFLY FLOW", FLOWS, RUN_DEADLINE_MS));
}

static void master_of_another_history_does_not_replace_the_one_that_missed_a_connection(void **state)
{
    (void)state;
    follow_the_second_until_the_first_is_back();
    scripted_listen(crash.run.source, true);
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_true(df2redis_said(&crash.run.program, "has another history than the copy"));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(scripted_count(replica, NULL, "DFLY SYNC"), 0);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void master_of_another_history_does_not_replace_it_at_a_start(void **state)
{
    (void)state;
    follow_the_second_until_the_first_is_back();
    assert_true(crash_kill(&crash, true));
    scripted_listen(crash.run.source, true);
    char *both = format_text("redis://127.0.0.1:%u,127.0.0.1:%u", scripted_port(replica),
                             scripted_port(crash.run.source));
    df2redis_start(&crash.run.program, "replicate", both, crash.run.target.uri, NULL);
    free(both);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(scripted_count(replica, NULL, "DFLY SYNC"), 0);
}

static void master_of_another_history_is_taken_where_no_other_answers(void **state)
{
    (void)state;
    follow_the_second_until_the_first_is_back();
    assert_true(scripted_wait(replica, NULL, "DFLY STARTSTABLE", 1, RUN_DEADLINE_MS));
    assert_true(df2redis_said(&crash.run.program, "none with the history of the copy has answered"));
    assert_true(scripted_time_us(replica, NULL, "DFLY SYNC", 0) >=
                scripted_time_us(replica, NULL, "DFLY FLOW", 0) + 10000000);
    assert_true(scripted_wait_acked(replica, RUN_DEADLINE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_master_among_them_is_found, teardown),
        cmocka_unit_test_teardown(one_that_refuses_connections_is_passed_over, teardown),
        cmocka_unit_test_teardown(without_a_master_each_is_told, teardown),
        cmocka_unit_test_teardown(a_broken_link_goes_back_to_the_same_one, teardown),
        cmocka_unit_test_teardown(master_of_another_history_does_not_replace_the_one_that_missed_a_connection,
                                  teardown),
        cmocka_unit_test_teardown(master_of_another_history_does_not_replace_it_at_a_start, teardown),
        cmocka_unit_test_teardown(master_of_another_history_is_taken_where_no_other_answers, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
