/* A worker's log lines on their way to the supervisor, through a pipe that is perhaps not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log/log.h"
#include "worker/log_pipe.h"

enum { LINES = 20000, HELD_UP_S = 60 /* for ever, as nobody reads: then SIGALRM ends the test */ };

static int terminal = -1, reader = -1;

static int setup(void **state)
{
    (void)state;
    int ends[2];
    terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    if (pipe2(ends, O_CLOEXEC) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
        return -1;
    close(ends[1]);
    reader = ends[0];
    log_pipe_open();
    alarm(HELD_UP_S);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    alarm(0);
    log_pipe_close();
    close(reader);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    return 0;
}

static struct buf text;

static void read_what_is_there(void)
{
    fcntl(reader, F_SETFL, O_NONBLOCK);
    for (ssize_t n; (n = read(reader, buf_reserve(&text, 65536), 65536)) > 0;) {
        text.len += (size_t)n;
        log_pipe_turn();
    }
}

static void supervisor_that_does_not_read_holds_up_no_worker(void **state)
{
    (void)state;
    unsigned came = 0;
    unsigned long long lost = 0;
    for (unsigned i = 0; i < LINES; i++)
        log_write_always(LOG_LEVEL_WARNING, "line %u of many", i);
    read_what_is_there();
    buf_put_u8(&text, 0);
    for (const char *at = (const char *)text.data; (at = strstr(at, "of many\n")); at++)
        came++;
    const char *note =
        strstr((const char *)text.data, " log lines were lost here: the supervisor did not read");
    assert_non_null(note);
    while (note[-1] != ' ')
        note--;
    assert_int_equal(sscanf(note, "%llu", &lost), 1);
    assert_true(lost > 0);
    assert_int_equal(came + lost, LINES);
    buf_free(&text);
}

static void end_does_not_wait_for_the_supervisor_for_ever(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LINES; i++)
        log_write_always(LOG_LEVEL_WARNING, "line %u of many", i);
    log_pipe_close();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(supervisor_that_does_not_read_holds_up_no_worker),
        TEST(end_does_not_wait_for_the_supervisor_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
