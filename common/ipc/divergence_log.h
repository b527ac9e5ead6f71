/* STATE/NAME/divergences.log: the record of what the target lacks. The workers append what they report before its
 * entry can be committed, the supervisor what it counts itself; a supervisor that starts anew counts from the log.
 *
 *   TIME flow=N [id=ID] REASON COMMAND KEY ×COUNT
 *
 * ID is the identity of the divergence, 16 hexadecimal digits: lines with the same one count as one. Without it the
 * line is the supervisor's, and its COUNT adds up. Older versions wrote "entry=..." in place of the id. A line without
 * a count is a note; it counts as nothing.
 *
 * A line is one write(2) to a file opened with O_APPEND, so that the lines of several processes never mix, and what is
 * written survives the death of the process. */
#ifndef DF2REDIS_COMMON_IPC_DIVERGENCE_LOG_H
#define DF2REDIS_COMMON_IPC_DIVERGENCE_LOG_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/base/mem.h"

#define DIVERGENCE_LOG_BEGIN "A copy begins."

struct divergence_line {
    uint32_t flow;
    uint64_t id; /* 0: none */
    const char *reason, *command;
    const char *key; /* as log_key shows it */
    uint64_t count;
};

struct divergence_log {
    int fd;               /* -1: no log */
    uint64_t limit_bytes; /* holds for all writers together */
    bool failed;          /* a write has failed: logged once */
};

/* The identity of a divergence: its reason, command, database and whole key. Never 0. */
uint64_t divergence_id(const char *reason, const char *command, uint32_t db, struct slice key);

bool divergence_log_open(struct divergence_log *log, const char *path, struct error *error);
void divergence_log_close(struct divergence_log *log);
/* Returns false if the line is not in the log: the log is full, or the write failed, which is logged once. */
bool divergence_log_add(struct divergence_log *log, const struct divergence_line *line);
/* The same with a text of its own in place of id, reason, command, key and count. */
bool divergence_log_note(struct divergence_log *log, uint32_t flow, const char *text);
/* DIVERGENCE_LOG_BEGIN, also in a full log; none in an empty one. */
void divergence_log_begin(struct divergence_log *log);
/* Splits a line, which it changes and *line points into. Returns false for a note. */
bool divergence_line_parse(char *text, struct divergence_line *line);

#endif
