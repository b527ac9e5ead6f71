/* Settings after all were set: passwords, paths, contradictions, defaults that depend on others. */
#include "tests/unit/common/settings/settings_testing.h"

static void a_password_comes_from_its_file_without_the_newline(void **state)
{
    (void)state;
    set("source", "redis://df");
    set("source-password-file", password_file("s3cret word\n", 12, 0600));
    finish();
    assert_string_equal(s.source.password, "s3cret word");
    assert_null(s.target.password);
}

static void a_password_file_open_to_others_is_refused(void **state)
{
    (void)state;
    set("target", "redis://r");
    set("target-password-file", password_file("x\n", 2, 0640));
    contains(finish_refusal(), "chmod 600 ");
    contains(error.text, path);
    password_file("x\n", 2, 0604);
    finish_refusal();
    assert_null(s.target.password);
    password_file("x\n", 2, 0400);
    finish();
}

static void a_password_file_without_one_good_line_is_refused(void **state)
{
    (void)state;
    set("target", "redis://r");
    set("target-password-file", password_file("", 0, 0600));
    contains(finish_refusal(), "empty");
    password_file("\r\n", 2, 0600);
    contains(finish_refusal(), "empty");
    password_file("one\ntwo\n", 8, 0600);
    contains(finish_refusal(), "one line");
    password_file("a\0b", 3, 0600);
    contains(finish_refusal(), "one line");
    static char long_line[4100];
    memset(long_line, 'x', sizeof long_line);
    password_file(long_line, 4097, 0600);
    contains(finish_refusal(), "4096");
    password_file(long_line, sizeof long_line, 0600);
    contains(finish_refusal(), "4096");
    password_file(long_line, 4096, 0600);
    finish();
    assert_int_equal(strlen(s.target.password), 4096);
}

static void a_missing_password_file_is_named(void **state)
{
    (void)state;
    set("source", "redis://df");
    set("source-password-file", "/nowhere/password");
    contains(finish_refusal(), "source-password-file: opening /nowhere/password: ");
    assert_int_equal(error.exit_code, EX_NOINPUT);
    settings_set(&s, "source-password-file", directory, &error);
    contains(finish_refusal(), "regular file");
}

static void the_environment_gives_a_password_when_nothing_else_does(void **state)
{
    (void)state;
    setenv("DF2REDIS_SOURCE_PASSWORD", "from environment", 1);
    setenv("DF2REDIS_TARGET_PASSWORD", "unused", 1);
    set("source", "redis://df");
    set("target", "redis://:from-uri@r");
    finish();
    assert_string_equal(s.source.password, "from environment");
    assert_string_equal(s.target.password, "from-uri");
}

static void a_file_goes_before_the_environment(void **state)
{
    (void)state;
    setenv("DF2REDIS_SOURCE_PASSWORD", "from environment", 1);
    set("source", "redis://df");
    set("source-password-file", password_file("from file", 9, 0600));
    finish();
    assert_string_equal(s.source.password, "from file");
}

static void a_password_in_uri_and_file_is_a_contradiction(void **state)
{
    (void)state;
    set("source", "redis://:one@df");
    set("source-password-file", password_file("two", 3, 0600));
    contains(finish_refusal(), "both in its URI and in source-password-file");
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *settings[6], *expected;
    } examples[] = {
        {{"tls-cert", "/c"}, "tls-key is missing"},
        {{"tls-key", "/k"}, "tls-cert is missing"},
        {{"target", "redis://r", "tls-ca", "/ca"}, "neither source nor target"},
        {{"target", "rediss://r", "tls-ca", "/ca", "tls-insecure", "on"}, "contradict"},
        {{"window-bytes", "64k"}, "batch-bytes"},
        {{"barrier-timeout", "1s"}, "stuck-warning"},
        {{"source", "redis://df/3"}, "--db A:B"},
        {{"target", "redis://r/5"}, "/5"},
        {{"source", "null:"}, "source: "},
        {{"source", "unix:///s"}, "source: "},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        for (size_t j = 0; j < 6 && examples[i].settings[j]; j += 2)
            set(examples[i].settings[j], examples[i].settings[j + 1]);
        contains(finish_refusal(), examples[i].expected);
        settings_free(&s);
        settings_init(&s);
    }
}

static void relative_paths_become_absolute(void **state)
{
    (void)state;
    char here[512], expected[600];
    assert_non_null(getcwd(here, sizeof here));
    set("state-dir", "state");
    set("target", "rediss://r");
    set("tls-ca", "/etc/ca.pem");
    finish();
    snprintf(expected, sizeof expected, "%s/state", strcmp(here, "/") == 0 ? "" : here);
    assert_string_equal(s.state_dir, expected);
    assert_string_equal(s.tls_ca_file, "/etc/ca.pem");
}

static void the_state_directory_has_a_default(void **state)
{
    (void)state;
    setenv("XDG_STATE_HOME", "/home/u/.state", 1);
    finish();
    assert_string_equal(s.state_dir, geteuid() == 0 ? "/var/lib/df2redis" : "/home/u/.state/df2redis");
}

static void a_full_resync_does_not_flush_a_target_with_keys_of_its_own(void **state)
{
    (void)state;
    set("on-conflict", "overwrite");
    finish();
    assert_int_equal(s.on_full_resync, ON_FULL_RESYNC_STOP);
    set("on-full-resync", "flush");
    finish();
    assert_int_equal(s.on_full_resync, ON_FULL_RESYNC_FLUSH);
}

static void a_flushed_target_may_be_flushed_again(void **state)
{
    (void)state;
    set("on-conflict", "overwrite");
    set("flush-target", NULL);
    finish();
    assert_int_equal(s.on_full_resync, ON_FULL_RESYNC_FLUSH);
}

static void the_ring_is_whole_pages(void **state)
{
    (void)state;
    set("ring-size", "100000");
    finish();
    assert_int_equal(s.ring_bytes, 131072);
}

static void settings_too_large_for_a_message_are_refused(void **state)
{
    (void)state;
    char pattern[1001];
    memset(pattern, 'p', 1000);
    pattern[1000] = '\0';
    for (unsigned i = 0; i < 70; i++)
        set("include", pattern);
    contains(finish_refusal(), "too many patterns");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_password_comes_from_its_file_without_the_newline),
        TEST(a_password_file_open_to_others_is_refused),
        TEST(a_password_file_without_one_good_line_is_refused),
        TEST(a_missing_password_file_is_named),
        TEST(the_environment_gives_a_password_when_nothing_else_does),
        TEST(a_file_goes_before_the_environment),
        TEST(a_password_in_uri_and_file_is_a_contradiction),
        TEST(contradictions_are_refused),
        TEST(relative_paths_become_absolute),
        TEST(the_state_directory_has_a_default),
        TEST(a_full_resync_does_not_flush_a_target_with_keys_of_its_own),
        TEST(a_flushed_target_may_be_flushed_again),
        TEST(the_ring_is_whole_pages),
        TEST(settings_too_large_for_a_message_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
