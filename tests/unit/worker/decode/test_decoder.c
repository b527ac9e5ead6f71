/* Streams written by hand: what each opcode and each kind of entry becomes. */
#include "tests/unit/worker/decoder_testing.h"

static void strings_come_decoded(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    put_entry(&s.bytes, 0, "plain");
    put_string(&s.bytes, "text");
    put_entry(&s.bytes, 0, "int8");
    buf_put(&s.bytes, "\xc0\xff", 2);
    put_entry(&s.bytes, 0, "int16");
    buf_put(&s.bytes, "\xc1\x00\x80", 3);
    put_entry(&s.bytes, 0, "int32");
    buf_put(&s.bytes, "\xc2\xff\xff\xff\x7f", 5);
    buf_put_u8(&s.bytes, 0);
    buf_put(&s.bytes, "\xc0\x07", 2); /* an integer for a key */
    put_string(&s.bytes, "");
    put_entry(&s.bytes, 0, "lzf"); /* a literal, then 9 bytes from 1 back */
    buf_put(&s.bytes,
            "\xc3\x05\x0a\x00"
            "a"
            "\xe0\x00\x00",
            8);
    static const char *const expected[][2] = {{"plain", "text"},       {"int8", "-1"}, {"int16", "-32768"},
                                              {"int32", "2147483647"}, {"7", ""},      {"lzf", "aaaaaaaaaa"}};
    for (size_t i = 0; i < 6; i++) {
        expect_entry(&s, ENTRY_STRING);
        expect_text(s.e.key, expected[i][0]);
        expect_text(s.e.value, expected[i][1]);
        assert_int_equal(s.e.seq, i + 1);
        assert_true(s.e.in_snapshot);
    }
    assert_int_equal(next_of(&s), DECODE_MORE);
    assert_true(decoder_offset(s.d) == s.bytes.len);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void attributes_belong_to_the_next_entry_only(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    buf_put(&s.bytes, "\xfe\x05", 2);         /* SELECTDB 5 */
    buf_put(&s.bytes, "\xfb\x01\x01", 3);     /* RESIZEDB */
    buf_put(&s.bytes, "\xf4\x01\x01\x01", 4); /* SLOT_INFO */
    buf_put_u8(&s.bytes, 252);
    put_le(&s.bytes, 1700000000123, 8);
    buf_put(&s.bytes, "\xf9\x09\xf8\x40\x80", 5); /* FREQ, IDLE */
    buf_put_u8(&s.bytes, 220);
    put_le(&s.bytes, 3, 4);
    put_le(&s.bytes, 77, 4);
    put_entry(&s.bytes, 0, "a");
    put_string(&s.bytes, "1x");
    put_entry(&s.bytes, 0, "b");
    put_string(&s.bytes, "2x");
    buf_put_u8(&s.bytes, 253);
    put_le(&s.bytes, 1700000000, 4);
    put_entry(&s.bytes, 0, "c");
    put_string(&s.bytes, "3x");
    expect_entry(&s, ENTRY_STRING);
    assert_int_equal(s.e.db, 5);
    assert_true(s.e.expire_ms == 1700000000123);
    assert_int_equal(s.e.flags, KEY_STICKY | KEY_MEMCACHE_FLAGS);
    assert_int_equal(s.e.mc_flags, 77);
    expect_entry(&s, ENTRY_STRING);
    assert_int_equal(s.e.db, 5);
    assert_true(s.e.expire_ms == 0 && s.e.flags == 0 && s.e.mc_flags == 0);
    expect_entry(&s, ENTRY_STRING);
    assert_true(s.e.expire_ms == 1700000000000);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void put_hash(struct buf *b, const char *key, unsigned fields)
{
    put_entry(b, 4, key);
    rdb_length_write(b, fields);
    for (unsigned i = 0; i < fields; i++) {
        put_string(b, "field");
        put_string(b, "value");
    }
}

static void value_up_to_the_limit_comes_whole_and_a_larger_one_in_elements(void **state)
{
    (void)state;
    struct source s;
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 1 + 3 * 12;
    source_begin(&s, &c);
    put_hash(&s.bytes, "fits", 3);
    put_hash(&s.bytes, "larger", 4);
    put_entry(&s.bytes, 0, "next");
    put_string(&s.bytes, "x");
    expect_entry(&s, ENTRY_VALUE);
    assert_int_equal(s.e.type, 4);
    assert_int_equal(s.e.value.len, 37);
    assert_int_equal(s.e.value.data[0], 3);
    expect_entry(&s, ENTRY_BEGIN);
    assert_int_equal(s.e.total_elements, 4);
    assert_int_equal(s.e.seq, 2);
    expect_entry(&s, ENTRY_ELEMENTS);
    expect_text(s.e.key, "larger");
    assert_int_equal(s.e.class, ELEMENT_HASH);
    assert_int_equal(s.e.first_seq, 3);
    assert_int_equal(s.e.seq, 6);
    expect_text(s.e.elements[3].a, "field");
    expect_text(s.e.elements[3].b, "value");
    expect_entry(&s, ENTRY_END);
    expect_text(s.e.key, "larger");
    assert_int_equal(s.e.seq, 7);
    expect_entry(&s, ENTRY_STRING);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void elements_come_as_they_arrive_up_to_a_group(void **state)
{
    (void)state;
    struct source s;
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 10;
    c.group_elements = 5;
    source_begin(&s, &c);
    put_hash(&s.bytes, "k", 12);
    size_t all = s.bytes.len;
    s.bytes.len -= 12 * 10 + 3; /* two fields are there, the third not quite */
    expect_entry(&s, ENTRY_BEGIN);
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_int_equal(s.e.element_count, 1);
    assert_int_equal(next_of(&s), DECODE_MORE);
    assert_true(decoder_offset(s.d) + decoder_wanted(s.d) <= s.bytes.len + 12);
    s.bytes.len = all;
    static const size_t counts[] = {5, 5, 1};
    for (size_t i = 0; i < 3; i++) {
        expect_entry(&s, ENTRY_ELEMENTS);
        assert_int_equal(s.e.element_count, counts[i]);
    }
    expect_entry(&s, ENTRY_END);
    assert_int_equal(s.e.seq, 14);
    source_end(&s);
}

static void entry_may_be_cut_where_a_mark_says(void **state)
{
    (void)state;
    struct source s;
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 10;
    source_begin(&s, &c);
    put_hash(&s.bytes, "k", 4);
    expect_entry(&s, ENTRY_BEGIN);
    assert_false(entry_drop_front(&s.e, 1));
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_true(entry_drop_front(&s.e, 3));
    assert_int_equal(s.e.element_count, 2);
    assert_int_equal(s.e.first_seq, 4);
    assert_false(entry_drop_front(&s.e, 5));
    source_end(&s);
}

static void packed_encoding_comes_whole_whatever_its_size(void **state)
{
    (void)state;
    struct source s;
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 4;
    source_begin(&s, &c);
    put_entry(&s.bytes, 16, "hash");
    size_t at = s.bytes.len;
    put_listpack(&s.bytes, "field", "value", NULL);
    expect_entry(&s, ENTRY_VALUE);
    assert_int_equal(s.e.type, 16);
    assert_int_equal(s.e.value.len, s.bytes.len - at);
    assert_memory_equal(s.e.value.data, s.bytes.data + at, s.e.value.len);
    source_end(&s);
}

static void type_20_is_json_up_to_version_9_and_a_set_later(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    put_entry(&s.bytes, 20, "j");
    put_string(&s.bytes, "{\"a\":1}");
    put_entry(&s.bytes, 30, "j");
    put_string(&s.bytes, "[]");
    expect_entry(&s, ENTRY_VALUE);
    assert_int_equal(s.e.type, RDB_JSON);
    expect_text(s.e.value, "{\"a\":1}");
    expect_entry(&s, ENTRY_VALUE);
    expect_text(s.e.value, "[]");
    source_end(&s);

    source_begin(&s, NULL);
    memcpy(s.bytes.data, "REDIS0011", 9);
    put_entry(&s.bytes, 20, "s");
    put_listpack(&s.bytes, "m", NULL);
    expect_entry(&s, ENTRY_VALUE);
    assert_int_equal(s.e.type, RDB_SET_LISTPACK);
    assert_int_equal(s.e.value.len, 11);
    source_end(&s);
}

static void expiries_of_fields_and_members_become_unix_milliseconds(void **state)
{
    (void)state;
    struct source s;
    struct decoder_config c = config_of(TOKEN, 0);
    c.restore_limit_bytes = 2;
    source_begin(&s, &c);
    put_entry(&s.bytes, 31, "h");
    rdb_length_write(&s.bytes, 2);
    put_string(&s.bytes, "f1");
    put_string(&s.bytes, "v1");
    buf_put(&s.bytes, "\xc0\xff", 2); /* -1: none */
    put_string(&s.bytes, "f2");
    put_string(&s.bytes, "v2");
    put_string(&s.bytes, "100");
    put_entry(&s.bytes, 32, "s");
    rdb_length_write(&s.bytes, 1);
    put_string(&s.bytes, "m");
    buf_put(&s.bytes, "\xc1\xe8\x03", 3);
    expect_entry(&s, ENTRY_BEGIN);
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_true(s.e.elements[0].expire_ms == 0);
    assert_true(s.e.elements[1].expire_ms == (INT64_C(1675209600) + 100) * 1000);
    expect_text(s.e.elements[1].b, "v2");
    expect_entry(&s, ENTRY_END);
    expect_entry(&s, ENTRY_BEGIN);
    expect_entry(&s, ENTRY_ELEMENTS);
    assert_int_equal(s.e.class, ELEMENT_SET);
    assert_true(s.e.elements[0].expire_ms == (INT64_C(1675209600) + 1000) * 1000);
    expect_entry(&s, ENTRY_END);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void empty_collection_comes_whole(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    put_entry(&s.bytes, 2, "k");
    rdb_length_write(&s.bytes, 0);
    expect_entry(&s, ENTRY_VALUE);
    assert_int_equal(s.e.value.len, 1);
    source_end(&s);
}

static void put_bloom2(struct buf *b, const char *key)
{
    put_entry(b, 34, key);
    rdb_length_write(b, 0);
    put_double(b, 2);
    put_double(b, 0.01);
    for (int i = 0; i < 3; i++)
        rdb_length_write(b, 100);
    rdb_length_write(b, 2);
    for (int filter = 0; filter < 2; filter++) {
        rdb_length_write(b, 7);
        rdb_length_write(b, 8);
        put_string(b, "12345");
        put_string(b, "678");
    }
}

static void put_unsupported(struct buf *b)
{
    put_bloom2(b, "bloom2");
    put_entry(b, 33, "bloom");
    rdb_length_write(b, 0);
    put_double(b, 2);
    put_double(b, 0.01);
    for (int i = 0; i < 3; i++)
        rdb_length_write(b, 100);
    rdb_length_write(b, 1);
    rdb_length_write(b, 7);
    put_string(b, "12345678");
    put_entry(b, 35, "cms");
    rdb_length_write(b, 3);
    rdb_length_write(b, 2);
    rdb_length_write(b, 9);
    for (int i = 0; i < 6; i++)
        put_le(b, (uint64_t)i, 8);
    put_entry(b, 36, "topk");
    for (int i = 0; i < 4; i++)
        rdb_length_write(b, (uint64_t)i);
    put_double(b, 0.9);
    rdb_length_write(b, 1);
    put_string(b, "item");
    rdb_length_write(b, 3);
    put_string(b, "counters");
    put_entry(b, 37, "cuckoo");
    for (int i = 0; i < 6; i++)
        rdb_length_write(b, 1);
    rdb_length_write(b, 1);
    rdb_length_write(b, 7);
    put_string(b, "1234567");
    put_entry(b, 7, "module");
    rdb_length_write(b, UINT64_C(1) << 40);
    buf_put(b,
            "\x01\x05\x02\x05\x03"
            "1234"
            "\x04"
            "12345678"
            "\x05\x03"
            "abc"
            "\x00",
            24);
}

static void what_nobody_else_can_hold_is_passed_by(void **state)
{
    (void)state;
    static const char *const keys[] = {"bloom2", "bloom", "cms", "topk", "cuckoo", "module"};
    struct source s;
    source_begin(&s, NULL);
    put_unsupported(&s.bytes);
    put_entry(&s.bytes, 0, "next");
    put_string(&s.bytes, "x");
    for (size_t i = 0; i < 6; i++) {
        expect_entry(&s, ENTRY_UNSUPPORTED);
        expect_text(s.e.key, keys[i]);
    }
    expect_entry(&s, ENTRY_STRING);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void unsupported_value_of_any_size_is_not_held(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    put_entry(&s.bytes, 35, "cms");
    rdb_length_write(&s.bytes, 1 << 20);
    rdb_length_write(&s.bytes, 1 << 10); /* 8 GiB */
    rdb_length_write(&s.bytes, 9);
    put_le(&s.bytes, 1, 8);
    assert_int_equal(next_of(&s), DECODE_MORE);
    assert_true(decoder_offset(s.d) == s.bytes.len);
    assert_true(decoder_wanted(s.d) == 1);
    source_end(&s);
}

static void scripts_and_indexes_are_told_other_aux_fields_are_not(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    static const char *const aux[][2] = {{"df-ver", "df-v1.40.1"},
                                         {"lua", "return 1"},
                                         {"search-index", "FT.CREATE x"},
                                         {"search-synonyms", "y"}};
    for (size_t i = 0; i < 4; i++) {
        buf_put_u8(&s.bytes, 250);
        put_string(&s.bytes, aux[i][0]);
        put_string(&s.bytes, aux[i][1]);
    }
    buf_put_u8(&s.bytes, 245); /* FUNCTION2 */
    put_string(&s.bytes, "#!lua");
    buf_put_u8(&s.bytes, 247); /* MODULE_AUX: id, unsigned, when, values, end */
    buf_put(&s.bytes, "\x09\x02\x01\x05\x01z\x00", 7);
    buf_put_u8(&s.bytes, 222); /* vector index: a node with two levels of links */
    put_string(&s.bytes, "idx:f");
    rdb_length_write(&s.bytes, 0);
    rdb_length_write(&s.bytes, 1);
    put_le(&s.bytes, 0, 12);
    put_le(&s.bytes, 1, 4);
    put_le(&s.bytes, 2, 4);
    put_le(&s.bytes, 0, 8);
    put_le(&s.bytes, 0, 4);
    buf_put_u8(&s.bytes, 223);
    rdb_length_write(&s.bytes, 0);
    put_string(&s.bytes, "idx");
    rdb_length_write(&s.bytes, 1);
    put_string(&s.bytes, "key");
    rdb_length_write(&s.bytes, 5);
    expect_entry(&s, ENTRY_SCRIPT);
    expect_text(s.e.value, "return 1");
    expect_entry(&s, ENTRY_INDEX);
    expect_text(s.e.value, "FT.CREATE x");
    expect_entry(&s, ENTRY_INDEX);
    expect_text(s.e.value, "y");
    for (int i = 0; i < 2; i++) {
        expect_entry(&s, ENTRY_INDEX);
        assert_int_equal(s.e.value.len, 0);
    }
    assert_int_equal(next_of(&s), DECODE_MORE);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void session_goes_from_snapshot_to_journal(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    buf_put_u8(&s.bytes, 200);
    put_le(&s.bytes, 0, 8);
    buf_put_u8(&s.bytes, 211);
    put_le(&s.bytes, 150, 8);
    put_eof(&s.bytes);
    buf_put(&s.bytes, "\x06\x03", 2); /* SELECT 3 */
    put_command(&s.bytes, 9, "SET a b");
    buf_put_u8(&s.bytes, 13);
    buf_put(&s.bytes, "\x0f\x40\x97", 3); /* LSN 151 */
    expect_entry(&s, ENTRY_FULLSYNC_END);
    assert_true(decoder_next_lsn(s.d) == 0);
    expect_entry(&s, ENTRY_JOURNAL_OFFSET);
    assert_true(s.e.lsn == 150 && decoder_next_lsn(s.d) == 150);
    assert_false(decoder_in_journal(s.d));
    expect_entry(&s, ENTRY_EOF);
    assert_true(decoder_in_journal(s.d));
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 150 && s.e.txid == 9 && s.e.db == 3 && !s.e.in_snapshot && s.e.argc == 3);
    expect_text(s.e.argv[2], "b");
    expect_entry(&s, ENTRY_PING);
    assert_true(s.e.lsn == 151);
    expect_entry(&s, ENTRY_LSN);
    assert_true(s.e.lsn == 151 && decoder_next_lsn(s.d) == 152);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_come_decoded),
        cmocka_unit_test(attributes_belong_to_the_next_entry_only),
        cmocka_unit_test(value_up_to_the_limit_comes_whole_and_a_larger_one_in_elements),
        cmocka_unit_test(elements_come_as_they_arrive_up_to_a_group),
        cmocka_unit_test(entry_may_be_cut_where_a_mark_says),
        cmocka_unit_test(packed_encoding_comes_whole_whatever_its_size),
        cmocka_unit_test(type_20_is_json_up_to_version_9_and_a_set_later),
        cmocka_unit_test(expiries_of_fields_and_members_become_unix_milliseconds),
        cmocka_unit_test(empty_collection_comes_whole),
        cmocka_unit_test(what_nobody_else_can_hold_is_passed_by),
        cmocka_unit_test(unsupported_value_of_any_size_is_not_held),
        cmocka_unit_test(scripts_and_indexes_are_told_other_aux_fields_are_not),
        cmocka_unit_test(session_goes_from_snapshot_to_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
