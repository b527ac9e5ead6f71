/* The scripted master's data, which a Redis has (options.data_port): what a comparison reads. */
#include "tests/support/scripted_internal.h"

#include <stdlib.h>

void scripted_lose_data(struct scripted *m)
{
    if (m->data)
        redisFree(m->data);
    m->data = NULL;
    m->data_db = 0;
}

/* Connected, with that database selected. */
static bool reach(struct scripted *m, uint32_t db, uint32_t patience_ms)
{
    const struct timeval patience = {.tv_sec = patience_ms / 1000, .tv_usec = patience_ms % 1000 * 1000};
    if (!m->data)
        m->data = redisConnectWithTimeout("127.0.0.1", m->options.data_port, patience);
    if (!m->data || m->data->err)
        return false;
    redisSetTimeout(m->data, patience);
    if (m->data_db != db)
        freeReplyObject(redisCommand(m->data, "SELECT %u", db));
    m->data_db = db;
    return !m->data->err;
}

redisReply *scripted_data(struct scripted *m, uint32_t db, size_t argc, const char **argv, const size_t *lens,
                          uint32_t deadline_ms)
{
    uint64_t end_ms = clock_monotonic_ms() + deadline_ms;
    /* Its connection may be killed: what changes data is only asked for where none is. */
    do {
        redisReply *r = reach(m, db, deadline_ms) ? redisCommandArgv(m->data, (int)argc, argv, lens) : NULL;
        if (r)
            return r;
        scripted_lose_data(m);
    } while (clock_monotonic_ms() < end_ms);
    return NULL;
}

bool scripted_is_about_data(const redisReply *command)
{
    static const char *const names[] = {"dump",  "pexpiretime",  "pttl",   "memory",   "exists", "scan",
                                        "watch", "unwatch",      "type",   "strlen",   "llen",   "scard",
                                        "hlen",  "zcard",        "lrange", "getrange", "sscan",  "hscan",
                                        "zscan", "hpexpiretime", "get",    NULL};
    for (const char *const *name = names; *name; name++)
        if (scripted_is(command, 0, *name))
            return true;
    return false;
}

void scripted_put_answer(struct buf *out, const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER)
        buf_printf(out, ":%lld\r\n", r->integer);
    else if (r->type == REDIS_REPLY_NIL)
        buf_printf(out, "$-1\r\n");
    else if (r->type == REDIS_REPLY_ERROR)
        buf_printf(out, "-%s\r\n", r->str);
    else if (r->type == REDIS_REPLY_ARRAY) {
        buf_printf(out, "*%zu\r\n", r->elements);
        for (size_t i = 0; i < r->elements; i++)
            scripted_put_answer(out, r->element[i]);
    } else {
        buf_printf(out, "$%zu\r\n", r->len);
        buf_put(out, r->str, r->len);
        buf_put(out, "\r\n", 2);
    }
}

/* Where its data is the target, a test may have stopped that, and waits for this very lock before it lets it go
 * on: who asked loses the connection then, and asks again. */
enum { DATA_MS = 2000, LARGE_MS = 10000 };

/* Of a large value, which a loaded machine takes its time for. */
static bool is_piece(const redisReply *command)
{
    static const char *const names[] = {"getrange", "lrange",       "sscan", "hscan",
                                        "zscan",    "hpexpiretime", "watch", NULL};
    for (const char *const *name = names; *name; name++)
        if (scripted_is(command, 0, *name))
            return true;
    return false;
}

static void put_command(struct buf *out, const redisReply *command)
{
    buf_printf(out, "*%zu\r\n", command->elements);
    for (size_t i = 0; i < command->elements; i++) {
        buf_printf(out, "$%zu\r\n", command->element[i]->len);
        buf_put(out, command->element[i]->str, command->element[i]->len);
        buf_put(out, "\r\n", 2);
    }
}

void scripted_on_data(struct scripted *m, struct connection *c, const redisReply *command)
{
    (void)m;
    put_command(&c->asked, command);
    c->asked_count++;
    c->asked_pieces |= is_piece(command);
}

/* The answers to what was asked, but for the first of them. False: the connection is lost. */
static bool ask(struct scripted *m, struct connection *c, size_t *answered, uint32_t patience_ms)
{
    redisReply *r = NULL;
    if (!reach(m, c->db, patience_ms) ||
        redisAppendFormattedCommand(m->data, (const char *)c->asked.data, c->asked.len) != REDIS_OK)
        return false;
    for (size_t i = 0; i < c->asked_count; i++) {
        if (redisGetReply(m->data, (void **)&r) != REDIS_OK)
            return false;
        if (i == *answered) {
            scripted_put_answer(&c->out, r);
            ++*answered;
        }
        freeReplyObject(r);
    }
    return true;
}

void scripted_answer(struct scripted *m, struct connection *c)
{
    uint32_t patience_ms = c->asked_pieces ? LARGE_MS : DATA_MS;
    uint64_t end_ms = clock_monotonic_ms() + patience_ms;
    size_t answered = 0;
    bool all = !c->asked_count;
    while (!all && !c->close_after) {
        size_t before = answered;
        all = ask(m, c, &answered, patience_ms);
        if (!all)
            scripted_lose_data(m);
        c->close_after |= !all && answered == before && clock_monotonic_ms() >= end_ms;
    }
    buf_clear(&c->asked);
    c->asked_count = 0;
    c->asked_pieces = false;
}

/* A MULTI of what only reads: EXEC of the data tells whether what is watched was written. */
void scripted_on_multi(struct scripted *m, struct connection *c, const redisReply *command)
{
    static const char *const words[] = {"multi", "ping", "exec"};
    redisReply *r = NULL;
    bool executes = scripted_is(command, 0, "exec");
    if (!executes)
        scripted_reply(c, c->in_multi ? "+QUEUED" : "+OK");
    c->in_multi = !executes;
    for (size_t i = 0; executes && i < 3; i++) {
        freeReplyObject(r);
        r = m->data && !m->data->err ? redisCommand(m->data, words[i]) : NULL;
    }
    if (executes && r)
        scripted_put_answer(&c->out, r);
    else if (executes)
        c->close_after = true;
    freeReplyObject(r);
}
