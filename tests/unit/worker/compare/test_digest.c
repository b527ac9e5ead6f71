/* The same value in every layout has the same digest, and another value another one. */
#include "worker/compare/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/crc.h"
#include "tests/unit/worker/type_samples.h"
#include "worker/rdb/stream.h"

enum { HASH_22 = 22, HASH_24 = 24, HASH_25 = 25, STREAM_26 = 26, NOW_MS = 1000 };
#define FIELD_BASE_S INT64_C(1675209600)

static struct digest_scratch *scratch;
static struct error error;
static struct digest_options options = {.stream_counters = true, .entries_read = true, .now_ms = NOW_MS};

/* ---- payloads ---- */

static void put_text(struct buf *b, const char *text)
{
    rdb_length_write(b, strlen(text));
    buf_put(b, text, strlen(text));
}

static void put_ms(struct buf *b, int64_t ms)
{
    buf_put(b, &ms, sizeof ms);
}

/* A listpack of short texts, as an RDB string. An item that begins with '#' is a number up to 127. */
static void put_listpack(struct buf *b, const char *const *items)
{
    struct buf l = {0};
    uint16_t n = 0;
    buf_put(&l, "\0\0\0\0\0\0", 6);
    for (; *items; items++, n++) {
        size_t len = strlen(*items);
        if (**items == '#') {
            buf_put_u8(&l, (uint8_t)strtoul(*items + 1, NULL, 10));
            buf_put_u8(&l, 1);
            continue;
        }
        buf_put_u8(&l, (uint8_t)(0x80 | len));
        buf_put(&l, *items, len);
        buf_put_u8(&l, (uint8_t)(len + 1));
    }
    buf_put_u8(&l, 0xff);
    uint32_t total = (uint32_t)l.len;
    memcpy(l.data, &total, 4);
    memcpy(l.data + 4, &n, 2);
    rdb_length_write(b, l.len);
    buf_put(b, l.data, l.len);
    buf_free(&l);
}

#define LISTPACK(b, ...) put_listpack(b, (const char *const[]){__VA_ARGS__, NULL})

static struct digest take(uint8_t type, struct slice value)
{
    struct buf payload = {0};
    struct digest d = {0};
    buf_put_u8(&payload, type);
    buf_put(&payload, value.data, value.len);
    buf_put(&payload, "\x09\0", 2);
    uint64_t crc = crc64(0, payload.data, payload.len);
    buf_put(&payload, &crc, sizeof crc);
    if (!digest_dump(&d, buf_slice(&payload), &options, scratch, &error))
        fail_msg("type %u: %s", type, error.text);
    buf_free(&payload);
    return d;
}

/* Takes the buffer. */
static struct digest of(uint8_t type, struct buf *value)
{
    struct digest d = take(type, buf_slice(value));
    buf_free(value);
    return d;
}

static void all_equal(struct digest *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (!digest_equal(&d[i], &d[k], 0))
                fail_msg("layouts %zu (type %u) and %zu (type %u) differ", i, d[i].type, k, d[k].type);
    for (size_t i = 0; i < n; i++)
        digest_free(&d[i]);
}

static void all_different(struct digest *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (digest_equal(&d[i], &d[k], 0) != (i == k))
                fail_msg("values %zu and %zu", i, k);
    for (size_t i = 0; i < n; i++)
        digest_free(&d[i]);
}

static int setup(void **state)
{
    (void)state;
    scratch = digest_scratch_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    digest_scratch_free(scratch);
    return 0;
}

/* ---- tests ---- */

static void a_string_that_is_a_number_is_its_text(void **state)
{
    (void)state;
    struct buf text = {0}, number = {0}, other = {0};
    put_text(&text, "12");
    buf_put(&number, "\xc0\x0c", 2);
    put_text(&other, "13");
    struct digest same[] = {of(RDB_STRING, &text), of(RDB_STRING, &number)};
    struct digest another = of(RDB_STRING, &other);
    assert_false(digest_equal(&same[0], &another, 0));
    all_equal(same, 2);
    digest_free(&another);
}

static void a_list_is_its_items_in_their_order(void **state)
{
    (void)state;
    struct buf plain = {0}, packed = {0}, nodes = {0}, turned = {0}, joined = {0};
    rdb_length_write(&plain, 3);
    put_text(&plain, "a"), put_text(&plain, "7"), put_text(&plain, "bc");
    rdb_length_write(&packed, 1);
    rdb_length_write(&packed, 2);
    LISTPACK(&packed, "a", "#7", "bc");
    rdb_length_write(&nodes, 2);
    rdb_length_write(&nodes, 1);
    put_text(&nodes, "a");
    rdb_length_write(&nodes, 2);
    LISTPACK(&nodes, "7", "bc");
    rdb_length_write(&turned, 3);
    put_text(&turned, "7"), put_text(&turned, "a"), put_text(&turned, "bc");
    rdb_length_write(&joined, 2);
    put_text(&joined, "a7"), put_text(&joined, "bc");
    struct digest others[] = {take(RDB_LIST, buf_slice(&plain)), of(RDB_LIST, &turned),
                              of(RDB_LIST, &joined)};
    all_different(others, 3);
    struct digest same[] = {of(RDB_LIST, &plain), of(RDB_LIST_QUICKLIST_2, &packed),
                            of(RDB_LIST_QUICKLIST_2, &nodes)};
    all_equal(same, 3);
}

static void a_set_is_its_members(void **state)
{
    (void)state;
    static const uint8_t intset[] = {12, 2, 0, 0, 0, 2, 0, 0, 0, 7, 0, 9, 0};
    struct buf plain = {0}, turned = {0}, packed = {0}, integers = {0}, with_ttl = {0}, less = {0};
    rdb_length_write(&plain, 2);
    put_text(&plain, "7"), put_text(&plain, "9");
    rdb_length_write(&turned, 2);
    put_text(&turned, "9"), put_text(&turned, "7");
    LISTPACK(&packed, "#9", "7");
    buf_put(&integers, intset, sizeof intset);
    rdb_length_write(&with_ttl, 2);
    put_text(&with_ttl, "9"), put_text(&with_ttl, "-1");
    put_text(&with_ttl, "7"), put_text(&with_ttl, "900000000");
    rdb_length_write(&less, 1);
    put_text(&less, "7");
    struct digest others[] = {take(RDB_SET, buf_slice(&plain)), of(RDB_SET, &less)};
    all_different(others, 2);
    struct digest same[] = {of(RDB_SET, &plain), of(RDB_SET, &turned), of(RDB_SET_LISTPACK, &packed),
                            of(RDB_SET_INTSET, &integers), of(RDB_SET_WITH_EXPIRY, &with_ttl)};
    all_equal(same, 5);
}

static void a_sorted_set_is_members_and_scores(void **state)
{
    (void)state;
    struct buf plain = {0}, packed = {0}, old = {0}, swapped = {0};
    double scores[] = {1.5, -0.0, 0};
    rdb_length_write(&plain, 2);
    put_text(&plain, "a"), buf_put(&plain, &scores[0], 8);
    put_text(&plain, "b"), buf_put(&plain, &scores[1], 8);
    LISTPACK(&packed, "b", "#0", "a", "1.5");
    rdb_length_write(&old, 2);
    put_text(&old, "b"), put_text(&old, "0");
    put_text(&old, "a"), put_text(&old, "1.5");
    rdb_length_write(&swapped, 2);
    put_text(&swapped, "b"), buf_put(&swapped, &scores[0], 8);
    put_text(&swapped, "a"), buf_put(&swapped, &scores[2], 8);
    struct digest others[] = {take(RDB_ZSET_2, buf_slice(&plain)), of(RDB_ZSET_2, &swapped)};
    all_different(others, 2);
    struct digest same[] = {of(RDB_ZSET_2, &plain), of(RDB_ZSET_LISTPACK, &packed), of(RDB_ZSET, &old)};
    all_equal(same, 3);
}

static void a_hash_is_fields_and_values(void **state)
{
    (void)state;
    struct buf plain = {0}, packed = {0}, ours = {0}, valkey = {0}, redis = {0}, redis_packed = {0},
               swapped = {0};
    rdb_length_write(&plain, 2);
    put_text(&plain, "f"), put_text(&plain, "1"), put_text(&plain, "g"), put_text(&plain, "2");
    LISTPACK(&packed, "g", "#2", "f", "1");
    rdb_length_write(&ours, 2);
    put_text(&ours, "g"), put_text(&ours, "2"), put_text(&ours, "-1");
    put_text(&ours, "f"), put_text(&ours, "1"), put_text(&ours, "-1");
    rdb_length_write(&valkey, 2);
    put_text(&valkey, "g"), put_text(&valkey, "2"), put_ms(&valkey, -1);
    put_text(&valkey, "f"), put_text(&valkey, "1"), put_ms(&valkey, -1);
    put_ms(&redis, 0), rdb_length_write(&redis, 2);
    rdb_length_write(&redis, 0), put_text(&redis, "f"), put_text(&redis, "1");
    rdb_length_write(&redis, 0), put_text(&redis, "g"), put_text(&redis, "2");
    put_ms(&redis_packed, 0), LISTPACK(&redis_packed, "g", "2", "#0", "f", "#1", "#0");
    rdb_length_write(&swapped, 2);
    put_text(&swapped, "f"), put_text(&swapped, "2"), put_text(&swapped, "g"), put_text(&swapped, "1");
    struct digest others[] = {take(RDB_HASH, buf_slice(&plain)), of(RDB_HASH, &swapped)};
    all_different(others, 2);
    struct digest same[] = {of(RDB_HASH, &plain),
                            of(RDB_HASH_LISTPACK, &packed),
                            of(RDB_HASH_WITH_EXPIRY, &ours),
                            of(HASH_22, &valkey),
                            of(HASH_24, &redis),
                            of(HASH_25, &redis_packed)};
    all_equal(same, 6);
}

/* Two fields with times to live, s and s + 5 seconds, and one that has ended. */
static void times_of_fields_are_compared_with_a_tolerance(void **state)
{
    (void)state;
    struct buf ours = {0}, valkey = {0}, redis = {0}, late = {0}, none = {0};
    int64_t first_ms = (FIELD_BASE_S + 900000000) * 1000;
    rdb_length_write(&ours, 2);
    put_text(&ours, "f"), put_text(&ours, "1"), put_text(&ours, "900000000");
    put_text(&ours, "g"), put_text(&ours, "2"), put_text(&ours, "900000005");
    rdb_length_write(&valkey, 3);
    put_text(&valkey, "g"), put_text(&valkey, "2"), put_ms(&valkey, first_ms + 5000);
    put_text(&valkey, "ended"), put_text(&valkey, "2"), put_ms(&valkey, NOW_MS);
    put_text(&valkey, "f"), put_text(&valkey, "1"), put_ms(&valkey, first_ms);
    put_ms(&redis, first_ms), rdb_length_write(&redis, 2);
    rdb_length_write(&redis, 5001), put_text(&redis, "g"), put_text(&redis, "2");
    rdb_length_write(&redis, 1), put_text(&redis, "f"), put_text(&redis, "1");
    rdb_length_write(&late, 2);
    put_text(&late, "g"), put_text(&late, "2"), put_ms(&late, first_ms + 5000);
    put_text(&late, "f"), put_text(&late, "1"), put_ms(&late, first_ms + 700);
    rdb_length_write(&none, 2);
    put_text(&none, "g"), put_text(&none, "2"), put_ms(&none, first_ms + 5000);
    put_text(&none, "f"), put_text(&none, "1"), put_ms(&none, -1);
    struct digest same[] = {of(RDB_HASH_WITH_EXPIRY, &ours), of(HASH_22, &valkey), of(HASH_24, &redis)};
    struct digest later = of(HASH_22, &late), without = of(HASH_22, &none);
    assert_false(digest_equal(&same[0], &later, 699));
    assert_true(digest_equal(&same[0], &later, 700));
    assert_true(digest_equal(&later, &same[0], 700));
    assert_false(digest_equal(&same[0], &without, INT64_MAX));
    all_equal(same, 3);
    digest_free(&later);
    digest_free(&without);
}

static void what_has_nothing_in_it_is_not_there(void **state)
{
    (void)state;
    struct buf empty = {0}, ended = {0};
    struct digest nothing = {0};
    rdb_length_write(&empty, 0);
    rdb_length_write(&ended, 1);
    put_text(&ended, "f"), put_text(&ended, "1"), put_ms(&ended, 5);
    struct digest same[] = {of(RDB_SET, &empty), of(HASH_22, &ended), nothing};
    all_equal(same, 3);
}

static size_t sample_of_type(uint8_t type, struct buf *out)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (samples[i].type == type) {
            sample_of(i, out);
            return i;
        }
    fail();
    return 0;
}

static void a_stream_is_the_same_in_all_layouts(void **state)
{
    (void)state;
    struct buf newest = {0}, of_7_0 = {0}, of_6 = {0}, of_8_6 = {0};
    sample_of_type(RDB_STREAM_LISTPACKS_3, &newest);
    assert_true(stream_convert(buf_slice(&newest), 21, 19, &of_7_0, &error));
    assert_true(stream_convert(buf_slice(&newest), 21, 15, &of_6, &error));
    buf_put(&of_8_6, newest.data, newest.len);
    buf_put(&of_8_6, "\x64\x64\0\0\0", 5);
    struct digest counted[] = {take(21, buf_slice(&newest)), take(19, buf_slice(&of_7_0)),
                               take(STREAM_26, buf_slice(&of_8_6))};
    all_equal(counted, 3);
    options.stream_counters = false;
    struct digest all[] = {of(21, &newest), of(19, &of_7_0), of(STREAM_26, &of_8_6), of(15, &of_6)};
    options.stream_counters = true;
    all_equal(all, 4);
}

/* Of the samples of all types, no two of different kinds are equal. */
static void every_kind_differs_from_every_other(void **state)
{
    (void)state;
    struct digest d[64];
    size_t n = 0;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct buf value = {0};
        sample_of(i, &value);
        /* Those by hand are made to be walked over, not read. */
        if (!samples[i].sample || strncmp(samples[i].sample, "hand-", 5) != 0)
            d[n++] = take(samples[i].type, buf_slice(&value));
        buf_free(&value);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (d[i].kind != d[k].kind)
                assert_false(digest_equal(&d[i], &d[k], 0));
    for (size_t i = 0; i < n; i++) {
        assert_int_not_equal(d[i].kind, DIGEST_FOREIGN);
        digest_free(&d[i]);
    }
}

static void filters_and_modules_equal_nothing(void **state)
{
    (void)state;
    struct buf value = {0};
    sample_of_type(RDB_TOPK, &value);
    struct digest a = take(RDB_TOPK, buf_slice(&value)), b = of(RDB_TOPK, &value);
    assert_int_equal(a.kind, DIGEST_FOREIGN);
    assert_false(digest_equal(&a, &b, 0));
    assert_false(digest_equal(&a, &a, 0));
}

static struct digest json(const char *text)
{
    struct digest d = {0};
    if (!digest_json(&d, slice_str(text), &error))
        fail_msg("%s: %s", text, error.text);
    return d;
}

static void documents_are_equal_by_their_values(void **state)
{
    (void)state;
    struct digest same[] = {
        json("{\"a\":[1,2.5,\"A\xc3\xa4\"],\"b\":{\"c\":null,\"d\":true}}"),
        json(" { \"b\" : {\"d\":true, \"c\":null} , \"a\": [1.0, 25e-1, \"\\u0041\\u00e4\"] }\n"),
        json("{\"b\":{\"d\":true,\"c\":null},\"a\":[1,2.50,\"\\u0041\xc3\xa4\"]}")};
    all_equal(same, 3);
    struct digest pairs[] = {json("\"\\ud83d\\ude00\\n\""), json("\"\xf0\x9f\x98\x80\\u000a\"")};
    all_equal(pairs, 2);
    struct digest d[] = {json("[]"),
                         json("{}"),
                         json("[[]]"),
                         json("[1,2]"),
                         json("[2,1]"),
                         json("[1,[2]]"),
                         json("[\"1\",2]"),
                         json("null"),
                         json("false"),
                         json("true"),
                         json("\"true\""),
                         json("9007199254740993"),
                         json("9007199254740992"),
                         json("18446744073709551616"),
                         json("18446744073709551617"),
                         json("{\"a\":1}"),
                         json("{\"a\":1,\"b\":1}"),
                         json("{\"a\":{\"b\":1}}"),
                         json("{\"b\":{\"a\":1}}"),
                         json("\"\"")};
    all_different(d, sizeof d / sizeof *d);
}

static void what_is_no_document_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    " ",  "[",       "[1,]",      "{\"a\"}", "{\"a\":}", "{a:1}", "nul",
        "1 2", "\"", "\"\\x\"", "\"\\u12\"", "--1",     "]",        "[1}",   "\"\\ud800\\u\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct digest d = {0};
        if (digest_json(&d, slice_str(bad[i]), &error))
            fail_msg("%s", bad[i]);
    }
    struct buf deep = {0};
    struct digest d = {0};
    for (int i = 0; i < 1 << 20; i++)
        buf_put_u8(&deep, '[');
    assert_false(digest_json(&d, buf_slice(&deep), &error));
    buf_free(&deep);
}

static void broken_payloads_are_refused(void **state)
{
    (void)state;
    struct buf value = {0}, payload = {0};
    struct digest d = {0};
    rdb_length_write(&value, 2);
    put_text(&value, "a"), put_text(&value, "b");
    for (size_t len = 0; len < value.len; len++) {
        buf_clear(&payload);
        buf_put_u8(&payload, RDB_LIST);
        buf_put(&payload, value.data, len);
        buf_put(&payload, "\x09\0\0\0\0\0\0\0\0\0", 10);
        assert_false(digest_dump(&d, buf_slice(&payload), &options, scratch, &error));
        assert_int_equal(d.kind, DIGEST_FOREIGN);
    }
    payload.data[payload.len - 1] = 1; /* a checksum that is none */
    assert_false(digest_dump(&d, buf_slice(&payload), &options, scratch, &error));
    assert_false(digest_dump(&d, slice_str("short"), &options, scratch, &error));
    buf_free(&value);
    buf_free(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_that_is_a_number_is_its_text),
        cmocka_unit_test(a_list_is_its_items_in_their_order),
        cmocka_unit_test(a_set_is_its_members),
        cmocka_unit_test(a_sorted_set_is_members_and_scores),
        cmocka_unit_test(a_hash_is_fields_and_values),
        cmocka_unit_test(times_of_fields_are_compared_with_a_tolerance),
        cmocka_unit_test(what_has_nothing_in_it_is_not_there),
        cmocka_unit_test(a_stream_is_the_same_in_all_layouts),
        cmocka_unit_test(every_kind_differs_from_every_other),
        cmocka_unit_test(filters_and_modules_equal_nothing),
        cmocka_unit_test(documents_are_equal_by_their_values),
        cmocka_unit_test(what_is_no_document_is_refused),
        cmocka_unit_test(broken_payloads_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
