/* --on-full-resync prune: a further full sync writes over the copy, and what the source lacks is removed after it. The
 * target is never emptied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/heal_case.h"
#include "tests/support/kills.h"

enum { GONE = 3000 };

static const char *const prune[] = {"--on-full-resync", "prune", "--exclude", "out*", NULL};
static const char *const keep[] = {"--on-full-resync", "keep", "--exclude", "out*", NULL};
static const char *const over[] = {"--on-full-resync", "prune",     "--exclude", "out*",
                                   "--on-conflict",    "overwrite", NULL};

/* ---- a client that reads from the target ---- */

static struct {
    pthread_t thread;
    bool runs;
    uint16_t port;
    atomic_bool stop;
    atomic_ulong reads, misses;
} reader;

static void *read_on(void *arg)
{
    redisContext *c = server_connect(reader.port);
    (void)arg;
    while (!atomic_load(&reader.stop)) {
        if (server_integer(c, "EXISTS both") != 1)
            atomic_fetch_add(&reader.misses, 1);
        atomic_fetch_add(&reader.reads, 1);
    }
    redisFree(c);
    return NULL;
}

static void reader_start(void)
{
    reader.port = run.target.port;
    atomic_store(&reader.stop, false);
    atomic_store(&reader.reads, 0);
    atomic_store(&reader.misses, 0);
    reader.runs = pthread_create(&reader.thread, NULL, read_on, NULL) == 0;
    assert_true(reader.runs);
}

static void reader_end(void)
{
    atomic_store(&reader.stop, true);
    if (reader.runs)
        pthread_join(reader.thread, NULL);
    reader.runs = false;
}

static bool goes_on; /* the source has the journal of its second session */

static int end(void **state)
{
    goes_on = false;
    reader_end();
    return teardown(state);
}

/* ---- the source, before and after ---- */

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

static void first_session(struct stream_writer *w)
{
    char words[64];
    journaled(w, "SET both v");
    journaled(w, "SADD merged old");
    for (int i = 0; i < GONE; i++) {
        snprintf(words, sizeof words, "SET gone:%d v", i);
        journaled(w, words);
    }
}

/* The journal of a key that was deleted before the snapshot, and made anew after it. */
static void second_session(struct stream_writer *w)
{
    journaled(w, "SET both v");
    journaled(w, "SADD merged new");
}

static void change_data(bool second)
{
    server_tell(data.port, "FLUSHALL");
    server_tell(data.port, "SET both v");
    server_tell(data.port, second ? "SADD merged new" : "SADD merged old");
    redisContext *c = server_connect(data.port);
    for (int i = 0; i < GONE && !second; i++)
        freeReplyObject(server_commandf(c, "SET gone:%d v", i));
    redisFree(c);
}

static void target_in(struct redis_cluster *c, const char *key, const char *words)
{
    if (!in_cluster) {
        target(words);
        return;
    }
    redisContext *context = redis_cluster_connect(c, redis_cluster_owner(c, key_slot(slice_str(key))));
    server_ok(context, words);
    redisFree(context);
}

/* The first full sync is over, the run was killed, and only another full sync helps. */
static void lose_spool(void)
{
    process_stop(&run.program.process);
    char *path = format_text("%s/default/flow-1.ring", run.program.dir);
    FILE *f = fopen(path, "r+e");
    assert_non_null(f);
    assert_true(fputs("another", f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void begin_and_lose_spool(const char *const *extra)
{
    struct scripted_options options;
    redis_start(&data, NULL);
    change_data(false);
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_small(FLOWS, first_session));
    scripted_options_add(&options, scripted_session_small(FLOWS, second_session));
    for (size_t f = 0; f < FLOWS; f++)
        options.sessions[1].flows[f].reply = REPLY_FULL;
    if (goes_on)
        scripted_options_add(&options, scripted_session_small(FLOWS, second_session));
    options.data_port = data.port;
    if (in_cluster)
        run_begin_in(&run, &cluster, &options);
    else
        run_begin(&run, &options);
    if (before_run)
        before_run();
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    lose_spool();
    target_in(&cluster, "out:1", "SET out:1 v");
    target_in(&cluster, "df2redis:other", "SET df2redis:other v");
    change_data(true);
}

static bool record_says(const char *text)
{
    char *path = format_text("%s/default/run.json", run.program.dir);
    bool says = file_contains(path, text);
    free(path);
    return says;
}

static void assert_pruned(void)
{
    assert_int_equal(server_ask(run.target.port, "EXISTS both"), 1);
    assert_int_equal(server_ask(run.target.port, "EXISTS out:1"), 1);
    assert_int_equal(server_ask(run.target.port, "EXISTS df2redis:other"), 1);
    assert_int_equal(server_ask(run.target.port, "SISMEMBER merged new"), 1);
    assert_int_equal(server_ask(run.target.port, "SCARD merged"), 1);
    assert_int_equal(run_target_keys(&run), 3);
    assert_false(df2redis_said(&run.program, "flushing it"));
    assert_true(record_says("\"kept\":\tfalse") && record_says("\"prunes\":\tfalse"));
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 2);
}

/* ---- */

static void keys_that_the_source_lacks_are_removed_after_the_full_sync(void **state)
{
    (void)state;
    begin_and_lose_spool(prune);
    reader_start();
    run_replicate(&run, prune);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    reader_end();
    assert_pruned();
    assert_true(atomic_load(&reader.reads) > 0);
    assert_int_equal(atomic_load(&reader.misses), 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void have_key_of_others(void)
{
    server_tell(run.target.port, "SET others v");
}

/* As with keep: nobody knows which keys the run has written. */
static void target_that_had_keys_of_others_is_not_pruned(void **state)
{
    (void)state;
    before_run = have_key_of_others;
    begin_and_lose_spool(over);
    run_replicate(&run, over);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(server_ask(run.target.port, "EXISTS others"), 1);
    assert_int_equal(server_ask(run.target.port, "EXISTS gone:0"), 1);
    assert_true(df2redis_status_number(&run.program, "divergences.full_resync_without_flush") == 1);
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

/* What keep has left behind, and reported. */
static void what_keep_has_left_is_pruned_later(void **state)
{
    (void)state;
    begin_and_lose_spool(keep);
    run_replicate(&run, keep);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(server_ask(run.target.port, "EXISTS gone:0"), 1);
    assert_true(record_says("\"kept\":\ttrue"));
    lose_spool();
    run_replicate(&run, prune);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC3", 1));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_target_keys(&run), 3);
    assert_true(record_says("\"kept\":\tfalse"));
    assert_true(df2redis_status_number(&run.program, "divergences.full_resync_without_flush") == 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void kill_of_a_worker_in_the_full_sync_changes_nothing(void **state)
{
    (void)state;
    struct kills kills = {0};
    begin_and_lose_spool(prune);
    scripted_hold(run.source, 0, 60);
    run_replicate(&run, prune);
    assert_true(run_wait_source(&run, NULL, "DFLY SYNC SYNC2", 1));
    assert_true(kill_worker(&kills, &run.program, 0));
    scripted_hold(run.source, 0, NEVER);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    assert_pruned();
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* df2redis verify of the operator holds it up. */
static int hold_up_comparison(void)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *path = format_text("%s/default/verify.lock", run.program.dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && fcntl(fd, F_OFD_SETLK, &whole) == 0);
    free(path);
    return fd;
}

/* A new start need not name prune again. */
static void keys_are_removed_by_the_next_run_if_one_is_killed_or_stopped(void **state)
{
    (void)state;
    goes_on = true;
    begin_and_lose_spool(prune);
    int lock = hold_up_comparison();
    run_replicate(&run, prune);
    assert_true(df2redis_wait_said(&run.program, "waiting for df2redis verify", RUN_DEADLINE_MS));
    process_stop(&run.program.process);
    run_replicate(&run, prune + 2);
    assert_true(df2redis_wait_said(&run.program, "waiting for df2redis verify", RUN_DEADLINE_MS));
    assert_int_equal(run_terminate(&run), EX_TEMPFAIL);
    assert_true(df2redis_said(&run.program, "a new start goes on with that"));
    assert_int_equal(server_ask(run.target.port, "EXISTS gone:0"), 1);
    run_replicate(&run, prune + 2);
    close(lock);
    assert_true(run_wait_in_step(&run));
    assert_pruned();
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void take_dump_away(void)
{
    server_tell(run.target.port, "ACL SETUSER default -dump");
}

static void a_right_that_is_missing_for_the_removal_is_told(void **state)
{
    (void)state;
    before_run = take_dump_away;
    begin_and_lose_spool(prune);
    run_replicate(&run, prune);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(server_ask(run.target.port, "EXISTS gone:0"), 1);
    assert_true(df2redis_status_number(&run.program, "divergences.full_resync_without_flush") == 1);
    assert_true(record_says("\"kept\":\ttrue"));
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

static long long cluster_has(const char *key)
{
    redisContext *c =
        redis_cluster_connect(&cluster, redis_cluster_owner(&cluster, key_slot(slice_str(key))));
    redisReply *r = server_commandf(c, "EXISTS %s", key);
    long long there = r->integer;
    freeReplyObject(r);
    redisFree(c);
    return there;
}

static void cluster_is_pruned(void **state)
{
    (void)state;
    in_cluster = true;
    redis_cluster_start(&cluster, 3, 0);
    begin_and_lose_spool(prune);
    run_replicate(&run, prune);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE SYNC2", 1));
    assert_true(run_wait_in_step(&run));
    assert_int_equal(cluster_has("both") + cluster_has("merged") + cluster_has("out:1"), 3);
    for (int i = 0; i < GONE; i++) {
        char key[32];
        snprintf(key, sizeof key, "gone:%d", i);
        assert_int_equal(cluster_has(key), 0);
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* ---- a real Dragonfly ---- */

static void tell_dragonfly(const char *format, int count)
{
    redisContext *c = server_connect(run.dragonfly.port);
    for (int i = 0; i < count; i++)
        redisAppendCommand(c, format, i);
    for (int i = 0; i < count; i++) {
        redisReply *r = NULL;
        assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
        assert_int_not_equal(r->type, REDIS_REPLY_ERROR);
        freeReplyObject(r);
    }
    redisFree(c);
}

static void copy_of_a_real_dragonfly_is_pruned(void **state)
{
    (void)state;
    struct state_rules rules = {.read = {.stream_details = true}};
    uint64_t keys = 0;
    if (!run_begin_live(&run, 4, NULL))
        skip();
    tell_dragonfly("SET stays:%d v", GONE);
    tell_dragonfly("SET gone:%d v", GONE / 2);
    tell_dragonfly("SADD merged%d old", 10);
    tell_dragonfly("SET both v", 1);
    run_replicate(&run, prune);
    assert_true(run_wait_applied(&run));
    process_stop(&run.program.process);
    char *command =
        format_text("sed -i 's/\"copy\":.*/\"copy\": \"partial\",/' %s/default/run.json", run.program.dir);
    assert_int_equal(system(command), 0);
    free(command);
    tell_dragonfly("DEL gone:%d", GONE / 2);
    tell_dragonfly("DEL merged%d", 10);
    tell_dragonfly("SADD merged%d new", 10);
    reader_start();
    run_replicate(&run, prune);
    assert_true(run_wait_applied(&run));
    reader_end();
    assert_int_equal(atomic_load(&reader.misses), 0);
    assert_int_equal(server_ask(run.target.port, "EXISTS gone:0"), 0);
    assert_true(run_equals_dragonfly(&run, &rules, &keys));
    assert_true(df2redis_said(&run.program, "a full sync over the keys"));
    assert_false(df2redis_said(&run.program, "flushing it"));
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_that_the_source_lacks_are_removed_after_the_full_sync, end),
        cmocka_unit_test_teardown(target_that_had_keys_of_others_is_not_pruned, end),
        cmocka_unit_test_teardown(what_keep_has_left_is_pruned_later, end),
        cmocka_unit_test_teardown(kill_of_a_worker_in_the_full_sync_changes_nothing, end),
        cmocka_unit_test_teardown(keys_are_removed_by_the_next_run_if_one_is_killed_or_stopped, end),
        cmocka_unit_test_teardown(a_right_that_is_missing_for_the_removal_is_told, end),
        cmocka_unit_test_teardown(cluster_is_pruned, end),
        cmocka_unit_test_teardown(copy_of_a_real_dragonfly_is_pruned, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
