/* Values of each layout: where they end, and what is in them. */
#include "tests/unit/worker/decoder_testing.h"

struct sample {
    uint8_t type;
    struct buf value;
    const char *elements; /* as elements_text() writes them */
};

static void ziplist(struct buf *b, const char *items, size_t len, unsigned count)
{
    struct buf z = {0};
    put_le(&z, 10 + len + 1, 4);
    put_le(&z, 10, 4);
    put_le(&z, count, 2);
    buf_put(&z, items, len);
    buf_put_u8(&z, 0xff);
    put_slice(b, buf_slice(&z));
    buf_free(&z);
}

static void intset(struct buf *b)
{
    struct buf s = {0};
    put_le(&s, 2, 4);
    put_le(&s, 2, 4);
    put_le(&s, (uint64_t)-5, 2);
    put_le(&s, 7, 2);
    put_slice(b, buf_slice(&s));
    buf_free(&s);
}

static void strings(struct buf *b, unsigned count, ...)
{
    va_list args;
    va_start(args, count);
    rdb_length_write(b, count);
    for (const char *s; (s = va_arg(args, const char *));)
        put_string(b, s);
    va_end(args);
}

static void stream(struct buf *b, uint8_t type)
{
    static const uint8_t id[16] = {[7] = 1};
    rdb_length_write(b, 1);
    put_slice(b, slice_of(id, sizeof id));
    put_listpack(b, "x", NULL);
    for (int i = 0; i < (type == 15 ? 3 : 8); i++)
        rdb_length_write(b, 1);
    rdb_length_write(b, 1); /* a group */
    put_string(b, "group");
    for (int i = 0; i < (type == 15 ? 2 : 3); i++)
        rdb_length_write(b, 1);
    rdb_length_write(b, 1); /* with one pending entry */
    put_le(b, 0, 24);
    rdb_length_write(b, 1);
    rdb_length_write(b, 1); /* and a consumer that owns it */
    put_string(b, "consumer");
    put_le(b, 0, type == 21 ? 16 : 8);
    rdb_length_write(b, 1);
    put_le(b, 0, 16);
}

enum { SAMPLES = 21 };

static void make_samples(struct sample s[SAMPLES])
{
    static const uint8_t types[SAMPLES] = {1,  2,  3,  4,  5,  9,  10, 11, 12, 13, 14,
                                           15, 16, 17, 18, 19, 20, 21, 31, 32, 2};
    for (size_t i = 0; i < SAMPLES; i++)
        s[i] = (struct sample){.type = types[i]};
    strings(&s[0].value, 2, "a", "bb", NULL);
    s[0].elements = "a bb ";
    strings(&s[1].value, 2, "a", "bb", NULL);
    s[1].elements = "a bb ";
    rdb_length_write(&s[2].value, 3);
    put_string(&s[2].value, "m");
    buf_put(&s[2].value,
            "\x03"
            "1.5",
            4);
    put_string(&s[2].value, "n");
    buf_put(&s[2].value, "\xff", 1);
    put_string(&s[2].value, "o");
    buf_put(&s[2].value, "\xfe", 1);
    s[2].elements = "m=1.5 n=-inf o=inf ";
    strings(&s[3].value, 2, "f", "v", "g", "w", NULL);
    s[3].elements = "f:v g:w ";
    rdb_length_write(&s[4].value, 1);
    put_string(&s[4].value, "m");
    put_double(&s[4].value, -2.25);
    s[4].elements = "m=-2.25 ";
    put_slice(&s[5].value, slice_of("\x01\x01"
                                    "f\x01\x00"
                                    "v\xff",
                                    7));
    s[5].elements = "f:v ";
    ziplist(&s[6].value,
            "\x00\x01"
            "a\x03\xfe\xff",
            6, 2);
    s[6].elements = "a -1 ";
    intset(&s[7].value);
    s[7].elements = "-5 7 ";
    ziplist(&s[8].value,
            "\x00\x01"
            "m\x03\x03"
            "1.5\x05\x01"
            "n\x03\xf3",
            13, 4);
    s[8].elements = "m=1.5 n=2 ";
    ziplist(&s[9].value,
            "\x00\x01"
            "f\x03\x01v",
            6, 2);
    s[9].elements = "f:v ";
    rdb_length_write(&s[10].value, 2);
    ziplist(&s[10].value,
            "\x00\x01"
            "a",
            3, 1);
    ziplist(&s[10].value,
            "\x00\x01"
            "b\x03\x01"
            "c",
            6, 2);
    s[10].elements = "a b c ";
    stream(&s[11].value, 15);
    put_listpack(&s[12].value, "f", "v", NULL);
    s[12].elements = "f:v ";
    put_listpack(&s[13].value, "m", "1e3", "n", "-inf", NULL);
    s[13].elements = "m=1000 n=-inf ";
    rdb_length_write(&s[14].value, 2);
    rdb_length_write(&s[14].value, 1);
    put_string(&s[14].value, "plain");
    rdb_length_write(&s[14].value, 2);
    put_listpack(&s[14].value, "a", "b", NULL);
    s[14].elements = "plain a b ";
    stream(&s[15].value, 19);
    put_listpack(&s[16].value, "a", "b", NULL);
    s[16].elements = "a b ";
    stream(&s[17].value, 21);
    strings(&s[18].value, 1, "f", "v", "5", NULL);
    s[18].elements = "f:v@1675209605000 ";
    strings(&s[19].value, 2, "m", "-1", "n", "0", NULL);
    s[19].elements = "m n@1675209600000 ";
    rdb_length_write(&s[20].value, 3); /* strings that have to be decoded */
    buf_put(&s[20].value,
            "\xc0\xff\xc1\x00\x01\xc3\x05\x0a\x00"
            "a\xe0\x00\x00",
            13);
    s[20].elements = "-1 256 aaaaaaaaaa ";
}

static void free_samples(struct sample s[SAMPLES])
{
    for (size_t i = 0; i < SAMPLES; i++)
        buf_free(&s[i].value);
}

static void print_element(struct buf *out, enum element_class class, const struct element *e)
{
    buf_printf(out, "%.*s", (int)e->a.len, (const char *)e->a.data);
    if (class == ELEMENT_HASH)
        buf_printf(out, ":%.*s", (int)e->b.len, (const char *)e->b.data);
    if (class == ELEMENT_ZSET)
        buf_printf(out, "=%g", e->score);
    if (e->expire_ms)
        buf_printf(out, "@%lld", (long long)e->expire_ms);
    buf_put_u8(out, ' ');
}

/* The elements of a whole value, `most` at a time; the reader is copied and put back in between. */
static struct buf elements_text(uint8_t type, struct slice value, size_t most, size_t max_bytes)
{
    struct buf out = {0};
    struct value_reader reader = {0};
    struct value_scratch scratch = {0};
    struct error error;
    enum element_class class;
    size_t count, consumed, wanted;
    do {
        struct value_reader copy = reader;
        assert_int_equal(value_reader_next(&copy, type, value, most, max_bytes, &scratch, &class, &count,
                                           &consumed, &wanted, &error),
                         VALUE_OK);
        assert_true(count <= most && (count > 0 || value_reader_done(&copy)));
        for (size_t i = 0; i < count; i++)
            if (class != ELEMENT_STREAM_NODE && class != ELEMENT_STREAM_TAIL)
                print_element(&out, class, &scratch.elements[i]);
        value.data += consumed;
        value.len -= consumed;
        reader = copy;
        value_scratch_free(&scratch);
    } while (!value_reader_done(&reader));
    assert_int_equal(value.len, 0);
    buf_put_u8(&out, 0);
    return out;
}

static void every_layout_gives_its_elements_in_groups_of_any_size(void **state)
{
    (void)state;
    struct sample s[SAMPLES];
    make_samples(s);
    for (size_t i = 0; i < SAMPLES; i++)
        for (size_t most = 1; most < 5; most++)
            for (size_t max_bytes = 1; max_bytes < 10000; max_bytes += 9998) {
                struct buf text = elements_text(s[i].type, buf_slice(&s[i].value), most, max_bytes);
                assert_string_equal((char *)text.data, s[i].elements ? s[i].elements : "");
                buf_free(&text);
            }
    free_samples(s);
}

static void part_of_an_element_asks_for_more(void **state)
{
    (void)state;
    struct sample s[SAMPLES];
    struct value_scratch scratch = {0};
    struct error error;
    enum element_class class;
    make_samples(s);
    for (size_t i = 0; i < SAMPLES; i++)
        for (size_t len = 0; len < s[i].value.len; len++) {
            uint8_t *copy = x_malloc(len);
            struct value_reader reader = {0};
            struct slice rest = slice_of(copy, len);
            size_t count, consumed, wanted;
            enum value_status status;
            memcpy(copy, s[i].value.data, len);
            do {
                wanted = 0;
                status = value_reader_next(&reader, s[i].type, rest, 100, 100, &scratch, &class, &count,
                                           &consumed, &wanted, &error);
                rest.data += consumed;
                rest.len -= consumed;
            } while (status == VALUE_OK && !value_reader_done(&reader));
            assert_int_equal(status, VALUE_MORE);
            assert_true(wanted > rest.len + consumed && wanted <= rest.len + consumed + s[i].value.len - len);
            free(copy);
        }
    value_scratch_free(&scratch);
    free_samples(s);
}

static void skip_finds_the_end_at_once_and_byte_by_byte(void **state)
{
    (void)state;
    struct sample s[SAMPLES];
    struct error error;
    make_samples(s);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct value_skip whole = {0}, bytes = {0};
        size_t len = s[i].value.len;
        put_text(&s[i].value, "what follows");
        assert_int_equal(value_skip(&whole, s[i].type, buf_slice(&s[i].value), &error), VALUE_OK);
        assert_int_equal(whole.position, len);
        for (size_t n = 0; n < len; n++) {
            assert_int_equal(value_skip(&bytes, s[i].type, slice_of(s[i].value.data, n), &error), VALUE_MORE);
            assert_true(bytes.wanted > n && bytes.wanted <= len);
        }
        assert_int_equal(value_skip(&bytes, s[i].type, slice_of(s[i].value.data, len), &error), VALUE_OK);
        assert_int_equal(bytes.position, len);
    }
    free_samples(s);
}

static void types_are_named_and_told_apart(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        assert_non_null(rdb_type_name((uint8_t)type));
        if (rdb_type_shared((uint8_t)type) || rdb_type_unsupported((uint8_t)type))
            assert_true(rdb_type_known((uint8_t)type));
        assert_false(rdb_type_shared((uint8_t)type) && rdb_type_unsupported((uint8_t)type));
    }
    assert_string_equal(rdb_type_name(RDB_SBF2), "bloom filter");
    assert_false(rdb_type_known(RDB_MODULE));
    assert_false(rdb_type_known(8) || rdb_type_known(22) || rdb_type_known(200));
    assert_true(rdb_type_shared(RDB_STREAM_LISTPACKS_3) && !rdb_type_shared(RDB_HASH_WITH_EXPIRY));
}

static void lengths_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 63, 64, 16383, 16384, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    static const size_t sizes[] = {1, 1, 2, 2, 5, 5, 9, 9};
    struct error error;
    for (size_t i = 0; i < 8; i++) {
        struct buf b = {0};
        uint64_t v;
        size_t used;
        rdb_length_write(&b, values[i]);
        assert_int_equal(b.len, sizes[i]);
        for (size_t n = 0; n < b.len; n++)
            assert_int_equal(rdb_length_read(slice_of(b.data, n), &v, &used, &error), VALUE_MORE);
        assert_int_equal(rdb_length_read(buf_slice(&b), &v, &used, &error), VALUE_OK);
        assert_true(v == values[i] && used == b.len);
        buf_free(&b);
    }
    uint64_t v;
    size_t used;
    assert_int_equal(rdb_length_read(slice_of("\xc0", 1), &v, &used, &error), VALUE_BROKEN);
    assert_int_equal(rdb_length_read(slice_of("\x82", 1), &v, &used, &error), VALUE_BROKEN);
}

static void strings_above_the_limit_are_refused(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct slice out;
    struct error error;
    size_t used, wanted;
    assert_int_equal(rdb_string_read(slice_of("\x05"
                                              "abcde",
                                              6),
                                     4, &scratch, &out, &used, &wanted, &error),
                     VALUE_BROKEN);
    assert_non_null(strstr(error.text, "5 bytes"));
    assert_int_equal(rdb_string_read(slice_of("\xc3\x05\x0a\x00"
                                              "a\xe0\x00\x00",
                                              8),
                                     9, &scratch, &out, &used, &wanted, &error),
                     VALUE_BROKEN);
    assert_int_equal(rdb_string_read(slice_of("\xc3\x05\x0a\x00"
                                              "a\xe0\x00\x00",
                                              8),
                                     10, &scratch, &out, &used, &wanted, &error),
                     VALUE_OK);
    expect_text(out, "aaaaaaaaaa");
    buf_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_gives_its_elements_in_groups_of_any_size),
        cmocka_unit_test(part_of_an_element_asks_for_more),
        cmocka_unit_test(skip_finds_the_end_at_once_and_byte_by_byte),
        cmocka_unit_test(types_are_named_and_told_apart),
        cmocka_unit_test(lengths_are_written_as_they_are_read),
        cmocka_unit_test(strings_above_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
