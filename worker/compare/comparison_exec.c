/* The comparison's last word: MULTI, what makes the target's values those of the source, EXEC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ipc/divergence.h"
#include "common/net/resp.h"
#include "worker/compare/comparison_internal.h"
#include "worker/link/reply_reader.h"

/* key, bytes and end of its payload, then commands, each behind the number of its words. Answers 0 if the value is
 * another one, or else the error of the first command that has one, or 1. */
static const char guard_script[] =
    "if redis.replicate_commands then redis.replicate_commands() end "
    "local dump = redis.call('DUMP', KEYS[1]) "
    "if not dump or #dump ~= tonumber(ARGV[1]) or string.sub(dump, -#ARGV[2]) ~= ARGV[2] then return 0 end "
    "local i = 3 "
    "while i <= #ARGV do "
    "local n = tonumber(ARGV[i]) "
    "local answer = redis.pcall(unpack(ARGV, i + 1, i + n)) "
    "if type(answer) == 'table' and answer.err then return answer end "
    "i = i + n + 1 "
    "end "
    "return 1";
enum {
    GUARD_WORDS = 6,
    UNPACK_WORDS = 7000,     /* Lua's unpack gives no more than some 8000 */
    COMMAND_WORDS = 1000000, /* a command of Redis before 7.0 has no more than 1048576 */
};

/* The commands of x->batch, one after the other. */
struct commands {
    struct slice rest;
    struct slice *argv; /* words of the next question to the target */
    size_t argc, room;
    size_t longest; /* words of the longest command since it was reset */
};

static void add_word(struct commands *c, struct slice word)
{
    if (c->argc == c->room)
        c->argv = x_realloc(c->argv, (c->room = c->room ? 2 * c->room : 64) * sizeof *c->argv);
    c->argv[c->argc++] = word;
}

/* Adds the words of the next command, with their number before them if that is wanted. */
static void add_command(struct commands *c, bool with_number)
{
    char *end;
    size_t words = strtoull((const char *)c->rest.data + 1, &end, 10);
    c->longest = words > c->longest ? words : c->longest;
    if (with_number)
        add_word(c, slice_of(c->rest.data + 1, (size_t)((const uint8_t *)end - c->rest.data) - 1));
    const uint8_t *at = (const uint8_t *)end + 2;
    for (size_t i = 0; i < words; i++) {
        size_t len = strtoull((const char *)at + 1, &end, 10);
        add_word(c, slice_of(end + 2, len));
        at = (const uint8_t *)end + 2 + len + 2;
    }
    c->rest = slice_of(at, c->rest.len - (size_t)(at - c->rest.data));
}

static struct commands commands_of(struct comparison *x)
{
    buf_put_u8(&x->batch->out, 0); /* for strtoull */
    x->batch->once = false;        /* it needs no MULTI of its own */
    size_t begin = batch_begin(x->batch);
    return (struct commands){.rest = slice_of(x->batch->out.data + begin, x->batch->out.len - 1 - begin)};
}

static void ask_command(struct comparison *x, struct commands *c)
{
    c->argc = 0;
    add_command(c, false);
    comparison_ask(x, TARGET, c->argc, c->argv);
}

void comparison_ask_batch(struct comparison *x)
{
    struct commands c = commands_of(x);
    while (c.rest.len)
        ask_command(x, &c);
    free(c.argv);
}

static void ask_guarded(struct comparison *x, struct pair *p, struct commands *c)
{
    char bytes[24];
    const struct slice head[GUARD_WORDS] = {slice_str("EVAL"),
                                            slice_str(guard_script),
                                            slice_str("1"),
                                            p->told.key,
                                            slice_of(bytes, format_u64(bytes, p->target_dump.bytes)),
                                            slice_of(p->target_dump.tail, sizeof p->target_dump.tail)};
    c->argc = c->longest = 0;
    for (size_t i = 0; i < GUARD_WORDS; i++)
        add_word(c, head[i]);
    for (uint32_t i = 0; i < p->commands; i++)
        add_command(c, true);
    p->guarded = c->longest <= UNPACK_WORDS && c->argc <= COMMAND_WORDS;
    p->commands = p->guarded;
    if (p->guarded)
        comparison_ask(x, TARGET, c->argc, c->argv);
    else /* element by element, as the target refuses the payload */
        comparison_impossible(p, DIVERGENCE_REFUSED, "a stream too long for a script");
}

/* The commands are in the order of their keys. */
static void ask_all(struct comparison *x)
{
    struct commands c = commands_of(x);
    uint32_t asked = 0;
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        p->first_command = asked;
        if (p->guarded)
            ask_guarded(x, p, &c);
        else
            for (uint32_t k = 0; k < p->commands; k++)
                ask_command(x, &c);
        asked += p->commands;
    }
    free(c.argv);
}

void comparison_ask_exec(struct comparison *x)
{
    bool any = false;
    batch_reset(x->batch, BATCH_MAX_BYTES / 16);
    for (size_t i = 0; i < x->count; i++) {
        comparison_judge(x, &x->pairs[i]);
        any |= !x->pairs[i].decided || x->pairs[i].commands;
    }
    if (!any) {
        comparison_ask_word(x, TARGET, "UNWATCH");
        return;
    }
    comparison_ask_word(x, TARGET, "MULTI");
    ask_all(x);
    comparison_ask_word(x, TARGET, "EXEC");
}

/* The target looks at what it restores more closely than the source does: two equal fields in a hash. */
static bool is_payload_refusal(struct slice text)
{
    return slice_begins(text, "ERR Bad data format") || slice_begins(text, "ERR DUMP payload");
}

/* It says nothing of the key: the target is full, say, or the slot has moved. */
static bool is_for_now(struct slice text)
{
    enum refusal refusal = refusal_class(text);
    return refusal == REFUSAL_WAIT || refusal == REFUSAL_MOVED;
}

/* A script of Redis 6.2 says where in it: "@user_script: 1: -OOM …". */
static struct slice refusal_text(const redisReply *reply)
{
    struct slice text = slice_of(reply->str, reply->len);
    static const char script[] = "@user_script";
    while (slice_begins(text, script)) {
        const char *at = (const char *)text.data + sizeof script - 1;
        text = slice_str(at + strspn(at, ": 0123456789-"));
    }
    return text;
}

static void note_refusal(struct pair *p, const redisReply *reply)
{
    struct slice text = refusal_text(reply);
    p->decided = true;
    if (p->large) /* the copy was evicted, perhaps */
        return;
    if (!p->told.by_elements && is_payload_refusal(text))
        p->told.by_elements = true;
    else if (!is_for_now(text)) /* that: another time */
        comparison_impossible(p, DIVERGENCE_REFUSED, "%s", resp_text(reply));
}

static bool was_written(const struct pair *p, const redisReply *exec)
{
    if (!p->guarded || p->first_command >= exec->elements)
        return false;
    const redisReply *answer = exec->element[p->first_command];
    return answer->type == REDIS_REPLY_INTEGER && answer->integer == 0;
}

static void decide(struct comparison *x, const redisReply *exec)
{
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        if (was_written(p, exec)) {
            p->told.alone = true;
            p->told.outcome = COMPARISON_AGAIN;
            continue;
        }
        for (size_t k = p->first_command; k < p->first_command + p->commands && k < exec->elements; k++)
            if (exec->element[k]->type == REDIS_REPLY_ERROR && !p->decided &&
                p->told.outcome != COMPARISON_IMPOSSIBLE)
                note_refusal(p, exec->element[k]);
        p->differs_surely = p->differs && !p->decided;
        if (p->decided || p->wants_copy)
            continue;
        p->told.outcome = !p->differs        ? COMPARISON_EQUAL
                          : x->config.repair ? COMPARISON_HEALED
                                             : COMPARISON_DIFFERENT;
    }
}

/* One command was not queued: nothing was done. Which key it is about is known when there is only one. */
static void not_queued(struct comparison *x)
{
    struct slice text = slice_str(x->queue_text);
    bool waits = is_for_now(text);
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        if (p->told.outcome == COMPARISON_IMPOSSIBLE || waits)
            continue;
        if (x->count == 1)
            comparison_impossible(p, DIVERGENCE_REFUSED, "%s", x->queue_text);
        p->told.alone = true;
    }
}

/* Somebody has written to one of them. */
static void aborted(struct comparison *x)
{
    for (size_t i = 0; i < x->count; i++) {
        struct compared *told = &x->pairs[i].told;
        told->alone = true;
        if (x->pairs[i].commands)
            told->outcome = COMPARISON_AGAIN;
    }
}

void comparison_on_exec(struct comparison *x, const redisReply *reply)
{
    bool last = x->got + 1 == x->awaited;
    if (!last && reply->type == REDIS_REPLY_ERROR && !x->queue_refused) {
        x->queue_refused = true;
        snprintf(x->queue_text, sizeof x->queue_text, "%s", resp_text(reply));
    }
    if (!last)
        return;
    if (reply->type == REDIS_REPLY_ARRAY)
        decide(x, reply);
    else if (reply->type == REDIS_REPLY_ERROR && x->queue_refused)
        not_queued(x);
    else if (reply->type == REDIS_REPLY_ERROR)
        comparison_fail_answer(x, TARGET, reply);
    else if (reply->type == REDIS_REPLY_NIL)
        aborted(x);
}
