/* The traffic of the RESP client: sends commands, passes each reply to its callback. */
#include "common/net/client_internal.h"

#include <stdlib.h>

#include "common/base/clock.h"

enum { READ_BYTES = 16 << 10 };

void client_become_ready(struct client *c)
{
    uint64_t now = clock_monotonic_ms();
    c->state = CLIENT_READY;
    for (struct pending *p = c->first; p; p = p->next)
        if (p->timeout_ms)
            p->deadline_ms = now + p->timeout_ms;
    c->timer_ms = 0; /* compares all deadlines */
    if (c->callbacks.ready)
        c->callbacks.ready(c, c->callbacks.arg);
}

/* One reply to its callback. */
static void dispatch_reply(struct client *c, const redisReply *reply)
{
    struct pending *p = c->first;
    if (client_refused(c, reply))
        return;
    if (!p) {
        struct error e = {0};
        error_set(&e, ERROR_RETRY, "%s %s sent a reply without a command: %s", c->what, c->name,
                  resp_text(reply));
        client_fail(c, &e);
        return;
    }
    bool greeting = client_is_greeting(p);
    client_reply on_reply = p->on_reply;
    void *arg = p->arg;
    c->first = p->next;
    if (!c->first)
        c->last = &c->first;
    free(p);
    if (on_reply)
        on_reply(c, reply, arg);
    if (greeting && c->state == CLIENT_GREETING && (!c->first || !client_is_greeting(c->first)))
        client_become_ready(c);
}

/* All whole replies that were read. */
static void dispatch_all(struct client *c)
{
    struct error e = {0}, inner = {0};
    redisReply *reply;
    int got = 0;
    while (c->state != CLIENT_OVER && (got = resp_reader_next(&c->reader, &reply, &inner)) > 0) {
        dispatch_reply(c, reply);
        freeReplyObject(reply);
    }
    if (c->state != CLIENT_OVER && got < 0) {
        error_set(&e, inner.class, "%s %s: %s", c->what, c->name, inner.text);
        e.exit_code = inner.exit_code;
        client_fail(c, &e);
    }
}

void client_read(struct client *c)
{
    uint8_t bytes[READ_BYTES];
    struct error e = {0}, inner = {0};
    do {
        ssize_t n = c->transport->recv(c->transport, bytes, sizeof bytes);
        c->read_waits_for_write = n == TRANSPORT_AGAIN && c->transport->want_write;
        if (n == TRANSPORT_AGAIN)
            return;
        if (n == TRANSPORT_FAILED) {
            client_fail_lost(c, c->transport->error);
            return;
        }
        if (n == 0) {
            client_fail_lost(c, "the server closed the connection");
            return;
        }
        c->received += (uint64_t)n;
        if (!resp_reader_feed(&c->reader, slice_of(bytes, (size_t)n), &inner)) {
            error_set(&e, inner.class, "%s %s: %s", c->what, c->name, inner.text);
            e.exit_code = inner.exit_code;
            client_fail(c, &e);
            return;
        }
        dispatch_all(c);
    } while (c->state != CLIENT_OVER && c->transport->buffered);
}

void client_write(struct client *c)
{
    while (c->out.len > 0) {
        struct iovec part = {c->out.data, c->out.len};
        ssize_t n = c->transport->send(c->transport, &part, 1);
        c->write_waits_for_read = n == TRANSPORT_AGAIN && !c->transport->want_write;
        if (n == TRANSPORT_AGAIN)
            return;
        if (n < 0) {
            client_fail_lost(c, c->transport->error);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
}
