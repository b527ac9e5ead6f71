/* Doubtful keys: each once, by the time of their next comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "worker/verifier/doubts.h"
#include "worker/verifier/hash_set.h"

enum { KEYS = 3000 };

static struct doubts *doubts;

static int setup(void **state)
{
    (void)state;
    doubts = doubts_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    doubts_free(doubts);
    return 0;
}

static struct doubt *add(int i)
{
    char name[20];
    snprintf(name, sizeof name, "key:%d", i);
    return doubts_add(doubts, 0, slice_str(name));
}

static void a_key_is_added_once_for_each_database(void **state)
{
    (void)state;
    assert_non_null(add(1));
    assert_null(add(1));
    assert_non_null(doubts_add(doubts, 1, slice_str("key:1")));
    assert_int_equal(doubts_count(doubts), 2);
}

static void keys_come_in_the_order_of_their_times(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int i = 0; i < KEYS; i++) {
        struct doubt *k = add(i);
        doubts_take(doubts, k);
        doubts_put_back(doubts, k, (uint64_t)i * 7919 % 1000);
    }
    for (int i = 0; i < KEYS; i++) {
        struct doubt *k = doubts_first(doubts);
        assert_true(k->due_ms >= last);
        last = k->due_ms;
        doubts_take(doubts, k);
        doubts_settle(doubts, k);
    }
    assert_null(doubts_first(doubts));
    assert_int_equal(doubts_count(doubts), 0);
}

static void a_key_that_is_taken_stays_in_the_set(void **state)
{
    (void)state;
    struct doubt *k = add(1);
    add(2);
    doubts_take(doubts, k);
    assert_null(add(1));
    assert_ptr_not_equal(doubts_first(doubts), k);
    doubts_settle(doubts, k);
    assert_non_null(add(1));
}

static void so_many_keys_are_enough(void **state)
{
    (void)state;
    for (int i = 0; i < DOUBTS_ENOUGH; i++) {
        assert_false(doubts_are_enough(doubts));
        add(i);
    }
    assert_true(doubts_are_enough(doubts));
}

static void hashes_are_found_again(void **state)
{
    (void)state;
    struct hash_set set = {0};
    for (uint64_t i = 1; i <= KEYS; i++)
        assert_true(hash_set_add(&set, i * i));
    for (uint64_t i = 1; i <= KEYS; i++) {
        assert_true(hash_set_has(&set, i * i));
        assert_false(hash_set_add(&set, i * i));
    }
    assert_false(hash_set_has(&set, 2));
    assert_int_equal(set.count, KEYS);
    hash_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_added_once_for_each_database, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_come_in_the_order_of_their_times, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_taken_stays_in_the_set, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_keys_are_enough, setup, teardown),
        cmocka_unit_test(hashes_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
