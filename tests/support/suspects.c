/* Waiting for the comparison of suspect keys to come to its end. */
#include "tests/support/suspects.h"

#include "tests/support/testing.h"

double suspects(const struct run *r, const char *what)
{
    char path[64];
    snprintf(path, sizeof path, "suspects.%s", what);
    return df2redis_status_number(&r->program, path);
}

bool suspects_settled(void *run)
{
    const struct run *r = run;
    return df2redis_status_true(&r->program, "in_step") && suspects(r, "pending") == 0;
}

bool suspects_wait_settled(struct run *r)
{
    bool ok = wait_until(suspects_settled, r, RUN_DEADLINE_MS);
    if (!ok) {
        df2redis_print(&r->program);
        fprintf(stderr, "suspects are left\n");
    }
    return ok;
}

bool suspects_settle_equal(struct run *r, uint16_t port)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    if (!suspects_wait_settled(r))
        return false;
    bool equal = run_equals_server(r, port, &rules, NULL);
    if (!equal)
        df2redis_print(&r->program);
    return equal;
}
