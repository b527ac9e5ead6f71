/* What the tests of settings share: one struct settings, fresh for each test, and short words for what is
 * done to it. */
#ifndef DF2REDIS_TESTS_UNIT_COMMON_SETTINGS_SETTINGS_TESTING_H
#define DF2REDIS_TESTS_UNIT_COMMON_SETTINGS_SETTINGS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/settings/settings.h"

static struct settings s;
static struct error error;
static char directory[64], path[128];

static inline int setup(void **state)
{
    (void)state;
    settings_init(&s);
    error = (struct error){0};
    snprintf(directory, sizeof directory, "/tmp/df2redis-settings-XXXXXX");
    unsetenv("DF2REDIS_SOURCE_PASSWORD");
    unsetenv("DF2REDIS_TARGET_PASSWORD");
    return mkdtemp(directory) ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    settings_free(&s);
    if (path[0])
        unlink(path);
    path[0] = '\0';
    return rmdir(directory);
}

static inline void set(const char *name, const char *value)
{
    if (!settings_set(&s, name, value, &error))
        fail_msg("%s", error.text);
}

static inline const char *refusal(const char *name, const char *value)
{
    error = (struct error){0};
    if (settings_set(&s, name, value, &error))
        fail_msg("%s=%s was taken", name, value ? value : "(none)");
    assert_int_equal(error.class, ERROR_FATAL);
    assert_int_equal(error.exit_code, EX_USAGE);
    return error.text;
}

static inline void finish(void)
{
    if (!settings_finish(&s, &error))
        fail_msg("%s", error.text);
}

static inline const char *finish_refusal(void)
{
    error = (struct error){0};
    assert_false(settings_finish(&s, &error));
    assert_int_equal(error.class, ERROR_FATAL);
    assert_int_not_equal(error.exit_code, 0);
    return error.text;
}

static inline void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static inline const char *password_file(const char *content, size_t bytes, mode_t mode)
{
    snprintf(path, sizeof path, "%s/password", directory);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
