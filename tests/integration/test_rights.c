/* Rights that the target's user loses while the run goes on: it ends and names them, before anything could be
 * carried out twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/testing.h"

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

static void begin(void)
{
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_with("a", "snapshot"));
    run_begin(&run, &options);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
}

/* The connection breaks in the same moment, and the next one may not end what is left of it. */
static void forbid_and_cut(const char *forbidden)
{
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "MULTI");
    server_ok(c, forbidden);
    server_ok(c, "CLIENT KILL TYPE normal SKIPME yes");
    redisReply *r = server_command(c, "EXEC");
    assert_int_equal(r->type, REDIS_REPLY_ARRAY);
    assert_int_equal(r->elements, 2);
    assert_int_not_equal(r->element[0]->type, REDIS_REPLY_ERROR);
    assert_int_not_equal(r->element[1]->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
    redisFree(c);
}

static void assert_ends_without(const char *forbidden, const char *named)
{
    begin();
    forbid_and_cut(forbidden);
    assert_true(run_ends_with(&run, EX_NOPERM, named));
}

static void without_client_list_nothing_goes_on(void **state)
{
    (void)state;
    assert_ends_without("ACL SETUSER default -client|list", "CLIENT|LIST");
}

/* This connection has the name of a FLOW's, as one that a dead worker has left. */
static void without_client_kill_nothing_goes_on(void **state)
{
    (void)state;
    begin();
    redisContext *c = server_connect(run.target.port);
    server_ok(c, "CLIENT SETNAME df2redis:default:flow-0");
    server_ok(c, "MULTI");
    server_ok(c, "CLIENT KILL TYPE normal SKIPME yes");
    server_ok(c, "ACL SETUSER default -client|kill");
    freeReplyObject(server_command(c, "EXEC"));
    assert_true(run_ends_with(&run, EX_NOPERM, "refuses CLIENT KILL"));
    redisFree(c);
}

static void without_client_setname_nothing_goes_on(void **state)
{
    (void)state;
    assert_ends_without("ACL SETUSER default -client|setname", "CLIENT|SETNAME");
}

static void without_select_nothing_goes_on(void **state)
{
    (void)state;
    assert_ends_without("ACL SETUSER default -select", "SELECT");
}

static void without_the_right_to_the_mark_nothing_goes_on(void **state)
{
    (void)state;
    assert_ends_without("ACL SETUSER default resetkeys ~app:*", "df2redis:");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_client_list_nothing_goes_on, teardown),
        cmocka_unit_test_teardown(without_client_kill_nothing_goes_on, teardown),
        cmocka_unit_test_teardown(without_client_setname_nothing_goes_on, teardown),
        cmocka_unit_test_teardown(without_select_nothing_goes_on, teardown),
        cmocka_unit_test_teardown(without_the_right_to_the_mark_nothing_goes_on, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
