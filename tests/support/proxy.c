#include "tests/support/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { PAIRS = 32, PIECE_BYTES = 16384, TURN_MS = 20 };

struct pair {
    int client, server; /* -1: free */
    uint64_t passed;
};

struct proxy {
    pthread_t thread;
    int listener;
    char uri[48];
    _Atomic uint32_t to_port, generation; /* connections of an older generation break */
    _Atomic uint64_t cut_after, cuts;
    atomic_bool stopping;
    uint32_t seen;
    struct pair pairs[PAIRS];
};

static void break_pair(struct proxy *p, struct pair *pair)
{
    struct linger at_once = {1, 0};
    if (pair->client < 0)
        return;
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
            p->pairs[i] = (struct pair){client, server, 0};
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

/* One piece in this direction. A server that is stopped does not hold up the other connections: what it does
 * not take at once is not read. */
static void pass(struct proxy *p, struct pair *pair, bool from_client)
{
    uint8_t piece[PIECE_BYTES];
    int from = from_client ? pair->client : pair->server, to = from_client ? pair->server : pair->client;
    struct pollfd room = {to, POLLOUT, 0};
    if (poll(&room, 1, 0) == 0)
        return;
    uint64_t limit = atomic_load(&p->cut_after);
    size_t most = sizeof piece;
    if (from_client && limit && limit - pair->passed < most)
        most = (size_t)(limit - pair->passed);
    ssize_t n = recv(from, piece, most, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || !send_all(to, piece, (size_t)n)) {
        break_pair(p, pair);
        return;
    }
    pair->passed += from_client ? (uint64_t)n : 0;
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
    poll(fds, 1 + 2 * PAIRS, TURN_MS);
    uint32_t generation = atomic_load(&p->generation);
    for (int i = 0; i < PAIRS; i++) {
        struct pair *pair = &p->pairs[i];
        uint64_t limit = atomic_load(&p->cut_after);
        if (generation != p->seen || (limit && pair->passed >= limit))
            break_pair(p, pair);
        if (pair->client >= 0 && fds[1 + 2 * i].revents)
            pass(p, pair, true);
        if (pair->client >= 0 && fds[2 + 2 * i].revents)
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

void proxy_cut(struct proxy *p)
{
    atomic_fetch_add(&p->generation, 1);
}

void proxy_cut_after(struct proxy *p, uint64_t bytes)
{
    atomic_store(&p->cut_after, bytes);
}

uint64_t proxy_cuts(struct proxy *p)
{
    return atomic_load(&p->cuts);
}
