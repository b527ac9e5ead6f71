/* Each divergence, by reason, command and key, is counted once, whatever process dies while it is reported: none twice,
 * none lost. What the target refuses is none where the source has the same key: however often it is refused, answered
 * or not, nothing of it is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/ipc/divergence_log.h"
#include "tests/support/crash.h"
#include "tests/support/stream_writer.h"
#include "tests/support/testing.h"

enum { FLOWS = 3, EACH = 8, PACE_MS = 4, MET_MS = 5000 };

static struct crash crash;
static uint64_t rounds;

static int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static void begin(void)
{
    static const struct journal_snapshot small = {.strings = 60, .journal = 20};
    struct buf bytes = {0};
    rounds = 0;
    crash_begin(&crash, FLOWS, &small);
    /* It has everything that the target has. */
    scripted_answer_from(crash.run.source, crash.run.target.port);
    run_replicate(&crash.run, NULL);
    assert_true(run_wait_in_step(&crash.run));
    for (uint32_t f = 0; f < FLOWS; f++) {
        buf_clear(&bytes);
        char *set = format_text("SET string:%u x", f);
        write_journal(&bytes, 0, 0, set);
        free(set);
        scripted_append(crash.run.source, f, buf_slice(&bytes));
    }
    buf_free(&bytes);
}

/* On every FLOW EACH keys that lose something in translation, EACH commands that the target refuses, and now and then
 * one that must not run twice, so that both kinds of batches come. */
static void write_round(void)
{
    struct buf bytes = {0};
    rounds++;
    for (uint32_t f = 0; f < FLOWS; f++) {
        buf_clear(&bytes);
        for (int i = 0; i < EACH; i++) {
            char *lossy = format_text("SADDEX set:%u:%llu:%d 100 member", f, (unsigned long long)rounds, i);
            char *refused = format_text("HSET string:%u field value", f);
            write_journal(&bytes, 0, 0, lossy);
            write_journal(&bytes, 0, 0, refused);
            free(lossy);
            free(refused);
        }
        if (rounds % 5 == 0) {
            char *once = format_text("INCR counter:%u", f);
            write_journal(&bytes, 0, 0, once);
            free(once);
        }
        scripted_append(crash.run.source, f, buf_slice(&bytes));
    }
    buf_free(&bytes);
}

static void write_for(uint32_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;
    do {
        write_round();
        poll(NULL, 0, PACE_MS); /* the rate of the load */
    } while (clock_monotonic_ms() < end_ms);
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The divergences of this reason in the log, once the run is over. *lines: a report may have been repeated. */
static uint64_t logged(const char *reason, uint64_t *lines)
{
    struct buf text = {0}, ids = {0};
    uint64_t n = 0;
    char *path = format_text("%s/default/divergences.log", crash.run.program.dir);
    assert_true(file_read(path, &text));
    buf_put_u8(&text, 0);
    for (char *rest = (char *)text.data, *at; (at = strsep(&rest, "\n"));) {
        struct divergence_line line;
        if (divergence_line_parse(at, &line) && strcmp(line.reason, reason) == 0)
            buf_put(&ids, &line.id, sizeof line.id);
    }
    *lines = ids.len / sizeof(uint64_t);
    uint64_t *list = (uint64_t *)(void *)ids.data;
    if (*lines)
        qsort(list, *lines, sizeof *list, compare_ids);
    for (uint64_t i = 0; i < *lines; i++)
        n += i == 0 || list[i] != list[i - 1];
    buf_free(&text);
    buf_free(&ids);
    free(path);
    return n;
}

static void assert_counters_ran_once(void)
{
    redisContext *c = server_connect(crash.run.target.port);
    for (uint32_t f = 0; f < FLOWS; f++) {
        char *get = format_text("GET counter:%u", f);
        redisReply *r = server_command(c, get);
        assert_non_null(r->str);
        assert_int_equal(strtoull(r->str, NULL, 10), rounds / 5);
        freeReplyObject(r);
        free(get);
    }
    redisFree(c);
}

static bool none_suspect(void *arg)
{
    (void)arg;
    return df2redis_status_number(&crash.run.program, "suspects.pending") == 0;
}

static void assert_counted_exactly(void)
{
    uint64_t expected = rounds * FLOWS * EACH;
    assert_true(run_wait_in_step(&crash.run));
    assert_true(wait_until(none_suspect, NULL, RUN_DEADLINE_MS));
    assert_int_equal(crash_full_syncs(&crash), 1);
    double counted = df2redis_status_number(&crash.run.program, "divergences.set_member_ttl_lost");
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
    uint64_t lines, refusals;
    uint64_t lossy = logged("set_member_ttl_lost", &lines), refused = logged("refused_by_target", &refusals);
    print_message("%llu of each kind; counted %.0f, logged %llu in %llu lines, and %llu\n",
                  (unsigned long long)expected, counted, (unsigned long long)lossy, (unsigned long long)lines,
                  (unsigned long long)refused);
    assert_int_equal(counted, expected);
    assert_int_equal(lossy, expected);
    assert_int_equal(refused, 0);
    char *total = format_text("%llu divergences", (unsigned long long)lossy);
    assert_true(df2redis_said(&crash.run.program, total));
    free(total);
    assert_counters_ran_once();
}

/* With much on its way that has no answer yet. */
static void killed_workers_count_each_once(void **state)
{
    (void)state;
    begin();
    for (unsigned turn = 0; turn < 30; turn++) {
        write_for(20);
        process_signal(&crash.run.target.process, SIGSTOP);
        write_for(10);
        assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
        assert_true(kill_worker(&crash.kills, &crash.run.program, turn % FLOWS));
        process_signal(&crash.run.target.process, SIGCONT);
    }
    assert_counted_exactly();
}

/* In the midst of decoding, and so of telling. Where processors are scarce it may be done before anybody
 * looks: then it gets more. */
static bool kill_busy(uint32_t flow)
{
    bool killed = false;
    for (unsigned attempts = 0; !killed && attempts < 50; attempts++) {
        scripted_hold(crash.run.source, flow, scripted_sent(crash.run.source, flow));
        for (int i = 0; i < 150; i++)
            write_round();
        scripted_hold(crash.run.source, flow, NEVER);
        killed = kill_busy_worker(&crash.kills, &crash.run.program, flow, MET_MS);
    }
    return killed;
}

static void busily_killed_workers_count_each_once(void **state)
{
    (void)state;
    begin();
    for (unsigned turn = 0; turn < 12; turn++)
        assert_true(kill_busy(turn % FLOWS));
    assert_counted_exactly();
}

static void killed_runs_count_each_once(void **state)
{
    (void)state;
    begin();
    write_for(50);
    for (unsigned turn = 0; turn < 10; turn++) {
        assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
        write_for(20 + 3 * turn);
        process_signal(&crash.run.target.process, SIGSTOP);
        write_for(10);
        assert_true(crash_kill(&crash, turn % 2));
        process_signal(&crash.run.target.process, SIGCONT);
        run_replicate(&crash.run, NULL);
    }
    assert_counted_exactly();
}

static void divergences_of_the_killed_run_count_on(void **state)
{
    (void)state;
    struct buf bytes = {0};
    begin();
    write_journal(&bytes, 0, 0, "SADDEX sx 100 member");
    scripted_append(crash.run.source, 1, buf_slice(&bytes));
    buf_free(&bytes);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_status_number(&crash.run.program, "divergences.set_member_ttl_lost") == 1);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(crash_kill(&crash, round));
        run_replicate(&crash.run, NULL);
        assert_true(run_wait_in_step(&crash.run));
        assert_true(df2redis_status_number(&crash.run.program, "divergences.set_member_ttl_lost") == 1);
    }
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
}

/* Not only deaths: what was on its way when the connection broke is answered later, and counted then. */
static void lost_connections_count_each_once(void **state)
{
    (void)state;
    begin();
    redisContext *c = server_connect(crash.run.target.port);
    for (unsigned turn = 0; turn < 60; turn++) {
        write_for(25);
        freeReplyObject(server_command(c, "CLIENT KILL TYPE normal SKIPME yes"));
    }
    redisFree(c);
    assert_counted_exactly();
}

/* Of a key that is written all the time one report is enough. */
static void a_key_that_recurs_is_one_divergence(void **state)
{
    (void)state;
    struct buf bytes = {0};
    uint64_t lines;
    begin();
    for (int i = 0; i < 2000; i++)
        write_journal(&bytes, 0, 0, "SADDEX sx 100 member");
    scripted_append(crash.run.source, 1, buf_slice(&bytes));
    buf_free(&bytes);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(df2redis_status_number(&crash.run.program, "divergences.set_member_ttl_lost") == 1);
    assert_int_equal(run_terminate(&crash.run), EX_DATAERR);
    assert_int_equal(logged("set_member_ttl_lost", &lines), 1);
    assert_int_equal(lines, 1);
}

/* The last command of every FLOW is on the target. */
static bool all_arrived(void *arg)
{
    redisContext *c = server_connect(crash.run.target.port);
    bool all = true;
    (void)arg;
    for (uint32_t f = 0; f < FLOWS; f++) {
        redisReply *r = server_commandf(c, "GET last:%u", f);
        all = all && r->str && strtoull(r->str, NULL, 10) == rounds;
        freeReplyObject(r);
    }
    redisFree(c);
    return all;
}

/* Far more than the channel to the supervisor holds. */
static void write_past_a_stopped_supervisor(void)
{
    struct buf bytes = {0};
    process_signal(&crash.run.program.process, SIGSTOP);
    for (int i = 0; i < 500; i++)
        write_round();
    for (uint32_t f = 0; f < FLOWS; f++) {
        buf_clear(&bytes);
        char *last = format_text("SET last:%u %llu", f, (unsigned long long)rounds);
        write_journal(&bytes, 0, 0, last);
        free(last);
        scripted_append(crash.run.source, f, buf_slice(&bytes));
    }
    buf_free(&bytes);
    assert_true(wait_until(all_arrived, NULL, RUN_DEADLINE_MS));
}

static void nothing_waits_for_a_stopped_supervisor(void **state)
{
    (void)state;
    begin();
    write_past_a_stopped_supervisor();
    process_signal(&crash.run.program.process, SIGCONT);
    assert_counted_exactly();
}

static void what_a_stopped_supervisor_was_not_told_is_recalled(void **state)
{
    (void)state;
    begin();
    for (unsigned turn = 0; turn < 2; turn++) {
        write_past_a_stopped_supervisor();
        assert_true(crash_kill(&crash, turn));
        run_replicate(&crash.run, NULL);
        assert_true(df2redis_wait_status(&crash.run.program, "phase", "stable", RUN_DEADLINE_MS));
    }
    assert_counted_exactly();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(killed_workers_count_each_once, teardown),
        cmocka_unit_test_teardown(busily_killed_workers_count_each_once, teardown),
        cmocka_unit_test_teardown(killed_runs_count_each_once, teardown),
        cmocka_unit_test_teardown(divergences_of_the_killed_run_count_on, teardown),
        cmocka_unit_test_teardown(lost_connections_count_each_once, teardown),
        cmocka_unit_test_teardown(a_key_that_recurs_is_one_divergence, teardown),
        cmocka_unit_test_teardown(nothing_waits_for_a_stopped_supervisor, teardown),
        cmocka_unit_test_teardown(what_a_stopped_supervisor_was_not_told_is_recalled, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
