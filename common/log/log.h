/* Log lines: one event a line, `time level [flow] text`, or the same as a JSON object.
 *
 * Levels: error (someone has to act), warning (may have to), info (what an operator follows a run
 * by), debug (state transitions, batches). A line names what was tried, on what, and what to do.
 * Keys are data: pass them through log_key, which quotes and shortens. Secrets are never logged.
 *
 *   log_queue.c  lines that wait for a slow reader
 *      ↓
 *   log.c        a line, to its sink
 *      ↓
 *   log_kinds.c  how many lines of one kind a minute */
#ifndef DF2REDIS_COMMON_LOG_LOG_H
#define DF2REDIS_COMMON_LOG_LOG_H

#include <stdbool.h>

#include "common/base/mem.h"

/* Nothing here waits for a reader when a sink takes the lines; see log_queue.h. Of one kind of event so many lines are
 * told a minute; see log_kinds.h. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_setup(enum log_level level, enum log_format format);
bool log_level_parse(const char *name, enum log_level *out);
bool log_format_parse(const char *name, enum log_format *out);
/* Stands on every later line of this process; -1 for none. Without, a JSON line gets it from a text about "FLOW N". */
void log_set_flow(int flow);
bool log_enabled(enum log_level level);
/* Called before and after each line: the progress display uses it to clear and redraw itself. */
void log_set_hooks(void (*before)(void), void (*after)(void));

/* Takes whole lines instead of standard error; NULL: none. */
void log_set_sink(void (*sink)(struct slice line));
/* Whole lines of another process, as they are. */
void log_relay(struct slice lines);
/* A few times a second: tells how often kinds of events came that were not told each time. */
void log_turn(void);
/* At the end of a process: the same, at once. */
void log_end(void);
/* One line as it is logged. */
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

/* A key or other binary data for a log line: quoted, \xNN for what is not printable, at most 96
 * bytes of it. The text lives until the eighth next call. */
const char *log_key(struct slice key);

#endif
