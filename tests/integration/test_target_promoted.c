/* A target that is made a replica and a master again while nothing is written to it: no connection is closed and no
 * write is refused, and it has another server's data now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <sysexits.h>

#include "tests/support/scripted_words.h"
#include "tests/support/target_trouble.h"

static struct server other;

static int teardown_both(void **state)
{
    server_stop(&other);
    return teardown(state);
}

static void follow(const struct server *s, const struct server *master)
{
    char *words = format_text("REPLICAOF 127.0.0.1 %u", master->port);
    server_tell(master->port, "CONFIG SET repl-diskless-sync-delay 0");
    server_tell(s->port, words);
    free(words);
    assert_true(wait_until(redis_is_in_sync, (void *)s, RUN_DEADLINE_MS));
}

/* Another server has what the target has now. */
static void copy_target(void)
{
    redis_start(&other, NULL);
    follow(&other, &crash.run.target);
    server_tell(other.port, "REPLICAOF NO ONE");
}

static void take_over(void)
{
    follow(&crash.run.target, &other);
    tell("REPLICAOF NO ONE");
}

static void an_older_copy_is_noticed_while_nothing_comes(void **state)
{
    (void)state;
    begin(NULL);
    copy_target();
    write_some();
    assert_true(acknowledged());
    take_over();
    /* Each for itself. */
    for (unsigned f = 0; f < FLOWS; f++) {
        char text[64];
        snprintf(text, sizeof text, "flow=%u the target has lost writes", f);
        assert_true(df2redis_wait_said(&crash.run.program, text, RUN_DEADLINE_MS));
    }
    assert_true(df2redis_said(&crash.run.program, "brought forward from the spool"));
    assert_ends_equal(1);
}

static void an_older_copy_that_is_written_to_is_noticed(void **state)
{
    (void)state;
    begin(NULL);
    copy_target();
    write_some();
    assert_true(acknowledged());
    take_over();
    write_some();
    assert_ends_equal(0);
}

static void data_without_marks_are_noticed_while_nothing_comes(void **state)
{
    (void)state;
    begin(NULL);
    redis_start(&other, NULL);
    take_over();
    assert_true(df2redis_wait_said(&crash.run.program, "has lost writes", RUN_DEADLINE_MS));
    assert_ends_equal(0);
}

/* The other server has the newest mark, and what was written behind it alone is missing. */
static void plain_writes_behind_the_newest_mark_come_again(void **state)
{
    (void)state;
    char set[32], exists[32];
    begin(NULL);
    for (int i = 0; i < 3; i++) {
        scripted_write(crash.run.source, 0, 0, 0, "INCR once");
        assert_true(acknowledged());
        copy_target();
        snprintf(set, sizeof set, "SET plain:%d x", i);
        scripted_write(crash.run.source, 0, 0, 0, set);
        assert_true(acknowledged());
        take_over();
        scripted_write(crash.run.source, 0, 0, 0, "INCR once");
        assert_true(acknowledged());
        server_stop(&other);
        assert_true(run_wait_in_step(&crash.run));
    }
    for (int i = 0; i < 3; i++) {
        snprintf(exists, sizeof exists, "EXISTS plain:%d", i);
        assert_int_equal(server_ask(crash.run.target.port, exists), 1);
    }
    assert_int_equal(server_ask(crash.run.target.port, "INCRBY once 0"), 6);
}

static void without_marks_a_full_sync_follows(void **state)
{
    (void)state;
    static const char *const extra[] = {"--marks", "off", NULL};
    begin(extra);
    copy_target();
    write_some();
    assert_true(acknowledged());
    take_over();
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_ends_equal(2);
}

/* It changes the replication id of its master. */
static void a_first_replica_changes_nothing(void **state)
{
    (void)state;
    begin(NULL);
    redis_start(&other, NULL);
    for (int i = 0; i < 3; i++) {
        follow(&other, &crash.run.target);
        write_for(1500);
        assert_true(acknowledged());
        server_tell(other.port, "REPLICAOF NO ONE");
    }
    assert_false(df2redis_said(&crash.run.program, "made a replica"));
    assert_ends_equal(1);
}

/* Its master was never reached: the history is its own, whatever answers were on their way. */
static void a_replica_that_took_nothing_over_changes_nothing(void **state)
{
    (void)state;
    begin(NULL);
    redis_start(&other, NULL);
    char *words = format_text("REPLICAOF 127.0.0.1 %u", other.port);
    server_stop(&other);
    for (int i = 0; i < 3; i++) {
        write_some();
        tell(words);
        tell("REPLICAOF NO ONE");
        tell("CLIENT KILL TYPE normal");
        write_for(1500);
        assert_true(acknowledged());
    }
    free(words);
    assert_false(df2redis_said(&crash.run.program, "made a replica"));
    assert_ends_equal(1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_older_copy_is_noticed_while_nothing_comes, teardown_both),
        cmocka_unit_test_teardown(an_older_copy_that_is_written_to_is_noticed, teardown_both),
        cmocka_unit_test_teardown(data_without_marks_are_noticed_while_nothing_comes, teardown_both),
        cmocka_unit_test_teardown(plain_writes_behind_the_newest_mark_come_again, teardown_both),
        cmocka_unit_test_teardown(without_marks_a_full_sync_follows, teardown_both),
        cmocka_unit_test_teardown(a_first_replica_changes_nothing, teardown_both),
        cmocka_unit_test_teardown(a_replica_that_took_nothing_over_changes_nothing, teardown_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
