/* The search for a target's databases: it ends with their number, whatever the target says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/link/link_databases.h"

/* Of a target that has so many; *questions: how many it took. */
static uint32_t search(uint32_t has, uint32_t says, bool told, unsigned *questions)
{
    struct database_search s;
    uint32_t database;
    *questions = 0;
    database_search_begin(&s, says, told);
    while (database_search_next(&s, &database)) {
        assert_true(++*questions <= 70);
        database_search_answer(&s, database, database < has);
    }
    return s.there;
}

static void what_is_told_takes_one_question(void **state)
{
    (void)state;
    unsigned questions;
    for (uint32_t n = 1; n <= 64; n++) {
        assert_int_equal(search(n, n, true, &questions), n);
        assert_int_equal(questions, 1);
    }
}

static void sixteen_are_found_with_two(void **state)
{
    (void)state;
    unsigned questions;
    assert_int_equal(search(16, 16, false, &questions), 16);
    assert_int_equal(questions, 2);
}

static void any_number_is_found_where_none_is_told(void **state)
{
    (void)state;
    unsigned questions;
    for (uint32_t n = 0; n <= 3000; n++)
        assert_int_equal(search(n, 16, false, &questions), n);
    assert_int_equal(search(1000000, 16, false, &questions), 1000000);
    assert_int_equal(search(INT32_MAX, 16, false, &questions), INT32_MAX);
}

/* As a proxy may that tells what stands behind it. */
static void fewer_than_are_told_are_found(void **state)
{
    (void)state;
    unsigned questions;
    for (uint32_t n = 0; n < 40; n++)
        assert_int_equal(search(n, 40, true, &questions), n);
    assert_int_equal(search(7, UINT32_MAX, true, &questions), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_takes_one_question),
        cmocka_unit_test(sixteen_are_found_with_two),
        cmocka_unit_test(any_number_is_found_where_none_is_told),
        cmocka_unit_test(fewer_than_are_told_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
