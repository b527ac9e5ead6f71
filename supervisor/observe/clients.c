/* The connection of an answered client is read up to its end, or for a moment: close(2) with unread bytes would reset
 * the connection and lose the answer. */
#include "supervisor/observe/clients.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { LINGER_MS = 1000, REST_MS = 1000 };

struct client {
    struct clients *clients;
    struct client *next; /* older ones first */
    struct bufferevent *stream;
    struct event *deadline;
    bool answered, held;
    struct client_dialog dialog; /* on_line NULL: none */
};

struct clients {
    struct clients_config config;
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *rest;
    struct client *oldest;
    size_t count;
};

static struct timeval after_ms(uint32_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

void client_end(struct client *client)
{
    struct clients *c = client->clients;
    for (struct client **at = &c->oldest; *at; at = &(*at)->next)
        if (*at == client) {
            *at = client->next;
            c->count--;
            break;
        }
    if (client->dialog.on_gone)
        client->dialog.on_gone(client->dialog.arg);
    event_free(client->deadline);
    bufferevent_free(client->stream);
    free(client);
}

bool client_is_owner(struct client *client)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    return getsockopt(bufferevent_getfd(client->stream), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    client_end(arg);
}

/* The kernel has the whole answer. */
static void begin_end(struct client *client)
{
    struct timeval moment = after_ms(LINGER_MS);
    shutdown(bufferevent_getfd(client->stream), SHUT_WR);
    event_add(client->deadline, &moment);
}

static bool has_written(const struct client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->stream)) == 0;
}

static void on_written(struct bufferevent *stream, void *arg)
{
    struct client *client = arg;
    (void)stream;
    if (client->answered && !client->held && has_written(client))
        begin_end(client);
}

/* A line may end the dialog, but not the client. */
static void read_lines(struct client *client, struct evbuffer *input)
{
    char *line;
    while (client->dialog.on_line && (line = evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF))) {
        client->dialog.on_line(line, client->dialog.arg);
        free(line);
    }
    if (evbuffer_get_length(input) > client->clients->config.request_bytes)
        evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct client *client = arg;
    const struct clients_config *config = &client->clients->config;
    struct evbuffer *input = bufferevent_get_input(stream);
    if (!client->answered) {
        if (evbuffer_get_length(input) > config->request_bytes) {
            client_end(client);
            return;
        }
        config->on_input(client, input, config->arg);
        return;
    }
    if (client->dialog.on_line)
        read_lines(client, input);
    else
        evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct client *client = arg;
    (void)stream;
    /* A client may shut down its side right after the request. A held client without its side is gone. */
    bool half = (what & BEV_EVENT_EOF) && client->answered && !client->held && !has_written(client);
    if (!half)
        client_end(client);
}

static struct client *find_victim(const struct clients *c)
{
    struct client *answered = NULL;
    for (struct client *one = c->oldest; one; one = one->next) {
        if (!one->answered)
            return one;
        if (!answered && !one->held)
            answered = one;
    }
    return answered;
}

static bool make_room(struct clients *c)
{
    if (c->count < c->config.limit)
        return true;
    struct client *victim = find_victim(c);
    log_warning("%s has %zu connections: %s", c->config.what, c->count,
                victim ? "the oldest one is ended for a new one" : "a further one is refused");
    if (victim)
        client_end(victim);
    return victim != NULL;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
                      void *arg)
{
    (void)listener, (void)address, (void)len;
    struct clients *c = arg;
    struct timeval limit = after_ms(c->config.deadline_ms);
    struct bufferevent *stream =
        make_room(c) ? bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (!stream) {
        close(fd);
        return;
    }
    struct client *client = x_calloc(1, sizeof *client), **end = &c->oldest;
    client->clients = c;
    client->stream = stream;
    client->deadline = event_new(c->base, -1, 0, on_deadline, client);
    while (*end)
        end = &(*end)->next;
    *end = client;
    c->count++;
    if (!client->deadline || event_add(client->deadline, &limit) != 0) {
        client_end(client);
        return;
    }
    bufferevent_setcb(stream, on_read, on_written, on_event, client);
    bufferevent_setwatermark(stream, EV_READ, 0, c->config.request_bytes + 1);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

/* The kernel keeps the connection that was not accepted, and would report it again at once. */
static void on_accept_failed(struct evconnlistener *listener, void *arg)
{
    struct clients *c = arg;
    struct timeval pause = after_ms(REST_MS);
    log_warning("%s cannot accept a connection: %s; next attempt in %d s", c->config.what, strerror(errno),
                REST_MS / 1000);
    evconnlistener_disable(listener);
    event_add(c->rest, &pause);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct clients *c = arg;
    evconnlistener_enable(c->listener);
}

struct clients *clients_open(struct event_base *base, int fd, const struct clients_config *config)
{
    struct clients *c = x_calloc(1, sizeof *c);
    c->config = *config;
    c->base = base;
    c->rest = event_new(base, -1, 0, on_rested, c);
    c->listener =
        c->rest ? evconnlistener_new(base, on_accept, c, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd)
                : NULL;
    if (c->listener) {
        evconnlistener_set_error_cb(c->listener, on_accept_failed);
        return c;
    }
    if (c->rest)
        event_free(c->rest);
    free(c);
    return NULL;
}

size_t clients_count(const struct clients *c)
{
    return c->count;
}

/* A run may end within the same turn of the event loop as its answer: the buffer is written before the end. */
static void write_remaining_output(struct client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->stream);
    evbuffer_unfreeze(output, 1); /* libevent's own writing is over */
    while (evbuffer_get_length(output) && evbuffer_write(output, bufferevent_getfd(client->stream)) > 0)
        ;
}

void clients_tell_held(struct clients *c, const char *line)
{
    for (struct client *one = c->oldest; one; one = one->next)
        if (one->held && !one->dialog.on_line)
            evbuffer_add_printf(client_output(one), "%s\n", line);
}

/* Another descriptor of the connection, closed by the kernel when the process exits. */
static void keep_open(const struct client *client)
{
    if (fcntl(bufferevent_getfd(client->stream), F_DUPFD_CLOEXEC, 0) < 0)
        log_debug("a connection of %s ends before the process: %s", client->clients->config.what,
                  strerror(errno));
}

void clients_leave(struct clients *c)
{
    for (const struct client *one = c ? c->oldest : NULL; one; one = one->next)
        if (one->held)
            keep_open(one);
    clients_close(c);
}

void clients_close(struct clients *c)
{
    if (!c)
        return;
    for (struct client *client = c->oldest, *next; client; client = next) {
        next = client->next;
        write_remaining_output(client);
        client_end(client);
    }
    evconnlistener_free(c->listener);
    event_free(c->rest);
    free(c);
}

struct evbuffer *client_output(struct client *client)
{
    return bufferevent_get_output(client->stream);
}

void client_answered(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->stream);
    client->answered = true;
    evbuffer_drain(input, evbuffer_get_length(input));
    if (has_written(client))
        begin_end(client);
}

void client_hold(struct client *client)
{
    client->answered = client->held = true;
    event_del(client->deadline);
}

void client_begin_dialog(struct client *client, const struct client_dialog *dialog)
{
    client_hold(client);
    client->dialog = *dialog;
}

void client_end_dialog(struct client *client, bool stays)
{
    client->dialog = (struct client_dialog){0};
    client->held = stays;
    if (!stays && has_written(client))
        begin_end(client);
}
