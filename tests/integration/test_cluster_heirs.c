/* Masters that hang or die and are replaced by a replica, which may be replaced in turn: nothing waits for them, and only
 * what was lost costs a full sync. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <unistd.h>

#include "tests/support/cluster_doubt.h"

enum { HANGS = 2, ITS_HEIR = MASTERS + HANGS };

/* As many keys as there must be for every master to get some. */
static void append_everywhere(unsigned turn)
{
    for (unsigned i = 0; i < 60; i++) {
        char words[60];
        snprintf(words, sizeof words, "APPEND everywhere:%u %u", i, turn);
        line(words);
    }
}

static void begin_with_replicas(uint32_t flows)
{
    start_cluster(0, 1);
    crash_begin_in(&crash, &cluster, flows, &crash_small);
    replicate();
    append_everywhere(1);
    wait_marks();
}

/* And the FLOW knows. */
static void its_heir_takes_over(void)
{
    tell(ITS_HEIR, "CLUSTER FAILOVER TAKEOVER", NULL);
    assert_true(redis_cluster_wait_client(&cluster, ITS_HEIR, "df2redis:default:flow-0"));
}

static void assert_goes_on_without_it(void)
{
    append_everywhere(3);
    assert_in_step();
    redis_cluster_kill(&cluster, HANGS);
    assert_equal_after(1);
}

static void a_master_that_hangs_and_is_replaced_holds_up_nothing(void **state)
{
    (void)state;
    begin_with_replicas(FLOWS);
    hang(HANGS);
    notice_failures();
    append_everywhere(2);
    assert_true(redis_cluster_wait_listed(&cluster, HANGS, " master,fail "));
    assert_goes_on_without_it();
}

/* Until then it is listed as a master without slots, as one is that gave them away and will answer. */
static void a_master_that_hangs_may_be_known_to_have_failed_only_later(void **state)
{
    (void)state;
    begin_with_replicas(1);
    hang(HANGS);
    append_everywhere(2);
    its_heir_takes_over();
    notice_failures();
    assert_goes_on_without_it();
}

/* Nor has it given its slots away by MIGRATE, when it is asked next. */
static void a_master_that_hangs_and_was_sent_nothing_costs_no_full_sync(void **state)
{
    (void)state;
    begin_with_replicas(1);
    hang(HANGS);
    its_heir_takes_over();
    assert_goes_on_without_it();
}

static void it_takes_over_again(void)
{
    pid_t worker = worker_pid(&crash.run.program, 0);
    kill(worker, SIGSTOP);
    process_signal(&cluster.members[HANGS].server.process, SIGCONT);
    assert_true(redis_cluster_wait_promoted(&cluster, HANGS));
    assert_true(redis_cluster_wait_replicas(&cluster, 1));
    tell(HANGS, "CLUSTER FAILOVER", NULL);
    assert_true(redis_cluster_wait_promoted(&cluster, ITS_HEIR));
    assert_true(redis_cluster_cut(&cluster, ITS_HEIR, "df2redis:default:flow-0"));
    kill(worker, SIGCONT);
}

/* It was listed as a master without slots in between, so the link to it is the one from before it became a replica;
 * its history, as it is now, tells that it took over. */
static void a_master_that_takes_over_from_its_heir_costs_no_full_sync(void **state)
{
    (void)state;
    begin_with_replicas(1);
    hang(HANGS);
    its_heir_takes_over();
    append_everywhere(2);
    assert_in_step();
    it_takes_over_again();
    append_everywhere(3);
    assert_equal_after(1);
}

/* It was met as one that may have lost something, and then it loses the rest: the judgement waits meanwhile
 * for what one that hangs has not answered. */
static void an_heir_that_was_started_anew_is_not_taken_for_new(void **state)
{
    (void)state;
    enum { OTHER = 1 };
    static const char forget[] = "CLUSTER FORGET %s";
    size_t other = OTHER;
    begin_with_replicas(1);
    hang(OTHER);
    append_everywhere(2);
    assert_true(wait_until(is_unread, &other, RUN_DEADLINE_MS));
    redis_cluster_kill(&cluster, HANGS);
    its_heir_takes_over();
    wait_met(ITS_HEIR);
    for (size_t i = 0; i < cluster.count; i++)
        if (i != OTHER && i != HANGS)
            tell(i, forget, cluster.members[HANGS].id);
    redis_cluster_kill(&cluster, ITS_HEIR);
    char *copy = format_text("%s/dump.rdb", cluster.members[ITS_HEIR].server.dir); /* what it began from */
    assert_int_equal(unlink(copy), 0);
    free(copy);
    redis_cluster_revive(&cluster, ITS_HEIR);
    process_signal(&cluster.members[OTHER].server.process, SIGCONT);
    tell(OTHER, forget, cluster.members[HANGS].id);
    append_everywhere(3);
    assert_equal(); /* by the spool or by a full sync */
    assert_ends_well();
}

/* It had no replica when it was first met, and begins another history when it gets one. */
static void a_replica_that_came_later_takes_over_without_a_full_sync(void **state)
{
    (void)state;
    begin(1);
    append_everywhere(1);
    wait_marks();
    size_t heir = redis_cluster_add(&cluster, HANGS);
    assert_true(redis_cluster_wait_ok(&cluster));
    redis_cluster_kill(&cluster, HANGS);
    notice_failures();
    assert_true(redis_cluster_wait_promoted(&cluster, HANGS));
    assert_true(redis_cluster_runs(&cluster, heir));
    append_everywhere(2);
    assert_equal_after(1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_master_that_hangs_and_is_replaced_holds_up_nothing, teardown),
        cmocka_unit_test_teardown(a_master_that_hangs_may_be_known_to_have_failed_only_later, teardown),
        cmocka_unit_test_teardown(a_master_that_hangs_and_was_sent_nothing_costs_no_full_sync, teardown),
        cmocka_unit_test_teardown(a_master_that_takes_over_from_its_heir_costs_no_full_sync, teardown),
        cmocka_unit_test_teardown(an_heir_that_was_started_anew_is_not_taken_for_new, teardown),
        cmocka_unit_test_teardown(a_replica_that_came_later_takes_over_without_a_full_sync, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
