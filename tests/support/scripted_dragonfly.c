/* The scripted master's loop: one thread, poll(2); reads commands, writes replies and FLOW bytes. */
#include "tests/support/scripted_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAUSED_MS = 10 }; /* between looks whether a pause is over */

struct sync *scripted_newest(struct scripted *m)
{
    return m->sync_count ? m->syncs[m->sync_count - 1] : NULL;
}

void scripted_cancel(struct scripted *m, struct sync *s)
{
    (void)m;
    if (s->state == SYNC_CANCELLED)
        return;
    s->state = SYNC_CANCELLED;
    for (size_t i = 0; i < s->script->flow_count; i++)
        if (s->flows[i].connection)
            s->flows[i].connection->close_after = true;
}

/* A FLOW's end ends the session; the control connection's end, too. */
static void forget(struct scripted *m, struct connection *c)
{
    if (c->sync && c->flow >= 0) {
        struct flow_state *f = &c->sync->flows[c->flow];
        if (f->connection == c)
            f->connection = NULL;
        scripted_cancel(m, c->sync);
    } else if (c->sync && c->sync->control == c) {
        c->sync->control = NULL;
        scripted_cancel(m, c->sync);
    }
}

static void close_connection(struct scripted *m, size_t index)
{
    struct connection *c = m->connections[index];
    forget(m, c);
    close(c->fd);
    redisReaderFree(c->reader);
    freeReplyObject(c->held);
    buf_free(&c->asked);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
    m->connections[index] = m->connections[--m->connection_count];
}

static void accept_all(struct scripted *m)
{
    int fd;
    while (m->listener >= 0 && (fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        int one = 1, send_bytes = 4 << 20;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
        struct connection *c = x_calloc(1, sizeof *c);
        *c = (struct connection){.fd = fd, .number = m->connections_seen++, .flow = -1, .fed_last = '\n'};
        c->reader = redisReaderCreate();
        m->connections = x_realloc(m->connections, (m->connection_count + 1) * sizeof(struct connection *));
        m->connections[m->connection_count++] = c;
        scripted_event(m, c, "accepted");
    }
}

/* "PING\r\n": the other way to write a command, as Dragonfly's own replica does. */
static void feed_inline(struct connection *c, struct slice line)
{
    struct buf words = {0}, resp = {0};
    size_t count = 0;
    for (size_t at = 0; at < line.len;) {
        const uint8_t *space = memchr(line.data + at, ' ', line.len - at);
        size_t len = space ? (size_t)(space - line.data) - at : line.len - at;
        if (len) {
            buf_printf(&words, "$%zu\r\n", len);
            buf_put(&words, line.data + at, len);
            buf_put(&words, "\r\n", 2);
            count++;
        }
        at += len + 1;
    }
    buf_printf(&resp, "*%zu\r\n", count);
    buf_put(&resp, words.data, words.len);
    redisReaderFeed(c->reader, (const char *)resp.data, resp.len);
    buf_free(&words);
    buf_free(&resp);
}

/* What came goes to the parser; inline commands only when they are whole. */
static void feed(struct connection *c)
{
    /* The parser takes a "*" at once, even when the rest of its line is still to come. */
    bool between = c->reader->ridx <= 0 && c->reader->pos == c->reader->len && c->fed_last == '\n';
    const uint8_t *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
    if (!c->in.len) {
        return;
    } else if (!between || c->in.data[0] == '*') {
        c->fed_last = c->in.data[c->in.len - 1];
        redisReaderFeed(c->reader, (const char *)c->in.data, c->in.len);
        buf_clear(&c->in);
    } else if (end) {
        size_t len = (size_t)(end - c->in.data);
        feed_inline(c, slice_of(c->in.data, len && end[-1] == '\r' ? len - 1 : len));
        buf_consume(&c->in, len + 1);
    }
}

/* What came is carried out, up to a write that a pause holds back. */
static void carry_out(struct scripted *m, struct connection *c)
{
    void *command = NULL;
    do {
        feed(c);
        while (!m->violation.len && !c->held && redisReaderGetReply(c->reader, &command) == REDIS_OK &&
               command) {
            scripted_command_received(m, c, command);
            if (c->held != command)
                freeReplyObject(command);
        }
    } while (!m->violation.len && !c->held && !c->reader->err && c->in.len &&
             memchr(c->in.data, '\n', c->in.len));
    scripted_answer(m, c);
    if (c->reader->err)
        scripted_violate(m, c, "not RESP: %s", c->reader->errstr);
}

static void carry_out_held(struct scripted *m)
{
    for (size_t i = 0; i < m->connection_count && !scripted_is_paused(m); i++) {
        struct connection *c = m->connections[i];
        redisReply *held = c->held;
        c->held = NULL;
        if (!held)
            continue;
        scripted_on_write(m, c, held);
        freeReplyObject(held);
        carry_out(m, c);
    }
}

/* False when the peer is gone. */
static bool receive(struct scripted *m, struct connection *c)
{
    uint8_t bytes[16384];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        scripted_event(m, c, n == 0 ? "closed by peer" : "reset by peer");
        return false;
    }
    if (n > 0)
        buf_put(&c->in, bytes, (size_t)n);
    carry_out(m, c);
    return true;
}

static bool is_held(const struct scripted *m, const struct connection *c)
{
    return m->deaf || (m->roles_unanswered && c->role_asked);
}

static bool send_replies(struct connection *c)
{
    while (c->out.len) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        buf_consume(&c->out, (size_t)n);
    }
    return true;
}

uint64_t scripted_limit(const struct scripted *m, const struct sync *s, size_t flow)
{
    const struct scripted_flow *f = &s->script->flows[flow];
    uint64_t limit = s->state == SYNC_STABLE ? f->bytes.len : s->state == SYNC_FULL ? f->at_startstable : 0;
    if (limit > f->close_at)
        limit = f->close_at;
    if (flow < m->hold_count && limit > m->holds[flow])
        limit = m->holds[flow];
    return limit;
}

static void tell_progress(struct scripted *m, struct connection *c, const struct scripted_flow *script,
                          struct flow_state *f)
{
    if (!f->end_told && !f->partial && f->sent >= script->fullsync_end && script->fullsync_end) {
        f->end_told = true;
        scripted_event(m, c, "fullsync end sent");
    }
    if (!f->all_told && f->sent == script->bytes.len) {
        f->all_told = true;
        scripted_event(m, c, "all sent");
    }
}

static size_t blobs_limit(const struct sync *s, const struct flow_state *f)
{
    return s->state == SYNC_STABLE ? f->blobs.len : s->state == SYNC_FULL ? f->blobs_at_startstable : 0;
}

static bool send_blobs(struct connection *c)
{
    struct flow_state *f = &c->sync->flows[c->flow];
    while (f->blobs_sent < blobs_limit(c->sync, f)) {
        ssize_t n =
            send(c->fd, f->blobs.data + f->blobs_sent, blobs_limit(c->sync, f) - f->blobs_sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        f->blobs_sent += (size_t)n;
    }
    return true;
}

/* The next pieces of a FLOW. False when the connection is broken or has to be closed. */
static bool send_flow(struct scripted *m, struct connection *c)
{
    struct flow_state *f = &c->sync->flows[c->flow];
    const struct scripted_flow *script = &c->sync->script->flows[c->flow];
    uint64_t limit = scripted_limit(m, c->sync, (size_t)c->flow);
    size_t budget = m->options.piece ? 1 : 16;
    if (!send_blobs(c))
        return false;
    if (f->blobs_sent < f->blobs.len)
        return true;
    while (f->sent < limit && budget--) {
        size_t piece = (size_t)(limit - f->sent);
        size_t most = m->options.piece ? m->options.piece : 1 << 20;
        if (m->options.random_split)
            most = 1 + (size_t)random_below(&m->random, most);
        ssize_t n = send(c->fd, script->bytes.data + f->sent, piece < most ? piece : most, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            scripted_event(m, c, "reset by peer");
            return false;
        }
        f->sent += (uint64_t)n;
        tell_progress(m, c, script, f);
    }
    if (f->sent >= script->close_at) {
        scripted_event(m, c, "cut after %llu bytes", (unsigned long long)f->sent);
        return false;
    }
    return true;
}

static bool flow_wants_to_send(const struct scripted *m, const struct connection *c)
{
    if (c->flow < 0)
        return false;
    const struct flow_state *f = &c->sync->flows[c->flow];
    bool blobs = f->blobs_sent < f->blobs.len;
    return blobs ? f->blobs_sent < blobs_limit(c->sync, f)
                 : f->sent < scripted_limit(m, c->sync, (size_t)c->flow);
}

static bool serve(struct scripted *m, struct connection *c, short events)
{
    if (c->vanished)
        return false;
    if (events & (POLLIN | POLLHUP | POLLERR) && !receive(m, c))
        return false;
    if (is_held(m, c))
        return true;
    if (m->violation.len || !send_replies(c))
        return false;
    if (c->out.len == 0 && c->close_after)
        return false;
    return c->flow < 0 || c->out.len || send_flow(m, c);
}

static size_t fill_polls(struct scripted *m, struct pollfd **polls, size_t *capacity)
{
    size_t n = m->connection_count + 2;
    if (n > *capacity) {
        *capacity = n * 2;
        *polls = x_realloc(*polls, *capacity * sizeof **polls);
    }
    (*polls)[0] = (struct pollfd){.fd = m->wake[0], .events = POLLIN};
    (*polls)[1] = (struct pollfd){.fd = m->listener, .events = POLLIN};
    for (size_t i = 0; i < m->connection_count; i++) {
        struct connection *c = m->connections[i];
        bool out = c->out.len || c->close_after || flow_wants_to_send(m, c);
        (*polls)[i + 2] = (struct pollfd){.fd = c->fd, .events = (short)(POLLIN | (out ? POLLOUT : 0))};
        if (is_held(m, c))
            (*polls)[i + 2].fd = -1;
    }
    return n;
}

static void turn(struct scripted *m, const struct pollfd *polls, size_t n)
{
    char ignored[64];
    while (read(m->wake[0], ignored, sizeof ignored) > 0)
        ;
    /* From the end, since closing one moves the last into its place. */
    for (size_t i = n - 2; i-- > 0;)
        if ((polls[i + 2].revents || m->connections[i]->vanished) &&
            !serve(m, m->connections[i], polls[i + 2].revents))
            close_connection(m, i);
    carry_out_held(m);
    if (polls[1].revents & POLLIN)
        accept_all(m);
    if (m->violation.len)
        while (m->connection_count)
            close_connection(m, m->connection_count - 1);
}

void scripted_run(struct scripted *m)
{
    struct pollfd *polls = NULL;
    size_t capacity = 0;
    pthread_mutex_lock(&m->lock);
    while (!m->stopping && (m->threaded || !m->violation.len)) {
        size_t n = fill_polls(m, &polls, &capacity);
        pthread_mutex_unlock(&m->lock);
        /* Small pieces are only seen as such when the replica has had time to read the one before. */
        struct timespec gap = {0, 20000};
        if (m->options.piece && m->options.piece < 16)
            ppoll(NULL, 0, &gap, NULL);
        poll(polls, (nfds_t)n, scripted_is_paused(m) ? PAUSED_MS : -1);
        pthread_mutex_lock(&m->lock);
        turn(m, polls, n);
    }
    pthread_mutex_unlock(&m->lock);
    free(polls);
}

static void *run_thread(void *arg)
{
    scripted_run(arg);
    return NULL;
}

struct scripted *scripted_new(const struct scripted_options *options)
{
    if (!options->session_count)
        die("a scripted master needs a session");
    struct scripted *m = x_calloc(1, sizeof *m);
    m->options = *options;
    m->random.state = options->seed;
    m->port = options->port;
    pthread_mutex_init(&m->lock, NULL);
    if (pipe2(m->wake, O_CLOEXEC | O_NONBLOCK) < 0 || (m->listener = listen_on(&m->port)) < 0)
        die("the scripted master cannot listen on port %u: %s", options->port, strerror(errno));
    snprintf(m->uri, sizeof m->uri, "redis://127.0.0.1:%u", m->port);
    return m;
}

struct scripted *scripted_start(const struct scripted_options *options)
{
    struct scripted *m = scripted_new(options);
    m->threaded = true;
    if (pthread_create(&m->thread, NULL, run_thread, m) != 0)
        die("no thread for the scripted master");
    return m;
}

void scripted_stop_soon(struct scripted *m)
{
    m->stopping = true;
    ssize_t ignored = write(m->wake[1], "", 1);
    (void)ignored;
}

void scripted_free(struct scripted *m)
{
    while (m->connection_count)
        close_connection(m, m->connection_count - 1);
    free(m->connections);
    for (size_t i = 0; i < m->sync_count; i++) {
        for (size_t f = 0; f < m->syncs[i]->script->flow_count; f++)
            buf_free(&m->syncs[i]->flows[f].blobs);
        free(m->syncs[i]->flows);
        free(m->syncs[i]);
    }
    free(m->syncs);
    for (size_t i = 0; i < m->event_count; i++)
        free(m->events[i].text);
    free(m->events);
    for (size_t i = 0; i < m->options.session_count; i++)
        scripted_session_free(&m->options.sessions[i]);
    free(m->options.sessions);
    free(m->holds);
    scripted_lose_data(m);
    buf_free(&m->violation);
    if (m->listener >= 0)
        close(m->listener);
    close(m->wake[0]);
    close(m->wake[1]);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void scripted_stop(struct scripted *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    scripted_stop_soon(m);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
    scripted_free(m);
}
