/* Repeated events in the log, limited by kind. A kind is one call of log_warning and the like in the source, known by its
 * format. So many lines of a kind are told a minute; the rest of that minute is counted, and told in one line with the
 * last of them as the example. */
#ifndef DF2REDIS_COMMON_LOG_LOG_KINDS_H
#define DF2REDIS_COMMON_LOG_LOG_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/log/log.h"

enum { LOG_KIND_WINDOW_MS = 60000, LOG_KIND_WARNINGS = 10, LOG_KIND_INFOS = 100 };

/* Whether this line is told. Otherwise it is counted. */
bool log_kinds_take(enum log_level level, const char *format, const char *text, uint64_t now_ms);
/* Gives the lines about kinds whose minute is over, or about all that have something to tell. */
void log_kinds_tell(uint64_t now_ms, bool all, void (*tell)(enum log_level level, const char *text));
/* Forgets all; for tests. */
void log_kinds_reset(void);

#endif
