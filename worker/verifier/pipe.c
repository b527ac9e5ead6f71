/* Requests and answers of a pipe.
 *
 *   out: requests, sent up to `sent`         in: bytes received, parsed up to `parsed`
 *   waiting: a ring of the requests without an answer */
#include "worker/verifier/pipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/net/client.h"
#include "common/net/resp_write.h"

enum { READ_BYTES = 256 << 10, ANSWER_TIMEOUT_S = 60, ARRAY_MAX = 64 };

struct request {
    void *owner;
    uint32_t tag;
};

struct pipe {
    struct event_base *base;
    struct pipe_callbacks callbacks;
    struct client *client; /* until the greeting is over */
    struct transport *transport;
    struct event *readable, *writable;
    char what[80];
    size_t bulk_max;
    uint32_t database;
    struct buf out, in;
    size_t sent, parsed;
    struct request *waiting;
    size_t first, count, size; /* of `waiting`; size: a power of two */
    uint64_t skip; /* bytes of a large bulk string that are still to be read past, its \r\n included */
    struct pipe_answer skipped;
    bool failed, parsing;
};

static void pipe_fail(struct pipe *p, const struct error *error)
{
    if (p->failed)
        return;
    p->failed = true;
    if (p->readable)
        event_del(p->readable);
    if (p->writable)
        event_del(p->writable);
    p->callbacks.failed(p->callbacks.arg, error);
}

static void pipe_lost(struct pipe *p, const char *why)
{
    struct error error;
    error_set(&error, ERROR_RETRY, "%s: %s", p->what, why);
    pipe_fail(p, &error);
}

/* ---- requests ---- */

static void grow_ring(struct pipe *p)
{
    size_t size = p->size ? p->size * 2 : 1024;
    struct request *list = x_malloc(size * sizeof *list);
    for (size_t i = 0; i < p->count; i++)
        list[i] = p->waiting[(p->first + i) & (p->size - 1)];
    free(p->waiting);
    p->waiting = list;
    p->first = 0;
    p->size = size;
}

void pipe_ask(struct pipe *p, void *owner, uint32_t tag, size_t argc, const struct slice *argv)
{
    if (p->failed)
        return;
    if (p->count == p->size)
        grow_ring(p);
    p->waiting[(p->first + p->count++) & (p->size - 1)] = (struct request){owner, tag};
    if (p->transport && !p->out.len)
        event_add(p->writable, NULL);
    resp_put_array(&p->out, argc);
    for (size_t i = 0; i < argc; i++)
        resp_put_bulk(&p->out, argv[i]);
}

static void send_requests(struct pipe *p)
{
    while (!p->failed && p->transport && p->sent < p->out.len) {
        struct iovec part = {p->out.data + p->sent, p->out.len - p->sent};
        ssize_t n = p->transport->send(p->transport, &part, 1);
        if (n == TRANSPORT_AGAIN) {
            if (p->sent > READ_BYTES) {
                buf_consume(&p->out, p->sent);
                p->sent = 0;
            }
            event_add(p->writable, NULL);
            return;
        }
        if (n < 0) {
            pipe_lost(p, p->transport->error);
            return;
        }
        p->sent += (size_t)n;
    }
    buf_clear(&p->out);
    p->sent = 0;
}

/* ---- answers ---- */

static void deliver(struct pipe *p, const struct pipe_answer *a)
{
    if (!p->count) {
        pipe_lost(p, "an answer without a request");
        return;
    }
    struct request r = p->waiting[p->first];
    p->first = (p->first + 1) & (p->size - 1);
    p->count--;
    p->callbacks.answer(p->callbacks.arg, r.owner, r.tag, a);
}

/* The line at `at`, without \r\n: *next is behind it. False: it is not complete. */
static bool read_line(struct slice in, size_t at, struct slice *line, size_t *next)
{
    const uint8_t *from = in.data + at, *end = memchr(from, '\n', in.len - at);
    if (!end)
        return false;
    size_t len = (size_t)(end - from);
    *line = slice_of(from, len && from[len - 1] == '\r' ? len - 1 : len);
    *next = at + len + 1;
    return true;
}

/* The end of an array of scalars that begins behind its head; 0: not complete; SIZE_MAX: invalid. */
static size_t array_end(struct slice in, size_t at, int64_t elements)
{
    struct slice line;
    int64_t length;
    if (elements > ARRAY_MAX)
        return SIZE_MAX;
    for (; elements > 0; elements--) {
        if (!read_line(in, at, &line, &at))
            return 0;
        if (!line.len)
            return SIZE_MAX;
        if (line.data[0] != '$')
            continue;
        if (!slice_to_i64(slice_of(line.data + 1, line.len - 1), &length) || length > READ_BYTES)
            return SIZE_MAX;
        if (length >= 0)
            at += (size_t)length + 2;
        if (at > in.len)
            return 0;
    }
    return at;
}

enum parsed { PARSED_ONE, PARSED_MORE, PARSED_INVALID };

static enum parsed parse_bulk(struct pipe *p, size_t at, int64_t length, struct pipe_answer *a)
{
    size_t there = p->in.len - at;
    if (length < 0) {
        a->type = PIPE_NIL;
        p->parsed = at;
        return PARSED_ONE;
    }
    if ((uint64_t)length > p->bulk_max) {
        uint64_t whole = (uint64_t)length + 2;
        p->skipped = (struct pipe_answer){.type = PIPE_TOO_LARGE, .number = length};
        p->skip = whole > there ? whole - there : 0;
        p->parsed = whole > there ? p->in.len : at + (size_t)whole;
        *a = p->skipped;
        return p->skip ? PARSED_MORE : PARSED_ONE;
    }
    if (there < (size_t)length + 2)
        return PARSED_MORE;
    *a = (struct pipe_answer){.type = PIPE_BULK, .text = slice_of(p->in.data + at, (size_t)length)};
    p->parsed = at + (size_t)length + 2;
    return PARSED_ONE;
}

static enum parsed parse_one(struct pipe *p, struct pipe_answer *a)
{
    struct slice in = buf_slice(&p->in), line;
    size_t next;
    int64_t number = 0;
    if (!read_line(in, p->parsed, &line, &next))
        return PARSED_MORE;
    if (!line.len)
        return PARSED_INVALID;
    struct slice text = slice_of(line.data + 1, line.len - 1);
    uint8_t kind = line.data[0];
    if (kind == '+' || kind == '-') {
        *a = (struct pipe_answer){.type = kind == '+' ? PIPE_STATUS : PIPE_ERROR, .text = text};
        p->parsed = next;
        return PARSED_ONE;
    }
    if ((kind != ':' && kind != '$' && kind != '*') || !slice_to_i64(text, &number))
        return PARSED_INVALID;
    if (kind == '$')
        return parse_bulk(p, next, number, a);
    *a = (struct pipe_answer){.type = PIPE_INTEGER, .number = number};
    if (kind == '*') {
        size_t end = array_end(in, next, number);
        if (end == 0 || end == SIZE_MAX)
            return end ? PARSED_INVALID : PARSED_MORE;
        *a = (struct pipe_answer){.type = PIPE_ARRAY, .text = slice_of(in.data + next, end - next)};
        next = end;
    }
    p->parsed = next;
    return PARSED_ONE;
}

static void parse_all(struct pipe *p)
{
    struct pipe_answer a = {0};
    enum parsed got = PARSED_MORE;
    while (!p->failed && p->parsed < p->in.len && (got = parse_one(p, &a)) == PARSED_ONE)
        deliver(p, &a);
    if (got == PARSED_INVALID)
        pipe_lost(p, "its answer is not RESP");
    buf_consume(&p->in, p->parsed);
    p->parsed = 0;
}

/* Reads past what remains of a large bulk string. */
static void read_past(struct pipe *p)
{
    size_t n = p->skip < p->in.len ? (size_t)p->skip : p->in.len;
    p->skip -= n;
    p->parsed = n;
    if (!p->skip)
        deliver(p, &p->skipped);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct pipe *p = arg;
    (void)fd;
    if (what & EV_TIMEOUT) {
        if (p->count)
            pipe_lost(p, "no answer within 60 s");
        return;
    }
    for (int turns = 0; turns < 8 && !p->failed; turns++) {
        uint8_t *room = buf_reserve(&p->in, READ_BYTES);
        ssize_t n = p->transport->recv(p->transport, room, READ_BYTES);
        if (n == TRANSPORT_AGAIN)
            break;
        if (n <= 0) {
            pipe_lost(p, n ? p->transport->error : "the server closed the connection");
            return;
        }
        p->in.len += (size_t)n;
        if (p->skip)
            read_past(p);
        parse_all(p);
        if (n < READ_BYTES && !p->transport->buffered)
            break;
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    send_requests(arg);
}

/* ---- the greeting ---- */

static void on_named(struct client *c, const redisReply *reply, void *arg)
{
    struct pipe *p = arg;
    const struct timeval patience = {ANSWER_TIMEOUT_S, 0};
    (void)reply; /* a refused name does no harm */
    p->transport = client_take_transport(c);
    client_free(c);
    p->client = NULL;
    if (!p->transport) {
        pipe_lost(p, "an answer without a request");
        return;
    }
    p->readable = event_new(p->base, p->transport->fd, EV_READ | EV_PERSIST, on_readable, p);
    p->writable = event_new(p->base, p->transport->fd, EV_WRITE, on_writable, p);
    event_add(p->readable, &patience);
    p->callbacks.ready(p->callbacks.arg);
    if (!p->failed)
        send_requests(p);
}

static void on_client_failed(struct client *c, const struct error *error, void *arg)
{
    struct pipe *p = arg;
    struct error copy = *error;
    client_free(c);
    p->client = NULL;
    pipe_fail(p, &copy);
}

struct pipe *pipe_open(struct event_base *base, const struct uri *uri, const struct settings *settings,
                       const char *what, const char *client_name, size_t bulk_max,
                       const struct pipe_callbacks *callbacks, struct error *error)
{
    struct pipe *p = x_calloc(1, sizeof *p);
    const struct client_callbacks on = {.arg = p, .failed = on_client_failed};
    p->base = base;
    p->callbacks = *callbacks;
    p->bulk_max = bulk_max;
    p->database = uri->db;
    snprintf(p->what, sizeof p->what, "%s", what);
    p->client = client_connect(base, uri, settings, what, &on, error);
    if (p->client) {
        client_words(p->client, ANSWER_TIMEOUT_S * 1000, on_named, p, "CLIENT", "SETNAME", client_name, NULL);
        return p;
    }
    free(p);
    return NULL;
}

void pipe_free(struct pipe *p)
{
    if (!p)
        return;
    client_free(p->client);
    if (p->readable)
        event_free(p->readable);
    if (p->writable)
        event_free(p->writable);
    if (p->transport)
        p->transport->close(p->transport);
    buf_free(&p->out);
    buf_free(&p->in);
    free(p->waiting);
    free(p);
}

bool pipe_is_ready(const struct pipe *p)
{
    return p->transport && !p->failed;
}

uint32_t *pipe_database(struct pipe *p)
{
    return &p->database;
}
