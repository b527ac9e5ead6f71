/* Marks as they stand in the target: read whole, or not at all. */
#include "worker/link/mark_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MASTER "0123456789012345678901234567890123456789"
#define RUN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define REPL "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct slice text(const char *s)
{
    return slice_str(s);
}

static void a_mark_is_read(void **state)
{
    (void)state;
    struct mark m = {0};
    assert_true(mark_parse(text(MASTER " 3 400 18446744073709551615"), &m));
    assert_true(m.present);
    assert_string_equal(m.master_id, MASTER);
    assert_int_equal(m.session, 3);
    assert_int_equal(m.seq, 400);
    assert_true(m.lsn == UINT64_MAX);
    assert_true(m.unchecked && m.check.lsn == 0); /* as earlier releases wrote it */
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    char one[MARK_TEXT_BYTES], of_node[NODE_MARK_TEXT_BYTES];
    struct mark m = {.session = UINT64_MAX, .seq = UINT64_MAX, .lsn = UINT64_MAX, .master_id = MASTER},
                again = {0};
    struct slot_mark node = {0};
    m.check = (struct journal_check){UINT64_MAX - 1, UINT64_C(0x0123456789abcdef)};
    mark_write(&m, one);
    assert_true(mark_parse(text(one), &again));
    assert_true(again.lsn == m.lsn && again.check.lsn == m.check.lsn && again.check.sum == m.check.sum);
    assert_false(again.unchecked);
    struct marked_node marked = {RUN, REPL, UINT64_MAX};
    node_mark_write(one, &marked, of_node);
    assert_true(node_mark_parse(text(of_node), &node));
    assert_true(node.marked.fingerprint == UINT64_MAX && node.node.check.sum == m.check.sum);
    assert_string_equal(node.marked.replid, REPL);
    m.check = (struct journal_check){0};
    mark_write(&m, one);
    assert_true(mark_parse(text(one), &again));
    assert_true(again.check.lsn == 0 && !again.unchecked);
}

static void what_is_no_mark_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        " ",
                                        MASTER,
                                        MASTER " 1 2",
                                        MASTER " 1 2 3 4",
                                        MASTER " 1 2 3 4:5",
                                        MASTER " 1 2 3 4:000000000000000G",
                                        MASTER " 1 2 3 4:0000000000000005 6",
                                        MASTER " 1 -2 3",
                                        MASTER " 1 2 18446744073709551616",
                                        "012345678901234567890123456789012345678 1 2 3",
                                        MASTER "x 1 2 3"};
    struct mark m = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(mark_parse(text(wrong[i]), &m));
}

static bool read_slot(const char *own, const char *node, const char *flushed, struct slot_mark *out)
{
    const char *texts[] = {own, node, flushed, own ? "1" : NULL};
    redisReply elements[4] = {0}, *list[4],
               reply = {.type = REDIS_REPLY_ARRAY, .elements = 4, .element = list};
    for (int i = 0; i < 4; i++) {
        elements[i].type = texts[i] ? REDIS_REPLY_STRING : REDIS_REPLY_NIL;
        elements[i].str = (char *)texts[i];
        elements[i].len = texts[i] ? strlen(texts[i]) : 0;
        list[i] = &elements[i];
    }
    return slot_mark_read(&reply, out);
}

static void a_slot_may_carry_any_of_its_marks(void **state)
{
    (void)state;
    struct slot_mark m;
    assert_true(read_slot(NULL, NULL, NULL, &m));
    assert_false(m.own.present || m.node.present);
    assert_true(read_slot(MASTER " 1 2 3", NULL, "1 77", &m));
    assert_true(m.own.present && m.own.claimed && !m.node.present);
    assert_int_equal(m.own.flushed_session, 1);
    assert_int_equal(m.own.flushed_txid, 77);
    assert_true(read_slot(NULL, MASTER " 1 2 3 c0ffee0123456789 " RUN " " REPL, NULL, &m));
    assert_true(!m.own.present && m.node.present);
    assert_true(m.marked.fingerprint == UINT64_C(0xc0ffee0123456789));
    assert_string_equal(m.marked.run_id, RUN);
    assert_string_equal(m.marked.replid, REPL);
}

static void the_note_of_a_flush_may_name_the_node_that_had_it(void **state)
{
    (void)state;
    struct slot_mark m;
    struct marked_node node = {RUN, REPL, UINT64_MAX};
    char flushed[FLUSHED_TEXT_BYTES], of_node[FLUSHED_TEXT_BYTES];
    flushed_write(UINT64_MAX, UINT64_MAX, MASTER, flushed);
    node_flushed_write(flushed, &node, of_node);
    assert_true(read_slot(NULL, NULL, of_node, &m));
    assert_true(m.own.flushed_session == UINT64_MAX && m.own.flushed_txid == UINT64_MAX);
    assert_string_equal(m.own.flushed_master, MASTER);
    assert_true(m.flushed_on.fingerprint == UINT64_MAX);
    assert_string_equal(m.flushed_on.run_id, RUN);
    assert_string_equal(m.flushed_on.replid, REPL);
    assert_true(read_slot(NULL, NULL, flushed, &m));
    assert_string_equal(m.own.flushed_master, MASTER);
    assert_string_equal(m.flushed_on.run_id, "");
}

static void a_node_s_mark_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        MASTER " 1 2 3", MASTER " 1 2 3 0 " RUN, MASTER " 1 2 3 0 " RUN " " REPL " x",
        MASTER " 1 2 3 00000000000000000 " RUN " " REPL, "1 2 3 0 " RUN " " REPL};
    struct slot_mark m;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(read_slot(NULL, wrong[i], NULL, &m));
    assert_false(read_slot("something else", NULL, NULL, &m));
}

static void an_error_is_no_mark(void **state)
{
    (void)state;
    redisReply reply = {.type = REDIS_REPLY_ERROR, .str = (char *)"MOVED 1 h:1", .len = 11};
    struct slot_mark slot;
    struct mark m;
    assert_false(slot_mark_read(&reply, &slot));
    assert_false(mark_read(&reply, &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_read),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_is_no_mark_is_refused),
        cmocka_unit_test(a_slot_may_carry_any_of_its_marks),
        cmocka_unit_test(the_note_of_a_flush_may_name_the_node_that_had_it),
        cmocka_unit_test(a_node_s_mark_that_is_not_whole_is_refused),
        cmocka_unit_test(an_error_is_no_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
