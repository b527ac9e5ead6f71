/* The spool: what a successor finds, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "tests/support/spool_fixture.h"

static void a_successor_finds_everything(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    put(f, 3 * MIB);
    spool_release(f->spool, 1000);
    spool_refill(f->spool, &f->error);
    f->config.ring_bytes *= 2; /* changed settings: what is there stays as it is */
    reopen(f, true);
    assert_int_equal(spool_received(f->spool), 3 * MIB);
    assert_true(spool_adopt(f->spool, 3 * MIB, &f->error));
    assert_int_equal(spool_ring_end(f->spool), 64 * KIB + 1000);
    uint64_t taken = 1000;
    do {
        assert_readable(f, taken);
        taken = spool_ring_end(f->spool);
        spool_release(f->spool, taken);
    } while (spool_refill(f->spool, &f->error));
    assert_int_equal(taken, 3 * MIB);
}

/* What the dead process had read and not marked: read as far as write_begin, never write_end. */
static void read_but_not_marked(struct fixture *f, size_t n)
{
    size_t room;
    uint64_t at = spool_received(f->spool);
    uint8_t *into = spool_write_begin(f->spool, &room, &f->error);
    assert_non_null(into);
    assert_true(room >= n);
    generated_fill(into, at, n);
    reopen(f, true);
    assert_int_equal(spool_received(f->spool), at);
    assert_true(spool_adopt(f->spool, at + n, &f->error));
    assert_int_equal(spool_received(f->spool), at + n);
}

static void a_successor_adopts_what_was_read_but_not_marked(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    read_but_not_marked(f, 1000); /* into the ring */
    assert_int_equal(spool_ring_end(f->spool), 1000);
    assert_readable(f, 0);
    put(f, 64 * KIB - 1000);
    read_but_not_marked(f, 2000); /* into the staging buffer */
    reopen(f, true);              /* and the one that adopted it dies at once */
    assert_true(spool_adopt(f->spool, 64 * KIB + 2000, &f->error));
    put(f, 500);
    read_but_not_marked(f, 777);
    put(f, 3);
    spool_release(f->spool, 64 * KIB);
    assert_true(spool_refill(f->spool, &f->error));
    assert_int_equal(spool_ring_end(f->spool), 64 * KIB + 2000 + 500 + 777 + 3);
    assert_readable(f, 64 * KIB);
}

static void adopting_what_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    assert_false(spool_adopt(f->spool, 1, &f->error)); /* nothing was ever read here */
    put(f, 100);
    assert_false(spool_adopt(f->spool, 99, &f->error));
    assert_false(spool_adopt(f->spool, 64 * KIB + 1, &f->error));
    assert_int_equal(f->error.class, ERROR_FATAL);
    assert_int_equal(spool_received(f->spool), 100);
}

static void another_sessions_spool_is_emptied(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    put(f, 3 * MIB);
    assert_true(test_directory_count(f->directory, ".spool") > 0);
    f->config.session++;
    reopen(f, true);
    assert_int_equal(spool_received(f->spool), 0);
    assert_int_equal(test_directory_count(f->directory, ".spool"), 0);
    put(f, 100);
    reopen(f, false);
    assert_int_equal(spool_received(f->spool), 0);
}

static void two_processes_never_share_a_spool(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    for (int resume = 0; resume < 2; resume++) {
        assert_null(spool_open(&f->config, resume, &f->error));
        assert_int_equal(f->error.class, ERROR_RETRY);
    }
    assert_true(spool_grow(f->spool, 0, MIB, &f->error));
    assert_null(spool_open(&f->config, true, &f->error));
}

static void broken_marks_are_refused(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    put(f, 1000);
    spool_close(f->spool);
    f->spool = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s/flow-3.ring", f->directory);
    uint8_t page[4096];
    int fd = open(path, O_RDWR | O_CLOEXEC), refused = 0;
    assert_int_equal(pread(fd, page, sizeof page, 0), sizeof page);
    for (off_t at = 0; at < 160; at += 8) { /* whatever word of the header is wild */
        assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, at), 8);
        f->spool = spool_open(&f->config, true, &f->error);
        refused += !f->spool && f->error.class == ERROR_FATAL;
        spool_close(f->spool);
        f->spool = NULL;
        close(fd);
        fd = open(path, O_RDWR | O_CLOEXEC); /* it may be a new file */
        assert_int_equal(pwrite(fd, page, sizeof page, 0), sizeof page);
    }
    close(fd);
    assert_true(refused >= 6);
}

static void a_lost_segment_is_an_error_not_a_gap(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    put(f, 3 * MIB);
    reopen(f, true);
    char path[256];
    snprintf(path, sizeof path, "%s/flow-3.0001.spool", f->directory);
    assert_int_equal(unlink(path), 0);
    uint64_t taken = 0;
    do
        spool_release(f->spool, taken = spool_ring_end(f->spool));
    while (spool_refill(f->spool, &f->error));
    assert_int_equal(taken, MIB);
    assert_int_equal(f->error.class, ERROR_REDIRECT);
    assert_non_null(strstr(f->error.text, "full sync"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_successor_finds_everything),         TEST(a_successor_adopts_what_was_read_but_not_marked),
        TEST(adopting_what_cannot_be_is_refused),   TEST(another_sessions_spool_is_emptied),
        TEST(two_processes_never_share_a_spool),    TEST(broken_marks_are_refused),
        TEST(a_lost_segment_is_an_error_not_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
