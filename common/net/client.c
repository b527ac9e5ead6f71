/* The RESP client: a transport, a buffer of what is to be sent, and a queue of replies awaited.
 *
 *   connecting → handshake (TLS) → greeting (AUTH, SELECT) → ready → over
 *                                                               ↘ detached
 *
 * AUTH and SELECT are the first commands in the queue, and CLIENT IMPORT-SOURCE follows to a target, whose answer
 * is not waited for; what the owner queues before `ready` follows them.
 * Every entry from libevent goes through client_enter() and client_leave(), so that client_free() inside a callback only
 * marks the client and client_leave() frees it. */
#include "common/net/client_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"

enum { WORDS_MAX = 32 };
/* Time for an address that does not answer, when the name has another one: a share of --connect-timeout, at most
 * ADDRESS_PATIENCE_MS. */
enum { ADDRESS_PATIENCE_MS = 2000, ADDRESS_PATIENCE_SHARE = 3 };

static void client_destroy(struct client *c)
{
    client_drop_connection(c);
    client_drop_pending(c);
    resp_reader_free(&c->reader);
    if (c->out.cap > 0)
        explicit_bzero(c->out.data, c->out.cap); /* a password was in it */
    buf_free(&c->out);
    free(c);
}

static void client_enter(struct client *c)
{
    c->depth++;
}

static void client_leave(struct client *c)
{
    if (--c->depth == 0 && c->freed)
        client_destroy(c);
}

/* The earliest deadline of the pending commands. There may be thousands: while the timer is set, only the newest
 * command is compared with it; after it has fired, all are. */
static uint64_t nearest_deadline(const struct client *c)
{
    uint64_t nearest = 0;
    for (const struct pending *p = c->first; p && !(nearest && c->timer_ms); p = p->next)
        if (p->deadline_ms && (!nearest || p->deadline_ms < nearest))
            nearest = p->deadline_ms;
    if (c->first && c->newest_deadline_ms && c->newest_deadline_ms < nearest)
        nearest = c->newest_deadline_ms;
    return nearest;
}

static void set_timer(struct client *c)
{
    uint64_t nearest = nearest_deadline(c);
    if (c->state < CLIENT_READY)
        nearest = c->connect_deadline_ms;
    if (c->state == CLIENT_CONNECTING && c->address_deadline_ms && c->address_deadline_ms < nearest)
        nearest = c->address_deadline_ms;
    if (!nearest) {
        event_del(c->timer);
        c->timer_ms = 0;
        return;
    }
    if (c->state == CLIENT_READY && c->timer_ms && c->timer_ms <= nearest)
        return;
    c->timer_ms = nearest;
    uint64_t now = clock_monotonic_ms(), wait = nearest > now ? nearest - now : 0;
    struct timeval t = {.tv_sec = (time_t)(wait / 1000), .tv_usec = (suseconds_t)(wait % 1000 * 1000)};
    event_add(c->timer, &t);
}

/* Sets the events of the socket. */
static void client_watch(struct client *c)
{
    bool write;
    if (c->state == CLIENT_OVER)
        return;
    if (c->state == CLIENT_CONNECTING)
        write = true;
    else if (c->state == CLIENT_HANDSHAKE)
        write = c->transport->want_write;
    else
        write = c->read_waits_for_write || (c->out.len > 0 && !c->write_waits_for_read);
    if (write)
        event_add(c->writable, NULL);
    else
        event_del(c->writable);
    if (c->state == CLIENT_CONNECTING)
        event_del(c->readable);
    else
        event_add(c->readable, NULL);
    set_timer(c);
}

static void begin_greeting(struct client *c)
{
    c->state = CLIENT_GREETING;
    if (!c->first || !client_is_greeting(c->first))
        client_become_ready(c);
    if (c->state != CLIENT_OVER)
        client_write(c);
}

static void shake_hands(struct client *c)
{
    struct error e = {0};
    int result = c->transport->handshake(c->transport);
    if (result == 1) {
        begin_greeting(c);
    } else if (result == TRANSPORT_FAILED && c->transport->hopeless) {
        error_fatal(&e, EX_CONFIG, "%s %s: %s", c->what, c->name, c->transport->error);
        client_fail(c, &e);
    } else if (result == TRANSPORT_FAILED) {
        client_fail_lost(c, c->transport->error);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);

static bool make_events(struct client *c)
{
    uint64_t share = c->connect_timeout_ms / ADDRESS_PATIENCE_SHARE;
    c->address_deadline_ms =
        clock_monotonic_ms() + (share < ADDRESS_PATIENCE_MS ? share : (uint64_t)ADDRESS_PATIENCE_MS);
    c->readable = event_new(c->base, c->transport->fd, EV_READ | EV_PERSIST, on_event, c);
    c->writable = event_new(c->base, c->transport->fd, EV_WRITE | EV_PERSIST, on_event, c);
    if (!c->timer)
        c->timer = evtimer_new(c->base, on_timer, c);
    return c->readable && c->writable && c->timer;
}

/* False: there is no further address; the socket is unchanged. */
static bool try_next_address(struct client *c)
{
    struct event *readable = c->readable, *writable = c->writable;
    /* The old socket's events must leave the loop before the socket is closed. */
    event_del(readable);
    event_del(writable);
    if (!transport_next_address(c->transport))
        return false;
    event_free(readable);
    event_free(writable);
    return make_events(c);
}

static void finish_connect(struct client *c)
{
    struct error inner = {0}, e = {0};
    if (transport_connected(c->transport, &inner)) {
        c->state = CLIENT_HANDSHAKE;
        shake_hands(c);
    } else if (!try_next_address(c)) {
        error_set(&e, inner.class, "%s: %s", c->what, inner.text);
        client_fail(c, &e);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    (void)fd;
    client_enter(c);
    if (c->state == CLIENT_CONNECTING) {
        finish_connect(c);
    } else if (c->state == CLIENT_HANDSHAKE) {
        shake_hands(c);
    } else {
        if ((what & EV_WRITE) || c->write_waits_for_read)
            client_write(c);
        if (((what & EV_READ) || c->read_waits_for_write) && c->state != CLIENT_OVER)
            client_read(c);
    }
    client_watch(c);
    client_leave(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    static const char *const doing[] = {"connecting", "the TLS handshake", "AUTH"};
    struct client *c = arg;
    c->timer_ms = 0;
    uint64_t now = clock_monotonic_ms();
    struct error e = {0};
    (void)fd;
    (void)what;
    client_enter(c);
    if (c->state < CLIENT_READY && now >= c->connect_deadline_ms) {
        error_set(&e, ERROR_RETRY, "%s %s: %s took longer than %u ms (--connect-timeout)", c->what, c->name,
                  doing[c->state], c->connect_timeout_ms);
        client_fail(c, &e);
    }
    if (c->state == CLIENT_CONNECTING && c->address_deadline_ms && now >= c->address_deadline_ms) {
        if (!try_next_address(c))
            c->address_deadline_ms = 0;
    }
    for (const struct pending *p = c->first; p && c->state == CLIENT_READY; p = p->next)
        if (p->deadline_ms && now >= p->deadline_ms) {
            error_set(&e, ERROR_RETRY, "%s %s did not answer within %u ms", c->what, c->name, p->timeout_ms);
            client_fail(c, &e);
            break;
        }
    client_watch(c);
    client_leave(c);
}

struct client *client_connect(struct event_base *base, const struct uri *uri, const struct settings *settings,
                              const char *what, const struct client_callbacks *callbacks, struct error *error)
{
    struct error inner = {0};
    struct client *c = x_calloc(1, sizeof *c);
    c->base = base;
    c->callbacks = *callbacks;
    c->last = &c->first;
    c->connect_timeout_ms = settings->connect_timeout_ms;
    c->connect_deadline_ms = clock_monotonic_ms() + settings->connect_timeout_ms;
    snprintf(c->what, sizeof c->what, "%s", what);
    uri_display(uri, c->name, sizeof c->name);
    resp_reader_init(&c->reader);
    c->transport = transport_open(uri, settings, &inner);
    if (!c->transport) {
        error_set(error, inner.class, "%s: %s", what, inner.text);
        if (error)
            error->exit_code = inner.exit_code;
        client_destroy(c);
        return NULL;
    }
    if (!make_events(c)) {
        error_set(error, ERROR_RETRY, "%s: no memory for events", what);
        client_destroy(c);
        return NULL;
    }
    client_greet(c, uri);
    client_watch(c);
    return c;
}

void client_free(struct client *c)
{
    if (!c || c->freed)
        return;
    client_drop_connection(c);
    if (c->depth > 0)
        c->freed = true;
    else
        client_destroy(c);
}

void client_command(struct client *c, uint32_t timeout_ms, client_reply on_reply, void *arg, size_t argc,
                    const struct slice *argv)
{
    if (c->state == CLIENT_OVER)
        return;
    client_queue(c, timeout_ms, on_reply, arg, argc, argv);
    client_watch(c);
}

void client_words(struct client *c, uint32_t timeout_ms, client_reply on_reply, void *arg, ...)
{
    struct slice argv[WORDS_MAX];
    size_t argc = 0;
    va_list words;
    va_start(words, arg);
    for (const char *word; argc < WORDS_MAX && (word = va_arg(words, const char *));)
        argv[argc++] = slice_str(word);
    va_end(words);
    client_command(c, timeout_ms, on_reply, arg, argc, argv);
}

void client_reply_limit(struct client *c, size_t max_bytes)
{
    c->reader.max_bytes = max_bytes;
}

void client_send(struct client *c, size_t argc, const struct slice *argv)
{
    if (c->state == CLIENT_OVER)
        return;
    resp_command(&c->out, argc, argv);
    client_watch(c);
}

int client_detach(struct client *c, uint64_t *received)
{
    if (c->state != CLIENT_READY || c->first || c->out.len > 0 || c->reader.unread > 0)
        return -1;
    /* The events are removed before the socket changes its owner. */
    int fd = transport_release_fd(c->transport);
    if (fd < 0)
        return -1;
    client_drop_events(c);
    c->transport = NULL;
    c->state = CLIENT_OVER;
    *received = c->received;
    return fd;
}

struct transport *client_take_transport(struct client *c)
{
    if (c->state != CLIENT_READY || c->first || c->out.len > 0 || c->reader.unread > 0)
        return NULL;
    struct transport *t = c->transport;
    client_drop_events(c);
    c->transport = NULL;
    c->state = CLIENT_OVER;
    return t;
}
