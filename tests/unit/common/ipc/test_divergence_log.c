/* A line of divergences.log is read as it was written, and several writers share the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc/divergence_log.h"
#include "common/log/log.h"

static char path[64];
static struct divergence_log first, second;
static struct error error;

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/df2redis-test-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    close(fd);
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return divergence_log_open(&first, path, &error) && divergence_log_open(&second, path, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    divergence_log_close(&first);
    divergence_log_close(&second);
    return unlink(path);
}

static bool add(struct divergence_log *log, uint64_t id, const char *key)
{
    struct divergence_line line = {3, id, "refused_by_target", "SET", key, 12};
    return divergence_log_add(log, &line);
}

/* The lines that are whole, and how many of them the parser takes. */
/* Whole lines, but for empty ones: two writers at once may leave one between them. */
static size_t count_lines(size_t *parsed)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t room = 0, lines = 0;
    ssize_t n;
    struct divergence_line line;
    assert_non_null(f);
    *parsed = 0;
    while ((n = getline(&text, &room, f)) > 0) {
        lines += n > 1 && text[n - 1] == '\n';
        *parsed += divergence_line_parse(text, &line);
    }
    free(text);
    fclose(f);
    return lines;
}

static void line_is_read_as_it_was_written(void **state)
{
    (void)state;
    FILE *f = fopen(path, "re");
    char text[1024];
    struct divergence_line line;
    assert_true(add(&first, UINT64_C(0x123456789abcdef), "\"a key ×2\" in database 3"));
    assert_true(add(&first, 0, "127.0.0.1:6379"));
    assert_non_null(fgets(text, sizeof text, f));
    assert_true(divergence_line_parse(text, &line));
    assert_int_equal(line.flow, 3);
    assert_true(line.id == UINT64_C(0x123456789abcdef));
    assert_string_equal(line.reason, "refused_by_target");
    assert_string_equal(line.command, "SET");
    assert_string_equal(line.key, "\"a key ×2\" in database 3");
    assert_int_equal(line.count, 12);
    assert_non_null(fgets(text, sizeof text, f));
    assert_true(divergence_line_parse(text, &line));
    assert_true(line.id == 0);
    assert_string_equal(line.key, "127.0.0.1:6379");
    fclose(f);
}

static void notes_and_broken_lines_are_no_divergences(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "\n",
        "A copy begins.\n",
        "This log is full; further ones are only counted.\n",
        "1.000 flow=1 healed refused_by_target SET \"k\"\n",
        "1.000 flow=1 id=0123456789abcdef refused_by_target SET \"k\"",
        "1.000 flow=1 id=0123456789abcdef refused_by_target SET \"k\" ×",
        "1.000 flow=x refused_by_target SET \"k\" ×1",
        "1.000 flow=1 ×1",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[128];
        struct divergence_line line;
        snprintf(text, sizeof text, "%s", lines[i]);
        if (divergence_line_parse(text, &line))
            fail_msg("%s", lines[i]);
    }
}

/* Their entry is replaced by the identity of what they name. */
static void lines_of_earlier_versions_have_an_identity(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "1.000 flow=1 entry=20.1.2@8 refused_by_target SET \"k\" ×1\n",
        "2.000 flow=1 entry=21.1.2@8 refused_by_target SET \"k\" ×4\n",
        "3.000 flow=1 entry=21.2.2@8 refused_by_target SET \"l\" ×1\n",
    };
    struct divergence_line line[3];
    for (size_t i = 0; i < 3; i++) {
        static char text[3][128];
        snprintf(text[i], sizeof text[i], "%s", lines[i]);
        assert_true(divergence_line_parse(text[i], &line[i]));
        assert_string_equal(line[i].reason, "refused_by_target");
    }
    assert_true(line[0].id && line[0].id == line[1].id);
    assert_true(line[2].id != line[0].id);
}

/* Such keys look alike in the log, where they are cut. */
static void identity_is_of_the_whole_key_and_its_database(void **state)
{
    (void)state;
    char a[300], b[300];
    memset(a, 'k', sizeof a);
    memcpy(b, a, sizeof b);
    b[sizeof b - 1] = 'l';
    struct slice key_a = slice_of(a, sizeof a), key_b = slice_of(b, sizeof b);
    assert_string_equal(log_key(key_a), log_key(key_b));
    uint64_t id = divergence_id("r", "SET", 0, key_a);
    assert_true(id == divergence_id("r", "SET", 0, key_a));
    assert_true(id != divergence_id("r", "SET", 0, key_b));
    assert_true(id != divergence_id("r", "SET", 1, key_a));
    assert_true(id != divergence_id("r", "GET", 0, key_a));
    assert_true(id != divergence_id("s", "SET", 0, key_a));
    assert_true(divergence_id("ab", "c", 0, key_a) != divergence_id("a", "bc", 0, key_a));
    assert_true(divergence_id("r", "SET", 0, slice_of(NULL, 0)) != 0);
}

static void lines_of_several_processes_never_mix(void **state)
{
    (void)state;
    enum { WRITERS = 4, LINES = 500 };
    pid_t pids[WRITERS];
    size_t parsed;
    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        if (pids[w])
            continue;
        struct divergence_log own;
        bool ok = divergence_log_open(&own, path, &error);
        for (int i = 0; i < LINES; i++)
            ok = ok && add(&own, (uint64_t)i + 1, "\"a key\"");
        _exit(!ok);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_lines(&parsed), WRITERS * LINES);
    assert_int_equal(parsed, WRITERS * LINES);
}

static void limit_holds_for_all_writers_and_is_told_once(void **state)
{
    (void)state;
    size_t parsed, taken = 0;
    struct stat st;
    first.limit_bytes = second.limit_bytes = 1000;
    for (int i = 0; i < 100; i++)
        taken += add(i % 2 ? &first : &second, 7, "\"k\"");
    assert_int_equal(count_lines(&parsed), taken + 1);
    assert_int_equal(parsed, taken);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 1000, 1200);
    divergence_log_begin(&first); /* also then */
    assert_int_equal(count_lines(&parsed), taken + 2);
}

/* A writer that was killed in the midst of a line, or a disk that was full. */
static void line_after_a_torn_one_stands_alone(void **state)
{
    (void)state;
    size_t parsed;
    assert_true(add(&first, 7, "\"k\""));
    assert_int_equal(write(second.fd, "1.000 flow=1 id=01", 18), 18);
    assert_true(add(&first, 8, "\"l\""));
    assert_int_equal(count_lines(&parsed), 3);
    assert_int_equal(parsed, 2);
}

static void failed_write_is_no_line(void **state)
{
    (void)state;
    struct rlimit were, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &were), 0);
    none = (struct rlimit){0, were.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    bool added = add(&first, 7, "\"k\"");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &were), 0);
    assert_false(added);
    assert_true(first.failed);
    assert_true(add(&first, 7, "\"k\"")); /* there is room again */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(line_is_read_as_it_was_written),
        TEST(notes_and_broken_lines_are_no_divergences),
        TEST(lines_of_earlier_versions_have_an_identity),
        TEST(identity_is_of_the_whole_key_and_its_database),
        TEST(lines_of_several_processes_never_mix),
        TEST(limit_holds_for_all_writers_and_is_told_once),
        TEST(line_after_a_torn_one_stands_alone),
        TEST(failed_write_is_no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
