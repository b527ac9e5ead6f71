/* Into the background. The exit code of the command in the foreground still reports the success of the start. */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_DAEMON_H
#define DF2REDIS_SUPERVISOR_SERVICE_DAEMON_H

#include "common/base/error.h"

enum daemon_side {
    DAEMON_RUN,     /* in the background: continue */
    DAEMON_STARTED, /* in the foreground: the daemon has started, or has reported its failure: *exit_code */
    DAEMON_FAILED,  /* fork or pipe failed: *error */
};
enum daemon_side daemon_start(int *exit_code, struct error *error);
/* The background process calls one of them once: the start has worked, or failed. In the foreground they do nothing. */
void daemon_tell_ready(void);
void daemon_tell_failed(int exit_code, const char *text);

#endif
