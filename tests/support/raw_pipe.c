/* Ready-made RESP, written and answered at the same time. */
#include "tests/support/raw_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/servers.h"
#include "tests/support/testing.h"

enum { WRITE_BYTES = 1 << 20, REPLY_BYTES = 1 << 18 };

static void put_word(struct buf *out, struct slice word)
{
    buf_printf(out, "$%zu\r\n", word.len);
    buf_put(out, word.data, word.len);
    buf_put(out, "\r\n", 2);
}

static void put_head(struct raw_pipe *p, const char *name, const char *kind, uint64_t n,
                     uint64_t further_words)
{
    char key[48];
    snprintf(key, sizeof key, "%s:%llu", kind, (unsigned long long)n);
    buf_printf(&p->commands, "*%llu\r\n", (unsigned long long)further_words + 2);
    put_word(&p->commands, slice_str(name));
    put_word(&p->commands, slice_str(key));
    p->count++;
}

typedef void (*make_part)(struct buf *out, uint64_t n, uint64_t i);

static void put_part(struct raw_pipe *p, struct buf *scratch, make_part make, uint64_t n, uint64_t i)
{
    buf_clear(scratch);
    make(scratch, n, i);
    put_word(&p->commands, buf_slice(scratch));
}

static void put_score(struct buf *out, uint64_t n, uint64_t i)
{
    buf_printf(out, "%.17g", generate_score(n, i));
}

static void put_collections(struct raw_pipe *p, const char *name, const char *kind, uint64_t count,
                            uint64_t elements, make_part first, make_part second)
{
    struct buf scratch = {0};
    for (uint64_t n = 0; n < count; n++) {
        put_head(p, name, kind, n, elements * (second ? 2 : 1));
        for (uint64_t i = 0; i < elements; i++) {
            put_part(p, &scratch, first, n, i);
            if (second)
                put_part(p, &scratch, second, n, i);
        }
    }
    buf_free(&scratch);
}

void raw_pipe_snapshot(struct raw_pipe *p, const struct generate_options *g)
{
    struct buf value = {0};
    *p = (struct raw_pipe){0};
    for (uint64_t n = 0; n < g->strings; n++) {
        buf_clear(&value);
        generate_string(&value, g, n);
        put_head(p, "SET", "string", n, 1);
        put_word(&p->commands, buf_slice(&value));
    }
    buf_free(&value);
    put_collections(p, "HSET", "hash", g->hashes, g->hash_fields, generate_field, generate_value);
    put_collections(p, "ZADD", "zset", g->zsets, g->zset_members, put_score, generate_member);
    put_collections(p, "RPUSH", "list", g->lists, g->list_items, generate_item, NULL);
    put_collections(p, "SADD", "set", g->sets, g->set_members, generate_member, NULL);
}

void raw_pipe_journal(struct raw_pipe *p, const struct generate_options *g)
{
    struct buf value = {0};
    uint64_t keys = g->journal_keys ? g->journal_keys : g->journal_sets;
    *p = (struct raw_pipe){0};
    for (uint64_t n = 0; n < g->journal_sets; n++) {
        buf_clear(&value);
        generate_journal_value(&value, g, n);
        put_head(p, "SET", "journal", n % keys, 1);
        put_word(&p->commands, buf_slice(&value));
    }
    buf_free(&value);
}

/* "*3\r\n" or "$5\r\n" at *at: the number; *at is behind it. */
static size_t take_number(const struct buf *b, size_t *at)
{
    char *end;
    size_t n = strtoull((const char *)b->data + *at + 1, &end, 10);
    *at = (size_t)((const uint8_t *)end - b->data) + 2;
    return n;
}

void raw_pipe_share(struct raw_pipe *share, const struct raw_pipe *all,
                    bool (*wanted)(void *arg, struct slice key), void *arg)
{
    const struct buf *b = &all->commands;
    *share = (struct raw_pipe){0};
    for (size_t at = 0; at < b->len;) {
        size_t begin = at, words = take_number(b, &at);
        struct slice key = {0};
        for (size_t i = 0; i < words; i++) {
            size_t len = take_number(b, &at);
            if (i == 1)
                key = slice_of(b->data + at, len);
            at += len + 2;
        }
        if (!wanted(arg, key))
            continue;
        buf_put(&share->commands, b->data + begin, at - begin);
        share->count++;
    }
}

void raw_pipe_free(struct raw_pipe *p)
{
    buf_free(&p->commands);
    *p = (struct raw_pipe){0};
}

/* Replies are of one line each, so lines are counted; a '-' at the beginning of one is an error. */
static uint64_t count_replies(const char *bytes, size_t len, bool *at_begin)
{
    uint64_t lines = 0;
    for (const char *at = bytes, *end = bytes + len; at < end;) {
        if (*at_begin && *at == '-')
            die("the raw pipe got an error: %.*s", (int)(end - at < 80 ? end - at : 80), at);
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        *at_begin = newline != NULL;
        if (!newline)
            break;
        lines++;
        at = newline + 1;
    }
    return lines;
}

double raw_pipe_run(const struct raw_pipe *p, uint16_t port)
{
    redisContext *c = server_connect(port);
    char *replies = x_malloc(REPLY_BYTES);
    struct timespec begin, end;
    size_t sent = 0;
    uint64_t answered = 0;
    bool at_begin = true;
    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (answered < p->count) {
        struct pollfd fd = {.fd = c->fd, .events = (short)(POLLIN | (sent < p->commands.len ? POLLOUT : 0))};
        poll(&fd, 1, -1);
        if (fd.revents & POLLOUT) {
            size_t rest = p->commands.len - sent;
            ssize_t n =
                send(c->fd, p->commands.data + sent, rest < WRITE_BYTES ? rest : WRITE_BYTES, MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
        }
        ssize_t n = fd.revents & (POLLIN | POLLHUP | POLLERR) ? recv(c->fd, replies, REPLY_BYTES, 0) : -1;
        if (n > 0)
            answered += count_replies(replies, (size_t)n, &at_begin);
        else if (n == 0)
            die("the raw pipe's server closed the connection");
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    redisFree(c);
    free(replies);
    return (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
}
