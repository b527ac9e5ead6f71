/* A target that refuses the source's FLUSHALL: the run ends with the right that lacks, is never said to have
 * carried it out, and carries it out when it is started again and may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/stream_writer.h"
#include "tests/support/testing.h"

static struct run run;
static struct redis_cluster cluster;

enum { FLOWS = 2 };

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    redis_cluster_stop(&cluster);
    return 0;
}

/* FLOW n has the key aN, and in a cluster keys in every master. */
static struct scripted_flow make_flow(unsigned n)
{
    static const char token[41] = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
    struct stream_writer w;
    char key[16];
    writer_begin(&w, 0, token);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "a%u.%u", n, i);
        writer_string(&w, slice_str(key), slice_str("snapshot"));
    }
    writer_fullsync_end(&w);
    writer_stable(&w, w.next_lsn);
    return writer_finish(&w);
}

static void tell_source(unsigned flow, uint64_t txid, const char *words)
{
    scripted_write(run.source, flow, 0, txid, words);
}

static void begin(bool in_cluster)
{
    struct scripted_options options;
    struct scripted_session s = scripted_session_new(FLOWS);
    for (unsigned n = 0; n < FLOWS; n++)
        s.flows[n] = make_flow(n);
    scripted_options_init(&options);
    scripted_options_add(&options, s);
    if (in_cluster) {
        redis_cluster_start(&cluster, 3, 0);
        run_begin_in(&run, &cluster, &options);
    } else {
        run_begin(&run, &options);
    }
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
}

/* What only the newest state holds: the counters that follow the flush. */
static void flush_on_the_source(void)
{
    for (unsigned n = 0; n < FLOWS; n++)
        tell_source(n, 77, "FLUSHALL");
    tell_source(0, 0, "INCR after0");
    tell_source(1, 0, "INCR after1");
}

static void tell_target(uint16_t port, const char *words)
{
    redisContext *c = server_connect(port);
    server_ok(c, words);
    redisFree(c);
}

static uint64_t target_keys(void)
{
    return cluster.count ? redis_cluster_keys(&cluster) : run_target_keys(&run);
}

static void assert_ends_refused(void)
{
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_NOPERM);
    assert_true(df2redis_said(&run.program, "refuses the FLUSHALL of the source"));
    assert_false(df2redis_said(&run.program, "was run on the target"));
    assert_false(df2redis_said(&run.program, "refused_by_target"));
}

static void assert_goes_on(void)
{
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(target_keys(), 2);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

static void a_refused_flush_ends_the_run_and_is_made_up_for(void **state)
{
    (void)state;
    begin(false);
    tell_target(run.target.port, "ACL SETUSER default -flushall");
    flush_on_the_source();
    assert_ends_refused();
    assert_int_equal(target_keys(), 80);
    tell_target(run.target.port, "ACL SETUSER default +flushall");
    assert_goes_on();
}

static bool has_other_workers(void *arg)
{
    const double *before = arg;
    for (unsigned n = 0; n < FLOWS; n++) {
        char path[32];
        snprintf(path, sizeof path, "flows.%u.pid", n);
        double pid = df2redis_status_number(&run.program, path);
        if (pid == 0 || pid == before[n])
            return false;
    }
    return df2redis_status_true(&run.program, "in_step");
}

/* What a successor does is not what its predecessor did already. */
static void a_flush_refused_to_a_successor_ends_the_run(void **state)
{
    (void)state;
    double pids[FLOWS];
    begin(false);
    for (unsigned n = 0; n < FLOWS; n++) {
        char path[32];
        snprintf(path, sizeof path, "flows.%u.pid", n);
        pids[n] = df2redis_status_number(&run.program, path);
        kill((pid_t)pids[n], SIGKILL);
    }
    assert_true(wait_until(has_other_workers, pids, RUN_DEADLINE_MS));
    tell_target(run.target.port, "ACL SETUSER default -flushall");
    flush_on_the_source();
    assert_ends_refused();
}

static void a_flush_that_one_master_refuses_ends_the_run(void **state)
{
    (void)state;
    begin(true);
    tell_target(cluster.members[1].server.port, "ACL SETUSER default -flushall");
    flush_on_the_source();
    assert_ends_refused();
    tell_target(cluster.members[1].server.port, "ACL SETUSER default +flushall");
    assert_goes_on();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_refused_flush_ends_the_run_and_is_made_up_for, teardown),
        cmocka_unit_test_teardown(a_flush_refused_to_a_successor_ends_the_run, teardown),
        cmocka_unit_test_teardown(a_flush_that_one_master_refuses_ends_the_run, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
