/* FLUSHALL and FLUSHDB: on every FLOW, in one place of each stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/kills.h"
#include "tests/support/run.h"
#include "tests/support/stream_writer.h"
#include "tests/support/testing.h"

static struct run run;
static struct redis_cluster cluster;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    redis_cluster_stop(&cluster);
    return 0;
}

/* A FLOW with one key in its snapshot, a command in it when given, and journal lines "db txid words". */
struct line {
    uint32_t db;
    uint64_t txid;
    const char *words;
};

static struct scripted_flow make_flow_in(const char *key, uint32_t snapshot_db, const char *in_snapshot,
                                         const struct line *lines)
{
    static const char token[41] = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
    struct stream_writer w;
    writer_begin(&w, 0, token);
    writer_string(&w, slice_str(key), slice_str("snapshot"));
    if (in_snapshot) {
        struct slice word = slice_str(in_snapshot);
        writer_command(&w, snapshot_db, 9, 1, &word);
    }
    writer_fullsync_end(&w);
    writer_stable(&w, w.next_lsn);
    for (; lines && lines->words; lines++)
        write_journal(&w.out, lines->db, lines->txid, lines->words);
    return writer_finish(&w);
}

static struct scripted_flow make_flow(const char *key, const char *in_snapshot, const struct line *lines)
{
    return make_flow_in(key, 0, in_snapshot, lines);
}

static struct scripted_session two_flows(const char *in_snapshot, const struct line *first,
                                         const struct line *second)
{
    struct scripted_session s = scripted_session_new(2);
    s.flows[0] = make_flow("a", in_snapshot, first);
    s.flows[1] = make_flow("b", in_snapshot, second);
    return s;
}

static long long exists(const char *words)
{
    redisContext *c = server_connect(run.target.port);
    char *command = format_text("EXISTS %s", words);
    long long n = server_integer(c, command);
    free(command);
    redisFree(c);
    return n;
}

static bool key_has_come(void *arg)
{
    return exists(arg) == 1;
}

static bool is_behind(void *arg)
{
    (void)arg;
    return !df2redis_status_true(&run.program, "in_step");
}

/* FLOW 0 is through its flush and far beyond, FLOW 1 has not come to it: nothing after the flush may be
 * applied, nothing before it may be lost too early. */
static void flush_waits_until_every_flow_is_there(void **state)
{
    (void)state;
    static const struct line first[] = {
        {0, 0, "SET before0 x"}, {0, 77, "FLUSHALL"}, {0, 0, "SET after0 x"}, {0, 0, NULL}};
    static const struct line second[] = {
        {0, 0, "SET before1 x"}, {0, 77, "FLUSHALL"}, {0, 0, "SET after1 x"}, {0, 0, NULL}};
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, two_flows(NULL, first, second));
    uint64_t journal_at = options.sessions[0].flows[1].journal_at;
    struct buf one = {0};
    write_journal(&one, 0, 0, "SET before1 x");
    run_begin(&run, &options);
    scripted_hold(run.source, 1, journal_at + one.len);
    buf_free(&one);
    run_replicate(&run, NULL);
    assert_true(run_wait_source(&run, "flow 0", "all sent", 1));
    assert_true(wait_until(key_has_come, "before0", RUN_DEADLINE_MS));
    assert_true(wait_until(key_has_come, "before1", RUN_DEADLINE_MS));
    assert_true(wait_until(is_behind, NULL, RUN_DEADLINE_MS)); /* in step allows a lag of 1 s */
    assert_int_equal(exists("a b before0 before1"), 4);
    assert_int_equal(exists("after0 after1"), 0);
    scripted_hold(run.source, 1, NEVER);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(exists("a b before0 before1"), 0);
    assert_int_equal(exists("after0 after1"), 2);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

/* FLOW 0 is at its flush with many entries before it in one batch, and all of them applied: the restart record, which
 * is older, is no lag. */
static void flow_that_waits_at_a_flush_lags_by_the_flush_alone(void **state)
{
    (void)state;
    enum { SELECT_BYTES = 2 }; /* an entry of its own in the journal, before the command's */
    struct scripted_options options;
    struct buf journal = {0}, flush = {0};
    scripted_options_init(&options);
    scripted_options_add(&options, two_flows(NULL, NULL, NULL));
    run_begin(&run, &options);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    for (int i = 0; i < 50; i++)
        write_journal(&journal, 0, 0, "SET before0 x");
    write_journal(&flush, 0, 77, "FLUSHALL");
    buf_put(&journal, flush.data, flush.len);
    scripted_append(run.source, 0, buf_slice(&journal));
    assert_true(df2redis_wait_said(&run.program, "is reached: waiting for the other FLOWs", RUN_DEADLINE_MS));
    assert_int_equal(df2redis_status_number(&run.program, "flows.0.lag_entries"), 1);
    assert_int_equal(df2redis_status_number(&run.program, "flows.0.lag_bytes"), flush.len - SELECT_BYTES);
    scripted_append(run.source, 1, buf_slice(&flush));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(df2redis_status_number(&run.program, "flows.0.lag_entries"), 0);
    assert_int_equal(df2redis_status_number(&run.program, "flows.0.lag_bytes"), 0);
    assert_int_equal(run_target_keys(&run), 0);
    buf_free(&journal);
    buf_free(&flush);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void flushdb_empties_one_database(void **state)
{
    (void)state;
    static const struct line first[] = {
        {0, 0, "SET zero x"}, {2, 0, "SET two x"}, {2, 78, "FLUSHDB"}, {0, 0, NULL}};
    static const struct line second[] = {
        {2, 0, "SET twotoo x"}, {2, 78, "FLUSHDB"}, {2, 0, "SET kept x"}, {0, 0, NULL}};
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, two_flows(NULL, first, second));
    run_begin(&run, &options);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(exists("a b zero"), 3);
    assert_int_equal(run_target_keys(&run), 4);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* It cannot be ordered against the snapshot: the full sync starts again. */
static void flush_in_the_snapshot_starts_the_full_sync_again(void **state)
{
    (void)state;
    static const struct line after[] = {{0, 0, "SET after x"}, {0, 0, NULL}};
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, two_flows("FLUSHALL", NULL, NULL));
    scripted_options_add(&options, two_flows(NULL, after, NULL));
    run_begin(&run, &options);
    run_replicate(&run, NULL);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(exists("a b after"), 3);
    assert_int_equal(run_target_keys(&run), 3);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 2);
}

static void flush_of_a_database_that_is_not_copied_is_none_of_the_snapshots(void **state)
{
    (void)state;
    static const char *const only[] = {"--db", "0", NULL};
    struct scripted_options options;
    scripted_options_init(&options);
    struct scripted_session s = scripted_session_new(2);
    s.flows[0] = make_flow_in("a", 3, "FLUSHDB", NULL);
    s.flows[1] = make_flow_in("b", 3, "FLUSHDB", NULL);
    scripted_options_add(&options, s);
    run_begin(&run, &options);
    run_replicate(&run, only);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(exists("a b"), 2);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

/* Counters before and after a flush, on every FLOW, with the session cut in between: each INCR counts once.
 */
static void counters_around_a_flush_count_once_after_a_cut(void **state)
{
    (void)state;
    static const struct line first[] = {
        {0, 0, "INCR n0"}, {0, 79, "FLUSHALL"}, {0, 0, "INCR n0"}, {0, 0, "INCR n0"}, {0, 0, NULL}};
    static const struct line second[] = {
        {0, 0, "INCR n1"}, {0, 79, "FLUSHALL"}, {0, 0, "INCR n1"}, {0, 0, NULL}};
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, two_flows(NULL, first, second));
    run_begin(&run, &options);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    scripted_cut_all(run.source);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    struct buf more = {0};
    write_journal(&more, 0, 0, "INCR n0");
    scripted_append(run.source, 0, buf_slice(&more));
    buf_free(&more);
    assert_true(run_wait_in_step(&run));
    redisContext *c = server_connect(run.target.port);
    long long n0 = server_integer(c, "INCRBY n0 0"), n1 = server_integer(c, "INCRBY n1 0");
    redisFree(c);
    assert_int_equal(n0, 3);
    assert_int_equal(n1, 1);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

/* FLOW 1 waits at the flush, FLOW 0 is held before it; the target has been saved with neither's entries. */
static void begin_with_one_flow_at_the_flush(const char *const *extra)
{
    static const struct line first[] = {
        {0, 0, "SET before0 x"}, {0, 77, "FLUSHALL"}, {0, 0, "SET after0 x"}, {0, 0, NULL}};
    static const struct line second[] = {
        {0, 0, "SET before1 x"}, {0, 77, "FLUSHALL"}, {0, 0, "SET after1 x"}, {0, 0, NULL}};
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, two_flows(NULL, first, second));
    scripted_options_add(&options, two_flows(NULL, NULL, NULL));
    uint64_t held_at[2] = {options.sessions[0].flows[0].journal_at, options.sessions[0].flows[1].journal_at};
    run_begin(&run, &options);
    for (uint32_t f = 0; f < 2; f++)
        scripted_hold(run.source, f, held_at[f]);
    run_replicate(&run, extra);
    for (const char *const *key = (const char *const[]){"a", "b", NULL}; *key; key++)
        assert_true(wait_until(key_has_come, (void *)(uintptr_t)*key, RUN_DEADLINE_MS));
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SAVE");
    redisFree(c);
    scripted_hold(run.source, 1, NEVER);
    assert_true(df2redis_wait_said(&run.program, "FLUSHALL (txid 77) is reached", RUN_DEADLINE_MS));
    assert_int_equal(exists("a b before1"), 3);
}

static bool has_two_arrivals(void *arg)
{
    char *output = process_output(arg);
    const char *first = strstr(output, "FLUSHALL (txid 77) is reached");
    bool two = first && strstr(first + 1, "FLUSHALL (txid 77) is reached");
    free(output);
    return two;
}

/* The target comes back without what FLOW 1 had applied before the flush, at which it waits no longer. */
static void flush_waits_again_for_a_flow_whose_target_went_away(void **state)
{
    (void)state;
    begin_with_one_flow_at_the_flush(NULL);
    pid_t worker = worker_pid(&run.program, 1);
    process_signal(&run.target.process, SIGKILL);
    assert_true(df2redis_wait_said(&run.program, "FLUSHALL (txid 77) is left", RUN_DEADLINE_MS));
    assert_int_equal(kill(worker, SIGSTOP), 0);
    redis_restart(&run.target, NULL);
    scripted_hold(run.source, 0, NEVER);
    assert_true(wait_until(has_two_arrivals, &run.program.process, RUN_DEADLINE_MS));
    assert_int_equal(exists("a b before0"), 3);
    assert_int_equal(exists("before1"), 0);
    assert_int_equal(kill(worker, SIGCONT), 0);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(exists("after0 after1"), 2);
    assert_int_equal(run_target_keys(&run), 2);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

/* FLOW 1 learns too late that its target was another one: the flush ran without what it had lost. */
static void entries_lost_before_a_flush_that_ran_are_not_applied_behind_it(void **state)
{
    (void)state;
    begin_with_one_flow_at_the_flush(NULL);
    pid_t worker = worker_pid(&run.program, 1);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    redis_restart(&run.target, NULL);
    scripted_hold(run.source, 0, NEVER);
    assert_true(wait_until(key_has_come, "after0", RUN_DEADLINE_MS));
    assert_int_equal(kill(worker, SIGCONT), 0);
    assert_true(run_wait_source(&run, NULL, "DFLY SYNC", 2));
    assert_true(df2redis_said(&run.program, "had lost entries that stand before it in the journal"));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(exists("a b"), 2);
    assert_int_equal(run_target_keys(&run), 2);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Its successor goes back to the restart record, before the flush that has run meanwhile, and has no note to read. */
static void without_marks_entries_are_not_applied_behind_a_flush(void **state)
{
    (void)state;
    begin_with_one_flow_at_the_flush((const char *const[]){"--marks", "off", NULL});
    pid_t worker = worker_pid(&run.program, 1);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    scripted_hold(run.source, 0, NEVER);
    assert_true(wait_until(key_has_come, "after0", RUN_DEADLINE_MS));
    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_true(run_wait_source(&run, NULL, "DFLY SYNC", 2));
    assert_true(df2redis_said(&run.program, "may have run before entries of this FLOW"));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(exists("a b"), 2);
    assert_int_equal(run_target_keys(&run), 2);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool has_three_keys(void *arg)
{
    (void)arg;
    return (cluster.count ? redis_cluster_keys(&cluster) : run_target_keys(&run)) == 3;
}

/* FLOW 0 is past a flush that deletes nothing on the target, with a mark there, and FLOW 1 has its last mark before it:
 * it has to learn that it need not wait for FLOW 0. */
static void go_past_what_deletes_nothing(const char *flush, const char *const *options, bool in_cluster,
                                         int code)
{
    const struct line first[] = {{3, 77, flush}, {0, 0, "INCR n0"}, {0, 0, NULL}};
    const struct line second[] = {{3, 77, flush}, {0, 0, "SET b x"}, {0, 0, NULL}};
    struct scripted_options scripted;
    scripted_options_init(&scripted);
    struct scripted_session s = two_flows(NULL, first, second);
    uint64_t held_at = s.flows[0].journal_at;
    scripted_options_add(&scripted, s);
    if (in_cluster) {
        redis_cluster_start(&cluster, 3, 0);
        run_begin_in(&run, &cluster, &scripted);
    } else {
        run_begin(&run, &scripted);
    }
    scripted_hold(run.source, 0, held_at);
    run_replicate(&run, options);
    assert_true(df2redis_wait_said(&run.program, "(txid 77) is reached", RUN_DEADLINE_MS));
    assert_int_equal(kill(worker_pid(&run.program, 1), SIGSTOP), 0);
    scripted_hold(run.source, 0, NEVER);
    assert_true(wait_until(has_three_keys, NULL, RUN_DEADLINE_MS));
    process_stop(&run.program.process);
    run_replicate(&run, options);
    assert_true(run_wait_in_step(&run));
    assert_true(has_three_keys(NULL));
    assert_int_equal(run_terminate(&run), code);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

static void flow_before_a_filtered_flush_goes_on_after_a_kill(void **state)
{
    (void)state;
    go_past_what_deletes_nothing("FLUSHALL", (const char *const[]){"--include", "*", NULL}, false,
                                 EX_DATAERR); /* counted as a divergence */
}

static void flow_before_a_flush_of_a_database_not_copied_goes_on_after_a_kill(void **state)
{
    (void)state;
    go_past_what_deletes_nothing("FLUSHDB", (const char *const[]){"--db", "0", NULL}, false, EX_OK);
}

static void the_same_in_a_cluster(void **state)
{
    (void)state;
    go_past_what_deletes_nothing("FLUSHALL", (const char *const[]){"--include", "*", NULL}, true, EX_DATAERR);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(flush_waits_until_every_flow_is_there, teardown),
        cmocka_unit_test_teardown(flow_that_waits_at_a_flush_lags_by_the_flush_alone, teardown),
        cmocka_unit_test_teardown(flushdb_empties_one_database, teardown),
        cmocka_unit_test_teardown(flush_in_the_snapshot_starts_the_full_sync_again, teardown),
        cmocka_unit_test_teardown(flush_of_a_database_that_is_not_copied_is_none_of_the_snapshots, teardown),
        cmocka_unit_test_teardown(flush_waits_again_for_a_flow_whose_target_went_away, teardown),
        cmocka_unit_test_teardown(entries_lost_before_a_flush_that_ran_are_not_applied_behind_it, teardown),
        cmocka_unit_test_teardown(without_marks_entries_are_not_applied_behind_a_flush, teardown),
        cmocka_unit_test_teardown(flow_before_a_filtered_flush_goes_on_after_a_kill, teardown),
        cmocka_unit_test_teardown(flow_before_a_flush_of_a_database_not_copied_goes_on_after_a_kill,
                                  teardown),
        cmocka_unit_test_teardown(the_same_in_a_cluster, teardown),
        cmocka_unit_test_teardown(counters_around_a_flush_count_once_after_a_cut, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
