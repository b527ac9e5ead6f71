/* What the tests of findings at the start have in common: a run that is refused with nothing written, or that copies.
 * After cmocka.h. */
#ifndef DF2REDIS_TESTS_FINDINGS_CASE_H
#define DF2REDIS_TESTS_FINDINGS_CASE_H

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 2 };

static const struct journal_snapshot small = {.strings = 50, .commands = 10, .journal = 50};
static struct crash crash;

static inline int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    return 0;
}

static inline void on_target(const char *command)
{
    server_tell(crash.run.target.port, command);
}

static inline void begin(void (*change)(struct scripted_options *options))
{
    struct scripted_options options;
    crash = (struct crash){0};
    journal_script_init(&crash.script, FLOWS, 7);
    scripted_options_init(&options);
    scripted_options_add(&options, journal_script_session(&crash.script, &small));
    if (change)
        change(&options);
    run_begin(&crash.run, &options);
}

static inline void replicate_as(const char *user, const char *const *extra)
{
    char *uri = format_text("redis://%s:sesame@127.0.0.1:%u", user, crash.run.target.port);
    df2redis_start(&crash.run.program, "replicate", scripted_uri(crash.run.source), uri, extra);
    free(uri);
}

static inline void assert_refused(int code, uint64_t keys)
{
    int ended = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    if (ended != code)
        df2redis_print(&crash.run.program);
    assert_int_equal(ended, code);
    assert_int_equal(scripted_count(crash.run.source, NULL, "DFLY FLOW"), 0);
    redisContext *c = server_connect(crash.run.target.port);
    assert_int_equal(server_keys(c), keys);
    redisFree(c);
}

static inline void assert_said(const char *text)
{
    if (!df2redis_said(&crash.run.program, text)) {
        df2redis_print(&crash.run.program);
        fail_msg("not said: %s", text);
    }
}

static inline void assert_in_step(void)
{
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

#endif
