/* Keys that may have come out wrong are compared with the source's, and what is not equal is written anew:
 * what was only suspected counts for nothing, and what is written meanwhile is never set back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/redis/topology.h"
#include "tests/support/kills.h"
#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/stream_writer.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum { FLOWS = 2 };

static struct run run;
static struct server data; /* what the source has */
static struct kills kills;
static struct redis_cluster cluster; /* the target of some */
static bool in_cluster;
static const char *source_info; /* more of its INFO */
static const char *source_release;
static bool migrates;
static void (*prepare)(void);                        /* what the data has before anything else */
static void (*in_snapshot)(struct stream_writer *w); /* what FLOW 0's snapshot has in its journal */

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    server_stop(&data);
    if (in_cluster)
        redis_cluster_stop(&cluster);
    in_cluster = false;
    source_info = NULL;
    source_release = NULL;
    prepare = NULL;
    in_snapshot = NULL;
    migrates = false;
    return 0;
}

/* An empty source of FLOWS shards; with_data: it lets its values be read. */
static void begin_with(bool with_data, const char *const *extra)
{
    struct scripted_options options;
    redis_start(&data, NULL);
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_small(FLOWS, in_snapshot));
    options.data_port = with_data ? data.port : 0;
    options.info = source_info;
    if (source_release)
        options.release = source_release;
    options.keyspace =
        in_cluster ? "db0:keys=1,expires=0\r\n" : "db0:keys=1,expires=0\r\ndb3:keys=1,expires=0\r\n";
    if (prepare)
        prepare();
    if (in_cluster)
        run_begin_in(&run, &cluster, &options);
    else
        run_begin(&run, &options);
    if (migrates) {
        df2redis_start(&run.program, "migrate", scripted_uri(run.source), run.target.uri, extra);
        return;
    }
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
}

static void begin(void)
{
    begin_with(true, NULL);
}

/* On the source, and journaled for FLOW 0. */
static void source(const char *words)
{
    if (!scripted_carry_out(run.source, 0, 0, words))
        fail_msg("%s", words);
}

/* On the data alone: the journal does not tell. */
static void source_secretly(const char *words)
{
    server_tell(data.port, words);
}

static void target(const char *words)
{
    server_tell(run.target.port, words);
}

static void wait_settled(void)
{
    assert_true(run_wait_in_step(&run));
    assert_true(suspects_wait_settled(&run));
}

static void assert_equal_to_source(void)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    bool equal = run_equals_server(&run, data.port, &rules, NULL);
    if (!equal)
        df2redis_print(&run.program);
    assert_true(equal);
}

static bool log_says(const char *text)
{
    char *path = format_text("%s/default/divergences.log", run.program.dir);
    bool says = file_contains(path, text);
    free(path);
    return says;
}

/* ---- what becomes of a suspect ---- */

static void what_was_refused_and_is_equal_counts_nothing(void **state)
{
    (void)state;
    begin();
    source("SET k v");
    /* Journaled, though the source has refused it, too. */
    assert_false(scripted_carry_out(run.source, 0, 0, "HSET k f v"));
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "equal") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_was_refused_and_differs_is_healed(void **state)
{
    (void)state;
    static const char *const writes[] = {"HSET k f v",       "RPUSH k a b c",  "SADD k a b",
                                         "ZADD k 1.5 a 2 b", "XADD k 5-1 f v", NULL};
    begin();
    unsigned n = 0;
    for (const char *const *write = writes; *write; write++) {
        source("DEL k");
        wait_settled();
        target(write == writes + 1 ? "HSET k f v" : "RPUSH k x");
        source(*write);
        if (write == writes + 1)
            source("PEXPIREAT k 9999999999999");
        wait_settled();
        assert_equal_to_source();
        assert_true(suspects(&run, "healed") == ++n);
    }
    assert_true(log_says("healed refused_by_target"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* SORT ... STORE across shards: its journal names the keys and nothing else. */
static void what_the_source_lost_is_healed(void **state)
{
    (void)state;
    struct buf journal = {0};
    begin();
    source("RPUSH l 3 1 2");
    source_secretly("SORT l STORE sorted");
    write_journal(&journal, 0, 77, "SORT l");
    scripted_append(run.source, 0, buf_slice(&journal));
    buf_clear(&journal);
    write_journal(&journal, 0, 77, "SORT sorted");
    scripted_append(run.source, 1, buf_slice(&journal));
    buf_free(&journal);
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1 && suspects(&run, "equal") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_the_source_has_no_more_is_removed(void **state)
{
    (void)state;
    begin();
    source("SET k v");
    wait_settled();
    source_secretly("DEL k");
    scripted_hold(run.source, 0, 10); /* or the comparison may come before the deletion */
    scripted_carry_out(run.source, 0, 0, "HSET k f v");
    source_secretly("DEL k");
    scripted_hold(run.source, 0, NEVER);
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_wrong_time_to_live_is_healed(void **state)
{
    (void)state;
    begin();
    char words[64];
    long long end_ms = (long long)clock_unix_ms() + 3600 * 1000;
    snprintf(words, sizeof words, "SET k v PXAT %lld", end_ms);
    source(words);
    wait_settled();
    snprintf(words, sizeof words, "PEXPIREAT k %lld", end_ms + 100);
    target(words);
    scripted_carry_out(run.source, 0, 0, "HSET k f v");
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void databases_are_mapped(void **state)
{
    (void)state;
    static const char *const map[] = {"--db", "3:5", NULL};
    begin_with(true, map);
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SELECT 5");
    server_ok(c, "SET k wrong");
    assert_true(scripted_carry_out(run.source, 1, 3, "HSET k f v"));
    wait_settled();
    redisReply *r = server_command(c, "HGET k f");
    assert_string_equal(r->str, "v");
    freeReplyObject(r);
    redisFree(c);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_source_that_cannot_be_read_leaves_divergences(void **state)
{
    (void)state;
    begin_with(false, NULL);
    target("RPUSH k x");
    source_secretly("SET other v");
    struct buf journal = {0};
    write_journal(&journal, 0, 0, "HSET k f v");
    scripted_append(run.source, 0, buf_slice(&journal));
    buf_free(&journal);
    wait_settled();
    assert_true(df2redis_status_number(&run.program, "divergences.refused_by_target") == 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* A key of the target may be another's: it is only told. */
static void nothing_is_healed_where_keys_may_be_others(void **state)
{
    (void)state;
    static const char *const skip[] = {"--on-conflict", "skip", NULL};
    begin_with(true, skip);
    target("RPUSH k x");
    source("HSET k f v");
    assert_true(run_wait_in_step(&run));
    assert_true(df2redis_status_number(&run.program, "divergences.refused_by_target") == 1);
    redisContext *c = server_connect(run.target.port);
    assert_int_equal(server_integer(c, "LLEN k"), 1);
    redisFree(c);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

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

static void pops_are_not_compared_where_only_one_is_popped(void **state)
{
    (void)state;
    begin();
    pop_three();
    assert_true(wait_until(asked_twice, NULL, RUN_DEADLINE_MS));
    assert_true(suspects(&run, "healed") == 0 && suspects(&run, "equal") == 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

enum { LEFT_OUT = 2500 };

static void leave_out(void)
{
    redisContext *c = server_connect(data.port);
    for (int i = 0; i < LEFT_OUT; i++)
        freeReplyObject(redisCommand(c, "SET left:%d %d", i, i));
    server_ok(c, "SELECT 3");
    server_ok(c, "SET other v");
    redisFree(c);
}

static bool all_there(void *arg)
{
    (void)arg;
    return run_target_keys(&run) == LEFT_OUT + 1 && suspects_settled(&run);
}

/* Neither snapshot nor journal had them. */
static void keys_that_a_full_sync_left_out_are_found(void **state)
{
    (void)state;
    prepare = leave_out;
    begin();
    assert_true(wait_until(all_there, NULL, RUN_DEADLINE_MS));
    assert_equal_to_source();
    assert_true(df2redis_said(&run.program, "are not on the target"));
    assert_true(suspects(&run, "healed") == LEFT_OUT + 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_migration_waits_for_keys_that_were_left_out(void **state)
{
    (void)state;
    prepare = leave_out;
    migrates = true;
    begin();
    assert_int_equal(process_wait(&run.program.process, RUN_DEADLINE_MS), EX_OK);
    assert_equal_to_source();
}

enum { LEFT_OUT_OF_CLUSTER = 300 };

static void leave_some_out(void)
{
    redisContext *c = server_connect(data.port);
    for (int i = 0; i < LEFT_OUT_OF_CLUSTER; i++)
        freeReplyObject(redisCommand(c, "SET left:%d %d", i, i));
    redisFree(c);
}

static bool so_many_left_out_healed(void *arg)
{
    (void)arg;
    return suspects(&run, "healed") == LEFT_OUT_OF_CLUSTER && suspects_settled(&run);
}

static void keys_that_a_full_sync_left_out_are_found_in_a_cluster(void **state)
{
    (void)state;
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    prepare = leave_some_out;
    begin();
    assert_true(wait_until(so_many_left_out_healed, NULL, RUN_DEADLINE_MS));
    assert_equal_to_source();
    assert_true(df2redis_said(&run.program, "300 of the source's 300 keys are not on the target"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void journaled(struct stream_writer *w, const char *words)
{
    struct slice argv[8];
    size_t argc = 0;
    for (const char *at = words; *at; argc++) {
        size_t len = strcspn(at, " ");
        argv[argc] = slice_of(at, len);
        at += len + (at[len] == ' ');
    }
    writer_command(w, 0, 0, argc, argv);
}

/* The source has deleted all of them since, before its snapshot came to them, and made the last two anew. */
static void delete_untold(struct stream_writer *w)
{
    journaled(w, "MSET multi:1 v multi:2 v multi:3 v");
    journaled(w, "SETNX single v");
    journaled(w, "GETSET exchanged v");
    journaled(w, "SET there v");
    journaled(w, "INCR counted");
    journaled(w, "MSET counter 5 list v");
    journaled(w, "INCR counter");
}

/* And of these it is known: the target refuses to push to a string. */
static void delete_and_push_untold(struct stream_writer *w)
{
    delete_untold(w);
    journaled(w, "RPUSH list x");
}

static void have_the_rest(void)
{
    redisContext *c = server_connect(data.port);
    server_ok(c, "MSET there v counted 1 counter 1");
    freeReplyObject(server_command(c, "RPUSH list x"));
    redisFree(c);
}

/* MSET, SETNX and GETSET were journaled, the deletion of their keys was not: these are compared, and no others. */
static void deletions_that_a_full_sync_left_out_are_found(void **state)
{
    (void)state;
    prepare = have_the_rest;
    in_snapshot = delete_and_push_untold;
    begin();
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 7);
    assert_true(suspects(&run, "equal") == 0);
    assert_true(log_says("healed perhaps_deleted MSET"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Of which it is not known that they are wrong: no exit code, but said and counted. */
static void what_is_only_perhaps_wrong_and_cannot_be_compared_is_told(void **state)
{
    (void)state;
    in_snapshot = delete_untold;
    begin_with(false, NULL);
    wait_settled();
    assert_true(suspects(&run, "unknown") >= 7);
    assert_true(df2redis_said(&run.program, "is perhaps not as on the source, and cannot be compared"));
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_true(df2redis_said(&run.program, "could not be compared"));
}

enum { TOO_MANY_KEYS = 40000, MORE_KEYS = 4000, SOME_KEYS = 400, AT_ONCE = 100 };

static void write_keys(struct stream_writer *w, int count)
{
    static char words[2 * AT_ONCE][16];
    static struct slice argv[1 + 2 * AT_ONCE];
    argv[0] = slice_str("MSET");
    for (int i = 0; i < count; i += AT_ONCE) {
        for (int k = 0; k < 2 * AT_ONCE; k++) {
            snprintf(words[k], sizeof words[k], "%d", i + k / 2);
            argv[1 + k] = slice_str(words[k]);
        }
        writer_command(w, 0, 0, 1 + 2 * AT_ONCE, argv);
    }
}

static void write_too_many(struct stream_writer *w)
{
    write_keys(w, TOO_MANY_KEYS);
}

static void write_more(struct stream_writer *w)
{
    write_keys(w, MORE_KEYS);
}

static void write_some(struct stream_writer *w)
{
    write_keys(w, SOME_KEYS);
}

/* However many there are: beyond 10 s and 200 a second. */
static void the_end_waits_while_suspects_are_settled(void **state)
{
    (void)state;
    in_snapshot = write_more;
    begin();
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(run_target_keys(&run), 0);
}

/* One key at a time, and as soon as the one before has an end. */
static void the_end_waits_while_suspects_of_a_cluster_are_settled(void **state)
{
    (void)state;
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    in_snapshot = write_some;
    begin();
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_false(df2redis_said(&run.program, "not compared with the source's yet"));
}

/* More than are remembered: the copy is not known to be right, and the exit code says so. */
static void too_many_perhaps_deleted_are_a_divergence(void **state)
{
    (void)state;
    in_snapshot = write_too_many;
    begin();
    assert_true(df2redis_status_number(&run.program, "divergences.perhaps_deleted") == 1);
    assert_true(df2redis_said(&run.program, "--journal_omit_redundant_writes=false and copy anew"));
}

/* On the master that has the key. */
static void in_target_cluster(const char *key, const char *words)
{
    redisContext *c =
        redis_cluster_connect(&cluster, redis_cluster_owner(&cluster, key_slot(slice_str(key))));
    server_ok(c, words);
    redisFree(c);
}

/* Each key is compared on the master that has it, also after its slot has gone to another one. */
static void keys_of_a_cluster_are_healed(void **state)
{
    (void)state;
    enum { KEYS = 20 };
    char key[16], words[64];
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    begin();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < KEYS; i++) {
            snprintf(key, sizeof key, "k%d", i);
            snprintf(words, sizeof words, "SET %s wrong", key);
            in_target_cluster(key, words);
            snprintf(words, sizeof words, "HSET %s f v%d", key, round);
            source(words);
        }
        wait_settled();
        assert_equal_to_source();
        assert_true(suspects(&run, "healed") == KEYS * (round + 1));
        uint16_t slot = key_slot(slice_str("k0"));
        size_t owner = redis_cluster_owner(&cluster, slot);
        assert_true(redis_cluster_move_slot(&cluster, slot, (owner + 1) % 3));
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Its comparison has read the target's value, and not written yet. */
static bool is_being_compared(void *owner)
{
    redisContext *c = redis_cluster_connect(&cluster, *(size_t *)owner);
    redisReply *r = server_command(c, "CLIENT LIST");
    char *at = strstr(r->str, " name=df2redis:default:heal-0 "), *end = at ? strchr(at, '\n') : NULL;
    if (end)
        *end = '\0';
    bool read = end && (strstr(at, " cmd=pexpiretime ") || strstr(at, " cmd=pttl "));
    freeReplyObject(r);
    redisFree(c);
    return read;
}

/* It waits for what the source has and the FLOW has not; then its slot is another master's. */
static void a_key_whose_slot_moves_while_it_is_compared_is_healed(void **state)
{
    (void)state;
    static const char refused[] = "HSET k f v";
    struct buf journal = {0};
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    begin();
    uint16_t slot = key_slot(slice_str("k"));
    size_t owner = redis_cluster_owner(&cluster, slot);
    in_target_cluster("k", "SET k wrong");
    uint64_t sent = scripted_sent(run.source, 0);
    scripted_hold(run.source, 0, sent);
    source(refused);
    source("SET later 1");
    write_journal(&journal, 0, 0, refused);
    scripted_hold(run.source, 0, sent + journal.len);
    buf_free(&journal);
    assert_true(wait_until(is_being_compared, &owner, RUN_DEADLINE_MS));
    assert_true(redis_cluster_move_slot(&cluster, slot, (owner + 1) % 3));
    scripted_hold(run.source, 0, NEVER);
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- what is too large for one answer ---- */

/* A value of about 40 MB, by a script, of elements that begin with `with`; on both sides or on one. */
static void write_large(uint16_t port, const char *type, const char *with)
{
    static const char script[] =
        "local b,t=string.rep(ARGV[2],4096),ARGV[1] for i=1,10000 do local e=i..b\n"
        "if t=='list' then redis.call('RPUSH',KEYS[1],e) elseif t=='set' then redis.call('SADD',KEYS[1],e)\n"
        "elseif t=='hash' then redis.call('HSET',KEYS[1],i,b) elseif t=='zset' then "
        "redis.call('ZADD',KEYS[1],i/7,e)\n"
        "else redis.call('APPEND',KEYS[1],e) end end";
    redisContext *c = server_connect(port);
    struct timeval patience = {60, 0};
    redisSetTimeout(c, patience);
    redisReply *r = redisCommand(c, "EVAL %s 1 large %s %s", script, type, with);
    assert_non_null(r);
    assert_int_not_equal(r->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
    redisFree(c);
}

static const char *const large_types[] = {"string", "list", "set", "hash", "zset", NULL};

/* Refused, since the target has another type there for a moment. */
static void make_suspect(void)
{
    scripted_carry_out(run.source, 0, 0, "XADD large 5-1 f v");
}

static void a_large_value_is_compared_in_pieces(void **state)
{
    (void)state;
    begin();
    for (const char *const *type = large_types; *type; type++) {
        double equal = suspects(&run, "equal");
        write_large(data.port, *type, "a");
        write_large(run.target.port, *type, "a");
        make_suspect();
        wait_settled();
        if (suspects(&run, "equal") != equal + 1)
            fail_msg("%s", *type);
        source_secretly("DEL large");
        target("DEL large");
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_large_value_that_differs_is_written_anew(void **state)
{
    (void)state;
    begin();
    for (const char *const *type = large_types; *type; type++) {
        double healed = suspects(&run, "healed");
        write_large(data.port, *type, "a");
        write_large(run.target.port, *type, type - large_types == 1 ? "b" : "a");
        if (strcmp(*type, "string") == 0)
            target("SETRANGE large 30000000 x");
        else if (strcmp(*type, "list") == 0)
            source_secretly("PEXPIREAT large 9999999999999");
        else if (strcmp(*type, "set") == 0)
            target("SADD large x");
        else if (strcmp(*type, "hash") == 0)
            target("HSET large 7 x");
        else
            target("PEXPIREAT large 9999999999999");
        make_suspect();
        wait_settled();
        if (suspects(&run, "healed") != healed + 1) {
            df2redis_print(&run.program);
            fail_msg("%s", *type);
        }
        assert_equal_to_source();
        source_secretly("DEL large");
        target("DEL large");
        assert_int_equal(run_target_keys(&run), 0);
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Streams have more than entries: these are only told. */
static void a_large_stream_is_not_compared(void **state)
{
    (void)state;
    static const char script[] =
        "local b=string.rep('x',4096) for i=1,10000 do redis.call('XADD',KEYS[1],'*','f',i..b) end";
    begin();
    redisContext *c = server_connect(data.port);
    freeReplyObject(redisCommand(c, "EVAL %s 1 large", script));
    redisFree(c);
    target("SET large v");
    scripted_carry_out(run.source, 0, 0, "HSET large f v");
    wait_settled();
    assert_true(df2redis_status_number(&run.program, "divergences.too_large_to_compare") == 1);
    assert_true(df2redis_said(&run.program, "it is a stream and takes"));
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* ---- deaths ---- */

static void suspects_outlive_the_run(void **state)
{
    (void)state;
    begin();
    target("RPUSH k x");
    /* The source does not answer to anybody new, and so nothing is compared. */
    scripted_listen(run.source, false);
    source("HSET k f v");
    assert_true(run_wait_in_step(&run));
    assert_true(suspects(&run, "pending") == 1);
    for (int i = 0; i < 2; i++)
        assert_true(kill_worker(&kills, &run.program, 0));
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_true(suspects(&run, "pending") == 1);
    process_signal(&run.program.process, SIGKILL);
    process_wait(&run.program.process, RUN_DEADLINE_MS);
    scripted_listen(run.source, true);
    run_replicate(&run, NULL);
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The target carries out a MULTI while nobody is left to hear that it refused a part of it. */
static void what_was_refused_unheard_is_healed(void **state)
{
    (void)state;
    begin();
    source("SET once 0");
    wait_settled();
    target("RPUSH k x");
    process_signal(&run.target.process, SIGSTOP);
    source("INCR once");
    source("HSET k f v");
    uint64_t begun = clock_monotonic_ms();
    while (!port_unread_bytes(run.target.port) && clock_monotonic_ms() - begun < RUN_DEADLINE_MS)
        poll(NULL, 0, 5);
    assert_true(kill_worker(&kills, &run.program, 0));
    process_signal(&run.target.process, SIGCONT);
    wait_settled();
    assert_equal_to_source();
    assert_true(df2redis_said(&run.program, "its answers were lost"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The same command twice in a row, and the promoted replica has journaled one of both: what is compared is the same. */
static void what_a_promoted_source_did_not_journal_is_healed(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 4; i++)
        source("INCR k");
    assert_true(scripted_carry_out(run.source, 1, 0, "INCR of_the_other_flow"));
    wait_settled();
    source_secretly("INCR k");
    scripted_promote(run.source, "dddddddddddddddddddddddddddddddddddddddd", 2);
    scripted_cut_all(run.source);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE", 2));
    source("INCR other");
    wait_settled();
    assert_equal_to_source();
    assert_true(log_says("healed source_failed_over INCR"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- races ---- */

enum { WRITES = 100000 };

/* As fast as it can, with gaps in which a comparison may begin, or end. */
static void *write_fast(void *arg)
{
    uint32_t writes = *(const uint32_t *)arg;
    struct random random = {4711};
    for (uint32_t i = 0; i < writes; i++) {
        scripted_carry_out(run.source, 0, 0, "INCR k");
        if (random_below(&random, 400) == 0)
            poll(NULL, 0, (int)random_below(&random, 300)); /* the load's own gaps */
    }
    return NULL;
}

/* It is a suspect all the time, since another command on it is refused again and again. */
static void what_is_written_meanwhile_is_never_set_back(void **state)
{
    (void)state;
    pthread_t writer;
    const char *wanted = getenv("DF2REDIS_TEST_WRITES");
    uint32_t writes = wanted ? (uint32_t)strtoul(wanted, NULL, 10) : WRITES / 10;
    begin();
    source("SET k 0");
    wait_settled();
    target("DECR k"); /* wrong from the begin */
    redisContext *c = server_connect(run.target.port);
    assert_int_equal(pthread_create(&writer, NULL, write_fast, &writes), 0);
    long long before = -1;
    for (long long now = 0; now < (long long)writes / 2;) {
        scripted_carry_out(run.source, 0, 0, "HSET k f v");
        now = server_integer(c, "INCRBY k 0");
        assert_true(now >= before);
        before = now;
    }
    pthread_join(writer, NULL);
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(server_integer(c, "INCRBY k 0"), writes);
    redisFree(c);
    print_message("%.0f comparisons came out equal, %.0f healed\n", suspects(&run, "equal"),
                  suspects(&run, "healed"));
    assert_true(suspects(&run, "healed") >= 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

enum { SPOILED = 20 };

struct group_writer {
    atomic_uint stream;
    atomic_bool stop;
};

/* Of one stream, with gaps in which a comparison comes to an end: the longer, the more it has been kept from that. */
static void *create_groups(void *arg)
{
    struct group_writer *w = arg;
    struct random random = {4711};
    unsigned stream = 0, written = 0;
    for (unsigned i = 0; !atomic_load(&w->stop); i++) {
        unsigned now = atomic_load(&w->stream);
        written = now == stream ? written + 1 : 0;
        stream = now;
        char *words = format_text("XGROUP CREATE x%u g%u 0", stream, i);
        scripted_carry_out(run.source, 0, 0, words);
        free(words);
        if (random_below(&random, 20) == 0)
            poll(NULL, 0, (int)random_below(&random, 20 + 5 * written)); /* the load's own gaps */
    }
    return NULL;
}

static bool is_healed(void *stream)
{
    redisContext *c = server_connect(run.target.port);
    char *words = format_text("XGROUP DELCONSUMER x%u stray nobody", *(unsigned *)stream);
    redisReply *r = server_command(c, words);
    bool healed = r->type == REDIS_REPLY_ERROR;
    freeReplyObject(r);
    free(words);
    redisFree(c);
    return healed;
}

/* Commands on the groups of a stream do not touch its key for WATCH. Each stream is healed once: what that takes
 * away, nothing brings back. */
static void groups_that_are_written_meanwhile_are_not_set_back(void **state)
{
    (void)state;
    pthread_t writer;
    struct group_writer w = {0};
    char words[48];
    begin();
    for (unsigned i = 0; i < SPOILED; i++) {
        snprintf(words, sizeof words, "XADD x%u 1-1 f v", i);
        source(words);
    }
    wait_settled();
    assert_int_equal(pthread_create(&writer, NULL, create_groups, &w), 0);
    bool healed = true;
    for (unsigned i = 0; healed && i < SPOILED; i++) {
        atomic_store(&w.stream, i);
        snprintf(words, sizeof words, "XGROUP CREATE x%u stray 0", i);
        target(words);
        snprintf(words, sizeof words, "HSET x%u f v", i); /* refused: a suspect */
        scripted_carry_out(run.source, 0, 0, words);
        healed = wait_until(is_healed, &i, RUN_DEADLINE_MS);
    }
    atomic_store(&w.stop, true);
    pthread_join(writer, NULL);
    assert_true(healed);
    wait_settled();
    assert_equal_to_source();
    assert_true(suspects(&run, "healed") == SPOILED);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Those of the end are compared before it. */
static void the_end_waits_for_suspects(void **state)
{
    (void)state;
    begin();
    target("RPUSH k x");
    source("HSET k f v");
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_equal_to_source();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_was_refused_and_is_equal_counts_nothing, teardown),
        cmocka_unit_test_teardown(what_was_refused_and_differs_is_healed, teardown),
        cmocka_unit_test_teardown(what_the_source_lost_is_healed, teardown),
        cmocka_unit_test_teardown(what_the_source_has_no_more_is_removed, teardown),
        cmocka_unit_test_teardown(a_wrong_time_to_live_is_healed, teardown),
        cmocka_unit_test_teardown(databases_are_mapped, teardown),
        cmocka_unit_test_teardown(a_source_that_cannot_be_read_leaves_divergences, teardown),
        cmocka_unit_test_teardown(nothing_is_healed_where_keys_may_be_others, teardown),
        cmocka_unit_test_teardown(a_key_that_is_not_there_is_healed, teardown),
        cmocka_unit_test_teardown(what_finds_nothing_to_do_on_the_target_is_healed, teardown),
        cmocka_unit_test_teardown(what_finds_nothing_to_do_anywhere_is_not_compared, teardown),
        cmocka_unit_test_teardown(a_read_entry_that_is_not_there_is_healed, teardown),
        cmocka_unit_test_teardown(what_an_old_source_does_not_tell_of_groups_is_healed, teardown),
        cmocka_unit_test_teardown(a_field_that_is_not_there_is_healed, teardown),
        cmocka_unit_test_teardown(pops_are_compared_where_several_may_have_been_popped, teardown),
        cmocka_unit_test_teardown(pops_are_compared_after_a_death_too, teardown),
        cmocka_unit_test_teardown(pops_are_not_compared_where_only_one_is_popped, teardown),
        cmocka_unit_test_teardown(keys_that_a_full_sync_left_out_are_found, teardown),
        cmocka_unit_test_teardown(a_migration_waits_for_keys_that_were_left_out, teardown),
        cmocka_unit_test_teardown(keys_that_a_full_sync_left_out_are_found_in_a_cluster, teardown),
        cmocka_unit_test_teardown(deletions_that_a_full_sync_left_out_are_found, teardown),
        cmocka_unit_test_teardown(what_is_only_perhaps_wrong_and_cannot_be_compared_is_told, teardown),
        cmocka_unit_test_teardown(too_many_perhaps_deleted_are_a_divergence, teardown),
        cmocka_unit_test_teardown(the_end_waits_while_suspects_are_settled, teardown),
        cmocka_unit_test_teardown(the_end_waits_while_suspects_of_a_cluster_are_settled, teardown),
        cmocka_unit_test_teardown(keys_of_a_cluster_are_healed, teardown),
        cmocka_unit_test_teardown(a_key_whose_slot_moves_while_it_is_compared_is_healed, teardown),
        cmocka_unit_test_teardown(a_large_value_is_compared_in_pieces, teardown),
        cmocka_unit_test_teardown(a_large_value_that_differs_is_written_anew, teardown),
        cmocka_unit_test_teardown(a_large_stream_is_not_compared, teardown),
        cmocka_unit_test_teardown(suspects_outlive_the_run, teardown),
        cmocka_unit_test_teardown(what_was_refused_unheard_is_healed, teardown),
        cmocka_unit_test_teardown(what_is_written_meanwhile_is_never_set_back, teardown),
        cmocka_unit_test_teardown(what_a_promoted_source_did_not_journal_is_healed, teardown),
        cmocka_unit_test_teardown(groups_that_are_written_meanwhile_are_not_set_back, teardown),
        cmocka_unit_test_teardown(the_end_waits_for_suspects, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
