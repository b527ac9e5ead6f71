/* A row of the table of commands: a journaled command and its translation; and queries about a command line by its
 * row. */
#ifndef DF2REDIS_WORKER_TRANSLATE_COMMAND_H
#define DF2REDIS_WORKER_TRANSLATE_COMMAND_H

#include "common/redis/capabilities.h"
#include "worker/rdb/entry.h"

struct translator;

enum command_class {
    COMMAND_IDEMPOTENT,  /* may run again if the rest of the stream follows (command_table.c) */
    COMMAND_ONCE,        /* reads keys that it does not write, counts, pushes, pops, trims or appends */
    COMMAND_GLOBAL,      /* in every FLOW: waits for all of them (FLUSHALL, FLUSHDB) */
    COMMAND_DROP,        /* no effect on data that Redis has */
    COMMAND_UNSUPPORTED, /* reported as a divergence */
};

/* How include/exclude filters apply to a command with several keys. */
enum command_filter {
    FILTER_WHOLE,   /* all wanted: passed; none: dropped; some: reported */
    FILTER_STORE,   /* the first key is written from the others: if it is unwanted, dropped; if another is,
                       reported */
    FILTER_REWRITE, /* by the rewrite function */
};

struct command {
    const char *name; /* upper case */
    enum command_class class;
    /* Number of arguments with the name; negative: at least -arity. With fewer in the journal the master has lost
     * arguments; such a command must not reach a MULTI. */
    int8_t arity;
    /* Keys: positions first, first+step … up to last (negative: from the end); 0: none. key_count: position of the
     * argument with the number of keys that follow it (like EVAL); 0: none. */
    int8_t first_key, last_key, key_step, key_count;
    enum command_filter filter;
    /* Number of arguments before the repeating ones (with the name), and number per repetition: a too large command is
     * split between repetitions. repeat 0: never. */
    int8_t head, repeat;
    /* Journaled only if it had an effect: if the target answers nil, 0 or an empty array, its key differs from the
     * source and becomes a suspect. (HDEL, SREM, ZREM, LREM, XDEL, XACK, ZPOPMIN and others are journaled whenever the
     * key exists, MOVE and the pushes with X always.) */
    bool effective;
    const char *needs; /* requirement to the target, for the manual: "Redis 7.4", "RedisJSON"; NULL: none */
    bool (*able)(const struct capabilities *target); /* NULL: any target, or checked by the rewrite */
    bool (*rewrite)(struct translator *t, const struct command *c, const struct entry *e,
                    struct error *error); /* NULL: passed on unchanged */
    const char *note;                     /* for the manual: translation and losses */
    const char *heading;                  /* for the manual: a group begins with this row */
};

bool command_is_global(const struct command *c);
/* The keys of a command line: returns their number, stores positions up to max. Positions beyond the arguments do not
 * count. */
size_t command_keys(const struct command *c, const struct entry *e, size_t *positions, size_t max);
/* Position of the destination of SORT … STORE, GEORADIUS … STORE | STOREDIST, which is none of command_keys; 0: there is
 * none. */
size_t command_store_position(const struct command *c, const struct entry *e);
/* The first key; empty if there is none. */
struct slice command_first_key(const struct command *c, const struct entry *e);
/* Whether the number of arguments is valid for the command. */
bool command_arity_fits(const struct command *c, size_t argc);
const char *command_class_name(enum command_class class);

#endif
