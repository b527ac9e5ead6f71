/* Which times to live the target was told: as of the last mark, for a successor, within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "tests/support/generated.h"
#include "worker/keys/deadlines.h"

enum { TABLE_BYTES = 65536 };
#define NOW INT64_C(1700000000000)

static char *directory;
static struct deadlines *d;

static void open_with(uint64_t bytes, bool fresh)
{
    struct error error = {0};
    deadlines_close(d);
    d = deadlines_open(directory, 3, bytes, fresh, &error);
    if (!d)
        fail_msg("%s", error.text);
}

static void open_again(bool fresh)
{
    open_with(TABLE_BYTES, fresh);
}

static int setup(void **state)
{
    (void)state;
    directory = test_directory_make();
    d = NULL;
    open_again(true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    deadlines_close(d);
    test_directory_remove(directory);
    return 0;
}

static uint64_t key(unsigned i)
{
    char text[32];
    return deadlines_hash(0, slice_of(text, (size_t)snprintf(text, sizeof text, "key:%u", i)),
                          slice_of(NULL, 0));
}

static void keys_databases_and_fields_are_told_apart(void **state)
{
    (void)state;
    struct slice k = slice_str("some:key:that:is:longer"), none = slice_of(NULL, 0);
    uint64_t hashes[] = {deadlines_hash(0, k, none), deadlines_hash(1, k, none),
                         deadlines_hash(0, k, slice_str("f")), deadlines_hash(0, k, slice_str("")),
                         deadlines_hash(0, slice_str("some:key:that:is:longeR"), none)};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
}

/* Of a few letters, in databases that differ by as little. */
static void short_keys_of_several_databases_are_told_apart(void **state)
{
    (void)state;
    enum { DBS = 16, KEYS = 100 };
    static uint64_t hashes[DBS * KEYS];
    size_t n = 0;
    for (uint32_t db = 0; db < DBS; db++)
        for (unsigned i = 0; i < KEYS; i++) {
            char name[8];
            snprintf(name, sizeof name, "Y:%u", i);
            hashes[n] = deadlines_hash(db, slice_str(name), slice_of(NULL, 0));
            for (size_t j = 0; j < n; j++)
                assert_true(hashes[j] != hashes[n]);
            n++;
        }
}

static void a_mark_on_its_way_lets_a_successor_know_the_earlier_time(void **state)
{
    (void)state;
    deadlines_set(d, key(1), 1, NOW + 5, NOW);
    deadlines_set(d, key(2), 1, NOW + 5, NOW);
    deadlines_set(d, key(3), 1, NOW + 5, NOW);
    deadlines_keep(d, 1);
    deadlines_set(d, key(0), 2, NOW + 2, NOW);
    deadlines_set(d, key(1), 2, NOW + 2, NOW);
    deadlines_set(d, key(2), 2, NOW + 9, NOW);
    deadlines_set(d, key(3), 2, 0, NOW);
    deadlines_set(d, key(4), 3, NOW + 3, NOW);
    deadlines_announce(d, 2);
    assert_int_equal(deadlines_get(d, key(2)), NOW + 9);
    assert_int_equal(deadlines_get(d, key(3)), 0);
    open_again(false);
    assert_int_equal(deadlines_get(d, key(0)), NOW + 2);
    assert_int_equal(deadlines_get(d, key(1)), NOW + 2);
    assert_int_equal(deadlines_get(d, key(2)), NOW + 5);
    assert_int_equal(deadlines_get(d, key(3)), NOW + 5);
    assert_int_equal(deadlines_get(d, key(4)), 0);
}

static void what_was_set_holds_at_once_and_for_a_successor_up_to_the_mark(void **state)
{
    (void)state;
    assert_true(deadlines_none(d));
    deadlines_set(d, key(1), 1, NOW + 1, NOW);
    deadlines_set(d, key(2), 2, NOW + 2, NOW);
    deadlines_keep(d, 1);
    deadlines_set(d, key(1), 3, NOW + 3, NOW);
    assert_int_equal(deadlines_get(d, key(1)), NOW + 3);
    assert_int_equal(deadlines_get(d, key(2)), NOW + 2);
    open_again(false);
    assert_false(deadlines_none(d));
    assert_int_equal(deadlines_get(d, key(1)), NOW + 1);
    assert_int_equal(deadlines_get(d, key(2)), 0);
    deadlines_set(d, key(1), 3, 0, NOW);
    assert_int_equal(deadlines_get(d, key(1)), 0);
    deadlines_forget(d);
    assert_int_equal(deadlines_get(d, key(1)), NOW + 1);
    deadlines_set(d, key(1), 3, 0, NOW);
    deadlines_keep(d, 3);
    open_again(false);
    assert_int_equal(deadlines_get(d, key(1)), 0);
}

static void of_too_many_the_nearest_are_kept_and_the_others_known_to_be_missing(void **state)
{
    enum { MANY = TABLE_BYTES / 8 * 4 };
    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        deadlines_set(d, key(i), i, NOW + i, NOW);
    deadlines_keep(d, MANY);
    for (unsigned i = 0; i < MANY / 16; i++)
        assert_int_equal(deadlines_get(d, key(i)), NOW + i);
    assert_false(deadlines_unknown(d, NOW - 1000, NOW));
    assert_true(deadlines_unknown(d, NOW, NOW + MANY));
    open_again(false);
    assert_true(deadlines_unknown(d, NOW, NOW + MANY));
    /* The stream has passed all of them. */
    deadlines_set(d, key(1), MANY + 1, NOW + 7200000, NOW + 7200000);
    deadlines_keep(d, MANY + 1);
    assert_false(deadlines_unknown(d, NOW, NOW + 7200000));
}

static void without_the_file_anything_may_have_a_time(void **state)
{
    (void)state;
    int64_t now = clock_unix_ms();
    assert_false(deadlines_unknown(d, now, now + 1000));
    deadlines_close(d);
    d = NULL;
    deadlines_remove_file(directory, 3);
    open_again(false);
    assert_true(deadlines_unknown(d, now, now + 1000));
    open_again(true);
    assert_false(deadlines_unknown(d, now, now + 1000));
}

static void a_table_keeps_its_size_until_it_is_made_anew(void **state)
{
    static const uint64_t others[] = {TABLE_BYTES * 4, TABLE_BYTES / 4, 1};
    struct put_off p = {2, NOW, NOW + 5, slice_str("key"), slice_of(NULL, 0), false, false}, q;
    int64_t now = clock_unix_ms();
    (void)state;
    deadlines_set(d, key(1), 1, NOW + 5, NOW);
    deadlines_keep(d, 1);
    assert_true(put_off_add(deadlines_list(d), &p));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        uint64_t position = 0;
        open_with(others[i], false);
        assert_int_equal(deadlines_get(d, key(1)), NOW + 5);
        assert_true(put_off_next(deadlines_list(d), &position, &q));
        assert_false(deadlines_unknown(d, now, now + 1000));
    }
    open_with(TABLE_BYTES * 4, true);
    assert_int_equal(deadlines_get(d, key(1)), 0);
    for (unsigned i = 0; i < TABLE_BYTES / 16; i++)
        deadlines_set(d, key(i), i, NOW + i, NOW);
    deadlines_keep(d, TABLE_BYTES);
    assert_false(deadlines_unknown(d, NOW, NOW + TABLE_BYTES));
}

static void what_was_put_off_is_known_until_it_is_put_right(void **state)
{
    (void)state;
    struct put_off p = {2, NOW, NOW + 5, slice_str("key"), slice_str("field"), false, false},
                   q = {0, 1, 2, slice_str("other"), {0}, false, false}, r;
    uint64_t position = 0;
    assert_false(put_off_next(deadlines_list(d), &position, &r));
    assert_true(put_off_add(deadlines_list(d), &p));
    assert_true(put_off_add(deadlines_list(d), &q));
    open_again(false);
    assert_true(put_off_next(deadlines_list(d), &position, &r));
    assert_int_equal(r.db, 2);
    assert_int_equal(r.source_ms, NOW);
    assert_int_equal(r.target_ms, NOW + 5);
    assert_true(slice_eq(r.key, p.key) && slice_eq(r.field, p.field));
    put_off_put_right(deadlines_list(d), position);
    position = 0;
    assert_true(put_off_next(deadlines_list(d), &position, &r));
    assert_true(slice_eq(r.key, q.key) && !r.field.data);
    assert_false(put_off_next(deadlines_list(d), &position, &r));
    put_off_put_right(deadlines_list(d), position);
    position = 0;
    assert_false(put_off_next(deadlines_list(d), &position, &r));
    size_t n = 0;
    while (put_off_add(deadlines_list(d), &p) && n < TABLE_BYTES)
        n++;
    assert_in_range(n, 100, TABLE_BYTES / 2 / 32);
}

static void of_a_key_that_was_put_off_twice_the_last_counts(void **state)
{
    (void)state;
    struct put_off p = {0, NOW, NOW + 5, slice_str("key"), {0}, false, false}, q = p, r;
    uint64_t position = 0;
    q.source_ms = NOW + 1;
    assert_true(put_off_add(deadlines_list(d), &p));
    assert_true(put_off_add(deadlines_list(d), &q));
    for (int i = 0; i < 2; i++) {
        position = 0;
        assert_true(put_off_next(deadlines_list(d), &position, &r));
        assert_int_equal(r.source_ms, NOW + 1);
        assert_true(r.last);
        assert_false(put_off_next(deadlines_list(d), &position, &r));
        open_again(false);
    }
    put_off_put_right(deadlines_list(d), position);
    position = 0;
    assert_false(put_off_next(deadlines_list(d), &position, &r));
}

/* The command of the last was dropped, perhaps, as the target had it with the time before: that is tried, too. */
static void a_doubted_time_is_known_until_another_one_is_told(void **state)
{
    (void)state;
    struct put_off p = {2, NOW, NOW + 5, slice_str("key"), {0}, false, true}, q = p, r;
    uint64_t hash = deadlines_hash(2, p.key, p.field), position = 0;
    assert_false(put_off_doubted(deadlines_list(d), hash));
    assert_true(put_off_add(deadlines_list(d), &p));
    for (int i = 0; i < 2; i++) {
        assert_true(put_off_doubted(deadlines_list(d), hash));
        open_again(false);
    }
    assert_true(put_off_next(deadlines_list(d), &position, &r));
    assert_int_equal(r.db, 2);
    q.doubted = false;
    assert_true(put_off_add(deadlines_list(d), &q));
    assert_false(put_off_doubted(deadlines_list(d), hash));
    assert_true(put_off_add(deadlines_list(d), &p));
    put_off_forget(deadlines_list(d), hash);
    assert_false(put_off_doubted(deadlines_list(d), hash));
}

static void of_a_key_that_was_put_off_to_two_times_both_count(void **state)
{
    (void)state;
    struct put_off p = {0, NOW, NOW + 5, slice_str("key"), {0}, false, false}, q = p, r;
    uint64_t position = 0;
    q.target_ms += PUT_OFF_SAME_MS + 1;
    assert_true(put_off_add(deadlines_list(d), &p));
    assert_true(put_off_add(deadlines_list(d), &q));
    assert_true(put_off_next(deadlines_list(d), &position, &r));
    assert_true(r.target_ms == p.target_ms && !r.last);
    assert_true(put_off_next(deadlines_list(d), &position, &r));
    assert_true(r.target_ms == q.target_ms && r.last);
    assert_false(put_off_next(deadlines_list(d), &position, &r));
}

static void what_was_told_another_time_since_is_not_put_off(void **state)
{
    (void)state;
    struct put_off p = {0, NOW, NOW + 5, slice_str("key"), {0}, false, false}, q = p, r;
    uint64_t position = 0;
    q.key = slice_str("other");
    put_off_forget(deadlines_list(d), deadlines_hash(0, p.key, p.field));
    assert_true(put_off_add(deadlines_list(d), &p));
    assert_true(put_off_add(deadlines_list(d), &q));
    put_off_forget(deadlines_list(d), deadlines_hash(0, p.key, p.field));
    assert_true(put_off_next(deadlines_list(d), &position, &r));
    assert_true(slice_eq(r.key, q.key));
    assert_false(put_off_next(deadlines_list(d), &position, &r));
}

static void a_loss_of_the_target_is_known_to_a_successor(void **state)
{
    (void)state;
    assert_int_equal(deadlines_lost(d), 0);
    deadlines_set_lost(d, 77);
    open_again(false);
    assert_int_equal(deadlines_lost(d), 77);
    open_again(true);
    assert_int_equal(deadlines_lost(d), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_loss_of_the_target_is_known_to_a_successor),
        TEST(keys_databases_and_fields_are_told_apart),
        TEST(short_keys_of_several_databases_are_told_apart),
        TEST(a_mark_on_its_way_lets_a_successor_know_the_earlier_time),
        TEST(what_was_set_holds_at_once_and_for_a_successor_up_to_the_mark),
        TEST(of_too_many_the_nearest_are_kept_and_the_others_known_to_be_missing),
        TEST(without_the_file_anything_may_have_a_time),
        TEST(a_table_keeps_its_size_until_it_is_made_anew),
        TEST(what_was_put_off_is_known_until_it_is_put_right),
        TEST(of_a_key_that_was_put_off_twice_the_last_counts),
        TEST(of_a_key_that_was_put_off_to_two_times_both_count),
        TEST(a_doubted_time_is_known_until_another_one_is_told),
        TEST(what_was_told_another_time_since_is_not_put_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
