/* Listpacks, ziplists, intsets and zipmaps, item by item, written as Redis lays them out. */
#include "worker/rdb/packed.h"

#include "tests/unit/worker/decoder_testing.h"

struct expected {
    const char *text; /* NULL: the number */
    int64_t number;
};

static void expect_items(enum packed_kind kind, struct slice blob, const struct expected *items, size_t n)
{
    uint64_t count;
    size_t position = packed_begin(kind, blob, &count);
    assert_true(position > 0);
    for (size_t i = 0; i < n; i++) {
        struct packed_item got[2] = {0};
        assert_int_equal(packed_next(kind, blob, &position, got), 1);
        if (items[i].text) {
            expect_text(got[0].text, items[i].text);
        } else {
            assert_null(got[0].text.data);
            assert_true(got[0].number == items[i].number);
        }
    }
    struct packed_item rest[2];
    assert_int_equal(packed_next(kind, blob, &position, rest), 0);
}

/* Cut anywhere, or with a byte changed, it is refused or read within its bounds (which a sanitizer watches).
 */
static void damage(enum packed_kind kind, struct slice blob)
{
    for (size_t len = 0; len <= blob.len; len++)
        for (unsigned flip = 0; flip < (len == blob.len ? 256 * len : 1); flip++) {
            uint8_t *copy = x_malloc(len);
            struct packed_item items[2];
            uint64_t count;
            memcpy(copy, blob.data, len);
            if (len == blob.len)
                copy[flip / 256] = (uint8_t)flip;
            size_t position = packed_begin(kind, slice_of(copy, len), &count);
            if (position)
                while (packed_next(kind, slice_of(copy, len), &position, items) == 1)
                    assert_true(position <= len);
            free(copy);
        }
}

static void finish_listpack(struct buf *b, unsigned count)
{
    buf_put_u8(b, 0xff);
    for (unsigned i = 0; i < 4; i++)
        b->data[i] = (uint8_t)(b->len >> 8 * i);
    b->data[4] = (uint8_t)count;
    b->data[5] = (uint8_t)(count >> 8);
}

static void listpack_gives_all_encodings(void **state)
{
    (void)state;
    struct buf b = {0};
    char long_text[301], huge_text[5001];
    memset(long_text, 'l', 300);
    memset(huge_text, 'h', 5000);
    long_text[300] = huge_text[5000] = '\0';
    put_le(&b, 0, 6);
    buf_put(&b, "\x7f\x01", 2); /* 7 bit */
    buf_put(&b,
            "\x83"
            "abc\x04",
            5);                                             /* 6-bit string */
    buf_put(&b, "\xdf\xff\x02\xd0\x00\x02\xcf\xff\x02", 9); /* 13 bit: -1, -4096, 4095 */
    buf_put(&b, "\xe1\x2c", 2);                             /* 12-bit string */
    put_text(&b, long_text);
    buf_put(&b, "\x02\xae", 2);
    buf_put(&b, "\xf1\x00\x80\x03", 4);                          /* 16 bit */
    buf_put(&b, "\xf2\x00\x00\x80\x04", 5);                      /* 24 */
    buf_put(&b, "\xf3\x00\x00\x00\x80\x05", 6);                  /* 32 */
    buf_put(&b, "\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09", 10); /* 64 */
    buf_put(&b, "\xf0\x88\x13\x00\x00", 5);                      /* 32-bit string */
    put_text(&b, huge_text);
    buf_put(&b, "\x27\x8d", 2);
    buf_put(&b, "\x80\x01", 2); /* empty */
    finish_listpack(&b, 12);
    const struct expected items[] = {{NULL, 127},       {"abc", 0},       {NULL, -1},
                                     {NULL, -4096},     {NULL, 4095},     {long_text, 0},
                                     {NULL, INT16_MIN}, {NULL, -8388608}, {NULL, INT32_MIN},
                                     {NULL, INT64_MIN}, {huge_text, 0},   {"", 0}};
    expect_items(PACKED_LISTPACK, buf_slice(&b), items, 12);
    buf_free(&b);
}

static void ziplist_gives_all_encodings(void **state)
{
    (void)state;
    struct buf b = {0};
    char long_text[301];
    memset(long_text, 'l', 300);
    long_text[300] = '\0';
    put_le(&b, 0, 10);
    buf_put(&b,
            "\x00\x03"
            "abc",
            5);
    buf_put(&b, "\x05\x41\x2c", 3);
    put_text(&b, long_text);
    buf_put(&b, "\xfe\x2f\x01\x00\x00\x80\x00\x00\x00\x02xy", 12); /* five bytes of prevlen; 32-bit length */
    buf_put(&b, "\x07\xc0\x00\x80", 4);
    buf_put(&b, "\x04\xd0\xff\xff\xff\x7f", 6);
    buf_put(&b, "\x06\xe0\x00\x00\x00\x00\x00\x00\x00\x80", 10);
    buf_put(&b, "\x0a\xf0\x00\x00\x80", 5);
    buf_put(&b, "\x05\xfe\x80", 3);
    buf_put(&b, "\x03\xf1\x02\xfd", 4); /* 0 and 12 */
    buf_put_u8(&b, 0xff);
    for (unsigned i = 0; i < 4; i++)
        b.data[i] = (uint8_t)(b.len >> 8 * i);
    const struct expected items[] = {
        {"abc", 0},        {long_text, 0},   {"xy", 0},    {NULL, INT16_MIN}, {NULL, INT32_MAX},
        {NULL, INT64_MIN}, {NULL, -8388608}, {NULL, -128}, {NULL, 0},         {NULL, 12}};
    expect_items(PACKED_ZIPLIST, buf_slice(&b), items, 10);
    buf_free(&b);
}

static void intset_gives_all_widths(void **state)
{
    (void)state;
    static const struct expected items[] = {{NULL, -2}, {NULL, 0}, {NULL, 300}};
    for (unsigned width = 2; width <= 8; width *= 2) {
        struct buf b = {0};
        put_le(&b, width, 4);
        put_le(&b, 3, 4);
        for (size_t i = 0; i < 3; i++)
            put_le(&b, (uint64_t)items[i].number, width);
        expect_items(PACKED_INTSET, buf_slice(&b), items, 3);
        damage(PACKED_INTSET, buf_slice(&b));
        buf_free(&b);
    }
}

static void zipmap_gives_fields_with_values(void **state)
{
    (void)state;
    static const char bytes[] = "\x02\x01"
                                "f\x02\x01"
                                "vvx\xfe\x03\x00\x00\x00"
                                "abc\x00\x00\xff";
    struct slice blob = slice_of(bytes, sizeof bytes - 1);
    struct packed_item items[2];
    uint64_t count;
    size_t position = packed_begin(PACKED_ZIPMAP, blob, &count);
    assert_int_equal(count, 4);
    assert_int_equal(packed_next(PACKED_ZIPMAP, blob, &position, items), 1);
    expect_text(items[0].text, "f");
    expect_text(items[1].text, "vv");
    assert_int_equal(packed_next(PACKED_ZIPMAP, blob, &position, items), 1);
    expect_text(items[0].text, "abc");
    expect_text(items[1].text, "");
    assert_int_equal(packed_next(PACKED_ZIPMAP, blob, &position, items), 0);
    damage(PACKED_ZIPMAP, blob);
}

static void damaged_encodings_are_never_read_beyond_their_end(void **state)
{
    (void)state;
    struct buf b = {0};
    put_le(&b, 0, 6);
    buf_put(&b,
            "\x7f\x01\x83"
            "abc\x04\xdf\xff\x02\xf1\x00\x80\x03",
            14);
    buf_put(&b, "\xf0\x03\x00\x00\x00xyz\x08\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09", 19);
    finish_listpack(&b, 6);
    damage(PACKED_LISTPACK, buf_slice(&b));
    b.len = 0;
    put_le(&b, 0, 10);
    buf_put(&b,
            "\x00\x03"
            "abc\x05\x40\x02xy\x04\xc0\x00\x80\x04\xf2",
            15);
    buf_put_u8(&b, 0xff);
    b.data[0] = (uint8_t)b.len;
    damage(PACKED_ZIPLIST, buf_slice(&b));
    buf_free(&b);
}

static void header_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    uint64_t count;
    assert_int_equal(packed_begin(PACKED_LISTPACK, slice_of("\x08\x00\x00\x00\x00\x00\xff", 7), &count), 0);
    assert_int_equal(packed_begin(PACKED_LISTPACK, slice_of("\x07\x00\x00\x00\x00\x00\xfe", 7), &count), 0);
    assert_int_equal(packed_begin(PACKED_LISTPACK, slice_of("\x07\x00\x00\x00\x00\x00\xff", 7), &count), 6);
    assert_int_equal(packed_begin(PACKED_INTSET, slice_of("\x03\x00\x00\x00\x00\x00\x00\x00", 8), &count), 0);
    assert_int_equal(packed_begin(PACKED_INTSET, slice_of("\x02\x00\x00\x00\x01\x00\x00\x00", 8), &count), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listpack_gives_all_encodings),
        cmocka_unit_test(ziplist_gives_all_encodings),
        cmocka_unit_test(intset_gives_all_widths),
        cmocka_unit_test(zipmap_gives_fields_with_values),
        cmocka_unit_test(damaged_encodings_are_never_read_beyond_their_end),
        cmocka_unit_test(header_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
