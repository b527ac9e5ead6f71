/* Snapshot entries become the right commands for each target and each policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/crc.h"
#include "worker/link/batch.h"
#include "common/ipc/divergence.h"
#include "worker/translate/translator.h"

struct bench {
    struct settings settings;
    struct capabilities target;
    struct translator t;
    struct buf resp;
    bool once;
    char reported[256];
    uint64_t reports;
};

static void on_report(void *arg, const char *reason, const char *command, struct slice key, uint64_t count)
{
    struct bench *b = arg;
    b->reports += count;
    snprintf(b->reported, sizeof b->reported, "%s %s %.*s", reason, command, (int)key.len,
             (const char *)key.data);
}

static int64_t fixed_now(void)
{
    return 1700000000000;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct error error;
    settings_init(&b->settings);
    assert_true(settings_set(&b->settings, "name", "t", &error));
    b->target = (struct capabilities){.version = 80000,
                                      .max_bulk_bytes = 512 << 20,
                                      .restore_listpacks = true,
                                      .restore_set_listpack = true,
                                      .stream_type = RDB_STREAM_LISTPACKS_3,
                                      .hash_field_ttl = true,
                                      .xsetid_entries = true,
                                      .xgroup_entriesread = true};
    translator_init(&b->t, &b->settings, &b->target, output_for_tests(&b->resp, &b->once));
    b->t.report = on_report;
    b->t.report_arg = b;
    b->t.now_unix_ms = fixed_now;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    output_free(b->t.out);
    translator_free(&b->t);
    settings_free(&b->settings);
    buf_free(&b->resp);
    free(b);
    return 0;
}

/* RESP commands as lines of words; binary arguments as <length>. */
static char *lines(const struct buf *resp)
{
    static char text[8192];
    size_t n = 0;
    const char *p = (const char *)resp->data, *end = p + resp->len;
    while (p < end) {
        unsigned long argc = strtoul(p + 1, (char **)&p, 10);
        p += 2;
        for (unsigned long i = 0; i < argc; i++) {
            unsigned long len = strtoul(p + 1, (char **)&p, 10);
            p += 2;
            bool binary = len > 60;
            for (unsigned long k = 0; k < len; k++)
                binary |= (uint8_t)p[k] < 0x20 || (uint8_t)p[k] > 0x7e;
            if (binary)
                n += (size_t)snprintf(text + n, sizeof text - n, "%s<%lu>", i ? " " : "", len);
            else
                n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", i ? " " : "", (int)len, p);
            p += len + 2;
        }
        n += (size_t)snprintf(text + n, sizeof text - n, "\n");
    }
    text[n] = '\0';
    return text;
}

static struct entry entry_of(enum entry_kind kind, uint8_t type, const char *key, struct slice value)
{
    return (struct entry){
        .kind = kind, .type = type, .key = slice_str(key), .value = value, .in_snapshot = true};
}

static void say(struct bench *b, struct entry e)
{
    struct error error = {0};
    if (!translate(&b->t, &e, &error))
        fail_msg("%s", error.text);
}

static void assert_lines(struct bench *b, const char *expected)
{
    assert_string_equal(lines(&b->resp), expected);
}

static const uint8_t hash_of_2[] = "\x02\x01"
                                   "a"
                                   "\x01"
                                   "1"
                                   "\x01"
                                   "b"
                                   "\xc0\x07"; /* 7 as an int8 */
#define HASH_OF_2 slice_of(hash_of_2, sizeof hash_of_2 - 1)

static void string_becomes_set_with_its_end(void **state)
{
    struct bench *b = *state;
    struct entry e = entry_of(ENTRY_STRING, RDB_STRING, "k", slice_str("v"));
    say(b, e);
    e.expire_ms = 1800000000000;
    say(b, e);
    assert_lines(b, "SELECT 0\nSET k v\nSET k v PXAT 1800000000000\n");
    assert_false(b->once);
}

static void end_that_passed_while_we_lagged_is_put_off(void **state)
{
    struct bench *b = *state;
    struct entry e = entry_of(ENTRY_STRING, RDB_STRING, "k", slice_str("v"));
    e.expire_ms = fixed_now() - 5000;
    say(b, e);
    e.expire_ms = 1000; /* long dead: no lag explains it */
    say(b, e);
    assert_lines(b, "SELECT 0\nSET k v PXAT 1700000600000\nSET k v PXAT 1000\n");
}

static void shared_layout_is_restored_with_a_valid_footer(void **state)
{
    struct bench *b = *state;
    struct entry e = entry_of(ENTRY_VALUE, RDB_HASH, "h", HASH_OF_2);
    e.expire_ms = 1800000000000;
    say(b, e);
    assert_lines(b, "SELECT 0\nRESTORE h 1800000000000 <20> ABSTTL REPLACE\n");
    /* type, value, version 9, CRC-64 of all before. */
    const uint8_t *payload = memmem(b->resp.data, b->resp.len, "$20\r\n", 5);
    assert_non_null(payload);
    payload += 5;
    assert_int_equal(payload[0], RDB_HASH);
    assert_memory_equal(payload + 1, hash_of_2, 9);
    assert_memory_equal(payload + 10, "\x09\x00", 2);
    uint64_t crc = crc64(0, payload, 12), there = 0;
    for (int i = 0; i < 8; i++)
        there |= (uint64_t)payload[12 + i] << (8 * i);
    assert_int_equal(there, crc);
}

static void layout_that_the_target_does_not_know_is_written_natively(void **state)
{
    struct bench *b = *state;
    static const uint8_t list[] = "\x02\x01\x05"
                                  "plain"
                                  "\x01\x02"
                                  "xy";
    b->target.restore_listpacks = false;
    struct entry e = entry_of(ENTRY_VALUE, RDB_LIST_QUICKLIST_2, "l", slice_of(list, sizeof list - 1));
    e.expire_ms = 1800000000000;
    say(b, e);
    assert_lines(b, "SELECT 0\nDEL l\nRPUSH l plain xy\nPEXPIREAT l 1800000000000\n");
    assert_true(b->once);
}

static void hash_with_field_ends_keeps_them_where_possible(void **state)
{
    struct bench *b = *state;
    static const uint8_t hash[] = "\x02\x01"
                                  "a"
                                  "\x01"
                                  "1"
                                  "\xc2\x00\x00\x00\x01"
                                  "\x01"
                                  "b"
                                  "\x01"
                                  "2"
                                  "\xc0\xff";
    struct entry e = entry_of(ENTRY_VALUE, RDB_HASH_WITH_EXPIRY, "h", slice_of(hash, sizeof hash - 1));
    say(b, e);
    assert_lines(b, "SELECT 0\nDEL h\nHSET h a 1 b 2\nHPEXPIREAT h 1691986816000 FIELDS 1 a\n");
    assert_int_equal(b->reports, 0);
    b->target.hash_field_ttl = false;
    buf_clear(&b->resp);
    say(b, e);
    assert_lines(b, "DEL h\nHSET h b 2\n"); /* a's end has passed */
    assert_string_equal(b->reported, DIVERGENCE_FIELD_TTL " HPEXPIREAT h");
}

static void empty_collection_is_deleted(void **state)
{
    struct bench *b = *state;
    say(b, entry_of(ENTRY_VALUE, RDB_SET, "s", slice_of("\0", 1)));
    assert_lines(b, "SELECT 0\nDEL s\n");
}

static void collection_in_pieces_is_deleted_filled_and_given_its_end(void **state)
{
    struct bench *b = *state;
    struct element zset[] = {{.a = slice_str("m"), .score = 1.5}, {.a = slice_str("n"), .score = 0.1}};
    struct entry e = entry_of(ENTRY_BEGIN, RDB_ZSET_2, "z", slice_of("", 0));
    e.expire_ms = 1800000000000;
    say(b, e);
    e.kind = ENTRY_ELEMENTS;
    e.class = ELEMENT_ZSET;
    e.elements = zset;
    e.element_count = 2;
    say(b, e);
    e.kind = ENTRY_END;
    say(b, e);
    assert_lines(b, "SELECT 0\nDEL z\nZADD z 1.5 m 0.1 n\nPEXPIREAT z 1800000000000\n");
    assert_false(b->once);
}

static void nothing_gives_way_when_conflicts_are_to_be_skipped(void **state)
{
    struct bench *b = *state;
    struct error error;
    assert_true(settings_set(&b->settings, "on-conflict", "skip", &error));
    b->target.restore_listpacks = false;
    static const uint8_t list[] = "\x01\x01\x01"
                                  "x";
    say(b, entry_of(ENTRY_STRING, RDB_STRING, "k", slice_str("v")));
    say(b, entry_of(ENTRY_VALUE, RDB_HASH, "h", HASH_OF_2));
    say(b, entry_of(ENTRY_VALUE, RDB_LIST_QUICKLIST_2, "l", slice_of(list, sizeof list - 1)));
    assert_lines(b, "SELECT 0\nSET k v NX\nRESTORE h 0 <20> ABSTTL\n"
                    "DEL df2redis:t:new:l\nRPUSH df2redis:t:new:l x\nRENAMENX df2redis:t:new:l l\n"
                    "UNLINK df2redis:t:new:l\n");
}

static void json_goes_where_it_is_known_and_is_named_where_not(void **state)
{
    struct bench *b = *state;
    struct entry e = entry_of(ENTRY_VALUE, RDB_JSON, "j", slice_str("{\"a\":1}"));
    say(b, e);
    assert_lines(b, "SELECT 0\nDEL j\n"); /* no older value under its name */
    assert_string_equal(b->reported, DIVERGENCE_TYPE " JSON j");
    b->target.json = true;
    say(b, e);
    assert_lines(b, "SELECT 0\nDEL j\nDEL j\nJSON.SET j $ {\"a\":1}\n");
}

static void unwanted_keys_and_databases_are_left_out(void **state)
{
    struct bench *b = *state;
    struct error error;
    assert_true(settings_set(&b->settings, "include", "a*", &error));
    assert_true(settings_set(&b->settings, "db", "0,3:7", &error));
    struct entry e = entry_of(ENTRY_STRING, RDB_STRING, "b", slice_str("v"));
    say(b, e);
    e.key = slice_str("a");
    e.db = 1;
    say(b, e);
    e.db = 3;
    say(b, e);
    assert_lines(b, "SELECT 7\nSET a v\n");
    assert_int_equal(b->reports, 0);
}

static void value_beyond_the_targets_limit_is_named(void **state)
{
    struct bench *b = *state;
    b->target.max_bulk_bytes = 100;
    static char large[200];
    say(b, entry_of(ENTRY_STRING, RDB_STRING, "k", slice_of(large, sizeof large)));
    assert_lines(b, "SELECT 0\nDEL k\n"); /* nothing older */
    assert_string_equal(b->reported, DIVERGENCE_TOO_LARGE " string k");
}

static void script_is_loaded_and_index_is_named(void **state)
{
    struct bench *b = *state;
    say(b, entry_of(ENTRY_SCRIPT, 0, "", slice_str("return 1")));
    say(b, entry_of(ENTRY_INDEX, 0, "", slice_str("idx ON HASH SCHEMA t TEXT")));
    assert_lines(b, "SELECT 0\nSCRIPT LOAD return 1\n");
    assert_string_equal(b->reported, DIVERGENCE_SEARCH " FT.CREATE idx");
}

/* --lua_auto_async: clients know it by the SHA of what they sent. */
static void script_that_the_source_has_altered_is_loaded_as_it_was_too(void **state)
{
    struct bench *b = *state;
    say(b,
        entry_of(
            ENTRY_SCRIPT, 0, "",
            slice_str(
                "redis.acall('SET',KEYS[1],1)\n redis.apcall('DEL','x')\nreturn redis.call('GET',KEYS[1])")));
    static const char sent[] =
        "redis.call('SET',KEYS[1],1)\n redis.pcall('DEL','x')\nreturn redis.call('GET',KEYS[1])";
    assert_lines(b, "SELECT 0\nSCRIPT LOAD <86>\nSCRIPT LOAD <84>\n");
    assert_non_null(memmem(b->resp.data, b->resp.len, sent, sizeof sent - 1));
    b->resp.len = 0;
    say(b, entry_of(ENTRY_SCRIPT, 0, "", slice_str("return redis.a")));
    assert_lines(b, "SCRIPT LOAD return redis.a\n");
}

static void payload_that_the_target_refused_is_written_by_elements(void **state)
{
    struct bench *b = *state;
    static const uint8_t twice[] = {2, 1, 'f', 1, '1', 1, 'f', 1, '2'};
    b->t.by_elements = true;
    say(b, entry_of(ENTRY_VALUE, RDB_HASH, "h", slice_of(twice, sizeof twice)));
    assert_lines(b, "SELECT 0\nDEL h\nHSET h f 1 f 2\n");
}

#define SNAPSHOT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SNAPSHOT_TEST(string_becomes_set_with_its_end),
        SNAPSHOT_TEST(end_that_passed_while_we_lagged_is_put_off),
        SNAPSHOT_TEST(shared_layout_is_restored_with_a_valid_footer),
        SNAPSHOT_TEST(layout_that_the_target_does_not_know_is_written_natively),
        SNAPSHOT_TEST(hash_with_field_ends_keeps_them_where_possible),
        SNAPSHOT_TEST(empty_collection_is_deleted),
        SNAPSHOT_TEST(collection_in_pieces_is_deleted_filled_and_given_its_end),
        SNAPSHOT_TEST(nothing_gives_way_when_conflicts_are_to_be_skipped),
        SNAPSHOT_TEST(json_goes_where_it_is_known_and_is_named_where_not),
        SNAPSHOT_TEST(unwanted_keys_and_databases_are_left_out),
        SNAPSHOT_TEST(value_beyond_the_targets_limit_is_named),
        SNAPSHOT_TEST(script_that_the_source_has_altered_is_loaded_as_it_was_too),
        SNAPSHOT_TEST(payload_that_the_target_refused_is_written_by_elements),
        SNAPSHOT_TEST(script_is_loaded_and_index_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
