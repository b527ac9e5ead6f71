/* Settings as the bytes of a message. */
#include "tests/unit/common/settings/settings_testing.h"

static void set_much(void)
{
    set("source", "rediss://me:secret@[::1]:7000");
    set("target", "unix:///run/r.sock");
    set("name", "shop");
    set("state-dir", "/var/x");
    set("on-conflict", "stop");
    set("on-full-resync", "keep");
    set("include", "a*");
    set("include", "b*");
    set("exclude", "c*");
    set("db", "0:3,4");
    set("marks", "off");
    set("max-rate", "20m");
    set("connect-timeout", "250ms");
    set("failed-flows", "0");
    set("tls-ca", "/ca.pem");
    set("log-level", "error");
    set("progress", "off");
    s.migrate = true;
}

static void all_settings_survive_a_message(void **state)
{
    (void)state;
    struct buf first = {0}, second = {0};
    struct settings copy = {0};
    uint32_t to;
    set_much();
    settings_encode(&s, &first);
    if (!settings_decode(&copy, buf_slice(&first), &error))
        fail_msg("%s", error.text);
    settings_encode(&copy, &second);
    assert_true(slice_eq(buf_slice(&first), buf_slice(&second)));
    assert_string_equal(copy.source.host, "::1");
    assert_string_equal(copy.source.password, "secret");
    assert_int_equal(copy.source.port, 7000);
    assert_true(copy.source.tls && copy.target.unix_socket);
    assert_string_equal(copy.source_text, s.source_text);
    assert_string_equal(copy.name, "shop");
    assert_int_equal(copy.on_conflict, ON_CONFLICT_STOP);
    assert_int_equal(copy.on_full_resync, ON_FULL_RESYNC_KEEP);
    assert_true(settings_key_wanted(&copy, slice_str("b1")));
    assert_false(settings_key_wanted(&copy, slice_str("d")));
    assert_true(settings_db_target(&copy, 0, &to) && to == 3);
    assert_false(copy.marks);
    assert_int_equal(copy.max_rate_bytes, 20 << 20);
    assert_int_equal(copy.connect_timeout_ms, 250);
    assert_int_equal(copy.failed_flows_percent, 0);
    assert_string_equal(copy.tls_ca_file, "/ca.pem");
    assert_null(copy.tls_key_file);
    assert_int_equal(copy.log_level, LOG_LEVEL_ERROR);
    assert_true(copy.progress_off && copy.migrate && copy.on_full_resync_given);
    settings_free(&copy);
    buf_free(&first);
    buf_free(&second);
}

static void cut_or_longer_settings_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct settings other;
    settings_init(&other);
    set_much();
    settings_encode(&s, &bytes);
    for (size_t len = 0; len < bytes.len; len++)
        if (settings_decode(&other, slice_of(bytes.data, len), &error))
            fail_msg("the first %zu of %zu bytes were taken", len, bytes.len);
    buf_put_u8(&bytes, 0);
    assert_false(settings_decode(&other, buf_slice(&bytes), &error));
    assert_string_equal(other.name, "default");
    settings_free(&other);
    buf_free(&bytes);
}

/* No byte changed anywhere may do worse than be refused (the sanitizers watch). */
static void changed_settings_are_taken_or_refused_but_do_no_harm(void **state)
{
    (void)state;
    struct buf bytes = {0};
    static const uint8_t changes[] = {0x00, 0x01, 0x7f, 0xff};
    size_t refused = 0;
    set_much();
    settings_encode(&s, &bytes);
    for (size_t i = 0; i < bytes.len; i++)
        for (size_t j = 0; j < sizeof changes; j++) {
            struct settings other = {0};
            uint8_t old = bytes.data[i];
            bytes.data[i] = changes[j];
            refused += !settings_decode(&other, buf_slice(&bytes), &error);
            settings_free(&other);
            bytes.data[i] = old;
        }
    assert_true(refused > 100);
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_settings_survive_a_message),
        TEST(cut_or_longer_settings_are_refused_and_change_nothing),
        TEST(changed_settings_are_taken_or_refused_but_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
