/* Parses the target's answers by hiredis's reader, without storing them. */
#include "worker/link/reply_reader.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

struct replies {
    redisReader *reader;
    struct reply_handler handler;
    enum reply_kind kind;
    size_t elements;
    char text[256];
    size_t text_len;
};

/* Any non-NULL pointer; never dereferenced. */
static void *const no_object = (void *)1;

static void *on_element(const redisReadTask *task, enum reply_kind kind, long long number, const char *text,
                        size_t len)
{
    struct replies *r = task->privdata;
    if (!task->parent) {
        r->kind = kind;
        r->elements = 0;
        if (kind == REPLY_ERROR) {
            r->text_len = len < sizeof r->text ? len : sizeof r->text;
            memcpy(r->text, text, r->text_len);
        }
    } else if (!task->parent->parent && r->handler.element) {
        r->handler.element(r->handler.arg, (size_t)task->idx, kind, number, slice_of(text, len));
    }
    return no_object;
}

static void *on_string(const redisReadTask *task, char *text, size_t len)
{
    return on_element(task, task->type == REDIS_REPLY_ERROR ? REPLY_ERROR : REPLY_OTHER, 0, text, len);
}

static void *on_integer(const redisReadTask *task, long long v)
{
    struct replies *r = task->privdata;
    if (v == -2 && task->parent && task->parent->parent)
        on_element(task->parent, REPLY_ABSENT, 0, NULL, 0);
    if (v == -2 && task->parent && !task->parent->parent)
        r->kind = REPLY_ABSENT;
    return on_element(task, v == 0 ? REPLY_ZERO : REPLY_OTHER, v, NULL, 0);
}

static void *on_nil(const redisReadTask *task)
{
    return on_element(task, REPLY_NIL, 0, NULL, 0);
}

/* The count is a size_t since hiredis 1.0. */
#if HIREDIS_MAJOR >= 1
static void *on_array(const redisReadTask *task, size_t elements)
#else
static void *on_array(const redisReadTask *task, int elements)
#endif
{
    struct replies *r = task->privdata;
    on_element(task, elements == 0 ? REPLY_EMPTY : REPLY_OTHER, 0, NULL, 0);
    if (!task->parent)
        r->elements = (size_t)elements;
    return no_object;
}

static void free_object(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions functions = {
    .createString = on_string,
    .createArray = on_array,
    .createInteger = on_integer,
    .createNil = on_nil,
    .freeObject = free_object,
};

struct replies *replies_new(const struct reply_handler *handler)
{
    struct replies *r = x_calloc(1, sizeof *r);
    r->handler = *handler;
    r->reader = redisReaderCreateWithFunctions(&functions);
    r->reader->privdata = r;
    return r;
}

void replies_free(struct replies *r)
{
    if (!r)
        return;
    redisReaderFree(r->reader);
    free(r);
}

bool replies_feed(struct replies *r, const void *data, size_t len, struct error *error)
{
    void *object;
    /* In pieces: the reader moves the rest of its buffer after each 1 KiB that it consumes. */
    for (size_t at = 0; at < len;) {
        size_t piece = len - at < 4096 ? len - at : 4096;
        if (redisReaderFeed(r->reader, (const char *)data + at, piece) != REDIS_OK)
            return error_set(error, ERROR_RETRY, "the target's answer is not RESP: %s", r->reader->errstr);
        at += piece;
        for (;;) {
            if (redisReaderGetReply(r->reader, &object) != REDIS_OK)
                return error_set(error, ERROR_RETRY, "the target's answer is not RESP: %s",
                                 r->reader->errstr);
            if (!object)
                break;
            if (!r->handler.reply(r->handler.arg, r->kind, r->elements, slice_of(r->text, r->text_len)))
                return false;
        }
    }
    return true;
}

/* "NOPERM User app has no permissions to run the 'json.set' command": no module has what all others need. */
static bool refuses_module(struct slice error)
{
    static const char noperm[] = "NOPERM ", run[] = " to run the '";
    if (!slice_begins(error, noperm))
        return false;
    const uint8_t *at = error.data, *end = error.data + error.len, *name = NULL;
    while ((at = memmem(at, (size_t)(end - at), run, sizeof run - 1)))
        name = at += sizeof run - 1; /* the last: a user may be called anything */
    const uint8_t *quote = name ? memchr(name, '\'', (size_t)(end - name)) : NULL;
    return quote && memchr(name, '.', (size_t)(quote - name));
}

enum refusal refusal_class(struct slice error)
{
    static const struct {
        const char *word;
        enum refusal class;
    } words[] = {
        {"LOADING", REFUSAL_WAIT},      {"OOM", REFUSAL_WAIT},        {"READONLY", REFUSAL_WAIT},
        {"MISCONF", REFUSAL_WAIT},      {"BUSY", REFUSAL_WAIT},       {"MASTERDOWN", REFUSAL_WAIT},
        {"MOVED", REFUSAL_MOVED},       {"ASK", REFUSAL_MOVED},       {"TRYAGAIN", REFUSAL_MOVED},
        {"CLUSTERDOWN", REFUSAL_MOVED}, {"NOREPLICAS", REFUSAL_WAIT}, {"EXECABORT", REFUSAL_WAIT},
        {"UNBLOCKED", REFUSAL_WAIT},    {"NOAUTH", REFUSAL_FATAL},    {"NOPERM", REFUSAL_FATAL},
        {"WRONGPASS", REFUSAL_FATAL},   {"BUSYKEY", REFUSAL_BUSYKEY},
    };
    static const char protocol[] = "ERR Protocol error"; /* the server closes the connection after it */
    if (error.len >= sizeof protocol - 1 && memcmp(error.data, protocol, sizeof protocol - 1) == 0)
        return REFUSAL_WAIT;
    if (refuses_module(error))
        return REFUSAL_COMMAND;
    const uint8_t *blank = memchr(error.data, ' ', error.len);
    struct slice word = slice_of(error.data, blank ? (size_t)(blank - error.data) : error.len);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_is(word, words[i].word))
            return words[i].class;
    return REFUSAL_COMMAND;
}
