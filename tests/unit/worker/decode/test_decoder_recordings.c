/* Every recorded FLOW decodes to the same entries, however its bytes arrive and wherever it is restarted. */
#include <cjson/cJSON.h>

#include "tests/unit/worker/decoder_testing.h"

struct flow {
    struct buf bytes;
    struct decoder_config config;
};

static bool read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t got;
    while ((got = fread(buf_reserve(out, 1 << 20), 1, 1 << 20, f)) > 0)
        out->len += got;
    fclose(f);
    return true;
}

static const char *text_at(const cJSON *array, int i)
{
    const cJSON *item = cJSON_GetArrayItem(array, i);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* FLOW n of a recording: its bytes, and what the handshake said about it. */
static bool load_flow(const char *recording, int n, struct flow *out)
{
    char path[256], name[32];
    struct buf json = {0};
    snprintf(path, sizeof path, "tests/recordings/%s/session.json", recording);
    assert_true(read_file(path, &json));
    buf_put_u8(&json, 0);
    cJSON *session = cJSON_Parse((const char *)json.data), *step;
    assert_non_null(session);
    snprintf(name, sizeof name, "flow-%d", n);
    bool found = false;
    cJSON_ArrayForEach(step, cJSON_GetObjectItem(session, "handshake"))
    {
        const cJSON *send = cJSON_GetObjectItem(step, "send"), *reply = cJSON_GetObjectItem(step, "reply");
        const char *conn = cJSON_GetStringValue(cJSON_GetObjectItem(step, "conn"));
        if (strcmp(conn ? conn : "", name) != 0 || strcmp(text_at(send, 0), "DFLY") != 0)
            continue;
        bool partial = strcmp(text_at(reply, 0), "PARTIAL") == 0;
        out->config = config_of(text_at(reply, 1), partial ? strtoull(text_at(send, 5), NULL, 10) : 0);
        found = true;
    }
    cJSON_Delete(session);
    buf_free(&json);
    if (!found)
        return false;
    out->bytes = (struct buf){0};
    snprintf(path, sizeof path, "tests/recordings/%s/flow-%d.bin", recording, n);
    assert_true(read_file(path, &out->bytes));
    return true;
}

/* The recordings end with all bytes decoded, in the journal. */
static void assert_complete(const struct told *t, const struct flow *f)
{
    if (t->status == DECODE_ERROR)
        fail_msg("%s", t->error);
    assert_int_equal(t->status, DECODE_MORE);
    assert_true(t->offset == f->bytes.len);
    assert_true(t->next_lsn > 0);
}

static void flow_decodes_the_same(struct flow *f)
{
    static const uint64_t limits[] = {64 << 10, 100};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        f->config.restore_limit_bytes = limits[i];
        struct told t = decode_fed(&f->config, buf_slice(&f->bytes), FEED_WHOLE, 1);
        assert_complete(&t, f);
        /* A restart inside a compressed blob decompresses it again: not after every entry of the large ones.
         */
        unsigned every = t.count < 2000 ? 1 : 211;
        told_free(&t);
        assert_decodes_the_same(&f->config, buf_slice(&f->bytes), every);
    }
}

static void recording_decodes_the_same(void **state)
{
    struct flow f;
    int n = 0;
    for (; load_flow(*state, n, &f); n++) {
        flow_decodes_the_same(&f);
        buf_free(&f.bytes);
    }
    assert_true(n > 0);
}

/* Restarts close together where a blob, chunks and JOURNAL_BLOBs meet. */
static void restart_after_every_entry_decodes_the_same(void **state)
{
    struct flow f;
    assert_true(load_flow(*state, 2, &f));
    f.config.restore_limit_bytes = 200;
    f.bytes.len = 40000; /* its snapshot, and some of the JOURNAL_BLOBs behind it */
    struct told whole = decode_fed(&f.config, buf_slice(&f.bytes), FEED_WHOLE, 1);
    struct told restarted = decode_fed(&f.config, buf_slice(&f.bytes), FEED_RESTARTS, 1);
    assert_told_same(&whole, &restarted);
    assert_true(whole.count > 1000);
    told_free(&whole);
    told_free(&restarted);
    buf_free(&f.bytes);
}

#define RECORDING(name, path)                                                                                \
    {                                                                                                        \
        name, recording_decodes_the_same, NULL, NULL, (void *)(uintptr_t)path                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORDING("uncompressed_recording_decodes_the_same", "plain-1flow"),
        RECORDING("lz4_recording_decodes_the_same", "lz4-4flows"),
        RECORDING("zstd_recording_decodes_the_same", "zstd-2flows"),
        RECORDING("lzf_recording_decodes_the_same", "lzf-3flows"),
        RECORDING("flushes_and_databases_decode_the_same", "flush-2flows"),
        RECORDING("full_sync_to_be_resumed_decodes_the_same", "resume-2flows/full"),
        RECORDING("partial_sync_decodes_the_same", "resume-2flows/partial"),
        RECORDING("older_master_decodes_the_same", "v1.30-2flows"),
        {"restart_after_every_entry_decodes_the_same", restart_after_every_entry_decodes_the_same, NULL, NULL,
         (void *)(uintptr_t) "lz4-4flows"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
