/* A disk without room: errors in words that say what to do, never a signal, and it goes on when there is
 * room.
 *
 * The file size limit plays the full disk, so that no privileges are needed; where there are, a small file
 * system that is really full is used as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/ipc/cursor.h"
#include "tests/support/generated.h"
#include "worker/spool/spool.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

static struct error error;

static void limit_files(uint64_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int put_limit_back(void **state)
{
    (void)state;
    limit_files(0);
    return 0;
}

static uint64_t put(struct spool *s, uint64_t bytes)
{
    uint64_t done = 0;
    size_t room;
    while (done < bytes) {
        uint8_t *at = spool_write_begin(s, &room, &error);
        if (!at)
            break;
        size_t n = room < bytes - done ? room : (size_t)(bytes - done);
        generated_fill(at, spool_received(s), n);
        assert_true(spool_write_end(s, n, &error));
        done += n;
    }
    return done;
}

/* Takes everything that is there, checking it. */
static uint64_t take_all(struct spool *s, uint64_t from)
{
    do {
        struct slice here = spool_peek(s, from);
        assert_int_equal(generated_matches(here, from), here.len);
        from += here.len;
        spool_release(s, from);
    } while (spool_refill(s, &error));
    assert_int_equal(error.class, ERROR_NONE);
    return from;
}

static void assert_names_the_disk(const char *directory)
{
    assert_int_equal(error.class, ERROR_RETRY);
    assert_non_null(strstr(error.text, "free space in the state directory"));
    assert_non_null(strstr(error.text, directory));
    error = (struct error){0};
}

static void a_ring_that_does_not_fit_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    char *directory = test_directory_make();
    struct spool_config config = {.directory = directory, .ring_bytes = 8 * MIB, .session = 1};
    limit_files(4 * MIB);
    assert_null(spool_open(&config, false, &error));
    assert_names_the_disk(directory);
    assert_int_equal(test_directory_count(directory, ""), 0);
    test_directory_remove(directory);
}

static void no_room_for_a_segment_stops_reading_like_the_limit(void **state)
{
    (void)state;
    char *directory = test_directory_make();
    struct spool_config config = {
        .directory = directory, .ring_bytes = 4 * MIB, .limit_bytes = 64 * MIB, .session = 1};
    struct spool *s = spool_open(&config, false, &error);
    assert_non_null(s);
    int pipes[2];
    size_t got;
    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    limit_files(3 * MIB);
    assert_int_equal(put(s, 5 * MIB), 4 * MIB);
    assert_names_the_disk(directory);
    assert_int_equal(spool_read_fd(s, pipes[0], &got, &error), SPOOL_READ_LIMIT);
    assert_names_the_disk(directory);
    limit_files(0);
    assert_int_equal(spool_read_fd(s, pipes[0], &got, &error), SPOOL_READ_AGAIN);
    assert_int_equal(put(s, 5 * MIB), 5 * MIB);
    assert_int_equal(take_all(s, 0), 9 * MIB);
    close(pipes[0]);
    close(pipes[1]);
    spool_close(s);
    test_directory_remove(directory);
}

static void bytes_that_no_file_takes_wait_in_the_staging_buffer(void **state)
{
    (void)state;
    for (int successor = 0; successor < 2; successor++) {
        char *directory = test_directory_make();
        struct spool_config config = {
            .directory = directory, .ring_bytes = 64 * KIB, .limit_bytes = 64 * MIB, .session = 1};
        struct spool *s = spool_open(&config, false, &error);
        assert_non_null(s);
        assert_int_equal(put(s, 64 * KIB), 64 * KIB);
        size_t room;
        uint8_t *at = spool_write_begin(s, &room, &error);
        assert_true(room >= 200 * KIB);
        generated_fill(at, 64 * KIB, 200 * KIB);
        limit_files(4096);
        assert_true(spool_write_end(s, 200 * KIB, &error)); /* safe, though not where it should be */
        assert_int_equal(spool_received(s), 264 * KIB);
        assert_null(spool_write_begin(s, &room, &error));
        assert_names_the_disk(directory);
        if (successor) {
            spool_close(s);
            s = spool_open(&config, true, &error);
            assert_non_null(s);
            assert_true(spool_adopt(s, 264 * KIB, &error));
        }
        /* Some of it finds room in the ring, the rest in a file later. */
        spool_release(s, 50 * KIB);
        assert_true(spool_refill(s, &error));
        assert_int_equal(spool_ring_end(s), 114 * KIB);
        assert_null(spool_write_begin(s, &room, &error));
        limit_files(0);
        assert_int_equal(put(s, 2 * MIB), 2 * MIB);
        assert_int_equal(take_all(s, 50 * KIB), 264 * KIB + 2 * MIB);
        spool_close(s);
        test_directory_remove(directory);
    }
}

static void growth_without_room_changes_nothing(void **state)
{
    (void)state;
    char *directory = test_directory_make();
    struct spool_config config = {
        .directory = directory, .ring_bytes = 1 * MIB, .ring_max_bytes = 64 * MIB, .session = 1};
    struct spool *s = spool_open(&config, false, &error);
    assert_non_null(s);
    put(s, 1 * MIB);
    limit_files(5 * MIB);
    assert_false(spool_grow(s, 0, 8 * MIB, &error));
    assert_names_the_disk(directory);
    assert_int_equal(test_directory_count(directory, ".new"), 0);
    limit_files(0);
    assert_true(spool_grow(s, 0, 8 * MIB, &error));
    limit_files(1 * MIB);
    put(s, 7 * MIB);
    spool_release(s, 8 * MIB); /* it would shrink, and cannot */
    assert_int_equal(put(s, 5 * MIB), 5 * MIB);
    limit_files(0);
    assert_int_equal(take_all(s, 8 * MIB), 13 * MIB);
    assert_int_equal(put(s, 2 * MIB), 1 * MIB); /* now it has */
    spool_close(s);
    test_directory_remove(directory);
}

static void a_record_without_room_leaves_the_older_ones(void **state)
{
    (void)state;
    char *directory = test_directory_make();
    struct cursor c;
    struct buf got = {0};
    assert_true(cursor_open(&c, directory, 0, true, &error));
    assert_true(cursor_save_record(&c, slice_str("older"), &error));
    assert_true(cursor_save_record(&c, slice_str("newer"), &error));
    uint8_t *large = x_calloc(1, 2 * MIB);
    limit_files(1 * MIB);
    assert_false(cursor_save_record(&c, slice_of(large, 2 * MIB), &error));
    assert_names_the_disk(directory);
    assert_true(cursor_load_record(&c, &got));
    assert_true(slice_eq(buf_slice(&got), slice_str("newer")));
    limit_files(0);
    assert_true(cursor_save_record(&c, slice_of(large, 2 * MIB), &error));
    cursor_close(&c);
    buf_free(&got);
    free(large);
    test_directory_remove(directory);
}

static void a_ring_that_grows_takes_the_staging_buffer_along(void **state)
{
    (void)state;
    char *directory = test_directory_make();
    struct spool_config config = {
        .directory = directory, .ring_bytes = 64 * KIB, .ring_max_bytes = 64 * MIB, .limit_bytes = 64 * MIB};
    struct spool *s = spool_open(&config, false, &error);
    assert_non_null(s);
    assert_int_equal(put(s, 64 * KIB), 64 * KIB);
    size_t room;
    uint8_t *at = spool_write_begin(s, &room, &error);
    generated_fill(at, 64 * KIB, 200 * KIB);
    limit_files(4096);
    assert_true(spool_write_end(s, 200 * KIB, &error));
    limit_files(0);
    assert_true(spool_grow(s, 0, 264 * KIB, &error));
    while (spool_refill(s, &error)) {
    }
    struct slice all = spool_peek(s, 0);
    assert_int_equal(all.len, 264 * KIB);
    assert_int_equal(generated_matches(all, 0), all.len);
    spool_close(s);
    test_directory_remove(directory);
}

/* In a child with a mount namespace of its own: nothing is left behind, whatever happens. Exit code 77: not
 * here. */
static int on_a_small_file_system(const char *directory)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", directory, "tmpfs", 0, "size=6m") != 0)
        return 77;
    struct spool_config config = {
        .directory = directory, .ring_bytes = 16 * MIB, .limit_bytes = 64 * MIB, .session = 1};
    if (spool_open(&config, false, &error) || error.class != ERROR_RETRY)
        return 1;
    config.ring_bytes = 1 * MIB;
    struct spool *s = spool_open(&config, false, &error);
    if (!s)
        return 2;
    for (uint64_t taken = 0, round = 0; round < 20; round++) {
        uint64_t before = spool_received(s), n = put(s, 64 * MIB);
        if (n < (round ? 1 : 2) * MIB || n > 6 * MIB || error.class != ERROR_RETRY)
            return 3;
        struct slice here;
        do {
            here = spool_peek(s, taken);
            if (generated_matches(here, taken) != here.len)
                return 4;
            spool_release(s, taken += here.len);
        } while (spool_refill(s, &error));
        if (taken != before + n)
            return 5;
    }
    return 0;
}

static void a_full_file_system_is_an_error_and_no_signal(void **state)
{
    (void)state;
    char *directory = test_directory_make();
    pid_t pid = fork();
    if (pid == 0)
        _exit(on_a_small_file_system(directory));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    rmdir(directory);
    free(directory);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("may not mount a file system here: skipped\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, put_limit_back)
    const struct CMUnitTest tests[] = {
        TEST(a_ring_that_does_not_fit_is_refused_and_leaves_nothing),
        TEST(no_room_for_a_segment_stops_reading_like_the_limit),
        TEST(bytes_that_no_file_takes_wait_in_the_staging_buffer),
        TEST(growth_without_room_changes_nothing),
        TEST(a_ring_that_grows_takes_the_staging_buffer_along),
        TEST(a_record_without_room_leaves_the_older_ones),
        TEST(a_full_file_system_is_an_error_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
