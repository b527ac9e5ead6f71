/* The commands in x->batch as questions to the target: unchanged, or in a script with a guard. */
#include <stdlib.h>

#include "common/ipc/divergence.h"
#include "worker/compare/comparison_internal.h"

/* KEYS[1]: the key; ARGV: length and last bytes of its payload, then the commands, each after its number of words.
 * Answers 0 if the value has changed, else the error of the first command that fails, else 1. */
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
    UNPACK_WORDS = 7000,     /* Lua's unpack returns at most about 8000 */
    COMMAND_WORDS = 1000000, /* Redis before 7.0 accepts at most 1048576 */
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

/* Adds the words of the next command; with_number: after their number. */
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
    buf_put_u8(&x->batch->out, 0); /* ends the text for strtoull */
    x->batch->once = false;        /* no MULTI: the commands are in one already */
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
    else /* written element by element, as the target refuses the payload */
        comparison_impossible(p, DIVERGENCE_REFUSED, "a stream too long for a script");
}

void comparison_ask_all(struct comparison *x)
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
