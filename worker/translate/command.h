/* A row of the table of commands: what a journaled command is and what becomes of it. And what a row says of a command
 * line. */
#ifndef DF2REDIS_WORKER_TRANSLATE_COMMAND_H
#define DF2REDIS_WORKER_TRANSLATE_COMMAND_H

#include "common/redis/capabilities.h"
#include "worker/rdb/entry.h"

struct translator;

enum command_class {
    COMMAND_IDEMPOTENT,  /* may run again if followed by the rest of the stream (command_table.c) */
    COMMAND_ONCE,        /* reads what it does not write, counts, pushes, pops, trims or appends */
    COMMAND_GLOBAL,      /* every FLOW has it: barrier (FLUSHALL, FLUSHDB) */
    COMMAND_DROP,        /* no effect on data that Redis has */
    COMMAND_UNSUPPORTED, /* counted and named */
};

/* What include/exclude filters make of a command with several keys. */
enum command_filter {
    FILTER_WHOLE,   /* all wanted: passed; none: dropped; some: reported */
    FILTER_STORE,   /* the first key is written from the others: unwanted, it is dropped; some other unwanted:
                       reported */
    FILTER_REWRITE, /* the rewrite function sees to it */
};

struct command {
    const char *name; /* upper case */
    enum command_class class;
    /* Arguments with the name: exactly so many, or at least -arity. Fewer than that in the journal means that
     * the master lost the rest; such a command must not reach a MULTI. */
    int8_t arity;
    /* Keys: positions first, first+step … up to last (negative: from the end); 0 = none. key_count:
     * argument that holds the number of keys that follow it (EVAL style), 0 = not so. */
    int8_t first_key, last_key, key_step, key_count;
    enum command_filter filter;
    /* Arguments before those that repeat (with the name), and how many of these belong together: such a
     * command may be cut into several when it is too large for one. repeat 0: never. */
    int8_t head, repeat;
    /* Journaled only where there was something to do: where the target answers nil, 0 or an empty array, its
     * key is not as on the source, and becomes a suspect. (HDEL, SREM, ZREM, LREM, XDEL, XACK, ZPOPMIN and
     * the like are journaled wherever the key exists, MOVE and the pushes with X everywhere.) */
    bool effective;
    const char *needs; /* what the target must have, for the matrix: "Redis 7.4", "RedisJSON"; NULL = any */
    bool (*able)(const struct capabilities *target); /* NULL: any target, or the rewrite sees to it */
    bool (*rewrite)(struct translator *t, const struct command *c, const struct entry *e,
                    struct error *error); /* NULL: passed on as it is */
    const char *note;                     /* for the matrix: what is done, what is lost */
    const char *heading;                  /* for the matrix: a group begins with this row */
};

bool command_is_global(const struct command *c);
/* The keys of a command line; returns their number and fills positions up to max. What lies beyond the
 * arguments is no key. */
size_t command_keys(const struct command *c, const struct entry *e, size_t *positions, size_t max);
/* The first of them; empty when there is none. */
struct slice command_first_key(const struct command *c, const struct entry *e);
/* Does the command line have as many arguments as the command takes? */
bool command_arity_fits(const struct command *c, size_t argc);
const char *command_class_name(enum command_class class);

#endif
