/* Where Dragonfly does something else than the target would with the same command, the target does as
 * Dragonfly did. What is expected here was seen on Dragonfly v1.40.1. */
#include "common/base/clock.h"
#include "tests/support/journal_case.h"

#define LONG_33 "a-member-of-thirty-three-bytes---"

static void journal_well(struct fixture *f, const char *line)
{
    const char *error = journal(f, line);
    if (*error)
        fail_msg("%s: %s", line, error);
}

#define BITS(type, at) "EVAL return(redis.call('BITFIELD','b','GET','" type "','" at "')[1]) 0"

static void unsigned_fields_saturate_upwards_below_zero(void **state)
{
    struct fixture *f = need(state);
    run(f, "DEL b big");
    journal_well(f, "BITFIELD b SET u8 0 5 OVERFLOW SAT INCRBY u8 8 -1 INCRBY u8 0 -2 INCRBY i8 16 -200");
    expect_reads(f, BITS("u8", "0"), "3");
    expect_reads(f, BITS("u8", "8"), "255");
    expect_reads(f, BITS("i8", "16"), "-128");
    journal_well(f, "BITFIELD b OVERFLOW SAT INCRBY u8 #3 -1 OVERFLOW WRAP INCRBY u8 0 -4");
    expect_reads(f, BITS("u8", "24"), "255");
    expect_reads(f, BITS("u8", "0"), "255");
    journal_well(f, "BITFIELD big OVERFLOW SAT INCRBY u63 0 -9223372036854775807");
    expect_reads(f, "BITCOUNT big", "63");
}

static void large_sorted_sets_forget_comparisons(void **state)
{
    struct fixture *f = need(state);
    run(f, "DEL small long many");
    journal_well(f, "ZADD small 5 a");
    journal_well(f, "ZADD small GT 3 a 9 b");
    expect_reads(f, "ZSCORE small a", "5");
    expect_reads(f, "ZSCORE small b", "9");
    run(f, "ZADD long 5 a 7 " LONG_33);
    journal_well(f, "ZADD long GT 3 a");
    journal_well(f, "ZADD long LT INCR 10 " LONG_33);
    expect_reads(f, "ZSCORE long a", "3");
    expect_reads(f, "ZSCORE long " LONG_33, "17");
    journal_well(f, "ZADD long NX 1 a");
    journal_well(f, "ZADD long XX GT CH 1 none 2 a");
    expect_reads(f, "ZSCORE long none", "(nil)");
    expect_reads(f, "ZSCORE long a", "2");
    for (int i = 0; i < 129; i++) {
        char line[32];
        snprintf(line, sizeof line, "ZADD many 5 m%d", i);
        run(f, line);
    }
    journal_well(f, "ZADD many LT 8 m7");
    expect_reads(f, "ZSCORE many m7", "8");
}

/* The pair that ends the listpack decides for those after it. */
static void comparisons_are_forgotten_from_the_long_member_on(void **state)
{
    struct fixture *f = need(state);
    run(f, "DEL z");
    run(f, "ZADD z 5 a 5 b");
    journal_well(f, "ZADD z GT 1 a 1 " LONG_33 " 1 b");
    expect_reads(f, "ZSCORE z a", "5");
    expect_reads(f, "ZSCORE z b", "1");
}

static void newer_releases_heed_comparisons(void **state)
{
    struct fixture *f = need(state);
    run(f, "DEL z");
    run(f, "ZADD z 5 a 7 " LONG_33);
    f->translation.translator.source_release = 14100;
    journal_well(f, "ZADD z GT 3 a");
    f->translation.translator.source_release = 0;
    expect_reads(f, "ZSCORE z a", "5");
}

static void pending(struct fixture *f, const char *claim)
{
    run(f, "DEL x");
    run(f, "XGROUP CREATE x g 0 MKSTREAM");
    for (int i = 1; i <= 4; i++) {
        char line[64];
        snprintf(line, sizeof line, "XADD x %d-0 f v", i);
        run(f, line);
    }
    run(f, "XREADGROUP GROUP g reader COUNT 4 STREAMS x >");
    run(f, "XDEL x 1-0 3-0");
    journal_well(f, claim);
}

static void deleted_messages_are_pending_no_more_once_claimed(void **state)
{
    struct fixture *f = need(state);
    pending(f, "XCLAIM x g other 0 1 2-0 IDLE 3");
    expect_reads(f, "EVAL return(#redis.call('XPENDING','x','g','-','+',9)) 0", "3");
    expect_reads(f, "EVAL return(#redis.call('XPENDING','x','g','-','+',9,'other')) 0", "1");
    pending(f, "XAUTOCLAIM x g other 0 0 COUNT 3"); /* two of them are the deleted ones */
    expect_reads(f, "EVAL return(#redis.call('XPENDING','x','g','-','+',9)) 0", "2");
    expect_reads(f, "EVAL return(#redis.call('XPENDING','x','g','-','+',9,'other')) 0", "1");
    pending(f, "XAUTOCLAIM x g other 0 0 JUSTID");
    expect_reads(f, "EVAL return(redis.call('XPENDING','x','g','-','+',9,'other')[2][4]) 0", "1");
    pending(f, "XAUTOCLAIM x g other 9999999 0");
    expect_reads(f, "EVAL return(#redis.call('XPENDING','x','g','-','+',9,'other')) 0", "0");
}

/* The least idle time is that of the moment at which the entry came: 5 s ago 2-0 was idle for 1 s, 4-0 for 15. */
static void claims_take_what_was_idle_when_they_came(void **state)
{
    struct fixture *f = need(state);
    static const char *const claims[] = {"XCLAIM x g other 5000 2-0 4-0", "XAUTOCLAIM x g other 5000 0"};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        run(f, "DEL x");
        run(f, "XGROUP CREATE x g 0 MKSTREAM");
        run(f, "XADD x 2-0 f v");
        run(f, "XADD x 4-0 f v");
        run(f, "XREADGROUP GROUP g reader COUNT 2 STREAMS x >");
        run(f, "XCLAIM x g reader 0 2-0 IDLE 6000");
        run(f, "XCLAIM x g reader 0 4-0 IDLE 20000");
        f->translation.translator.arrived_ms = clock_unix_ms() - 5000;
        journal_well(f, claims[i]);
        f->translation.translator.arrived_ms = 0;
        expect_reads(f, "EVAL return(redis.call('XPENDING','x','g','-','+',9,'other')[1][1]) 0", "4-0");
        expect_reads(f, "EVAL return(redis.call('XPENDING','x','g','-','+',9,'reader')[1][1]) 0", "2-0");
    }
}

static void reading_without_force_makes_the_consumer_all_the_same(void **state)
{
    struct fixture *f = need(state);
    run(f, "DEL x");
    run(f, "XGROUP CREATE x g 0 MKSTREAM");
    journal_well(f, "XCLAIM x g c1 0 178-0 LASTID 50-0");
    expect_reads(f, "EVAL return(#redis.call('XINFO','CONSUMERS','x','g')) 0", "1");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_fields_saturate_upwards_below_zero),
        cmocka_unit_test(large_sorted_sets_forget_comparisons),
        cmocka_unit_test(comparisons_are_forgotten_from_the_long_member_on),
        cmocka_unit_test(newer_releases_heed_comparisons),
        cmocka_unit_test(claims_take_what_was_idle_when_they_came),
        cmocka_unit_test(deleted_messages_are_pending_no_more_once_claimed),
        cmocka_unit_test(reading_without_force_makes_the_consumer_all_the_same),
    };
    return cmocka_run_group_tests(tests, journal_setup, journal_teardown);
}
