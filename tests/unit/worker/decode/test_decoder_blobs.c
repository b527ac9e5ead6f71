/* Compressed blobs: more of the stream, read as they are decompressed, and found again after a restart. */
#include <lz4frame.h>
#include <zstd.h>

#include "tests/unit/worker/decoder_testing.h"

enum { ZSTD = 201, LZ4 = 202 };

static void put_blob(struct buf *b, uint8_t opcode, struct slice plain)
{
    size_t cap = opcode == LZ4 ? LZ4F_compressFrameBound(plain.len, NULL) : ZSTD_compressBound(plain.len),
           len;
    uint8_t *frame = x_malloc(cap);
    if (opcode == LZ4)
        len = LZ4F_compressFrame(frame, cap, plain.data, plain.len, NULL);
    else
        len = ZSTD_compress(frame, cap, plain.data, plain.len, 3);
    buf_put_u8(b, opcode);
    put_slice(b, slice_of(frame, len));
    free(frame);
}

/* Some strings, a large hash, a chunked set, a JOURNAL_BLOB. */
static void put_contents(struct buf *b, unsigned fields)
{
    struct buf part = {0};
    put_entry(b, 0, "first");
    put_string(b, "value");
    put_entry(b, 4, "hash");
    rdb_length_write(b, fields);
    for (unsigned i = 0; i < fields; i++) {
        char text[32];
        snprintf(text, sizeof text, "field%u", i * 7919 % 10007);
        put_string(b, text);
        put_string(b, "value");
    }
    put_entry(&part, 2, "set");
    rdb_length_write(&part, 2);
    put_string(&part, "one");
    put_chunk(b, 9, &part);
    part.len = 0;
    put_command(&part, 0, "SET a b");
    put_command(&part, 0, "DEL a");
    buf_put(b, "\xd2\x02", 2);
    put_slice(b, buf_slice(&part));
    buf_free(&part);
}

static void put_rest_of_set(struct buf *b)
{
    struct buf part = {0};
    put_string(&part, "two");
    put_chunk(b, 9, &part);
    buf_free(&part);
}

static struct told told_of(struct source *s)
{
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 1000;
    assert_decodes_the_same(&c, buf_slice(&s->bytes), s->bytes.len < 10000 ? 1 : 997);
    return decode_fed(&c, buf_slice(&s->bytes), FEED_WHOLE, 1);
}

/* As it would be without the blob, but for the offsets: compares counts and the last status. */
static void blob_holds(uint8_t opcode, unsigned fields, const char *end)
{
    struct source plain, packed;
    struct buf contents = {0};
    put_contents(&contents, fields);
    source_begin(&plain, NULL);
    buf_put(&plain.bytes, contents.data, contents.len);
    put_rest_of_set(&plain.bytes);

    source_begin(&packed, NULL);
    buf_put(&contents, end, strlen(end));
    put_blob(&packed.bytes, opcode, buf_slice(&contents));
    contents.len = 0;
    put_rest_of_set(&contents);
    put_blob(&packed.bytes, opcode, buf_slice(&contents));

    struct told a = told_of(&plain), b = told_of(&packed);
    assert_int_equal(a.status, DECODE_MORE);
    assert_int_equal(b.status, DECODE_MORE);
    assert_int_equal(a.count, b.count);
    assert_true(b.offset == packed.bytes.len);
    told_free(&a);
    told_free(&b);
    buf_free(&contents);
    source_end(&plain);
    source_end(&packed);
}

static void blob_holds_more_of_the_stream(void **state)
{
    (void)state;
    static const unsigned fields[] = {3, 300, 60000}; /* the last is larger than the plain text kept of it */
    for (size_t i = 0; i < 3; i++) {
        blob_holds(LZ4, fields[i], "");
        blob_holds(ZSTD, fields[i], "");
    }
}

static void blob_may_end_with_its_end_opcode(void **state)
{
    (void)state;
    blob_holds(LZ4, 10, "\xcb");
    blob_holds(ZSTD, 10, "\xcb");
}

static void value_larger_than_the_plain_buffer_comes_whole(void **state)
{
    (void)state;
    struct source s;
    struct buf contents = {0}, value = {0};
    uint64_t random = 7;
    for (size_t i = 0; i < 400 << 10; i++) {
        uint64_t v = next_random(&random);
        buf_put(&value, &v, sizeof v);
    }
    put_entry(&contents, 0, "before");
    put_string(&contents, "x");
    put_entry(&contents, 0, "large");
    put_slice(&contents, buf_slice(&value));
    put_entry(&contents, 0, "after");
    put_string(&contents, "x");
    source_begin(&s, NULL);
    put_blob(&s.bytes, LZ4, buf_slice(&contents));
    expect_entry(&s, ENTRY_STRING);
    expect_entry(&s, ENTRY_STRING);
    assert_int_equal(s.e.value.len, value.len);
    assert_memory_equal(s.e.value.data, value.data, value.len);
    assert_true(s.e.offset == 9 && decoder_offset(s.d) == 9);
    expect_entry(&s, ENTRY_STRING);
    assert_int_equal(next_of(&s), DECODE_MORE);
    assert_true(decoder_offset(s.d) == s.bytes.len);
    buf_free(&contents);
    buf_free(&value);
    source_end(&s);
}

static void blob_may_be_the_payload_of_a_chunk(void **state)
{
    (void)state;
    struct source s;
    struct buf contents = {0}, blob = {0};
    put_entry(&contents, 0, "inside");
    put_string(&contents, "x");
    put_entry(&contents, 0, "inside too");
    put_string(&contents, "x");
    put_blob(&blob, LZ4, buf_slice(&contents));
    source_begin(&s, NULL);
    put_chunk(&s.bytes, 4, &blob);
    put_entry(&s.bytes, 0, "after");
    put_string(&s.bytes, "x");
    for (int i = 0; i < 3; i++)
        expect_entry(&s, ENTRY_STRING);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);

    source_begin(&s, NULL); /* but then all of it */
    buf_put(&blob, "x", 1);
    put_chunk(&s.bytes, 4, &blob);
    expect_error(&s, "holds a compressed blob");
    source_end(&s);
    buf_free(&contents);
    buf_free(&blob);
}

static void end_of_the_snapshot_may_be_in_a_blob_but_its_token_is_not(void **state)
{
    (void)state;
    struct source s;
    struct buf contents = {0};
    put_eof(&contents);
    contents.len -= 40;
    source_begin(&s, NULL);
    put_blob(&s.bytes, ZSTD, buf_slice(&contents));
    put_text(&s.bytes, TOKEN);
    expect_entry(&s, ENTRY_EOF);
    assert_true(decoder_in_journal(s.d));
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);

    put_text(&contents, TOKEN);
    source_begin(&s, NULL);
    put_blob(&s.bytes, ZSTD, buf_slice(&contents));
    expect_error(&s, "continues after EOF");
    source_end(&s);
    buf_free(&contents);
}

static void refused_blob(uint8_t opcode, struct slice plain, size_t damage, const char *why)
{
    struct source s;
    source_begin(&s, NULL);
    put_blob(&s.bytes, opcode, plain);
    if (damage)
        s.bytes.data[damage] ^= 0xff;
    for (int i = 0; i < 40; i++) /* what follows must not be taken for more of it */
        buf_put_u8(&s.bytes, 249), buf_put_u8(&s.bytes, 0);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    while (next_of(&s) == DECODE_ENTRY)
        ;
    expect_error(&s, why);
    source_end(&s);
}

static void broken_blobs_are_refused_with_words(void **state)
{
    (void)state;
    struct buf plain = {0}, outer = {0};
    put_entry(&plain, 0, "key");
    put_string(&plain, "a value, a value, a value, a value, a value");
    for (uint8_t opcode = ZSTD; opcode <= LZ4; opcode++) {
        refused_blob(opcode, slice_of(plain.data, plain.len - 1), 0, "ends within an entry");
        refused_blob(opcode, slice_of(plain.data, 1), 0, "ends within an entry");
        outer.len = 0;
        put_blob(&outer, opcode, buf_slice(&plain));
        refused_blob(opcode, buf_slice(&outer), 0, "a compressed blob in a compressed blob");
    }
    enum { FRAME_AT = 9 + 2 };
    refused_blob(LZ4, buf_slice(&plain), FRAME_AT, "compressed blob (LZ4");
    refused_blob(ZSTD, buf_slice(&plain), FRAME_AT, "compressed blob (zstd");
    buf_free(&plain);
    buf_free(&outer);
}

static void blob_of_a_wrong_length_is_refused(void **state)
{
    (void)state;
    struct buf plain = {0}, blob = {0};
    put_entry(&plain, 0, "key");
    put_string(&plain, "value");
    for (uint8_t opcode = ZSTD; opcode <= LZ4; opcode++)
        for (int by = -1; by <= 1; by += 2) {
            struct source s;
            blob.len = 0;
            put_blob(&blob, opcode, buf_slice(&plain));
            blob.data[1] = (uint8_t)(blob.data[1] + by); /* lengths below 64 */
            source_begin(&s, NULL);
            buf_put(&s.bytes, blob.data, blob.len);
            put_string(&s.bytes, "more");
            while (next_of(&s) == DECODE_ENTRY)
                ;
            expect_error(&s, by < 0 ? "truncated frame" : "trailing bytes after its frame");
            source_end(&s);
        }
    buf_free(&plain);
    buf_free(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blob_holds_more_of_the_stream),
        cmocka_unit_test(blob_may_end_with_its_end_opcode),
        cmocka_unit_test(value_larger_than_the_plain_buffer_comes_whole),
        cmocka_unit_test(blob_may_be_the_payload_of_a_chunk),
        cmocka_unit_test(end_of_the_snapshot_may_be_in_a_blob_but_its_token_is_not),
        cmocka_unit_test(broken_blobs_are_refused_with_words),
        cmocka_unit_test(blob_of_a_wrong_length_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
