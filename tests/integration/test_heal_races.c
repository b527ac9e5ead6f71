/* What is written while it is compared is never set back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/support/kills.h"
#include "tests/support/proxy.h"
#include "tests/support/verify_case.h"

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

/* ---- commands without an effect ---- */

enum { ROUNDS = 4 };

struct removal {
    const char *has;   /* what the source has */
    const char *spoil; /* on the target alone */
    const char *suspicion;
    const char *removes; /* on the source, and of no effect on the target */
};

/* A comparison that began to ask at this time has read the source, and its LSNs. */
static bool source_was_read(void *arg)
{
    char who[16];
    return scripted_sender(run.source, "DUMP k", who) &&
           scripted_count_between(run.source, who, "DFLY REPLICAOFFSET", *(const uint64_t *)arg, UINT64_MAX) >
               0;
}

/* The comparison waits for an entry that is not sent, and with it comes what removes the value that it has read. */
static void remove_while_it_is_compared(const struct removal *r)
{
    source(r->has);
    wait_settled();
    target(r->spoil);
    size_t compared = scripted_count(run.source, NULL, "DUMP k");
    scripted_refuse_offsets(run.source, "ERR not now");
    scripted_carry_out(run.source, 0, 0, r->suspicion);
    assert_true(scripted_wait(run.source, NULL, "DUMP k", compared + 1, RUN_DEADLINE_MS));
    scripted_hold(run.source, 0, scripted_sent(run.source, 0));
    source("INCR other");
    scripted_refuse_offsets(run.source, NULL);
    uint64_t now_us = clock_monotonic_us();
    assert_true(wait_until(source_was_read, &now_us, RUN_DEADLINE_MS));
    source(r->removes);
    scripted_hold(run.source, 0, NEVER);
    wait_settled();
    assert_equal_to_source();
    source("DEL k");
}

static void what_is_removed_meanwhile_does_not_come_back(const struct removal *r)
{
    begin();
    for (int i = 0; i < ROUNDS; i++)
        remove_while_it_is_compared(r);
    print_message("healed %.0f times in %d rounds\n", suspects(&run, "healed"), ROUNDS);
    assert_true(suspects(&run, "healed") >= 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void key_that_is_deleted_meanwhile_does_not_come_back(void **state)
{
    (void)state;
    static const struct removal key = {"SET k v", "DEL k", "PEXPIREAT k 33333333333333", "DEL k"};
    what_is_removed_meanwhile_does_not_come_back(&key);
}

static void element_that_is_removed_meanwhile_does_not_come_back(void **state)
{
    (void)state;
    static const struct removal element = {"SADD k a b", "SREM k a", "HSET k f v", "SREM k a"};
    what_is_removed_meanwhile_does_not_come_back(&element);
}

/* ---- what does not stay as it was healed ---- */

static void *delete_again_and_again(void *arg)
{
    while (!atomic_load((atomic_bool *)arg)) {
        target("DEL k");
        poll(NULL, 0, 5); /* the other client's own gaps */
    }
    return NULL;
}

static bool is_unknown(void *arg)
{
    (void)arg;
    return suspects(&run, "pending") == 0 && suspects(&run, "unknown") == 1;
}

/* As does a value that the target cannot hold exactly. */
static void what_differs_again_in_the_same_way_is_not_healed_forever(void **state)
{
    (void)state;
    pthread_t other;
    atomic_bool stop = false;
    begin();
    source("SET k v");
    wait_settled();
    target("DEL k");
    assert_int_equal(pthread_create(&other, NULL, delete_again_and_again, &stop), 0);
    source("PEXPIREAT k 33333333333333");
    bool unknown = wait_until(is_unknown, NULL, RUN_DEADLINE_MS);
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    assert_true(unknown);
    assert_true(suspects(&run, "healed") == 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- a target that goes back ---- */

static bool key_is_there(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(run.target.port);
    bool there = server_integer(c, "EXISTS k") == 1;
    redisFree(c);
    return there;
}

static void kill_workers(void)
{
    struct kills killed = {0};
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(kill_worker(&killed, &run.program, f));
    wait_settled();
}

/* It comes back with a copy from before the key was rewritten, and after its last mark. */
static void lose_what_was_healed(bool kills)
{
    begin();
    source("SET k v");
    wait_settled();
    target("DEL k");
    scripted_refuse_offsets(run.source, "ERR not now");
    source("PEXPIREAT k 33333333333333"); /* finds nothing: a suspect */
    source("INCR other");                 /* has a mark with it */
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    target("SAVE");
    scripted_refuse_offsets(run.source, NULL);
    wait_settled();
    assert_true(key_is_there(NULL));
    if (kills)
        kill_workers();
    redis_restart(&run.target, NULL);
    assert_true(wait_until(key_is_there, NULL, RUN_DEADLINE_MS));
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_was_healed_and_is_lost_is_healed_again(void **state)
{
    (void)state;
    lose_what_was_healed(false);
}

static void what_was_healed_is_known_to_a_successor(void **state)
{
    (void)state;
    lose_what_was_healed(true);
}

static bool append_only_file_is_complete(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(run.target.port);
    char *enabled = server_info(c, "persistence", "aof_enabled"),
         *writes = server_info(c, "persistence", "aof_rewrite_in_progress"),
         *due = server_info(c, "persistence", "aof_rewrite_scheduled");
    bool complete = enabled && *enabled == '1' && writes && *writes == '0' && due && *due == '0';
    free(enabled);
    free(writes);
    free(due);
    redisFree(c);
    return complete;
}

static char *append_only_path(void)
{
    glob_t found;
    char *parts = format_text("%s/appendonlydir/*.incr.aof", run.target.dir),
         *one = format_text("%s/appendonly.aof", run.target.dir);
    bool in_parts = glob(parts, 0, NULL, &found) == 0; /* since Redis 7.0 */
    char *path = x_strdup(in_parts ? found.gl_pathv[found.gl_pathc - 1] : one);
    if (in_parts)
        globfree(&found);
    free(parts);
    free(one);
    return path;
}

/* As a machine that loses its power while the mark at the end of the last transaction with INCR is written. */
static void cut_last_transaction(void)
{
    static const char command[] = "INCR", mark[] = "HSET";
    char *path = append_only_path();
    struct buf text = {0};
    assert_true(file_read(path, &text));
    size_t at = text.len - strlen(command);
    while (at > 0 && memcmp(text.data + at, command, strlen(command)) != 0)
        at--;
    assert_true(at > 0);
    const uint8_t *end = memmem(text.data + at, text.len - at, mark, strlen(mark));
    assert_non_null(end);
    assert_int_equal(truncate(path, end - text.data + (off_t)strlen(mark) + 2), 0);
    buf_free(&text);
    free(path);
}

/* The target leaves the first part of the transaction in its file, and executes it at the next start. */
static void execute_twice(bool kills)
{
    static const char *const appendonly[] = {"--appendonly", "yes", NULL};
    begin();
    target("CONFIG SET appendonly yes");
    assert_true(wait_until(append_only_file_is_complete, NULL, RUN_DEADLINE_MS));
    source("INCR k");
    source("INCR k");
    wait_settled();
    process_signal(&run.target.process, SIGKILL);
    process_wait(&run.target.process, RUN_DEADLINE_MS);
    cut_last_transaction();
    for (int starts = 0; starts < 2; starts++) {
        redis_restart(&run.target, appendonly);
        source("INCR other"); /* in step once this process has it */
        wait_settled();
        assert_equal_to_source();
        if (kills && starts == 0)
            kill_workers();
    }
    print_message("%.0f healed\n", suspects(&run, "healed"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_a_cut_file_of_the_target_executes_twice_is_healed(void **state)
{
    (void)state;
    execute_twice(false);
}

static void what_may_be_executed_twice_is_known_to_a_successor(void **state)
{
    (void)state;
    execute_twice(true);
}

/* ---- another process of the target ---- */

static struct proxy *proxy;
static struct server copy;

static int teardown_with_copy(void **state)
{
    proxy_stop(proxy);
    proxy = NULL;
    server_stop(&copy);
    return teardown(state);
}

static void begin_behind_proxy(void)
{
    struct scripted_options options;
    redis_start(&data, NULL);
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_small(FLOWS, NULL));
    options.data_port = data.port;
    options.keyspace = "db0:keys=1,expires=0\r\n";
    run_begin(&run, &options);
    proxy = proxy_start(run.target.port);
    df2redis_start(&run.program, "replicate", scripted_uri(run.source), proxy_uri(proxy), NULL);
    assert_true(run_wait_in_step(&run));
}

/* It has what the target has now, and nothing of what comes after. */
static void make_copy(void)
{
    char *follow = format_text("REPLICAOF 127.0.0.1 %u", run.target.port);
    redis_start(&copy, NULL);
    target("CONFIG SET repl-diskless-sync-delay 0");
    server_tell(copy.port, follow);
    assert_true(wait_until(redis_is_in_sync, &copy, RUN_DEADLINE_MS));
    server_tell(copy.port, "REPLICAOF NO ONE");
    free(follow);
}

/* Twice since, or not at all. */
static bool was_compared_or_not(void *before)
{
    return scripted_count(run.source, NULL, "DUMP k") >= *(size_t *)before + 2 ||
           df2redis_said(&run.program, "to another process");
}

static bool was_settled_or_not(void *arg)
{
    (void)arg;
    return suspects_settled(&run) || df2redis_said(&run.program, "to another process");
}

/* A lagging replica takes the target's address over, and the FLOW's own connection lies dead meanwhile: what the
 * replica lacks it gets by the FLOW, and only by it. */
static void what_a_new_target_lacks_is_not_healed_before_it_is_applied_again(void **state)
{
    (void)state;
    enum { INCREMENTS = 5 };
    begin_behind_proxy();
    source("SET k 0");
    scripted_refuse_offsets(run.source, "ERR not now");
    scripted_carry_out(run.source, 0, 0, "HSET k f v"); /* refused: a suspect */
    source("INCR other");                               /* has a mark with it */
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    make_copy();
    for (int i = 0; i < INCREMENTS; i++)
        source("INCR k");
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    proxy_lead(proxy, copy.port);
    size_t compared = scripted_count(run.source, NULL, "DUMP k");
    assert_true(wait_until(was_compared_or_not, &compared, RUN_DEADLINE_MS));
    scripted_refuse_offsets(run.source, NULL);
    assert_true(wait_until(was_settled_or_not, NULL, RUN_DEADLINE_MS));
    proxy_cut(proxy);
    struct server old = run.target;
    run.target = copy;
    copy = old;
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Read twice, or repaired. */
static bool was_verified_or_not(void *before)
{
    return scripted_count(run.source, NULL, "DUMP k") >= *(size_t *)before + 3 || differences_say("repaired");
}

/* As above; the verification's connections lead to the replica, too. */
static void what_a_new_target_lacks_is_not_repaired_before_it_is_applied_again(void **state)
{
    (void)state;
    const char *argv[VERIFY_ARGS];
    struct process process = {0};
    begin_behind_proxy();
    source("SET k 0");
    source("INCR other"); /* has a mark with it */
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    make_copy();
    for (int i = 0; i < 5; i++)
        source("INCR k");
    assert_true(scripted_wait_acked(run.source, RUN_DEADLINE_MS));
    assert_true(run_wait_in_step(&run));
    proxy_lead(proxy, copy.port);
    size_t compared = scripted_count(run.source, NULL, "DUMP k");
    verify_words(argv, (const char *const[]){"--repair", NULL});
    char *path = format_text("%s/verify", run.program.dir);
    assert_true(process_start(&process, path, argv));
    free(path);
    assert_true(wait_until(was_verified_or_not, &compared, RUN_DEADLINE_MS));
    process_stop(&process);
    proxy_cut(proxy);
    struct server old = run.target;
    run.target = copy;
    copy = old;
    source("INCR other"); /* in step once this process has it */
    wait_settled();
    assert_equal_to_source();
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_written_meanwhile_is_never_set_back, teardown),
        cmocka_unit_test_teardown(groups_that_are_written_meanwhile_are_not_set_back, teardown),
        cmocka_unit_test_teardown(key_that_is_deleted_meanwhile_does_not_come_back, teardown),
        cmocka_unit_test_teardown(element_that_is_removed_meanwhile_does_not_come_back, teardown),
        cmocka_unit_test_teardown(what_differs_again_in_the_same_way_is_not_healed_forever, teardown),
        cmocka_unit_test_teardown(what_was_healed_and_is_lost_is_healed_again, teardown),
        cmocka_unit_test_teardown(what_was_healed_is_known_to_a_successor, teardown),
        cmocka_unit_test_teardown(what_a_cut_file_of_the_target_executes_twice_is_healed, teardown),
        cmocka_unit_test_teardown(what_may_be_executed_twice_is_known_to_a_successor, teardown),
        cmocka_unit_test_teardown(what_a_new_target_lacks_is_not_healed_before_it_is_applied_again,
                                  teardown_with_copy),
        cmocka_unit_test_teardown(what_a_new_target_lacks_is_not_repaired_before_it_is_applied_again,
                                  teardown_with_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
