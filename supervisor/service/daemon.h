/* Into the background, in such a way that the command's exit code still tells whether the start has worked.
 */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_DAEMON_H
#define DF2REDIS_SUPERVISOR_SERVICE_DAEMON_H

#include "common/base/error.h"

enum daemon_side {
    DAEMON_RUN,     /* in the background: go on */
    DAEMON_STARTED, /* in the foreground: the other one has started, or has told why not: *exit_code */
    DAEMON_FAILED,  /* no process could be made: *error */
};
enum daemon_side daemon_start(int *exit_code, struct error *error);
/* Of the background process, once: the start has worked, or not. Without a daemon they do nothing. */
void daemon_tell_ready(void);
void daemon_tell_failed(int exit_code, const char *text);

#endif
