/* Limits repeated log lines by kind. A kind is one call of log_warning() etc. in the source code, identified by its
 * format string. Lines beyond the limit of a minute are counted, and reported in one line with the last one as an
 * example. */
#ifndef DF2REDIS_COMMON_LOG_LOG_KINDS_H
#define DF2REDIS_COMMON_LOG_LOG_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/log/log.h"

enum { LOG_KIND_WINDOW_MS = 60000, LOG_KIND_WARNINGS = 10, LOG_KIND_INFOS = 100 };

/* Whether to log this line. False: it was counted instead. */
bool log_kinds_take(enum log_level level, const char *format, const char *text, uint64_t now_ms);
/* Calls tell() with a count for each kind whose minute is over; all: for every kind with suppressed lines. */
void log_kinds_tell(uint64_t now_ms, bool all, void (*tell)(enum log_level level, const char *text));
/* Clears the table; for tests. */
void log_kinds_reset(void);

#endif
