/* The scripted master's data, which a Redis has (options.data_port): what a comparison reads. */
#include "tests/support/scripted_internal.h"

#include <stdlib.h>

redisReply *scripted_data(struct scripted *m, uint32_t db, size_t argc, const char **argv, const size_t *lens,
                          uint32_t deadline_ms)
{
    const struct timeval patience = {.tv_sec = deadline_ms / 1000, .tv_usec = deadline_ms % 1000 * 1000};
    uint64_t end_ms = clock_monotonic_ms() + deadline_ms;
    /* Its connection may be killed: what changes data is only asked for where none is. */
    do {
        if (!m->data)
            m->data = redisConnectWithTimeout("127.0.0.1", m->options.data_port, patience);
        redisReply *r = NULL;
        if (m->data && !m->data->err) {
            redisSetTimeout(m->data, patience);
            freeReplyObject(redisCommand(m->data, "SELECT %u", db));
            r = m->data->err ? NULL : redisCommandArgv(m->data, (int)argc, argv, lens);
        }
        if (r)
            return r;
        redisFree(m->data);
        m->data = NULL;
    } while (clock_monotonic_ms() < end_ms);
    return NULL;
}

bool scripted_is_about_data(const redisReply *command)
{
    static const char *const names[] = {"dump",  "pexpiretime",  "pttl",   "memory",   "exists", "scan",
                                        "watch", "unwatch",      "type",   "strlen",   "llen",   "scard",
                                        "hlen",  "zcard",        "lrange", "getrange", "sscan",  "hscan",
                                        "zscan", "hpexpiretime", NULL};
    for (const char *const *name = names; *name; name++)
        if (scripted_is(command, 0, *name))
            return true;
    return false;
}

static void put_answer(struct buf *out, const redisReply *r)
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
            put_answer(out, r->element[i]);
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

void scripted_on_data(struct scripted *m, struct connection *c, const redisReply *command)
{
    size_t argc = command->elements;
    if (c->close_after) /* or each question of a batch would wait as long */
        return;
    const char **argv = x_calloc(argc, sizeof *argv);
    size_t *lens = x_calloc(argc, sizeof *lens);
    for (size_t i = 0; i < argc; i++) {
        argv[i] = command->element[i]->str;
        lens[i] = command->element[i]->len;
    }
    redisReply *r = scripted_data(m, c->db, argc, argv, lens, is_piece(command) ? LARGE_MS : DATA_MS);
    if (r)
        put_answer(&c->out, r);
    else
        c->close_after = true;
    freeReplyObject(r);
    free(argv);
    free(lens);
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
        put_answer(&c->out, r);
    else if (executes)
        c->close_after = true;
    freeReplyObject(r);
}
