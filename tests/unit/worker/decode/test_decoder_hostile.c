/* Bytes that no Dragonfly sends: refused with words that say what and where, and never a reason to hold much.
 */
#include "tests/unit/worker/decoder_testing.h"

static void refused(const char *bytes, size_t len, const char *why)
{
    struct source s;
    source_begin(&s, NULL);
    buf_put(&s.bytes, bytes, len);
    while (next_of(&s) == DECODE_ENTRY)
        ;
    expect_error(&s, why);
    source_end(&s);
}

#define REFUSED(bytes, why) refused(bytes, sizeof bytes - 1, why)

static void hostile_bytes_are_refused_with_words(void **state)
{
    (void)state;
    REFUSED("\xfe\x80\x00\x01\x00\x00", "SELECTDB of database 65536");
    REFUSED("\xfe\xc0", "not a packed number");
    REFUSED("\x06\x01k", "opcode or type 6 is not known");
    REFUSED("\x26\x01k", "opcode or type 38 is not known");
    REFUSED("\xcb", "outside of one");
    REFUSED("\x00\xc5", "a key that begins with byte 0xc5");
    REFUSED("\x00\x01k\x82", "a value that begins with byte 0x82");
    REFUSED("\x00\x01k\x81\x00\x00\x00\x01\x00\x00\x00\x00", "no more than 2147483647 can be held");
    REFUSED("\x00\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff", "a value that begins with byte 0x81");
    REFUSED("\x00\x01k\xc3\x02\x08zz", "invalid LZF");
    REFUSED("\x00\x01k\xc3\x02\x80\x10\x00\x00\x00zz", "a value that begins with byte 0xc3");
    REFUSED("\x02\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff", "invalid byte");
    REFUSED("\x22\x01k\x00"
            "1234567812345678\x01\x01\x01\x01\x01\x04\x05",
            "invalid byte");
    REFUSED("\x23\x01k\x81\x00\x00\x30\x00\x00\x00\x00\x00\x81\x00\x00\x30\x00\x00\x00\x00\x00\x01",
            "invalid byte");
    REFUSED("\xff\0\0\0\0\0\0\0\0"
            "0123456789abcdef0123456789abcdef01234568",
            "not this FLOW's");
}

static void header_of_something_else_is_refused(void **state)
{
    (void)state;
    static const char *const headers[][2] = {{"VALKEY080", "does not begin with REDIS"},
                                             {"REDIS0004", "version 4"},
                                             {"REDIS0013", "version 13"},
                                             {"REDISxxxx", "version"}};
    for (size_t i = 0; i < 4; i++) {
        struct source s;
        source_begin(&s, NULL);
        memcpy(s.bytes.data, headers[i][0], 9);
        expect_error(&s, headers[i][1]);
        source_end(&s);
    }
}

static void score_that_is_not_a_number_is_refused(void **state)
{
    (void)state;
    struct source s;
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 0;
    source_begin(&s, &c);
    put_entry(&s.bytes, 5, "z");
    rdb_length_write(&s.bytes, 1);
    put_string(&s.bytes, "m");
    put_le(&s.bytes, UINT64_C(0x7ff8000000000000), 8);
    expect_entry(&s, ENTRY_BEGIN);
    expect_error(&s, "NaN");
    source_end(&s);
}

static void wanted_tells_how_much_a_large_string_needs(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    put_entry(&s.bytes, 0, "k");
    size_t at = s.bytes.len - 3;
    rdb_length_write(&s.bytes, 100 << 20);
    assert_int_equal(next_of(&s), DECODE_MORE);
    assert_true(decoder_offset(s.d) == at);
    assert_true(decoder_wanted(s.d) == 3 + 5 + (100 << 20));
    source_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_bytes_are_refused_with_words),
        cmocka_unit_test(header_of_something_else_is_refused),
        cmocka_unit_test(score_that_is_not_a_number_is_refused),
        cmocka_unit_test(wanted_tells_how_much_a_large_string_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
