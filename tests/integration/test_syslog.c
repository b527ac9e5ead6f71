/* Logging to syslog, of a whole run: what arrives at /dev/log. That one is ours: the test has a /dev of its
 * own, in a mount namespace, with a socket in it. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { PACKET = 16384 };
#define PASSWORD "s3cret-word"

static const char *const in_step[] = {"wait", "--in-step", "--timeout", "60s", NULL};
static const char *const stop[] = {"stop", NULL};

static struct run run;
static int daemon_log = -1;
static bool own_dev;
static struct buf heard; /* every datagram and a \n */

static bool bind_device(const char *directory, const char *name)
{
    char *from = format_text("/dev/%s", name), *to = format_text("%s/%s", directory, name);
    int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && close(fd) == 0 && mount(from, to, NULL, MS_BIND, NULL) == 0;
    free(from);
    free(to);
    return ok;
}

/* A /dev with what programs need, seen by this process and its children alone. */
static bool make_own_dev(void)
{
    char *directory = temp_dir_make("dev");
    bool ok = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
              mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
              mount("tmpfs", directory, "tmpfs", 0, "mode=755") == 0 && bind_device(directory, "null") &&
              bind_device(directory, "zero") && bind_device(directory, "random") &&
              bind_device(directory, "urandom") && mount(directory, "/dev", NULL, MS_MOVE, NULL) == 0;
    rmdir(directory);
    free(directory);
    return ok;
}

static int group_setup(void **state)
{
    (void)state;
    own_dev = make_own_dev();
    return 0;
}

static void listen_as_syslogd(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    unlink("/dev/log");
    daemon_log = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(daemon_log, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chmod("/dev/log", 0666), 0);
}

static int setup(void **state)
{
    (void)state;
    struct scripted_options options;
    struct generate_options g;
    scripted_options_init(&options);
    options.password = PASSWORD;
    generate_options_init(&g);
    g.flows = 2;
    g.strings = 500;
    g.journal_sets = 100;
    scripted_options_add(&options, generate_session(&g, NULL));
    run_begin(&run, &options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pid_t pid = run_daemon_pid(&run);
    if (pid > 1)
        kill(pid, SIGKILL);
    if (daemon_log >= 0)
        close(daemon_log);
    daemon_log = -1;
    buf_free(&heard);
    run_end(&run);
    return 0;
}

/* All that is there now. */
static void take_packets(void)
{
    char packet[PACKET];
    ssize_t n;
    while ((n = recv(daemon_log, packet, sizeof packet, 0)) > 0) {
        buf_put(&heard, packet, (size_t)n);
        buf_put_u8(&heard, '\n');
    }
}

static bool has_heard(void *text)
{
    take_packets();
    return heard.len && memmem(heard.data, heard.len, text, strlen(text));
}

static void hears(const char *text)
{
    char *copy = x_strdup(text);
    bool yes = wait_until(has_heard, copy, RUN_DEADLINE_MS);
    free(copy);
    if (!yes)
        fail_msg("syslog has not got \"%s\" but\n%.*s", text, (int)heard.len, (const char *)heard.data);
}

static int say(const char *const *more)
{
    const char *argv[24] = {df2redis_binary(), more[0], "--state-dir", run.program.dir};
    char *said = NULL;
    size_t n = 4;
    for (size_t i = 1; more[i]; i++)
        argv[n++] = more[i];
    int code = process_run(argv, RUN_DEADLINE_MS, &said);
    if (code != EX_OK)
        print_error("%s\n", said);
    free(said);
    return code;
}

static void start_daemon(void)
{
    const struct passwd *self = getpwuid(geteuid());
    assert_non_null(self);
    char *pid_file = format_text("%s/pid", run.program.dir);
    const char *const words[] = {"replicate",   "-s",           scripted_uri(run.source),
                                 "-t",          run.target.uri, "-d",
                                 "--pidfile",   pid_file,       "--user",
                                 self->pw_name, "--log-level",  "debug",
                                 NULL};
    setenv("DF2REDIS_SOURCE_PASSWORD", PASSWORD, 1);
    int code = say(words);
    unsetenv("DF2REDIS_SOURCE_PASSWORD");
    free(pid_file);
    assert_int_equal(code, EX_OK);
}

/* How RFC 3164's local form begins: "<PRIORITY>Mmm dd hh:mm:ss df2redis[PID]: ". */
static void every_line_has_facility_program_and_pid(void)
{
    char tag[40];
    snprintf(tag, sizeof tag, " df2redis[%d]: ", (int)run_daemon_pid(&run));
    for (size_t at = 0; at < heard.len;) {
        const char *line = (const char *)heard.data + at;
        const char *end = memchr(line, '\n', heard.len - at);
        unsigned priority = 0;
        assert_int_equal(sscanf(line, "<%u>", &priority), 1);
        assert_int_equal(priority & (unsigned)LOG_FACMASK, LOG_DAEMON);
        if (!memmem(line, (size_t)(end - line), tag, strlen(tag)))
            fail_msg("%.*s", (int)(end - line), line);
        at += (size_t)(end - line) + 1;
    }
}

static void skip_without_own_dev(void)
{
    if (own_dev)
        return;
    print_message("skip: needs root and mount namespaces, for a /dev/log of its own\n");
    skip();
}

static void daemon_logs_to_syslog_the_lines_of_its_workers_too(void **state)
{
    (void)state;
    char info[16], debug[16];
    skip_without_own_dev();
    listen_as_syslogd();
    start_daemon();
    hears("in step: the target has what the source has");
    hears("FLOW 1: ");
    every_line_has_facility_program_and_pid();
    snprintf(info, sizeof info, "<%d>", LOG_DAEMON | LOG_INFO);
    snprintf(debug, sizeof debug, "<%d>", LOG_DAEMON | LOG_DEBUG);
    hears(info);
    hears(debug);
    server_stop(&run.target);
    hears("flow=1 target: "); /* a worker's own */
    every_line_has_facility_program_and_pid();
    assert_false(memmem(heard.data, heard.len, PASSWORD, strlen(PASSWORD)));
}

/* It has the socket and does not read from it: then syslog(3) would wait, and the source's ACKs with it. */
static void syslog_that_hangs_does_not_hold_up_the_run(void **state)
{
    (void)state;
    skip_without_own_dev();
    listen_as_syslogd();
    start_daemon();
    assert_int_equal(say(in_step), EX_OK);
    hears("in step: the target has what the source has"); /* it had to wait, and nothing else */
    assert_int_equal(say(stop), EX_OK);
}

/* Its socket is another one then. */
static void log_goes_on_after_syslog_was_started_anew(void **state)
{
    (void)state;
    skip_without_own_dev();
    listen_as_syslogd();
    start_daemon();
    hears("in step");
    close(daemon_log);
    buf_clear(&heard);
    listen_as_syslogd();
    assert_int_equal(say(stop), EX_OK);
    hears(" df2redis[");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TEST(daemon_logs_to_syslog_the_lines_of_its_workers_too),
        TEST(syslog_that_hangs_does_not_hold_up_the_run),
        TEST(log_goes_on_after_syslog_was_started_anew),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
