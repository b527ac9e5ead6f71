/* Settings by name: what is taken and what is refused, and the filters made of them. */
#include "tests/unit/common/settings/settings_testing.h"

static void defaults_are_those_of_the_manual(void **state)
{
    (void)state;
    assert_string_equal(s.name, "default");
    assert_int_equal(s.ring_bytes, 64 << 20);
    assert_int_equal(s.spool_limit_bytes, UINT64_C(10) << 30);
    assert_int_equal(s.on_spool_full, ON_SPOOL_FULL_END_SESSION);
    assert_int_equal(s.restore_limit_bytes, 1 << 20);
    assert_int_equal(s.batch_bytes, 256 << 10);
    assert_int_equal(s.batch_commands, 1000);
    assert_int_equal(s.window_bytes, 4 << 20);
    assert_int_equal(s.connect_timeout_ms, 10000);
    assert_int_equal(s.stuck_warning_ms, 60000);
    assert_int_equal(s.barrier_timeout_ms, 600000);
    assert_int_equal(s.failed_flows_percent, 25);
    assert_int_equal(s.on_conflict, ON_CONFLICT_UNSET);
    assert_int_equal(s.on_full_resync, ON_FULL_RESYNC_FLUSH);
    assert_true(s.marks);
    assert_false(s.flush_target || s.tls_insecure || s.migrate || s.progress_off);
    assert_int_equal(s.log_level, LOG_LEVEL_INFO);
}

static void every_setting_of_the_help_can_be_set(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct setting_help *h = settings_help(); h->name; h++, n++) {
        static const char *const values[] = {"redis://h", "a",    "1",    "100",  "1m",   "on",
                                             "off",       "stop", "info", "json", "block"};
        bool taken = false;
        assert_non_null(h->help);
        for (size_t i = 0; i < sizeof values / sizeof *values && !taken; i++)
            taken = settings_set(&s, h->name, values[i], &error);
        if (!taken)
            fail_msg("%s: %s", h->name, error.text);
        for (const struct setting_help *other = settings_help(); other < h; other++)
            assert_string_not_equal(other->name, h->name);
    }
    assert_true(n > 40);
    contains(refusal("bogus", "1"), "\"bogus\"");
}

static void sizes_take_k_m_and_g(void **state)
{
    (void)state;
    set("max-rate", "20m");
    assert_int_equal(s.max_rate_bytes, 20 << 20);
    set("max-rate", "0");
    assert_int_equal(s.max_rate_bytes, 0);
    set("spool-limit", "3G");
    assert_int_equal(s.spool_limit_bytes, UINT64_C(3) << 30);
    set("batch-bytes", "2048");
    assert_int_equal(s.batch_bytes, 2048);
    set("batch-bytes", "64KiB");
    assert_int_equal(s.batch_bytes, 64 << 10);
    contains(refusal("max-rate", "fast"), "max-rate: \"fast\"");
    contains(refusal("max-rate", "-1"), "k, m or g");
    contains(refusal("max-rate", "1.5m"), "k, m or g");
    contains(refusal("max-rate", "m"), "k, m or g");
    contains(refusal("max-rate", "99999999999999999999g"), "k, m or g");
    contains(refusal("max-rate", "18446744073709551615g"), "range");
    contains(refusal("ring-size", "1k"), "64k to 1g");
}

static void times_take_ms_s_m_and_h(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t ms;
    } examples[] = {{"5", 5000}, {"500ms", 500}, {"10s", 10000}, {"2m", 120000}, {"1h", 3600000}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        set("connect-timeout", examples[i].text);
        assert_int_equal(s.connect_timeout_ms, examples[i].ms);
    }
    contains(refusal("connect-timeout", "10 s"), "500ms");
    contains(refusal("connect-timeout", "1d"), "500ms");
    contains(refusal("connect-timeout", "99ms"), "100ms to 1h");
    contains(refusal("connect-timeout", "2h"), "100ms to 1h");
    set("target-retry", "0");
    assert_int_equal(s.target_retry_ms, 0);
}

static void counts_are_checked_against_their_range(void **state)
{
    (void)state;
    set("failed-flows", "0");
    set("failed-flows", "100");
    assert_int_equal(s.failed_flows_percent, 100);
    contains(refusal("failed-flows", "101"), "0 to 100");
    contains(refusal("failed-flows", "25%"), "is not a number");
    contains(refusal("batch-commands", "0"), "1 to 1000000");
    assert_int_equal(s.failed_flows_percent, 100);
}

static void flags_need_no_value(void **state)
{
    (void)state;
    set("flush-target", NULL);
    assert_true(s.flush_target);
    static const char *const off[] = {"off", "no", "false", "OFF"}, *const on[] = {"on", "yes", "true", ""};
    for (size_t i = 0; i < 4; i++) {
        set("flush-target", off[i]);
        assert_false(s.flush_target);
        set("flush-target", on[i]);
        assert_true(s.flush_target);
    }
    set("marks", "off");
    assert_false(s.marks);
    contains(refusal("flush-target", "maybe"), "on or off");
}

static void words_are_those_of_the_help(void **state)
{
    (void)state;
    set("on-conflict", "skip");
    assert_int_equal(s.on_conflict, ON_CONFLICT_SKIP);
    set("on-conflict", "Overwrite");
    assert_int_equal(s.on_conflict, ON_CONFLICT_OVERWRITE);
    set("on-full-resync", "keep");
    assert_int_equal(s.on_full_resync, ON_FULL_RESYNC_KEEP);
    set("on-spool-full", "block");
    assert_int_equal(s.on_spool_full, ON_SPOOL_FULL_BLOCK);
    set("log-level", "debug");
    assert_int_equal(s.log_level, LOG_LEVEL_DEBUG);
    set("log-format", "json");
    assert_int_equal(s.log_format, LOG_FORMAT_JSON);
    set("progress", "off");
    assert_true(s.progress_off);
    set("progress", "auto");
    assert_false(s.progress_off);
    contains(refusal("on-conflict", "ask"), "overwrite, skip or stop");
    contains(refusal("log-level", "loud"), "error, warning, info or debug");
    contains(refusal("progress", "on"), "auto or off");
    contains(refusal("log-level", NULL), "needs a value");
}

static void names_are_safe_as_file_names_and_keys(void **state)
{
    (void)state;
    char longest[66];
    memset(longest, 'n', sizeof longest);
    longest[64] = '\0';
    set("name", longest);
    set("name", "Shop-eu_1.b");
    longest[64] = 'n';
    longest[65] = '\0';
    contains(refusal("name", longest), "64");
    contains(refusal("name", ".hidden"), "dot");
    contains(refusal("name", "a/b"), "letters");
    contains(refusal("name", "a b"), "letters");
    contains(refusal("name", ""), "needs a value");
    assert_string_equal(s.name, "Shop-eu_1.b");
}

static void patterns_add_up_and_filter_keys(void **state)
{
    (void)state;
    assert_true(settings_key_wanted(&s, slice_str("anything")));
    set("exclude", "*:tmp");
    assert_true(settings_key_wanted(&s, slice_str("anything")));
    assert_false(settings_key_wanted(&s, slice_str("user:tmp")));
    set("include", "user:*");
    set("include", "cart:*");
    assert_true(settings_key_wanted(&s, slice_str("user:1")));
    assert_true(settings_key_wanted(&s, slice_str("cart:1")));
    assert_false(settings_key_wanted(&s, slice_str("other:1")));
    assert_false(settings_key_wanted(&s, slice_str("user:tmp")));
}

static void databases_map_to_themselves_unless_listed(void **state)
{
    (void)state;
    uint32_t to;
    assert_true(settings_db_target(&s, 7, &to));
    assert_int_equal(to, 7);
    set("db", "0,1:5");
    set("db", "3:1,0");
    assert_int_equal(s.db_map_count, 3);
    assert_true(settings_db_target(&s, 0, &to));
    assert_int_equal(to, 0);
    assert_true(settings_db_target(&s, 1, &to));
    assert_int_equal(to, 5);
    assert_true(settings_db_target(&s, 3, &to));
    assert_int_equal(to, 1);
    assert_false(settings_db_target(&s, 2, &to));
    assert_false(settings_db_target(&s, 5, &to));
    contains(refusal("db", "0:1"), "two of the target");
    contains(refusal("db", "9:5"), "collide");
    static const char *const bad[] = {"a", "9,", ",1", "1:", ":1", "1:2:3", "1-2", "70000", "1:70000", " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        contains(refusal("db", bad[i]), "0,1:5");
    assert_int_equal(s.db_map_count, 3);
}

static void uris_are_parsed_and_their_errors_name_the_option(void **state)
{
    (void)state;
    set("source", "redis://:secret@df:6380");
    assert_string_equal(s.source.host, "df");
    assert_string_equal(s.source_text, "redis://:secret@df:6380");
    contains(refusal("source", "df:6380"), "source: ");
    assert_string_equal(s.source.host, "df");
    contains(refusal("target", "redis://:secret@h:port"), "target: ");
    assert_null(strstr(error.text, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_manual),
        TEST(every_setting_of_the_help_can_be_set),
        TEST(sizes_take_k_m_and_g),
        TEST(times_take_ms_s_m_and_h),
        TEST(counts_are_checked_against_their_range),
        TEST(flags_need_no_value),
        TEST(words_are_those_of_the_help),
        TEST(names_are_safe_as_file_names_and_keys),
        TEST(patterns_add_up_and_filter_keys),
        TEST(databases_map_to_themselves_unless_listed),
        TEST(uris_are_parsed_and_their_errors_name_the_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
