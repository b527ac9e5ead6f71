/* df2redis verify beside a run, and what it reports: what its tests have in common. After cmocka.h. */
#ifndef DF2REDIS_TESTS_VERIFY_CASE_H
#define DF2REDIS_TESTS_VERIFY_CASE_H

#include <sysexits.h>

#include "tests/support/heal_case.h"

enum { VERIFY_ARGS = 24 };

static cJSON *report;        /* of the last verification */
static char *verify_printed; /* by it */

static inline int teardown_verify(void **state)
{
    cJSON_Delete(report);
    report = NULL;
    free(verify_printed);
    verify_printed = NULL;
    return teardown(state);
}

static inline void verify_words(const char **argv, const char *const *extra)
{
    const char *first[] = {df2redis_binary(), "verify", "--state-dir", run.program.dir};
    size_t n = 0;
    for (; n < sizeof first / sizeof *first; n++)
        argv[n] = first[n];
    for (; extra && *extra && n < VERIFY_ARGS - 1; extra++)
        argv[n++] = *extra;
    argv[n] = NULL;
}

/* Its exit code. */
static inline int verify(const char *const *extra)
{
    const char *all[VERIFY_ARGS] = {"--json"}, *argv[VERIFY_ARGS];
    for (size_t n = 1; extra && *extra && n < VERIFY_ARGS - 1; extra++)
        all[n++] = *extra;
    verify_words(argv, all);
    free(verify_printed);
    verify_printed = NULL;
    int code = process_run(argv, RUN_DEADLINE_MS, &verify_printed);
    cJSON_Delete(report);
    const char *line = verify_printed ? strstr(verify_printed, "{\"name\"") : NULL;
    report = line ? cJSON_Parse(line) : NULL;
    return code;
}

static inline double count_of(const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(report, name);
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static inline double kind_of(const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(report, "kinds"), name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static inline bool differences_say(const char *text)
{
    char *path = format_text("%s/default/differences.log", run.program.dir);
    bool says = file_contains(path, text);
    free(path);
    return says;
}

static inline void assert_verified(int code, const char *const *extra)
{
    int got = verify(extra);
    if (got != code)
        print_message("%s\n", verify_printed ? verify_printed : "nothing was printed");
    assert_int_equal(got, code);
}

#endif
