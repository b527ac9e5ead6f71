/* What the target answers, or the source does not journal, makes a key suspect: where a command finds nothing to do
 * that was journaled because there was something, and where more may have been popped than the journal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/heal_case.h"
#include "tests/support/kills.h"

static struct kills kills;

/* The target has lost it to somebody else: the time to live has nothing to be given to. */
static void a_key_that_is_not_there_is_healed(void **state)
{
    (void)state;
    char words[64];
    begin();
    source("HSET k f v g w");
    wait_settled();
    target("DEL k");
    snprintf(words, sizeof words, "PEXPIREAT k %lld", (long long)clock_unix_ms() + 3600 * 1000);
    source(words);
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1);
    assert_true(log_says("healed not_there PEXPIREAT"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

struct lost_part {
    const char *before, *lost, *then; /* on both sides, on the target alone, on the source */
};

/* The journal has them only because there was something to do: where the target answers that there was not,
 * it lacks something. */
static void what_finds_nothing_to_do_on_the_target_is_healed(void **state)
{
    (void)state;
    static const struct lost_part parts[] = {
        {"SET k v PX 3600000", "DEL k", "PERSIST k"},
        {"RPUSH k a b c", "DEL k", "LPOP k"},
        {"RPUSH k a b c", "DEL k", "RPOP k 2"},
        {"RPUSH k a b c", "DEL k", "LINSERT k BEFORE b x"},
        {"SET k v", "SET to other", "RENAMENX k to"},
        {"XGROUP CREATE k g 0 MKSTREAM", "XGROUP DESTROY k g", "XGROUP DESTROY k g"},
    };
    begin();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        source("DEL k to");
        source(parts[i].before);
        wait_settled();
        double before = suspects(&run, "equal") + suspects(&run, "healed");
        target(parts[i].lost);
        source(parts[i].then);
        wait_settled();
        assert_equal_to_source();
        if (suspects(&run, "equal") + suspects(&run, "healed") <= before)
            fail_msg("%s makes no suspect", parts[i].then);
    }
    assert_true(suspects(&run, "equal") == 1); /* the group was to go anyhow */
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The same of what is journaled wherever the key exists: it tells nothing. */
static void what_finds_nothing_to_do_anywhere_is_not_compared(void **state)
{
    (void)state;
    static const char *const words[] = {"HDEL h x",
                                        "SREM s x",
                                        "ZREM z x",
                                        "LREM l 0 x",
                                        "LPOP l 0",
                                        "LINSERT l BEFORE x y",
                                        "XDEL st 1-1",
                                        "XACK st g 5-1",
                                        "XCLAIM st g c 0 5-1",
                                        "XCLAIM st g c 9 5-1",
                                        "XAUTOCLAIM st g c 0 0"};
    begin();
    source("HSET h f v");
    source("SADD s m");
    source("ZADD z 1 m");
    source("RPUSH l a");
    source("XADD st 5-1 f v");
    source("XGROUP CREATE st g 0");
    source("XGROUP CREATECONSUMER st g c"); /* Dragonfly creates it in XCLAIM */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        source(words[i]);
    wait_settled();
    assert_true(suspects(&run, "equal") == 0 && suspects(&run, "healed") == 0);
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Journaled because it was read, and so it is there. */
static void a_read_entry_that_is_not_there_is_healed(void **state)
{
    (void)state;
    begin();
    source("XADD k 1-1 f v");
    source("XADD k 2-1 f v");
    source("XGROUP CREATE k g 0");
    wait_settled();
    target("XDEL k 1-1");
    source("XCLAIM k g c 0 1-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1");
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1);
    assert_true(log_says("healed not_there XCLAIM"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* XREADGROUP is not in the journal of these releases; what follows it is. */
static void what_an_old_source_does_not_tell_of_groups_is_healed(void **state)
{
    (void)state;
    static const char *const words[] = {"XACK k g 1-1", "XCLAIM k g other 0 1-1",
                                        "XCLAIM k g other 1 1-1 IDLE 7", "XAUTOCLAIM k g other 0 0"};
    source_release = "1.30.3";
    begin();
    assert_true(df2redis_said(&run.program, "does not journal XREADGROUP"));
    unsigned n = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        source("DEL k");
        source("XADD k 1-1 f v");
        source("XGROUP CREATE k g 0");
        wait_settled();
        source_secretly("XREADGROUP GROUP g c COUNT 1 STREAMS k >");
        poll(NULL, 0, 5); /* to be idle for more than a millisecond */
        source(words[i]);
        wait_settled();
        assert_equal_to_source();
        if (suspects(&run, "healed") != ++n)
            fail_msg("%s", words[i]);
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool so_many_healed(void *arg)
{
    return suspects(&run, "healed") == *(const unsigned *)arg;
}

static bool target_has_field_ttl(void)
{
    redisContext *c = server_connect(run.target.port);
    redisReply *r = server_command(c, "HPEXPIRE none 1000 FIELDS 1 f");
    bool has = r->type == REDIS_REPLY_ARRAY;
    freeReplyObject(r);
    redisFree(c);
    return has;
}

/* In a MULTI of the target, too: behind the INCR. (The data behind the scripted source lies in a Redis, whose
 * layout of hashes with times to live no Dragonfly has: so it does not carry out the HEXPIRE.) */
static void a_field_that_is_not_there_is_healed(void **state)
{
    (void)state;
    struct buf journal = {0};
    begin();
    if (!target_has_field_ttl()) {
        run_terminate(&run);
        skip();
    }
    for (unsigned n = 1; n <= 2; n++) {
        source("DEL k");
        source("HSET k f v g w");
        wait_settled();
        target("HDEL k f");
        if (n == 2)
            write_journal(&journal, 0, 0, "INCR once");
        write_journal(&journal, 0, 0, "HEXPIRE k 3600 FIELDS 2 f g");
        if (n == 2)
            source_secretly("INCR once");
        scripted_append(run.source, 0, buf_slice(&journal));
        buf_clear(&journal);
        assert_true(wait_until(so_many_healed, &n, RUN_DEADLINE_MS));
        wait_settled();
        assert_equal_to_source();
    }
    buf_free(&journal);
    assert_true(log_says("healed not_there HPEXPIREAT"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- pops ---- */

static void pop_three(void)
{
    struct buf journal = {0};
    source("RPUSH l a b c d");
    source_secretly("LMPOP 1 l LEFT COUNT 3");
    write_journal(&journal, 0, 77, "LPOP l");
    scripted_append(run.source, 0, buf_slice(&journal));
    buf_free(&journal);
    wait_settled();
}

static bool list_has_three(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(run.target.port);
    bool has = server_integer(c, "LLEN l") == 3;
    redisFree(c);
    return has;
}

/* LMPOP with COUNT is journaled as the pop of one. */
static void pops_are_compared_where_several_may_have_been_popped(void **state)
{
    (void)state;
    source_info = "cmdstat_lmpop:calls=3,usec=1,usec_per_call=1\r\n";
    begin();
    pop_three();
    unsigned one = 1;
    assert_true(wait_until(so_many_healed, &one, RUN_DEADLINE_MS));
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* … also when the worker dies before it could ask. */
static void pops_are_compared_after_a_death_too(void **state)
{
    (void)state;
    struct buf journal = {0};
    unsigned one = 1;
    source_info = "cmdstat_lmpop:calls=3,usec=1,usec_per_call=1\r\n";
    begin();
    scripted_listen(run.source, false); /* to nobody new: nothing can be asked */
    source("RPUSH l a b c d");
    source_secretly("LMPOP 1 l LEFT COUNT 3");
    write_journal(&journal, 0, 77, "LPOP l");
    scripted_append(run.source, 0, buf_slice(&journal));
    buf_free(&journal);
    assert_true(wait_until(list_has_three, NULL, RUN_DEADLINE_MS));
    /* Its successor begins behind the pop. */
    uint64_t begun = clock_monotonic_ms();
    while (clock_monotonic_ms() - begun < 2500) { /* a restart record is written once a second */
        source("SET other v");
        assert_true(run_wait_in_step(&run));
    }
    assert_true(kill_worker(&kills, &run.program, 0));
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    scripted_listen(run.source, true);
    assert_true(wait_until(so_many_healed, &one, RUN_DEADLINE_MS));
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static bool asked_twice(void *arg)
{
    (void)arg;
    return scripted_count(run.source, NULL, "INFO COMMANDSTATS") >= 3; /* one of the start */
}

/* LMPOP was not used before, and the source was asked just now. */
static void pops_right_before_the_end_are_compared(void **state)
{
    (void)state;
    begin();
    source("RPUSH other a b c d");
    source_secretly("LPOP other");
    struct buf journal = {0};
    write_journal(&journal, 0, 76, "LPOP other");
    scripted_append(run.source, 0, buf_slice(&journal));
    buf_free(&journal);
    assert_true(wait_until(asked_twice, NULL, RUN_DEADLINE_MS));
    scripted_info(run.source, "cmdstat_lmpop:calls=1,usec=1,usec_per_call=1\r\n");
    pop_three();
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_equal_to_source();
}

static void pops_are_not_compared_where_only_one_is_popped(void **state)
{
    (void)state;
    begin();
    pop_three();
    assert_true(wait_until(asked_twice, NULL, RUN_DEADLINE_MS));
    assert_true(suspects(&run, "healed") == 0 && suspects(&run, "equal") == 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_key_that_is_not_there_is_healed, teardown),
        cmocka_unit_test_teardown(what_finds_nothing_to_do_on_the_target_is_healed, teardown),
        cmocka_unit_test_teardown(what_finds_nothing_to_do_anywhere_is_not_compared, teardown),
        cmocka_unit_test_teardown(a_read_entry_that_is_not_there_is_healed, teardown),
        cmocka_unit_test_teardown(what_an_old_source_does_not_tell_of_groups_is_healed, teardown),
        cmocka_unit_test_teardown(a_field_that_is_not_there_is_healed, teardown),
        cmocka_unit_test_teardown(pops_are_compared_where_several_may_have_been_popped, teardown),
        cmocka_unit_test_teardown(pops_are_compared_after_a_death_too, teardown),
        cmocka_unit_test_teardown(pops_right_before_the_end_are_compared, teardown),
        cmocka_unit_test_teardown(pops_are_not_compared_where_only_one_is_popped, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
