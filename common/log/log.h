/* Log lines: one event a line, `time level [flow] text`, or the same as a JSON object.
 *
 * Levels: error (an operator has to act), warning (may have to act), info (the course of a run), debug (state
 * transitions, batches). A line names the object, what happened and what to do. Pass keys through log_key, which
 * quotes and shortens them. Never log secrets.
 *
 *   log_queue.c  lines that wait for a slow reader
 *      ↓
 *   log.c        formats a line and writes it
 *      ↓
 *   log_kinds.c  limits the lines of one kind per minute */
#ifndef DF2REDIS_COMMON_LOG_LOG_H
#define DF2REDIS_COMMON_LOG_LOG_H

#include <stdbool.h>

#include "common/base/mem.h"

/* With a sink, no function here blocks on a reader; see log_queue.h. Lines of one kind are limited per minute; see
 * log_kinds.h. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_setup(enum log_level level, enum log_format format);
bool log_level_parse(const char *name, enum log_level *out);
bool log_format_parse(const char *name, enum log_format *out);
/* Sets the FLOW of all later lines of this process; -1: none, a JSON line then takes it from "FLOW N" in its text. */
void log_set_flow(int flow);
bool log_enabled(enum log_level level);
/* Called before and after each line: the progress display uses it to clear and redraw itself. */
void log_set_hooks(void (*before)(void), void (*after)(void));

/* Receives whole lines instead of standard error; NULL: standard error. */
void log_set_sink(void (*sink)(struct slice line));
/* Writes whole lines of another process unchanged. */
void log_relay(struct slice lines);
/* Called a few times a second: logs the counts of suppressed lines whose minute is over. */
void log_turn(void);
/* Called at the end of a process: logs all counts of suppressed lines. */
void log_end(void);
/* Appends the line as it would be logged. */
void log_format_line(struct buf *out, enum log_level level, const char *text);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Not limited by kind: for lists. */
void log_write_always(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                       \
    do {                                                                                                     \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                                    \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                         \
    } while (0)

/* A key or other binary data for a log line: quoted, unprintable bytes as \xNN, cut after 96 bytes. The text is valid
 * for the next seven calls. */
const char *log_key(struct slice key);

#endif
