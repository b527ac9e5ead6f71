/* The spool: order, limits, the retained tail, growth, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "tests/support/spool_fixture.h"

static void bytes_stay_contiguous_across_the_wrap(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    uint64_t taken = 0;
    for (int i = 0; i < 500; i++) {
        uint64_t n = 1 + random_below(f, 60 * KIB);
        assert_int_equal(put(f, n), n);
        assert_readable(f, taken);
        taken += n;
        spool_release(f->spool, taken);
    }
    assert_int_equal(spool_received(f->spool), taken);
    assert_true(taken > 100 * f->config.ring_bytes);
    assert_int_equal(spool_overflow_bytes(f->spool), 0);
}

static void order_holds_through_ring_overflow_and_back(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    uint64_t taken = 0, most = 0;
    size_t most_files = 0;
    for (int i = 0; i < 600; i++) {
        uint64_t n = 1 + random_below(f, 200 * KIB);
        assert_int_equal(put(f, n), n);
        /* Slower than what comes in first, then faster. */
        uint64_t take = random_below(f, i < 300 ? 100 * KIB : 400 * KIB);
        while (take > 0) {
            spool_refill(f->spool, &f->error);
            struct slice here = spool_peek(f->spool, taken);
            if (here.len == 0)
                break;
            if (here.len > take)
                here.len = (size_t)take;
            assert_int_equal(generated_matches(here, taken), here.len);
            taken += here.len;
            take -= here.len;
            spool_release(f->spool, taken);
        }
        uint64_t over = spool_overflow_bytes(f->spool);
        size_t files = test_directory_count(f->directory, ".spool");
        most = over > most ? over : most;
        most_files = files > most_files ? files : most_files;
    }
    assert_true(most > 5 * MIB);
    assert_true(most_files >= 5);
    while (spool_refill(f->spool, &f->error) || taken < spool_ring_end(f->spool)) {
        assert_readable(f, taken);
        taken = spool_ring_end(f->spool);
        spool_release(f->spool, taken);
    }
    assert_int_equal(taken, spool_received(f->spool));
    assert_int_equal(spool_overflow_bytes(f->spool), 0);
    assert_int_equal(test_directory_count(f->directory, ".spool"), 0);
}

static void reading_stops_at_the_limit_and_goes_on_after_a_release(void **state)
{
    struct fixture *f = *state;
    f->config.limit_bytes = 300 * KIB + 1;
    reopen(f, false);
    uint64_t all = f->config.ring_bytes + f->config.limit_bytes;
    assert_int_equal(put(f, all + 1), all);

    int pair[2];
    size_t got = 99;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    uint8_t next[10];
    generated_fill(next, all, sizeof next);
    assert_int_equal(write(pair[1], next, sizeof next), sizeof next);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_LIMIT);
    assert_int_equal(got, 0);
    assert_int_equal(f->error.class, ERROR_RETRY);
    assert_non_null(strstr(f->error.text, "limit"));

    spool_release(f->spool, 5);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_LIMIT);
    assert_true(spool_refill(f->spool, &f->error));
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_SOME);
    assert_int_equal(got, 5);
    assert_int_equal(spool_received(f->spool), all + 5);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_LIMIT);
    spool_set_limit(f->spool, f->config.limit_bytes + 3);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_SOME);
    assert_int_equal(got, 3);
    spool_set_limit(f->spool, 10);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_LIMIT);
    close(pair[0]);
    close(pair[1]);
}

static void no_overflow_when_none_is_allowed(void **state)
{
    struct fixture *f = *state;
    f->config.limit_bytes = 0;
    reopen(f, false);
    assert_int_equal(put(f, MIB), f->config.ring_bytes);
    assert_int_equal(test_directory_count(f->directory, ".spool"), 0);
}

static void the_sockets_end_and_silence_are_told_apart(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    int pair[2];
    size_t got;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_AGAIN);
    assert_int_equal(write(pair[1], "abc", 3), 3);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_SOME);
    assert_int_equal(got, 3);
    assert_memory_equal(spool_peek(f->spool, 0).data, "abc", 3);
    close(pair[1]);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_EOF);
    assert_int_equal(got, 0);
    close(pair[0]);
    assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_ERROR);
    assert_int_equal(spool_received(f->spool), 3);
}

static void half_the_ring_stays_readable_behind_applied(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    uint64_t half = f->config.ring_bytes / 2, taken = 0;
    int pair[2];
    size_t got;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    for (int i = 0; i < 200; i++) {
        put(f, 1 + random_below(f, half));
        if (taken >= half) {
            assert_true(spool_oldest(f->spool) <= taken - half);
            assert_readable(f, taken - half);
        }
        taken = spool_received(f->spool);
        spool_release(f->spool, taken);
        /* A read that finds nothing costs nothing of it. */
        uint64_t oldest = spool_oldest(f->spool);
        assert_int_equal(spool_read_fd(f->spool, pair[0], &got, &f->error), SPOOL_READ_AGAIN);
        assert_int_equal(spool_oldest(f->spool), oldest);
    }
    close(pair[0]);
    close(pair[1]);
}

static void data_not_yet_applied_goes_before_the_tail(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    uint64_t ring = f->config.ring_bytes;
    put(f, ring);
    spool_release(f->spool, ring);
    put(f, ring - 10);
    assert_int_equal(spool_overflow_bytes(f->spool), 0);
    assert_int_equal(spool_oldest(f->spool), ring - 10);
    assert_readable(f, ring - 10);
    assert_int_equal(spool_peek(f->spool, ring - 11).len, 0);
    put(f, 11);
    assert_int_equal(spool_overflow_bytes(f->spool), 1);
    assert_int_equal(spool_oldest(f->spool), ring);
}

static void seeking_back_keeps_released_bytes_again(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    uint64_t ring = f->config.ring_bytes;
    put(f, ring + ring / 2);
    spool_release(f->spool, ring);
    while (spool_refill(f->spool, &f->error)) {
    }
    assert_false(spool_seek_back(f->spool, spool_oldest(f->spool) - 1));
    assert_false(spool_seek_back(f->spool, spool_ring_end(f->spool) + 1));
    assert_true(spool_seek_back(f->spool, ring / 2 + 100));
    put(f, 2 * ring);
    assert_readable(f, ring / 2 + 100);
    assert_int_equal(spool_oldest(f->spool), ring / 2 + 100);
    assert_true(spool_overflow_bytes(f->spool) > ring);
}

static void ring_grows_for_one_element_and_shrinks_after_it(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    uint64_t ring = f->config.ring_bytes, element = ring - 100, element_bytes = 700 * KIB;
    put(f, ring);
    spool_release(f->spool, element - 50);
    put(f, 200 * KIB); /* of the element, some of it in the overflow */
    assert_true(spool_overflow_bytes(f->spool) > 0);

    assert_true(spool_grow(f->spool, element, element_bytes, &f->error));
    while (spool_refill(f->spool, &f->error)) {
    }
    assert_readable(f, element - 50);
    spool_release(f->spool, element); /* little is in the ring, but the element is not yet there */
    put(f, element_bytes - spool_peek(f->spool, element).len);
    assert_int_equal(spool_overflow_bytes(f->spool), 0);
    assert_int_equal(spool_peek(f->spool, element).len, element_bytes);
    assert_readable(f, element);
    assert_true(spool_oldest(f->spool) < element); /* the tail came along */

    spool_release(f->spool, element + element_bytes);
    assert_readable(f, element + element_bytes - ring / 2);
    assert_int_equal(spool_oldest(f->spool), element + element_bytes - ring);
    assert_int_equal(put(f, ring + 1), ring + 1);
    assert_int_equal(spool_overflow_bytes(f->spool), 1); /* as large as it was at first */
    assert_readable(f, element + element_bytes);
    assert_int_equal(test_directory_count(f->directory, ".new"), 0);
}

static void two_large_elements_in_a_row_need_no_second_growth(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    uint64_t ring = f->config.ring_bytes;
    assert_true(spool_grow(f->spool, 0, 4 * ring, &f->error));
    put(f, 4 * ring);
    assert_readable(f, 0);
    assert_true(spool_grow(f->spool, 3 * ring, ring + ring / 2, &f->error) == true);
    spool_release(f->spool, 4 * ring);
    put(f, 2 * ring);
    assert_int_equal(spool_overflow_bytes(f->spool), 0);
    assert_readable(f, 3 * ring);
}

static void growth_has_its_limits(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    put(f, 60 * KIB);
    assert_false(spool_grow(f->spool, 60 * KIB, 5 * MIB, &f->error));
    assert_int_equal(f->error.class, ERROR_FATAL);
    assert_false(spool_grow(f->spool, 60 * KIB, UINT64_MAX - 10, &f->error));
    assert_int_equal(f->error.class, ERROR_FATAL);
    /* It fits, but not beside what is before it. */
    assert_false(spool_grow(f->spool, 60 * KIB, 4 * MIB, &f->error));
    assert_int_equal(f->error.class, ERROR_RETRY);
    spool_release(f->spool, 60 * KIB);
    assert_true(spool_grow(f->spool, 60 * KIB, 4 * MIB, &f->error));
    put(f, 4 * MIB);
    assert_readable(f, 60 * KIB);
}

static void files_are_private_and_go_away(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    put(f, 2 * MIB);
    struct stat st;
    char path[256];
    snprintf(path, sizeof path, "%s/flow-3.ring", f->directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof path, "%s/flow-3.0000.spool", f->directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof path, "%s/flow-33.0000.spool", f->directory);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    spool_remove(f->directory, 3);
    assert_int_equal(test_directory_count(f->directory, ""), 1); /* another FLOW's file stays */
}

static void a_missing_directory_is_named(void **state)
{
    struct fixture *f = *state;
    f->config.directory = "/nonexistent/state";
    assert_null(spool_open(&f->config, true, &f->error));
    assert_int_equal(f->error.class, ERROR_FATAL);
    assert_string_equal(f->error.text,
                        "state directory /nonexistent/state is missing: create it or give --state-dir");
    f->config.directory = f->directory;
    f->config.ring_bytes = 1000;
    assert_null(spool_open(&f->config, true, &f->error));
    assert_non_null(strstr(f->error.text, "page size"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(bytes_stay_contiguous_across_the_wrap),
        TEST(order_holds_through_ring_overflow_and_back),
        TEST(reading_stops_at_the_limit_and_goes_on_after_a_release),
        TEST(no_overflow_when_none_is_allowed),
        TEST(the_sockets_end_and_silence_are_told_apart),
        TEST(half_the_ring_stays_readable_behind_applied),
        TEST(data_not_yet_applied_goes_before_the_tail),
        TEST(seeking_back_keeps_released_bytes_again),
        TEST(ring_grows_for_one_element_and_shrinks_after_it),
        TEST(two_large_elements_in_a_row_need_no_second_growth),
        TEST(growth_has_its_limits),
        TEST(files_are_private_and_go_away),
        TEST(a_missing_directory_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
