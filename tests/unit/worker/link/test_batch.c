/* Batches: RESP as it goes out, MULTI where it has to be, borrowed arguments, commands found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "worker/link/batch.h"

static void put(struct output *o, uint32_t db, unsigned flags, const char *name, struct slice key,
                struct slice value)
{
    output_begin(o, db, key, 3, flags);
    output_text(o, name);
    output_arg(o, key);
    output_arg(o, value);
    output_end(o);
}

/* All that goes out, sent in pieces of at most `piece` bytes. */
static void send_all(struct batch *b, size_t piece, struct buf *out)
{
    batch_rewind(b);
    while (!batch_sent(b)) {
        struct iovec parts[3];
        int n = batch_parts(b, parts, 3);
        assert_true(n > 0);
        size_t left = piece, took = 0;
        for (int i = 0; i < n && left; i++) {
            size_t take = parts[i].iov_len < left ? parts[i].iov_len : left;
            buf_put(out, parts[i].iov_base, take);
            left -= take;
            took += take;
        }
        batch_advance(b, took);
    }
}

static void assert_text(const struct buf *b, const char *expected)
{
    assert_int_equal(b->len, strlen(expected));
    assert_memory_equal(b->data, expected, b->len);
}

static void idempotent_batch_goes_out_plain(void **state)
{
    (void)state;
    struct batch *b = batch_new();
    struct output *o = output_new();
    struct buf sent = {0};
    output_target(o, b);
    put(o, 0, OUTPUT_IDEMPOTENT, "SET", slice_str("k"), slice_str("v"));
    put(o, 0, OUTPUT_IDEMPOTENT, "SET", slice_str("l"), slice_str(""));
    batch_seal(b);
    send_all(b, 1000, &sent);
    assert_text(&sent, "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"
                       "*3\r\n$3\r\nSET\r\n$1\r\nl\r\n$0\r\n\r\n");
    assert_int_equal(b->commands, 3);
    assert_int_equal(batch_bytes(b), sent.len);
    buf_free(&sent);
    output_free(o);
    batch_free(b);
}

static void once_batch_goes_out_in_multi(void **state)
{
    (void)state;
    struct batch *b = batch_new();
    struct output *o = output_new();
    struct buf sent = {0};
    output_target(o, b);
    put(o, 11, OUTPUT_ONCE, "APPEND", slice_str("k"), slice_str("v"));
    batch_seal(b);
    send_all(b, 7, &sent);
    assert_text(&sent, "*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n11\r\n"
                       "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$1\r\nv\r\n"
                       "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n*1\r\n$4\r\nEXEC\r\n");
    assert_int_equal(b->commands, 2);
    buf_free(&sent);
    output_free(o);
    batch_free(b);
}

static void batch_of_a_slot_on_its_way_goes_out_behind_asking(void **state)
{
    (void)state;
    struct batch *b = batch_new();
    struct output *o = output_new();
    struct buf sent = {0};
    output_target(o, b);
    b->asking = true;
    b->current_db = 0;
    put(o, 0, OUTPUT_ONCE, "APPEND", slice_str("k"), slice_str("v"));
    batch_seal(b);
    for (int turn = 0; turn < 2; turn++) {
        buf_clear(&sent);
        send_all(b, 5, &sent);
        assert_text(&sent, "*1\r\n$6\r\nASKING\r\n*1\r\n$5\r\nMULTI\r\n"
                           "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$4\r\nEXEC\r\n");
        assert_int_equal(batch_bytes(b), sent.len);
    }
    batch_reset(b, 0);
    assert_false(b->asking);
    buf_free(&sent);
    output_free(o);
    batch_free(b);
}

static void borrowed_arguments_are_sent_from_where_they_are(void **state)
{
    (void)state;
    char large[5000], expected[6000];
    memset(large, 'x', sizeof large);
    for (size_t piece = 1; piece < 6000; piece = piece * 3 + 1) {
        struct batch *b = batch_new();
        struct output *o = output_new();
        struct buf sent = {0};
        output_target(o, b);
        output_borrow_from(o, 4096);
        put(o, 0, OUTPUT_IDEMPOTENT, "SET", slice_str("k"), slice_of(large, sizeof large));
        struct slice parts[] = {slice_str("<"), slice_of(large, 4096), slice_str(">")};
        output_begin(o, 0, slice_str("r"), 2, OUTPUT_IDEMPOTENT);
        output_text(o, "ECHO");
        output_arg_parts(o, parts, 3);
        output_end(o);
        assert_int_equal(b->borrowed_count, 2);
        assert_true(b->out.len < 200);
        batch_seal(b);
        send_all(b, piece, &sent);
        size_t n =
            (size_t)snprintf(expected, sizeof expected,
                             "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000\r\n");
        assert_memory_equal(sent.data, expected, n);
        assert_memory_equal(sent.data + n, large, sizeof large);
        const char *tail = "\r\n*2\r\n$4\r\nECHO\r\n$4098\r\n<";
        assert_memory_equal(sent.data + n + 5000, tail, strlen(tail));
        assert_memory_equal(sent.data + sent.len - 3, ">\r\n", 3);
        struct slice name, key;
        assert_true(batch_describe(b, 1, &name, &key));
        assert_true(slice_eq(name, slice_str("SET")));
        assert_true(batch_describe(b, 2, &name, &key));
        assert_true(slice_eq(name, slice_str("ECHO")));
        assert_false(batch_describe(b, 3, &name, &key));
        buf_free(&sent);
        output_free(o);
        batch_free(b);
    }
}

static void removed_command_leaves_the_others_whole(void **state)
{
    (void)state;
    char large[300];
    memset(large, 'y', sizeof large);
    for (uint32_t gone = 1; gone <= 3; gone++) {
        struct batch *b = batch_new();
        struct output *o = output_new();
        output_target(o, b);
        output_borrow_from(o, 200);
        output_entry(o, 41);
        put(o, 3, OUTPUT_ONCE, "APPEND", slice_str("first"), slice_of(large, 250));
        put(o, 3, OUTPUT_ONCE | OUTPUT_CONFLICT, "APPEND", slice_str("second"), slice_of(large, 300));
        output_entry(o, 43);
        put(o, 3, OUTPUT_ONCE, "APPEND", slice_str("third"), slice_str("small"));
        batch_seal(b);
        assert_true(batch_is_conflict_command(b, 2));
        assert_true(batch_remove(b, &gone, 1));
        const char *keys[] = {"first", "second", "third"};
        uint32_t n = 1;
        for (uint32_t i = 0; i < 3; i++) {
            struct slice name, key;
            if (i + 1 == gone)
                continue;
            assert_true(batch_describe(b, n, &name, &key));
            assert_true(slice_eq(key, slice_str(keys[i])));
            assert_int_equal(batch_is_conflict_command(b, n), i == 1);
            assert_int_equal(batch_command_seq(b, n), i == 2 ? 43 : 41);
            n++;
        }
        struct buf sent = {0};
        send_all(b, 64, &sent);
        assert_int_equal(sent.len, batch_bytes(b));
        assert_memory_equal(sent.data + sent.len - 14, "*1\r\n$4\r\nEXEC\r\n", 14);
        buf_free(&sent);
        output_free(o);
        batch_free(b);
    }
}

/* Any of eight, some of them borrowed. */
static void many_are_removed_at_once(void **state)
{
    (void)state;
    enum { COMMANDS = 8 };
    char large[300];
    memset(large, 'z', sizeof large);
    for (unsigned gone = 0; gone < 1u << COMMANDS; gone++) {
        struct batch *b = batch_new();
        struct output *o = output_new();
        char key[] = "k0";
        uint32_t numbers[COMMANDS], count = 0, n = 0;
        b->current_db = 0;
        output_target(o, b);
        output_borrow_from(o, 200);
        for (uint32_t i = 0; i < COMMANDS; i++) {
            key[1] = (char)('0' + i);
            output_entry(o, 100 + i);
            put(o, 0, OUTPUT_ONCE | (i % 3 ? 0 : OUTPUT_CONFLICT), "APPEND", slice_str(key),
                slice_of(large, i % 2 ? 250 : 10));
            if (gone >> i & 1)
                numbers[count++] = i;
        }
        b->mark_at = COMMANDS - 1;
        batch_seal(b);
        assert_true(batch_remove(b, numbers, count));
        assert_int_equal(b->commands, COMMANDS - count);
        for (uint32_t i = 0; i < COMMANDS; i++) {
            struct slice name, found;
            if (gone >> i & 1)
                continue;
            key[1] = (char)('0' + i);
            assert_true(batch_describe(b, n, &name, &found));
            assert_true(slice_eq(found, slice_str(key)));
            assert_int_equal(batch_command_seq(b, n), 100 + i);
            assert_int_equal(batch_is_conflict_command(b, n), i % 3 == 0);
            assert_true(i != COMMANDS - 1 || b->mark_at == n);
            n++;
        }
        struct buf sent = {0};
        send_all(b, 64, &sent);
        assert_int_equal(sent.len, batch_bytes(b));
        assert_memory_equal(sent.data + sent.len - 14, "*1\r\n$4\r\nEXEC\r\n", 14);
        buf_free(&sent);
        output_free(o);
        batch_free(b);
    }
}

static void reset_batch_is_as_new(void **state)
{
    (void)state;
    struct batch *b = batch_new();
    struct output *o = output_new();
    output_target(o, b);
    put(o, 1, OUTPUT_ONCE | OUTPUT_CONFLICT, "APPEND", slice_str("k"), slice_str("v"));
    batch_seal(b);
    batch_reset(b, 16);
    assert_true(batch_empty(b));
    assert_false(b->once);
    assert_int_equal(batch_bytes(b), 0);
    assert_false(batch_is_conflict_command(b, 1));
    output_free(o);
    batch_free(b);
}

static void doubles_read_back_as_the_same(void **state)
{
    (void)state;
    const struct {
        double v;
        const char *text;
    } cases[] = {{0.1, "0.1"}, {3, "3"}, {-0.0, "-0"}, {1e300, "1e+300"}, {1.0 / 3, "0.3333333333333333"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf resp = {0};
        struct output *o = output_for_tests(&resp, NULL);
        char expected[64];
        output_begin(o, 0, slice_str("k"), 1, 0);
        output_double(o, cases[i].v);
        output_end(o);
        snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", strlen(cases[i].text), cases[i].text);
        size_t n = strlen(expected);
        assert_true(resp.len > n);
        assert_memory_equal(resp.data + resp.len - n, expected, n);
        buf_free(&resp);
        output_free(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idempotent_batch_goes_out_plain),
        cmocka_unit_test(once_batch_goes_out_in_multi),
        cmocka_unit_test(batch_of_a_slot_on_its_way_goes_out_behind_asking),
        cmocka_unit_test(borrowed_arguments_are_sent_from_where_they_are),
        cmocka_unit_test(removed_command_leaves_the_others_whole),
        cmocka_unit_test(many_are_removed_at_once),
        cmocka_unit_test(reset_batch_is_as_new),
        cmocka_unit_test(doubles_read_back_as_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
