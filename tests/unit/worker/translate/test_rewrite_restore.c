/* RESTORE of the journal: its payload is checked, its options are understood, its value goes the way of
 * snapshot values. */
#include "common/base/crc.h"
#include "tests/support/translate_case.h"

static int open_modern(void **state)
{
    struct translate_case *c = x_malloc(sizeof *c);
    case_open(c, case_modern_target());
    *state = c;
    return 0;
}

static int close_case(void **state)
{
    case_close(*state);
    free(*state);
    return 0;
}

/* As recorded from v1.40.1: the strings "0" and "v" as DUMP has them. */
static const char recorded_0[] = "\x00\xc0\x00\x09\x00\x48\xb2\xf6\xb4\xac\xd6\x60\xb9";
static const char recorded_v[] = "\x00\x01v\x09\x00\x41\xfa\x9f~M\xbe\xe9\x7f";

static const char *restore(struct translate_case *c, const char *ttl, struct slice payload,
                           const char *options)
{
    struct slice argv[CASE_MAX_WORDS] = {slice_str("RESTORE"), slice_str("k"), slice_str(ttl), payload};
    size_t argc = 4 + case_words(options, argv + 4);
    if (!case_run(c, argv, argc))
        fail_msg("%s", c->error.text);
    assert_false(c->once);
    return case_show(c);
}

static void recorded_payloads_are_taken(void **state)
{
    struct translate_case *c = *state;
    struct slice zero = slice_of(recorded_0, sizeof recorded_0 - 1),
                 v = slice_of(recorded_v, sizeof recorded_v - 1);
    assert_string_equal(restore(c, "0", zero, "REPLACE ABSTTL"), "SET k 0");
    assert_string_equal(restore(c, "0", v, "REPLACE ABSTTL STICK"), "SET k v");
    assert_string_equal(restore(c, "1915394430532", v, "REPLACE ABSTTL"), "SET k v PXAT 1915394430532");
    case_expect_reports(c, "");
}

static void options_come_in_any_order_and_case(void **state)
{
    struct translate_case *c = *state;
    struct slice v = slice_of(recorded_v, sizeof recorded_v - 1);
    assert_string_equal(restore(c, "1915394430532", v, "IDLETIME 5 absttl FREQ 3 replace"),
                        "SET k v PXAT 1915394430532");
    assert_string_equal(restore(c, "5000", v, ""), "SET k v PXAT 1700000005000"); /* relative */
    assert_string_equal(restore(c, "5000", v, "IDLETIME ABSTTL"), "SET k v PXAT 1700000005000");
    assert_string_equal(restore(c, "1699999999999", v, "ABSTTL"),
                        "SET k v PXAT 1700000600000"); /* over: put off */
}

static void a_relative_time_counts_from_arrival(void **state)
{
    struct translate_case *c = *state;
    struct slice v = slice_of(recorded_v, sizeof recorded_v - 1);
    c->translator.arrived_ms = CASE_NOW_MS - 10000;
    assert_string_equal(restore(c, "25000", v, ""), "SET k v PXAT 1700000015000");
    assert_string_equal(restore(c, "1700000025000", v, "ABSTTL"), "SET k v PXAT 1700000025000");
    assert_string_equal(restore(c, "5000", v, ""), "SET k v PXAT 1700000600000"); /* over since: put off */
}

static void a_payload_without_checksum_is_taken(void **state)
{
    char payload[sizeof recorded_v - 1];
    memcpy(payload, recorded_v, sizeof payload);
    memset(payload + sizeof payload - 8, 0, 8);
    assert_string_equal(restore(*state, "0", slice_of(payload, sizeof payload), ""), "SET k v");
}

static void a_payload_that_was_changed_is_reported(void **state)
{
    struct translate_case *c = *state;
    for (size_t i = 0; i < sizeof recorded_v - 1; i++) {
        char payload[sizeof recorded_v - 1];
        memcpy(payload, recorded_v, sizeof payload);
        payload[i] ^= 0x10;
        assert_string_equal(restore(c, "0", slice_of(payload, sizeof payload), ""), "");
        case_expect_reports(c, "lost_by_source RESTORE k\n");
    }
}

static void a_payload_too_short_for_its_footer_is_reported(void **state)
{
    struct translate_case *c = *state;
    for (size_t n = 0; n <= 10; n++) {
        assert_string_equal(restore(c, "0", slice_of("\0\0\0\0\0\0\0\0\0\0\0", n), ""), "");
        case_expect_reports(c, "lost_by_source RESTORE k\n");
    }
}

static void times_that_make_no_sense_are_reported(void **state)
{
    struct translate_case *c = *state;
    struct slice v = slice_of(recorded_v, sizeof recorded_v - 1);
    static const char *const times[] = {"-1", "x", "", "9223372036854775807"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_string_equal(restore(c, times[i], v, ""), "");
        case_expect_reports(c, "lost_by_source RESTORE k\n");
    }
}

static void a_type_that_is_not_known_is_reported(void **state)
{
    struct translate_case *c = *state;
    static const char payload[] = "\xc8\x01v\x09\x00\0\0\0\0\0\0\0\0";
    assert_string_equal(restore(c, "0", slice_of(payload, sizeof payload - 1), ""), "");
    case_expect_reports(c, "type_not_in_target RESTORE k\n");
}

/* Any bytes with a footer that fits: broken values must not end the run, nor read beyond the payload. */
static void broken_values_do_no_harm(void **state)
{
    struct translate_case *c = *state;
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    uint64_t random = 7;
    for (int i = 0; i < 20000; i++) {
        uint8_t *payload = x_malloc(80); /* on the heap: a sanitizer sees reads beyond */
        size_t n = 1;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        payload[0] = (uint8_t)((random >> 50) % 40);
        for (size_t len = 1 + (random >> 40) % 60; n < len; n++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            payload[n] = (uint8_t)(random >> 40) & ((random >> 33) % 3 ? 0x0f : 0xff);
        }
        payload[n] = 9;
        payload[n + 1] = 0;
        uint64_t crc = crc64(0, payload, n + 2);
        memcpy(payload + n + 2, &crc, 8);
        payload = x_realloc(payload, n + 10);
        struct slice argv[] = {slice_str("RESTORE"), slice_str("k"), slice_str("0"),
                               slice_of(payload, n + 10)};
        if (!case_run(c, argv, 4))
            fail_msg("type %u: %s (%d)", payload[0], c->error.text, c->error.class);
        case_show(c);
        free(payload);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(recorded_payloads_are_taken, open_modern, close_case),
        cmocka_unit_test_setup_teardown(options_come_in_any_order_and_case, open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_relative_time_counts_from_arrival, open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_payload_without_checksum_is_taken, open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_payload_that_was_changed_is_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_payload_too_short_for_its_footer_is_reported, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(times_that_make_no_sense_are_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_type_that_is_not_known_is_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(broken_values_do_no_harm, open_modern, close_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
