/* How a run ends: SIGTERM drains, a second one does not wait, `df2redis stop` asks for the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { STRINGS = 20000, JOURNAL = 20000 };

static struct run run;
static uint64_t journal_at; /* of FLOW 0 */

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

static void begin(void)
{
    struct scripted_options options;
    struct generate_options g;
    scripted_options_init(&options);
    generate_options_init(&g);
    g.flows = 2;
    g.strings = STRINGS;
    g.journal_sets = JOURNAL;
    scripted_options_add(&options, generate_session(&g, NULL));
    journal_at = options.sessions[0].flows[0].journal_at;
    run_begin(&run, &options);
}

static void pause_target(const char *milliseconds)
{
    redisContext *c = server_connect(run.target.port);
    char *words = format_text("CLIENT PAUSE %s ALL", milliseconds);
    server_ok(c, words);
    free(words);
    redisFree(c);
}

static bool whole_journal_received(void *arg)
{
    (void)arg;
    return scripted_all_sent(run.source);
}

/* No worker may outlive its supervisor. */
static bool group_is_gone(void *arg)
{
    const pid_t *pid = arg;
    return kill(-*pid, 0) < 0 && errno == ESRCH;
}

static void sigterm_applies_what_was_received_and_exits_with_0(void **state)
{
    (void)state;
    begin();
    run_replicate(&run, NULL);
    pid_t pid = run.program.process.pid;
    assert_true(wait_until(whole_journal_received, NULL, RUN_DEADLINE_MS));
    /* Before that the copy is not complete, and a stop is no success (75). */
    assert_true(df2redis_wait_said(&run.program, "stable: every FLOW follows the journal", RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_true(wait_until(group_is_gone, &pid, RUN_DEADLINE_MS));
    assert_string_equal(scripted_violation(run.source), "");
}

static void drained_run_has_acknowledged_what_it_applied(void **state)
{
    (void)state;
    begin();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(run_target_keys(&run), STRINGS + JOURNAL);
    for (size_t flow = 0; flow < 2; flow++)
        assert_int_equal(scripted_acked(run.source, flow), scripted_end_lsn(run.source, flow));
}

static void sigint_is_the_same_as_sigterm(void **state)
{
    (void)state;
    begin();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    process_signal(&run.program.process, SIGINT);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_int_equal(run_target_keys(&run), STRINGS + JOURNAL);
}

static void sigterm_in_the_full_sync_says_that_the_copy_is_not_whole(void **state)
{
    (void)state;
    begin();
    scripted_hold(run.source, 0, 100000);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_status(&run.program, "flows.1.phase", "full-sync-end", RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&run), EX_TEMPFAIL);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY STARTSTABLE"), 0);
}

static bool other_flow_acked(void *arg)
{
    (void)arg;
    uint64_t acked = scripted_acked(run.source, 1);
    return acked && acked >= scripted_end_lsn(run.source, 1);
}

/* The target answers nothing, so draining cannot end; the second signal does not wait for it. */
static void second_sigterm_ends_at_once(void **state)
{
    (void)state;
    begin();
    scripted_hold(run.source, 0, journal_at);
    run_replicate(&run, NULL);
    assert_true(wait_until(other_flow_acked, NULL, RUN_DEADLINE_MS));
    pause_target("600000");
    scripted_hold(run.source, 0, NEVER);
    assert_true(run_wait_source(&run, "flow 0", "all sent", 1));
    pid_t pid = run.program.process.pid;
    process_signal(&run.program.process, SIGTERM);
    assert_true(df2redis_wait_status(&run.program, "phase", "draining", RUN_DEADLINE_MS));
    process_signal(&run.program.process, SIGTERM);
    int status = process_wait(&run.program.process, RUN_DEADLINE_MS);
    assert_true(status > 0);
    assert_true(wait_until(group_is_gone, &pid, RUN_DEADLINE_MS));
}

static void stop_command_ends_the_run(void **state)
{
    (void)state;
    begin();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    char *said = NULL;
    const char *argv[] = {df2redis_binary(), "stop", "--state-dir", run.program.dir, NULL};
    int status = process_run(argv, RUN_DEADLINE_MS, &said);
    if (status != EX_OK)
        print_error("df2redis stop: %s\n", said);
    free(said);
    assert_int_equal(status, EX_OK);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_int_equal(run_target_keys(&run), STRINGS + JOURNAL);
}

/* ---- Ctrl-Z ---- */

static pid_t job;

static int teardown_job(void **state)
{
    if (job > 0) {
        kill(job, SIGKILL);
        waitpid(job, NULL, 0);
    }
    job = 0;
    return teardown(state);
}

/* The program as the foreground job of a terminal of its own; returns the other end. */
static int start_on_terminal(void)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    const char *name = ptsname(terminal);
    job = fork();
    if (job == 0) {
        setsid();
        int fd = open(name, O_RDWR); /* becomes the controlling terminal */
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(df2redis_binary(), df2redis_binary(), "replicate", "-s", scripted_uri(run.source), "-t",
              run.target.uri, "--state-dir", run.program.dir, (char *)NULL);
        _exit(127);
    }
    return terminal;
}

static bool job_in_step(void *arg)
{
    (void)arg;
    return df2redis_status_true(&run.program, "in_step");
}

struct change {
    bool stopped, continued, worker_stopped;
    pid_t worker;
};

static bool job_changed(void *arg)
{
    struct change *c = arg;
    int status;
    c->worker_stopped |= process_state(c->worker) == 'T';
    if (waitpid(job, &status, WNOHANG | WUNTRACED | WCONTINUED) == job) {
        c->stopped |= WIFSTOPPED(status);
        c->continued |= WIFCONTINUED(status);
    }
    return c->stopped && c->continued;
}

static void ctrl_z_gives_the_terminal_back_and_the_run_goes_on(void **state)
{
    (void)state;
    struct change change = {0};
    char discarded[4096];
    begin();
    int terminal = start_on_terminal();
    assert_true(wait_until(job_in_step, NULL, RUN_DEADLINE_MS));
    change.worker = (pid_t)df2redis_status_number(&run.program, "flows.0.pid");
    assert_true(change.worker > 0);
    assert_int_equal(write(terminal, "\x1a", 1), 1);
    assert_true(wait_until(job_changed, &change, RUN_DEADLINE_MS));
    assert_false(change.worker_stopped);
    assert_true(wait_until(job_in_step, NULL, RUN_DEADLINE_MS));
    while (read(terminal, discarded, sizeof discarded) > 0)
        ;
    const char *argv[] = {df2redis_binary(), "stop", "--state-dir", run.program.dir, NULL};
    assert_int_equal(process_run(argv, RUN_DEADLINE_MS, NULL), EX_OK);
    int status;
    assert_int_equal(waitpid(job, &status, 0), job);
    job = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_OK);
    close(terminal);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(sigterm_applies_what_was_received_and_exits_with_0, teardown),
        cmocka_unit_test_teardown(drained_run_has_acknowledged_what_it_applied, teardown),
        cmocka_unit_test_teardown(sigint_is_the_same_as_sigterm, teardown),
        cmocka_unit_test_teardown(sigterm_in_the_full_sync_says_that_the_copy_is_not_whole, teardown),
        cmocka_unit_test_teardown(second_sigterm_ends_at_once, teardown),
        cmocka_unit_test_teardown(stop_command_ends_the_run, teardown),
        cmocka_unit_test_teardown(ctrl_z_gives_the_terminal_back_and_the_run_goes_on, teardown_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
