/* Cut-overs from a real Dragonfly, under clients that write all the time and follow the switch: what was acknowledged is
 * on the target, once; whatever goes wrong before leaves the source writable and the run going on. Needs
 * DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/followers.h"
#include "tests/support/run.h"
#include "tests/support/cutover_order.h"
#include "tests/support/testing.h"

enum { SHARDS = 2, CLIENTS = 6, SOME = 200, MAX_ARGS = 24 };

static struct run run;
static struct redis_cluster cluster;
static struct followers *clients;
static char *flip; /* the switch */

static int teardown(void **state)
{
    (void)state;
    followers_free(clients);
    clients = NULL;
    process_stop(&order);
    run_end(&run);
    redis_cluster_stop(&cluster);
    free(flip);
    flip = NULL;
    return 0;
}

static uint16_t target_port(const char *key)
{
    (void)key;
    return run.target.port;
}

static uint16_t cluster_port(const char *key)
{
    redisContext *c = redis_cluster_connect(&cluster, 0);
    redisReply *slot = server_commandf(c, "CLUSTER KEYSLOT %s", key);
    size_t owner = redis_cluster_owner(&cluster, (uint16_t)slot->integer);
    freeReplyObject(slot);
    redisFree(c);
    return cluster.members[owner].server.port;
}

static bool both_write(void *arg)
{
    return followers_acknowledged(clients, *(bool *)arg) >= SOME;
}

static void wait_for_writes(bool on_target)
{
    assert_true(wait_until(both_write, &on_target, RUN_DEADLINE_MS));
}

static void begin_writing(uint16_t (*port)(const char *key))
{
    flip = format_text("%s/switched", run.program.dir);
    clients = followers_start(CLIENTS, flip, run.dragonfly.port, port);
    wait_for_writes(false);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
}

static void begin(void)
{
    if (!run_begin_live(&run, SHARDS, NULL))
        skip();
    begin_writing(target_port);
}

/* Arguments after the verb, NULL-terminated; exec NULL: without a command. */
static void order_cutover(const char *then, const char *pause, const char *exec, const char *extra)
{
    const char *argv[MAX_ARGS] = {df2redis_binary(), "cutover", "--state-dir", run.program.dir,
                                  "--then",          then,      "--max-pause", pause};
    size_t n = 8;
    if (exec) {
        argv[n++] = "--exec";
        argv[n++] = exec;
    }
    if (extra)
        argv[n++] = extra;
    char *log = format_text("%s/cutover-output", run.program.dir);
    process_stop(&order);
    assert_true(process_start(&order, log, argv));
    free(log);
}

static void print_all(void)
{
    order_print(&run.program);
}

static void assert_ends(int code, const char *said)
{
    assert_order_ends(&run.program, code, said);
}

static void assert_nothing_lost(uint16_t source_port)
{
    followers_stop(clients);
    bool all = followers_lost_nothing(clients, source_port);
    if (!all)
        print_all();
    assert_true(all);
}

static uint64_t written_before;

static bool more_written_since(void *arg)
{
    (void)arg;
    return followers_acknowledged(clients, false) >= written_before + SOME;
}

/* Writes reach the source, and the run copies them. */
static void assert_run_goes_on(void)
{
    written_before = followers_acknowledged(clients, false);
    assert_true(wait_until(more_written_since, NULL, RUN_DEADLINE_MS));
    followers_stop(clients);
    assert_true(run_wait_applied(&run));
    assert_int_equal(followers_acknowledged(clients, true), 0);
    assert_nothing_lost(0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static char *switching(void)
{
    return format_text("touch '%s'", flip);
}

/* ---- to the end ---- */

static void cut_over(const char *then, const char *pause)
{
    char *command = switching();
    order_cutover(then, pause, command, NULL);
    assert_ends(EX_OK, "writes were paused for");
    free(command);
    int code = process_wait(&run.program.process, RUN_DEADLINE_MS);
    if (code != EX_OK)
        print_all();
    assert_int_equal(code, EX_OK);
    wait_for_writes(true);
}

static void stop_loses_nothing(void **state)
{
    (void)state;
    begin();
    cut_over("stop", "20s");
    assert_nothing_lost(run.dragonfly.port);
}

static void takeover_loses_nothing_and_ends_the_source(void **state)
{
    (void)state;
    begin();
    cut_over("takeover", "20s");
    assert_true(process_wait(&run.dragonfly.process, RUN_DEADLINE_MS) >= 0);
    assert_nothing_lost(0);
}

static bool source_has_it(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(run.dragonfly.port);
    redisReply *reply = server_command(c, "GET back");
    bool has = reply->type == REDIS_REPLY_STRING;
    freeReplyObject(reply);
    redisFree(c);
    return has;
}

static bool target_is_followed(void)
{
    redisContext *c = server_connect(run.target.port);
    char *version = server_info(c, "server", "redis_version"),
         *valkey = server_info(c, "server", "valkey_version");
    bool followed = valkey ? strtol(valkey, NULL, 10) < 9
                           : strtol(version, NULL, 10) < 7 || strncmp(version, "7.0", 3) == 0 ||
                                 strncmp(version, "7.2", 3) == 0;
    free(version);
    free(valkey);
    redisFree(c);
    return followed;
}

static void reverse_makes_the_source_a_replica_or_is_refused(void **state)
{
    (void)state;
    begin();
    if (!target_is_followed()) {
        char *command = switching();
        order_cutover("reverse", "20s", command, NULL);
        free(command);
        assert_ends(EX_CONFIG, "cannot replicate");
        assert_run_goes_on();
        return;
    }
    cut_over("reverse", "20s");
    server_tell(run.target.port, "SET back 1");
    assert_true(wait_until(source_has_it, NULL, RUN_DEADLINE_MS));
    assert_nothing_lost(0);
    /* And back, by one command. */
    server_tell(run.dragonfly.port, "REPLICAOF NO ONE");
    server_tell(run.dragonfly.port, "SET mine 1");
    assert_int_equal(server_ask(run.dragonfly.port, "EXISTS mine"), 1);
}

static void into_a_cluster_nothing_is_lost(void **state)
{
    (void)state;
    if (!dragonfly_available())
        skip();
    redis_cluster_start(&cluster, 3, 0);
    run_begin_in(&run, &cluster, NULL);
    dragonfly_start(&run.dragonfly, SHARDS, NULL);
    begin_writing(cluster_port);
    order_cutover("reverse", "20s", "true", NULL);
    assert_ends(EX_CONFIG, "is a cluster");
    cut_over("stop", "20s");
    assert_nothing_lost(run.dragonfly.port);
}

static void a_run_that_was_cut_over_does_not_start_again(void **state)
{
    (void)state;
    begin();
    cut_over("stop", "2s");
    run_replicate(&run, NULL);
    assert_true(run_ends_with(&run, EX_CONFIG, "was cut over"));
    char *note = format_text("%s/default/cutover.json", run.program.dir);
    assert_int_equal(unlink(note), 0);
    free(note);
}

/* ---- undone ---- */

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    begin();
    order_cutover("takeover", "20s", "false", "--dry-run");
    assert_ends(EX_OK, "it would go");
    assert_false(df2redis_said(&run.program, "cut-over: paused"));
    assert_run_goes_on();
}

static void a_command_that_fails_is_undone(void **state)
{
    (void)state;
    begin();
    order_cutover("takeover", "20s", "exit 3", NULL);
    assert_ends(EX_TEMPFAIL, "exit code 3");
    assert_run_goes_on();
}

/* The process whose id stands in the file. */
static bool is_gone(void *path)
{
    struct buf pid = {0};
    bool read = file_read(path, &pid);
    buf_put_u8(&pid, '\0');
    char state = read ? process_state((pid_t)strtol((char *)pid.data, NULL, 10)) : 'R';
    buf_free(&pid);
    return state == 0 || state == 'Z';
}

static void a_command_that_hangs_is_killed_with_its_children(void **state)
{
    (void)state;
    begin();
    char *mark = format_text("%s/child", run.program.dir);
    char *command = format_text("(echo $$ >'%s'; exec sleep 1000) & wait", mark);
    order_cutover("stop", "15s", command, NULL);
    assert_ends(EX_TEMPFAIL, "was killed (--max-pause)");
    assert_true(wait_until(is_gone, mark, RUN_DEADLINE_MS));
    free(mark);
    free(command);
    assert_run_goes_on();
}

static bool is_there(void *arg)
{
    return access(arg, F_OK) == 0;
}

/* Orders one whose command waits until it is killed; returns once it runs. */
static void order_held(const char *pause)
{
    char *mark = format_text("%s/runs", run.program.dir);
    char *command = format_text("touch '%s'; exec sleep 1000", mark);
    unlink(mark);
    order_cutover("stop", pause, command, NULL);
    bool runs = wait_until(is_there, mark, RUN_DEADLINE_MS);
    if (!runs)
        print_all();
    assert_true(runs);
    free(mark);
    free(command);
}

/* While it waits at the source, it is not answered before the pause is over. */
static uint64_t source_takes_a_write_after_ms(void)
{
    uint64_t begin_ms = clock_monotonic_ms();
    server_tell(run.dragonfly.port, "SET probe 1");
    return clock_monotonic_ms() - begin_ms;
}

static void a_killed_command_line_is_undone_at_once(void **state)
{
    (void)state;
    begin();
    order_held("60s");
    process_signal(&order, SIGKILL);
    assert_true(source_takes_a_write_after_ms() < 50000);
    assert_true(df2redis_wait_said(&run.program, "has ended", RUN_DEADLINE_MS));
    assert_run_goes_on();
}

static void a_killed_supervisor_leaves_a_pause_that_ends_by_itself(void **state)
{
    (void)state;
    begin();
    order_held("5s");
    process_signal(&run.program.process, SIGKILL);
    assert_ends(EX_TEMPFAIL, "has died");
    source_takes_a_write_after_ms();
    process_stop(&run.program.process);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_said(&run.program, "the cut-over was interrupted", RUN_DEADLINE_MS));
    assert_run_goes_on();
}

static void a_killed_worker_delays_and_loses_nothing(void **state)
{
    (void)state;
    begin();
    char *command =
        format_text("kill -9 %d; touch '%s'", (int)df2redis_status_number(&run.program, "flows.0.pid"), flip);
    order_cutover("stop", "30s", command, NULL);
    free(command);
    assert_ends(EX_OK, "writes were paused for");
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_OK);
    wait_for_writes(true);
    assert_nothing_lost(run.dragonfly.port);
}

static void another_order_meanwhile_is_refused(void **state)
{
    (void)state;
    begin();
    order_held("60s");
    const char *argv[] = {df2redis_binary(), "cutover", "--state-dir", run.program.dir, NULL};
    char *text = NULL;
    assert_int_equal(process_run(argv, RUN_DEADLINE_MS, &text), EX_TEMPFAIL);
    assert_non_null(strstr(text, "under way already"));
    free(text);
    assert_true(df2redis_wait_status(&run.program, "cutover.state", "switching", RUN_DEADLINE_MS));
    process_signal(&order, SIGINT);
    assert_true(process_wait(&order, RUN_DEADLINE_MS) != 0);
    assert_true(df2redis_wait_status(&run.program, "cutover.outcome", "undone", RUN_DEADLINE_MS));
    assert_run_goes_on();
}

/* The supervisor is killed as soon as each state was entered. */
static void a_supervisor_killed_in_any_state_is_a_cutover_undone(void **state)
{
    (void)state;
    static const char *const entered[] = {"check, checking", "pause, pausing",  "ask, asking",
                                          "await, applying", "ask, confirming", "run-command, switching"};
    begin();
    for (size_t i = 0; i < sizeof entered / sizeof *entered; i++) {
        order_cutover("stop", "8s", "sleep 1000", NULL);
        assert_true(df2redis_wait_said(&run.program, entered[i], RUN_DEADLINE_MS));
        process_signal(&run.program.process, SIGKILL);
        assert_int_equal(process_wait(&order, RUN_DEADLINE_MS), EX_TEMPFAIL);
        source_takes_a_write_after_ms();
        process_stop(&run.program.process);
        run_replicate(&run, NULL);
        assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    }
    assert_run_goes_on();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(stop_loses_nothing, teardown),
        cmocka_unit_test_teardown(takeover_loses_nothing_and_ends_the_source, teardown),
        cmocka_unit_test_teardown(reverse_makes_the_source_a_replica_or_is_refused, teardown),
        cmocka_unit_test_teardown(into_a_cluster_nothing_is_lost, teardown),
        cmocka_unit_test_teardown(a_run_that_was_cut_over_does_not_start_again, teardown),
        cmocka_unit_test_teardown(a_dry_run_changes_nothing, teardown),
        cmocka_unit_test_teardown(a_command_that_fails_is_undone, teardown),
        cmocka_unit_test_teardown(a_command_that_hangs_is_killed_with_its_children, teardown),
        cmocka_unit_test_teardown(a_killed_command_line_is_undone_at_once, teardown),
        cmocka_unit_test_teardown(a_killed_supervisor_leaves_a_pause_that_ends_by_itself, teardown),
        cmocka_unit_test_teardown(a_killed_worker_delays_and_loses_nothing, teardown),
        cmocka_unit_test_teardown(another_order_meanwhile_is_refused, teardown),
        cmocka_unit_test_teardown(a_supervisor_killed_in_any_state_is_a_cutover_undone, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
