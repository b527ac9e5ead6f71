/* The decoder's states of the near past. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/support/generated.h"
#include "worker/spool/history.h"

enum { SESSION = 7, MANY = 1000, LARGE_BYTES = 100000 };

struct fixture {
    char *directory;
    struct history *history;
    struct error error;
};

static void reopen(struct fixture *f, uint64_t session, bool resume)
{
    history_close(f->history);
    f->history = history_open(f->directory, 2, session, resume, &f->error);
    assert_non_null(f->history);
}

static int setup(void **state)
{
    struct fixture *f = x_calloc(1, sizeof *f);
    f->directory = test_directory_make();
    reopen(f, SESSION, false);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    history_close(f->history);
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

static void add(struct fixture *f, uint64_t seq, uint64_t oldest)
{
    char text[32];
    int n = snprintf(text, sizeof text, "state %llu", (unsigned long long)seq);
    history_add(f->history, seq, seq * 100, oldest, slice_of(text, (size_t)n));
}

/* The seq of what is found; 0: nothing is. */
static uint64_t find(const struct fixture *f, uint64_t seq, uint64_t oldest)
{
    struct buf record = {0};
    uint64_t found = 0;
    if (history_find(f->history, seq, oldest, &record)) {
        assert_true(record.len > 6);
        assert_memory_equal(record.data, "state ", 6);
        assert_true(slice_to_u64(slice_of(record.data + 6, record.len - 6), &found));
    }
    buf_free(&record);
    return found;
}

static void newest_state_not_after_the_mark_is_found(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 10; seq <= 50; seq += 10)
        add(f, seq, 0);
    assert_int_equal(find(f, 50, 0), 50);
    assert_int_equal(find(f, UINT64_MAX, 0), 50);
    assert_int_equal(find(f, 49, 0), 40);
    assert_int_equal(find(f, 10, 0), 10);
    assert_int_equal(find(f, 9, 0), 0);
    assert_int_equal(history_newest_offset(f->history), 5000);
}

static void state_whose_bytes_are_gone_is_not_found(void **state)
{
    struct fixture *f = *state;
    add(f, 10, 0);
    add(f, 20, 0);
    assert_int_equal(find(f, 19, 1000), 10);
    assert_int_equal(find(f, 19, 1001), 0);
    assert_int_equal(find(f, 20, 1001), 20);
}

static void newest_is_never_given_up_and_the_others_lie_all_along(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 1; seq <= MANY; seq++) {
        add(f, seq, 0);
        assert_int_equal(find(f, seq, 0), seq);
    }
    for (uint64_t seq = 100; seq <= MANY; seq += 100) {
        uint64_t found = find(f, seq, 0);
        assert_true(found && seq - found < MANY / 8);
    }
}

static void states_whose_bytes_are_gone_give_way_first(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 1; seq <= 64; seq++)
        add(f, seq, 0);
    for (uint64_t seq = 65; seq <= 96; seq++)
        add(f, seq, 3300);
    for (uint64_t seq = 33; seq <= 96; seq++)
        assert_int_equal(find(f, seq, 3300), seq);
}

/* What was kept beyond is passed again, and until then nothing after the place is a reason to let bytes go. */
static void decoder_that_was_put_back_keeps_only_what_is_before(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 10; seq <= 50; seq += 10)
        add(f, seq, 0);
    history_forget_after(f->history, 3000);
    assert_int_equal(history_newest_offset(f->history), 3000);
    assert_int_equal(find(f, 50, 0), 30);
    reopen(f, SESSION, true);
    assert_int_equal(history_newest_offset(f->history), 3000);
    add(f, 35, 0);
    assert_int_equal(find(f, 50, 0), 35);
    history_forget_after(f->history, 999);
    assert_int_equal(history_newest_offset(f->history), 0);
    assert_int_equal(find(f, 50, 0), 0);
}

static void successor_finds_the_same(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 10; seq <= 50; seq += 10)
        add(f, seq, 0);
    history_set_target(f->history, "0123456789012345678901234567890123456789",
                       "9876543210987654321098765432109876543210");
    reopen(f, SESSION, true);
    assert_int_equal(find(f, 45, 0), 40);
    assert_int_equal(history_newest_offset(f->history), 5000);
    assert_string_equal(history_target(f->history), "0123456789012345678901234567890123456789");
    assert_string_equal(history_replid(f->history), "9876543210987654321098765432109876543210");
    add(f, 60, 0);
    assert_int_equal(find(f, 60, 0), 60);
}

static void another_session_or_a_fresh_start_finds_nothing(void **state)
{
    struct fixture *f = *state;
    add(f, 10, 0);
    reopen(f, SESSION + 1, true);
    assert_int_equal(find(f, 10, 0), 0);
    add(f, 10, 0);
    reopen(f, SESSION + 1, false);
    assert_int_equal(find(f, 10, 0), 0);
    assert_int_equal(history_newest_offset(f->history), 0);
    assert_string_equal(history_target(f->history), "");
}

static void state_larger_than_a_slot_lives_as_long_as_the_process(void **state)
{
    struct fixture *f = *state;
    struct buf large = {0}, found = {0};
    generated_fill(buf_reserve(&large, LARGE_BYTES), 0, LARGE_BYTES);
    large.len = LARGE_BYTES;
    add(f, 10, 0);
    history_add(f->history, 20, 2000, 0, buf_slice(&large));
    assert_true(history_find(f->history, 20, 0, &found));
    assert_true(slice_eq(buf_slice(&found), buf_slice(&large)));
    reopen(f, SESSION, true);
    assert_int_equal(find(f, 20, 0), 10);
    buf_free(&large);
    buf_free(&found);
}

static void missing_directory_is_an_error_that_says_so(void **state)
{
    struct fixture *f = *state;
    assert_null(history_open("/nowhere/at/all", 0, SESSION, false, &f->error));
    assert_non_null(strstr(f->error.text, "/nowhere/at/all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newest_state_not_after_the_mark_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(state_whose_bytes_are_gone_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(newest_is_never_given_up_and_the_others_lie_all_along, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(states_whose_bytes_are_gone_give_way_first, setup, teardown),
        cmocka_unit_test_setup_teardown(decoder_that_was_put_back_keeps_only_what_is_before, setup, teardown),
        cmocka_unit_test_setup_teardown(successor_finds_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(another_session_or_a_fresh_start_finds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(state_larger_than_a_slot_lives_as_long_as_the_process, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(missing_directory_is_an_error_that_says_so, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
