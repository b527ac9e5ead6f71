/* Streams: entries of a node, the tail, conversion for older targets. */
#include "worker/rdb/stream.h"

#include "tests/unit/worker/decoder_testing.h"

/* A listpack of small integers and texts: "7" is the number, "'abc" the text. */
static struct buf node_of(const char *const *items, size_t n)
{
    struct buf b = {0};
    put_le(&b, 0, 6);
    for (size_t i = 0; i < n; i++) {
        if (items[i][0] == '\'') {
            size_t len = strlen(items[i] + 1);
            buf_put_u8(&b, (uint8_t)(0x80 | len));
            buf_put(&b, items[i] + 1, len);
            buf_put_u8(&b, (uint8_t)(len + 1));
        } else {
            buf_put_u8(&b, (uint8_t)(items[i][0] - '0'));
            buf_put_u8(&b, 1);
        }
    }
    buf_put_u8(&b, 0xff);
    b.data[0] = (uint8_t)b.len;
    b.data[4] = (uint8_t)n;
    return b;
}

static const char *const node_items[] = {
    "2", "1", "2", "'name", "7",      "0",        /* two entries, one deleted; fields "name" and 7 */
    "2", "0", "0", "'v1",   "5",      "5",        /* the same fields */
    "3", "1", "0", "'gone", "'gone",  "5",        /* deleted */
    "0", "3", "9", "1",     "'other", "'v2", "6", /* its own field */
};

static void node_gives_entries_with_fields_and_leaves_out_deleted_ones(void **state)
{
    (void)state;
    struct buf lp = node_of(node_items, sizeof node_items / sizeof *node_items);
    static const uint8_t master[16] = {[6] = 1, [15] = 4}; /* 256-4 */
    struct stream_node_reader *r = stream_node_reader_new();
    struct stream_entry e;
    struct error error;
    for (int again = 0; again < 2; again++) {
        assert_true(stream_node_begin(r, slice_of(master, 16), buf_slice(&lp), &error));
        assert_int_equal(stream_node_next(r, &e, &error), 1);
        assert_true(e.id.ms == 256 && e.id.seq == 4 && e.field_count == 4);
        expect_text(e.fields[0], "name");
        expect_text(e.fields[1], "v1");
        expect_text(e.fields[2], "7");
        expect_text(e.fields[3], "5");
        assert_int_equal(stream_node_next(r, &e, &error), 1);
        assert_true(e.id.ms == 259 && e.id.seq == 13 && e.field_count == 2);
        expect_text(e.fields[0], "other");
        expect_text(e.fields[1], "v2");
        assert_int_equal(stream_node_next(r, &e, &error), 0);
    }
    stream_node_reader_free(r);
    buf_free(&lp);
}

static void damaged_node_is_never_read_beyond_its_end(void **state)
{
    (void)state;
    struct buf lp = node_of(node_items, sizeof node_items / sizeof *node_items);
    static const uint8_t master[16];
    struct stream_node_reader *r = stream_node_reader_new();
    struct error error;
    for (size_t i = 0; i < lp.len; i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t *copy = x_malloc(lp.len);
            struct stream_entry e;
            memcpy(copy, lp.data, lp.len);
            copy[i] = (uint8_t)byte;
            if (stream_node_begin(r, slice_of(master, 16), slice_of(copy, lp.len), &error))
                for (int n = 0; stream_node_next(r, &e, &error) == 1; n++)
                    assert_true(n < 256);
            free(copy);
        }
    assert_false(stream_node_begin(r, slice_of(master, 15), buf_slice(&lp), &error));
    stream_node_reader_free(r);
    buf_free(&lp);
}

/* A stream of one node and one group with two pending entries and two consumers. */
static struct buf stream_of(uint8_t type)
{
    struct buf b = {0};
    static const uint8_t id[16] = {[7] = 1};
    rdb_length_write(&b, 1);
    put_slice(&b, slice_of(id, 16));
    put_listpack(&b, "node", NULL);
    rdb_length_write(&b, 70); /* length */
    rdb_length_write(&b, 300);
    rdb_length_write(&b, 5);
    if (type >= 19) {
        rdb_length_write(&b, 100);
        rdb_length_write(&b, 1);
        rdb_length_write(&b, 99);
        rdb_length_write(&b, 2);
        rdb_length_write(&b, 71);
    }
    rdb_length_write(&b, 1);
    put_string(&b, "group");
    rdb_length_write(&b, 200);
    rdb_length_write(&b, 3);
    if (type >= 19)
        rdb_length_write(&b, 60);
    rdb_length_write(&b, 2);
    for (uint8_t i = 1; i <= 2; i++) {
        uint8_t pending[16] = {[7] = i, [15] = i};
        buf_put(&b, pending, 16);
        put_le(&b, 1000u + i, 8);
        rdb_length_write(&b, i);
    }
    rdb_length_write(&b, 2);
    for (uint8_t i = 2; i >= 1; i--) { /* the second pending entry is the first consumer's */
        uint8_t pending[16] = {[7] = i, [15] = i};
        put_string(&b, i == 2 ? "alice" : "bob");
        put_le(&b, 5000u + i, 8);
        if (type == 21)
            put_le(&b, 6000u + i, 8);
        rdb_length_write(&b, 1);
        buf_put(&b, pending, 16);
    }
    return b;
}

static void conversion_leaves_out_what_the_older_target_does_not_have(void **state)
{
    (void)state;
    static const uint8_t pairs[][2] = {{21, 21}, {21, 19}, {21, 15}, {19, 19}, {19, 15}, {15, 15}};
    for (size_t i = 0; i < 6; i++) {
        struct buf from = stream_of(pairs[i][0]), to = stream_of(pairs[i][1]), out = {0};
        struct error error;
        assert_true(stream_convert(buf_slice(&from), pairs[i][0], pairs[i][1], &out, &error));
        assert_int_equal(out.len, to.len);
        assert_memory_equal(out.data, to.data, to.len);
        for (size_t len = 0; len < from.len; len++) {
            out.len = 0;
            assert_false(stream_convert(slice_of(from.data, len), pairs[i][0], pairs[i][1], &out, &error));
        }
        buf_put_u8(&from, 0);
        assert_false(stream_convert(buf_slice(&from), pairs[i][0], pairs[i][1], &out, &error));
        buf_free(&from);
        buf_free(&to);
        buf_free(&out);
    }
}

static void conversion_to_a_newer_layout_is_refused(void **state)
{
    (void)state;
    struct buf from = stream_of(15), out = {0};
    struct error error;
    assert_false(stream_convert(buf_slice(&from), 15, 21, &out, &error));
    assert_false(stream_convert(buf_slice(&from), 4, 15, &out, &error));
    buf_free(&from);
    buf_free(&out);
}

static void on_head(void *arg, const struct stream_tail *t)
{
    buf_printf(arg, "length %d last %d-%d first %d-%d deleted %d-%d added %d\n", (int)t->length,
               (int)t->last_id.ms, (int)t->last_id.seq, (int)t->first_id.ms, (int)t->first_id.seq,
               (int)t->max_deleted_id.ms, (int)t->max_deleted_id.seq, (int)t->entries_added);
}

static void on_group(void *arg, struct slice name, struct stream_id last, uint64_t read)
{
    buf_printf(arg, "group %.*s %d-%d read %d\n", (int)name.len, (const char *)name.data, (int)last.ms,
               (int)last.seq, (int)read);
}

static void on_consumer(void *arg, struct slice group, struct slice name, int64_t seen, int64_t active)
{
    buf_printf(arg, "consumer %.*s %.*s %d %d\n", (int)group.len, (const char *)group.data, (int)name.len,
               (const char *)name.data, (int)seen, (int)active);
}

static void on_pending(void *arg, struct slice group, struct slice consumer, struct stream_id id,
                       int64_t delivered, uint64_t count)
{
    buf_printf(arg, "pending %.*s %.*s %d-%d %d %d\n", (int)group.len, (const char *)group.data,
               (int)consumer.len, (const char *)consumer.data, (int)id.ms, (int)id.seq, (int)delivered,
               (int)count);
}

static void tail_is_told_in_order(void **state)
{
    (void)state;
    static const char *const expected[] = {
        [15] = "length 70 last 300-5 first 0-0 deleted 0-0 added 70\ngroup group 200-3 read 0\n"
               "consumer group alice 5002 5002\npending group alice 2-2 1002 2\n"
               "consumer group bob 5001 5001\npending group bob 1-1 1001 1\n",
        [19] = "length 70 last 300-5 first 100-1 deleted 99-2 added 71\ngroup group 200-3 read 60\n"
               "consumer group alice 5002 5002\npending group alice 2-2 1002 2\n"
               "consumer group bob 5001 5001\npending group bob 1-1 1001 1\n",
        [21] = "length 70 last 300-5 first 100-1 deleted 99-2 added 71\ngroup group 200-3 read 60\n"
               "consumer group alice 5002 6002\npending group alice 2-2 1002 2\n"
               "consumer group bob 5001 6001\npending group bob 1-1 1001 1\n",
    };
    static const uint8_t types[] = {15, 19, 21};
    enum { NODES_BYTES = 1 + 17 + 1 + 6 + 6 + 1 };
    for (size_t i = 0; i < 3; i++) {
        struct buf b = stream_of(types[i]), text = {0};
        struct error error;
        const struct stream_tail_visitor visitor = {&text, on_head, on_group, on_consumer, on_pending},
                                         nobody = {0};
        struct slice tail = slice_of(b.data + NODES_BYTES, b.len - NODES_BYTES);
        assert_true(stream_tail_visit(tail, types[i], &visitor, &error));
        buf_put_u8(&text, 0);
        assert_string_equal((char *)text.data, expected[types[i]]);
        assert_true(stream_tail_visit(tail, types[i], &nobody, &error));
        for (size_t len = 0; len < tail.len; len++)
            assert_false(stream_tail_visit(slice_of(tail.data, len), types[i], &nobody, &error));
        buf_free(&b);
        buf_free(&text);
    }
}

static void entry_owned_but_not_pending_is_refused(void **state)
{
    (void)state;
    struct buf b = stream_of(21), text = {0};
    struct error error;
    const struct stream_tail_visitor visitor = {.arg = &text, .pending = on_pending};
    b.data[b.len - 1] = 9; /* the last id */
    assert_false(stream_tail_visit(slice_of(b.data + 32, b.len - 32), 21, &visitor, &error));
    assert_non_null(strstr(error.text, "has a pending entry"));
    buf_free(&b);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_gives_entries_with_fields_and_leaves_out_deleted_ones),
        cmocka_unit_test(damaged_node_is_never_read_beyond_its_end),
        cmocka_unit_test(conversion_leaves_out_what_the_older_target_does_not_have),
        cmocka_unit_test(conversion_to_a_newer_layout_is_refused),
        cmocka_unit_test(tail_is_told_in_order),
        cmocka_unit_test(entry_owned_but_not_pending_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
