/* The restart record: small, checked, and enough to go on with the very next entry. */
#include "tests/unit/worker/decoder_testing.h"

/* Two values suspended between chunks, a third at hand, attributes waiting for their entry. */
static void put_open_values(struct buf *b)
{
    struct buf part = {0};
    buf_put(b, "\xfe\x05", 2);
    put_entry(&part, 2, "suspended set");
    rdb_length_write(&part, 3);
    put_string(&part, "member");
    put_chunk(b, 11, &part);
    part.len = 0;
    put_entry(&part, 34, "suspended bloom filter");
    rdb_length_write(&part, 0);
    put_le(&part, 0, 16);
    for (int i = 0; i < 3; i++)
        rdb_length_write(&part, 1);
    rdb_length_write(&part, 1);
    rdb_length_write(&part, 7);
    rdb_length_write(&part, 8);
    put_string(&part, "12345");
    put_chunk(b, 12, &part);
    put_entry(b, 5, "at hand");
    rdb_length_write(b, 3);
    for (int i = 0; i < 3; i++) {
        put_string(b, "m");
        put_double(b, i);
    }
    part.len = 0;
    put_string(&part, "678");
    put_chunk(b, 12, &part);
    part.len = 0;
    put_string(&part, "second");
    put_string(&part, "third");
    put_chunk(b, 11, &part);
    buf_free(&part);
}

static struct decoder_config small_config(void)
{
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 5;
    c.group_elements = 2;
    return c;
}

static void goes_on_with_the_next_entry_whatever_is_open(void **state)
{
    (void)state;
    struct decoder_config c = small_config();
    struct buf b = {0};
    put_header(&b);
    put_open_values(&b);
    struct told t = decode_fed(&c, buf_slice(&b), FEED_WHOLE, 1);
    assert_int_equal(t.status, DECODE_MORE);
    assert_int_equal(t.count, 2 + 5 + 1 + 3);
    told_free(&t);
    assert_decodes_the_same(&c, buf_slice(&b), 1);
    buf_free(&b);
}

/* Stops with all of it open: one element of "at hand" was given. */
static void save_with_open_values(struct source *s, struct buf *out)
{
    struct decoder_config c = small_config();
    source_begin(s, &c);
    put_open_values(&s->bytes);
    expect_entry(s, ENTRY_BEGIN);
    expect_entry(s, ENTRY_ELEMENTS);
    expect_entry(s, ENTRY_BEGIN);
    expect_entry(s, ENTRY_ELEMENTS);
    decoder_save(s->d, out);
}

static void damaged_record_is_refused_or_harmless(void **state)
{
    (void)state;
    struct source s;
    struct buf record = {0};
    struct decoder_config c = small_config();
    struct error error;
    save_with_open_values(&s, &record);
    for (size_t len = 0; len < record.len; len++) {
        struct decoder *d = decoder_new(&c);
        assert_false(decoder_restore(d, slice_of(record.data, len), &error));
        assert_int_equal(error.class, ERROR_FATAL);
        decoder_free(d);
    }
    for (size_t i = 0; i < record.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct decoder *d = decoder_new(&c);
            struct entry e;
            record.data[i] ^= (uint8_t)(1 << bit);
            if (decoder_restore(d, buf_slice(&record), &error))
                for (int n = 0; n < 20 && decoder_next(d, buf_slice(&s.bytes), &e, &error) == DECODE_ENTRY;
                     n++)
                    if (decoder_offset(d) > 10000)
                        break;
            record.data[i] ^= (uint8_t)(1 << bit);
            decoder_free(d);
        }
    buf_put_u8(&record, 0); /* too long */
    struct decoder *d = decoder_new(&c);
    assert_false(decoder_restore(d, buf_slice(&record), &error));
    decoder_free(d);
    buf_free(&record);
    source_end(&s);
}

static void record_of_another_version_is_refused(void **state)
{
    (void)state;
    struct source s;
    struct buf record = {0};
    struct error error;
    save_with_open_values(&s, &record);
    record.data[7]++;
    assert_false(decoder_restore(s.d, buf_slice(&record), &error));
    assert_non_null(strstr(error.text, "restart record"));
    assert_int_equal(next_of(&s), DECODE_ERROR); /* and it does not go on as if nothing was */
    buf_free(&record);
    source_end(&s);
}

static void record_keeps_the_limit_that_the_session_began_with(void **state)
{
    (void)state;
    struct source s;
    struct buf record = {0};
    struct decoder_config c = config_of(TOKEN, 0), other = c;
    struct error error;
    source_begin(&s, &c);
    put_entry(&s.bytes, 0, "k");
    put_string(&s.bytes, "v");
    put_entry(&s.bytes, 2, "set");
    rdb_length_write(&s.bytes, 1);
    put_string(&s.bytes, "member");
    expect_entry(&s, ENTRY_STRING);
    decoder_save(s.d, &record);
    assert_true(record.len <= 160);
    decoder_free(s.d);
    other.restore_limit_bytes = 1;
    s.d = decoder_new(&other);
    assert_true(decoder_restore(s.d, buf_slice(&record), &error));
    expect_entry(&s, ENTRY_VALUE);
    assert_int_equal(s.e.seq, 2);
    buf_free(&record);
    source_end(&s);
}

/* The record of a decoder that has given one string, with one byte of it changed. */
static void expect_refused_position(size_t at, uint8_t byte, const char *why)
{
    struct source s;
    struct buf record = {0}, command = {0};
    struct error error;
    source_begin(&s, NULL);
    put_entry(&s.bytes, 0, "k");
    put_string(&s.bytes, "v");
    put_command(&command, 0, "DEL k");
    buf_put(&s.bytes, "\xd2\x01", 2);
    put_slice(&s.bytes, buf_slice(&command));
    expect_entry(&s, ENTRY_STRING);
    decoder_save(s.d, &record);
    record.data[at] = byte;
    assert_true(decoder_restore(s.d, buf_slice(&record), &error));
    expect_error(&s, why);
    buf_free(&record);
    buf_free(&command);
    source_end(&s);
}

static void record_that_does_not_fit_the_stream_is_found_out(void **state)
{
    (void)state;
    enum { JOURNAL_GIVEN_AT = 7 * 8, WHERE_AT = 109 + 32 };
    expect_refused_position(WHERE_AT, 1, "not at a compressed blob");
    expect_refused_position(JOURNAL_GIVEN_AT, 1, "not in this JOURNAL_BLOB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_with_the_next_entry_whatever_is_open),
        cmocka_unit_test(damaged_record_is_refused_or_harmless),
        cmocka_unit_test(record_of_another_version_is_refused),
        cmocka_unit_test(record_keeps_the_limit_that_the_session_began_with),
        cmocka_unit_test(record_that_does_not_fit_the_stream_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
