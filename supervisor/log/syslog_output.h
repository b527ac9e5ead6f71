/* Lines to the system's log. Not by syslog(3), which waits for a log daemon that has fallen behind or hangs: what that
 * one does not take at once is kept, up to 256 KiB; what is more is counted, and named when there is room again. */
#ifndef DF2REDIS_SUPERVISOR_LOG_SYSLOG_OUTPUT_H
#define DF2REDIS_SUPERVISOR_LOG_SYSLOG_OUTPUT_H

#include "common/base/mem.h"

/* path: of its socket, kept. Connects already now, before rights are given up; a log daemon that is not there yet is
 * tried again with each line. */
void syslog_output_open(const char *path);
/* priority: LOG_ERR …, facility daemon. A text without \n. */
void syslog_output_line(int priority, struct slice text);
/* Another attempt for what is kept: a few times a second. */
void syslog_output_flush(void);
/* Gives what is kept a last half second. */
void syslog_output_close(void);

#endif
