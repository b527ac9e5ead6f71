/* What is read of the marks in a target, and what the marks of a cluster's nodes say together. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/target/target_marks.h"

#define ID_A "0123456789abcdef0123456789abcdef01234567"
#define RUN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define REPL "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID_B "ffffffffffffffffffffffffffffffffffffffff"

enum { NODES = 3 };

/* A reply to HGETALL of these words. */
static redisReply *reply_of(const char *const *words)
{
    redisReader *reader = redisReaderCreate();
    struct buf bytes = {0};
    void *reply = NULL;
    size_t count = 0;
    while (words[count])
        count++;
    buf_printf(&bytes, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        buf_printf(&bytes, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    assert_int_equal(redisReaderFeed(reader, (const char *)bytes.data, bytes.len), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    buf_free(&bytes);
    return reply;
}

static struct target_marks standalone(const char *const *words)
{
    struct target_marks m = {0};
    redisReply *reply = reply_of(words);
    target_marks_read(&m, reply);
    freeReplyObject(reply);
    return m;
}

static struct target_marks node(const char *const *words)
{
    struct target_marks m = {0};
    redisReply *reply = reply_of(words);
    target_marks_read_node(&m, reply, 0xabc);
    freeReplyObject(reply);
    return m;
}

static void marks_of_a_standalone_target_are_read(void **state)
{
    (void)state;
    static const char *const words[] = {"flow-0",         ID_A " 17 5 900", "run",  "18", "flow-3",
                                        ID_B " 16 5 800", "flushed",        "17 4", NULL};
    struct target_marks m = standalone(words);
    assert_int_equal(m.count, 2);
    assert_int_equal(m.run_session, 18);
    assert_int_equal(m.list[0].flow, 0);
    assert_int_equal(m.list[0].session, 17);
    assert_int_equal(m.list[0].at.lsn, 900);
    assert_string_equal(m.list[0].master_id, ID_A);
    assert_int_equal(m.list[1].flow, 3);
    target_marks_free(&m);
}

static void what_we_did_not_write_is_no_mark(void **state)
{
    (void)state;
    static const char *const words[] = {"flow-",  ID_A " 1 2 3", "flow-x", ID_A " 1 2 3",
                                        "flow-1", "short 1 2 3", "flow-2", ID_A " 1 2",
                                        "flow-4", ID_A " 1 2 x", "node-0", ID_A " 1 2 3 abc " RUN " " REPL,
                                        "run",    "soon",        NULL};
    struct target_marks m = standalone(words);
    assert_int_equal(m.count, 0);
    assert_int_equal(m.run_session, 0);
    target_marks_free(&m);
}

static void a_node_s_marks_count_only_for_the_slots_it_still_has(void **state)
{
    (void)state;
    static const char *const words[] = {"node-0", ID_A " 17 5 900 abc " RUN " " REPL,
                                        "node-1", ID_A " 17 5 901 0000000000000abc " RUN " " REPL,
                                        "node-2", ID_A " 17 5 902 abd " RUN " " REPL,
                                        "node-3", ID_A " 17 5 903",
                                        "flow-0", ID_A " 17 5 904 abc " RUN " " REPL,
                                        NULL};
    struct target_marks m = node(words);
    assert_int_equal(m.count, 2);
    assert_int_equal(m.list[0].at.lsn, 900);
    assert_int_equal(m.list[1].at.lsn, 901);
    target_marks_free(&m);
}

static void common(const char *const *const *hashes, struct target_marks *out)
{
    struct target_marks nodes[NODES];
    for (size_t i = 0; i < NODES; i++)
        nodes[i] = node(hashes[i]);
    target_marks_common(out, nodes, NODES);
    for (size_t i = 0; i < NODES; i++)
        target_marks_free(&nodes[i]);
}

static void all_nodes_together_are_where_the_slowest_is(void **state)
{
    (void)state;
    static const char *const one[] = {"node-0", ID_A " 17 5 900 abc " RUN " " REPL, "node-1",
                                      ID_A " 17 9 70 abc " RUN " " REPL, NULL};
    static const char *const two[] = {"node-1", ID_A " 17 9 60 abc " RUN " " REPL, "node-0",
                                      ID_A " 16 5 950 abc " RUN " " REPL, NULL};
    static const char *const three[] = {"node-0", ID_A " 17 5 800 abc " RUN " " REPL, "node-1",
                                        ID_A " 17 9 80 abc " RUN " " REPL, NULL};
    struct target_marks m = {.run_session = 4};
    common((const char *const *const[]){one, two, three}, &m);
    assert_int_equal(m.count, 2);
    assert_int_equal(m.run_session, 4);
    assert_int_equal(m.list[0].flow, 0);
    assert_int_equal(m.list[0].at.lsn, 800);
    /* One of them wrote nothing in the last session. */
    assert_int_equal(m.list[0].session, 16);
    assert_int_equal(m.list[1].at.lsn, 60);
    assert_int_equal(m.list[1].session, 17);
    target_marks_free(&m);
}

/* What is compared belongs to the LSN that counts. */
static void the_slowest_node_s_check_counts(void **state)
{
    (void)state;
    static const char *const one[] = {"node-0", ID_A " 17 5 900 899:00000000000000aa abc " RUN " " REPL,
                                      NULL};
    static const char *const two[] = {"node-0", ID_A " 17 5 800 798:00000000000000bb abc " RUN " " REPL,
                                      NULL};
    static const char *const three[] = {"node-0", ID_A " 17 5 850 849:00000000000000cc abc " RUN " " REPL,
                                        NULL};
    struct target_marks m = {0};
    common((const char *const *const[]){one, two, three}, &m);
    assert_int_equal(m.count, 1);
    assert_int_equal(m.list[0].at.lsn, 800);
    assert_int_equal(m.list[0].at.check.lsn, 798);
    assert_int_equal(m.list[0].at.check.sum, 0xbb);
    assert_false(m.list[0].at.unchecked);
    target_marks_free(&m);
}

static void a_flow_without_a_mark_at_one_node_has_none(void **state)
{
    (void)state;
    static const char *const one[] = {
        "node-0", ID_A " 17 5 900 abc " RUN " " REPL, "node-1", ID_A " 17 9 70 abc " RUN " " REPL,
        "node-2", ID_A " 17 9 70 abc " RUN " " REPL,  NULL};
    static const char *const two[] = {
        "node-0", ID_A " 17 5 900 abc " RUN " " REPL, "node-1", ID_B " 17 9 70 abc " RUN " " REPL,
        "node-2", ID_A " 17 9 70 abe " RUN " " REPL,  NULL};
    struct target_marks m = {0};
    common((const char *const *const[]){one, two, one}, &m);
    assert_int_equal(m.count, 1);
    assert_int_equal(m.list[0].flow, 0);
    common((const char *const *const[]){(const char *const[]){NULL}, one, one}, &m);
    assert_int_equal(m.count, 0);
    target_marks_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_of_a_standalone_target_are_read),
        cmocka_unit_test(what_we_did_not_write_is_no_mark),
        cmocka_unit_test(a_node_s_marks_count_only_for_the_slots_it_still_has),
        cmocka_unit_test(all_nodes_together_are_where_the_slowest_is),
        cmocka_unit_test(the_slowest_node_s_check_counts),
        cmocka_unit_test(a_flow_without_a_mark_at_one_node_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
