/* Recorded sessions: flow-N.bin and session.json of one directory. */
#include "tests/support/recording.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/journal_reader.h"
#include "tests/support/testing.h"

static const char *text_at(const cJSON *array, int index)
{
    const cJSON *item = cJSON_GetArrayItem(array, index);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static uint64_t number_at(const cJSON *object, const char *field, size_t index)
{
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItem(object, field), (int)index);
    return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}

static void read_greeting(struct recording *r, const cJSON *reply)
{
    snprintf(r->master_id, sizeof r->master_id, "%s", text_at(reply, 0));
    snprintf(r->sync_id, sizeof r->sync_id, "%s", text_at(reply, 1));
    r->flow_count = (size_t)cJSON_GetArrayItem(reply, 2)->valuedouble;
    const cJSON *version = cJSON_GetArrayItem(reply, 3);
    r->version = version ? version->valueint : 0;
    r->lineage = cJSON_GetArraySize(reply) > 4;
    r->flows = x_calloc(r->flow_count, sizeof *r->flows);
}

static void read_flow_reply(struct recording *r, const cJSON *send, const cJSON *reply)
{
    size_t index = strtoull(text_at(send, 4), NULL, 10);
    if (index >= r->flow_count)
        die("%s/session.json: FLOW %zu of %zu", r->dir, index, r->flow_count);
    struct recorded_flow *f = &r->flows[index];
    f->partial = strcmp(text_at(reply, 0), "PARTIAL") == 0;
    snprintf(f->token, sizeof f->token, "%s", text_at(reply, 1));
    f->lsn_given = cJSON_GetArraySize(send) > 5;
    f->lsn = f->lsn_given ? strtoull(text_at(send, 5), NULL, 10) : 0;
}

static void read_handshake(struct recording *r, const cJSON *session)
{
    const cJSON *step;
    cJSON_ArrayForEach(step, cJSON_GetObjectItem(session, "handshake"))
    {
        const cJSON *send = cJSON_GetObjectItem(step, "send");
        const cJSON *reply = cJSON_GetObjectItem(step, "reply");
        if (strcmp(text_at(send, 0), "REPLCONF") == 0 && strcmp(text_at(send, 2), "dragonfly") == 0)
            read_greeting(r, reply);
        else if (strcmp(text_at(send, 0), "DFLY") == 0 && strcmp(text_at(send, 1), "FLOW") == 0)
            read_flow_reply(r, send, reply);
    }
    if (!r->flow_count)
        die("%s/session.json holds no handshake", r->dir);
}

/* FULLSYNC_END is 200 and 8 zero bytes; the last such place before STARTSTABLE is it. */
static uint64_t find_fullsync_end(const struct recorded_flow *f)
{
    static const uint8_t mark[9] = {200};
    const uint8_t *found = NULL;
    for (const uint8_t *at = f->bytes.data, *end = at + f->at_startstable;
         (at = memmem(at, (size_t)(end - at), mark, sizeof mark)); at++)
        found = at;
    return found ? (uint64_t)(found - f->bytes.data) + sizeof mark : 0;
}

/* The journal follows the EOF token. JOURNAL_OFFSET may be inside a compressed blob, so the LSN comes from
 * the first LSN opcode, which names the entry before it. */
static void find_journal(const char *dir, struct recorded_flow *f)
{
    if (!f->partial) {
        const uint8_t *token = memmem(f->bytes.data, f->bytes.len, f->token, 40);
        if (!token)
            die("%s: a FLOW does not hold its EOF token", dir);
        f->journal_at = (uint64_t)(token - f->bytes.data) + 40;
    }
    struct journal_reader reader = {.bytes = buf_slice(&f->bytes), .at = (size_t)f->journal_at};
    struct journal_item *item = x_malloc(sizeof *item);
    int status;
    while ((status = journal_next(&reader, item)) == 1) {
        if (item->kind != JOURNAL_LSN)
            continue;
        if (!f->first_lsn)
            f->first_lsn = item->lsn + 1 - reader.next_lsn;
        if (item->lsn + 1 != f->first_lsn + reader.next_lsn)
            die("%s: LSN opcode says %llu after %llu entries", dir, (unsigned long long)item->lsn,
                (unsigned long long)reader.next_lsn);
    }
    free(item);
    if (status < 0 || reader.at != f->bytes.len || !f->first_lsn || (f->partial && f->first_lsn != f->lsn))
        die("%s: the journal cannot be read at %zu", dir, reader.at);
    f->end_lsn = f->first_lsn + reader.next_lsn;
}

void recording_load(struct recording *r, const char *dir)
{
    *r = (struct recording){.dir = x_strdup(dir)};
    char *path = format_text("%s/session.json", dir);
    struct buf text = {0};
    if (!file_read(path, &text))
        die("%s: %s (tests run in the project's root)", path, strerror(errno));
    buf_put_u8(&text, 0);
    cJSON *session = cJSON_Parse((const char *)text.data);
    if (!session)
        die("%s is not JSON", path);
    read_handshake(r, session);
    for (size_t i = 0; i < r->flow_count; i++) {
        struct recorded_flow *f = &r->flows[i];
        free(path);
        path = format_text("%s/flow-%zu.bin", dir, i);
        if (!file_read(path, &f->bytes))
            die("%s: %s", path, strerror(errno));
        f->at_startstable = number_at(session, "bytes_at_startstable", i);
        if (f->at_startstable > f->bytes.len)
            die("%s is shorter than session.json says", path);
        f->fullsync_end = f->partial ? 0 : find_fullsync_end(f);
        find_journal(dir, f);
    }
    free(path);
    buf_free(&text);
    cJSON_Delete(session);
}

void recording_free(struct recording *r)
{
    for (size_t i = 0; i < r->flow_count; i++)
        buf_free(&r->flows[i].bytes);
    free(r->flows);
    free(r->dir);
    *r = (struct recording){0};
}
