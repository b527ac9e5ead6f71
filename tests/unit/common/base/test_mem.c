/* Slices, numbers in them, and growing buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static const struct slice empty = {NULL, 0};

static void slices_compare_by_their_bytes(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_of("a\0b", 3), slice_of("a\0b", 3)));
    assert_false(slice_eq(slice_of("a\0b", 3), slice_of("a\0c", 3)));
    assert_false(slice_eq(slice_str("ab"), slice_str("abc")));
    assert_true(slice_eq(empty, slice_str("")));
    assert_int_equal(slice_str("four").len, 4);
}

static void words_compare_without_case_and_as_a_whole(void **state)
{
    (void)state;
    assert_true(slice_is(slice_str("FlushAll"), "FLUSHALL"));
    assert_false(slice_is(slice_str("FLUSH"), "FLUSHALL"));
    assert_false(slice_is(slice_str("FLUSHALL2"), "FLUSHALL"));
    assert_true(slice_is(slice_str(""), ""));
    assert_true(slice_is(empty, ""));
    assert_false(slice_is(empty, "a"));
}

static void unsigned_numbers_fill_the_slice_and_fit(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(slice_to_u64(slice_str("0"), &v) && v == 0);
    assert_true(slice_to_u64(slice_str("18446744073709551615"), &v) && v == UINT64_MAX);
    assert_true(slice_to_u64(slice_str("00042"), &v) && v == 42);
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1a",
                                      "0x1",
                                      "1.0",
                                      "18446744073709551616",
                                      "99999999999999999999",
                                      "000000000000000000001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (slice_to_u64(slice_str(bad[i]), &v))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(slice_to_u64(slice_of("1\0", 2), &v));
    assert_false(slice_to_u64(empty, &v));
    assert_int_equal(v, 42);
}

static void signed_numbers_reach_both_ends(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_true(slice_to_i64(slice_str("9223372036854775807"), &v) && v == INT64_MAX);
    assert_true(slice_to_i64(slice_str("-9223372036854775808"), &v) && v == INT64_MIN);
    assert_true(slice_to_i64(slice_str("-1"), &v) && v == -1);
    assert_true(slice_to_i64(slice_str("-0"), &v) && v == 0);
    static const char *const bad[] = {"", "-", "--1", "9223372036854775808", "-9223372036854775809", "- 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (slice_to_i64(slice_str(bad[i]), &v))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(slice_to_i64(empty, &v));
}

static void numbers_are_formatted_as_printf_does(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, 99, 100, -100, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[21], expected[32];
        size_t len = format_i64(text, numbers[i]);
        snprintf(expected, sizeof expected, "%lld", (long long)numbers[i]);
        assert_int_equal(len, strlen(expected));
        assert_memory_equal(text, expected, len);
        len = format_u64(text, (uint64_t)numbers[i]);
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)numbers[i]);
        assert_int_equal(len, strlen(expected));
        assert_memory_equal(text, expected, len);
    }
}

static void a_buf_grows_and_keeps_what_it_holds(void **state)
{
    (void)state;
    struct buf b = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint8_t bytes[3] = {(uint8_t)i, (uint8_t)(i >> 8), 0};
        buf_put(&b, bytes, sizeof bytes);
    }
    assert_int_equal(b.len, 30000);
    assert_true(b.cap >= b.len && b.cap <= 65536);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(b.data[i * 3] | b.data[i * 3 + 1] << 8, i);
    buf_free(&b);
    assert_null(b.data);
    buf_put_u8(&b, 'x');
    assert_int_equal(b.len, 1);
    buf_free(&b);
}

static void nothing_can_be_put_into_nothing(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_put(&b, NULL, 0);
    buf_reserve(&b, 0);
    buf_consume(&b, 0);
    buf_consume(&b, 5);
    buf_clear(&b);
    assert_int_equal(buf_slice(&b).len, 0);
    buf_free(&b);
}

static void reserved_room_is_the_callers_to_use(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_put(&b, "ab", 2);
    uint8_t *at = buf_reserve(&b, 1000);
    assert_ptr_equal(at, b.data + 2);
    assert_int_equal(b.len, 2);
    memset(at, 'x', 1000);
    b.len += 1000;
    assert_int_equal(b.data[1001], 'x');
    buf_free(&b);
}

static void printed_text_of_any_length_is_appended(void **state)
{
    (void)state;
    struct buf b = {0};
    char long_text[2000];
    memset(long_text, 'y', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    buf_printf(&b, "%d,%s", 5, "a");
    buf_printf(&b, "%s", long_text);
    buf_printf(&b, "%s", "");
    assert_int_equal(b.len, 3 + 1999);
    assert_memory_equal(b.data, "5,ay", 4);
    assert_int_equal(b.data[b.len - 1], 'y');
    buf_free(&b);
}

static void consuming_drops_from_the_front(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_put(&b, "abcdef", 6);
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    assert_true(slice_eq(buf_slice(&b), slice_str("cdef")));
    buf_consume(&b, 100);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void allocations_of_nothing_are_still_something(void **state)
{
    (void)state;
    void *p = x_malloc(0), *q = x_calloc(0, 8);
    assert_non_null(p);
    assert_non_null(q);
    p = x_realloc(p, 0);
    assert_non_null(p);
    free(p);
    free(q);
    char *s = x_strndup("abcdef", 3);
    assert_string_equal(s, "abc");
    free(s);
    s = x_strdup("");
    assert_string_equal(s, "");
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_their_bytes),
        cmocka_unit_test(words_compare_without_case_and_as_a_whole),
        cmocka_unit_test(unsigned_numbers_fill_the_slice_and_fit),
        cmocka_unit_test(signed_numbers_reach_both_ends),
        cmocka_unit_test(numbers_are_formatted_as_printf_does),
        cmocka_unit_test(a_buf_grows_and_keeps_what_it_holds),
        cmocka_unit_test(nothing_can_be_put_into_nothing),
        cmocka_unit_test(reserved_room_is_the_callers_to_use),
        cmocka_unit_test(printed_text_of_any_length_is_appended),
        cmocka_unit_test(consuming_drops_from_the_front),
        cmocka_unit_test(allocations_of_nothing_are_still_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
