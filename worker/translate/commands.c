/* Lookup in the two tables by name, the keys of a sent command, and the tables as text. */
#include "worker/translate/commands.h"

enum { HASH_SLOTS = 512, NAME_MAX_BYTES = 31 };

/* Hash table over both tables, filled at the first lookup. */
static struct {
    const struct command *command;
    size_t len;
} slots[HASH_SLOTS];
static bool filled;

/* Clearing bit 5 makes letters upper case; other bytes change alike in name and row. */
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

/* A row describes the journaled command of that name; commands that only rewrites send have their key first. */
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
