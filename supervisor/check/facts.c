/* Reads the servers' answers into facts. */
#include "supervisor/check/facts.h"

#include <stdio.h>
#include <string.h>

static struct slice reply_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS
               ? slice_of(reply->str, (size_t)reply->len)
               : slice_of("", 0);
}

void clock_facts_read(struct clock_facts *out, const redisReply *reply, uint64_t round_trip_us,
                      int64_t now_ms)
{
    uint64_t seconds, micros;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return;
    const redisReply *s = reply->element[0], *u = reply->element[1];
    if (s->type == REDIS_REPLY_INTEGER && u->type == REDIS_REPLY_INTEGER) { /* Dragonfly's */
        seconds = (uint64_t)s->integer;
        micros = (uint64_t)u->integer;
    } else if (!slice_to_u64(reply_text(s), &seconds) || !slice_to_u64(reply_text(u), &micros)) {
        return;
    }
    out->known = true;
    out->round_trip_us = round_trip_us;
    out->ahead_ms = (int64_t)(seconds * 1000 + micros / 1000) - (now_ms - (int64_t)(round_trip_us / 2000));
}

void key_sample_add(struct key_sample *s, const redisReply *type, const redisReply *memory, const char *key)
{
    struct slice name = reply_text(type);
    size_t i = 0;
    if (name.len == 0 || slice_is(name, "none"))
        return; /* gone since */
    s->keys++;
    while (i < s->type_count && !slice_is(name, s->types[i].name))
        i++;
    if (i == s->type_count && i < SAMPLE_TYPES) {
        snprintf(s->types[i].name, sizeof s->types[i].name, "%.*s", (int)name.len, (const char *)name.data);
        s->type_count++;
    }
    if (i < SAMPLE_TYPES)
        s->types[i].keys++;
    s->sized |= memory->type == REDIS_REPLY_INTEGER;
    if (memory->type != REDIS_REPLY_INTEGER || (uint64_t)memory->integer <= s->largest_bytes)
        return;
    s->largest_bytes = (uint64_t)memory->integer;
    s->largest_is_string = slice_is(name, "string");
    snprintf(s->largest, sizeof s->largest, "%s", key);
}

/* A worker's connection is named df2redis:RUN:flow-N. */
static void take_client(struct target_more *m, const char *line, size_t len, const char *run)
{
    static const char mark[] = " name=df2redis:";
    const char *at = memmem(line, len, mark, sizeof mark - 1);
    if (!at)
        return;
    at += sizeof mark - 1;
    size_t rest = len - (size_t)(at - line), name = 0;
    while (name < rest && at[name] != ':' && at[name] != ' ')
        name++;
    if (name == strlen(run) && memcmp(at, run, name) == 0)
        m->same_run = true;
    else if (name < sizeof m->other_run)
        snprintf(m->other_run, sizeof m->other_run, "%.*s", (int)name, at);
}

void target_more_clients(struct target_more *m, const redisReply *reply, const char *run)
{
    struct slice text = reply_text(reply);
    m->runs_known &= reply->type != REDIS_REPLY_ERROR && text.len > 0;
    while (text.len) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len, next = end ? len + 1 : len;
        take_client(m, (const char *)text.data, len, run);
        text = slice_of(text.data + next, text.len - next);
    }
}

void target_more_persistence(struct target_more *m, const redisReply *reply)
{
    struct slice text = reply_text(reply);
    m->persistence_known &= text.len > 0;
    m->save_failed |= slice_is(info_field(text, "rdb_last_bgsave_status"), "err");
    m->aof_failed |= slice_is(info_field(text, "aof_last_write_status"), "err");
}

void target_more_replication(struct target_more *m, const redisReply *reply)
{
    uint64_t n;
    bool known = slice_to_u64(info_field(reply_text(reply), "connected_slaves"), &n);
    m->replicas_known &= known;
    if (known && n < m->replicas)
        m->replicas = n;
}
