/* A broken invariant is logged with its number and its place, and ends the process at once; one that holds does
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log/invariant.h"
#include "common/log/log.h"

enum { OFF = -1 };

static char said[1024];
static int pipe_end = OFF;

static void write_line(struct slice line)
{
    ssize_t ignored = write(pipe_end, line.data, line.len);
    (void)ignored;
}

static void say_last(void)
{
    write_line(slice_str("last"));
}

/* Its end, as waitpid() tells it; what it logged is in said. */
static int run_child(unsigned sent, unsigned acknowledged)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        pipe_end = ends[1];
        log_set_sink(write_line);
        log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        invariant_before_abort(say_last);
        INVARIANT(3.1, sent >= acknowledged);
        _exit(7);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], said + n, sizeof said - 1 - n)) > 0;)
        n += (size_t)got;
    said[n] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void broken_one_aborts_with_its_number_and_place(void **state)
{
    (void)state;
    int status = run_child(4, 5);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(
        strstr(said, "error   invariant 3.1 is broken: sent >= acknowledged (tests/unit/common/log/"));
}

static void what_must_be_written_before_the_end_is(void **state)
{
    (void)state;
    run_child(4, 5);
    assert_string_equal(said + strlen(said) - 5, "\nlast");
}

static void one_that_holds_does_nothing(void **state)
{
    (void)state;
    int status = run_child(5, 5);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_one_aborts_with_its_number_and_place),
        cmocka_unit_test(what_must_be_written_before_the_end_is),
        cmocka_unit_test(one_that_holds_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
