/* Who a cluster's nodes were: kept for a successor, and only when whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/generated.h"
#include "worker/cluster/members.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID_C "cccccccccccccccccccccccccccccccccccccccc"
#define RUN "0123456789012345678901234567890123456789"
#define OTHER "9876543210987654321098765432109876543210"

enum { FLOW = 3, SESSION = 77 };

static char *directory;
static enum { WRITES, DIES, FAILS } writing;

/* write(2) is ours here: after half of the bytes the process is killed, or the disk is full. */
ssize_t write(int fd, const void *bytes, size_t len)
{
    ssize_t n = syscall(SYS_write, fd, bytes, writing == WRITES ? len : len / 2);
    if (writing == DIES)
        _exit(0);
    return n;
}

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

static void save_three(void)
{
    struct identities k = {.session = SESSION};
    identities_set(&k, &(struct identity){ID_A, RUN, OTHER, UINT64_MAX});
    identities_set(&k, &(struct identity){ID_B, "", "", 0});
    identities_set(&k, &(struct identity){ID_C, "", OTHER, 0}); /* not trusted, and its heir is known */
    identities_moved(&k, 12);
    identities_unmarked(&k, 14);
    assert_true(k.changed);
    identities_save(&k, directory, FLOW);
    assert_false(k.changed);
    identities_free(&k);
}

static bool load(void)
{
    struct identities k = {0};
    bool ok = identities_load(&k, directory, FLOW);
    assert_int_equal(k.count, ok ? 3 : 0);
    identities_free(&k);
    return ok;
}

static void a_successor_reads_them(void **state)
{
    (void)state;
    struct identities k = {0};
    save_three();
    assert_true(identities_load(&k, directory, FLOW));
    assert_false(k.changed);
    assert_int_equal(k.session, SESSION);
    assert_int_equal(k.moved_seq, 12);
    assert_int_equal(k.unmarked_seq, 14);
    assert_true(identities_find(&k, ID_A)->fingerprint == UINT64_MAX);
    assert_string_equal(identities_find(&k, ID_A)->run_id, RUN);
    assert_string_equal(identities_find(&k, ID_A)->replid, OTHER);
    assert_string_equal(identities_find(&k, ID_B)->run_id, "");
    assert_string_equal(identities_find(&k, ID_B)->replid, "");
    assert_string_equal(identities_find(&k, ID_C)->run_id, "");
    assert_string_equal(identities_find(&k, ID_C)->replid, OTHER);
    assert_null(identities_find(&k, OTHER));
    identities_free(&k);
}

static void only_what_is_new_is_to_be_saved(void **state)
{
    (void)state;
    static const struct identity others[] = {{ID_A, RUN, RUN, UINT64_MAX},
                                             {ID_A, OTHER, RUN, UINT64_MAX},
                                             {ID_A, OTHER, RUN, 5},
                                             {OTHER, RUN, OTHER, 5}};
    struct identities k = {0};
    save_three();
    assert_true(identities_load(&k, directory, FLOW));
    identities_set(&k, &(struct identity){ID_A, RUN, OTHER, UINT64_MAX});
    identities_moved(&k, 12);
    identities_moved(&k, 3);
    assert_false(k.changed);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        identities_set(&k, &others[i]);
        assert_true(k.changed);
        k.changed = false;
    }
    assert_int_equal(identities_index(&k, OTHER), 3);
    identities_moved(&k, 13);
    assert_true(k.changed);
    assert_int_equal(k.moved_seq, 13);
    identities_free(&k);
}

static void what_was_removed_is_gone(void **state)
{
    (void)state;
    assert_false(load());
    save_three();
    assert_true(load());
    identities_remove(directory, FLOW);
    assert_false(load());
}

static void the_last_ones_stay_when_a_save_is_killed(void **state)
{
    (void)state;
    int status = -1;
    save_three();
    pid_t child = fork();
    if (child == 0) {
        writing = DIES;
        save_three();
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(load());
}

/* What is there would be older than what is known. */
static void a_failed_save_leaves_none(void **state)
{
    (void)state;
    struct identities k = {.session = SESSION};
    save_three();
    identities_set(&k, &(struct identity){ID_A, RUN, OTHER, 0});
    writing = FAILS;
    identities_save(&k, directory, FLOW);
    writing = WRITES;
    assert_true(k.changed);
    assert_false(load());
    identities_free(&k);
}

/* A page lost: at every byte. */
static void one_that_is_not_whole_is_none(void **state)
{
    (void)state;
    char bytes[1000], path[200];
    snprintf(path, sizeof path, "%s/flow-%d.nodes", directory, FLOW);
    save_three();
    int fd = open(path, O_RDWR);
    ssize_t len = read(fd, bytes, sizeof bytes);
    assert_true(len > 100);
    for (ssize_t i = 0; i < len; i++) {
        char other = (char)(bytes[i] ^ 1);
        assert_int_equal(pwrite(fd, &other, 1, i), 1);
        assert_false(load());
        assert_int_equal(pwrite(fd, &bytes[i], 1, i), 1);
    }
    assert_true(load());
    for (ssize_t i = len - 1; i >= 0; i--) {
        assert_int_equal(ftruncate(fd, i), 0);
        assert_false(load());
    }
    close(fd);
}

static void what_cannot_be_saved_stays_changed(void **state)
{
    (void)state;
    struct identities k = {0};
    identities_set(&k, &(struct identity){ID_A, RUN, OTHER, 0});
    identities_save(&k, "/nowhere/at/all", FLOW);
    assert_true(k.changed);
    identities_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_successor_reads_them, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_is_new_is_to_be_saved, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_removed_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_not_whole_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_ones_stay_when_a_save_is_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_save_leaves_none, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_saved_stays_changed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
