/* What ordinary clients of the scripted master see: writes, carried out on its data and journaled, and the pause that
 * holds them back. */
#include "tests/support/scripted_internal.h"

#include <stdlib.h>

#include "common/redis/topology.h"
#include "tests/support/stream_writer.h"

enum { WRITE_MS = 300000 };

bool scripted_is_write(const redisReply *command)
{
    static const char *const names[] = {"set",   "del",       "incr", "append", "setrange",
                                        "rpush", "lpush",     "lpop", "hset",   "sadd",
                                        "zadd",  "pexpireat", "xadd", "xgroup", NULL};
    for (const char *const *name = names; command->elements > 1 && *name; name++)
        if (scripted_is(command, 0, *name))
            return true;
    return false;
}

/* All writes to a key are in the journal of the same FLOW. */
static size_t flow_for(const struct scripted *m, const redisReply *command, const struct slice *args)
{
    size_t key = scripted_is(command, 0, "xgroup") && command->elements > 2 ? 2 : 1;
    size_t flows = m->options.sessions[0].flow_count;
    return flows ? key_slot(args[key]) % flows : 0;
}

bool scripted_is_paused(const struct scripted *m)
{
    return m->paused_until_ms > clock_monotonic_ms();
}

/* Nobody sees the one without the other. */
void scripted_on_write(struct scripted *m, struct connection *c, const redisReply *command)
{
    struct buf journal = {0};
    size_t argc = command->elements;
    if (scripted_is_paused(m)) {
        c->held = (redisReply *)command;
        return;
    }
    const char **argv = x_calloc(argc, sizeof *argv);
    size_t *lens = x_calloc(argc, sizeof *lens);
    struct slice *args = x_calloc(argc, sizeof *args);
    for (size_t i = 0; i < argc; i++) {
        argv[i] = command->element[i]->str;
        lens[i] = command->element[i]->len;
        args[i] = slice_of(argv[i], lens[i]);
    }
    redisReply *r = scripted_data(m, c->db, argc, argv, lens, WRITE_MS);
    if (!r)
        die("the scripted master's data does not answer");
    if (r->type != REDIS_REPLY_ERROR) {
        write_journal_args(&journal, c->db, 0, argc, args);
        scripted_journal(m, flow_for(m, command, args), buf_slice(&journal));
    }
    scripted_put_answer(&c->out, r);
    freeReplyObject(r);
    buf_free(&journal);
    free(args);
    free(lens);
    free(argv);
}

static void list_clients(const struct scripted *m, struct connection *c)
{
    struct buf text = {0};
    for (size_t i = 0; i < m->connection_count; i++) {
        const struct connection *one = m->connections[i];
        buf_printf(&text, "id=%u addr=127.0.0.1:0 name= phase=%s\n", one->number + 1,
                   one->held ? "process" : "readsock");
    }
    scripted_reply(c, "$%zu\r\n%.*s", text.len, (int)text.len, (const char *)text.data);
    buf_free(&text);
}

static void kill_client(struct scripted *m, struct connection *c, const char *id)
{
    unsigned long number = strtoul(id, NULL, 10);
    int killed = 0;
    for (size_t i = 0; i < m->connection_count; i++) {
        struct connection *one = m->connections[i];
        if (one->number + 1 != number)
            continue;
        freeReplyObject(one->held);
        one->held = NULL;
        one->close_after = true;
        killed++;
    }
    scripted_reply(c, ":%d", killed);
}

void scripted_on_client(struct scripted *m, struct connection *c, const redisReply *command)
{
    if (scripted_is(command, 1, "pause")) {
        char *end;
        unsigned long long ms = strtoull(scripted_word(command, 2), &end, 10);
        if (*end || !scripted_word(command, 2)[0]) {
            scripted_reply(c, "-ERR timeout is not an integer or out of range");
            return;
        }
        m->paused_until_ms = clock_monotonic_ms() + ms;
    } else if (scripted_is(command, 1, "unpause")) {
        m->paused_until_ms = 0;
    } else if (scripted_is(command, 1, "id")) {
        scripted_reply(c, ":%u", c->number + 1);
        return;
    } else if (scripted_is(command, 1, "list")) {
        list_clients(m, c);
        return;
    } else if (scripted_is(command, 1, "kill") && scripted_is(command, 2, "id")) {
        kill_client(m, c, scripted_word(command, 3));
        return;
    }
    scripted_reply(c, "+OK");
}
