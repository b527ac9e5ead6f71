/* The set of suspect keys: each once, bounded, and in its file before the call returns. */
#include "worker/keys/suspects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/generated.h"

enum { FLOW = 3 };

static char *directory;
static struct error error;

static int setup(void **state)
{
    (void)state;
    directory = test_directory_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_directory_remove(directory);
    return 0;
}

static struct suspects *open_set(bool fresh)
{
    struct suspects *s = suspects_open(directory, FLOW, fresh, &error);
    assert_non_null(s);
    return s;
}

static void add(struct suspects *s, uint32_t db, const char *key)
{
    assert_true(suspects_add(s, db, slice_str(key), "refused_by_target", "XADD", &error));
}

static size_t due(struct suspects *s, struct suspect **list, uint64_t now)
{
    return suspects_due(s, now, list, 8);
}

static void path_of(char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/flow-%d.suspects", directory, FLOW);
}

static size_t file_bytes(void)
{
    char path[300];
    struct stat st;
    path_of(path, sizeof path);
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static void a_key_of_a_database_is_in_it_once(void **state)
{
    (void)state;
    struct suspect *list[8];
    struct suspects *s = open_set(true);
    add(s, 0, "a");
    add(s, 0, "a");
    add(s, 1, "a");
    assert_int_equal(suspects_count(s), 2);
    assert_int_equal(due(s, list, 0), 2);
    assert_int_equal(list[0]->db, 0);
    assert_int_equal(list[0]->times, 2);
    assert_int_equal(list[1]->db, 1);
    assert_string_equal(list[0]->reason, "refused_by_target");
    assert_string_equal(list[0]->command, "XADD");
    suspects_close(s);
}

static void what_was_added_while_it_was_compared_stays(void **state)
{
    (void)state;
    struct suspect *list[8];
    struct suspects *s = open_set(true);
    add(s, 0, "a");
    due(s, list, 0);
    uint64_t times = list[0]->times;
    add(s, 0, "a");
    assert_false(suspects_settle(s, list[0], times));
    assert_int_equal(suspects_count(s), 1);
    assert_true(suspects_settle(s, list[0], list[0]->times));
    assert_int_equal(suspects_count(s), 0);
    suspects_close(s);
}

/* Also after a restart; and what is worse is not taken back. */
static void what_was_only_perhaps_wrong_and_then_is_counts_as_wrong(void **state)
{
    (void)state;
    struct suspect *list[8];
    struct suspects *s = open_set(true);
    assert_true(suspects_add(s, 0, slice_str("a"), "perhaps_deleted", "MSET", &error));
    assert_true(suspects_add(s, 0, slice_str("b"), "answer_lost", "RPUSH", &error));
    assert_int_equal(suspects_perhaps(s), 2);
    add(s, 0, "a");
    for (int round = 0; round < 2; round++) {
        assert_true(suspects_add(s, 0, slice_str("a"), "not_there", "EXPIRE", &error));
        assert_int_equal(suspects_perhaps(s), 1);
        assert_int_equal(due(s, list, 0), 2);
        assert_string_equal(list[0]->reason, "refused_by_target");
        assert_string_equal(list[0]->command, "XADD");
        assert_string_equal(list[1]->reason, "answer_lost");
        suspects_close(s);
        s = open_set(false);
    }
    suspects_remove_all(s, NULL);
    assert_int_equal(suspects_perhaps(s), 0);
    suspects_close(s);
}

static void what_was_healed_is_only_perhaps_wrong_until_it_is_refused_again(void **state)
{
    (void)state;
    struct suspect *list[8];
    struct suspects *s = open_set(true);
    add(s, 0, "a");
    due(s, list, 0);
    suspects_note_healed(s, list[0], list[0]->times, 77);
    assert_int_equal(suspects_perhaps(s), 1);
    assert_true(list[0]->difference == 77);
    assert_true(suspects_add(s, 0, slice_str("a"), "answer_lost", "RPUSH", &error));
    assert_int_equal(suspects_perhaps(s), 1);
    assert_true(list[0]->difference == 0);
    uint64_t times = list[0]->times;
    add(s, 0, "a");
    assert_int_equal(suspects_perhaps(s), 0);
    suspects_note_healed(s, list[0], times, 77); /* by a comparison that began before the refusal */
    assert_int_equal(suspects_perhaps(s), 0);
    assert_true(list[0]->difference == 0);
    suspects_note_healed(s, list[0], list[0]->times, 77);
    suspects_forget_differences(s); /* the target may have lost it */
    assert_true(list[0]->difference == 0 && list[0]->healed);
    assert_true(suspects_settle(s, list[0], list[0]->times));
    assert_int_equal(suspects_perhaps(s), 0);
    suspects_close(s);
}

static void what_was_put_off_is_due_later_and_behind_the_others(void **state)
{
    (void)state;
    struct suspect *list[8];
    struct suspects *s = open_set(true);
    add(s, 0, "hot");
    add(s, 0, "cold");
    due(s, list, 0);
    suspects_put_off(s, list[0], 500);
    assert_int_equal(due(s, list, 499), 1);
    assert_memory_equal(list[0]->key.data, "cold", 4);
    assert_int_equal(due(s, list, 500), 2);
    assert_memory_equal(list[1]->key.data, "hot", 3);
    assert_int_equal(list[1]->tries, 1);
    suspects_close(s);
}

/* Keys of any bytes, some settled again. */
static void fill(struct suspects *s, uint32_t from, uint32_t to)
{
    struct suspect *list[8];
    for (uint32_t i = from; i < to; i++) {
        uint8_t key[40];
        generated_fill(key, i * sizeof key, sizeof key);
        memcpy(key, &i, sizeof i);
        assert_true(suspects_add(s, i % 3, slice_of(key, 4 + i % 37), "lost_by_source", "SORT", &error));
        if (i % 2) {
            assert_int_equal(due(s, list, 0), i % 2 && suspects_count(s) < 8 ? suspects_count(s) : 8);
            assert_true(suspects_settle(s, list[0], list[0]->times));
        }
    }
}

static void a_killed_process_leaves_all_of_them_to_its_successor(void **state)
{
    (void)state;
    struct suspect *list[8];
    pid_t child = fork();
    if (child == 0) {
        fill(open_set(true), 0, 1000);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct suspects *s = open_set(false);
    assert_int_equal(suspects_count(s), 500);
    due(s, list, 0);
    uint32_t first;
    memcpy(&first, list[0]->key.data, sizeof first);
    assert_int_equal(first, 500); /* in their order */
    assert_int_equal(list[0]->db, 500 % 3);
    assert_int_equal(list[0]->key.len, 4 + 500 % 37);
    assert_string_equal(list[0]->command, "SORT");
    suspects_close(s);
    s = open_set(true);
    assert_int_equal(suspects_count(s), 0);
    suspects_close(s);
}

/* However the file ends, all whole records before are read, and it is written on behind them. */
static void a_torn_end_is_cut_off(void **state)
{
    (void)state;
    char path[300];
    path_of(path, sizeof path);
    struct suspects *s = open_set(true);
    add(s, 0, "first");
    size_t whole = file_bytes();
    add(s, 0, "second");
    size_t both = file_bytes();
    suspects_close(s);
    for (size_t at = both - 1; at >= whole; at--) {
        assert_int_equal(truncate(path, (off_t)at), 0);
        s = open_set(false);
        assert_int_equal(suspects_count(s), 1);
        add(s, 0, "second");
        suspects_close(s);
        s = open_set(false);
        assert_int_equal(suspects_count(s), 2);
        suspects_close(s);
        assert_int_equal(file_bytes(), both);
    }
}

static void a_file_that_is_not_one_is_begun_anew(void **state)
{
    (void)state;
    char path[300];
    path_of(path, sizeof path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputc((int)generated_byte((uint64_t)i), file);
    fclose(file);
    struct suspects *s = open_set(false);
    assert_int_equal(suspects_count(s), 0);
    add(s, 0, "a");
    suspects_close(s);
    s = open_set(false);
    assert_int_equal(suspects_count(s), 1);
    suspects_close(s);
}

static void the_file_stays_small(void **state)
{
    (void)state;
    struct suspects *s = open_set(true);
    fill(s, 0, 60000);
    assert_int_equal(suspects_count(s), 30000);
    suspects_close(s);
    s = open_set(false);
    assert_int_equal(suspects_count(s), 30000);
    struct suspect *list[8];
    for (size_t n; (n = due(s, list, 0)) > 0;)
        while (n--)
            assert_true(suspects_settle(s, list[n], list[n]->times));
    assert_true(file_bytes() < 300 * 1024);
    suspects_close(s);
}

static void there_is_an_end_to_it(void **state)
{
    (void)state;
    struct suspects *s = open_set(true);
    char *large = calloc(1, 1 << 20);
    uint32_t i;
    for (i = 0; i < 100; i++) {
        memcpy(large, &i, sizeof i);
        if (!suspects_add(s, 0, slice_of(large, 1 << 20), "r", "c", &error))
            break;
    }
    assert_int_equal(i, 15);
    assert_int_equal(error.class, ERROR_RETRY);
    suspects_close(s);
    s = open_set(true);
    for (i = 0; suspects_add(s, 0, slice_of(&i, sizeof i), "r", "c", &error); i++)
        ;
    assert_true(i > 30000 && i <= SUSPECTS_MAX);
    i = 0;
    assert_true(suspects_add(s, 0, slice_of(&i, sizeof i), "r", "c", &error)); /* which is there already */
    suspects_close(s);
    free(large);
}

/* A full disk: it is told, and what stands there stays whole. */
static void what_cannot_be_written_is_not_taken(void **state)
{
    (void)state;
    struct suspects *s = open_set(true);
    add(s, 0, "a");
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {file_bytes() + 10, RLIM_INFINITY};
        setrlimit(RLIMIT_FSIZE, &limit);
        bool taken = suspects_add(s, 0, slice_str("b"), "refused_by_target", "XADD", &error);
        _exit(taken || error.class != ERROR_RETRY || suspects_count(s) != 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    add(s, 0, "c");
    suspects_close(s);
    s = open_set(false);
    assert_int_equal(suspects_count(s), 2);
    suspects_close(s);
}

/* Every pread(2) of this process fails as on a broken disk. */
static void break_reading(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pread64, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(2);
}

static void what_cannot_be_read_is_not_cut_off(void **state)
{
    (void)state;
    struct suspects *s = open_set(true);
    add(s, 0, "a");
    add(s, 0, "b");
    suspects_close(s);
    size_t before = file_bytes();
    pid_t child = fork();
    if (child == 0) {
        break_reading();
        bool opened = suspects_open(directory, FLOW, false, &error) != NULL;
        _exit(opened || error.class != ERROR_FATAL || !strstr(error.text, "check the file system") ||
              !strstr(error.text, strerror(EIO)));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(file_bytes(), before);
    s = open_set(false);
    assert_int_equal(suspects_count(s), 2);
    suspects_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_of_a_database_is_in_it_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_added_while_it_was_compared_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_only_perhaps_wrong_and_then_is_counts_as_wrong, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_put_off_is_due_later_and_behind_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_process_leaves_all_of_them_to_its_successor, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_torn_end_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_one_is_begun_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_healed_is_only_perhaps_wrong_until_it_is_refused_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_file_stays_small, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_an_end_to_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_not_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_not_cut_off, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
