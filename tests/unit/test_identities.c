/* Who a cluster's nodes were: kept for a successor, and only when whole and of the session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/support/generated.h"
#include "worker/identities.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define RUN "0123456789012345678901234567890123456789"
#define OTHER "9876543210987654321098765432109876543210"

enum { FLOW = 3, SESSION = 77 };

static char *directory;

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

static void save_two(void)
{
    struct identities k = {0};
    identities_set(&k, ID_A, RUN, OTHER);
    identities_set(&k, ID_B, "", "");
    assert_true(k.changed);
    identities_save(&k, directory, FLOW, SESSION);
    assert_false(k.changed);
    identities_free(&k);
}

static bool load(uint64_t session)
{
    struct identities k = {0};
    bool ok = identities_load(&k, directory, FLOW, session);
    assert_int_equal(k.count, ok ? 2 : 0);
    identities_free(&k);
    return ok;
}

static void a_successor_reads_them(void **state)
{
    (void)state;
    struct identities k = {0};
    save_two();
    assert_true(identities_load(&k, directory, FLOW, SESSION));
    assert_false(k.changed);
    assert_string_equal(identities_find(&k, ID_A)->run_id, RUN);
    assert_string_equal(identities_find(&k, ID_A)->replid, OTHER);
    assert_string_equal(identities_find(&k, ID_B)->run_id, "");
    assert_string_equal(identities_find(&k, ID_B)->replid, "");
    assert_null(identities_find(&k, OTHER));
    identities_set(&k, ID_A, RUN, OTHER);
    assert_false(k.changed);
    identities_set(&k, ID_A, RUN, RUN);
    assert_true(k.changed);
    identities_free(&k);
}

static void another_session_has_none(void **state)
{
    (void)state;
    assert_false(load(SESSION));
    save_two();
    assert_true(load(SESSION));
    assert_false(load(SESSION + 1));
    assert_false(load(7)); /* its digits begin alike */
    identities_remove(directory, FLOW);
    assert_false(load(SESSION));
}

/* Killed while it wrote, or a page lost: at every byte. */
static void one_that_is_not_whole_is_none(void **state)
{
    (void)state;
    char bytes[1000], path[200];
    snprintf(path, sizeof path, "%s/flow-%d.nodes", directory, FLOW);
    save_two();
    int fd = open(path, O_RDWR);
    ssize_t len = read(fd, bytes, sizeof bytes);
    assert_true(len > 100);
    for (ssize_t i = 0; i < len; i++) {
        char other = (char)(bytes[i] ^ 1);
        assert_int_equal(pwrite(fd, &other, 1, i), 1);
        assert_false(load(SESSION));
        assert_int_equal(pwrite(fd, &bytes[i], 1, i), 1);
    }
    assert_true(load(SESSION));
    for (ssize_t i = len - 1; i >= 0; i--) {
        assert_int_equal(ftruncate(fd, i), 0);
        assert_false(load(SESSION));
    }
    close(fd);
}

static void what_cannot_be_saved_stays_changed(void **state)
{
    (void)state;
    struct identities k = {0};
    identities_set(&k, ID_A, RUN, OTHER);
    identities_save(&k, "/nowhere/at/all", FLOW, SESSION);
    assert_true(k.changed);
    identities_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_successor_reads_them, setup, teardown),
        cmocka_unit_test_setup_teardown(another_session_has_none, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_not_whole_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_saved_stays_changed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
