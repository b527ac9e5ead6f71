/* CRC-64 against the definition, bit by bit; known values of both. */
#include "common/base/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static uint64_t bit_by_bit(uint64_t crc, const uint8_t *p, size_t len)
{
    while (len--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? UINT64_C(0x95ac9329ac4bc9b5) : 0);
    }
    return crc;
}

static void fill(uint8_t *p, size_t len)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
}

static uint16_t bit_by_bit_16(const uint8_t *p, size_t len)
{
    unsigned crc = 0;
    while (len--) {
        crc ^= (unsigned)*p++ << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021u : 0)) & 0xffff;
    }
    return (uint16_t)crc;
}

static void known_values_hold(void **state)
{
    (void)state;
    assert_true(crc64(0, "123456789", 9) == UINT64_C(0xe9c6d914c4b8d9ca));
    assert_int_equal(crc16("123456789", 9), 0x31c3);
    assert_true(crc64(0, "", 0) == 0);
    assert_int_equal(crc16("", 0), 0);
}

static void every_length_and_alignment_matches_the_definition(void **state)
{
    (void)state;
    uint8_t bytes[1100];
    fill(bytes, sizeof bytes);
    for (size_t len = 0; len <= 1060; len++)
        for (size_t at = 0; at < 3; at++) {
            assert_true(crc64(0, bytes + at, len) == bit_by_bit(0, bytes + at, len));
            assert_int_equal(crc16(bytes + at, len), bit_by_bit_16(bytes + at, len));
        }
}

static void pieces_give_the_same_as_the_whole(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    fill(bytes, sizeof bytes);
    uint64_t whole = bit_by_bit(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 37)
        assert_true(crc64(crc64(0, bytes, cut), bytes + cut, sizeof bytes - cut) == whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values_hold),
        cmocka_unit_test(every_length_and_alignment_matches_the_definition),
        cmocka_unit_test(pieces_give_the_same_as_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
