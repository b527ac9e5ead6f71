/* The log's output: standard error, a file that can be reopened, or syslog. The process never waits for it. What calls
 * what:
 *
 *   log.c (common) ─> log_output.c ──┬─> log_writer.c     standard error or the file, by a thread
 *                                    └─> syslog_output.c  datagrams to /dev/log */
#ifndef DF2REDIS_SUPERVISOR_LOG_LOG_OUTPUT_H
#define DF2REDIS_SUPERVISOR_LOG_LOG_OUTPUT_H

#include "common/settings/settings.h"

/* Opens the output that log-file and syslog name. A file becomes standard error, so that libraries' messages reach it
 * too. Starts a thread: no fork without exec afterwards. */
bool log_output_open(const struct settings *settings, struct error *error);
/* Waits up to a second for lines that are not yet written. */
void log_output_close(void);
/* Reopens the file after log rotation, for all later lines, without waiting for it. If it cannot be opened, the old file
 * stays in use. */
void log_output_reopen(void);
/* Call it a few times a second: reports a file that could not be reopened, lost and repeated lines, retries syslog. */
void log_output_turn(void);
/* True: the log goes to a file or to syslog. */
bool log_output_elsewhere(void);

/* Returns the syslog priority of a text or JSON line, and in *text the line without its time, since syslog adds one. */
int log_output_priority(struct slice line, struct slice *text);

#endif
