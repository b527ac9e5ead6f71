/* What the tests of a target in trouble share: a scripted source with commands that must not run twice, the
 * program, and, where wanted, a proxy before the target. After cmocka.h. */
#ifndef DF2REDIS_TESTS_TARGET_TROUBLE_H
#define DF2REDIS_TESTS_TARGET_TROUBLE_H

#include <poll.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/proxy.h"
#include "tests/support/testing.h"

enum { FLOWS = 3, ROUND_MS = 20 };

static struct crash crash;
static struct proxy *proxy;

static inline int teardown(void **state)
{
    (void)state;
    crash_end(&crash);
    proxy_stop(proxy);
    proxy = NULL;
    return 0;
}

static const struct journal_snapshot small = {
    .strings = 300, .collections = 1, .elements = 200, .commands = 30, .journal = 300};

static inline void begin(const char *const *extra)
{
    crash_begin(&crash, FLOWS, &small);
    run_replicate(&crash.run, extra);
    assert_true(run_wait_in_step(&crash.run));
}

static inline void begin_behind_proxy(const char *const *extra)
{
    crash_begin(&crash, FLOWS, &small);
    proxy = proxy_start(crash.run.target.port);
    df2redis_start(&crash.run.program, "replicate", scripted_uri(crash.run.source), proxy_uri(proxy), extra);
    assert_true(run_wait_in_step(&crash.run));
}

static inline void tell(const char *command)
{
    redisContext *c = server_connect(crash.run.target.port);
    server_ok(c, command);
    redisFree(c);
}

/* As much as in so long a time where nothing else runs: how far a copy lags does not depend on the machine. */
static inline void write_for(uint32_t ms)
{
    uint32_t rounds = ms / ROUND_MS + 1;
    for (uint32_t i = 0; i < rounds && process_running(&crash.run.program.process); i++) {
        journal_script_append(&crash.script, crash.run.source, 60);
        poll(NULL, 0, ROUND_MS); /* the rate of the load */
    }
}

static inline void write_some(void)
{
    journal_script_append(&crash.script, crash.run.source, 400);
}

static inline bool acknowledged(void)
{
    return scripted_wait_acked(crash.run.source, RUN_DEADLINE_MS);
}

static inline void assert_ends_equal(size_t full_syncs)
{
    bool equal = crash_came_out_equal(&crash);
    size_t syncs = crash_full_syncs(&crash);
    if (equal && full_syncs && syncs != full_syncs)
        df2redis_print(&crash.run.program);
    assert_true(equal);
    assert_true(!full_syncs || syncs == full_syncs);
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

#endif
