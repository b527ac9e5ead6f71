/* Nodes that have lost what they had while keys of a slot were on their way to them or from them: nothing
 * that lies elsewhere, no mark among it, vouches for keys that are gone; and one that has lost nothing costs
 * no full sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>

#include "tests/support/cluster_doubt.h"

static void what_an_importing_node_has_lost_is_brought_to_it_again(void **state)
{
    (void)state;
    begin_between(FLOWS);
    tell(IDLE, "SAVE", NULL);
    line("APPEND {%s}grows 3");
    line("SET {%s}lost 4");
    wait_marks();
    redis_cluster_kill(&cluster, IDLE);
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    bring_back();
    line("SET {%s}end 5");
    end_between();
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

/* Of a FLOW that has its marks there. */
static void an_importing_node_that_failed_and_has_lost_nothing_costs_no_full_sync(void **state)
{
    (void)state;
    begin_between(1);
    line("APPEND {%s}grows 3");
    wait_marks();
    tell(IDLE, "SAVE", NULL);
    kill_until_failed();
    line("APPEND {%s}grows 4");
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    bring_back();
    end_between();
    assert_equal_after(1);
}

/* Started anew: who is connected to it then, what every FLOW asks, and some looks more. */
static void idle_is_started_anew(void)
{
    static const char *const clients[FLOWS] = {"df2redis:default:flow-0", "df2redis:default:flow-1",
                                               "df2redis:default:flow-2"};
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    for (size_t i = 0; i < FLOWS; i++)
        assert_true(redis_cluster_wait_client(&cluster, IDLE, clients[i]));
    assert_true(
        redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FLOWS * MASTERS + SOME_LOOKS));
}

static void a_master_that_was_started_anew_before_slots_came_costs_no_full_sync(void **state)
{
    (void)state;
    begin(FLOWS);
    line("APPEND {%s}grows 1");
    assert_in_step();
    idle_is_started_anew();
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    line("APPEND {%s}grows 2");
    assert_equal_after(1);
}

static void migrate(const char *key, size_t from, size_t to)
{
    char words[160];
    snprintf(words, sizeof words, "MIGRATE 127.0.0.1 %u %s 0 5000", (unsigned)cluster.members[to].server.port,
             key);
    tell(from, words, NULL);
}

/* By name, so that the slot's mark stays where it is. */
static void move_key(const char *format, size_t to)
{
    char key[40];
    snprintf(key, sizeof key, format, slot_tag(SLOT));
    migrate(key, 0, to);
}

static void move_mark(uint16_t slot, size_t from, size_t to)
{
    char key[80];
    slot_mark_key(key, sizeof key, "default", slot);
    migrate(key, from, to);
}

static void write_what_is_lost(void)
{
    line("INCR {%s}counter");
    line("SET {%s}lost 1");
    wait_marks();
}

static void begin_with_a_key_on_its_way(void)
{
    begin(1);
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 0));
    move_key("{%s}lost", IDLE);
}

static void lose_it(void)
{
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    assert_int_equal(redis_cluster_keys_in_slot(&cluster, SLOT, IDLE), 0);
}

static void one_that_lost_keys_of_a_slot_on_its_way_is_not_trusted(void **state)
{
    (void)state;
    begin_with_a_key_on_its_way();
    lose_it();
    end_between();
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

/* Its replica was cut off when they came: what is promoted lacks them. */
static void keys_on_their_way_to_a_master_that_fails_over_are_not_lost(void **state)
{
    (void)state;
    enum { TO = 1, ITS_REPLICA = MASTERS + TO };
    start_cluster(0, 1);
    crash_begin_in(&crash, &cluster, 1, &crash_small);
    replicate();
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, TO, 0));
    process_signal(&cluster.members[ITS_REPLICA].server.process, SIGSTOP);
    redisContext *c = redis_cluster_connect(&cluster, TO);
    freeReplyObject(server_command(c, "CLIENT KILL TYPE replica"));
    redisFree(c);
    move_key("{%s}lost", TO);
    redis_cluster_kill(&cluster, TO);
    process_signal(&cluster.members[ITS_REPLICA].server.process, SIGCONT);
    assert_true(redis_cluster_wait_promoted(&cluster, TO));
    assert_true(
        df2redis_wait_said(&crash.run.program, "nobody knows which of them are left", RUN_DEADLINE_MS));
    tell(0, "CLUSTER SETSLOT 100 STABLE", NULL); /* as redis-cli --cluster fix does */
    line("INCR {%s}counter");
    assert_equal();
    assert_ends_well();
}

/* It stands still until then, so that it does not meet the node that was started anew by itself. */
static void nor_is_it_by_the_successor_of_a_worker_that_died_meanwhile(void **state)
{
    (void)state;
    begin_with_a_key_on_its_way();
    assert_int_equal(kill(worker_pid(&crash.run.program, 0), SIGSTOP), 0);
    lose_it();
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    line("INCR {%s}counter");
    assert_in_step();
    end_between();
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

static bool is_noticed(void *arg)
{
    (void)arg;
    return df2redis_said(&crash.run.program, "nobody knows which of them are left") ||
           df2redis_said(&crash.run.program, "stays between two nodes");
}

/* Redis to 7.x: its replica does not know that the slot is on its way, and answers for what is not there. */
static void an_owner_that_fails_over_does_not_hide_keys_on_their_way(void **state)
{
    (void)state;
    enum { FROM = 0, TO = 1 };
    start_cluster(0, 1);
    crash_begin_in(&crash, &cluster, 1, &crash_small);
    replicate();
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, TO, 0));
    move_key("{%s}lost", TO);
    assert_true(redis_cluster_wait_ok(&cluster)); /* its replica has heard of it */
    redis_cluster_kill(&cluster, FROM);
    line("APPEND {%s}lost 2");
    assert_true(wait_until(is_noticed, NULL, RUN_DEADLINE_MS));
    if (df2redis_said(&crash.run.program, "nobody knows which of them are left"))
        tell(TO, "CLUSTER SETSLOT 100 STABLE", NULL); /* till then it takes the dead one for its master */
    assert_in_step();
    assert_true(redis_cluster_move_slot(&cluster, SLOT, TO));
    assert_equal();
    assert_ends_well();
}

enum { OWNER = 1, OF_OWNER = 6000 };

static void owners_line(const char *format)
{
    char words[80];
    snprintf(words, sizeof words, format, slot_tag(OF_OWNER));
    journal_script_line(&crash.script, crash.run.source, 0, words);
}

/* What OWNER would be started anew from has all marks, and lacks the last key. */
static void begin_with_an_older_copy(void)
{
    begin(1);
    owners_line("SET {%s}early 1");
    wait_marks();
    tell(OWNER, "SAVE", NULL);
    owners_line("SET {%s}lost 1");
}

static void an_owner_that_lost_keys_is_not_vouched_for_by_a_mark_that_has_gone(void **state)
{
    (void)state;
    begin_with_an_older_copy();
    owners_line("INCR {%s}counter");
    assert_in_step();
    assert_true(redis_cluster_begin_slot(&cluster, OF_OWNER, 0, 0));
    move_mark(OF_OWNER, OWNER, 0);
    redis_cluster_kill(&cluster, OWNER);
    redis_cluster_revive(&cluster, OWNER);
    assert_true(redis_cluster_wait_ok(&cluster));
    owners_line("SET {%s}early 2");
    assert_in_step();
    assert_true(redis_cluster_move_slot(&cluster, OF_OWNER, 0));
    assert_equal();
    assert_ends_well();
}

/* No mark was lost; who the node is now is known, and what it lost is on its way to it again, when the worker
 * dies. Till then the worker stands still, so that it does not meet a node that takes writes. */
static void what_is_brought_again_is_so_by_a_successor_too(void **state)
{
    (void)state;
    begin_with_an_older_copy();
    assert_in_step();
    pid_t worker = worker_pid(&crash.run.program, 0);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    redis_cluster_kill(&cluster, OWNER);
    redis_cluster_revive(&cluster, OWNER);
    assert_true(redis_cluster_wait_ok(&cluster));
    tell(OWNER, "CONFIG SET maxmemory 1", NULL);
    assert_int_equal(kill(worker, SIGCONT), 0);
    assert_true(df2redis_wait_said(&crash.run.program, "OOM", RUN_DEADLINE_MS));
    assert_true(kill_worker(&crash.kills, &crash.run.program, 0));
    tell(OWNER, "CONFIG SET maxmemory 0", NULL);
    owners_line("SET {%s}end 1");
    assert_equal_after(1);
}

static void begin_to_move_the_slot(void)
{
    begin(1);
    write_what_is_lost();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 0));
}

/* From what it wrote to its disk while the slot came: with what had come first, and nothing else. */
static void assert_equal_after_a_start_from_this(void)
{
    tell(IDLE, "SAVE", NULL);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    line("SET {%s}early 2");
    assert_equal();
    assert_ends_well();
}

static void a_copy_from_while_a_slot_came_is_not_vouched_for_by_its_mark(void **state)
{
    (void)state;
    begin_to_move_the_slot();
    move_mark(SLOT, 0, IDLE);
    assert_equal_after_a_start_from_this();
}

/* The counter comes before its mark does: without that it must not be counted again. */
static void nor_is_a_copy_that_has_keys_and_no_mark_written_to_again(void **state)
{
    (void)state;
    begin_to_move_the_slot();
    move_key("{%s}counter", IDLE);
    assert_equal_after_a_start_from_this();
}

/* Its FLOW had nothing to send since the slot came: a mark tells nevertheless. */
static void a_node_that_a_slot_came_to_and_that_lost_nothing_costs_no_full_sync(void **state)
{
    (void)state;
    begin(1);
    write_what_is_lost();
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    tell(IDLE, "SAVE", NULL);
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    line("INCR {%s}counter");
    assert_equal_after(1);
}

/* As --cluster fix --cluster-fix-with-unreachable-masters does: without the keys. */
static void a_slot_that_was_taken_from_a_dead_master_is_not_taken_for_whole(void **state)
{
    (void)state;
    begin(1);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    write_what_is_lost();
    kill_until_failed();
    assert_true(redis_cluster_take_slot(&cluster, SLOT, 0));
    line("INCR {%s}counter");
    assert_equal();
    assert_ends_well();
}

enum end { DIES, DIES_AND_IS_FORGOTTEN, HANGS_AND_IS_FORGOTTEN };

/* The slot is taken from its master while the worker does not look, and then that gets the signal. */
static void taken_unseen(enum end end, int signal)
{
    begin(1);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    write_what_is_lost();
    pid_t worker = worker_pid(&crash.run.program, 0);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    if (end == DIES)
        kill_until_failed();
    else if (end == DIES_AND_IS_FORGOTTEN)
        redis_cluster_kill(&cluster, IDLE);
    else
        process_signal(&cluster.members[IDLE].server.process, SIGSTOP);
    assert_true(redis_cluster_take_slot(&cluster, SLOT, 0));
    for (size_t i = 0; end != DIES && i < IDLE; i++)
        tell(i, "CLUSTER FORGET %s", cluster.members[IDLE].id);
    assert_int_equal(kill(worker, signal), 0);
    line("INCR {%s}counter");
    if (end == HANGS_AND_IS_FORGOTTEN) {
        assert_in_step();
        redis_cluster_kill(&cluster, IDLE); /* nobody compares with it */
    }
    assert_equal();
    assert_ends_well();
}

static void nor_when_it_was_forgotten_at_once(void **state)
{
    (void)state;
    taken_unseen(DIES_AND_IS_FORGOTTEN, SIGCONT);
}

/* Its link tells nothing of that. */
static void nor_when_it_hangs_and_was_forgotten_at_once(void **state)
{
    (void)state;
    taken_unseen(HANGS_AND_IS_FORGOTTEN, SIGCONT);
}

static bool is_unread(void *member)
{
    return port_unread_bytes(cluster.members[*(size_t *)member].server.port) > 0;
}

/* It came back without its data, gave the slot away and was forgotten, all while the judgement waited for
 * what another one had not answered. */
static void nor_when_it_was_started_anew_and_forgotten_at_once(void **state)
{
    (void)state;
    size_t hangs = SOURCE, idle = IDLE;
    char give[80];
    begin(1);
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    write_what_is_lost();
    nobody_fails();
    process_signal(&cluster.members[hangs].server.process, SIGSTOP);
    line("SET c hangs");
    assert_true(wait_until(is_unread, &hangs, RUN_DEADLINE_MS));
    redis_cluster_kill(&cluster, IDLE);
    redis_cluster_revive(&cluster, IDLE);
    wait_met(IDLE);
    snprintf(give, sizeof give, "CLUSTER SETSLOT %u NODE %s", SLOT, cluster.members[0].id);
    /* Before the slot: what the other one says meanwhile would take it back, and forgetting that leave it to nobody. */
    redisContext *c = redis_cluster_connect(&cluster, 0);
    freeReplyObject(server_command(c, "CLUSTER BUMPEPOCH"));
    redisFree(c);
    tell(0, give, NULL);
    /* It may have heard of that, and be a replica by now, which takes no SETSLOT. */
    c = redis_cluster_connect(&cluster, IDLE);
    freeReplyObject(server_command(c, give));
    redisFree(c);
    tell(2, give, NULL);
    for (size_t i = 0; i < IDLE; i++)
        if (i != hangs)
            tell(i, "CLUSTER FORGET %s", cluster.members[IDLE].id);
    assert_true(wait_until(is_left, &idle, RUN_DEADLINE_MS));
    process_signal(&cluster.members[hangs].server.process, SIGCONT);
    tell(hangs, "CLUSTER FORGET %s", cluster.members[IDLE].id);
    tell(hangs, give, NULL);
    line("INCR {%s}counter");
    assert_in_step();
    redis_cluster_kill(&cluster, IDLE); /* nobody compares with it */
    assert_equal();
    assert_ends_well();
}

static void nor_by_a_successor(void **state)
{
    (void)state;
    taken_unseen(DIES, SIGKILL);
}

static void nor_by_a_successor_when_it_was_forgotten(void **state)
{
    (void)state;
    taken_unseen(DIES_AND_IS_FORGOTTEN, SIGKILL);
}

/* It came while the run went on, and nothing was written to the slot that goes there. */
static void a_master_that_joined_is_known_before_slots_come(void **state)
{
    (void)state;
    begin(1);
    write_what_is_lost();
    size_t joined = redis_cluster_add(&cluster, CLUSTER_MEMBERS);
    assert_true(redis_cluster_wait_client(&cluster, joined, "df2redis:default:flow-0"));
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, joined, 0));
    move_key("{%s}lost", joined);
    redis_cluster_kill(&cluster, joined);
    redis_cluster_revive(&cluster, joined);
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_true(redis_cluster_move_slot(&cluster, SLOT, joined));
    line("INCR {%s}counter");
    assert_equal();
    assert_ends_well();
}

/* For longer than the session that begins then, to the second. */
static bool is_up_for_long(void *arg)
{
    (void)arg;
    redisContext *c = redis_cluster_connect(&cluster, IDLE);
    redisReply *r = server_command(c, "INFO server");
    const char *at = strstr(r->str, "uptime_in_seconds:");
    bool is = at && strtoul(at + strlen("uptime_in_seconds:"), NULL, 10) > 4;
    freeReplyObject(r);
    redisFree(c);
    return is;
}

static void nor_is_it_by_a_session_that_goes_on_with_an_earlier_one(void **state)
{
    (void)state;
    begin_with_a_key_on_its_way();
    assert_true(crash_kill(&crash, true));
    crash_remove(&crash, "flow-*"); /* as a reboot does */
    redis_cluster_kill(&cluster, IDLE);
    bring_back();
    assert_true(wait_until(is_up_for_long, NULL, RUN_DEADLINE_MS));
    line("INCR {%s}counter");
    replicate();
    end_between();
    assert_true(redis_cluster_wait_asked(&cluster, redis_cluster_asked(&cluster) + FOUR_LOOKS));
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_an_importing_node_has_lost_is_brought_to_it_again, teardown),
        cmocka_unit_test_teardown(an_importing_node_that_failed_and_has_lost_nothing_costs_no_full_sync,
                                  teardown),
        cmocka_unit_test_teardown(a_master_that_was_started_anew_before_slots_came_costs_no_full_sync,
                                  teardown),
        cmocka_unit_test_teardown(one_that_lost_keys_of_a_slot_on_its_way_is_not_trusted, teardown),
        cmocka_unit_test_teardown(keys_on_their_way_to_a_master_that_fails_over_are_not_lost, teardown),
        cmocka_unit_test_teardown(nor_is_it_by_the_successor_of_a_worker_that_died_meanwhile, teardown),
        cmocka_unit_test_teardown(an_owner_that_fails_over_does_not_hide_keys_on_their_way, teardown),
        cmocka_unit_test_teardown(an_owner_that_lost_keys_is_not_vouched_for_by_a_mark_that_has_gone,
                                  teardown),
        cmocka_unit_test_teardown(what_is_brought_again_is_so_by_a_successor_too, teardown),
        cmocka_unit_test_teardown(a_copy_from_while_a_slot_came_is_not_vouched_for_by_its_mark, teardown),
        cmocka_unit_test_teardown(nor_is_it_by_a_session_that_goes_on_with_an_earlier_one, teardown),
        cmocka_unit_test_teardown(nor_is_a_copy_that_has_keys_and_no_mark_written_to_again, teardown),
        cmocka_unit_test_teardown(a_node_that_a_slot_came_to_and_that_lost_nothing_costs_no_full_sync,
                                  teardown),
        cmocka_unit_test_teardown(a_slot_that_was_taken_from_a_dead_master_is_not_taken_for_whole, teardown),
        cmocka_unit_test_teardown(nor_when_it_was_forgotten_at_once, teardown),
        cmocka_unit_test_teardown(nor_when_it_hangs_and_was_forgotten_at_once, teardown),
        cmocka_unit_test_teardown(nor_when_it_was_started_anew_and_forgotten_at_once, teardown),
        cmocka_unit_test_teardown(nor_by_a_successor, teardown),
        cmocka_unit_test_teardown(nor_by_a_successor_when_it_was_forgotten, teardown),
        cmocka_unit_test_teardown(a_master_that_joined_is_known_before_slots_come, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
