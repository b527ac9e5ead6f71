/* Entries in, commands for the target out. Knows the table of commands, what the target can do, and
 * the filters; knows no sockets. A file calls what stands to its right:
 *
 *   translator.c ─┬─ snapshot.c ───────────────────────────────────────────────────────┬─ value_write.c ── elements.c
 *                 └─ command_translate.c ── commands.c ── command_table*.c ── rewrite_*.c
 *                                           finds a row   the rows            a command as the target takes it
 *
 * All of them call rewrite.c (what rewrites share), command.c (what a row says of a command line), left_out.c, and the
 * commands go to worker/link/output.h. */
#ifndef DF2REDIS_WORKER_TRANSLATE_TRANSLATOR_H
#define DF2REDIS_WORKER_TRANSLATE_TRANSLATOR_H

#include "common/redis/capabilities.h"
#include "common/settings/settings.h"
#include "worker/link/output.h"
#include "worker/rdb/entry.h"
#include "worker/rdb/value.h"

struct translator {
    const struct settings *settings;
    const struct capabilities *target;
    struct output *out;
    /* What could not be carried over: a word of divergence.h, the command or type, its key. */
    void (*report)(void *arg, const char *reason, const char *command, struct slice key, uint64_t count);
    /* The key may be wrong now, or be right: it is to be compared. NULL: reported instead. */
    void (*suspect)(void *arg, uint32_t db, struct slice key, const char *reason, const char *command);
    void *report_arg; /* of both */
    /* The target is told another time for a key, or a field of it (data NULL: none), than the source has, or
     * the same; may be NULL. */
    void (*told)(void *arg, struct slice key, struct slice field, int64_t source_ms, int64_t target_ms);
    void *told_arg;
    int64_t (*now_unix_ms)(void); /* tests put their own clock in */
    uint32_t db;                  /* the target's database of the entry at hand */
    uint32_t lacking_db;          /* that a report of a database which the target lacks is about */
    bool all_wanted;              /* names of keys are not what the source has: no filter */
    bool reserved;                /* the command at hand names a key that is the run's own: as if filtered */
    int64_t arrived_ms;           /* Unix ms at which the entry at hand came from the source; 0: just now */
    int64_t late_ms; /* an entry may have been written so much earlier than it came: the link was down */
    uint64_t lag_ms; /* how old the entry at hand may be since it came from the source */
    uint32_t source_release; /* 14001: Dragonfly 1.40.1; 0: not known, taken for the newest that is */
    bool by_elements;        /* no RESTORE: the target has refused the value's payload */
    /* Conflict policy is off: a rewind may meet its own keys. */
    bool ignore_conflicts;
    /* Owned scratch. */
    struct value_scratch scratch;
    struct buf bytes, text;
    struct slice *args;
    size_t args_capacity;
    struct stream_node_reader *node;
    struct suspects *left_out; /* the owner's; NULL: none is remembered (left_out.h) */
};

void translator_init(struct translator *t, const struct settings *s, const struct capabilities *target,
                     struct output *out);
void translator_free(struct translator *t);

/* All kinds of entries that carry data. False: ERROR_FATAL (cannot go on), else it was done, dropped or
 * reported. Global commands (command_is_global) are not given to it. */
bool translate(struct translator *t, const struct entry *e, struct error *error);

/* Its two halves: snapshot.c, command_translate.c. */
bool translate_snapshot(struct translator *t, const struct entry *e, struct error *error);
bool translate_command(struct translator *t, const struct entry *e, struct error *error);
/* The moment that relative times of the entry at hand count from. */
static inline int64_t translator_arrived_ms(const struct translator *t)
{
    return t->arrived_ms ? t->arrived_ms : t->now_unix_ms();
}
/* What DUMP gave, where that is too large for one RESTORE. */
bool translate_dump(struct translator *t, struct slice key, struct slice dump, int64_t expire_ms,
                    struct error *error);
#endif
