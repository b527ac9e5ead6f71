/* What the source may believe: acknowledged is what the target has, and a target that stands still costs the
 * source's clients nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum {
    FLOWS = 2,
    QUIET_MS = 1500,
    ROUNDS = 9,
    MOST_ROUNDS = 40,
    ROUND_WRITES = 3000,
    VALUE_BYTES = 400,
    SLACK_US = 1000
};

static struct crash crash;
static struct run run;
static struct server alone;

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    crash = (struct crash){0};
    run_end(&run);
    server_stop(&alone);
    return 0;
}

/* The LSN behind what the target has by its own word. */
static uint64_t mark_lsn(uint16_t port, uint32_t flow)
{
    redisContext *c = server_connect(port);
    redisReply *r = server_commandf(c, "HGET df2redis:default flow-%u", flow);
    unsigned long long n = 0;
    if (r && r->str && sscanf(r->str, "%*s %*s %*s %llu", &n) != 1)
        n = 0;
    if (r)
        freeReplyObject(r);
    redisFree(c);
    return n;
}

static void acks_never_run_ahead_of_the_target(void **state)
{
    (void)state;
    static const struct journal_snapshot small = {.strings = 60, .journal = 50};
    assert_true(crash_start(&crash, FLOWS, &small, NULL));
    for (int i = 0; i < 3; i++) {
        uint64_t acked[FLOWS];
        process_signal(&crash.run.target.process, SIGSTOP);
        for (uint32_t f = 0; f < FLOWS; f++)
            acked[f] = scripted_acked(crash.run.source, f);
        journal_script_append(&crash.script, crash.run.source, 3000);
        assert_false(scripted_wait_acked(crash.run.source, QUIET_MS));
        for (uint32_t f = 0; f < FLOWS; f++)
            assert_int_equal(scripted_acked(crash.run.source, f), acked[f]);
        process_signal(&crash.run.target.process, SIGCONT);
        assert_true(scripted_wait_acked(crash.run.source, RUN_DEADLINE_MS));
    }
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    /* After the end each FLOW's mark is where its last ACK was. */
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_int_equal(mark_lsn(crash.run.target.port, f), scripted_end_lsn(crash.run.source, f));
}

static void begin_live(void)
{
    if (!run_begin_live(&run, FLOWS, NULL))
        skip();
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
}

static long long write_and_wait(redisContext *c, int n, const char *wait)
{
    char *set = format_text("SET key:%d value", n);
    server_ok(c, set);
    free(set);
    return server_integer(c, wait);
}

static void wait_on_the_source_means_that_the_target_has_it(void **state)
{
    (void)state;
    begin_live();
    redisContext *source = server_connect(run.dragonfly.port);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(write_and_wait(source, i, "WAIT 1 60000"), 1);
        redisContext *target = server_connect(run.target.port);
        char *exists = format_text("EXISTS key:%d", i);
        assert_int_equal(server_integer(target, exists), 1);
        free(exists);
        redisFree(target);
    }
    process_signal(&run.target.process, SIGSTOP);
    assert_int_equal(write_and_wait(source, 100, "WAIT 1 100"), 0);
    assert_int_equal(write_and_wait(source, 101, "WAIT 1 1500"), 0);
    process_signal(&run.target.process, SIGCONT);
    assert_int_equal(write_and_wait(source, 102, "WAIT 1 60000"), 1);
    redisFree(source);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t slowest_write_us(redisContext *c)
{
    char value[VALUE_BYTES + 1];
    uint64_t slowest = 0;
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    for (int i = 0; i < ROUND_WRITES; i++) {
        uint64_t begun = now_us();
        redisReply *r = server_commandf(c, "SET key:%d %s", i, value);
        assert_true(r && r->type == REDIS_REPLY_STATUS);
        freeReplyObject(r);
        uint64_t took = now_us() - begun;
        slowest = took > slowest ? took : slowest;
    }
    return slowest;
}

/* Round about between a Dragonfly alone and one whose replica's target stands still, the slowest write of the round
 * that was disturbed least: what else runs here only adds to it, so there are more rounds as long as that may be
 * why. Where writes wait for the target, no round is without it. */
static void stopped_target_does_not_slow_the_source(void **state)
{
    (void)state;
    begin_live();
    dragonfly_start(&alone, FLOWS, NULL);
    redisContext *with = server_connect(run.dragonfly.port), *without = server_connect(alone.port);
    uint64_t slow_with = UINT64_MAX, slow_without = UINT64_MAX;
    int rounds = 0;
    slowest_write_us(with);
    slowest_write_us(without);
    process_signal(&run.target.process, SIGSTOP);
    while (rounds < ROUNDS || (rounds < MOST_ROUNDS && slow_with > 2 * slow_without + SLACK_US)) {
        uint64_t a = slowest_write_us(with), b = slowest_write_us(without);
        slow_with = a < slow_with ? a : slow_with;
        slow_without = b < slow_without ? b : slow_without;
        rounds++;
    }
    print_message(
        "slowest of %d writes, in the best of %d rounds: %.2f ms without a replica, %.2f ms with its target "
        "stopped: %.2f x\n",
        ROUND_WRITES, rounds, (double)slow_without / 1e3, (double)slow_with / 1e3,
        (double)slow_with / (double)slow_without);
    redisFree(with);
    redisFree(without);
    process_signal(&run.target.process, SIGCONT);
    assert_true(slow_with <= 2 * slow_without + SLACK_US);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(acks_never_run_ahead_of_the_target, teardown),
        cmocka_unit_test_teardown(wait_on_the_source_means_that_the_target_has_it, teardown),
        cmocka_unit_test_teardown(stopped_target_does_not_slow_the_source, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
