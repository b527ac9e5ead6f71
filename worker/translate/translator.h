/* Translates entries to commands for the target, by the table of commands, the capabilities of the target and the
 * filters. Uses no sockets. A file calls those to its right:
 *
 *   translator.c ─┬─ snapshot.c ───────────────────────────────────────────────────────┬─ value_write.c ── elements.c
 *                 └─ command_translate.c ── commands.c ── command_table*.c ── rewrite_*.c
 *                                           finds a row   the rows            a command as the target takes it
 *
 * All of them call rewrite.c (shared by rewrites), command.c (queries about a command line), left_out.c, and
 * worker/link/output.h, which takes the commands. */
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
    /* A divergence: a word of divergence.h, the command or type, its key. */
    void (*report)(void *arg, const char *reason, const char *command, struct slice key, uint64_t count);
    /* The key may be wrong: makes it a suspect. NULL: reported instead. */
    void (*suspect)(void *arg, uint32_t db, struct slice key, const char *reason, const char *command);
    void *report_arg; /* of both */
    /* target_ms is sent to the target for source_ms of the source, for a key or a field of it (data NULL: the key); may
     * be NULL. */
    void (*told)(void *arg, struct slice key, struct slice field, int64_t source_ms, int64_t target_ms);
    void *told_arg;
    int64_t (*now_unix_ms)(void); /* replaced by tests */
    uint32_t db;                  /* database of the target for the current entry */
    uint32_t lacking_db;          /* database of a report about one that the target lacks */
    bool all_wanted;              /* keys have temporary names: no filter */
    bool reserved;                /* the current command names a key of the run itself: as if filtered */
    int64_t arrived_ms;           /* receipt of the current entry, Unix ms; 0: now */
    int64_t late_ms;         /* maximum time between writing and receipt of an entry, as the link was down */
    uint64_t lag_ms;         /* maximum time since the receipt of the current entry */
    uint32_t source_release; /* 14001: Dragonfly 1.40.1; 0: unknown, taken for the newest known */
    bool by_elements;        /* no RESTORE, as the target has refused the payload */
    /* Disables --on-conflict: after a rewind keys of the run itself exist. */
    bool ignore_conflicts;
    /* Owned buffers. */
    struct value_scratch scratch;
    struct buf bytes, text;
    struct slice *args;
    size_t args_capacity;
    struct stream_node_reader *node;
    struct suspects *left_out; /* borrowed; NULL: none (left_out.h) */
};

void translator_init(struct translator *t, const struct settings *s, const struct capabilities *target,
                     struct output *out);
void translator_free(struct translator *t);

/* Translates an entry with data. True: translated, dropped or reported. False: *error. Must not be called for global
 * commands (command_is_global). */
bool translate(struct translator *t, const struct entry *e, struct error *error);

/* Its two halves: snapshot.c, command_translate.c. */
bool translate_snapshot(struct translator *t, const struct entry *e, struct error *error);
bool translate_command(struct translator *t, const struct entry *e, struct error *error);
/* The time that relative times of the current entry count from. */
static inline int64_t translator_arrived_ms(const struct translator *t)
{
    return t->arrived_ms ? t->arrived_ms : t->now_unix_ms();
}
/* A payload of DUMP that is too large for one RESTORE. */
bool translate_dump(struct translator *t, struct slice key, struct slice dump, int64_t expire_ms,
                    struct error *error);
#endif
