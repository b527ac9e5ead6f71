/* Where log lines go: standard error, a file that can be reopened, or syslog. None of them is waited for. */
#ifndef DF2REDIS_SUPERVISOR_LOG_LOG_OUTPUT_H
#define DF2REDIS_SUPERVISOR_LOG_LOG_OUTPUT_H

#include "common/settings/settings.h"

/* By log-file and syslog. A file becomes standard error, so that nothing said there is lost. Starts a thread: no fork
 * without exec after it. */
bool log_output_open(const struct settings *settings, struct error *error);
/* What waits is given a last second. */
void log_output_close(void);
/* After log rotation. Goes on with the old file when that fails. */
bool log_output_reopen(struct error *error);
/* A few times a second: what there was no room for, and what was not told each time. */
void log_output_turn(void);
/* Not to the standard error that this process was started with. */
bool log_output_elsewhere(void);

/* Of a text or JSON line: its syslog priority, and where the text for syslog begins, which has a time of its
 * own. */
int log_output_priority(struct slice line, struct slice *text);

#endif
