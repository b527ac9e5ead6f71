/* Log files that are reopened, and lines on their way to syslog. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>

#include "common/log/log.h"
#include "supervisor/log/log_output.h"
#include "supervisor/log/log_writer.h"
#include "supervisor/log/syslog_output.h"
#include "tests/support/wait_until.h"

enum {
    FLUSH_MS = 60000,
    HELD_UP_S = 120, /* for ever, as nobody reads: then SIGALRM ends the test */
};

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
    alarm(HELD_UP_S);
    return settings_set(&s, "log-file", path, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    alarm(0);
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
    assert_true(log_output_elsewhere());
    log_error("first");
    log_relay(slice_str("of a worker\n"));
    assert_true(log_writer_flush(FLUSH_MS));
    assert_int_equal(rename(path, moved), 0);
    log_error("second");
    log_output_reopen();
    log_error("third");
    assert_true(log_writer_flush(FLUSH_MS));
    char *old = file_text(moved), *fresh = file_text(path);
    assert_non_null(strstr(old, "first"));
    assert_non_null(strstr(old, "of a worker"));
    assert_non_null(strstr(old, "second"));
    assert_null(strstr(old, "third"));
    assert_non_null(strstr(fresh, "third"));
    free(old);
    free(fresh);
}

static void assert_reopening_fails(const char *why)
{
    log_output_reopen();
    log_error("still here");
    assert_true(log_writer_flush(FLUSH_MS));
    log_output_turn();
    assert_true(log_writer_flush(FLUSH_MS));
    char *old = file_text(moved);
    assert_non_null(strstr(old, "still here"));
    assert_non_null(strstr(old, path));
    assert_non_null(strstr(old, why));
    assert_non_null(strstr(old, "the old log file stays in use"));
    free(old);
}

static void failed_reopening_keeps_the_old_file(void **state)
{
    (void)state;
    assert_true(log_output_open(&s, &error));
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_reopening_fails("Is a directory");
}

/* open(2) of a FIFO waits for a reader. */
static void fifo_that_nobody_reads_holds_up_nobody(void **state)
{
    (void)state;
    assert_true(log_output_open(&s, &error));
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(HELD_UP_S);
    assert_reopening_fails("nobody reads this FIFO");
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    log_output_reopen();
    log_error("to the reader");
    assert_true(log_writer_flush(FLUSH_MS));
    alarm(0);
    char text[4096] = "";
    assert_true(read(reader, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "to the reader"));
    close(reader);
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

/* A log daemon that has its socket and does not read from it. */
static void lines_that_syslog_does_not_take_are_kept_and_beyond_that_counted(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    enum { LINE = 4000, LINES = 300, KEPT = 256 * 1024 / LINE };
    char packet[2 * LINE], long_line[LINE];
    int reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), got = 0;
    unsigned long long missing = 0;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/log", testing_dir);
    assert_int_equal(bind(reader, (struct sockaddr *)&address, sizeof address), 0);
    memset(long_line, 'x', sizeof long_line);
    syslog_output_open(address.sun_path);
    for (int i = 0; i < LINES; i++)
        syslog_output_line(LOG_INFO, slice_of(long_line, sizeof long_line));
    for (ssize_t n; (n = recv(reader, packet, sizeof packet - 1, 0)) > 0; syslog_output_flush(), got++)
        assert_memory_equal(packet, "<30>", 4);
    assert_true(got > KEPT && got < LINES);
    syslog_output_line(LOG_INFO, slice_str("after it"));
    ssize_t n = recv(reader, packet, sizeof packet - 1, 0);
    assert_true(n > 0);
    packet[n] = '\0';
    const char *text = strstr(packet, "]: ");
    assert_non_null(text);
    assert_int_equal(sscanf(text, "]: %llu lines are missing here", &missing), 1);
    assert_int_equal(got + (int)missing, LINES);
    assert_true(recv(reader, packet, sizeof packet, 0) > 0);
    syslog_output_close();
    close(reader);
    unlink(address.sun_path);
}

/* ---- standard error that is not read ---- */

enum { WRITTEN_LINES = 40000 };

static int reader = -1;

/* A pipe in the place of standard error, as of `df2redis ... 2>&1 | less`. */
static void open_pipe(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    reader = ends[0];
    settings_free(&s);
    settings_init(&s);
    assert_true(log_output_open(&s, &error));
}

/* How many of our lines come, and how many are said to be missing, until the pipe's end. */
static void read_all(unsigned *came, unsigned long long *missing)
{
    FILE *in = fdopen(reader, "r");
    char line[300];
    *came = 0;
    *missing = 0;
    while (fgets(line, sizeof line, in)) {
        unsigned long long n;
        const char *text = strstr(line, "warning ");
        if (strstr(line, "written line"))
            ++*came;
        else if (text &&
                 sscanf(text, "warning %llu log lines were lost here: standard error was not read", &n) == 1)
            *missing += n;
        if (strstr(line, "the last one"))
            break;
    }
    fclose(in);
}

static void standard_error_that_is_not_read_holds_up_nobody_and_lost_lines_are_counted(void **state)
{
    (void)state;
    unsigned came;
    unsigned long long missing;
    open_pipe();
    for (unsigned i = 0; i < WRITTEN_LINES; i++)
        log_write_always(LOG_LEVEL_INFO, "written line %u of many, which nobody reads for a while", i);
    /* The reader goes on: what was kept comes, then the number of what was not. */
    pid_t waker = fork();
    if (waker == 0) {
        read_all(&came, &missing);
        _exit(came > 0 && came < WRITTEN_LINES && came + missing == WRITTEN_LINES ? 0 : 1);
    }
    close(reader);
    assert_true(log_writer_flush(FLUSH_MS));
    log_error("the last one");
    assert_true(log_writer_flush(FLUSH_MS));
    int status;
    assert_int_equal(waitpid(waker, &status, 0), waker);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static unsigned count_threads(void)
{
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *e; (e = readdir(tasks));)
        n += e->d_name[0] != '.';
    closedir(tasks);
    return n;
}

static bool has_threads(void *count)
{
    return count_threads() == *(unsigned *)count;
}

static void end_does_not_wait_for_a_reader_for_ever(void **state)
{
    (void)state;
    unsigned before = count_threads();
    open_pipe();
    for (unsigned i = 0; i < WRITTEN_LINES; i++)
        log_write_always(LOG_LEVEL_INFO, "written line %u", i);
    log_output_close();
    close(reader); /* the thread that waited gets EPIPE, and is gone before standard error is another file */
    assert_true(wait_until(has_threads, &before, FLUSH_MS));
}

static void full_disk_loses_lines_and_tells_how_many(void **state)
{
    (void)state;
    struct rlimit before, limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_true(log_output_open(&s, &error));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (unsigned i = 0; i < 1000; i++)
        log_write_always(LOG_LEVEL_INFO, "written line %u of those that do not all go into four KiB", i);
    log_writer_flush(FLUSH_MS);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    log_error("room again");
    assert_true(log_writer_flush(FLUSH_MS));
    char *text = file_text(path),
         *at = strstr(text, " log lines were lost here: the log file could not be written");
    assert_non_null(at);
    assert_non_null(strstr(at, "room again"));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_go_to_the_file_and_to_the_new_one_after_a_rotation),
        TEST(failed_reopening_keeps_the_old_file),
        TEST(fifo_that_nobody_reads_holds_up_nobody),
        TEST(file_that_cannot_be_opened_is_told),
        TEST(lines_that_syslog_does_not_take_are_kept_and_beyond_that_counted),
        TEST(standard_error_that_is_not_read_holds_up_nobody_and_lost_lines_are_counted),
        TEST(end_does_not_wait_for_a_reader_for_ever),
        TEST(full_disk_loses_lines_and_tells_how_many),
        TEST(syslog_gets_the_level_and_the_text_without_a_second_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
