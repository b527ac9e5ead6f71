/* What a run shows: bars on a terminal, JSON lines in the log, every field of the status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { FLOWS = 2, STRINGS = 400 };

static struct run run;
static struct process on_terminal;
static int terminal = -1;

static int teardown(void **state)
{
    (void)state;
    process_stop(&on_terminal);
    if (terminal >= 0)
        close(terminal);
    terminal = -1;
    run_end(&run);
    return 0;
}

static void begin(void)
{
    struct generate_options g;
    generate_options_init(&g);
    g.flows = FLOWS;
    g.strings = STRINGS;
    g.journal_sets = 20;
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, generate_session(&g, NULL));
    run_begin(&run, &options);
}

struct screen {
    struct buf text;
    const char *const *wanted; /* in this order */
};

static bool has_all(struct screen *s)
{
    buf_put_u8(&s->text, 0);
    s->text.len--;
    const char *at = (const char *)s->text.data;
    for (const char *const *w = s->wanted; *w && at; w++)
        at = strstr(at, *w);
    return at;
}

static bool shown_or_over(void *arg)
{
    struct screen *s = arg;
    char bytes[4096];
    ssize_t n;
    while ((n = read(terminal, bytes, sizeof bytes)) > 0)
        buf_put(&s->text, bytes, (size_t)n);
    return has_all(s) || !process_running(&on_terminal);
}

static void assert_shown(struct screen *s, const char *const *wanted)
{
    s->wanted = wanted;
    wait_until(shown_or_over, s, RUN_DEADLINE_MS);
    if (!has_all(s))
        print_error("the terminal has:\n%s\n", (const char *)s->text.data);
    assert_true(has_all(s));
}

static void bars_are_drawn_on_a_terminal_and_redrawn_in_place(void **state)
{
    (void)state;
    static const char *const half[] = {"FLOW 0 ", "[###", "FLOW 1 ", "[", "\033[", "FLOW 0 ", NULL};
    static const char *const whole[] = {"FLOW 0 ", "stable", "[########################]",
                                        "FLOW 1 ", "stable", "[########################]",
                                        NULL};
    begin();
    scripted_hold(run.source, 1, 2000);
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    struct winsize size = {.ws_row = 30, .ws_col = 120};
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    /* Open here as well: what is written before the program's end must not be lost with its last descriptor.
     */
    int other_end = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    const char *argv[] = {
        df2redis_binary(), "replicate",     "-s", scripted_uri(run.source), "-t", run.target.uri,
        "--state-dir",     run.program.dir, NULL};
    assert_true(process_start(&on_terminal, ptsname(terminal), argv));
    struct screen screen = {0};
    assert_shown(&screen, half);
    buf_clear(&screen.text);
    scripted_hold(run.source, 1, NEVER);
    assert_shown(&screen, whole);
    process_signal(&on_terminal, SIGTERM);
    assert_int_equal(process_wait(&on_terminal, RUN_DEADLINE_MS), EX_OK);
    close(other_end);
    buf_free(&screen.text);
}

static void log_lines_are_json_where_that_is_wanted(void **state)
{
    (void)state;
    static const char *const json[] = {"--log-format", "json", NULL};
    begin();
    run_replicate(&run, json);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_terminate(&run), EX_OK);
    char *output = process_output(&run.program.process), *rest = output;
    size_t lines = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line)
            continue;
        cJSON *object = cJSON_Parse(line);
        if (!cJSON_IsObject(object) || !cJSON_IsString(cJSON_GetObjectItem(object, "level")))
            fail_msg("no JSON log line: %s", line);
        cJSON_Delete(object);
        lines++;
    }
    free(output);
    assert_true(lines > 5);
    assert_false(df2redis_said(&run.program, "[##")); /* no bars into a file */
}

static void status_has_every_field(void **state)
{
    (void)state;
    static const char *const fields[] = {"name",  "phase",       "source",   "target", "started",
                                         "flows", "divergences", "degraded", "in_step"};
    static const char *const of_flow[] = {
        "id",          "pid",          "phase",       "received_bytes", "applied_bytes",
        "entries",     "lsn_received", "lsn_applied", "lag_entries",    "lag_bytes",
        "spool_bytes", "restarts",     "idle_ms",     "errors"};
    begin();
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    cJSON *status = df2redis_status(&run.program);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!cJSON_GetObjectItemCaseSensitive(status, fields[i]))
            fail_msg("no field %s", fields[i]);
    const cJSON *flows = cJSON_GetObjectItem(status, "flows"), *flow;
    assert_int_equal(cJSON_GetArraySize(flows), FLOWS);
    cJSON_ArrayForEach(flow, flows) for (size_t i = 0; i < sizeof of_flow / sizeof *of_flow; i++)
    {
        if (!cJSON_GetObjectItemCaseSensitive(flow, of_flow[i]))
            fail_msg("no field %s of a FLOW", of_flow[i]);
    }
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(status, "in_step")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(status, "degraded")));
    cJSON_Delete(status);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- a log that nobody reads ---- */

static int log_reader = -1;

static int teardown_unread(void **state)
{
    if (log_reader >= 0)
        close(log_reader);
    log_reader = -1;
    return teardown(state);
}

/* A pipe in the place of standard output and error, as full as it can be. */
static char *make_full_pipe(void)
{
    char *path = format_text("%s/pipe", run.program.dir), bytes[4096] = "";
    assert_int_equal(mkfifo(path, 0600), 0);
    log_reader = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(log_reader >= 0);
    memset(bytes, '\n', sizeof bytes);
    while (write(log_reader, bytes, sizeof bytes) > 0)
        ;
    while (write(log_reader, bytes, 1) > 0)
        ;
    return path;
}

/* As with `2>&1 | less`, Ctrl-S, or a log driver that hangs. Every FLOW is acknowledged to its end, so the source has
 * nothing to wait for, and the verbs are answered. */
static void log_reader_that_stops_holds_up_neither_source_nor_operator(void **state)
{
    (void)state;
    begin();
    char *pipe = make_full_pipe();
    const char *argv[] = {df2redis_binary(),
                          "replicate",
                          "-s",
                          scripted_uri(run.source),
                          "-t",
                          run.target.uri,
                          "--state-dir",
                          run.program.dir,
                          "--log-level",
                          "debug",
                          NULL};
    assert_true(process_start(&run.program.process, pipe, argv));
    free(pipe);
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    const char *stop[] = {df2redis_binary(), "stop", "--state-dir", run.program.dir, NULL};
    assert_int_equal(process_run(stop, RUN_DEADLINE_MS, NULL), EX_OK);
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_int_equal(run_target_keys(&run), STRINGS + 20);
}

static void log_that_is_read_late_is_whole(void **state)
{
    (void)state;
    struct screen screen = {0};
    static const char *const wanted[] = {"full sync: ", "stable: every FLOW", "in step: ", NULL};
    begin();
    char *pipe = make_full_pipe();
    const char *argv[] = {df2redis_binary(),
                          "replicate",
                          "-s",
                          scripted_uri(run.source),
                          "-t",
                          run.target.uri,
                          "--state-dir",
                          run.program.dir,
                          "--log-level",
                          "debug",
                          NULL};
    assert_true(process_start(&on_terminal, pipe, argv));
    free(pipe);
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    terminal = log_reader;
    log_reader = -1;
    assert_shown(&screen, wanted);
    process_signal(&on_terminal, SIGTERM);
    assert_int_equal(process_wait(&on_terminal, RUN_DEADLINE_MS), EX_OK);
    buf_free(&screen.text);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(bars_are_drawn_on_a_terminal_and_redrawn_in_place, teardown),
        cmocka_unit_test_teardown(log_lines_are_json_where_that_is_wanted, teardown),
        cmocka_unit_test_teardown(log_reader_that_stops_holds_up_neither_source_nor_operator,
                                  teardown_unread),
        cmocka_unit_test_teardown(log_that_is_read_late_is_whole, teardown_unread),
        cmocka_unit_test_teardown(status_has_every_field, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
