/* A real Dragonfly under concurrent writes of every kind, of 1, 2, 4 and 8 shards: after the last write the
 * target holds what it holds, key by key. Needs DF2REDIS_TEST_DRAGONFLY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/workload.h"

enum { BEFORE = 4000, AFTER_SYNC = 20000 };

static struct run run;
static struct workload *load;

static int teardown(void **state)
{
    (void)state;
    if (load)
        workload_stop(load);
    load = NULL;
    run_end(&run);
    return 0;
}

struct shape {
    unsigned shards;
    bool unportable, flushes;
};

static bool enough_written(void *arg)
{
    const uint64_t *wanted = arg;
    return workload_progress(load) >= *wanted || !process_running(&run.program.process);
}

static void write_until(uint64_t commands)
{
    uint64_t wanted = workload_progress(load) + commands;
    assert_true(wait_until(enough_written, &wanted, RUN_DEADLINE_MS));
}

static void target_ends_as_the_source(void **state)
{
    const struct shape *shape = *state;
    if (!run_begin_live(&run, shape->shards, NULL))
        skip();
    struct workload_options o;
    workload_options_init(&o, run.dragonfly.port);
    o.seed = shape->shards;
    o.databases = 16;
    o.short_ttls = true;
    o.unportable = shape->unportable;
    o.commands = BEFORE;
    load = workload_start(&o);
    workload_finish(load);
    o.seed += 100;
    o.commands = 0;
    o.flushes = shape->flushes;
    o.rate = 4000;
    load = workload_start(&o);
    run_replicate(&run, NULL);
    bool in_step = df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS);
    assert_true(in_step);
    write_until(AFTER_SYNC);
    uint64_t written = workload_stop(load);
    load = NULL;
    assert_true(written > AFTER_SYNC / 2);
    assert_true(run_wait_applied(&run));
    struct state_rules rules = {.read = {.stream_details = true, .field_ttls = true},
                                .field_ttl_tolerance_ms = 3000};
    uint64_t keys = 0;
    assert_true(run_equals_dragonfly(&run, &rules, &keys));
    assert_true(keys > 500 || shape->flushes);
    int status = run_terminate(&run);
    if (status != EX_OK && !shape->unportable)
        df2redis_print(&run.program);
    assert_int_equal(status, shape->unportable ? EX_DATAERR : EX_OK);
}

static void migrate_copies_what_was_there(void **state)
{
    (void)state;
    if (!run_begin_live(&run, 2, NULL))
        skip();
    struct workload_options o;
    workload_options_init(&o, run.dragonfly.port);
    o.commands = BEFORE;
    load = workload_start(&o);
    workload_finish(load);
    load = NULL;
    int status = run_migrate(&run, NULL);
    if (status != EX_OK)
        df2redis_print(&run.program);
    assert_int_equal(status, EX_OK);
    struct state_rules rules = {.read = {.stream_details = true}};
    assert_true(run_equals_dragonfly(&run, &rules, NULL));
}

#define LIVE(test_name, ...)                                                                                 \
    {                                                                                                        \
        .name = test_name, .test_func = target_ends_as_the_source, .teardown_func = teardown,                \
        .initial_state = &(struct shape){__VA_ARGS__},                                                       \
    }

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        LIVE("target_ends_as_a_source_of_1_shard", .shards = 1),
        LIVE("target_ends_as_a_source_of_2_shards", .shards = 2),
        LIVE("target_ends_as_a_source_of_4_shards", .shards = 4),
        LIVE("target_ends_as_a_source_of_8_shards", .shards = 8),
        LIVE("target_ends_as_a_source_with_types_that_it_lacks", .shards = 2, .unportable = true),
        LIVE("target_ends_as_a_source_that_is_flushed", .shards = 3, .flushes = true),
        cmocka_unit_test_teardown(migrate_copies_what_was_there, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
