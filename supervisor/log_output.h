/* Where log lines go: standard error, a file that can be reopened, or syslog. */
#ifndef DF2REDIS_SUPERVISOR_LOG_OUTPUT_H
#define DF2REDIS_SUPERVISOR_LOG_OUTPUT_H

#include "common/settings.h"

/* By log-file and syslog. A file becomes standard error, so that nothing said there is lost. */
bool log_output_open(const struct settings *settings, struct error *error);
void log_output_close(void);
/* After log rotation. Goes on with the old file when that fails. */
bool log_output_reopen(struct error *error);
/* A few times a second: what syslog had no room for. */
void log_output_turn(void);
/* Must the workers' lines pass through this process? It alone has the file that is reopened, and syslog. */
bool log_output_relays(void);
/* Whole lines of a worker. */
void log_output_lines(struct slice lines);

/* Of a text or JSON line: its syslog priority, and where the text for syslog begins, which has a time of its
 * own. */
int log_output_priority(struct slice line, struct slice *text);

#endif
