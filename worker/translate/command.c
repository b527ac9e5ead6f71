/* Arity, keys and class of a command line, by its row in the table of commands. */
#include "worker/translate/command.h"

bool command_is_global(const struct command *c)
{
    return c && c->class == COMMAND_GLOBAL;
}

bool command_arity_fits(const struct command *c, size_t argc)
{
    return c->arity >= 0 ? argc == (size_t)c->arity : argc >= (size_t)-c->arity;
}

static void add_key(size_t position, size_t *positions, size_t max, size_t *n)
{
    if (*n < max)
        positions[*n] = position;
    (*n)++;
}

size_t command_keys(const struct command *c, const struct entry *e, size_t *positions, size_t max)
{
    size_t n = 0;
    if (c->first_key > 0) {
        size_t step = c->key_step > 0 ? (size_t)c->key_step : 1;
        size_t end; /* one past the last key's position */
        if (c->last_key >= 0)
            end = (size_t)c->last_key + 1;
        else
            end = e->argc >= (size_t)-c->last_key ? e->argc - (size_t)-c->last_key + 1 : 0;
        if (end > e->argc)
            end = e->argc;
        for (size_t i = (size_t)c->first_key; i < end; i += step)
            add_key(i, positions, max, &n);
    }
    uint64_t count;
    if (c->key_count > 0 && (size_t)c->key_count < e->argc && slice_to_u64(e->argv[c->key_count], &count)) {
        size_t first = (size_t)c->key_count + 1;
        for (size_t i = first; i < e->argc && i - first < count; i++)
            add_key(i, positions, max, &n);
    }
    return n;
}

size_t command_store_position(const struct command *c, const struct entry *e)
{
    size_t at = 0;
    if (strcmp(c->name, "SORT") != 0 && strncmp(c->name, "GEORADIUS", 9) != 0)
        return 0;
    for (size_t i = 2; i + 1 < e->argc; i++)
        if (slice_is(e->argv[i], "STORE") || slice_is(e->argv[i], "STOREDIST"))
            at = i + 1;
    return at;
}

struct slice command_first_key(const struct command *c, const struct entry *e)
{
    size_t at;
    if (c->first_key > 0 && c->key_count == 0) /* the fast path for nearly all commands */
        return (size_t)c->first_key < e->argc ? e->argv[c->first_key] : slice_of(NULL, 0);
    return command_keys(c, e, &at, 1) ? e->argv[at] : slice_of(NULL, 0);
}

const char *command_class_name(enum command_class class)
{
    switch (class) {
    case COMMAND_IDEMPOTENT:
        return "idempotent";
    case COMMAND_ONCE:
        return "once";
    case COMMAND_GLOBAL:
        return "global";
    case COMMAND_DROP:
        return "dropped";
    case COMMAND_UNSUPPORTED:
        break;
    }
    return "reported";
}
