/* One value of every type that a snapshot may hold, for the manual's matrix: from the fuzzers' corpus. After
 * cmocka.h. */
#ifndef DF2REDIS_TESTS_UNIT_WORKER_TYPE_SAMPLES_H
#define DF2REDIS_TESTS_UNIT_WORKER_TYPE_SAMPLES_H

#include "worker/rdb/value.h"

enum { HEADER = 10 };

static void read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: run the tests in the project's root", path);
    for (size_t n = 1; n > 0; out->len += n)
        n = fread(buf_reserve(out, 4096), 1, 4096, f);
    fclose(f);
}

/* The type's number, and where its bytes are: behind "?REDIS0009", type and key. */
static const struct {
    uint8_t type;
    const char *layout, *sample;
} samples[] = {
    {RDB_STRING, "", NULL},
    {RDB_LIST_QUICKLIST_2, "quicklist of listpacks", "lz4-4flows-0-type18-1"},
    {RDB_LIST, "plain", "hand-type1"},
    {RDB_LIST_ZIPLIST, "ziplist", "hand-type10"},
    {RDB_LIST_QUICKLIST, "quicklist of ziplists", "hand-type14"},
    {RDB_SET, "plain", "lz4-4flows-0-type2-1"},
    {RDB_SET_INTSET, "integers", "lz4-4flows-0-type11-1"},
    {RDB_SET_LISTPACK, "listpack", ""},
    {RDB_SET_WITH_EXPIRY, "members with TTL", "plain-1flow-0-type32-1"},
    {RDB_ZSET_2, "plain", "lzf-3flows-1-type5-1"},
    {RDB_ZSET, "plain, old", "hand-type3"},
    {RDB_ZSET_ZIPLIST, "ziplist", "v1.30-2flows-0-type12-1"},
    {RDB_ZSET_LISTPACK, "listpack", "lz4-4flows-1-type17-1"},
    {RDB_HASH_ZIPMAP, "zipmap", "hand-type9"},
    {RDB_HASH_ZIPLIST, "ziplist", "v1.30-2flows-0-type13-1"},
    {RDB_HASH_LISTPACK, "listpack", "lz4-4flows-1-type16-1"},
    {RDB_HASH_WITH_EXPIRY, "fields with TTL", "plain-1flow-0-type31-1"},
    {RDB_STREAM_LISTPACKS_3, "of Redis 7.2", "plain-1flow-0-type21-1"},
    {RDB_JSON, "", "plain-1flow-0-type30-1"},
    {RDB_SBF, "", "hand-type33"},
    {RDB_SBF2, "", "hand-type34"},
    {RDB_CMS, "", "hand-type35"},
    {RDB_TOPK, "", "hand-type36"},
    {RDB_CUCKOO, "", "hand-type37"},
};

/* A string "v"; a listpack of one item "a" as a string. */
static const uint8_t string_v[] = {1, 'v'};
static const uint8_t set_listpack[] = {10, 10, 0, 0, 0, 1, 0, 0x81, 'a', 2, 0xff};

static void sample_of(size_t i, struct buf *out)
{
    buf_clear(out);
    if (!samples[i].sample || !*samples[i].sample) {
        bool string = !samples[i].sample;
        buf_put(out, string ? string_v : set_listpack, string ? sizeof string_v : sizeof set_listpack);
        return;
    }
    char path[120];
    snprintf(path, sizeof path, "tests/fuzz/corpus/decoder/%s", samples[i].sample);
    read_file(path, out);
    assert_true(out->len > HEADER + 2 && memcmp(out->data + 1, "REDIS0009", 9) == 0);
    assert_int_equal(out->data[HEADER], samples[i].type);
    size_t before = HEADER + 2 + out->data[HEADER + 1];
    memmove(out->data, out->data + before, out->len - before);
    out->len -= before;
}

#endif
