/* What the target let expire before its renewal came is noticed, compared with the source's, and healed; of a
 * target in import mode nothing expires. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "tests/support/kills.h"
#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum { LIVES_MS = 2000, RENEWED_MS = 600000 };

static struct run run;
static struct server data; /* what the source has */

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    server_stop(&data);
    return 0;
}

/* An empty source of one shard, which lets its values be read. */
static void begin(bool import_mode)
{
    struct scripted_options options;
    redis_start(&data, NULL);
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_small(1, NULL));
    options.data_port = data.port;
    run_begin(&run, &options);
    if (import_mode) {
        redisContext *c = server_connect(run.target.port);
        redisReply *r = server_command(c, "CONFIG SET import-mode yes");
        bool taken = r->type == REDIS_REPLY_STATUS;
        freeReplyObject(r);
        redisFree(c);
        if (!taken) {
            print_message("the target is no Valkey 8.1 or newer (DF2REDIS_TEST_REDIS): skipped\n");
            skip();
        }
    }
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
}

/* On the source, and journaled. */
static void source(const char *format, ...)
{
    char words[256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (!scripted_carry_out(run.source, 0, 0, words))
        fail_msg("%s", words);
}

static void assert_comes_out_equal(void)
{
    assert_true(run_wait_in_step(&run));
    assert_true(suspects_settle_equal(&run, data.port));
}

static bool has_passed(void *at_ms)
{
    return clock_unix_ms() > *(int64_t *)at_ms;
}

static void wait_beyond(int64_t at_ms)
{
    assert_true(wait_until(has_passed, &at_ms, RUN_DEADLINE_MS));
}

/* Keys of all kinds that are about to expire. Returns when: not before a machine as busy as this one is now can renew
 * them. */
static int64_t write_short_lived(void)
{
    static const char *const keys[] = {"counter", "session", "list", "set", "text", "whole", NULL};
    uint64_t begun_ms = clock_monotonic_ms();
    source("INCRBY counter 5");
    source("HSET session a 1 b 2");
    source("RPUSH list a b");
    source("SADD set a b");
    source("SET text abc");
    source("SET whole 1");
    assert_true(run_wait_in_step(&run));
    int64_t at_ms = clock_unix_ms() + LIVES_MS + 4 * (int64_t)(clock_monotonic_ms() - begun_ms);
    for (const char *const *k = keys; *k; k++)
        source("PEXPIREAT %s %lld", *k, (long long)at_ms);
    /* Its mark covers all of them: a successor carries none out again, and makes no key anew. */
    source("INCR last");
    assert_true(run_wait_in_step(&run));
    return at_ms;
}

/* In time, at the source. */
static void renew(int64_t at_ms)
{
    assert_true(clock_unix_ms() < at_ms);
    at_ms += RENEWED_MS;
    source("INCR counter");
    source("PEXPIREAT counter %lld", (long long)at_ms);
    source("HSET session c 3");
    source("PERSIST session");
    source("RPUSH list c");
    source("PEXPIREAT list %lld", (long long)at_ms);
    source("PEXPIREAT set %lld", (long long)at_ms);
    source("RENAME text renamed");
    source("PERSIST renamed");
    source("SET whole 2");
}

static void what_expired_while_the_target_stood_still_is_healed(void **state)
{
    (void)state;
    begin(false);
    int64_t at_ms = write_short_lived();
    process_signal(&run.target.process, SIGSTOP);
    renew(at_ms);
    wait_beyond(at_ms + 500);
    process_signal(&run.target.process, SIGCONT);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") >= 5);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_expired_while_the_worker_was_away_is_healed(void **state)
{
    (void)state;
    begin(false);
    int64_t at_ms = write_short_lived();
    pid_t worker = worker_pid(&run.program, 0);
    kill(worker, SIGSTOP);
    renew(at_ms);
    wait_beyond(at_ms + 500);
    kill(worker, SIGKILL);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") >= 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void expire_while_nobody_runs(const char *const *extra)
{
    begin(false);
    int64_t at_ms = write_short_lived();
    process_signal(&run.program.process, SIGKILL);
    process_wait(&run.program.process, RUN_DEADLINE_MS);
    renew(at_ms);
    wait_beyond(at_ms + 500);
    run_replicate(&run, extra);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") >= 5);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void what_expired_while_nobody_ran_is_healed(void **state)
{
    (void)state;
    expire_while_nobody_runs(NULL);
}

static void another_size_of_the_ring_leaves_the_times_to_live_known(void **state)
{
    (void)state;
    expire_while_nobody_runs((const char *const[]){"--ring-size", "16m", NULL});
    assert_false(df2redis_said(&run.program, "kept track of"));
}

/* The stream says that they were gone, or what they are now. */
static void what_was_deleted_or_written_anew_is_no_suspect(void **state)
{
    (void)state;
    begin(false);
    int64_t at_ms = write_short_lived();
    process_signal(&run.target.process, SIGSTOP);
    source("DEL counter");
    source("INCR counter");
    source("SET text new");
    source("APPEND text er");
    source("DEL session list set");
    source("GETSET whole 2");
    wait_beyond(at_ms + 500);
    process_signal(&run.target.process, SIGCONT);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") == 0 && suspects(&run, "equal") == 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* Its copy of the data has the times to live from before the renewal. */
static void what_expired_in_an_older_copy_of_the_target_is_healed(void **state)
{
    (void)state;
    begin(false);
    int64_t at_ms = write_short_lived();
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "SAVE");
    redisFree(c);
    renew(at_ms);
    source("INCR last"); /* its mark covers the renewal */
    assert_true(run_wait_in_step(&run));
    process_signal(&run.target.process, SIGSTOP);
    wait_beyond(at_ms + 500);
    redis_restart(&run.target, NULL);
    assert_comes_out_equal();
    assert_true(df2redis_said(&run.program, "has lost writes"));
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* The key itself is gone on both sides in the end. */
static void what_was_made_of_a_key_that_had_expired_is_healed(void **state)
{
    (void)state;
    begin(false);
    source("SADD other z");
    source("RPUSH queue z");
    int64_t at_ms = write_short_lived();
    process_signal(&run.target.process, SIGSTOP);
    source("SMOVE set other a");
    source("RPOPLPUSH list queue");
    source("SORT list ALPHA STORE sorted");
    wait_beyond(at_ms + 500);
    process_signal(&run.target.process, SIGCONT);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") >= 3);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void source_of_another_database(const char *words)
{
    if (!scripted_carry_out(run.source, 0, 3, words))
        fail_msg("%s", words);
}

/* The time to live goes with the value. Nothing else tells: the counter is made anew, and has its new time. */
static void what_expired_before_it_came_to_another_database_is_healed(void **state)
{
    (void)state;
    begin(false);
    uint64_t begun_ms = clock_monotonic_ms();
    source("INCRBY moved 5");
    source("INCRBY copied 5");
    assert_true(run_wait_in_step(&run));
    int64_t at_ms = clock_unix_ms() + LIVES_MS + 4 * (int64_t)(clock_monotonic_ms() - begun_ms);
    source("PEXPIREAT moved %lld", (long long)at_ms);
    source("PEXPIREAT copied %lld", (long long)at_ms);
    source("MOVE moved 3");
    source("COPY copied twin DB 3");
    assert_true(run_wait_in_step(&run));
    process_signal(&run.target.process, SIGSTOP);
    char later[2][64];
    snprintf(later[0], sizeof later[0], "PEXPIREAT moved %lld", (long long)at_ms + RENEWED_MS);
    snprintf(later[1], sizeof later[1], "PEXPIREAT twin %lld", (long long)at_ms + RENEWED_MS);
    assert_true(clock_unix_ms() < at_ms);
    source_of_another_database("INCR moved");
    source_of_another_database("INCR twin");
    source_of_another_database(later[0]);
    source_of_another_database(later[1]);
    wait_beyond(at_ms + 500);
    process_signal(&run.target.process, SIGCONT);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") >= 2);
    assert_int_equal(run_terminate(&run), EX_OK);
}

/* GETEX key EXAT of a time that has just passed is journaled as that time, and no DEL follows: whether it had passed on
 * the source cannot be told from a skew of the clocks. */
static void what_is_written_behind_a_time_that_may_have_passed_is_healed(void **state)
{
    (void)state;
    static const char *const keys[] = {"text", "hash", "list", "counter", "whole", "renewed", NULL};
    begin(false);
    source("SET text 1");
    source("HSET hash a 1");
    source("RPUSH list a");
    source("SET counter 5");
    source("SET whole 1");
    source("SET renewed 1");
    assert_true(run_wait_in_step(&run));
    pid_t worker = worker_pid(&run.program, 0);
    kill(worker, SIGSTOP); /* the times are not corrected in between */
    int64_t over_ms = clock_unix_ms() - 1000;
    for (const char *const *k = keys; *k; k++)
        source("PEXPIREAT %s %lld", *k, (long long)over_ms);
    source("APPEND text 2");
    source("HSET hash b 2");
    source("RPUSH list b");
    source("INCR counter");
    source("RPOPLPUSH list other");
    source("SET whole 2");
    kill(worker, SIGCONT);
    assert_comes_out_equal();
    assert_int_equal(suspects(&run, "healed") + suspects(&run, "equal"), 5);
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void of_a_target_in_import_mode_nothing_expires(void **state)
{
    (void)state;
    begin(true);
    int64_t at_ms = write_short_lived();
    process_signal(&run.target.process, SIGSTOP);
    renew(at_ms);
    wait_beyond(at_ms + 500);
    process_signal(&run.target.process, SIGCONT);
    assert_comes_out_equal();
    assert_true(suspects(&run, "healed") == 0 && suspects(&run, "equal") == 0);
    assert_int_equal(run_terminate(&run), EX_OK);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_expired_while_the_target_stood_still_is_healed, teardown),
        cmocka_unit_test_teardown(what_expired_while_the_worker_was_away_is_healed, teardown),
        cmocka_unit_test_teardown(what_expired_while_nobody_ran_is_healed, teardown),
        cmocka_unit_test_teardown(another_size_of_the_ring_leaves_the_times_to_live_known, teardown),
        cmocka_unit_test_teardown(what_was_deleted_or_written_anew_is_no_suspect, teardown),
        cmocka_unit_test_teardown(what_expired_in_an_older_copy_of_the_target_is_healed, teardown),
        cmocka_unit_test_teardown(what_was_made_of_a_key_that_had_expired_is_healed, teardown),
        cmocka_unit_test_teardown(what_expired_before_it_came_to_another_database_is_healed, teardown),
        cmocka_unit_test_teardown(what_is_written_behind_a_time_that_may_have_passed_is_healed, teardown),
        cmocka_unit_test_teardown(of_a_target_in_import_mode_nothing_expires, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
