/* Lines to the system's log, without syslog(3), which blocks while the log daemon is slow or hangs. Lines that the
 * daemon does not take at once are kept, up to 256 KiB. Further lines are counted, and their number is logged later. */
#ifndef DF2REDIS_SUPERVISOR_LOG_SYSLOG_OUTPUT_H
#define DF2REDIS_SUPERVISOR_LOG_SYSLOG_OUTPUT_H

#include "common/base/mem.h"

/* path: the daemon's socket. Connects at once, before rights are given up; without a daemon each line tries again. */
void syslog_output_open(const char *path);
/* priority: LOG_ERR …, facility daemon. text: without \n. */
void syslog_output_line(int priority, struct slice text);
/* Call it a few times a second: sends the kept lines. */
void syslog_output_flush(void);
/* Waits up to half a second for the kept lines. */
void syslog_output_close(void);

#endif
