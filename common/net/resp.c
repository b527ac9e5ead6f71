/* RESP by hiredis's reader (0.14 to 1.x), which is fed and does not read from the socket.
 *
 * Adds two limits that the reader lacks: the bytes of a reply, which it holds until the reply is complete, and the
 * elements of an array, which it allocates as soon as it has read their number. */
#include "common/net/resp.h"

#include <stdio.h>
#include <strings.h>
#include <sysexits.h>

#include "common/net/resp_write.h"

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

enum { READER_KEEP_BYTES = 64 << 10 }; /* an idle buffer above this is given back */

void resp_command(struct buf *out, size_t argc, const struct slice *argv)
{
    resp_put_array(out, argc);
    for (size_t i = 0; i < argc; i++)
        resp_put_bulk(out, argv[i]);
}

static redisReplyObjectFunctions functions; /* hiredis's own, but for createArray */
static void *(*create_array)(const redisReadTask *, element_count);

static void *create_limited_array(const redisReadTask *task, element_count elements)
{
    return elements > (element_count)RESP_REPLY_MAX_ELEMENTS ? NULL : create_array(task, elements);
}

void resp_reader_init(struct resp_reader *r)
{
    *r = (struct resp_reader){redisReaderCreate(), 0, RESP_REPLY_MAX_BYTES};
    if (!r->hiredis)
        return;
    if (!create_array) {
        functions = *r->hiredis->fn;
        create_array = functions.createArray;
        functions.createArray = create_limited_array;
    }
    r->hiredis->fn = &functions;
    r->hiredis->maxbuf = READER_KEEP_BYTES;
}

void resp_reader_free(struct resp_reader *r)
{
    if (r->hiredis)
        redisReaderFree(r->hiredis);
    *r = (struct resp_reader){0};
}

bool resp_reader_feed(struct resp_reader *r, struct slice bytes, struct error *error)
{
    if (bytes.len == 0)
        return true;
    if (bytes.len > r->max_bytes || r->unread > r->max_bytes - bytes.len)
        return error_fatal(error, EX_PROTOCOL, "a reply is larger than %zu MiB", r->max_bytes >> 20);
    if (!r->hiredis || redisReaderFeed(r->hiredis, (const char *)bytes.data, bytes.len) != REDIS_OK)
        return error_set(error, ERROR_RETRY, "no memory for a reply");
    r->unread += bytes.len;
    return true;
}

int resp_reader_next(struct resp_reader *r, redisReply **reply, struct error *error)
{
    void *whole = NULL;
    *reply = NULL;
    if (r->unread == 0)
        return 0;
    if (redisReaderGetReply(r->hiredis, &whole) != REDIS_OK) {
        if (r->hiredis->err == REDIS_ERR_OOM)
            error_fatal(error, EX_PROTOCOL, "a reply has too many elements, or does not fit into memory");
        else
            error_fatal(error, EX_PROTOCOL, "the reply is not in the Redis protocol (%s)",
                        r->hiredis->errstr);
        return -1;
    }
    if (!whole)
        return 0;
    r->unread = r->hiredis->len - r->hiredis->pos;
    *reply = whole;
    return 1;
}

bool resp_error_is(const redisReply *reply, const char *word)
{
    size_t n = strlen(word);
    return reply->type == REDIS_REPLY_ERROR && reply->str && strncasecmp(reply->str, word, n) == 0;
}

const char *resp_text(const redisReply *reply)
{
    static char text[200];
    if (reply->type == REDIS_REPLY_INTEGER) {
        snprintf(text, sizeof text, "%lld", reply->integer);
    } else if (reply->type == REDIS_REPLY_NIL) {
        snprintf(text, sizeof text, "nil");
    } else if (!reply->str) {
        snprintf(text, sizeof text, "an array of %zu", reply->elements);
    } else {
        snprintf(text, sizeof text, "%.*s", (int)(reply->len < 180 ? reply->len : 180), reply->str);
        for (char *p = text; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                *p = '?';
    }
    return text;
}
