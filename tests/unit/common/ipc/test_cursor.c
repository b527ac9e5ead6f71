/* The cursor: marks that others see at once, and a restart record that is whole whenever its writer dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "common/ipc/cursor.h"
#include "tests/support/generated.h"

#define ROUNDS 150

struct fixture {
    char *directory;
    struct cursor cursor, reader;
    struct error error;
    struct buf got;
};

static int setup(void **state)
{
    struct fixture *f = x_calloc(1, sizeof *f);
    f->directory = test_directory_make();
    f->cursor.fd = f->reader.fd = -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cursor_close(&f->cursor);
    cursor_close(&f->reader);
    buf_free(&f->got);
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

static void reopen(struct fixture *f, bool fresh)
{
    cursor_close(&f->cursor);
    if (!cursor_open(&f->cursor, f->directory, 5, fresh, &f->error))
        fail_msg("%s", f->error.text);
}

static void assert_record(struct fixture *f, const struct cursor *c, struct slice want)
{
    buf_clear(&f->got);
    buf_put(&f->got, "before", 6); /* it is appended */
    assert_true(cursor_load_record(c, &f->got));
    assert_true(slice_eq(slice_of(f->got.data + 6, f->got.len - 6), want));
}

static void marks_are_seen_by_readers_and_successors(void **state)
{
    struct fixture *f = *state;
    assert_false(cursor_open_readonly(&f->reader, f->directory, 5, &f->error));
    assert_int_equal(f->error.class, ERROR_RETRY);
    reopen(f, true);
    assert_true(cursor_open_readonly(&f->reader, f->directory, 5, &f->error));
    cursor_set(&f->cursor.marks->applied_lsn, 41);
    cursor_add(&f->cursor.marks->applied_lsn, 1);
    assert_int_equal(cursor_get(&f->reader.marks->applied_lsn), 42);
    reopen(f, false);
    assert_int_equal(cursor_get(&f->cursor.marks->applied_lsn), 42);
    cursor_set(&f->cursor.marks->phase, CURSOR_STABLE);
    assert_int_equal(cursor_get(&f->reader.marks->phase), CURSOR_STABLE);
}

static void a_fresh_cursor_is_empty_and_the_same_for_its_readers(void **state)
{
    struct fixture *f = *state;
    reopen(f, true);
    assert_false(cursor_load_record(&f->cursor, &f->got));
    cursor_set(&f->cursor.marks->session, 9);
    cursor_set(&f->cursor.marks->batch_micros, 10);
    assert_true(cursor_save_record(&f->cursor, slice_str("state"), &f->error));
    assert_true(cursor_open_readonly(&f->reader, f->directory, 5, &f->error));
    assert_record(f, &f->reader, slice_str("state"));
    reopen(f, true);
    assert_int_equal(cursor_get(&f->reader.marks->session), 0);
    assert_int_equal(cursor_get(&f->reader.marks->batch_micros), 0);
    assert_false(cursor_load_record(&f->cursor, &f->got));
    assert_int_equal(f->got.len, 6 + 5);
    cursor_set(&f->cursor.marks->session, 11);
    assert_int_equal(cursor_get(&f->reader.marks->session), 11);
}

static void the_newest_record_of_any_size_comes_back(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {0,   1,       7,       8,        200,      16384, 16385,
                                   100, 1 << 20, 1 << 24, 64 << 20, 64 << 20, 3,     5 << 20};
    uint8_t *bytes = x_malloc((64 << 20) + 1);
    generated_fill(bytes, 0, (64 << 20) + 1);
    reopen(f, true);
    struct cursor_marks *marks = f->cursor.marks;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct slice record = slice_of(bytes + i, sizes[i] < (64u << 20) ? sizes[i] : sizes[i] - i);
        assert_true(cursor_save_record(&f->cursor, record, &f->error));
        assert_ptr_equal(f->cursor.marks, marks); /* growing does not move them */
        assert_record(f, &f->cursor, record);
        if (i % 3 == 0) {
            reopen(f, false);
            marks = f->cursor.marks;
            assert_record(f, &f->cursor, record);
        }
    }
    assert_false(cursor_save_record(&f->cursor, slice_of(bytes, (64 << 20) + 1), &f->error));
    assert_int_equal(f->error.class, ERROR_FATAL);
    free(bytes);
}

static void a_torn_copy_is_passed_over_for_the_one_before(void **state)
{
    struct fixture *f = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/flow-5.cursor", f->directory);
    reopen(f, true);
    assert_true(cursor_save_record(&f->cursor, slice_str("the older one"), &f->error));
    assert_true(cursor_save_record(&f->cursor, slice_str("the newer one"), &f->error));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    static uint8_t file[131072];
    ssize_t n = pread(fd, file, sizeof file, 0);
    assert_true(n > 0);
    const uint8_t *at = memmem(file, (size_t)n, "the newer one", 13);
    assert_non_null(at);
    assert_int_equal(pwrite(fd, "X", 1, at - file), 1);
    close(fd);
    assert_record(f, &f->cursor, slice_str("the older one"));
}

static void garbage_is_not_a_cursor(void **state)
{
    struct fixture *f = *state;
    char path[256];
    static const uint8_t garbage[100000] = {1, 2, 3};
    snprintf(path, sizeof path, "%s/flow-5.cursor", f->directory);
    for (size_t bytes = 0; bytes <= sizeof garbage; bytes += sizeof garbage / 2) {
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, garbage, bytes), bytes);
        close(fd);
        assert_false(cursor_open_readonly(&f->reader, f->directory, 5, &f->error));
        assert_int_equal(f->error.class, ERROR_RETRY);
        reopen(f, false);
        assert_int_equal(cursor_get(&f->cursor.marks->session), 0);
        assert_false(cursor_load_record(&f->cursor, &f->got));
        assert_true(cursor_save_record(&f->cursor, slice_str("x"), &f->error));
    }
}

static void a_missing_directory_is_named(void **state)
{
    struct fixture *f = *state;
    assert_false(cursor_open(&f->cursor, "/nonexistent/state", 5, true, &f->error));
    assert_int_equal(f->error.class, ERROR_FATAL);
    assert_non_null(strstr(f->error.text, "/nonexistent/state is missing: create it"));
}

static void removal_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[256];
    reopen(f, true);
    snprintf(path, sizeof path, "%s/flow-5.cursor", f->directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    cursor_remove(f->directory, 5);
    assert_int_equal(test_directory_count(f->directory, ""), 0);
}

static void every_phase_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(cursor_phase_name(CURSOR_STARTING), "starting");
    assert_string_equal(cursor_phase_name(CURSOR_FAILED), "failed");
    assert_string_equal(cursor_phase_name((enum cursor_phase)99), "unknown");
}

/* Record n: n itself, then generated bytes; mostly small, at times up to 1 MiB. */
static struct slice numbered_record(uint8_t *out, uint64_t n)
{
    size_t most = n % 16 ? 400 : 1 << 20, len = 8 + (size_t)(generated_word(n) % (most - 8));
    memcpy(out, &n, 8);
    generated_fill(out + 8, n * 977, len - 8);
    return slice_of(out, len);
}

static _Noreturn void save_for_ever(struct fixture *f, _Atomic uint64_t *saved)
{
    uint8_t *bytes = x_malloc(1 << 20);
    if (!cursor_open(&f->cursor, f->directory, 5, false, &f->error))
        _exit(1);
    for (uint64_t n = atomic_load(saved) + 1;; n++) {
        if (!cursor_save_record(&f->cursor, numbered_record(bytes, n), &f->error))
            _exit(2);
        atomic_store(saved, n);
        cursor_set(&f->cursor.marks->entries, n);
    }
}

static void killed_while_saving_a_whole_record_is_there(void **state)
{
    struct fixture *f = *state;
    uint8_t *want = x_malloc(1 << 20);
    _Atomic uint64_t *saved =
        mmap(NULL, sizeof *saved, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(saved != MAP_FAILED);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct timespec longer = {.tv_nsec = (long)(generated_word(round) % 200000)};
        uint64_t enough = atomic_load(saved) + 1 + generated_word(round) % 24;
        int status;
        pid_t pid = fork();
        if (pid == 0)
            save_for_ever(f, saved);
        while (atomic_load(saved) < enough && waitpid(pid, &status, WNOHANG) == 0)
            sched_yield();
        nanosleep(&longer, NULL); /* not waiting: the kill comes at any moment of the next one */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        uint64_t newest = atomic_load(saved), n;
        reopen(f, false);
        buf_clear(&f->got);
        if (!cursor_load_record(&f->cursor, &f->got)) {
            assert_int_equal(newest, 0);
            continue;
        }
        memcpy(&n, f->got.data, sizeof n);
        assert_true(n == newest || n == newest + 1);
        assert_true(slice_eq(buf_slice(&f->got), numbered_record(want, n)));
        assert_true(cursor_get(&f->cursor.marks->entries) + 1 >= newest);
        atomic_store(saved, n);
    }
    assert_true(atomic_load(saved) > ROUNDS);
    munmap((void *)saved, sizeof *saved);
    free(want);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(marks_are_seen_by_readers_and_successors),
        TEST(a_fresh_cursor_is_empty_and_the_same_for_its_readers),
        TEST(the_newest_record_of_any_size_comes_back),
        TEST(a_torn_copy_is_passed_over_for_the_one_before),
        TEST(garbage_is_not_a_cursor),
        TEST(a_missing_directory_is_named),
        TEST(removal_leaves_nothing),
        TEST(every_phase_has_a_name),
        TEST(killed_while_saving_a_whole_record_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
