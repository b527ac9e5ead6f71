/* As an operator runs it: from a file, in the background, watched, reconfigured, waited for, stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/landlock.h"
#include "tests/support/generate.h"
#include "tests/support/monitor.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { STRINGS = 2000, JOURNAL = 500, WORDS = 16 };

static struct run run;
static char *config; /* path */

static int setup(void **state)
{
    (void)state;
    struct scripted_options options;
    struct generate_options g;
    scripted_options_init(&options);
    generate_options_init(&g);
    g.flows = 2;
    g.strings = STRINGS;
    g.journal_sets = JOURNAL;
    scripted_options_add(&options, generate_session(&g, NULL));
    run_begin(&run, &options);
    config = format_text("%s/run.conf", run.program.dir);
    return 0;
}

/* A daemon is in no process group of ours. */
static int teardown(void **state)
{
    (void)state;
    pid_t pid = run_daemon_pid(&run);
    if (pid > 1)
        kill(pid, SIGKILL);
    free(config);
    run_end(&run);
    return 0;
}

/* With the present user: a daemon of root's would become df2redis where there is one, who cannot reach our
 * directory. */
static void write_config(const char *more)
{
    const struct passwd *self = getpwuid(geteuid());
    assert_non_null(self);
    char *text = format_text("source = %s\ntarget = %s\nuser = %s\n%s", scripted_uri(run.source),
                             run.target.uri, self->pw_name, more);
    assert_true(file_write(config, slice_str(text)));
    free(text);
}

/* df2redis VERB --state-dir DIR …; what it said to *said (may be NULL). */
static int say(char **said, const char *verb, ...)
{
    const char *argv[WORDS] = {df2redis_binary(), verb, "--state-dir", run.program.dir};
    va_list args;
    size_t n = 4;
    va_start(args, verb);
    while (n < WORDS - 1 && (argv[n] = va_arg(args, const char *)))
        n++;
    va_end(args);
    char *text = NULL;
    int code = process_run(argv, RUN_DEADLINE_MS, &text);
    if (said)
        *said = text;
    else
        free(text);
    return code;
}

static bool file_says(const char *name, const char *text)
{
    char *path = format_text("%s/%s", run.program.dir, name);
    bool yes = file_contains(path, text);
    free(path);
    return yes;
}

static void configured_run_goes_to_the_background_and_is_waited_for_and_stopped(void **state)
{
    (void)state;
    char *more = format_text("[log]\nlog-file = %s/log\n[daemon]\ndaemon = on\npidfile = %s/pid\n",
                             run.program.dir, run.program.dir);
    write_config(more);
    free(more);
    char *said;
    int code = say(&said, "replicate", "-c", config, NULL);
    if (code != EX_OK)
        print_error("%s\n", said);
    free(said);
    assert_int_equal(code, EX_OK);
    assert_true(run_daemon_pid(&run) > 1);
    assert_int_equal(say(NULL, "wait", "--in-step", "--timeout", "60s", NULL), EX_OK);
    assert_int_equal(say(NULL, "status", NULL), EX_OK);
    assert_int_equal(say(NULL, "stop", NULL), EX_OK);
    assert_int_equal(run_target_keys(&run), STRINGS + JOURNAL);
    assert_true(file_says("log", "stable: every FLOW"));
    assert_true(file_says("log", "completed"));
    assert_int_equal(run_daemon_pid(&run), 0);
}

static void daemon_that_cannot_start_tells_its_foreground(void **state)
{
    (void)state;
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SET foreign 1");
    redisFree(c);
    char *more =
        format_text("log-file = %s/log\ndaemon = on\npidfile = %s/pid\n", run.program.dir, run.program.dir);
    write_config(more);
    free(more);
    char *said;
    assert_int_equal(say(&said, "replicate", "-c", config, NULL), EX_CANTCREAT);
    assert_non_null(strstr(said, "holds 1 key"));
    free(said);
}

static void bad_configuration_is_refused_with_its_line(void **state)
{
    (void)state;
    char *said;
    write_config("max-rate = fast\n");
    assert_int_equal(say(&said, "replicate", "-c", config, "--check-config", NULL), EX_CONFIG);
    assert_non_null(strstr(said, "run.conf:4: max-rate"));
    free(said);
    write_config("max-rate = 1m\n");
    assert_int_equal(say(NULL, "replicate", "-c", config, "--check-config", NULL), EX_OK);
}

static void wait_ends_in_time_and_needs_a_run(void **state)
{
    (void)state;
    assert_int_equal(say(NULL, "wait", "--in-step", "--timeout", "100ms", NULL), EX_UNAVAILABLE);
    scripted_hold(run.source, 0, 1000);
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_status(&run.program, "phase", "full-sync", RUN_DEADLINE_MS));
    assert_int_equal(say(NULL, "wait", "--in-step", "--timeout", "300ms", NULL), EX_TEMPFAIL);
    scripted_hold(run.source, 0, NEVER);
    assert_int_equal(say(NULL, "wait", "--in-step", NULL), EX_OK);
}

/* `df2redis replicate ... & df2redis wait --in-step`: the run may come second. */
static void wait_may_begin_before_the_run_does(void **state)
{
    (void)state;
    struct process wait = {0};
    char *output = format_text("%s/wait", run.program.dir);
    const char *const argv[] = {df2redis_binary(), "wait", "--in-step", "--state-dir", run.program.dir, NULL};
    assert_true(process_start(&wait, output, argv));
    assert_int_equal(process_wait(&wait, 500), -1);
    run_replicate(&run, NULL);
    assert_int_equal(process_wait(&wait, RUN_DEADLINE_MS), EX_OK);
    process_stop(&wait);
    free(output);
    assert_int_equal(say(NULL, "stop", NULL), EX_OK);
    uint64_t begun_ms = clock_monotonic_ms();
    assert_int_equal(say(NULL, "status", NULL), EX_UNAVAILABLE);
    assert_int_equal(say(NULL, "stop", NULL), EX_UNAVAILABLE);
    assert_true(clock_monotonic_ms() - begun_ms < RUN_DEADLINE_MS / 2);
}

/* `status --watch` goes on until the run ends. */
static void watched_status_ends_with_the_run(void **state)
{
    (void)state;
    struct process watch = {0};
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    char *output = format_text("%s/watch", run.program.dir);
    const char *const argv[] = {df2redis_binary(), "status", "--watch", "--state-dir", run.program.dir, NULL};
    assert_true(process_start(&watch, output, argv));
    uint64_t deadline_ms = clock_monotonic_ms() + RUN_DEADLINE_MS;
    while (!process_said(&watch, "FLOW 1") && clock_monotonic_ms() < deadline_ms)
        assert_true(process_running(&watch));
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(process_wait(&watch, RUN_DEADLINE_MS), EX_UNAVAILABLE);
    assert_true(process_said(&watch, "FLOW 1   stable        [########################]"));
    process_stop(&watch);
    free(output);
}

/* The configuration is what is tested here: all comes from the file. */
static void start_configured(void)
{
    const char *const argv[] = {df2redis_binary(), "replicate",     "-c", config,
                                "--state-dir",     run.program.dir, NULL};
    char *output = format_text("%s/output", run.program.dir);
    assert_true(process_start(&run.program.process, output, argv));
    free(output);
    assert_true(run_wait_in_step(&run));
}

static void hangup_changes_what_can_change_and_names_the_rest(void **state)
{
    (void)state;
    write_config("max-rate = 100m\n");
    start_configured();
    write_config("max-rate = 200m\nlog-level = debug\nbatch-commands = 7\n");
    process_signal(&run.program.process, SIGHUP);
    assert_true(df2redis_wait_said(&run.program, "changed: max-rate, log-level", RUN_DEADLINE_MS));
    assert_true(
        df2redis_wait_said(&run.program, "effective after a restart: batch-commands", RUN_DEADLINE_MS));
    write_config("max-rate = 300m\nnonsense\n");
    process_signal(&run.program.process, SIGHUP);
    assert_true(df2redis_wait_said(&run.program, "run.conf:5: ", RUN_DEADLINE_MS));
    assert_true(df2redis_wait_said(&run.program, "the settings stay as they were", RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void hangup_reopens_the_log(void **state)
{
    (void)state;
    char *more = format_text("log-file = %s/log\n", run.program.dir),
         *from = format_text("%s/log", run.program.dir);
    char *to = format_text("%s/log.1", run.program.dir);
    write_config(more);
    start_configured();
    assert_int_equal(rename(from, to), 0);
    process_signal(&run.program.process, SIGHUP);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_true(file_says("log.1", "stable: every FLOW"));
    assert_true(file_says("log", "SIGHUP received"));
    assert_true(file_says("log", "completed"));
    free(more);
    free(from);
    free(to);
}

/* Of a terminal that was closed: nothing is to be read again, and nobody watches any more. */
static void hangup_with_nothing_to_reload_stops_in_good_order(void **state)
{
    (void)state;
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    process_signal(&run.program.process, SIGHUP);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_int_equal(run_target_keys(&run), STRINGS + JOURNAL);
}

static void metrics_of_a_run_are_those_of_its_status(void **state)
{
    (void)state;
    struct buf answer = {0};
    const char *const extra[] = {"--metrics", "0", NULL};
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(monitor_ask(&run.program, "/readyz", &answer), 200);
    assert_int_equal(monitor_ask(&run.program, "/status.json", &answer), 200);
    assert_non_null(strstr((const char *)answer.data, "\"in_step\":true"));
    buf_free(&answer);
    assert_int_equal(monitor_metric(&run.program, "flow_applied_bytes_total{flow=\"1\"}"),
                     df2redis_status_number(&run.program, "flows.1.applied_bytes"));
    assert_int_equal(monitor_metric(&run.program, "in_step"), 1);
    assert_true(monitor_metric(&run.program, "flow_batch_duration_seconds_count{flow=\"0\"}") > 0);
}

/* Also that everything above works in this state: confine is on unless switched off. */
static void workers_are_confined(void **state)
{
    (void)state;
    struct buf text = {0};
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    char *path = format_text("/proc/%.0f/status", df2redis_status_number(&run.program, "flows.0.pid"));
    assert_true(file_read(path, &text));
    buf_put_u8(&text, '\0');
    assert_non_null(strstr((const char *)text.data, "\nNoNewPrivs:\t1\n"));
    bool sanitized = df2redis_said(&run.program, "AddressSanitizer");
    if (!sanitized && !df2redis_said(&run.program, "are not confined"))
        assert_non_null(strstr((const char *)text.data, "\nSeccomp:\t2\n"));
    buf_free(&text);
    free(path);
}

/* All that came so far, each datagram after a \n. */
static struct buf transcript;

static bool heard(int manager, const char *wanted)
{
    char text[512], *line = format_text("\n%s", wanted);
    uint64_t end_ms = clock_monotonic_ms() + RUN_DEADLINE_MS;
    struct timeval limit = {.tv_usec = 100000};
    bool found = false;
    setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while (!(found = transcript.len && memmem(transcript.data, transcript.len, line, strlen(line))) &&
           clock_monotonic_ms() < end_ms) {
        ssize_t n = recv(manager, text, sizeof text, 0);
        buf_put_u8(&transcript, '\n');
        buf_put(&transcript, text, n > 0 ? (size_t)n : 0);
    }
    free(line);
    return found;
}

static void service_manager_hears_of_readiness_and_the_end(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *path = format_text("%s/notify", run.program.dir);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_USEC", "2000000", 1);
    /* It stays in the foreground, where the manager looks for it. */
    char *more = format_text("daemon = on\nlog-file = %s/log\n", run.program.dir);
    write_config(more);
    free(more);
    scripted_hold(run.source, 0, 1000);
    const char *const extra[] = {"-c", config, NULL};
    run_replicate(&run, extra);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    assert_true(heard(manager, "EXTEND_TIMEOUT_USEC="));
    assert_true(heard(manager, "STATUS=full-sync: "));
    scripted_hold(run.source, 0, NEVER);
    assert_true(heard(manager, "READY=1"));
    assert_true(heard(manager, "WATCHDOG=1"));
    buf_clear(&transcript);
    process_signal(&run.program.process, SIGHUP);
    assert_true(heard(manager, "RELOADING=1\nMONOTONIC_USEC="));
    assert_true(heard(manager, "READY=1"));
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_true(heard(manager, "STOPPING=1"));
    buf_free(&transcript);
    close(manager);
    free(path);
}

static bool reachable_for(const struct passwd *user, const char *path)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0 && access(path, X_OK) == 0 ? 0 : 1);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The programs, in a directory that everybody can reach: the build's may lie below a home of mode 0700. */
static char *copy_programs(void)
{
    static const char *const suffixes[] = {"", "-worker", NULL};
    char *copy = format_text("%s/df2redis", run.program.dir);
    for (const char *const *suffix = suffixes; *suffix; suffix++) {
        struct buf bytes = {0};
        char *from = format_text("%s%s", df2redis_binary(), *suffix),
             *to = format_text("%s%s", copy, *suffix);
        assert_true(file_read(from, &bytes));
        assert_true(file_write(to, buf_slice(&bytes)));
        assert_int_equal(chmod(to, 0755), 0);
        buf_free(&bytes);
        free(from);
        free(to);
    }
    return copy;
}

static void root_gives_up_its_rights_and_the_copy_works_without(void **state)
{
    (void)state;
    const struct passwd *user = getpwnam("nobody");
    assert_int_equal(chmod(run.program.dir, 0755), 0);
    if (geteuid() != 0 || !user || !reachable_for(user, run.program.dir)) {
        print_message("skip: needs root, the user nobody, and a TMPDIR that he can reach\n");
        skip();
    }
    struct stat st;
    char *dir = format_text("%s/state", run.program.dir), *worker, *programs = copy_programs();
    char *named = getenv("DF2REDIS_TEST_BINARY") ? x_strdup(getenv("DF2REDIS_TEST_BINARY")) : NULL;
    const char *const extra[] = {"--user", "nobody", "--state-dir", dir, NULL};
    setenv("DF2REDIS_TEST_BINARY", programs, 1);
    run_replicate(&run, extra);
    if (named)
        setenv("DF2REDIS_TEST_BINARY", named, 1);
    else
        unsetenv("DF2REDIS_TEST_BINARY");
    free(named);
    free(programs);
    assert_true(df2redis_wait_said(&run.program, "in step", RUN_DEADLINE_MS));
    worker = format_text("/proc/%d/status", (int)run.program.process.pid);
    char *uid =
        format_text("\nUid:\t%u\t%u\t%u\t%u\n", user->pw_uid, user->pw_uid, user->pw_uid, user->pw_uid);
    assert_true(file_contains(worker, uid));
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_uid, user->pw_uid);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(run_target_keys(&run), STRINGS + JOURNAL);
    free(worker);
    free(uid);
    free(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TEST(configured_run_goes_to_the_background_and_is_waited_for_and_stopped),
        TEST(daemon_that_cannot_start_tells_its_foreground),
        TEST(bad_configuration_is_refused_with_its_line),
        TEST(wait_ends_in_time_and_needs_a_run),
        TEST(wait_may_begin_before_the_run_does),
        TEST(watched_status_ends_with_the_run),
        TEST(hangup_changes_what_can_change_and_names_the_rest),
        TEST(hangup_reopens_the_log),
        TEST(hangup_with_nothing_to_reload_stops_in_good_order),
        TEST(metrics_of_a_run_are_those_of_its_status),
        TEST(workers_are_confined),
        TEST(service_manager_hears_of_readiness_and_the_end),
        TEST(root_gives_up_its_rights_and_the_copy_works_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
