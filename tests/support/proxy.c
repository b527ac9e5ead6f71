#include "tests/support/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { WORDS = 8, PAIRS = 32, PIECE_BYTES = 16384, TURN_MS = 20, SLOW_TURN_MS = 1, QUEUE_BYTES = 64 << 20 };

/* On its way to the client, until its time has come. */
struct piece {
    struct piece *next;
    uint64_t due_us;
    size_t len;
    uint8_t data[];
};

struct pair {
    int client, server; /* -1: free */
    uint64_t passed;
    bool flow; /* DFLY FLOW was said on it */
    struct piece *first, **last;
    size_t queued_bytes;
};

/* Bytes that may pass now, in one direction; below 0: too many have. */
struct allowance {
    int64_t bytes;
    uint64_t at_us;
};

struct proxy {
    pthread_t thread;
    int listener;
    char uri[48];
    _Atomic uint32_t to_port, generation; /* connections of an older generation break */
    _Atomic uint64_t cut_after, cuts, bytes_per_s, full_syncs;
    _Atomic uint32_t delay_ms;
    atomic_bool stopping, hold_flows;
    struct allowance to_server, to_client;
    pthread_mutex_t lock; /* of the words */
    struct {
        const char *from, *to;
    } words[WORDS];
    size_t word_count;
    uint32_t seen;
    struct pair pairs[PAIRS];
};

static void drop_queue(struct pair *pair)
{
    while (pair->first) {
        struct piece *piece = pair->first;
        pair->first = piece->next;
        free(piece);
    }
    pair->last = &pair->first;
    pair->queued_bytes = 0;
}

static void break_pair(struct proxy *p, struct pair *pair)
{
    struct linger at_once = {1, 0};
    if (pair->client < 0)
        return;
    drop_queue(pair);
    setsockopt(pair->client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(pair->server, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(pair->client);
    close(pair->server);
    pair->client = pair->server = -1;
    atomic_fetch_add(&p->cuts, 1);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("no socket for the proxy: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

static void take_client(struct proxy *p)
{
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC), server;
    if (client < 0)
        return;
    server = connect_to((uint16_t)atomic_load(&p->to_port));
    for (int i = 0; server >= 0 && i < PAIRS; i++)
        if (p->pairs[i].client < 0) {
            p->pairs[i] = (struct pair){.client = client, .server = server, .last = &p->pairs[i].first};
            return;
        }
    close(client);
    if (server >= 0)
        close(server);
}

static bool send_all(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool is_slow(struct proxy *p)
{
    return atomic_load(&p->delay_ms) || atomic_load(&p->bytes_per_s);
}

static bool is_held(struct proxy *p, const struct pair *pair)
{
    return pair->flow && atomic_load(&p->hold_flows);
}

/* At a rate; a tenth of a second's worth at most. */
static size_t allowed(struct proxy *p, struct allowance *a)
{
    int64_t rate = (int64_t)atomic_load(&p->bytes_per_s);
    uint64_t now = now_us();
    if (!rate) {
        *a = (struct allowance){.at_us = now};
        return SIZE_MAX;
    }
    int64_t more = (int64_t)(now - a->at_us) * rate / 1000000;
    if (more) {
        a->bytes += more;
        a->at_us = now;
    }
    if (a->bytes > rate / 10)
        a->bytes = rate / 10;
    return a->bytes > 0 ? (size_t)a->bytes : 0;
}

/* What the server has sent goes into the queue … */
static void take_slowly(struct proxy *p, struct pair *pair)
{
    size_t most = allowed(p, &p->to_client);
    if (most > PIECE_BYTES)
        most = PIECE_BYTES;
    if (!most || pair->queued_bytes > QUEUE_BYTES)
        return;
    struct piece *piece = x_malloc(sizeof *piece + most);
    ssize_t n = recv(pair->server, piece->data, most, MSG_DONTWAIT);
    if (n <= 0) {
        bool later = n < 0 && (errno == EAGAIN || errno == EINTR);
        free(piece);
        if (!later)
            break_pair(p, pair);
        return;
    }
    *piece =
        (struct piece){.due_us = now_us() + atomic_load(&p->delay_ms) * UINT64_C(1000), .len = (size_t)n};
    *pair->last = piece;
    pair->last = &piece->next;
    pair->queued_bytes += piece->len;
    p->to_client.bytes -= (int64_t)piece->len;
}

/* … and out of it when its time has come. */
static void give_due(struct proxy *p, struct pair *pair)
{
    while (pair->client >= 0 && pair->first && pair->first->due_us <= now_us()) {
        struct piece *piece = pair->first;
        bool ok = send_all(pair->client, piece->data, piece->len);
        pair->queued_bytes -= piece->len;
        pair->first = piece->next;
        if (!pair->first)
            pair->last = &pair->first;
        free(piece);
        if (!ok)
            break_pair(p, pair);
    }
}

static void replace_word(struct buf *in, const char *from, const char *to)
{
    struct buf out = {0};
    size_t from_bytes = strlen(from), at = 0;
    const uint8_t *found;
    while ((found = memmem(in->data + at, in->len - at, from, from_bytes))) {
        buf_put(&out, in->data + at, (size_t)(found - in->data) - at);
        buf_put(&out, to, strlen(to));
        at = (size_t)(found - in->data) + from_bytes;
    }
    buf_put(&out, in->data + at, in->len - at);
    buf_free(in);
    *in = out;
}

static bool send_replaced(struct proxy *p, int to, const uint8_t *data, size_t len)
{
    struct buf bytes = {0};
    buf_put(&bytes, data, len);
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->word_count; i++)
        replace_word(&bytes, p->words[i].from, p->words[i].to);
    pthread_mutex_unlock(&p->lock);
    bool ok = send_all(to, bytes.data, bytes.len);
    buf_free(&bytes);
    return ok;
}

/* One piece in this direction, whole also at a rate: the words in it are looked at. A server that is stopped does not
 * hold up the other connections: what it does not take at once is not read. */
static void pass(struct proxy *p, struct pair *pair, bool from_client)
{
    uint8_t piece[PIECE_BYTES];
    int from = from_client ? pair->client : pair->server, to = from_client ? pair->server : pair->client;
    struct pollfd room = {to, POLLOUT, 0};
    if (poll(&room, 1, 0) == 0 || (from_client && !allowed(p, &p->to_server)))
        return;
    uint64_t limit = atomic_load(&p->cut_after);
    size_t most = sizeof piece;
    if (from_client && limit && limit - pair->passed < most)
        most = (size_t)(limit - pair->passed);
    ssize_t n = recv(from, piece, most, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || !send_replaced(p, to, piece, (size_t)n)) {
        break_pair(p, pair);
        return;
    }
    if (from_client) {
        pair->passed += (uint64_t)n;
        p->to_server.bytes -= n;
    }
    if (from_client && memmem(piece, (size_t)n, "\r\nSYNC\r\n", 8))
        atomic_fetch_add(&p->full_syncs, 1);
    pair->flow |= from_client && memmem(piece, (size_t)n, "\r\nFLOW\r\n", 8);
    if (from_client && limit && pair->passed >= limit)
        break_pair(p, pair);
}

static void turn(struct proxy *p)
{
    struct pollfd fds[1 + 2 * PAIRS] = {{p->listener, POLLIN, 0}};
    for (int i = 0; i < PAIRS; i++) {
        fds[1 + 2 * i] = (struct pollfd){p->pairs[i].client, POLLIN, 0};
        fds[2 + 2 * i] = (struct pollfd){p->pairs[i].server, POLLIN, 0};
    }
    bool slow = is_slow(p);
    for (int i = 0; i < PAIRS; i++) {
        if (is_held(p, &p->pairs[i]))
            fds[1 + 2 * i].fd = fds[2 + 2 * i].fd = -1;
        slow |= p->pairs[i].first != NULL;
        if (!allowed(p, &p->to_server))
            fds[1 + 2 * i].fd = -1;
        if (!allowed(p, &p->to_client))
            fds[2 + 2 * i].fd = -1;
    }
    poll(fds, 1 + 2 * PAIRS, slow ? SLOW_TURN_MS : TURN_MS);
    uint32_t generation = atomic_load(&p->generation);
    for (int i = 0; i < PAIRS; i++) {
        struct pair *pair = &p->pairs[i];
        uint64_t limit = atomic_load(&p->cut_after);
        if (generation != p->seen || (limit && pair->passed >= limit))
            break_pair(p, pair);
        if (is_held(p, pair))
            continue;
        if (pair->client >= 0 && fds[1 + 2 * i].revents)
            pass(p, pair, true);
        give_due(p, pair);
        if (pair->client < 0 || !fds[2 + 2 * i].revents)
            continue;
        if (is_slow(p) || pair->first)
            take_slowly(p, pair);
        else
            pass(p, pair, false);
    }
    p->seen = generation;
    if (fds[0].revents)
        take_client(p);
}

static void *run_proxy(void *arg)
{
    struct proxy *p = arg;
    while (!atomic_load(&p->stopping))
        turn(p);
    for (int i = 0; i < PAIRS; i++)
        break_pair(p, &p->pairs[i]);
    return NULL;
}

struct proxy *proxy_start(uint16_t to_port)
{
    struct proxy *p = x_calloc(1, sizeof *p);
    uint16_t port = 0;
    p->listener = listen_on(&port);
    if (p->listener < 0)
        die("no port for the proxy");
    snprintf(p->uri, sizeof p->uri, "redis://127.0.0.1:%u", port);
    atomic_store(&p->to_port, to_port);
    for (int i = 0; i < PAIRS; i++)
        p->pairs[i].client = p->pairs[i].server = -1;
    pthread_mutex_init(&p->lock, NULL);
    if (pthread_create(&p->thread, NULL, run_proxy, p) != 0)
        die("no thread for the proxy");
    return p;
}

void proxy_stop(struct proxy *p)
{
    if (!p)
        return;
    atomic_store(&p->stopping, true);
    pthread_join(p->thread, NULL);
    close(p->listener);
    free(p);
}

const char *proxy_uri(const struct proxy *p)
{
    return p->uri;
}

void proxy_to(struct proxy *p, uint16_t to_port)
{
    atomic_store(&p->to_port, to_port);
    atomic_fetch_add(&p->generation, 1);
}

void proxy_lead(struct proxy *p, uint16_t to_port)
{
    atomic_store(&p->to_port, to_port);
}

void proxy_cut(struct proxy *p)
{
    atomic_fetch_add(&p->generation, 1);
}

void proxy_cut_after(struct proxy *p, uint64_t bytes)
{
    atomic_store(&p->cut_after, bytes);
}

void proxy_slow(struct proxy *p, uint32_t delay_ms, uint64_t bytes_per_s)
{
    atomic_store(&p->delay_ms, delay_ms);
    atomic_store(&p->bytes_per_s, bytes_per_s);
}

void proxy_replace(struct proxy *p, const char *from, const char *to)
{
    pthread_mutex_lock(&p->lock);
    if (p->word_count == WORDS)
        die("too many words for the proxy");
    p->words[p->word_count].from = from;
    p->words[p->word_count++].to = to;
    pthread_mutex_unlock(&p->lock);
}

void proxy_as_it_is(struct proxy *p)
{
    pthread_mutex_lock(&p->lock);
    p->word_count = 0;
    pthread_mutex_unlock(&p->lock);
}

void proxy_hold_flows(struct proxy *p, bool hold)
{
    atomic_store(&p->hold_flows, hold);
}

uint64_t proxy_cuts(struct proxy *p)
{
    return atomic_load(&p->cuts);
}

uint64_t proxy_full_syncs(struct proxy *p)
{
    return atomic_load(&p->full_syncs);
}
