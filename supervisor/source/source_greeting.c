/* Decodes the source's answers: greeting, release, role changes, refusals. */
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "supervisor/source/source.h"

static bool is_status(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STATUS && strcasecmp(reply->str, word) == 0;
}

static bool starts_with(const char *text, const char *word)
{
    return strncasecmp(text, word, strlen(word)) == 0;
}

bool source_refusal(const redisReply *reply, const char *doing, const char *source_name, struct error *error)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return error_fatal(error, EX_PROTOCOL,
                           "source %s gave an answer to %s that is not understood; is it a Dragonfly?",
                           source_name, doing);
    const char *text = reply->str;
    if (starts_with(text, "NOAUTH"))
        return error_fatal(
            error, EX_NOPERM,
            "source %s wants a password: give it in the URI, with --source-password-file or in "
            "DF2REDIS_SOURCE_PASSWORD",
            source_name);
    if (starts_with(text, "WRONGPASS"))
        return error_fatal(error, EX_NOPERM, "source %s refuses user or password: %.200s", source_name, text);
    if (starts_with(text, "NOPERM"))
        return error_fatal(
            error, EX_NOPERM,
            "source %s does not permit %s to this user: %.200s; it needs +replconf +dfly +ping", source_name,
            doing, text);
    if (strcasestr(text, "replicating a replica"))
        return error_fatal(
            error, EX_CONFIG,
            "source %s is itself a replica, and a Dragonfly replica cannot be replicated: give the "
            "address of its master",
            source_name);
    if (starts_with(text, "LOADING"))
        return error_set(error, ERROR_RETRY,
                         "source %s is still loading its data: try again when it is ready", source_name);
    return error_fatal(error, EX_PROTOCOL, "source %s refuses %s: %.200s", source_name, doing, text);
}

static bool take_text(const redisReply *reply, size_t index, char *out, size_t out_bytes)
{
    const redisReply *item = index < reply->elements ? reply->element[index] : NULL;
    if (!item || (item->type != REDIS_REPLY_STATUS && item->type != REDIS_REPLY_STRING))
        return false;
    size_t len = (size_t)item->len;
    if (len == 0 || len >= out_bytes)
        return false;
    memcpy(out, item->str, len);
    out[len] = '\0';
    return true;
}

static bool is_id(const char *text)
{
    return strlen(text) == 40 && strspn(text, "0123456789abcdefABCDEF") == 40;
}

bool greeting_parse(const redisReply *reply, const char *source_name, struct greeting *out,
                    struct error *error)
{
    *out = (struct greeting){0};
    if (is_status(reply, "OK"))
        return error_fatal(
            error, EX_CONFIG,
            "source %s is a Redis or Valkey, not a Dragonfly: for those use their own replication "
            "(REPLICAOF)",
            source_name);
    if (reply->type != REDIS_REPLY_ARRAY)
        return source_refusal(reply, "REPLCONF capa dragonfly", source_name, error);
    const char *wrong = NULL;
    if (reply->elements < 3)
        wrong = "too few elements";
    else if (!take_text(reply, 0, out->master_id, sizeof out->master_id) || !is_id(out->master_id))
        wrong = "no master id";
    else if (!take_text(reply, 1, out->sync_id, sizeof out->sync_id))
        wrong = "no sync id";
    else if (reply->element[2]->type != REDIS_REPLY_INTEGER || reply->element[2]->integer < 1 ||
             reply->element[2]->integer > SOURCE_MAX_FLOWS)
        wrong = "a FLOW count out of range";
    else if (reply->elements > 3 &&
             (reply->element[3]->type != REDIS_REPLY_INTEGER || reply->element[3]->integer < 0 ||
              reply->element[3]->integer > UINT16_MAX))
        wrong = "no protocol version";
    if (wrong)
        return error_fatal(
            error, EX_PROTOCOL,
            "source %s answers REPLCONF capa dragonfly with %s: this Dragonfly speaks a protocol "
            "that this df2redis does not know",
            source_name, wrong);
    out->flow_count = (uint32_t)reply->element[2]->integer;
    if (reply->elements > 3)
        out->version = (uint32_t)reply->element[3]->integer;
    if (reply->elements > 4 && !take_text(reply, 4, out->lineage, sizeof out->lineage))
        out->lineage[0] = '\0';
    return true;
}

uint32_t greeting_release(struct slice info)
{
    static const char name[] = "dragonfly_version:df-v";
    const char *at = memmem(info.data, info.len, name, sizeof name - 1);
    uint32_t part[3] = {0};
    size_t i = at ? (size_t)(at - (const char *)info.data) + sizeof name - 1 : info.len;
    for (size_t n = 0; n < 3 && i < info.len; i++) {
        char c = (char)info.data[i];
        if (c == '.')
            n++;
        else if (c >= '0' && c <= '9' && part[n] < 100)
            part[n] = part[n] * 10 + (uint32_t)(c - '0');
        else
            break;
    }
    return part[1] < 100 && part[2] < 100 ? part[0] * 10000 + part[1] * 100 + part[2] : 0;
}

/* "cmdstat_<name>:calls=<n>,…": returns n for a command that changes the role, else 0. *stat: the line has this form. */
static int64_t changes_in_line(struct slice line, bool *stat)
{
    static const char *const names[] = {"replicaof", "slaveof", "addreplicaof", "repltakeover"};
    static const char prefix[] = "cmdstat_", calls[] = "calls=";
    const char *at = (const char *)line.data + sizeof prefix - 1;
    *stat = line.len >= sizeof prefix && strncasecmp((const char *)line.data, prefix, sizeof prefix - 1) == 0;
    if (!*stat)
        return 0;
    size_t left = line.len - (sizeof prefix - 1);
    const char *colon = memchr(at, ':', left);
    size_t name_len = colon ? (size_t)(colon - at) : 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (name_len != strlen(names[i]) || strncasecmp(at, names[i], name_len) != 0)
            continue;
        const char *number = memmem(colon, left - name_len, calls, sizeof calls - 1);
        const char *end = at + left;
        int64_t n = 0;
        for (const char *p = number ? number + sizeof calls - 1 : end;
             p < end && *p >= '0' && *p <= '9' && n < INT32_MAX; p++)
            n = n * 10 + (*p - '0');
        return n;
    }
    return 0;
}

int64_t greeting_role_changes(struct slice info)
{
    int64_t changes = 0;
    bool any = false;
    while (info.len) {
        const uint8_t *end = memchr(info.data, '\n', info.len);
        size_t len = end ? (size_t)(end - info.data) : info.len;
        bool stat;
        changes += changes_in_line(slice_of(info.data, len), &stat);
        any |= stat;
        len += end ? 1 : 0;
        info = slice_of(info.data + len, info.len - len);
    }
    return any ? changes : -1;
}
