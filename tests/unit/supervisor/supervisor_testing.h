/* What the supervisor's tests share: cmocka, and a directory of their own. */
#ifndef DF2REDIS_TESTS_UNIT_SUPERVISOR_SUPERVISOR_TESTING_H
#define DF2REDIS_TESTS_UNIT_SUPERVISOR_SUPERVISOR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/settings/settings.h"

static char testing_dir[64];

static inline int make_dir(void **state)
{
    (void)state;
    snprintf(testing_dir, sizeof testing_dir, "/tmp/df2redis-test-XXXXXX");
    return mkdtemp(testing_dir) ? 0 : -1;
}

/* Two levels, as STATE/NAME is. */
static inline int remove_dir(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof command, "chmod -R u+rwx %s && rm -r %s", testing_dir, testing_dir);
    return system(command);
}

static inline void settings_in_dir(struct settings *s, const char *name)
{
    settings_init(s);
    assert_true(settings_set(s, "state-dir", testing_dir, NULL));
    assert_true(settings_set(s, "name", name, NULL));
}

/* A whole file; the caller frees it. */
static inline char *file_text(const char *path)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    size_t n = fread(text, 1, 65535, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

#endif
