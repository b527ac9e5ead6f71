/* One connection to one target node; its guarantees are in link.h.
 *
 *     closed ──timer──> greeting ──mark, capabilities──> ready ──failure──> closed
 *
 * Unanswered batches are in one list, oldest first; `sending` is the first that is not sent completely. */
#include "worker/link/link.h"

#include <stdlib.h>

#include "common/log/invariant.h"
#include "worker/link/link_greeting.h"
#include "worker/link/link_internal.h"

enum {
    BACKOFF_MAX_MS = 5000,
    LOOK_EVERY_MS = 1000,
    PARTS_MAX = 32,
    RECEIVE_BYTES = 64 * 1024,
    SEND_BYTES_PER_EVENT = 4 << 20, /* bounds the time outside the event loop */
};

static void close_connection(struct link *l)
{
    greeting_free(l->greeting);
    l->greeting = NULL;
    if (l->readable)
        event_free(l->readable);
    if (l->writable)
        event_free(l->writable);
    if (l->look)
        event_free(l->look);
    l->readable = l->writable = l->look = NULL;
    if (l->transport)
        l->transport->close(l->transport);
    l->transport = NULL;
    replies_free(l->replies);
    l->replies = NULL;
    link_forget_refused(l);
    l->unknown_count = 0;
    l->marks_lost = false;
    l->mark_refused = l->must_not_fail = l->broken = false;
}

static void retry_start(struct link *l)
{
    uint32_t ms = l->backoff_ms / 2 + (uint32_t)rand() % (l->backoff_ms / 2 + 1);
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    evtimer_add(l->retry, &tv);
    l->backoff_ms = l->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : l->backoff_ms * 2;
}

/* A target that closes the connection may have done so because of a too large argument. */
static void note_closed_by_target(struct link *l)
{
    size_t most = 0;
    if (l->limits_told || !l->broken)
        return;
    for (const struct batch *b = l->first; b; b = b->next) {
        size_t bytes = batch_largest_argument(b);
        most = bytes > most ? bytes : most;
    }
    trouble_broke(l->config.trouble, l->config.who ? l->config.who : "target", most);
}

static void link_lose(struct link *l, const struct error *why)
{
    struct error error = *why;
    const struct link_config *c = &l->config;
    note_closed_by_target(l);
    trouble_note(c->trouble, c->who ? c->who : "target", c->settings->target_retry_ms, &error);
    close_connection(l);
    link_drop_batches(l, &l->first);
    l->dead = c->in_cluster;
    if (error.class != ERROR_FATAL && !l->dead)
        retry_start(l);
    l->callbacks.lost(l->callbacks.arg, &error);
}

void link_reset(struct link *l, const struct error *why)
{
    if (link_is_ready(l))
        link_lose(l, why);
}

/* ---- sending ---- */

/* A once batch waits for the answers to all batches before it; batches after it wait for its answer, plain ones not for
 * that to a look. Nothing follows a refusal that ends the connection, whose answer may still be incomplete. */
static bool batch_may_go(const struct link *l, const struct batch *b)
{
    bool fits = l->first->look ? b == l->first || !b->once : b->once == l->first->once;
    return fits && !l->must_not_fail && !l->marks_lost;
}

static void update_writable(struct link *l)
{
    if (l->sending && batch_may_go(l, l->sending))
        event_add(l->writable, NULL);
    else
        event_del(l->writable);
}

static bool send_some(struct link *l)
{
    size_t sent = 0;
    while (l->sending && batch_may_go(l, l->sending) && sent < SEND_BYTES_PER_EVENT) {
        struct iovec parts[PARTS_MAX];
        int n = 0;
        for (struct batch *b = l->sending; b && batch_may_go(l, b) && n < PARTS_MAX; b = b->next) {
            INVARIANT(3.5, !b->once || b == l->first || l->config.in_cluster);
            if (!link_strip_unknown(l, b))
                return false;
            n += batch_parts(b, parts + n, PARTS_MAX - n);
        }
        ssize_t got = l->transport->send(l->transport, parts, n);
        if (got == TRANSPORT_AGAIN)
            return true;
        if (got < 0) {
            l->broken = true;
            return error_set(&l->trouble, ERROR_RETRY, "connection lost while sending: %s",
                             l->transport->error);
        }
        sent += (size_t)got;
        while (got > 0) {
            struct batch *b = l->sending;
            struct iovec rest[BATCH_MAX_BORROWED * 2 + 1];
            int count = batch_parts(b, rest, BATCH_MAX_BORROWED * 2 + 1);
            size_t left = 0;
            for (int i = 0; i < count; i++)
                left += rest[i].iov_len;
            size_t take = (size_t)got < left ? (size_t)got : left;
            batch_advance(b, take);
            got -= (ssize_t)take;
            if (take == left)
                l->sending = b->next;
        }
    }
    return true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct link *l = arg;
    bool borrowed = link_borrowing(l);
    if (!send_some(l)) {
        struct error error = l->trouble;
        link_lose(l, &error);
        return;
    }
    update_writable(l);
    if (borrowed && !link_borrowing(l))
        l->callbacks.writable(l->callbacks.arg);
}

/* ---- receiving ---- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    static uint8_t into[RECEIVE_BYTES];
    struct link *l = arg;
    for (int round = 0; round < 16; round++) {
        ssize_t got = l->transport->recv(l->transport, into, sizeof into);
        if (got == TRANSPORT_AGAIN)
            break;
        bool fine = got > 0;
        l->broken = !fine;
        if (got == 0)
            error_set(&l->trouble, ERROR_RETRY, "connection closed by the target");
        else if (got < 0)
            error_set(&l->trouble, ERROR_RETRY, "connection lost: %s", l->transport->error);
        else
            fine = replies_feed(l->replies, into, (size_t)got, &l->trouble);
        if (!fine) {
            struct error error = l->trouble;
            link_lose(l, &error);
            return;
        }
        if ((size_t)got < sizeof into && !l->transport->buffered)
            break;
    }
    l->callbacks.writable(l->callbacks.arg);
}

/* ---- looking ---- */

/* A target may become a replica and a master again without closing a connection: then it has, or had for a while,
 * the data of another server. Each once batch asks for that, but is answered after it was written; so once a second, if
 * no batch is on its way, a batch asks with nothing else in it. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct link *l = arg;
    if (l->first)
        return;
    struct batch *b = batch_new();
    b->once = b->look = true;
    batch_seal(b);
    link_send(l, b);
}

/* ---- connecting ---- */

static void on_greeted(void *arg, struct transport *t, const struct mark *mark,
                       const struct capabilities *target)
{
    struct link *l = arg;
    struct reply_handler handler = {l, link_on_reply, link_on_element};
    l->greeting = NULL;
    l->transport = t;
    l->replies = replies_new(&handler);
    l->readable = event_new(l->base, t->fd, EV_READ | EV_PERSIST, on_readable, l);
    l->writable = event_new(l->base, t->fd, EV_WRITE | EV_PERSIST, on_writable, l);
    event_add(l->readable, NULL);
    struct timeval every = {LOOK_EVERY_MS / 1000, LOOK_EVERY_MS % 1000 * 1000};
    l->look = event_new(l->base, -1, EV_PERSIST, on_look, l);
    event_add(l->look, &every);
    memcpy(l->replid, target->replid, sizeof l->replid);
    struct capabilities known = *target;
    size_t most = l->config.trouble->argument_bytes;
    l->limits_told = target->limits_told;
    l->evicts_any = target->evicts_any;
    if (most && !l->limits_told && most < known.max_bulk_bytes)
        known.max_bulk_bytes = most;
    l->callbacks.ready(l->callbacks.arg, mark, &known);
}

static void on_not_greeted(void *arg, const struct error *error)
{
    struct link *l = arg;
    l->greeting = NULL;
    link_lose(l, error);
}

static void on_cluster_met(void *arg)
{
    struct link *l = arg;
    l->greeting = NULL;
    l->callbacks.is_cluster(l->callbacks.arg);
}

static size_t on_slots_asked(void *arg, const uint16_t **list)
{
    struct link *l = arg;
    return l->callbacks.slots(l->callbacks.arg, list);
}

static void on_slot_mark(void *arg, uint16_t slot, const struct slot_mark *mark)
{
    struct link *l = arg;
    l->callbacks.slot_mark(l->callbacks.arg, slot, mark);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct link *l = arg;
    struct error error;
    struct greeting_callbacks on = {l,           on_greeted, on_not_greeted, on_cluster_met, on_slots_asked,
                                    on_slot_mark};
    l->greeting = greeting_begin(l->base, &l->config, &on, &error);
    if (!l->greeting)
        link_lose(l, &error);
}

struct link *link_new(struct event_base *base, const struct link_config *config,
                      const struct link_callbacks *callbacks)
{
    struct link *l = x_calloc(1, sizeof *l);
    l->base = base;
    l->config = *config;
    l->callbacks = *callbacks;
    l->backoff_ms = LINK_BACKOFF_FIRST_MS;
    l->retry = evtimer_new(base, on_retry, l);
    struct timeval now = {0, 0};
    evtimer_add(l->retry, &now);
    return l;
}

void link_free(struct link *l)
{
    if (!l)
        return;
    close_connection(l);
    buf_free(&l->refused);
    link_drop_batches(l, &l->first);
    event_free(l->retry);
    free(l);
}

bool link_is_ready(const struct link *l)
{
    return l->transport != NULL;
}

bool link_is_dead(const struct link *l)
{
    return l->dead;
}

bool link_idle(const struct link *l)
{
    return l->first == NULL;
}

bool link_can_send(const struct link *l, bool once)
{
    if (!link_is_ready(l))
        return false;
    if (!l->first)
        return true;
    return !once && (!l->last->once || l->last->look) && l->window_bytes < l->config.settings->window_bytes &&
           !link_borrowing(l);
}

bool link_borrowing(const struct link *l)
{
    if (!l->borrowing)
        return false;
    /* A once batch may be sent again without a refused command, so it borrows until answered. */
    for (const struct batch *b = l->first && l->first->once ? l->first : l->sending; b; b = b->next)
        if (b->borrowed_count)
            return true;
    return false;
}

void link_send(struct link *l, struct batch *b)
{
    b->next = NULL;
    if (l->last)
        l->last->next = b;
    else
        l->first = b;
    l->last = b;
    if (!l->sending)
        l->sending = b;
    l->window_bytes += batch_bytes(b);
    l->borrowing += b->borrowed_count > 0;
    if (batch_may_go(l, b))
        event_add(l->writable, NULL);
}
