/* Starting, talking to and ending worker processes. This program is its own worker: started under the name of
 * one, it answers START with HELLO and obeys. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/flow/worker_process.h"

/* ---- the worker ---- */

/* Sockets and event loops, of which a worker has only its channel. */
static uint32_t open_sockets(void)
{
    uint32_t count = 0;
    struct stat st;
    for (int fd = 3; fd < 256; fd++)
        count += fstat(fd, &st) == 0 && (S_ISSOCK(st.st_mode) || (st.st_mode & S_IFMT) == 0);
    return count;
}

static bool receive(int fd, struct message *m)
{
    struct error e;
    for (;;) {
        enum message_status status = message_receive(fd, m, &e);
        if (status != MESSAGE_AGAIN)
            return status == MESSAGE_OK;
        struct pollfd readable = {fd, POLLIN, 0};
        poll(&readable, 1, -1);
    }
}

static bool ignores(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* HELLO carries what a worker finds: version = sockets open, pid = whether the signals of a terminal and of a service
 * manager are ignored. */
static int be_a_worker(void)
{
    struct message m, hello = {.type = MESSAGE_HELLO, .fd = -1};
    struct error e;
    while (receive(WORKER_CHANNEL_FD, &m)) {
        if (m.type == MESSAGE_STOP)
            return 7;
        if (m.type == MESSAGE_START) {
            fprintf(stderr, "one line\nsecond ");
            fprintf(stderr, "line\nno end");
            if (m.fd >= 0 && write(m.fd, "flow", 4) != 4)
                return 8;
            hello.hello.version = open_sockets();
            hello.hello.pid = ignores(SIGINT) && ignores(SIGTERM) && ignores(SIGHUP) && ignores(SIGTSTP) &&
                              ignores(SIGTTIN) && ignores(SIGTTOU);
            message_send(WORKER_CHANNEL_FD, &hello, &e);
        }
        message_free(&m);
    }
    return 9;
}

/* ---- the tests ---- */

static struct event_base *base;
static struct worker_process worker;
static struct error error;
static unsigned messages;
static uint32_t hello_version, hello_pid;
static struct buf lines;
static const char *self;
static uint32_t inherited_sockets;

static void on_message(struct worker_process *w, struct message *m, void *arg)
{
    (void)w, (void)arg;
    messages++;
    if (m->type == MESSAGE_HELLO) {
        hello_version = m->hello.version;
        hello_pid = m->hello.pid;
    }
}

static void on_log(struct slice text, void *arg)
{
    (void)arg;
    /* Whole lines only, but for the last. */
    buf_put(&lines, text.data, text.len);
    buf_put(&lines, "|", 1);
}

static int setup(void **state)
{
    (void)state;
    base = event_base_new();
    messages = 0;
    worker_process_init(&worker);
    worker.on_message = on_message;
    worker.on_log = on_log;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (worker.pid > 0) {
        pid_t pid = worker.pid;
        worker_process_kill(&worker);
        waitpid(pid, NULL, 0);
    }
    worker_process_forget(&worker);
    event_base_free(base);
    buf_free(&lines);
    return 0;
}

static void start(void)
{
    if (!worker_process_start(&worker, base, self, 3, &error))
        fail_msg("%s", error.text);
}

static void say_start(int fd)
{
    struct message m = {.type = MESSAGE_START, .fd = fd};
    m.start.mode = START_FULL;
    m.start.flow_count = 4;
    assert_true(worker_process_send(&worker, &m));
}

static void wait_for_messages(unsigned count)
{
    uint64_t end = clock_monotonic_ms() + 120000;
    while (messages < count) {
        assert_true(clock_monotonic_ms() < end);
        struct timeval turn = {.tv_usec = 5000};
        event_base_loopexit(base, &turn);
        event_base_loop(base, 0);
    }
}

static int wait_for_end(void)
{
    int status;
    assert_int_equal(waitpid(worker.pid, &status, 0), worker.pid);
    worker_process_drain(&worker);
    worker_process_forget(&worker);
    return status;
}

static void worker_is_told_and_tells(void **state)
{
    (void)state;
    start();
    say_start(-1);
    wait_for_messages(1);
    assert_int_equal(hello_version, inherited_sockets + 1);
    assert_int_equal(hello_pid, 1);
    assert_true(worker_process_send_plain(&worker, MESSAGE_STOP));
    int status = wait_for_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void flow_socket_goes_along(void **state)
{
    (void)state;
    int ends[2];
    char text[8] = "";
    assert_int_equal(pipe(ends), 0);
    start();
    say_start(ends[1]);
    wait_for_messages(1);
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text), 4);
    assert_string_equal(text, "flow");
    close(ends[0]);
}

static void terminal_and_service_signals_do_not_reach_it(void **state)
{
    (void)state;
    start();
    say_start(-1);
    wait_for_messages(1);
    kill(worker.pid, SIGINT);
    kill(worker.pid, SIGTERM);
    kill(worker.pid, SIGTSTP);
    say_start(-1);
    wait_for_messages(2);
}

static void closed_channel_ends_it(void **state)
{
    (void)state;
    start();
    event_free(worker.readable);
    worker.readable = NULL;
    close(worker.channel);
    worker.channel = -1;
    assert_false(worker_process_send_plain(&worker, MESSAGE_STOP));
    int status = wait_for_end();
    assert_int_equal(WEXITSTATUS(status), 9);
}

static void its_log_comes_as_whole_lines(void **state)
{
    (void)state;
    start();
    say_start(-1);
    wait_for_messages(1);
    worker_process_send_plain(&worker, MESSAGE_STOP);
    wait_for_end();
    buf_put_u8(&lines, '\0');
    char *last = strstr((char *)lines.data, "no end");
    assert_non_null(last);
    assert_non_null(strstr((char *)lines.data, "second line\n"));
    for (char *bar = (char *)lines.data; (bar = strchr(bar, '|')) && bar < last; bar++)
        assert_int_equal(bar[-1], '\n');
}

static void what_cannot_be_run_ends_with_its_own_code(void **state)
{
    (void)state;
    assert_true(worker_process_start(&worker, base, "/nonexistent/df2redis-worker", 0, &error));
    int status = wait_for_end();
    assert_int_equal(WEXITSTATUS(status), WORKER_EXEC_FAILED);
}

static void worker_dies_with_its_supervisor(void **state)
{
    (void)state;
    int told[2];
    pid_t grandchild = 0;
    assert_int_equal(pipe(told), 0);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        if (!worker_process_start(&worker, base, self, 3, &error) ||
            write(told[1], &worker.pid, sizeof worker.pid) != sizeof worker.pid)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(told[0], &grandchild, sizeof grandchild), sizeof grandchild);
    kill(supervisor, SIGKILL);
    assert_int_equal(waitpid(supervisor, NULL, 0), supervisor);
    /* Its end is seen by the pipe's: the worker had inherited nothing else of it. */
    close(told[1]);
    uint64_t end = clock_monotonic_ms() + 120000;
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)grandchild);
    for (bool alive = true; alive;) {
        assert_true(clock_monotonic_ms() < end);
        FILE *f = fopen(path, "re");
        alive = f && fgets(line, sizeof line, f) && !strstr(line, ") Z ");
        if (f)
            fclose(f);
    }
    close(told[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (strncmp(argv[0], "df2redis-worker", 15) == 0)
        return argc == 1 ? be_a_worker() : 99;
    self = argv[0];
    inherited_sockets = open_sockets();
    const struct CMUnitTest tests[] = {
        TEST(worker_is_told_and_tells),
        TEST(flow_socket_goes_along),
        TEST(terminal_and_service_signals_do_not_reach_it),
        TEST(closed_channel_ends_it),
        TEST(its_log_comes_as_whole_lines),
        TEST(what_cannot_be_run_ends_with_its_own_code),
        TEST(worker_dies_with_its_supervisor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
