/* The set-up of the crash tests. */
#include "tests/support/crash.h"

#include "tests/support/testing.h"

void crash_begin(struct crash *c, uint32_t flows, const struct journal_snapshot *what)
{
    struct scripted_options options;
    *c = (struct crash){0};
    journal_script_init(&c->script, flows, 7);
    scripted_options_init(&options);
    scripted_options_add(&options, journal_script_session(&c->script, what));
    run_begin(&c->run, &options);
}

void crash_end(struct crash *c)
{
    run_end(&c->run);
    server_stop(&c->expected);
    journal_script_free(&c->script);
}

static bool equals_expected(struct crash *c)
{
    struct state_server expected, actual;
    struct state_report report;
    struct state_rules rules = {.read = {.stream_details = true}};
    if (!c->expected.port)
        redis_start(&c->expected, NULL);
    redisContext *connection = server_connect(c->expected.port);
    server_ok(connection, "FLUSHALL");
    redisFree(connection);
    journal_script_expect(&c->script, c->expected.port);
    state_open(&expected, c->expected.port, NULL);
    state_open(&actual, c->run.target.port, NULL);
    bool equal = state_compare_servers(&expected, &actual, &rules, &report);
    if (!equal)
        fprintf(stderr, "of %llu keys %llu differ:\n%s", (unsigned long long)report.keys,
                (unsigned long long)report.different, (const char *)report.text.data);
    equal &= report.keys > 0;
    state_report_free(&report);
    state_close(&expected);
    state_close(&actual);
    return equal;
}

bool crash_came_out_equal(struct crash *c)
{
    if (!run_wait_in_step(&c->run))
        return false;
    bool equal = equals_expected(c);
    cJSON *status = df2redis_status(&c->run.program);
    bool diverged = cJSON_GetObjectItem(status, "divergences")->child != NULL;
    if (diverged)
        fprintf(stderr, "divergences were counted\n");
    cJSON_Delete(status);
    if (!equal || diverged)
        df2redis_print(&c->run.program);
    return equal && !diverged;
}

size_t crash_full_syncs(struct crash *c)
{
    return scripted_count(c->run.source, NULL, "DFLY SYNC");
}
