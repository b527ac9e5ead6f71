/* When the target is in step, and what is said when it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "supervisor/rules/in_step.h"

enum { NOW_MS = 1000000, FLOWS = 3 };

static struct in_step_flow flows[FLOWS];
static uint64_t newest[FLOWS], older[FLOWS];
static struct source_lsns answers[2];
static struct in_step_facts facts;
static char reason[IN_STEP_REASON_BYTES];
static uint64_t confirmed_ms;

/* Three FLOWs that have applied up to 100, with a source that was at 100 when asked 100 ms ago, and at 90
 * before. */
static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < FLOWS; i++) {
        flows[i] = (struct in_step_flow){.worker = true,
                                         .pid = 4711,
                                         .alive_ms = NOW_MS - 50,
                                         .stable = true,
                                         .in_contact = true,
                                         .received_lsn = 100,
                                         .applied_lsn = 100};
        newest[i] = 100;
        older[i] = 90;
    }
    answers[0] = (struct source_lsns){NOW_MS - 100, newest};
    answers[1] = (struct source_lsns){NOW_MS - 1100, older};
    facts = (struct in_step_facts){.now_ms = NOW_MS,
                                   .stable = true,
                                   .phase = "stable",
                                   .answers = answers,
                                   .answer_count = 2,
                                   .flows = flows,
                                   .flow_count = FLOWS};
    return 0;
}

static bool in_step(void)
{
    return in_step_decide(&facts, &confirmed_ms, reason, sizeof reason);
}

static void assert_not_because(const char *text)
{
    assert_false(in_step());
    assert_int_equal(confirmed_ms, 0);
    if (!strstr(reason, text))
        print_message("said: %s\n", reason);
    assert_non_null(strstr(reason, text));
}

static void every_flow_at_the_sources_lsns_is_in_step(void **state)
{
    (void)state;
    assert_true(in_step());
    assert_string_equal(reason, "");
    assert_int_equal(confirmed_ms, NOW_MS - 100);
    flows[1].applied_lsn = 5000; /* written since it was asked */
    assert_true(in_step());
}

static void entries_in_flight_are_no_delay_while_the_answer_before_is_fresh_and_reached(void **state)
{
    (void)state;
    newest[1] = 101;
    assert_true(in_step());
    assert_int_equal(confirmed_ms, NOW_MS - 1100);
    older[1] = 101;
    assert_not_because("FLOW 1 is 1 entry behind the source");
}

static void answer_older_than_two_seconds_says_nothing(void **state)
{
    (void)state;
    answers[0].asked_ms = NOW_MS - IN_STEP_FRESH_MS;
    assert_true(in_step());
    answers[0].asked_ms = NOW_MS - IN_STEP_FRESH_MS - 1;
    answers[1].asked_ms = answers[0].asked_ms - 1000;
    assert_not_because("the source's LSNs are not known yet");
    facts.trouble = "source x: it closed the connection";
    assert_not_because("the source's LSNs are not known: source x: it closed the connection");
    facts.answer_count = 0;
    assert_not_because("are not known");
}

static void old_answer_that_was_reached_does_not_make_up_for_a_new_one_that_is_not(void **state)
{
    (void)state;
    newest[0] = 101;
    answers[1].asked_ms = NOW_MS - IN_STEP_FRESH_MS - 1;
    assert_not_because("FLOW 0 is 1 entry behind the source");
}

static void lag_names_the_furthest_flow_and_which_side_holds_it_up(void **state)
{
    (void)state;
    for (int i = 0; i < FLOWS; i++)
        newest[i] = older[i] = 110;
    newest[2] = older[2] = 1100;
    assert_not_because("FLOW 2 is 1000 entries behind the source: nothing comes from the source");
    flows[2].waiting = true;
    assert_not_because("FLOW 2 is 1000 entries behind the source: the target has not taken");
}

static void stopped_worker_is_named_whatever_the_lsns_say(void **state)
{
    (void)state;
    flows[1].alive_ms = NOW_MS - IN_STEP_ALIVE_MS - 4000;
    assert_not_because("the worker of FLOW 1 (pid 4711) has not moved for 7 s");
}

static void trouble_of_a_flow_is_named(void **state)
{
    (void)state;
    flows[2].in_contact = false;
    assert_not_because("FLOW 2 cannot reach the target");
    flows[2].stable = false;
    assert_not_because("FLOW 2 does not follow the journal yet");
    flows[2].worker = false;
    assert_not_because("FLOW 2 has no worker");
    flows[2].failed = true;
    assert_not_because("FLOW 2 was given up");
}

static void other_phases_are_not_in_step(void **state)
{
    (void)state;
    facts.stable = false;
    facts.phase = "full-sync";
    assert_not_because("the run is in phase full-sync");
}

/* A lag is told first: the comparison waits for it, too. */
static void comparison_of_all_keys_that_is_due_is_not_in_step(void **state)
{
    (void)state;
    facts.comparing = "";
    assert_true(in_step());
    facts.comparing = "all keys are compared";
    assert_not_because("all keys are compared");
    flows[1].applied_lsn = 80;
    assert_not_because("FLOW 1 is 20 entries behind");
}

static void lsns_are_reached_by_all_flows_or_not_at_all(void **state)
{
    (void)state;
    assert_true(in_step_reached(&facts, newest));
    flows[0].failed = true;
    assert_false(in_step_reached(&facts, newest));
    flows[0].failed = false;
    newest[2]++;
    assert_false(in_step_reached(&facts, newest));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_flow_at_the_sources_lsns_is_in_step),
        TEST(entries_in_flight_are_no_delay_while_the_answer_before_is_fresh_and_reached),
        TEST(answer_older_than_two_seconds_says_nothing),
        TEST(old_answer_that_was_reached_does_not_make_up_for_a_new_one_that_is_not),
        TEST(lag_names_the_furthest_flow_and_which_side_holds_it_up),
        TEST(stopped_worker_is_named_whatever_the_lsns_say),
        TEST(trouble_of_a_flow_is_named),
        TEST(other_phases_are_not_in_step),
        TEST(comparison_of_all_keys_that_is_due_is_not_in_step),
        TEST(lsns_are_reached_by_all_flows_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
