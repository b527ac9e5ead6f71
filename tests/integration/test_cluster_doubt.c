/* Nodes of a cluster about which there is doubt: what they were sent and did not answer, what they hold while nobody
 * reaches them. Nothing is lost, nothing done twice, and a node that does not matter holds up nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/cluster_doubt.h"

/* ---- unanswered ---- */

struct hanging {
    size_t member;
    uint64_t unread_bytes;
};

static bool is_sent(void *arg)
{
    struct hanging *h = arg;
    return port_unread_bytes(cluster.members[h->member].server.port) >= h->unread_bytes;
}

/* What it has not read then. */
static uint64_t hang_and_write(size_t member, const char *words)
{
    struct hanging h = {member, 1};
    process_signal(&cluster.members[member].server.process, SIGSTOP);
    line(words);
    assert_true(wait_until(is_sent, &h, RUN_DEADLINE_MS));
    return port_unread_bytes(cluster.members[member].server.port);
}

/* Its one FLOW notices that the slot has moved, and asks again; then it has nothing to do but wait. Whether
 * keys came along nobody can say. */
static void what_a_node_did_not_answer_before_others_took_its_slots_is_not_lost(void **state)
{
    (void)state;
    begin(1);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    line("SET {%s}answered 1");
    line("DEL {%s}answered");
    wait_marks();
    hang_and_write(IDLE, "SET {%s}unanswered 2");
    uint64_t asked = redis_cluster_asked(&cluster);
    assert_true(redis_cluster_take_slot(&cluster, SLOT, 0));
    assert_true(redis_cluster_wait_asked(&cluster, asked + TAKING + TWO_LOOKS));
    line("SET {%s}after 4");
    assert_true(wait_until(crash_all_received, &crash, RUN_DEADLINE_MS));
    redis_cluster_kill(&cluster, IDLE);
    assert_equal_after(2);
}

/* Of keys this long there is no mistaking a question for one about the cluster. */
#define TEN "0123456789"
#define SOURCE_KEY "{c}" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
enum { QUESTION_BYTES = 200 };

/* Each source is asked for twice then: the first answers are those to questions that nobody asks any more. */
static void late_answers_are_not_taken_for_those_to_new_questions(void **state)
{
    (void)state;
    begin(1);
    line("SADD " SOURCE_KEY "1 1 2 3");
    line("SADD " SOURCE_KEY "2 2");
    line("SDIFFSTORE {%s}first " SOURCE_KEY "1 " SOURCE_KEY "2"); /* from now on somebody reads there */
    wait_marks();
    uint64_t asked_bytes = hang_and_write(SOURCE, "SDIFFSTORE {%s}second " SOURCE_KEY "1 " SOURCE_KEY "2");
    struct hanging again = {SOURCE, asked_bytes + QUESTION_BYTES};
    assert_true(redis_cluster_cut(&cluster, 2, "df2redis:default:flow-0"));
    assert_true(wait_until(is_sent, &again, RUN_DEADLINE_MS));
    process_signal(&cluster.members[SOURCE].server.process, SIGCONT);
    assert_equal_after(1);
}

/* ---- between two masters ---- */

/* LPOP is refused, or done. */
static bool was_tried(void *arg)
{
    (void)arg;
    redisContext *c = redis_cluster_connect(&cluster, IDLE);
    char words[60];
    freeReplyObject(server_command(c, "ASKING"));
    snprintf(words, sizeof words, "LLEN {%s}list", slot_tag(SLOT));
    bool done = server_integer(c, words) == 3;
    redisFree(c);
    return done || df2redis_said(&crash.run.program, "OOM");
}

static void refused_by_an_importing_node(void)
{
    tell(IDLE, "CONFIG SET maxmemory 1", NULL);
    line("LPOP {%s}list");
    assert_true(wait_until(was_tried, NULL, RUN_DEADLINE_MS));
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    tell(IDLE, "CONFIG SET maxmemory 0", NULL);
    end_between();
    assert_equal_after(1);
}

static void an_importing_node_without_memory_does_nothing_without_its_mark(void **state)
{
    (void)state;
    begin_between(FLOWS);
    refused_by_an_importing_node();
}

/* When it is sent, the marks of all nodes are due, a second after the last: those say nothing of it. */
static void the_marks_of_other_nodes_do_not_vouch_for_what_it_refuses(void **state)
{
    (void)state;
    begin_between(FLOWS);
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + SOME_LOOKS));
    refused_by_an_importing_node();
}

static void a_node_that_imports_no_more_for_a_while_refuses_nothing(void **state)
{
    (void)state;
    begin_between(FLOWS);
    tell(IDLE, "CLUSTER SETSLOT 100 STABLE", NULL);
    line("INCR beyond"); /* and marks after it */
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + SOME_LOOKS));
    tell(IDLE, "CLUSTER SETSLOT 100 IMPORTING %s", cluster.members[0].id);
    line("APPEND {%s}grows 3");
    end_between();
    assert_equal_after(1);
}

/* ---- flushes ---- */

static void a_flush_waits_for_a_failed_node_to_which_a_slot_is_on_its_way(void **state)
{
    (void)state;
    begin(FLOWS);
    line("SET {%s}old 1");
    assert_in_step();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 100));
    assert_true(redis_cluster_keys_in_slot(&cluster, SLOT, IDLE) > 0);
    tell(IDLE, "SAVE", NULL);
    kill_until_failed();
    journal_script_flush(&crash.script, crash.run.source);
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + SOME_LOOKS));
    assert_false(df2redis_said(&crash.run.program, "was run on the target"));
    bring_back();
    end_between();
    line("SET {%s}new 2");
    assert_equal(); /* by a full sync, unless the flush was first */
    assert_ends_well();
}

static void a_failed_node_without_slots_holds_up_no_flush(void **state)
{
    (void)state;
    begin(FLOWS);
    kill_until_failed();
    line("SET {%s}old 1");
    journal_script_flush(&crash.script, crash.run.source);
    line("SET {%s}new 2");
    assert_equal(); /* by a full sync, unless the flush was first */
    assert_ends_well();
}

/* ---- masters that clients do not reach ---- */

/* On a busy machine nodes may take each other for dead for a moment, and refuse. */
static bool is_clean(void *arg)
{
    (void)arg;
    const char *const argv[] = {df2redis_binary(), "clean",   "--target", crash.run.target.uri,
                                "--name",          "default", NULL};
    char *said = NULL;
    int status = process_run(argv, RUN_DEADLINE_MS, &said);
    if (status != EX_OK)
        fprintf(stderr, "clean ended with %d: %s\n", status, said);
    free(said);
    return status == EX_OK;
}

/* One is at a port where nobody is, one behind another password. */
static void masters_that_nobody_reaches_hold_up_only_the_emptying_of_slots_on_their_way(void **state)
{
    (void)state;
    start_cluster(2, 0);
    tell(IDLE, "CONFIG SET cluster-announce-port 1", NULL);
    tell(IDLE + 1, "CONFIG SET requirepass other", NULL);
    assert_true(redis_cluster_wait_listed(&cluster, IDLE, "127.0.0.1:1@"));
    crash_begin_in(&crash, &cluster, FLOWS, &crash_small);
    replicate();
    assert_true(crash_kill(&crash, true));
    line("INCR again");
    replicate();
    assert_equal_after(1);
    assert_true(wait_until(is_clean, NULL, RUN_DEADLINE_MS));
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 0));
    run_replicate(&crash.run, (const char *const[]){"--flush-target", NULL});
    assert_true(
        df2redis_wait_said(&crash.run.program, "cannot be reached, and a slot whose keys", RUN_DEADLINE_MS));
    assert_true(redis_cluster_keys(&cluster) > 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_a_node_did_not_answer_before_others_took_its_slots_is_not_lost,
                                  teardown),
        cmocka_unit_test_teardown(late_answers_are_not_taken_for_those_to_new_questions, teardown),
        cmocka_unit_test_teardown(an_importing_node_without_memory_does_nothing_without_its_mark, teardown),
        cmocka_unit_test_teardown(the_marks_of_other_nodes_do_not_vouch_for_what_it_refuses, teardown),
        cmocka_unit_test_teardown(a_node_that_imports_no_more_for_a_while_refuses_nothing, teardown),
        cmocka_unit_test_teardown(a_flush_waits_for_a_failed_node_to_which_a_slot_is_on_its_way, teardown),
        cmocka_unit_test_teardown(a_failed_node_without_slots_holds_up_no_flush, teardown),
        cmocka_unit_test_teardown(masters_that_nobody_reaches_hold_up_only_the_emptying_of_slots_on_their_way,
                                  teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
