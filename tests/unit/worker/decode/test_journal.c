/* Journal entries alone, in JOURNAL_BLOBs, and as the stream after EOF. */
#include "worker/decode/journal.h"

#include "tests/unit/worker/decoder_testing.h"

static void command_gives_its_arguments_and_any_part_of_it_asks_for_more(void **state)
{
    (void)state;
    struct buf b = {0};
    struct journal_args args = {0};
    struct journal_item item;
    struct error error;
    size_t used, wanted;
    char key[100];
    memset(key, 'k', 99);
    key[99] = '\0';
    char words[200];
    snprintf(words, sizeof words, "SET %s  value", key); /* with an empty argument */
    put_command(&b, 70000, words);
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *copy = x_malloc(len);
        memcpy(copy, b.data, len);
        assert_int_equal(journal_read(&args, slice_of(copy, len), &item, &used, &wanted, &error), VALUE_MORE);
        assert_true(wanted > len && wanted <= b.len);
        free(copy);
    }
    assert_int_equal(journal_read(&args, buf_slice(&b), &item, &used, &wanted, &error), VALUE_OK);
    assert_int_equal(used, b.len);
    assert_int_equal(item.opcode, JOURNAL_COMMAND);
    assert_int_equal(item.value, 70000);
    assert_int_equal(item.argc, 4);
    expect_text(item.argv[0], "SET");
    expect_text(item.argv[1], key);
    expect_text(item.argv[2], "");
    expect_text(item.argv[3], "value");
    buf_free(&b);
    journal_args_free(&args);
}

static void expired_of_old_masters_is_a_command(void **state)
{
    (void)state;
    struct buf b = {0};
    struct journal_args args = {0};
    struct journal_item item;
    struct error error;
    size_t used, wanted;
    put_command(&b, 0, "DEL k");
    b.data[0] = 9;
    assert_int_equal(journal_read(&args, buf_slice(&b), &item, &used, &wanted, &error), VALUE_OK);
    assert_int_equal(item.opcode, JOURNAL_COMMAND);
    buf_free(&b);
    journal_args_free(&args);
}

static void many_arguments_fit_and_too_many_are_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    struct journal_args args = {0};
    struct journal_item item;
    struct error error;
    size_t used, wanted;
    buf_put(&b, "\x0a\x00\x01", 3);
    rdb_length_write(&b, 1000000);
    rdb_length_write(&b, 2000000);
    for (int i = 0; i < 1000000; i++)
        buf_put(&b, "\x02xy", 3);
    assert_int_equal(journal_read(&args, buf_slice(&b), &item, &used, &wanted, &error), VALUE_OK);
    assert_int_equal(item.argc, 1000000);
    expect_text(item.argv[999999], "xy");
    b.len = 3;
    rdb_length_write(&b, (1 << 24) + 1);
    rdb_length_write(&b, 5);
    assert_int_equal(journal_read(&args, buf_slice(&b), &item, &used, &wanted, &error), VALUE_BROKEN);
    buf_free(&b);
    journal_args_free(&args);
}

/* In the stream of a partial sync from LSN 100 on. */
static void refused(const char *bytes, size_t len, const char *why)
{
    struct decoder_config c = config_of(TOKEN, 100);
    struct source s;
    source_begin(&s, &c);
    buf_put(&s.bytes, bytes, len);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    while (next_of(&s) == DECODE_ENTRY)
        ;
    expect_error(&s, why);
    source_end(&s);
}

#define REFUSED(bytes, why) refused(bytes, sizeof bytes - 1, why)

static void hostile_entries_are_refused_with_words(void **state)
{
    (void)state;
    REFUSED("\x07", "opcode 7 is not known");
    REFUSED("\xc1", "byte 0xc1");
    REFUSED("\x06\x80\x00\x01\x00\x00", "above 65535");
    REFUSED("\x0a\x00\x01\x00\x00", "without a name");
    REFUSED("\x0a\x00\x01\x02\x04\x03"
            "DEL\x02kk\x00\x00",
            "arguments longer than announced");
    REFUSED("\x0a\x00\x01\x02\x06\x03"
            "DEL\x01k\x00\x00",
            "arguments shorter than announced");
    REFUSED("\x0a\x00\x01\x01\x81\x00\x00\x00\x01\x00\x00\x00\x00", "no more than 2147483647");
    REFUSED("\x0a\x00\x01\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff", "invalid size");
}

static void lsn_is_checked_against_the_count(void **state)
{
    (void)state;
    struct decoder_config c = config_of(TOKEN, 100);
    struct source s;
    source_begin(&s, &c);
    assert_true(decoder_in_journal(s.d));
    put_command(&s.bytes, 0, "SET a b");  /* 100 */
    buf_put(&s.bytes, "\x06\x02\x0d", 3); /* SELECT takes none; PING 101 */
    buf_put(&s.bytes, "\x0f\x40\x65", 3); /* 101 */
    put_command(&s.bytes, 0, "SET a b");  /* 102, in database 2 */
    buf_put(&s.bytes, "\x0f\x40\x67", 3); /* but it says 103 */
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 100 && s.e.db == 0 && s.e.seq == 1);
    expect_entry(&s, ENTRY_PING);
    assert_true(s.e.lsn == 101);
    expect_entry(&s, ENTRY_LSN);
    assert_true(s.e.lsn == 101 && s.e.seq == 3);
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 102 && s.e.db == 2);
    expect_break(&s, "the source says LSN 103 where 102 was counted");
    source_end(&s);
}

/* A master that was made a replica answers REPLCONF ACK in the stream itself. */
static void error_line_between_entries_ends_the_journal(void **state)
{
    (void)state;
    static const char line[] = "-ERR Replicating a replica is unsupported\r\n";
    struct decoder_config c = config_of(TOKEN, 100);
    struct source s;
    source_begin(&s, &c);
    put_command(&s.bytes, 0, "SET a b");
    put_text(&s.bytes, line);
    put_command(&s.bytes, 7, "FLUSHALL");
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    expect_entry(&s, ENTRY_COMMAND);
    uint64_t at = decoder_offset(s.d);
    expect_break(&s, "answers REPLCONF ACK with an error: ERR Replicating a replica is unsupported");
    assert_true(decoder_offset(s.d) == at && decoder_seq(s.d) == 1 && decoder_next_lsn(s.d) == 101);
    source_end(&s);
}

static void put_journal_blob(struct buf *b, unsigned count, const struct buf *entries)
{
    buf_put_u8(b, 210);
    rdb_length_write(b, count);
    put_slice(b, buf_slice(entries));
}

/* Applied up to LSN 102: the last command is that of 101. */
static struct decoder_config config_to_compare(const char *words)
{
    struct decoder_config c = config_of(TOKEN, 103);
    struct slice argv[3];
    size_t argc = 0;
    for (const char *p = words; *p && argc < 3; argc++) {
        argv[argc] = slice_of(p, strcspn(p, " "));
        p += argv[argc].len + (p[argv[argc].len] == ' ');
    }
    c.asked_lsn = 101;
    c.check = (struct journal_check){101, journal_checksum(2, argv, argc)};
    return c;
}

static void put_101_to_103(struct source *s)
{
    buf_put(&s->bytes, "\x06\x02", 2);
    put_command(&s->bytes, 77, "SET a b"); /* 101, in database 2 */
    buf_put_u8(&s->bytes, 13);             /* 102 */
    buf_put(&s->bytes, "\x0f\x40\x66", 3); /* LSN 102 */
    put_command(&s->bytes, 0, "SET a c");  /* 103 */
}

static void entries_that_were_applied_are_compared_and_not_given(void **state)
{
    (void)state;
    struct decoder_config c = config_to_compare("SET a b");
    struct source s;
    source_begin(&s, &c);
    put_101_to_103(&s);
    assert_true(decoder_comparing(s.d));
    assert_true(decoder_next_lsn(s.d) == 103); /* nothing before it is wanted again */
    assert_true(decoder_check(s.d, 103).lsn == 101);
    expect_entry(&s, ENTRY_LSN);
    assert_false(decoder_comparing(s.d));
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 103 && s.e.seq == 2 && s.e.db == 2);
    assert_true(decoder_check(s.d, 103).lsn == 101 && decoder_check(s.d, 103).sum == c.check.sum);
    assert_true(decoder_check(s.d, 104).lsn == 103 && decoder_check(s.d, 104).sum != c.check.sum);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void expect_another_journal(const struct decoder_config *c, void (*put)(struct source *))
{
    struct source s;
    source_begin(&s, c);
    put(&s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(next_of(&s), DECODE_BREAK);
        assert_int_equal(s.error.class, ERROR_REDIRECT);
        assert_non_null(strstr(s.error.text, "differs from the one applied here"));
    }
    assert_true(decoder_seq(s.d) == 0 && decoder_next_lsn(s.d) == 103);
    source_end(&s);
}

static void put_ping_first(struct source *s)
{
    buf_put_u8(&s->bytes, 13);
    put_101_to_103(s);
}

static void put_command_for_the_ping(struct source *s)
{
    buf_put(&s->bytes, "\x06\x02", 2);
    put_command(&s->bytes, 0, "SET a b");
    put_command(&s->bytes, 0, "SET a b");
}

static void another_entry_in_its_place_is_another_journal(void **state)
{
    (void)state;
    struct decoder_config same = config_to_compare("SET a b"), other = config_to_compare("SET a x");
    expect_another_journal(&other, put_101_to_103);
    expect_another_journal(&same, put_ping_first);
    expect_another_journal(&same, put_command_for_the_ping);
}

/* Of a promoted master, whose ring begins behind the last command: only PINGs may stand there. */
static void without_a_command_to_compare_only_pings_may_come(void **state)
{
    (void)state;
    struct decoder_config c = config_of(TOKEN, 103);
    c.asked_lsn = 101;
    struct source s;
    source_begin(&s, &c);
    buf_put(&s.bytes, "\x0d\x0d", 2);
    put_command(&s.bytes, 0, "SET a c");
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 103);
    source_end(&s);
    expect_another_journal(&c, put_101_to_103);
}

/* v1.31 to v1.34 send it like that: no key, the journal in JOURNAL_BLOBs, and then what follows every snapshot. */
static void journal_of_a_partial_sync_may_stand_in_blobs(void **state)
{
    (void)state;
    struct decoder_config c = config_to_compare("SET a b");
    struct source s;
    struct buf one = {0};
    c.in_blobs = true;
    source_begin(&s, &c);
    put_header(&s.bytes);
    buf_put(&one, "\x06\x02", 2);
    put_command(&one, 77, "SET a b"); /* 101, in database 2 */
    put_journal_blob(&s.bytes, 1, &one);
    one.len = 0;
    buf_put_u8(&one, 13); /* 102 */
    put_journal_blob(&s.bytes, 1, &one);
    one.len = 0;
    put_command(&one, 9, "FLUSHALL"); /* 103 */
    put_journal_blob(&s.bytes, 1, &one);
    buf_put_u8(&s.bytes, 200);
    put_le(&s.bytes, 0, 8);
    one.len = 0;
    put_command(&one, 0, "SET a c"); /* 104 */
    put_journal_blob(&s.bytes, 1, &one);
    buf_put_u8(&s.bytes, 211);
    put_le(&s.bytes, 105, 8);
    put_eof(&s.bytes);
    put_command(&s.bytes, 0, "SET a d"); /* 105 */
    assert_true(decoder_comparing(s.d) && !decoder_in_journal(s.d));
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 103 && !s.e.in_snapshot && s.e.db == 2 && s.e.seq == 1);
    expect_entry(&s, ENTRY_FULLSYNC_END);
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 104 && !s.e.in_snapshot);
    expect_entry(&s, ENTRY_JOURNAL_OFFSET);
    expect_entry(&s, ENTRY_EOF);
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 105 && decoder_check(s.d, 105).lsn == 104);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    buf_free(&one);
    source_end(&s);
}

static void error_line_without_an_end_is_refused(void **state)
{
    (void)state;
    char long_line[600];
    memset(long_line, 'x', sizeof long_line);
    long_line[0] = '-';
    refused(long_line, sizeof long_line, "opcode 45 is not known");
}

static void journal_blobs_give_their_entries_and_keep_the_database(void **state)
{
    (void)state;
    struct source s;
    struct buf entries = {0};
    source_begin(&s, NULL);
    buf_put(&entries, "\x06\x04", 2);
    put_command(&entries, 5, "SET a b");
    buf_put_u8(&entries, 13);
    buf_put(&entries, "\x06\x06", 2);
    put_command(&entries, 0, "DEL a");
    put_journal_blob(&s.bytes, 3, &entries);
    entries.len = 0;
    put_journal_blob(&s.bytes, 0, &entries);
    put_command(&entries, 0, "DEL b");
    put_journal_blob(&s.bytes, 1, &entries);
    put_eof(&s.bytes);
    put_command(&s.bytes, 0, "DEL c");
    buf_put(&s.bytes, "\x0f\x09", 2);

    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.in_snapshot && s.e.lsn == 1 && s.e.txid == 5 && s.e.db == 4);
    expect_entry(&s, ENTRY_PING);
    assert_true(s.e.lsn == 2 && s.e.argc == 0);
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 3 && s.e.db == 6);
    expect_entry(&s, ENTRY_COMMAND);
    assert_true(s.e.lsn == 4 && s.e.db == 6);
    expect_text(s.e.argv[1], "b");
    expect_entry(&s, ENTRY_EOF);
    expect_entry(&s, ENTRY_COMMAND); /* another reader in the master: from database 0, its LSN not told yet */
    assert_true(s.e.db == 0 && s.e.lsn == 0 && !s.e.in_snapshot);
    expect_entry(&s, ENTRY_LSN);
    assert_true(decoder_next_lsn(s.d) == 10);
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    buf_free(&entries);
    source_end(&s);
}

static void journal_blob_may_be_lzf(void **state)
{
    (void)state;
    struct source s;
    source_begin(&s, NULL);
    /* 0a 00 01 02 0d, 3 "SET" is enough: SET and ten times k; the last nine by a back reference. */
    static const uint8_t blob[] = {0xd2, 1, 0xc3, 15,  20,  10, 0x0a, 0,    1, 2,
                                   13,   3, 'S',  'E', 'T', 10, 'k',  0xe0, 0, 0};
    buf_put(&s.bytes, blob, sizeof blob);
    expect_entry(&s, ENTRY_COMMAND);
    assert_int_equal(s.e.argc, 2);
    expect_text(s.e.argv[1], "kkkkkkkkkk");
    struct decoder_config c = config_of(TOKEN, 0);
    assert_decodes_the_same(&c, buf_slice(&s.bytes), 1);
    source_end(&s);
}

static void journal_blob_of_another_count_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned count;
        const char *why;
    } cases[] = {{3, "fewer entries than announced"},
                 {1, "more entries than announced"},
                 {0, "more entries than announced"}};
    struct buf entries = {0};
    put_command(&entries, 0, "DEL a");
    put_command(&entries, 0, "DEL b");
    for (size_t i = 0; i < 3; i++) {
        struct source s;
        source_begin(&s, NULL);
        put_journal_blob(&s.bytes, cases[i].count, &entries);
        while (next_of(&s) == DECODE_ENTRY)
            ;
        expect_error(&s, cases[i].why);
        source_end(&s);
    }
    buf_put(&entries, "\x0f\x01", 2);
    struct source s;
    source_begin(&s, NULL);
    put_journal_blob(&s.bytes, 3, &entries);
    while (next_of(&s) == DECODE_ENTRY)
        ;
    expect_error(&s, "an LSN in a JOURNAL_BLOB");
    source_end(&s);
    buf_free(&entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_gives_its_arguments_and_any_part_of_it_asks_for_more),
        cmocka_unit_test(expired_of_old_masters_is_a_command),
        cmocka_unit_test(many_arguments_fit_and_too_many_are_refused),
        cmocka_unit_test(hostile_entries_are_refused_with_words),
        cmocka_unit_test(lsn_is_checked_against_the_count),
        cmocka_unit_test(error_line_between_entries_ends_the_journal),
        cmocka_unit_test(error_line_without_an_end_is_refused),
        cmocka_unit_test(entries_that_were_applied_are_compared_and_not_given),
        cmocka_unit_test(another_entry_in_its_place_is_another_journal),
        cmocka_unit_test(without_a_command_to_compare_only_pings_may_come),
        cmocka_unit_test(journal_of_a_partial_sync_may_stand_in_blobs),
        cmocka_unit_test(journal_blobs_give_their_entries_and_keep_the_database),
        cmocka_unit_test(journal_blob_may_be_lzf),
        cmocka_unit_test(journal_blob_of_another_count_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
