/* Values in tagged chunks: put together again by their stream id, whatever comes in between. */
#include "tests/unit/worker/decoder_testing.h"

static void put_members(struct buf *b, const char *prefix, int from, int to)
{
    char text[32];
    for (int i = from; i < to; i++) {
        snprintf(text, sizeof text, "%s%d", prefix, i);
        put_string(b, text);
    }
}

/* The first chunk of a set of `total` members, `there` of which it holds. */
static void put_first(struct buf *b, uint32_t id, const char *key, unsigned total, int there)
{
    struct buf payload = {0};
    put_entry(&payload, 2, key);
    rdb_length_write(&payload, total);
    put_members(&payload, key, 0, there);
    put_chunk(b, id, &payload);
    buf_free(&payload);
}

static void put_more(struct buf *b, uint32_t id, const char *prefix, int from, int to)
{
    struct buf payload = {0};
    put_members(&payload, prefix, from, to);
    put_chunk(b, id, &payload);
    buf_free(&payload);
}

static void put_whole_string(struct buf *b, const char *key)
{
    put_entry(b, 0, key);
    put_string(b, "x");
}

static void chunks_of_several_values_and_other_entries_interleave(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    buf_put(&s.bytes, "\xfe\x02", 2); /* SELECTDB 2 */
    buf_put_u8(&s.bytes, 252);        /* an expiry before the chunk */
    put_le(&s.bytes, 5000, 8);
    put_first(&s.bytes, 7, "a", 5, 2);
    buf_put(&s.bytes, "\xfe\x03", 2);
    put_first(&s.bytes, 8, "b", 3, 1);
    put_whole_string(&s.bytes, "plain");
    put_more(&s.bytes, 7, "a", 2, 4);
    put_more(&s.bytes, 8, "b", 1, 3);
    put_more(&s.bytes, 7, "a", 4, 5);

    expect_entry(&s, ENTRY_BEGIN);
    assert_true(s.e.id == 7 && s.e.db == 2 && s.e.expire_ms == 5000 && s.e.total_elements == 5);
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_true(s.e.id == 7 && s.e.element_count == 2);
    expect_entry(&s, ENTRY_BEGIN);
    assert_true(s.e.id == 8 && s.e.db == 3 && s.e.expire_ms == 0);
    expect_entry(&s, ENTRY_ELEMENTS);
    expect_entry(&s, ENTRY_STRING);
    assert_true(s.e.db == 3 && s.e.expire_ms == 0);
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_true(s.e.id == 7 && s.e.db == 2 && s.e.expire_ms == 5000 && s.e.element_count == 2);
    expect_text(s.e.key, "a");
    expect_text(s.e.elements[1].a, "a3");
    expect_entry(&s, ENTRY_ELEMENTS);
    expect_entry(&s, ENTRY_END);
    assert_true(s.e.id == 8);
    expect_text(s.e.key, "b");
    expect_entry(&s, ENTRY_ELEMENTS);
    expect_entry(&s, ENTRY_END);
    assert_true(s.e.id == 7 && s.e.expire_ms == 5000 && s.e.seq == 13);
    assert_int_equal(next_of(&s), DECODE_MORE);

    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void value_complete_in_its_first_chunk_comes_whole(void **state)
{
    (void)state;
    struct source s;
    struct buf payload = {0};
    source_begin(&s, NULL);
    put_first(&s.bytes, 1, "k", 3, 3);
    buf_put_u8(&payload, 252); /* attributes inside of the chunk */
    put_le(&payload, 9, 8);
    put_whole_string(&payload, "s");
    put_chunk(&s.bytes, 2, &payload);
    put_whole_string(&s.bytes, "next");
    expect_entry(&s, ENTRY_VALUE);
    assert_true(s.e.id == 0);
    expect_entry(&s, ENTRY_STRING);
    assert_true(s.e.expire_ms == 9);
    expect_entry(&s, ENTRY_STRING);
    assert_true(s.e.expire_ms == 0);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    buf_free(&payload);
    source_end(&s);
}

static void chunk_may_end_right_after_the_count(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    put_first(&s.bytes, 1, "k", 2, 0);
    put_more(&s.bytes, 1, "k", 0, 2);
    expect_entry(&s, ENTRY_BEGIN);
    expect_entry(&s, ENTRY_ELEMENTS);
    expect_entry(&s, ENTRY_END);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void put_tail(struct buf *b)
{
    static const uint8_t tail[] = {1, 5, 0, 5, 0, 0, 0, 1, 0}; /* 21, no groups */
    buf_put(b, tail, sizeof tail);
}

static void put_node(struct buf *b, uint8_t ms)
{
    uint8_t id[16] = {[7] = ms};
    put_slice(b, slice_of(id, sizeof id));
    put_listpack(b, "entries", "of", "a", "node", NULL);
}

static void stream_is_resumed_between_nodes_and_its_tail_is_one_element(void **state)
{
    (void)state;
    struct source s;
    struct buf payload = {0};
    source_begin(&s, NULL);
    put_entry(&payload, 21, "st");
    rdb_length_write(&payload, 2);
    put_node(&payload, 1);
    put_chunk(&s.bytes, 3, &payload);
    put_whole_string(&s.bytes, "between");
    payload.len = 0;
    put_node(&payload, 2);
    put_tail(&payload);
    put_chunk(&s.bytes, 3, &payload);
    expect_entry(&s, ENTRY_BEGIN);
    assert_int_equal(s.e.total_elements, 2);
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_int_equal(s.e.class, ELEMENT_STREAM_NODE);
    assert_int_equal(s.e.elements[0].a.len, 16);
    expect_entry(&s, ENTRY_STRING);
    expect_entry(&s, ENTRY_ELEMENTS);
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_int_equal(s.e.class, ELEMENT_STREAM_TAIL);
    assert_int_equal(s.e.elements[0].a.len, 9);
    expect_entry(&s, ENTRY_END);
    assert_int_equal(s.e.seq, 6);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    buf_free(&payload);
    source_end(&s);
}

static void list_node_larger_than_a_group_keeps_its_sequence_numbers(void **state)
{
    (void)state;
    struct source s;
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 10;
    c.group_elements = 2;
    source_begin(&s, &c);
    put_entry(&s.bytes, 18, "l");
    rdb_length_write(&s.bytes, 3);
    rdb_length_write(&s.bytes, 2);
    put_listpack(&s.bytes, "1st", "2nd", "3rd", NULL);
    rdb_length_write(&s.bytes, 1);
    put_string(&s.bytes, "a plain node");
    rdb_length_write(&s.bytes, 2);
    put_listpack(&s.bytes, "last", NULL);
    expect_entry(&s, ENTRY_BEGIN);
    assert_int_equal(s.e.total_elements, 3);
    static const char *const items[] = {"1st", "2nd", "3rd", "a plain node", "last"};
    for (size_t i = 0; i < 5;) {
        expect_entry(&s, ENTRY_ELEMENTS);
        for (size_t j = 0; j < s.e.element_count; j++)
            expect_text(s.e.elements[j].a, items[i++]);
        assert_int_equal(s.e.seq, 1 + i);
    }
    expect_entry(&s, ENTRY_END);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void unsupported_value_in_chunks_is_one_entry(void **state)
{
    (void)state;
    struct source s;
    struct buf payload = {0};
    source_begin(&s, NULL);
    put_entry(&payload, 34, "bloom");
    rdb_length_write(&payload, 0);
    put_le(&payload, 0, 16);
    for (int i = 0; i < 3; i++)
        rdb_length_write(&payload, 1);
    rdb_length_write(&payload, 1);
    rdb_length_write(&payload, 7);
    rdb_length_write(&payload, 8);
    put_string(&payload, "12345");
    put_chunk(&s.bytes, 5, &payload);
    put_whole_string(&s.bytes, "between");
    payload.len = 0;
    put_string(&payload, "678");
    put_chunk(&s.bytes, 5, &payload);
    put_whole_string(&s.bytes, "next");
    expect_entry(&s, ENTRY_STRING);
    expect_entry(&s, ENTRY_UNSUPPORTED);
    expect_text(s.e.key, "bloom");
    expect_entry(&s, ENTRY_STRING);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    buf_free(&payload);
    source_end(&s);
}

/* Feeds what was put behind the header until it is refused with these words. */
static void expect_refused(struct source *s, const char *why)
{
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s->bytes), 1);
    while (next_of(s) == DECODE_ENTRY)
        ;
    expect_error(s, why);
    source_end(s);
}

static void chunks_that_break_the_rules_are_refused(void **state)
{
    (void)state;
    struct source s;
    struct buf payload = {0};

    source_begin(&s, NULL);
    put_first(&s.bytes, 0, "k", 2, 1);
    expect_refused(&s, "stream id 0");

    source_begin(&s, NULL);
    put_chunk(&s.bytes, 1, &payload);
    expect_refused(&s, "with 0 bytes");

    source_begin(&s, NULL); /* the value is complete, its chunk is not */
    put_first(&s.bytes, 1, "k", 1, 2);
    expect_refused(&s, "3 bytes more than its value");

    source_begin(&s, NULL); /* the same in its second chunk */
    put_first(&s.bytes, 1, "k", 2, 1);
    put_more(&s.bytes, 1, "k", 1, 3);
    expect_refused(&s, "3 bytes more than its value");

    source_begin(&s, NULL); /* a member goes on in the next chunk */
    put_entry(&payload, 2, "k");
    rdb_length_write(&payload, 2);
    put_string(&payload, "whole");
    put_string(&payload, "member");
    payload.len -= 2;
    put_chunk(&s.bytes, 1, &payload);
    expect_refused(&s, "ends within an element");

    source_begin(&s, NULL); /* attributes, and nothing they belong to */
    payload.len = 0;
    buf_put(&payload, "\xf9\x01", 2);
    put_chunk(&s.bytes, 1, &payload);
    put_whole_string(&s.bytes, "k");
    expect_refused(&s, "ends within an element");

    source_begin(&s, NULL); /* a string is never split */
    payload.len = 0;
    put_whole_string(&payload, "k");
    payload.len--;
    put_chunk(&s.bytes, 1, &payload);
    put_whole_string(&s.bytes, "k");
    expect_refused(&s, "ends within an element");

    source_begin(&s, NULL);
    payload.len = 0;
    put_first(&payload, 2, "k", 2, 1);
    put_chunk(&s.bytes, 1, &payload);
    expect_refused(&s, "opcode 224 in a chunk");
    buf_free(&payload);
}

static void snapshot_that_ends_with_incomplete_values_is_refused(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    put_first(&s.bytes, 1, "k", 2, 1);
    put_eof(&s.bytes);
    expect_refused(&s, "1 values incomplete");
}

static void too_many_open_values_are_refused(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    for (uint32_t i = 1; i <= 4097; i++)
        put_first(&s.bytes, i, "k", 2, 1);
    for (int i = 0; i < 4096; i++) {
        expect_entry(&s, ENTRY_BEGIN);
        expect_entry(&s, ENTRY_ELEMENTS);
    }
    expect_error(&s, "more than 4096 values");
    source_end(&s);
}

static void keys_of_open_values_are_bounded(void **state)
{
    (void)state;
    struct source s;
    char *key = x_malloc(8 << 20);
    memset(key, 'k', 8 << 20);
    key[(8 << 20) - 1] = '\0';
    source_begin(&s, NULL);
    for (uint32_t i = 1; i <= 9; i++)
        put_first(&s.bytes, i, key, 2, 0);
    for (int i = 0; i < 8; i++)
        expect_entry(&s, ENTRY_BEGIN);
    expect_error(&s, "longer than 67108864 bytes");
    free(key);
    source_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_several_values_and_other_entries_interleave),
        cmocka_unit_test(value_complete_in_its_first_chunk_comes_whole),
        cmocka_unit_test(chunk_may_end_right_after_the_count),
        cmocka_unit_test(stream_is_resumed_between_nodes_and_its_tail_is_one_element),
        cmocka_unit_test(list_node_larger_than_a_group_keeps_its_sequence_numbers),
        cmocka_unit_test(unsupported_value_in_chunks_is_one_entry),
        cmocka_unit_test(chunks_that_break_the_rules_are_refused),
        cmocka_unit_test(snapshot_that_ends_with_incomplete_values_is_refused),
        cmocka_unit_test(too_many_open_values_are_refused),
        cmocka_unit_test(keys_of_open_values_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
