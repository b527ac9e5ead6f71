/* Recorded states: state.jsonl.zst, a JSON object a line, strings in base64. */
#include "tests/support/state.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "tests/support/state_stream.h"
#include "tests/support/testing.h"

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static struct slice base64_decode(struct buf *out, const char *text)
{
    size_t begin = out->len;
    buf_reserve(out, 1); /* an empty one has an address, too */
    uint32_t bits = 0;
    int have = 0;
    for (int d; (d = base64_digit(*text)) >= 0; text++) {
        bits = bits << 6 | (uint32_t)d;
        if ((have += 6) >= 8)
            buf_put_u8(out, (uint8_t)(bits >> (have -= 8)));
    }
    return slice_of(out->data + begin, out->len - begin);
}

static const char *string_at(const cJSON *object, int index)
{
    const cJSON *item = cJSON_GetArrayItem(object, index);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static const char *string_of(const cJSON *object, const char *field)
{
    const cJSON *item = cJSON_GetObjectItem(object, field);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static void add_texts(struct state_value *v, const char *a, const char *b, const char *c, const char *d)
{
    struct slice parts[4] = {slice_str(a)};
    size_t n = 1;
    const char *rest[] = {b, c, d};
    for (size_t i = 0; i < 3 && rest[i]; i++)
        parts[n++] = slice_str(rest[i]);
    state_item_add(v, n, parts);
}

/* The same items that state_stream.c makes of XINFO STREAM FULL. */
static void read_stream(struct state_value *v, const cJSON *record, struct buf *scratch)
{
    const cJSON *entry, *group, *pending;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(record, "value"))
    {
        const cJSON *words = cJSON_GetArrayItem(entry, 1), *word;
        size_t n = 2, count = (size_t)cJSON_GetArraySize(words) + 2, *ends = x_calloc(count, sizeof *ends);
        struct slice *parts = x_calloc(count, sizeof *parts);
        parts[0] = slice_str("entry");
        parts[1] = slice_str(string_at(entry, 0));
        buf_clear(scratch);
        cJSON_ArrayForEach(word, words)
        {
            parts[n].len = base64_decode(scratch, word->valuestring).len;
            ends[n++] = scratch->len;
        }
        for (size_t i = 2; i < n; i++)
            parts[i].data = scratch->data + ends[i] - parts[i].len;
        state_item_add(v, n, parts);
        free(parts);
        free(ends);
    }
    add_texts(v, "last id", string_of(record, "last_id"), NULL, NULL);
    cJSON_ArrayForEach(group, cJSON_GetObjectItem(record, "groups"))
    {
        buf_clear(scratch);
        struct slice name = base64_decode(scratch, string_of(group, "name"));
        struct slice parts[3] = {slice_str("group"), name, slice_str(string_of(group, "last_id"))};
        state_item_add(v, 3, parts);
        cJSON_ArrayForEach(pending, cJSON_GetObjectItem(group, "pending"))
        {
            buf_clear(scratch);
            char count[24];
            snprintf(count, sizeof count, "%d", cJSON_GetArrayItem(pending, 2)->valueint);
            struct slice who = base64_decode(scratch, string_at(pending, 1));
            struct slice four[4] = {slice_str("pending"), slice_str(string_at(pending, 0)), who,
                                    slice_str(count)};
            state_item_add(v, 4, four);
        }
    }
}

static void read_items(struct state_value *v, const cJSON *value, struct buf *scratch)
{
    const cJSON *item;
    bool pairs = strcmp(v->type, "hash") == 0, scores = strcmp(v->type, "zset") == 0;
    cJSON_ArrayForEach(item, value)
    {
        buf_clear(scratch);
        if (scores) {
            struct slice member = base64_decode(scratch, string_at(item, 0));
            state_item_score(v, member, strtod(string_at(item, 1), NULL));
        } else if (pairs) {
            size_t field_len = base64_decode(scratch, string_at(item, 0)).len;
            struct slice b = base64_decode(scratch, string_at(item, 1));
            struct slice parts[2] = {slice_of(scratch->data, field_len), b};
            state_item_add(v, 2, parts);
        } else {
            struct slice one = base64_decode(scratch, item->valuestring);
            state_item_add(v, 1, &one);
        }
    }
    if (strcmp(v->type, "list") != 0)
        state_value_sort(v, false);
}

static void read_record(struct state_file *f, const cJSON *line, struct buf *scratch)
{
    f->records = x_realloc(f->records, (f->count + 1) * sizeof *f->records);
    struct state_record *r = &f->records[f->count++];
    *r = (struct state_record){.db = (uint32_t)cJSON_GetObjectItem(line, "db")->valueint};
    /* The address is put in when all are there. */
    r->key.len = base64_decode(&f->keys, string_of(line, "key")).len;
    state_value_clear(&r->value);
    snprintf(r->value.type, sizeof r->value.type, "%s", string_of(line, "type"));
    const cJSON *expiry = cJSON_GetObjectItem(line, "expire_at_ms"),
                *value = cJSON_GetObjectItem(line, "value");
    r->value.expire_ms = cJSON_IsNumber(expiry) ? (int64_t)expiry->valuedouble : 0;
    if (strcmp(r->value.type, "stream") == 0) {
        read_stream(&r->value, line, scratch);
    } else if (cJSON_IsString(value)) {
        buf_clear(scratch);
        struct slice bytes = base64_decode(scratch, value->valuestring);
        if (strcmp(r->value.type, "ReJSON-RL") == 0)
            state_item_json(&r->value, bytes);
        else
            state_item_string(&r->value, bytes);
    } else if (cJSON_IsArray(value)) {
        read_items(&r->value, value, scratch);
    } else {
        r->value.partial = true;
    }
}

static void take_lines(struct state_file *f, struct buf *text, struct buf *scratch)
{
    uint8_t *end;
    size_t at = 0;
    while (at < text->len && (end = memchr(text->data + at, '\n', text->len - at))) {
        *end = 0;
        cJSON *line = cJSON_Parse((const char *)text->data + at);
        if (!line)
            die("a line of the recorded state is not JSON");
        read_record(f, line, scratch);
        cJSON_Delete(line);
        at = (size_t)(end - text->data) + 1;
    }
    buf_consume(text, at);
}

void state_file_load(struct state_file *f, const char *path)
{
    *f = (struct state_file){0};
    struct buf packed = {0}, text = {0}, scratch = {0};
    if (!file_read(path, &packed))
        die("%s: %s", path, strerror(errno));
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {packed.data, packed.len, 0};
    size_t more = 1;
    while (in.pos < in.size || more) {
        size_t room = ZSTD_DStreamOutSize();
        ZSTD_outBuffer out = {buf_reserve(&text, room), room, 0};
        more = ZSTD_decompressStream(stream, &out, &in);
        if (ZSTD_isError(more))
            die("%s: %s", path, ZSTD_getErrorName(more));
        text.len += out.pos;
        take_lines(f, &text, &scratch);
        if (in.pos == in.size && !out.pos)
            break;
    }
    ZSTD_freeDStream(stream);
    const uint8_t *key = f->keys.data;
    for (size_t i = 0; i < f->count; key += f->records[i++].key.len)
        f->records[i].key.data = key;
    buf_free(&packed);
    buf_free(&text);
    buf_free(&scratch);
}

void state_file_free(struct state_file *f)
{
    for (size_t i = 0; i < f->count; i++)
        state_value_free(&f->records[i].value);
    free(f->records);
    buf_free(&f->keys);
    *f = (struct state_file){0};
}
