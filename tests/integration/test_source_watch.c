/* What the watch on the source tells a monitor, and what it costs the source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/monitor.h"
#include "tests/support/proxy.h"
#include "tests/support/testing.h"

enum { FLOWS = 2, ROUNDS = 5, SLOW_MS = 250, WRITTEN = 300 };

static struct crash crash;
static struct proxy *proxy;
static const struct journal_snapshot small = {.strings = 60, .journal = 50};
static const char *const monitored[] = {"--metrics", "0", NULL};

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    proxy_stop(proxy);
    proxy = NULL;
    return 0;
}

static double metric_of(const char *name, uint32_t flow)
{
    char *sample = format_text("%s{flow=\"%u\"}", name, flow);
    double value = monitor_metric(&crash.run.program, sample);
    free(sample);
    return value;
}

/* FLOW 0 gets nothing, FLOW 1 all, and the source's LSNs have come. */
static bool flow_0_alone_is_behind(void *end)
{
    return (uint64_t)metric_of("flow_source_lsn", 0) == *(uint64_t *)end &&
           metric_of("flow_source_lag_entries", 1) == 0 && monitor_metric(&crash.run.program, "in_step") == 0;
}

static bool is_ready(void *answer)
{
    return monitor_ask(&crash.run.program, "/readyz", answer) == 200;
}

/* On a loaded machine an answer of the source may be too old for a moment: that is said instead. */
static bool is_unready_because(void *why)
{
    struct buf answer = {0};
    bool it_is =
        monitor_ask(&crash.run.program, "/readyz", &answer) == 503 && strstr((const char *)answer.data, why);
    buf_free(&answer);
    return it_is;
}

static void assert_flow_is_even(uint32_t flow)
{
    double end = (double)scripted_end_lsn(crash.run.source, flow);
    assert_true(metric_of("flow_source_lsn", flow) == end);
    assert_true(metric_of("flow_applied_lsn", flow) == end);
    assert_true(metric_of("flow_source_lag_entries", flow) == 0);
}

static void monitor_is_told_how_far_the_target_is_behind_the_source(void **state)
{
    (void)state;
    struct buf answer = {0};
    assert_true(crash_start(&crash, FLOWS, &small, monitored));
    assert_true(wait_until(is_ready, &answer, RUN_DEADLINE_MS));
    uint64_t before = scripted_end_lsn(crash.run.source, 0);
    scripted_hold(crash.run.source, 0, scripted_sent(crash.run.source, 0));
    journal_script_append(&crash.script, crash.run.source, WRITTEN);
    uint64_t end = scripted_end_lsn(crash.run.source, 0);
    assert_true(end > before);
    assert_true(wait_until(flow_0_alone_is_behind, &end, RUN_DEADLINE_MS));
    assert_int_equal(metric_of("flow_applied_lsn", 0), before);
    assert_int_equal(metric_of("flow_source_lag_entries", 0), end - before);
    char *why = format_text("not in step: FLOW 0 is %llu entries behind the source",
                            (unsigned long long)(end - before));
    assert_true(wait_until(is_unready_because, why, RUN_DEADLINE_MS));
    free(why);
    scripted_hold(crash.run.source, 0, NEVER);
    assert_true(crash_came_out_equal(&crash));
    assert_true(wait_until(is_ready, &answer, RUN_DEADLINE_MS));
    assert_int_equal(monitor_metric(&crash.run.program, "in_step"), 1);
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_flow_is_even(f);
    buf_free(&answer);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static bool round_trip_is_slow(void *arg)
{
    (void)arg;
    return monitor_metric(&crash.run.program, "source_round_trip_seconds") >= SLOW_MS / 1000.0;
}

static void monitor_is_told_the_sources_round_trip(void **state)
{
    (void)state;
    crash_begin(&crash, FLOWS, &small);
    proxy = proxy_start(scripted_port(crash.run.source));
    df2redis_start(&crash.run.program, "replicate", proxy_uri(proxy), crash.run.target.uri, monitored);
    assert_true(run_wait_in_step(&crash.run));
    double quick = monitor_metric(&crash.run.program, "source_round_trip_seconds");
    assert_true(quick > 0 && quick < RUN_DEADLINE_MS / 1000.0);
    proxy_slow(proxy, SLOW_MS, 0);
    assert_true(wait_until(round_trip_is_slow, NULL, RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

/* Counted between two questions; a loaded machine makes the second late, and never makes more of them. */
static void watch_asks_the_source_two_small_commands_a_second(void **state)
{
    (void)state;
    static const char lsns[] = "DFLY REPLICAOFFSET", role[] = "REPLCONF capa eof";
    char watch[16];
    struct scripted *source;
    assert_true(crash_start(&crash, FLOWS, &small, NULL));
    source = crash.run.source;
    assert_true(scripted_sender(source, lsns, watch));
    size_t first = scripted_count(source, watch, lsns);
    assert_true(run_wait_source(&crash.run, watch, lsns, first + ROUNDS + 1));
    uint64_t from_us = scripted_time_us(source, watch, lsns, first);
    uint64_t until_us = scripted_time_us(source, watch, lsns, first + ROUNDS);
    size_t asked = scripted_count_between(source, NULL, lsns, from_us, until_us);
    assert_int_equal(asked, ROUNDS);
    assert_int_equal(scripted_count_between(source, NULL, role, from_us, until_us), ROUNDS);
    assert_int_equal(scripted_count_between(source, watch, "", from_us, until_us), 2 * ROUNDS);
    assert_true(asked <= (until_us - from_us) / 1000000 + 1);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(monitor_is_told_how_far_the_target_is_behind_the_source, teardown),
        cmocka_unit_test_teardown(monitor_is_told_the_sources_round_trip, teardown),
        cmocka_unit_test_teardown(watch_asks_the_source_two_small_commands_a_second, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
