/* Lines to the system's log. Not by syslog(3), which waits for a log daemon that has fallen behind or hangs: what that
 * one does not take at once is counted, and named when it takes something again. */
#ifndef DF2REDIS_SUPERVISOR_SYSLOG_OUTPUT_H
#define DF2REDIS_SUPERVISOR_SYSLOG_OUTPUT_H

#include "common/mem.h"

/* Connects already now, before rights are given up; a log daemon that is not there yet is tried again with each line. */
void syslog_output_open(void);
/* priority: LOG_ERR …, facility daemon. A text without \n. */
void syslog_output_line(int priority, struct slice text);
void syslog_output_close(void);

#endif
