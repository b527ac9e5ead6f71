/* When the bytes of a FLOW came: exact for the last seconds, coarser for what is older, kept for a successor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "tests/support/spool_fixture.h"
#include "worker/spool/spool_internal.h"

static void each_byte_has_the_time_of_the_read_it_came_with(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    struct spool_header *h = f->spool->ring.header;
    arrivals_note(h, 0, 1000);
    arrivals_note(h, 100, 1005); /* too close to be told apart */
    arrivals_note(h, 200, 1010);
    arrivals_note(h, 300, 5000);
    assert_int_equal(spool_arrived_ms(f->spool, 0), 1000);
    assert_int_equal(spool_arrived_ms(f->spool, 199), 1000);
    assert_int_equal(spool_arrived_ms(f->spool, 200), 1010);
    assert_int_equal(spool_arrived_ms(f->spool, 299), 1010);
    assert_int_equal(spool_arrived_ms(f->spool, 1000000), 5000);
    assert_int_equal(spool_arrived_ms(f->spool, 150), 1000);
}

/* Three hours of a target that is away, in which something came every 10 ms. */
static void what_is_old_is_off_by_a_small_part_of_its_age(void **state)
{
    enum { READS = 3 * 3600 * 100, STEP_MS = 10, BYTES = 7 };
    struct fixture *f = *state;
    reopen(f, false);
    struct spool_header *h = f->spool->ring.header;
    for (uint64_t i = 0; i < READS; i++)
        arrivals_note(h, i * BYTES, (int64_t)i * STEP_MS);
    for (uint64_t i = 0; i < READS; i += 997) {
        int64_t came = (int64_t)i * STEP_MS, told = spool_arrived_ms(f->spool, i * BYTES);
        int64_t age = (int64_t)READS * STEP_MS - came;
        assert_true(told <= came);
        assert_true(came - told <= STEP_MS + age / 100);
    }
}

static void a_successor_knows_what_its_predecessor_knew(void **state)
{
    struct fixture *f = *state;
    reopen(f, false);
    int64_t before = clock_unix_ms();
    put(f, 3 * MIB); /* into the ring and the overflow */
    reopen(f, true);
    int64_t now = clock_unix_ms();
    for (uint64_t at = 0; at < 3 * MIB; at += KIB)
        assert_in_range(spool_arrived_ms(f->spool, at), before, now);
    struct spool_header *h = f->spool->ring.header;
    uint64_t n = statefile_load(&h->arrival_count);
    statefile_store(&h->arrivals[n].offset, 0); /* as a death while they were thinned out leaves it */
    statefile_store(&h->arrivals[n].at_ms, 1);
    statefile_store(&h->arrival_count, n + 1);
    reopen(f, true);
    assert_in_range(spool_arrived_ms(f->spool, 3 * MIB), before, now);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_byte_has_the_time_of_the_read_it_came_with),
        TEST(what_is_old_is_off_by_a_small_part_of_its_age),
        TEST(a_successor_knows_what_its_predecessor_knew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
