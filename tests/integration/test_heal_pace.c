/* Suspects that come again and again, and large ones, cost source and target no more than a bounded part of their time;
 * and the end of a run does not wait for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "tests/support/heal_case.h"

enum {
    ACKNOWLEDGED_MS = 7000,
    STRINGS = 10,
    STRING_BYTES = 14 << 20,
    BATCH_BYTES = 48 << 20,
    BYTES_PER_MS = (16 << 20) / 1000,
};

static uint64_t dumps_of(uint16_t port)
{
    redisContext *c = server_connect(port);
    char *stats = server_info(c, "commandstats", "cmdstat_dump");
    unsigned long long calls = 0;
    if (stats)
        sscanf(stats, "calls=%llu", &calls);
    free(stats);
    redisFree(c);
    return calls;
}

/* Each entry that is acknowledged was read since the last comparison, of which this source journals nothing. (Some
 * comparisons are begun again soon: those that a write has aborted.) */
static void stream_that_is_acknowledged_all_the_time_is_compared_at_intervals(void **state)
{
    (void)state;
    source_release = "1.30.3";
    begin();
    source("XGROUP CREATE k g 0 MKSTREAM");
    wait_settled();
    uint64_t before = dumps_of(data.port), begun = clock_monotonic_ms(), i = 1;
    for (; clock_monotonic_ms() - begun < ACKNOWLEDGED_MS; i++) {
        char *add = format_text("XADD k %llu-1 f v", (unsigned long long)i);
        char *acknowledge = format_text("XACK k g %llu-1", (unsigned long long)i);
        source(add);
        source_secretly("XREADGROUP GROUP g c COUNT 10 STREAMS k >");
        source(acknowledge);
        free(add);
        free(acknowledge);
        poll(NULL, 0, 5); /* the load's own gaps */
    }
    uint64_t took_ms = clock_monotonic_ms() - begun, compared = dumps_of(data.port) - before;
    print_message("%llu acknowledged, and %llu comparisons, in %llu ms\n", (unsigned long long)i - 1,
                  (unsigned long long)compared, (unsigned long long)took_ms);
    wait_settled();
    assert_equal_to_source();
    assert_true(compared <= 3 * took_ms / 1000);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void large_suspects_are_compared_at_a_rate(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < STRINGS; i++) {
        char *words = format_text("SETRANGE k%d %d x", i, STRING_BYTES);
        source(words);
        free(words);
    }
    wait_settled();
    uint64_t begun = clock_monotonic_ms();
    for (int i = 0; i < STRINGS; i++) {
        char *words = format_text("HSET k%d f v", i);
        scripted_carry_out(run.source, 0, 0, words); /* refused by both */
        free(words);
    }
    wait_settled();
    uint64_t took_ms = clock_monotonic_ms() - begun;
    print_message("%d of %d bytes in %llu ms\n", STRINGS, STRING_BYTES, (unsigned long long)took_ms);
    assert_true(suspects(&run, "equal") == STRINGS);
    /* All but those of the last batch. */
    assert_true(took_ms >= (uint64_t)(STRINGS * STRING_BYTES - BATCH_BYTES) / BYTES_PER_MS);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* It would rest for as long as the end waits. */
static void end_does_not_wait_for_a_large_value_to_rest(void **state)
{
    (void)state;
    begin();
    source(
        "SETRANGE k 11000000 x"); /* no more than rests longest, as a loaded machine takes its time for it */
    scripted_carry_out(run.source, 0, 0, "HSET k f v");
    wait_settled();
    assert_true(suspects(&run, "equal") == 1);
    target("SETRANGE k 0 y");
    scripted_carry_out(run.source, 0, 0, "HSET k f v");
    int code = run_terminate(&run);
    if (code != EX_OK)
        df2redis_print(&run.program);
    assert_int_equal(code, EX_OK);
    assert_equal_to_source();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(stream_that_is_acknowledged_all_the_time_is_compared_at_intervals,
                                  teardown),
        cmocka_unit_test_teardown(large_suspects_are_compared_at_a_rate, teardown),
        cmocka_unit_test_teardown(end_does_not_wait_for_a_large_value_to_rest, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
