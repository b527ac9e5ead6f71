/* What tells one journal from another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/base/crc.h"
#include "common/redis/journal_check.h"

static uint64_t sum(uint32_t db, const char *a, const char *b)
{
    struct slice argv[] = {slice_str(a), slice_str(b)};
    return journal_checksum(db, argv, 2);
}

static void every_byte_counts_and_where_an_argument_ends(void **state)
{
    (void)state;
    assert_true(sum(0, "DEL", "a") == sum(0, "DEL", "a"));
    assert_true(sum(0, "DEL", "a") != sum(1, "DEL", "a"));
    assert_true(sum(0, "DEL", "a") != sum(0, "DEL", "b"));
    assert_true(sum(0, "DEL", "ab") != sum(0, "DELa", "b"));
    assert_true(sum(0, "", "") != journal_checksum(0, NULL, 0));
}

/* As defined, whatever is put together or waits. */
static void sum_is_that_of_the_bytes_one_after_the_other(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 15, 16, 100, 492, 493, 496, 500, 511, 512, 513, 5000};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    uint8_t bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + 7);
    for (size_t i = 0; i < COUNT * COUNT; i++) {
        size_t first = lengths[i / COUNT], second = lengths[i % COUNT];
        struct slice argv[] = {slice_str("SET"), slice_of(bytes, first), slice_of(bytes, second)};
        static const uint8_t db[] = {9, 0, 0, 0};
        uint64_t crc = crc64(UINT64_MAX, db, sizeof db);
        for (size_t a = 0; a < 3; a++) {
            for (int shift = 0; shift < 32; shift += 8)
                crc = crc64(crc, &(uint8_t){(uint8_t)(argv[a].len >> shift)}, 1);
            for (size_t k = 0; k < argv[a].len; k++)
                crc = crc64(crc, argv[a].data + k, 1);
        }
        assert_true(journal_checksum(9, argv, 3) == crc);
    }
}

static void text_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const struct journal_check checks[] = {{0, 0}, {1, 0}, {UINT64_MAX, UINT64_MAX}, {42, 0xabc}};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        char text[JOURNAL_CHECK_TEXT_BYTES];
        struct journal_check again;
        journal_check_write(&checks[i], text);
        assert_true(journal_check_read(slice_str(text), &again));
        assert_true(again.lsn == checks[i].lsn && again.sum == checks[i].sum);
    }
}

static void other_text_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        ":",
                                        "1",
                                        "1:",
                                        "1:0",
                                        ":0000000000000000",
                                        "x:0000000000000000",
                                        "1:00000000000000000",
                                        "1:000000000000000X",
                                        "-1:0000000000000000"};
    struct journal_check c;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(journal_check_read(slice_str(wrong[i]), &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_counts_and_where_an_argument_ends),
        cmocka_unit_test(sum_is_that_of_the_bytes_one_after_the_other),
        cmocka_unit_test(text_is_read_as_it_was_written),
        cmocka_unit_test(other_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
