/* A master of the target's cluster that somebody empties, or takes a mark from: the marks tell, and nothing
 * goes on as if its keys were there. What moves a mark, or takes it away lawfully, costs no full sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>

#include "tests/support/cluster_doubt.h"

enum { EMPTIED = 1, PAUSE_MS = 15 };

static void load(void)
{
    journal_script_append(&crash.script, crash.run.source, 60);
    poll(NULL, 0, PAUSE_MS); /* the rate of the load */
}

static bool has_new_session(void *arg)
{
    (void)arg;
    return crash_full_syncs(&crash) >= 2 || !process_running(&crash.run.program.process);
}

static void begin_marked_flows(uint32_t flows)
{
    start_cluster(0, 0);
    crash_begin_in(&crash, &cluster, flows, &crash_small);
    replicate();
    wait_marks();
}

static void begin_marked(void)
{
    begin_marked_flows(FLOWS);
}

static void assert_noticed(const char *text)
{
    assert_true(wait_until(has_new_session, NULL, RUN_DEADLINE_MS));
    assert_true(process_running(&crash.run.program.process));
    assert_true(df2redis_said(&crash.run.program, text));
    assert_equal_after(2);
}

static void a_master_flushed_by_somebody_is_noticed(void **state)
{
    (void)state;
    begin_marked();
    tell(EMPTIED, "FLUSHALL", NULL);
    for (int i = 0; i < 400 && !has_new_session(NULL); i++)
        load();
    assert_noticed("has emptied it (FLUSHALL, FLUSHDB)");
}

/* Nothing comes from the source that would bring a mark. */
static void a_master_flushed_by_somebody_is_noticed_while_nothing_comes(void **state)
{
    (void)state;
    begin_marked();
    assert_in_step();
    tell(EMPTIED, "FLUSHALL", NULL);
    assert_noticed("has emptied it (FLUSHALL, FLUSHDB)");
}

static void delete_mark(size_t member)
{
    char key[80];
    slot_mark_key(key, sizeof key, "default", (uint16_t)(CLUSTER_SLOTS * member / MASTERS));
    tell(member, "DEL %s", key);
}

static void a_mark_that_somebody_deletes_is_noticed(void **state)
{
    (void)state;
    begin_marked();
    delete_mark(EMPTIED);
    for (int i = 0; i < 400 && !has_new_session(NULL); i++)
        load();
    assert_noticed("or deleted df2redis:default:{");
}

/* The connections break at the same time: what stands there is read then. */
static void a_master_flushed_while_the_links_are_away_is_noticed(void **state)
{
    (void)state;
    begin_marked();
    assert_in_step();
    redisContext *c = redis_cluster_connect(&cluster, EMPTIED);
    server_ok(c, "FLUSHALL");
    freeReplyObject(server_command(c, "CLIENT KILL TYPE normal SKIPME yes"));
    redisFree(c);
    assert_noticed("has emptied it (FLUSHALL, FLUSHDB)");
}

static void a_master_flushed_while_workers_are_dead_is_noticed(void **state)
{
    (void)state;
    begin_marked();
    assert_in_step();
    pid_t supervisor = crash.run.program.process.pid;
    kill(supervisor, SIGSTOP); /* so that no successor comes before the flush */
    for (uint32_t f = 0; f < FLOWS; f++)
        kill(worker_pid(&crash.run.program, f), SIGKILL);
    tell(EMPTIED, "FLUSHALL", NULL);
    kill(supervisor, SIGCONT);
    assert_noticed("has emptied it (FLUSHALL, FLUSHDB)");
}

static void a_master_that_evicted_the_mark_ends_the_run(void **state)
{
    (void)state;
    begin_marked();
    redis_cluster_each(&cluster, "CONFIG SET maxmemory-policy allkeys-lru");
    redis_cluster_each(&cluster, "CONFIG SET maxmemory 1gb");
    for (size_t m = 0; m < MASTERS; m++) { /* the policy is asked for when connecting */
        redisContext *c = redis_cluster_connect(&cluster, m);
        freeReplyObject(server_command(c, "CLIENT KILL TYPE normal SKIPME yes"));
        redisFree(c);
    }
    wait_marks();
    delete_mark(EMPTIED);
    for (int i = 0; i < 400 && process_running(&crash.run.program.process); i++)
        load();
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_CONFIG);
    assert_true(df2redis_said(&crash.run.program, "has evicted the run's mark"));
    assert_int_equal(crash_full_syncs(&crash), 1);
}

/* Written again by a worker that died before the answer came: without the field beside it, it tells. */
static void a_mark_that_was_written_after_a_flush_is_none(void **state)
{
    (void)state;
    begin_marked_flows(1);
    assert_in_step();
    pid_t supervisor = crash.run.program.process.pid;
    kill(supervisor, SIGSTOP);
    kill(worker_pid(&crash.run.program, 0), SIGKILL);
    char *mark = node_mark(EMPTIED), key[80];
    slot_mark_key(key, sizeof key, "default", (uint16_t)(CLUSTER_SLOTS * EMPTIED / MASTERS));
    redisContext *c = redis_cluster_connect(&cluster, EMPTIED);
    redisReply *own = server_commandf(c, "HGET %s flow-0", key);
    assert_int_equal(own->type, REDIS_REPLY_STRING);
    server_ok(c, "FLUSHALL");
    freeReplyObject(server_commandf(c, "HSET %s flow-0 %s node-0 %s", key, own->str, mark));
    freeReplyObject(own);
    redisFree(c);
    free(mark);
    kill(supervisor, SIGCONT);
    assert_noticed("was written after");
}

/* The lowest slot of each goes to the next, so that all marks stand elsewhere. */
static void move_lowest_slots(void)
{
    for (size_t m = 0; m < MASTERS; m++)
        assert_true(
            redis_cluster_move_slot(&cluster, (uint16_t)(CLUSTER_SLOTS * m / MASTERS), (m + 1) % MASTERS));
    assert_true(redis_cluster_wait_ok(&cluster));
}

static void marks_that_move_with_their_slots_are_not_lost(void **state)
{
    (void)state;
    begin_marked();
    for (int i = 0; i < 3; i++) {
        move_lowest_slots();
        load();
        for (uint32_t f = 0; f < FLOWS; f++)
            assert_true(kill_worker(&crash.kills, &crash.run.program, f));
        assert_in_step();
        for (size_t m = 0; m < MASTERS; m++)
            assert_true(redis_cluster_move_slot(&cluster, (uint16_t)(CLUSTER_SLOTS * m / MASTERS), m));
        assert_true(redis_cluster_wait_ok(&cluster));
        load();
        assert_in_step();
    }
    assert_equal_after(1);
}

static void a_flush_of_the_source_is_no_loss(void **state)
{
    (void)state;
    begin_marked();
    for (int i = 0; i < 12; i++) {
        load();
        journal_script_flush(&crash.script, crash.run.source);
        if (i % 3 == 0)
            assert_true(kill_worker(&crash.kills, &crash.run.program, (uint32_t)i / 3 % FLOWS));
        load();
    }
    assert_equal_after(1);
}

enum { PROMOTED = MASTERS };

/* FLOW 1 comes to a flush once more, in a cluster where one was promoted: only the notes tell whether it was
 * run. The note of that one lies elsewhere by then. The worker, stopped. */
static pid_t begin_flushed_and_moved(void)
{
    start_cluster(0, 1);
    tell(PROMOTED, "CLUSTER FAILOVER", NULL);
    assert_true(redis_cluster_wait_promoted(&cluster, 0));
    crash_begin_in(&crash, &cluster, FLOWS, &crash_small);
    replicate();
    scripted_hold(crash.run.source, 0, scripted_sent(crash.run.source, 0));
    journal_script_flush(&crash.script, crash.run.source);
    assert_true(
        df2redis_wait_said(&crash.run.program, "flow=1 FLUSHALL (txid 1001) is reached: ", RUN_DEADLINE_MS));
    assert_true(redis_cluster_cut(&cluster, PROMOTED, "df2redis:default:flow-1"));
    assert_true(df2redis_wait_said(&crash.run.program, "flow=1 FLUSHALL (txid 1001) is reached once more",
                                   RUN_DEADLINE_MS));
    pid_t worker = worker_pid(&crash.run.program, 1);
    kill(worker, SIGSTOP);
    scripted_hold(crash.run.source, 0, NEVER);
    assert_true(df2redis_wait_said(&crash.run.program, "was run on the target", RUN_DEADLINE_MS));
    assert_true(redis_cluster_move_slot(&cluster, 0, 1));
    assert_true(redis_cluster_wait_ok(&cluster));
    return worker;
}

static void a_flush_that_was_run_is_known_where_its_note_has_moved(void **state)
{
    (void)state;
    pid_t worker = begin_flushed_and_moved();
    kill(worker, SIGCONT);
    load();
    assert_equal_after(1);
}

/* It may not have had the flush when it was promoted. */
static void such_a_note_does_not_vouch_for_a_replica_that_took_over(void **state)
{
    (void)state;
    pid_t worker = begin_flushed_and_moved();
    redis_cluster_kill(&cluster, PROMOTED);
    notice_failures();
    assert_true(redis_cluster_wait_promoted(&cluster, PROMOTED));
    kill(worker, SIGCONT);
    load();
    assert_equal_after(2);
}

/* ---- a new session, which remembers nothing ---- */

static void start_again(void)
{
    run_replicate(&crash.run,
                  (const char *const[]){"--connect-timeout", "500ms", "--on-full-resync", "flush", NULL});
    assert_in_step();
}

static void slots_that_moved_between_two_sessions_cost_no_full_sync(void **state)
{
    (void)state;
    begin_marked();
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    move_lowest_slots();
    load();
    start_again();
    assert_equal_after(1);
}

/* A flush takes away the hash that the supervisor marked. */
static void nor_do_they_after_a_flush_of_the_source(void **state)
{
    (void)state;
    begin_marked();
    journal_script_flush(&crash.script, crash.run.source);
    load();
    assert_in_step();
    assert_true(crash_kill(&crash, true));
    move_lowest_slots();
    load();
    start_again();
    assert_equal_after(1);
}

static void slots_that_moved_before_a_session_began_cost_no_full_sync(void **state)
{
    (void)state;
    begin_marked();
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    scripted_cut_all(crash.run.source);
    assert_true(df2redis_wait_said(&crash.run.program, "is itself a replica", RUN_DEADLINE_MS));
    move_lowest_slots();
    scripted_become(crash.run.source, SCRIPTED_DRAGONFLY);
    load();
    assert_in_step();
    assert_true(df2redis_said(&crash.run.program, "no full sync"));
    assert_equal_after(1);
}

/* All die while the workers of a session that goes on with the journal wait for it: their predecessors' spools are
 * gone. */
static void nor_before_one_had_more_than_begun(void **state)
{
    (void)state;
    begin_marked();
    size_t begun = scripted_count(crash.run.source, NULL, "DFLY STARTSTABLE");
    scripted_hold_stable(crash.run.source, true);
    scripted_cut_all(crash.run.source);
    assert_true(scripted_wait(crash.run.source, NULL, "DFLY STARTSTABLE", begun + 1, RUN_DEADLINE_MS));
    assert_true(crash_kill(&crash, true));
    scripted_hold_stable(crash.run.source, false);
    move_lowest_slots();
    load();
    start_again();
    assert_true(df2redis_said(&crash.run.program, "had only begun to go on with the journal"));
    assert_equal_after(1);
}

enum { TAKER = 1, HEIR = MASTERS + TAKER };

static bool heir_knows_of_the_slot(void *arg)
{
    (void)arg;
    char its_line[60];
    snprintf(its_line, sizeof its_line, "%s 127.", cluster.members[TAKER].id);
    redisContext *c = redis_cluster_connect(&cluster, HEIR);
    redisReply *r = server_command(c, "CLUSTER NODES");
    char *at = strstr(r->str, its_line), *end = at ? strchr(at, '\n') : NULL;
    if (end)
        *end = 0;
    bool knows = end && strstr(at, " 100 ");
    freeReplyObject(r);
    redisFree(c);
    return knows;
}

/* It lacks their keys, and is as a replica that took over in order for all that the marks tell. */
static void a_replica_does_not_vouch_for_slots_that_came_before_it_took_over(void **state)
{
    (void)state;
    start_cluster(0, 1);
    crash_begin_in(&crash, &cluster, FLOWS, &crash_small);
    replicate();
    line("SET {%s}lost value");
    wait_marks();
    scripted_become(crash.run.source, SCRIPTED_REPLICA);
    scripted_cut_all(crash.run.source);
    assert_true(df2redis_wait_said(&crash.run.program, "is itself a replica", RUN_DEADLINE_MS));
    tell(HEIR, "CONFIG SET masteruser nobody", NULL);
    tell(HEIR, "CONFIG SET masterauth nothing", NULL);
    redisContext *c = redis_cluster_connect(&cluster, TAKER);
    freeReplyObject(server_command(c, "CLIENT KILL TYPE replica"));
    redisFree(c);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, TAKER));
    assert_true(wait_until(heir_knows_of_the_slot, NULL, RUN_DEADLINE_MS));
    redis_cluster_kill(&cluster, TAKER);
    notice_failures();
    assert_true(redis_cluster_wait_promoted(&cluster, TAKER));
    scripted_become(crash.run.source, SCRIPTED_DRAGONFLY);
    load();
    assert_noticed("slot 100 of the cluster has no mark that covers it");
}

/* Its mark lies with another master now, and does not vouch for it. */
static void a_master_emptied_between_two_sessions_is_noticed(void **state)
{
    (void)state;
    begin_marked();
    assert_int_equal(run_terminate(&crash.run), EX_OK);
    tell(EMPTIED, "FLUSHALL", NULL);
    move_lowest_slots();
    load();
    start_again();
    assert_equal_after(2);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_master_flushed_by_somebody_is_noticed, teardown),
        cmocka_unit_test_teardown(a_master_flushed_by_somebody_is_noticed_while_nothing_comes, teardown),
        cmocka_unit_test_teardown(a_mark_that_somebody_deletes_is_noticed, teardown),
        cmocka_unit_test_teardown(a_master_flushed_while_the_links_are_away_is_noticed, teardown),
        cmocka_unit_test_teardown(a_master_flushed_while_workers_are_dead_is_noticed, teardown),
        cmocka_unit_test_teardown(a_master_that_evicted_the_mark_ends_the_run, teardown),
        cmocka_unit_test_teardown(a_mark_that_was_written_after_a_flush_is_none, teardown),
        cmocka_unit_test_teardown(marks_that_move_with_their_slots_are_not_lost, teardown),
        cmocka_unit_test_teardown(a_flush_of_the_source_is_no_loss, teardown),
        cmocka_unit_test_teardown(a_flush_that_was_run_is_known_where_its_note_has_moved, teardown),
        cmocka_unit_test_teardown(such_a_note_does_not_vouch_for_a_replica_that_took_over, teardown),
        cmocka_unit_test_teardown(slots_that_moved_between_two_sessions_cost_no_full_sync, teardown),
        cmocka_unit_test_teardown(nor_do_they_after_a_flush_of_the_source, teardown),
        cmocka_unit_test_teardown(slots_that_moved_before_a_session_began_cost_no_full_sync, teardown),
        cmocka_unit_test_teardown(nor_before_one_had_more_than_begun, teardown),
        cmocka_unit_test_teardown(a_replica_does_not_vouch_for_slots_that_came_before_it_took_over, teardown),
        cmocka_unit_test_teardown(a_master_emptied_between_two_sessions_is_noticed, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
