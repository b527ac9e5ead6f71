/* Values that are too large for one answer are compared in pieces, and written anew in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>
#include <sysexits.h>

#include "tests/support/heal_case.h"

/* Another one of each type: a large value rests long after its comparison. */
static char key[32];

static void tell(uint16_t port, const char *command, const char *words)
{
    char *line = format_text("%s %s %s", command, key, words);
    server_tell(port, line);
    free(line);
}

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
    struct timeval patience = {RUN_DEADLINE_MS / 1000, 0};
    redisSetTimeout(c, patience);
    redisReply *r = server_commandf(c, "EVAL %s 1 %s %s %s", script, key, type, with);
    assert_non_null(r);
    assert_int_not_equal(r->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
    redisFree(c);
}

static const char *const large_types[] = {"string", "list", "set", "hash", "zset", NULL};

/* Refused, since the target has another type there for a moment. */
static void make_suspect(void)
{
    char *line = format_text("XADD %s 5-1 f v", key);
    scripted_carry_out(run.source, 0, 0, line);
    free(line);
}

static void a_large_value_is_compared_in_pieces(void **state)
{
    (void)state;
    begin();
    for (const char *const *type = large_types; *type; type++) {
        snprintf(key, sizeof key, "large:%s", *type);
        double equal = suspects(&run, "equal");
        write_large(data.port, *type, "a");
        write_large(run.target.port, *type, "a");
        make_suspect();
        wait_settled();
        if (suspects(&run, "equal") != equal + 1)
            fail_msg("%s", *type);
        tell(data.port, "DEL", "");
        tell(run.target.port, "DEL", "");
    }
    assert_int_equal(run_terminate(&run), EX_OK);
}

static void a_large_value_that_differs_is_written_anew(void **state)
{
    (void)state;
    begin();
    for (const char *const *type = large_types; *type; type++) {
        snprintf(key, sizeof key, "large:%s", *type);
        double healed = suspects(&run, "healed");
        write_large(data.port, *type, "a");
        write_large(run.target.port, *type, type - large_types == 1 ? "b" : "a");
        if (strcmp(*type, "string") == 0)
            tell(run.target.port, "SETRANGE", "30000000 x");
        else if (strcmp(*type, "list") == 0)
            tell(data.port, "PEXPIREAT", "9999999999999");
        else if (strcmp(*type, "set") == 0)
            tell(run.target.port, "SADD", "x");
        else if (strcmp(*type, "hash") == 0)
            tell(run.target.port, "HSET", "7 x");
        else
            tell(run.target.port, "PEXPIREAT", "9999999999999");
        make_suspect();
        wait_settled();
        if (suspects(&run, "healed") != healed + 1) {
            df2redis_print(&run.program);
            fail_msg("%s", *type);
        }
        assert_equal_to_source();
        tell(data.port, "DEL", "");
        tell(run.target.port, "DEL", "");
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
    freeReplyObject(server_commandf(c, "EVAL %s 1 large", script));
    redisFree(c);
    target("SET large v");
    scripted_carry_out(run.source, 0, 0, "HSET large f v");
    wait_settled();
    assert_true(df2redis_status_number(&run.program, "divergences.too_large_to_compare") == 1);
    assert_true(df2redis_said(&run.program, "a stream of "));
    assert_int_equal(run_terminate(&run), EX_DATAERR);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_large_value_is_compared_in_pieces, teardown),
        cmocka_unit_test_teardown(a_large_value_that_differs_is_written_anew, teardown),
        cmocka_unit_test_teardown(a_large_stream_is_not_compared, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
