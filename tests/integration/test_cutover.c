/* Cut-overs from a scripted source: what it is asked for and when, and what becomes of troubles that a real one seldom
 * has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/crash.h"
#include "tests/support/cutover_order.h"
#include "tests/support/testing.h"

enum { FLOWS = 2 };

static struct crash crash;
static char *runs, *go; /* files: the command runs; it may end */
static const struct journal_snapshot small = {.strings = 60, .journal = 50};

static int teardown(void **state)
{
    (void)state;
    process_stop(&order);
    crash_end(&crash);
    free(runs);
    free(go);
    runs = go = NULL;
    return 0;
}

static void begin(void)
{
    assert_true(crash_start(&crash, FLOWS, &small, NULL));
    runs = format_text("%s/runs", crash.run.program.dir);
    go = format_text("%s/go", crash.run.program.dir);
}

static void order_cutover(const char *pause, const char *command)
{
    const char *argv[] = {
        df2redis_binary(), "cutover", "--state-dir", crash.run.program.dir, "--max-pause", pause,
        "--exec",          command,   NULL};
    char *log = format_text("%s/cutover-output", crash.run.program.dir);
    assert_true(process_start(&order, log, argv));
    free(log);
}

static void print_all(void)
{
    order_print(&crash.run.program);
    scripted_print(crash.run.source, stderr);
}

static void assert_ends(int code, const char *said)
{
    assert_order_ends(&crash.run.program, code, said);
}

static bool is_there(void *arg)
{
    return access(arg, F_OK) == 0;
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

/* Orders one whose command runs until it may go. */
static void order_held(const char *pause)
{
    char *command = format_text("touch '%s'; while [ ! -e '%s' ]; do sleep 0.02; done", runs, go);
    order_cutover(pause, command);
    free(command);
    bool reached = wait_until(is_there, runs, RUN_DEADLINE_MS);
    if (!reached)
        print_all();
    assert_true(reached);
}

static void let_go(void)
{
    assert_true(file_write(go, slice_str("")));
}

static size_t asked(const char *command)
{
    return scripted_count(crash.run.source, NULL, command);
}

static void lsns_are_asked_for_under_the_pause_and_confirmed(void **state)
{
    (void)state;
    begin();
    order_held("60s");
    struct scripted *source = crash.run.source;
    uint64_t paused_us = scripted_time_us(source, NULL, "CLIENT PAUSE 60000 WRITE", 0);
    char who[16];
    assert_true(paused_us);
    assert_true(scripted_sender(source, "CLIENT PAUSE 60000 WRITE", who));
    assert_int_equal(scripted_count_between(source, who, "DFLY REPLICAOFFSET", paused_us, UINT64_MAX), 2);
    assert_int_equal(asked("CLIENT UNPAUSE"), 0);
    let_go();
    assert_ends(EX_OK, "writes were paused for");
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_string_equal(scripted_violation(source), "");
}

/* As by a client of the admin port, which no pause holds back. */
static void what_is_written_in_spite_of_the_pause_is_applied(void **state)
{
    (void)state;
    begin();
    order_held("60s");
    journal_script_append(&crash.script, crash.run.source, 500);
    let_go();
    assert_ends(EX_OK, "in spite of the pause");
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_true(crash_target_equal(&crash));
}

static void a_lost_source_is_undone_over_a_new_connection(void **state)
{
    (void)state;
    begin();
    order_held("60s");
    scripted_cut_all(crash.run.source);
    assert_ends(EX_TEMPFAIL, "undone after");
    assert_true(scripted_wait(crash.run.source, NULL, "CLIENT UNPAUSE", 1, RUN_DEADLINE_MS));
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_true(crash_resumed_equal(&crash, 2));
}

static void a_source_that_does_not_answer_is_left_to_its_pause(void **state)
{
    (void)state;
    begin();
    order_held("2s");
    scripted_deaf(crash.run.source, true);
    assert_ends(EX_TEMPFAIL, "within");
    scripted_deaf(crash.run.source, false);
    assert_true(crash_came_out_equal(&crash));
}

static void a_killed_guard_takes_its_command_with_it(void **state)
{
    (void)state;
    begin();
    char *command =
        format_text("echo $$ >'%s.new'; mv '%s.new' '%s'; kill -9 $PPID; exec sleep 1000", runs, runs, runs);
    order_cutover("60s", command);
    free(command);
    assert_ends(EX_TEMPFAIL, "together with its guard");
    assert_true(wait_until(is_gone, runs, RUN_DEADLINE_MS));
    assert_int_equal(asked("CLIENT UNPAUSE"), 1);
    assert_true(crash_came_out_equal(&crash));
}

static void a_stop_meanwhile_undoes_it(void **state)
{
    (void)state;
    begin();
    order_held("60s");
    process_signal(&crash.run.program.process, SIGTERM);
    assert_ends(EX_TEMPFAIL, "told to stop");
    assert_int_equal(process_wait(&crash.run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_int_equal(asked("CLIENT UNPAUSE"), 1);
}

static void command_knows_what_is_switched(void **state)
{
    (void)state;
    begin();
    char *command = format_text("env | grep ^DF2REDIS_ >'%s'; exit 7", runs);
    order_cutover("60s", command);
    free(command);
    assert_ends(EX_TEMPFAIL, "exit code 7");
    char *source = format_text("DF2REDIS_SOURCE=redis://127.0.0.1:%u\n", scripted_port(crash.run.source));
    assert_true(file_contains(runs, source));
    assert_true(file_contains(runs, "DF2REDIS_NAME=default\n"));
    assert_true(file_contains(runs, "DF2REDIS_TARGET=redis://"));
    assert_true(file_contains(runs, "DF2REDIS_LSNS="));
    assert_true(file_contains(runs, "DF2REDIS_DEADLINE_MS="));
    free(source);
    assert_true(crash_came_out_equal(&crash));
}

static void lsns_that_are_refused_are_undone(void **state)
{
    (void)state;
    begin();
    scripted_refuse_offsets(crash.run.source, "ERR no");
    order_cutover("60s", "true");
    assert_ends(EX_TEMPFAIL, "refuses DFLY REPLICAOFFSET");
    assert_int_equal(asked("CLIENT UNPAUSE"), 1);
    scripted_refuse_offsets(crash.run.source, NULL);
    assert_true(crash_came_out_equal(&crash));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(lsns_are_asked_for_under_the_pause_and_confirmed, teardown),
        cmocka_unit_test_teardown(what_is_written_in_spite_of_the_pause_is_applied, teardown),
        cmocka_unit_test_teardown(a_lost_source_is_undone_over_a_new_connection, teardown),
        cmocka_unit_test_teardown(a_source_that_does_not_answer_is_left_to_its_pause, teardown),
        cmocka_unit_test_teardown(a_killed_guard_takes_its_command_with_it, teardown),
        cmocka_unit_test_teardown(a_stop_meanwhile_undoes_it, teardown),
        cmocka_unit_test_teardown(command_knows_what_is_switched, teardown),
        cmocka_unit_test_teardown(lsns_that_are_refused_are_undone, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
