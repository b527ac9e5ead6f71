/* What is said to the source, in which order, and what happens when the source answers otherwise. The
 * scripted master turns any step that PROTOCOL §1 forbids into a violation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/stream_writer.h"
#include "tests/support/testing.h"

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

/* A small snapshot with a journal, over two FLOWs. */
static struct scripted_session small_session(void)
{
    struct generate_options g;
    generate_options_init(&g);
    g.flows = 2;
    g.strings = 40;
    g.lists = 4;
    g.journal_sets = 30;
    return generate_session(&g, NULL);
}

static void small_options(struct scripted_options *o)
{
    scripted_options_init(o);
    scripted_options_add(o, small_session());
}

static void assert_in_step_with_small_session(void)
{
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_target_keys(&run), 40 + 4 + 30);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_string_equal(scripted_violation(run.source), "");
}

static void assert_ends_with(int status, const char *text)
{
    int ended = process_wait(&run.program.process, RUN_DEADLINE_MS);
    bool said = df2redis_said(&run.program, text);
    if (ended != status || !said)
        df2redis_print(&run.program);
    assert_int_equal(ended, status);
    assert_true(said);
    assert_string_equal(scripted_violation(run.source), "");
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 0);
    assert_int_equal(run_target_keys(&run), 0);
}

static void replicate_from(const struct scripted_options *options)
{
    run_begin(&run, options);
    run_replicate(&run, NULL);
}

static void handshake_comes_in_order(void **state)
{
    (void)state;
    static const char *const steps[] = {"PING",
                                        "REPLCONF listening-port ",
                                        "REPLCONF capa eof capa psync2",
                                        "REPLCONF capa dragonfly",
                                        "REPLCONF CLIENT-ID ",
                                        "REPLCONF CLIENT-VERSION 5",
                                        "DFLY FLOW ",
                                        "DFLY SYNC SYNC1",
                                        "DFLY STARTSTABLE SYNC1"};
    struct scripted_options options;
    small_options(&options);
    replicate_from(&options);
    assert_in_step_with_small_session();
    uint64_t before = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        uint64_t at = scripted_time_us(run.source, NULL, steps[i], 0);
        if (at < before || !at)
            scripted_print(run.source, stderr);
        assert_true(at >= before && at);
        before = at;
    }
    assert_int_equal(scripted_count(run.source, NULL, "DFLY FLOW "), 2);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE"), 1);
}

static void older_masters_get_their_own_version(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.version = 4;
    options.lineage = false;
    replicate_from(&options);
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, "control", "REPLCONF CLIENT-VERSION 4"), 1);
}

/* The barrier: one FLOW's FULLSYNC_END alone does not release it, and its EOF token is not waited for. */
static void startstable_waits_for_the_last_fullsync_end(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    uint64_t end = options.sessions[0].flows[1].fullsync_end;
    run_begin(&run, &options);
    scripted_hold(run.source, 1, end - 1);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_status(&run.program, "flows.0.phase", "full-sync-end", RUN_DEADLINE_MS));
    assert_true(scripted_sent(run.source, 1) <= end - 1);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE"), 0);
    scripted_hold(run.source, 1, NEVER);
    assert_in_step_with_small_session();
    assert_true(scripted_time_us(run.source, NULL, "DFLY STARTSTABLE", 0) >
                scripted_time_us(run.source, "flow 1", "fullsync end sent", 0));
}

static void acks_reach_the_end_of_the_journal(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    replicate_from(&options);
    assert_true(run_wait_in_step(&run));
    for (size_t flow = 0; flow < 2; flow++)
        assert_int_equal(scripted_acked(run.source, flow), scripted_end_lsn(run.source, flow));
    struct buf more = {0};
    write_journal(&more, 0, 0, "SET later x");
    write_packed(&more, 13); /* PING */
    scripted_append(run.source, 1, buf_slice(&more));
    buf_free(&more);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_target_keys(&run), 75);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void wait_and_cut(void)
{
    assert_true(run_wait_in_step(&run));
    scripted_cut_all(run.source);
}

static void cut_in_stable_sync_resumes_without_full_sync(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    replicate_from(&options);
    wait_and_cut();
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE", 2));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

static void lost_control_connection_resumes_without_full_sync(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    replicate_from(&options);
    assert_true(run_wait_in_step(&run));
    scripted_cut_control(run.source);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE", 2));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

/* The second session is answered PARTIAL on one FLOW and FULL on the other: neither SYNC nor STARTSTABLE may
 * follow. The third asks for no LSN and is FULL. */
static void mix_of_full_and_partial_is_never_gone_on_with(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    scripted_options_add(&options, small_session());
    options.sessions[1].flows[0].reply = REPLY_PARTIAL;
    options.sessions[1].flows[1].reply = REPLY_FULL;
    scripted_options_add(&options, small_session());
    replicate_from(&options);
    wait_and_cut();
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC3", 1));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC SYNC2"), 0);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE SYNC2"), 0);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC SYNC3"), 1);
}

static void full_answer_to_an_lsn_starts_a_full_sync(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    scripted_options_add(&options, small_session());
    options.sessions[1].flows[0].reply = options.sessions[1].flows[1].reply = REPLY_FULL;
    replicate_from(&options);
    wait_and_cut();
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 2);
}

static struct scripted_session session_with_filter(void)
{
    static const char token[41] = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
    const struct slice add[] = {slice_str("BF.ADD"), slice_str("filter"), slice_str("x")};
    struct scripted_session s = scripted_session_new(1);
    struct stream_writer w;
    writer_begin(&w, 0, token);
    writer_string(&w, slice_str("a"), slice_str("snapshot"));
    writer_fullsync_end(&w);
    writer_stable(&w, 1);
    writer_command(&w, 0, 1, 3, add);
    s.flows[0] = writer_finish(&w);
    return s;
}

static void a_copy_begun_anew_counts_its_divergences_anew(void **state)
{
    (void)state;
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, session_with_filter());
    scripted_options_add(&options, session_with_filter());
    options.sessions[1].flows[0].reply = REPLY_FULL;
    run_begin(&run, &options);
    run_replicate(&run, (const char *const[]){"--on-full-resync", "flush", NULL});
    wait_and_cut();
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(df2redis_status_number(&run.program, "divergences.command_not_in_target"), 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 2);
}

/* A phase command that is refused is not said again in that session, nor the other one instead of it. */
static void refused_sync_starts_over(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.sessions[0].refuse_sync = true;
    scripted_options_add(&options, small_session());
    replicate_from(&options);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC SYNC1"), 1);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE SYNC1"), 0);
}

static void refused_startstable_starts_over(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.sessions[0].refuse_startstable = true;
    scripted_options_add(&options, small_session());
    replicate_from(&options);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC SYNC1"), 1);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE SYNC1"), 1);
}

static void refused_startstable_after_partial_asks_for_a_full_sync(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    scripted_options_add(&options, small_session());
    options.sessions[1].refuse_startstable = true;
    scripted_options_add(&options, small_session());
    replicate_from(&options);
    wait_and_cut();
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC3", 1));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC SYNC2"), 0);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE SYNC2"), 1);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC SYNC3"), 1);
}

static void session_that_breaks_is_started_again(enum scripted_reply reply, uint64_t close_at)
{
    struct scripted_options options;
    small_options(&options);
    options.sessions[0].flows[1].reply = reply;
    options.sessions[0].flows[1].close_at = close_at;
    scripted_options_add(&options, small_session());
    replicate_from(&options);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_in_step_with_small_session();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE SYNC1"), 0);
}

static void flow_refused_as_invalid_state_is_tried_again(void **state)
{
    (void)state;
    session_that_breaks_is_started_again(REPLY_ERROR, NEVER);
}

static void flow_closed_instead_of_an_answer_is_tried_again(void **state)
{
    (void)state;
    session_that_breaks_is_started_again(REPLY_CLOSE, NEVER);
}

static void flow_closed_in_the_snapshot_is_tried_again(void **state)
{
    (void)state;
    session_that_breaks_is_started_again(REPLY_AUTO, 600);
}

static void flow_that_never_answers_is_given_up_and_tried_again(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.sessions[0].flows[1].reply = REPLY_SILENCE;
    scripted_options_add(&options, small_session());
    run_begin(&run, &options);
    static const char *const quickly[] = {"--connect-timeout", "2s", NULL};
    run_replicate(&run, quickly);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_in_step_with_small_session();
}

static void source_that_is_down_is_waited_for(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    run_begin(&run, &options);
    scripted_listen(run.source, false);
    run_replicate(&run, NULL);
    char *address = format_text("127.0.0.1:%u", scripted_port(run.source));
    bool named = df2redis_wait_said(&run.program, address, RUN_DEADLINE_MS);
    free(address);
    assert_true(named);
    scripted_listen(run.source, true);
    assert_in_step_with_small_session();
}

static void refused_client_id_is_only_a_warning(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.refuse_client_id = true;
    replicate_from(&options);
    assert_in_step_with_small_session();
    assert_true(df2redis_said(&run.program, "CLIENT-ID"));
}

static void redis_as_the_source_is_refused(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.kind = SCRIPTED_REDIS;
    replicate_from(&options);
    assert_ends_with(EX_CONFIG, "not a Dragonfly");
}

static void replica_as_the_source_is_refused(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.kind = SCRIPTED_REPLICA;
    replicate_from(&options);
    assert_ends_with(EX_CONFIG, "master");
}

/* The program with a password in its source URI. */
static void replicate_with_password(struct scripted_options *options, const char *userinfo)
{
    run_begin(&run, options);
    char *uri = format_text("redis://%s@127.0.0.1:%u", userinfo, scripted_port(run.source));
    df2redis_start(&run.program, "replicate", uri, run.target.uri, NULL);
    free(uri);
}

static void missing_password_is_named(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.password = "sesame-27";
    replicate_from(&options);
    assert_ends_with(EX_NOPERM, "password");
}

static void wrong_password_is_refused_and_not_shown(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.password = "sesame-27";
    replicate_with_password(&options, ":wrong-27");
    assert_ends_with(EX_NOPERM, "password");
    assert_false(df2redis_said(&run.program, "wrong-27"));
}

static void acl_user_and_password_are_used_on_every_connection(void **state)
{
    (void)state;
    struct scripted_options options;
    small_options(&options);
    options.user = "replicator";
    options.password = "sesame-27";
    replicate_with_password(&options, "replicator:sesame-27");
    assert_in_step_with_small_session();
    assert_true(scripted_count(run.source, NULL, "AUTH") >=
                4); /* control, two FLOWs, the watch; the comparison of keys */
    assert_false(df2redis_said(&run.program, "sesame-27"));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(handshake_comes_in_order, teardown),
        cmocka_unit_test_teardown(older_masters_get_their_own_version, teardown),
        cmocka_unit_test_teardown(startstable_waits_for_the_last_fullsync_end, teardown),
        cmocka_unit_test_teardown(acks_reach_the_end_of_the_journal, teardown),
        cmocka_unit_test_teardown(cut_in_stable_sync_resumes_without_full_sync, teardown),
        cmocka_unit_test_teardown(lost_control_connection_resumes_without_full_sync, teardown),
        cmocka_unit_test_teardown(mix_of_full_and_partial_is_never_gone_on_with, teardown),
        cmocka_unit_test_teardown(full_answer_to_an_lsn_starts_a_full_sync, teardown),
        cmocka_unit_test_teardown(a_copy_begun_anew_counts_its_divergences_anew, teardown),
        cmocka_unit_test_teardown(refused_sync_starts_over, teardown),
        cmocka_unit_test_teardown(refused_startstable_starts_over, teardown),
        cmocka_unit_test_teardown(refused_startstable_after_partial_asks_for_a_full_sync, teardown),
        cmocka_unit_test_teardown(flow_refused_as_invalid_state_is_tried_again, teardown),
        cmocka_unit_test_teardown(flow_closed_instead_of_an_answer_is_tried_again, teardown),
        cmocka_unit_test_teardown(flow_closed_in_the_snapshot_is_tried_again, teardown),
        cmocka_unit_test_teardown(flow_that_never_answers_is_given_up_and_tried_again, teardown),
        cmocka_unit_test_teardown(source_that_is_down_is_waited_for, teardown),
        cmocka_unit_test_teardown(refused_client_id_is_only_a_warning, teardown),
        cmocka_unit_test_teardown(redis_as_the_source_is_refused, teardown),
        cmocka_unit_test_teardown(replica_as_the_source_is_refused, teardown),
        cmocka_unit_test_teardown(missing_password_is_named, teardown),
        cmocka_unit_test_teardown(wrong_password_is_refused_and_not_shown, teardown),
        cmocka_unit_test_teardown(acl_user_and_password_are_used_on_every_connection, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
