/* Looking up rows of the table of commands, finding keys in command lines, printing them. */
#include "worker/translate/commands.h"

enum { HASH_SLOTS = 512, NAME_MAX_BYTES = 31 };

/* Open hash over both tables, filled at the first lookup. */
static struct {
    const struct command *command;
    size_t len;
} slots[HASH_SLOTS];
static bool filled;

/* Clearing bit 5 makes letters upper case; what it makes of other bytes is the same for name and row. */
static uint32_t hash(const uint8_t *name, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (name[i] & 0xdfu)) * 16777619u;
    return (h ^ (h >> 15)) % HASH_SLOTS;
}

static uint8_t upper(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
}

static void fill(const struct command *table)
{
    for (const struct command *c = table; c->name; c++) {
        size_t len = strlen(c->name);
        uint32_t i = hash((const uint8_t *)c->name, len);
        while (slots[i].command)
            i = (i + 1) % HASH_SLOTS;
        slots[i].command = c;
        slots[i].len = len;
    }
}

static bool is_name(struct slice name, const char *row)
{
    for (size_t i = 0; i < name.len; i++)
        if (upper(name.data[i]) != (uint8_t)row[i])
            return false;
    return true;
}

const struct command *command_find(struct slice name)
{
    if (!filled) {
        fill(command_table);
        fill(command_table_modules);
        filled = true;
    }
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return NULL;
    for (uint32_t i = hash(name.data, name.len); slots[i].command; i = (i + 1) % HASH_SLOTS)
        if (slots[i].len == name.len && is_name(name, slots[i].command->name))
            return slots[i].command;
    return NULL;
}

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

/* A row tells of the journal's command of that name; what the rewrites make of others has its key first. */
size_t command_written_keys(const struct slice *argv, size_t argc, struct slice *keys, size_t max)
{
    static const char *const keyless[] = {"SELECT", "SCRIPT", "EXEC", "MULTI", "WAIT", "PING"};
    static const struct command script = {.name = "EVAL", .key_count = 2};
    size_t fixed[64], n;
    struct entry e = {.argv = argv, .argc = argc};
    bool eval = slice_is(argv[0], "EVAL") || slice_is(argv[0], "EVALSHA");
    const struct command *c = eval ? &script : command_find(argv[0]);
    for (size_t i = 0; i < sizeof keyless / sizeof *keyless; i++)
        if (slice_is(argv[0], keyless[i]))
            return 0;
    if (c && (c->class == COMMAND_GLOBAL || slice_begins(argv[0], "FT.")))
        return 0;
    n = c ? command_keys(c, &e, fixed, sizeof fixed / sizeof *fixed) : 0;
    if (!n && !eval && argc > 1) {
        keys[0] = argv[1];
        return 1;
    }
    if (n > sizeof fixed / sizeof *fixed)
        n = sizeof fixed / sizeof *fixed;
    for (size_t i = 0; i < n && i < max; i++)
        keys[i] = argv[fixed[i]];
    return n < max ? n : max;
}

struct slice command_first_key(const struct command *c, const struct entry *e)
{
    size_t at;
    if (c->first_key > 0 && c->key_count == 0) /* nearly all: no need to count */
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

static void print_table(FILE *out, const struct command *table)
{
    for (const struct command *c = table; c->name; c++)
        fprintf(out, "%-18s %-10s %-12s %s\n", c->name, command_class_name(c->class),
                c->needs ? c->needs : "-", c->note ? c->note : "passed on as it is");
}

void commands_print(FILE *out)
{
    print_table(out, command_table);
    print_table(out, command_table_modules);
}
