/* A cluster, and a run into it that has to come out equal whatever happens to both: what the tests of it have
 * in common. After cmocka.h. */
#ifndef DF2REDIS_TESTS_CLUSTER_CRASH_H
#define DF2REDIS_TESTS_CLUSTER_CRASH_H

#include <poll.h>
#include <sysexits.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = CRASH_CLUSTER_FLOWS };

static struct redis_cluster cluster;
static struct crash crash;
static struct redis_cluster_mover *mover; /* NULL: none */

static inline int teardown(void **state)
{
    (void)state;
    crash_end_in(&crash, &cluster, &mover);
    return 0;
}

/* Equal key by key, nothing counted. */
static inline void assert_equal(void)
{
    run_follow(&crash.run, &cluster);
    assert_true(crash_came_out_equal(&crash));
}

static inline void assert_ends_well(void)
{
    int code = crash_terminate(&crash);
    if (code != EX_OK)
        df2redis_print(&crash.run.program);
    assert_int_equal(code, EX_OK);
}

static inline void assert_equal_after(size_t full_syncs)
{
    assert_equal();
    if (crash_full_syncs(&crash) != full_syncs) {
        crash_last_sync(&crash, "?", "what was expected"); /* tells what it was */
        df2redis_print(&crash.run.program);
    }
    assert_int_equal(crash_full_syncs(&crash), full_syncs);
    assert_ends_well();
}

/* ---- a load ---- */

static inline void begin_in_step(unsigned masters, unsigned replicas)
{
    assert_true(crash_begin_in_step(&crash, &cluster, masters, replicas));
}

/* So many commands, and a moment in which they are applied. */
static inline void load_some(unsigned commands)
{
    journal_script_append(&crash.script, crash.run.source, commands);
    poll(NULL, 0, 15);
}

#endif
