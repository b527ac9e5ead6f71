/* What the scripts do, on a real redis-server. */
#include "tests/support/journal_case.h"

#include <math.h>

/* Seen on Dragonfly v1.40.1, or printed by double-conversion with its settings. */
static const struct {
    const char *from, *by, *sum;
} sums[] = {
    {NULL, "3.25", "3.25"},
    {"3.25", "1e2", "103.25"},
    {"0.1", "0.2", "0.30000000000000004"},
    {"10.5", "0.1", "10.6"},
    {"5", "-5", "0"},
    {"-0", "-0", "0"},
    {"1", "0.000001", "1.000001"},
    {NULL, "1e-6", "0.000001"},
    {NULL, "1e-7", "1e-7"},
    {NULL, "1.5e-7", "1.5e-7"},
    {NULL, "-12345678.5e-15", "-1.23456785e-8"},
    {NULL, "1e20", "100000000000000000000"},
    {NULL, "1e21", "1e+21"},
    {NULL, "-1.25e300", "-1.25e+300"},
    {NULL, "123456789012345680000", "123456789012345680000"},
    {NULL, "5.684341886080801486968994140625e-14",
     "5.684341886080802e-14"}, /* 2^-44: one up from the nearest */
    {NULL, "9007199254740993", "9007199254740992"},
    {"9007199254740992", "1", "9007199254740992"},
    {"1.7976931348623157e308", "0", "1.7976931348623157e+308"},
    {NULL, "2.2250738585072014e-308", "2.2250738585072014e-308"},
    {NULL, "2.2250738585072011e-308", "2.225073858507201e-308"},
    {NULL, "5e-324", "5e-324"},
    {NULL, "1e-323", "1e-323"},
    {NULL, "inf", "inf"},
    {NULL, "-inf", "-inf"},
    {"100", "2.5", "102.5"},
    {"3.0e3", "200", "3200"},
};

static void sums_are_printed_as_dragonfly_prints_them(void **state)
{
    struct fixture *f = need(state);
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        char line[160];
        run(f, "DEL k h");
        if (sums[i].from) {
            snprintf(line, sizeof line, "SET k %s", sums[i].from);
            run(f, line);
            snprintf(line, sizeof line, "HSET h f %s", sums[i].from);
            run(f, line);
        }
        snprintf(line, sizeof line, "INCRBYFLOAT k %s", sums[i].by);
        assert_string_equal(journal(f, line), "");
        expect_reads(f, "GET k", sums[i].sum);
        if (strstr(sums[i].by, "inf"))
            continue; /* refused by HINCRBYFLOAT at the source */
        snprintf(line, sizeof line, "HINCRBYFLOAT h f %s", sums[i].by);
        assert_string_equal(journal(f, line), "");
        expect_reads(f, "HGET h f", sums[i].sum);
    }
}

/* Shortest by trying every number of digits, and the neighbours where spacing changes. */
static void shortest(double x, char *out, size_t bytes)
{
    for (int digits = 0; digits <= 16; digits++) {
        snprintf(out, bytes, "%.*e", digits, x);
        if (strtod(out, NULL) == x)
            return;
        char *last = strchr(out, 'e') - 1; /* one up */
        if (digits == 15 && *last < '9') {
            (*last)++;
            if (strtod(out, NULL) == x)
                return;
        }
    }
}

static void sums_have_the_shortest_digits(void **state)
{
    struct fixture *f = need(state);
    uint64_t random = 42;
    for (int i = 0; i < 1500; i++) {
        char line[160], expected[48];
        double x = 0;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        if (i < 700)
            x = ldexp(1.0, i * 3 - 1074);
        else
            memcpy(&x, &random, sizeof x);
        if (!isfinite(x))
            continue;
        run(f, "DEL k");
        snprintf(line, sizeof line, "INCRBYFLOAT k %.17g", x);
        assert_string_equal(journal(f, line), "");
        redisReply *reply = local_redis_run(&f->redis, "GET k");
        assert_true(strtod(reply->str, NULL) == x);
        shortest(x, expected, sizeof expected);
        size_t wanted = 0, got = 0, zeros = 0;
        for (const char *p = expected; *p && *p != 'e'; p++)
            wanted += *p >= '0' && *p <= '9';
        for (const char *p = reply->str; *p && *p != 'e'; p++) {
            if (*p < '0' || *p > '9' || (got == 0 && *p == '0'))
                continue; /* point, sign, zeros in front */
            got++;
            zeros = *p == '0' ? zeros + 1 : 0;
        }
        if (got - zeros > wanted)
            fail_msg("%s has more digits than %s", reply->str, expected);
        freeReplyObject(reply);
    }
}

static void sums_keep_the_time_to_live(void **state)
{
    struct fixture *f = need(state);
    run(f, "SET k 1 PXAT 4000000000000");
    assert_string_equal(journal(f, "INCRBYFLOAT k 1.5"), "");
    expect_reads(f, "GET k", "2.5");
    expect_reads(f, "PEXPIRETIME k", "4000000000000");
    run(f, "HSET h f 1");
    run(f, "PEXPIREAT h 4000000000000");
    assert_string_equal(journal(f, "HINCRBYFLOAT h f 1.5"), "");
    expect_reads(f, "PEXPIRETIME h", "4000000000000");
}

static void a_sum_of_no_number_is_an_error_and_changes_nothing(void **state)
{
    struct fixture *f = need(state);
    run(f, "SET k word");
    assert_non_null(strstr(journal(f, "INCRBYFLOAT k 1.5"), "not a float"));
    expect_reads(f, "GET k", "word");
    run(f, "DEL k");
    run(f, "SADD k m");
    assert_non_null(strstr(journal(f, "INCRBYFLOAT k 1.5"), "WRONGTYPE"));
}

static void prepend_keeps_the_time_to_live_and_makes_new_keys(void **state)
{
    struct fixture *f = need(state);
    assert_string_equal(journal(f, "PREPEND p tail"), "");
    expect_reads(f, "GET p", "tail");
    expect_reads(f, "PTTL p", "-1");
    run(f, "PEXPIREAT p 4000000000000");
    assert_string_equal(journal(f, "PREPEND p head"), "");
    expect_reads(f, "GET p", "headtail");
    expect_reads(f, "PEXPIRETIME p", "4000000000000");
}

static void delex_deletes_only_when_the_condition_holds(void **state)
{
    struct fixture *f = need(state);
    run(f, "SET k v");
    assert_string_equal(journal(f, "DELEX k IFEQ w"), "");
    assert_string_equal(journal(f, "DELEX k IFNE v"), "");
    expect_reads(f, "EXISTS k", "1");
    assert_string_equal(journal(f, "DELEX k IFEQ v"), "");
    expect_reads(f, "EXISTS k", "0");
    run(f, "SET k v");
    assert_string_equal(journal(f, "DELEX k IFNE w"), "");
    expect_reads(f, "EXISTS k", "0");
    assert_string_equal(journal(f, "DELEX k IFNE w"), ""); /* no key: nothing */
}

static void conditional_hsetex_decides_as_dragonfly(void **state)
{
    struct fixture *f = need(state);
    run(f, "DEL h");
    run(f, "HSET h a 1");
    assert_string_equal(journal(f, "HSETEX h FNX 10 a 2 b 2"), "");
    expect_reads(f, "HGET h b", "(nil)");
    assert_string_equal(journal(f, "HSETEX h FXX 10 a 3 b 3"), "");
    expect_reads(f, "HGET h a", "1");
    assert_string_equal(journal(f, "HSETEX h NX 10 a 4 b 4"), "");
    expect_reads(f, "HGET h a", "1");
    expect_reads(f, "HGET h b", "4");
    assert_string_equal(journal(f, "HSETEX h FXX EX 10 FIELDS 2 a 5 b 5"), "");
    expect_reads(f, "HGET h a", "5");
    assert_string_equal(journal(f, "HSETEX h FNX 10 c 6"), "");
    expect_reads(f, "HGET h c", "6");
}

static void storing_from_a_missing_key_leaves_the_destination(void **state)
{
    struct fixture *f = need(state);
    run(f, "SET d keep");
    assert_string_equal(journal(f, "SORT missing STORE d"), "");
    assert_string_equal(journal(f, "GEORADIUS missing 15 37 200 km STORE d"), "");
    expect_reads(f, "GET d", "keep");
    run(f, "RPUSH l 3 1 2");
    assert_string_equal(journal(f, "SORT l STORE d"), "");
    expect_reads(f, "LINDEX d 0", "1");
    run(f, "GEOADD g 13 38 P");
    assert_string_equal(journal(f, "GEORADIUS g 100 37 1 km STORE d"), ""); /* nothing found */
    expect_reads(f, "EXISTS d", "0");
}

static void storing_that_failed_at_the_source_fails_without_a_word(void **state)
{
    struct fixture *f = need(state);
    run(f, "SET s v");
    assert_string_equal(journal(f, "SORT s STORE d"), "");
    run(f, "RPUSH words a b");
    assert_string_equal(journal(f, "SORT words STORE d"), "");
    run(f, "GEOADD g 13 38 P");
    assert_string_equal(journal(f, "GEORADIUSBYMEMBER g nobody 1 km STORE d"), "");
    expect_reads(f, "EXISTS d", "0");
    assert_string_not_equal(journal(f, "GEORADIUS g 13 38 1 furlong STORE d"),
                            ""); /* any other error is told */
}

static void pops_take_from_the_first_key_that_is_there(void **state)
{
    struct fixture *f = need(state);
    run(f, "DEL a b c");
    run(f, "RPUSH b 1 2 3 4");
    run(f, "RPUSH c 1");
    assert_string_equal(journal(f, "BLPOP a b c 0"), "");
    assert_string_equal(journal(f, "LMPOP 3 a b c RIGHT COUNT 2"), "");
    expect_reads(f, "LLEN b", "1");
    expect_reads(f, "LINDEX b 0", "2");
    expect_reads(f, "LLEN c", "1");
    assert_string_equal(journal(f, "BRPOP a d 0"), ""); /* none there: does not block */
}

static void lists_are_moved_on_targets_without_lmove(void **state)
{
    struct fixture *f = need(state);
    f->translation.target.xadd_minid = false;
    run(f, "DEL a b");
    run(f, "RPUSH a 1 2 3");
    assert_string_equal(journal(f, "LMOVE a b LEFT RIGHT"), "");
    assert_string_equal(journal(f, "LMOVE a b RIGHT LEFT"), "");
    assert_string_equal(journal(f, "LMOVE a a left right"), "");
    assert_string_equal(journal(f, "LMOVE none b LEFT LEFT"), "");
    f->translation.target.xadd_minid = true;
    expect_reads(f, "LINDEX a 0", "2");
    expect_reads(f, "LINDEX b 0", "3");
    expect_reads(f, "LINDEX b 1", "1");
    expect_reads(f, "LLEN b", "2");
}

/* It takes nothing that it cannot put there. */
static void a_list_that_cannot_be_moved_stays(void **state)
{
    struct fixture *f = need(state);
    f->translation.target.xadd_minid = false;
    run(f, "DEL a");
    run(f, "RPUSH a 1");
    run(f, "SET s x");
    assert_non_null(strstr(journal(f, "LMOVE a s LEFT LEFT"), "WRONGTYPE"));
    f->translation.target.xadd_minid = true;
    expect_reads(f, "LINDEX a 0", "1");
}

static void consumers_are_made_even_when_nothing_is_claimed(void **state)
{
    struct fixture *f = need(state);
    run(f, "XGROUP CREATE x g 0 MKSTREAM");
    assert_string_equal(journal(f, "XAUTOCLAIM x g auto 0 0"), "");
    assert_string_equal(journal(f, "XCLAIM x g claim 0 1-1"), "");
    assert_string_equal(journal(f, "XCLAIM x g claim 0 1-1"), ""); /* there already */
    redisReply *reply = local_redis_run(&f->redis, "XINFO CONSUMERS x g");
    assert_int_equal(reply->elements, 2);
    freeReplyObject(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_printed_as_dragonfly_prints_them),
        cmocka_unit_test(sums_have_the_shortest_digits),
        cmocka_unit_test(sums_keep_the_time_to_live),
        cmocka_unit_test(a_sum_of_no_number_is_an_error_and_changes_nothing),
        cmocka_unit_test(prepend_keeps_the_time_to_live_and_makes_new_keys),
        cmocka_unit_test(delex_deletes_only_when_the_condition_holds),
        cmocka_unit_test(conditional_hsetex_decides_as_dragonfly),
        cmocka_unit_test(storing_from_a_missing_key_leaves_the_destination),
        cmocka_unit_test(storing_that_failed_at_the_source_fails_without_a_word),
        cmocka_unit_test(pops_take_from_the_first_key_that_is_there),
        cmocka_unit_test(lists_are_moved_on_targets_without_lmove),
        cmocka_unit_test(a_list_that_cannot_be_moved_stays),
        cmocka_unit_test(consumers_are_made_even_when_nothing_is_claimed),
    };
    return cmocka_run_group_tests(tests, journal_setup, journal_teardown);
}
