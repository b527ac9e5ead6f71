/* The harness itself: a comparison that sees every kind of difference, and a scripted master that sees every
 * wrong step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <unistd.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

static struct server left, right;
static struct scripted *master;
static redisContext *connections[4];
static size_t connection_count;

static int teardown(void **state)
{
    (void)state;
    while (connection_count)
        redisFree(connections[--connection_count]);
    scripted_stop(master);
    master = NULL;
    if (left.dir)
        server_stop(&left);
    if (right.dir)
        server_stop(&right);
    return 0;
}

static void send_to(const struct server *s, const char *command)
{
    redisContext *c = server_connect(s->port);
    server_ok(c, command);
    redisFree(c);
}

/* The differences between the two servers, as text. */
static char *differences(struct state_rules *rules)
{
    struct state_server a, b;
    struct state_report report;
    state_open(&a, left.port, NULL);
    state_open(&b, right.port, NULL);
    state_compare_servers(&a, &b, rules, &report);
    char *text = x_strdup((const char *)report.text.data);
    state_report_free(&report);
    state_close(&a);
    state_close(&b);
    return text;
}

static void every_difference_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *both, *only_right, *seen;
    } cases[] = {
        {"SET a x", "SET a y", "item 0 is 'y', expected 'x'"},
        {"SET a x", "DEL a", "is none, expected string"},
        {"SET a x", "SET extra x", "was not expected"},
        {"SET a x", "SET df2redis:a x", ""},
        {"SET a x EX 1000", "PERSIST a", "expires at 0"},
        {"SET a x EX 1000", "PEXPIRE a 999000", "expires at"},
        {"RPUSH a 1 2 3", "LSET a 1 x", "item 1 is 'x', expected '2'"},
        {"RPUSH a 1 2 3", "RPUSH a 4", "of 4 items, expected 3"},
        {"SADD a x y z", "SREM a y", "of 2 items, expected 3"},
        {"HSET a f v g w", "HSET a g x", "item 1 is 'g' 'x'"},
        {"ZADD a 1 x 2 y", "ZADD a 1.0000001 x", "item 0 is 'x' '1.0000001"},
        {"XADD a 1-1 f v", "XADD a 2-1 f v", "item 1 is 'entry' '2-1'"},
        {"XADD a 1-1 f v", "XGROUP CREATE a g 0", "'group' 'g' '0-0'"},
        {"SET a x", "MOVE a 3", "is none"},
        {"PFADD a x y z", "PFCOUNT a", ""},
        {"PFADD a x y z", "PFADD a q", "(16384 bytes)"},
    };
    redis_start(&left, NULL);
    redis_start(&right, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        send_to(&left, "FLUSHALL");
        send_to(&right, "FLUSHALL");
        send_to(&left, cases[i].both);
        send_to(&right, cases[i].both);
        struct state_rules rules = {.ttl_tolerance_ms = 100};
        char *before = differences(&rules);
        assert_string_equal(before, "");
        send_to(&right, cases[i].only_right);
        char *after = differences(&rules);
        bool seen = *cases[i].seen ? strstr(after, cases[i].seen) != NULL : !*after;
        if (!seen)
            print_error("%s, then %s: %s\n", cases[i].both, cases[i].only_right, after);
        assert_true(seen);
        free(before);
        free(after);
    }
}

static void exception_that_does_not_occur_is_a_difference(void **state)
{
    (void)state;
    redis_start(&left, NULL);
    redis_start(&right, NULL);
    send_to(&left, "SET a x");
    send_to(&right, "SET a y");
    struct state_exception exceptions[] = {{.key = slice_str("a"), .why = "test"},
                                           {.key = slice_str("b"), .why = "test"}};
    struct state_rules rules = {.exceptions = exceptions, .exception_count = 1};
    char *with = differences(&rules);
    rules.exception_count = 2;
    char *unused = differences(&rules);
    bool ok = !*with && strstr(unused, "take the exception away");
    free(with);
    free(unused);
    assert_true(ok);
}

/* A client that takes its own steps: "C words" on the control connection, "0 words" and "1 words" on the
 * FLOWs'. */
static void play(const char *const *steps)
{
    struct scripted_options options;
    struct generate_options g;
    scripted_options_init(&options);
    generate_options_init(&g);
    g.flows = 2;
    g.strings = 2;
    g.journal_sets = 2;
    scripted_options_add(&options, generate_session(&g, NULL));
    master = scripted_start(&options);
    while (connection_count < 3)
        connections[connection_count++] = server_connect(scripted_port(master));
    for (; *steps; steps++) {
        redisContext *c = connections[**steps == 'C' ? 2 : **steps - '0'];
        const char *text = *steps + 2, *at = strchr(text, '@');
        char *words =
            at ? format_text("%.*s%040x%s", (int)(at - text), text, 0xd0a60f17u, at + 1) : x_strdup(text);
        char *line = format_text("%s\r\n", words); /* an inline command */
        bool ack = strstr(words, "REPLCONF ACK") != NULL;
        void *reply = NULL;
        redisAppendFormattedCommand(c, line, strlen(line));
        int unsent = 0;
        if (ack)
            redisBufferWrite(c, &unsent);
        else if (redisGetReply(c, &reply) == REDIS_OK)
            freeReplyObject(reply);
        free(words);
        free(line);
    }
}

#define GREETING                                                                                             \
    "C PING", "C REPLCONF listening-port 1", "C REPLCONF capa eof capa psync2", "C REPLCONF capa dragonfly", \
        "C REPLCONF CLIENT-ID x", "C REPLCONF CLIENT-VERSION 5"
#define FLOWS "0 DFLY FLOW @ SYNC1 0", "1 DFLY FLOW @ SYNC1 1"

static bool violated(void *arg)
{
    (void)arg;
    return *scripted_violation(master) != 0;
}

static void wrong_steps_are_violations(void **state)
{
    (void)state;
    static const struct {
        const char *steps[12];
        const char *violation; /* "": none */
    } cases[] = {
        {{GREETING, FLOWS, "C DFLY SYNC SYNC1", "C DFLY REPLICAOFFSET", NULL}, ""},
        {{"C REPLCONF capa dragonfly", NULL}, "before PING"},
        {{"C PING", "C REPLCONF listening-port 1", "C REPLCONF CLIENT-ID x", NULL}, "CLIENT-ID before"},
        {{GREETING, "C DFLY SYNC SYNC1", NULL}, "before every FLOW is connected"},
        {{GREETING, "0 DFLY FLOW @ SYNC1 0", "1 DFLY FLOW @ SYNC1 0", NULL}, "twice"},
        {{GREETING, FLOWS, "C DFLY STARTSTABLE SYNC1", NULL}, "without DFLY SYNC"},
        {{GREETING, "0 DFLY FLOW @ SYNC1 0 1", "1 DFLY FLOW @ SYNC1 1", "C DFLY SYNC SYNC1", NULL},
         "answered PARTIAL"},
        {{GREETING, "0 DFLY FLOW @ SYNC1 0 1", "1 DFLY FLOW @ SYNC1 1", "C DFLY STARTSTABLE SYNC1", NULL},
         "mix of FULL"},
        {{GREETING, FLOWS, "C DFLY SYNC SYNC1", "C DFLY SYNC SYNC1", NULL}, "twice"},
        {{GREETING, FLOWS, "C DFLY SYNC SYNC9", NULL}, "unknown session"},
        {{GREETING, FLOWS, "0 PING", NULL}, "only REPLCONF ACK"},
        {{GREETING, FLOWS, "0 REPLCONF ACK 5", "0 REPLCONF ACK 4", NULL}, "goes back"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        play(cases[i].steps);
        bool as_expected =
            *cases[i].violation ? wait_until(violated, NULL, RUN_DEADLINE_MS) : !violated(NULL);
        as_expected &= strstr(scripted_violation(master), cases[i].violation) != NULL;
        if (!as_expected)
            print_error("case %zu: \"%s\", expected \"%s\"\n", i, scripted_violation(master),
                        cases[i].violation);
        assert_true(as_expected);
        teardown(NULL);
    }
}

static void startstable_before_a_held_fullsync_end_is_a_violation(void **state)
{
    (void)state;
    static const char *const greeting[] = {GREETING, FLOWS, NULL};
    static const char *const rest[] = {"DFLY SYNC SYNC1", "DFLY STARTSTABLE SYNC1"};
    play(greeting);
    scripted_hold(master, 1, 20);
    for (size_t i = 0; i < 2; i++) {
        redisReply *r = redisCommand(connections[2], rest[i]);
        if (r)
            freeReplyObject(r);
        /* FLOW 0 has had its end by then: only FLOW 1, which is held, has not. */
        assert_true(scripted_wait(master, "flow 0", "fullsync end sent", 1, RUN_DEADLINE_MS));
    }
    assert_true(wait_until(violated, NULL, RUN_DEADLINE_MS));
    assert_non_null(strstr(scripted_violation(master), "before FLOW 1 had its FULLSYNC_END"));
}

/* A server that is still starting would else be taken for another program's, which answers already. */
static void port_is_nobody_elses_from_before_its_server_listens(void **state)
{
    (void)state;
    uint16_t port = free_port();
    assert_false(port_keep(&port));
    assert_false(port_answers(port));
    int listener = listen_on(&port);
    assert_true(listener >= 0);
    assert_true(port_answers(port));
    close(listener);
    assert_false(port_keep(&port));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_difference_is_seen, teardown),
        cmocka_unit_test_teardown(exception_that_does_not_occur_is_a_difference, teardown),
        cmocka_unit_test_teardown(wrong_steps_are_violations, teardown),
        cmocka_unit_test(port_is_nobody_elses_from_before_its_server_listens),
        cmocka_unit_test_teardown(startstable_before_a_held_fullsync_end_is_a_violation, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
