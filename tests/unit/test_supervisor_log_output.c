/* Log files that are reopened, and lines on their way to syslog. */
#include "tests/unit/supervisor_testing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>

#include "common/log.h"
#include "supervisor/log_output.h"

static struct settings s;
static struct error error;
static int terminal = -1;
static char path[96], moved[104];

static int setup(void **state)
{
    if (make_dir(state) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/log", testing_dir);
    snprintf(moved, sizeof moved, "%s/log.1", testing_dir);
    settings_init(&s);
    terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    return settings_set(&s, "log-file", path, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    log_output_close();
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    settings_free(&s);
    return remove_dir(state);
}

static void lines_go_to_the_file_and_to_the_new_one_after_a_rotation(void **state)
{
    (void)state;
    assert_true(log_output_open(&s, &error));
    assert_true(log_output_relays());
    log_error("first");
    log_output_lines(slice_str("of a worker\n"));
    assert_int_equal(rename(path, moved), 0);
    log_error("second");
    assert_true(log_output_reopen(&error));
    log_error("third");
    char *old = file_text(moved), *fresh = file_text(path);
    assert_non_null(strstr(old, "first"));
    assert_non_null(strstr(old, "of a worker"));
    assert_non_null(strstr(old, "second"));
    assert_null(strstr(old, "third"));
    assert_non_null(strstr(fresh, "third"));
    free(old);
    free(fresh);
}

static void failed_reopening_keeps_the_old_file(void **state)
{
    (void)state;
    assert_true(log_output_open(&s, &error));
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(log_output_reopen(&error));
    assert_non_null(strstr(error.text, path));
    log_error("still here");
    char *old = file_text(moved);
    assert_non_null(strstr(old, "still here"));
    free(old);
}

static void file_that_cannot_be_opened_is_told(void **state)
{
    (void)state;
    assert_true(settings_set(&s, "log-file", "/nonexistent/log", &error));
    assert_false(log_output_open(&s, &error));
    assert_non_null(strstr(error.text, "/nonexistent/log"));
}

static void assert_line(const char *line, int priority, const char *says)
{
    struct slice text;
    assert_int_equal(log_output_priority(slice_str(line), &text), priority);
    assert_int_equal(text.len, strlen(says));
    assert_memory_equal(text.data, says, text.len);
}

static void syslog_gets_the_level_and_the_text_without_a_second_time(void **state)
{
    (void)state;
    assert_line("2026-05-01T10:00:00.000Z warning flow=1 the text", LOG_WARNING, "flow=1 the text");
    assert_line("2026-05-01T10:00:00.000Z error   away", LOG_ERR, "away");
    assert_line("2026-05-01T10:00:00.000Z debug   ", LOG_DEBUG, "");
    assert_line("{\"time\":\"x\",\"level\":\"error\",\"message\":\"m\"}", LOG_ERR,
                "{\"time\":\"x\",\"level\":\"error\",\"message\":\"m\"}");
    assert_line("what libc says", LOG_INFO, "what libc says");
    assert_line("2026-05-01T10:00:00.000Z", LOG_INFO, "2026-05-01T10:00:00.000Z");
    assert_line("", LOG_INFO, "");
    assert_line("x error", LOG_INFO, "x error");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_go_to_the_file_and_to_the_new_one_after_a_rotation),
        TEST(failed_reopening_keeps_the_old_file),
        TEST(file_that_cannot_be_opened_is_told),
        TEST(syslog_gets_the_level_and_the_text_without_a_second_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
