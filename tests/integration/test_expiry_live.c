/* A real Dragonfly whose keys are renewed again and again, just in time: whatever stands still meanwhile, the
 * target ends with all of them. Needs DF2REDIS_TEST_DRAGONFLY. */
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
#include <sysexits.h>

#include "common/base/clock.h"
#include "tests/support/kills.h"
#include "tests/support/run.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum {
    KEYS = 200,
    LIVES_MS = 3000,
    EVERY_MS = 500,
    AWAY_MS = 6000,
    HASHES = 100,
    FIELD_LIVES_S = 4,
    FILLERS = 500,
    FILLER_BYTES = 16000
};

static struct run run;

/* Renews all keys each EVERY_MS: counters, hashes, lists, and fields of hashes. */
static struct renewer {
    pthread_t thread;
    bool running;
    atomic_bool stop;
    atomic_int rounds;
    bool short_times; /* counters of 50 to 500 ms instead */
} renewer;

static int teardown(void **state)
{
    (void)state;
    atomic_store(&renewer.stop, true);
    if (renewer.running)
        pthread_join(renewer.thread, NULL);
    renewer.running = false;
    run_end(&run);
    return 0;
}

static void drop_answers(redisContext *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        void *r = NULL;
        if (redisGetReply(c, &r) != REDIS_OK)
            return;
        freeReplyObject(r);
    }
}

static void renew_all(redisContext *c, long lives_ms, int round)
{
    for (int i = 0; i < KEYS; i++) {
        redisAppendCommand(c, "INCR c:%d", i);
        redisAppendCommand(c, "PEXPIRE c:%d %ld", i, lives_ms);
        redisAppendCommand(c, "HSET h:%d f%d v", i, round);
        redisAppendCommand(c, "PEXPIRE h:%d %ld", i, lives_ms);
        redisAppendCommand(c, "RPUSH l:%d %d", i, round);
        redisAppendCommand(c, "PEXPIRE l:%d %ld", i, lives_ms);
        drop_answers(c, 6);
    }
    for (int i = 0; i < HASHES; i++) {
        if (round == 0)
            redisAppendCommand(c, "HSET f:%d kept v other v", i);
        redisAppendCommand(c, "FIELDEXPIRE f:%d %d kept", i, lives_ms > LIVES_MS ? 600 : FIELD_LIVES_S);
        drop_answers(c, round == 0 ? 2 : 1);
    }
}

static void renew_short(redisContext *c, int round)
{
    for (int i = 0; i < KEYS; i++) {
        redisAppendCommand(c, "INCR c:%d", i);
        redisAppendCommand(c, "PEXPIRE c:%d %d", i, 50 + (i * 37 + round * 101) % 450);
    }
    drop_answers(c, 2 * KEYS);
}

static void *renew(void *arg)
{
    (void)arg;
    redisContext *c = server_connect(run.dragonfly.port);
    int round = 0;
    for (; !atomic_load(&renewer.stop); atomic_store(&renewer.rounds, ++round)) {
        if (renewer.short_times)
            renew_short(c, round);
        else
            renew_all(c, LIVES_MS, round);
        poll(NULL, 0, renewer.short_times ? 20 : EVERY_MS);
    }
    renew_all(c, 600000, round);
    redisFree(c);
    return NULL;
}

static void begin(bool short_times, const char *const *extra)
{
    if (!run_begin_live(&run, 2, NULL))
        skip();
    renewer = (struct renewer){.short_times = short_times};
    renewer.running = pthread_create(&renewer.thread, NULL, renew, NULL) == 0;
    assert_true(renewer.running);
    if (extra)
        return;
    run_replicate(&run, NULL);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
}

static bool rounds_done(void *n)
{
    return atomic_load(&renewer.rounds) >= *(int *)n;
}

static void wait_rounds(int more)
{
    int n = atomic_load(&renewer.rounds) + more;
    assert_true(wait_until(rounds_done, &n, RUN_DEADLINE_MS));
}

static void assert_ends_equal(void)
{
    atomic_store(&renewer.stop, true);
    pthread_join(renewer.thread, NULL);
    renewer.running = false;
    assert_true(run_wait_applied(&run));
    bool settled = suspects_wait_settled(&run);
    printf("%.0f healed, %.0f equal\n", suspects(&run, "healed"), suspects(&run, "equal"));
    struct state_rules rules = {.read = {.stream_details = true, .field_ttls = true},
                                .field_ttl_tolerance_ms = 3000};
    uint64_t keys = 0;
    bool equal = run_equals_dragonfly(&run, &rules, &keys);
    if (!settled || !equal)
        df2redis_print(&run.program);
    assert_true(settled && equal);
    assert_true(keys >= KEYS);
}

static void target_stands_still(void **state)
{
    (void)state;
    begin(false, NULL);
    wait_rounds(4);
    process_signal(&run.target.process, SIGSTOP);
    wait_rounds(AWAY_MS / EVERY_MS);
    process_signal(&run.target.process, SIGCONT);
    wait_rounds(2);
    assert_ends_equal();
}

static void workers_stand_still_and_die(void **state)
{
    (void)state;
    begin(false, NULL);
    wait_rounds(4);
    pid_t workers[] = {worker_pid(&run.program, 0), worker_pid(&run.program, 1)};
    for (size_t i = 0; i < 2; i++)
        kill(workers[i], SIGSTOP);
    wait_rounds(AWAY_MS / EVERY_MS);
    for (size_t i = 0; i < 2; i++)
        kill(workers[i], SIGKILL);
    wait_rounds(2);
    assert_ends_equal();
}

static void nobody_runs(void **state)
{
    (void)state;
    begin(false, NULL);
    wait_rounds(4);
    process_signal(&run.program.process, SIGKILL);
    process_wait(&run.program.process, RUN_DEADLINE_MS);
    wait_rounds(AWAY_MS / EVERY_MS / 2);
    run_replicate(&run, NULL);
    wait_rounds(2);
    assert_ends_equal();
}

static void times_are_shorter_than_the_way(void **state)
{
    (void)state;
    begin(true, NULL);
    wait_rounds(400);
    assert_ends_equal();
}

/* Longer than the keys live: what the snapshot has is over when it gets there. */
static void full_sync_takes_long(void **state)
{
    (void)state;
    static const char *const slow[] = {"--max-rate", "1m", NULL};
    begin(false, slow);
    redisContext *c = server_connect(run.dragonfly.port);
    char *filler = x_calloc(1, FILLER_BYTES + 1);
    uint64_t random = 1;
    for (int i = 0; i < FILLERS; i++) {
        for (size_t k = 0; k < FILLER_BYTES; k++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            filler[k] = (char)('0' + (random >> 58));
        }
        redisAppendCommand(c, "SET filler:%d %s", i, filler);
    }
    drop_answers(c, FILLERS);
    redisFree(c);
    free(filler);
    int64_t begun_ms = clock_unix_ms();
    run_replicate(&run, slow);
    assert_true(df2redis_wait_in_step(&run.program, RUN_DEADLINE_MS));
    assert_true(clock_unix_ms() - begun_ms > LIVES_MS + 1000);
    assert_ends_equal();
}

static long long number_of(uint16_t port, const char *command)
{
    redisContext *c = server_connect(port);
    redisReply *r = server_command(c, command);
    long long n = r->type == REDIS_REPLY_ARRAY ? (long long)r->elements : -1;
    freeReplyObject(r);
    redisFree(c);
    return n;
}

static void source(redisContext *c, const char *command)
{
    redisReply *r = server_command(c, command);
    if (r->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, r->str);
    freeReplyObject(r);
}

static bool has_passed(void *at_ms)
{
    return clock_unix_ms() > *(int64_t *)at_ms;
}

/* The source deletes the key at once, and journals the time alone. */
static void a_time_that_has_just_passed_leaves_no_old_value(void **state)
{
    (void)state;
    begin(true, NULL);
    redisContext *c = server_connect(run.dragonfly.port);
    for (int i = 0; i < 50; i++) {
        char line[80];
        snprintf(line, sizeof line, "SET over:%d 1", i);
        source(c, line);
        snprintf(line, sizeof line, "GETEX over:%d EXAT %lld", i, (long long)clock_unix_ms() / 1000 - 1);
        source(c, line);
        snprintf(line, sizeof line, "APPEND over:%d 2", i);
        source(c, line);
    }
    redisFree(c);
    assert_ends_equal();
}

/* Which messages are idle long enough is decided at the source, not when the target hears of it. */
static void claims_take_what_the_source_took(void **state)
{
    (void)state;
    static const char *const questions[] = {"XPENDING s g - + 100 auto", "XPENDING s g - + 100 by:id",
                                            "XPENDING s g - + 100 first", "XPENDING s g - + 100 second"};
    begin(true, NULL);
    redisContext *c = server_connect(run.dragonfly.port);
    source(c, "XGROUP CREATE s g 0 MKSTREAM");
    for (int i = 1; i <= 20; i++) {
        char line[64];
        snprintf(line, sizeof line, "XADD s %d-0 f v", i);
        source(c, line);
    }
    source(c, "XREADGROUP GROUP g first COUNT 10 STREAMS s >");
    int64_t later_ms = clock_unix_ms() + 1500, resumed_ms = later_ms + 3000;
    assert_true(wait_until(has_passed, &later_ms, RUN_DEADLINE_MS));
    source(c, "XREADGROUP GROUP g second COUNT 10 STREAMS s >");
    assert_true(run_wait_applied(&run));
    process_signal(&run.target.process, SIGSTOP);
    source(c, "XCLAIM s g by:id 1000 1-0 2-0 11-0 12-0");
    source(c, "XAUTOCLAIM s g auto 1000 0");
    assert_true(wait_until(has_passed, &resumed_ms, RUN_DEADLINE_MS));
    process_signal(&run.target.process, SIGCONT);
    redisFree(c);
    assert_true(run_wait_applied(&run));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(number_of(run.target.port, questions[i]),
                         number_of(run.dragonfly.port, questions[i]));
    assert_int_equal(number_of(run.target.port, questions[0]), 8);
    assert_int_equal(number_of(run.target.port, questions[1]), 2);
    assert_ends_equal();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(target_stands_still, teardown),
        cmocka_unit_test_teardown(workers_stand_still_and_die, teardown),
        cmocka_unit_test_teardown(nobody_runs, teardown),
        cmocka_unit_test_teardown(times_are_shorter_than_the_way, teardown),
        cmocka_unit_test_teardown(full_sync_takes_long, teardown),
        cmocka_unit_test_teardown(a_time_that_has_just_passed_leaves_no_old_value, teardown),
        cmocka_unit_test_teardown(claims_take_what_the_source_took, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
