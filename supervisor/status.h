/* The other end of the control socket: `df2redis status` and `df2redis stop`. */
#ifndef DF2REDIS_SUPERVISOR_STATUS_H
#define DF2REDIS_SUPERVISOR_STATUS_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "common/settings.h"

/* Both print to standard output and return the exit code:
 * 0 in step (or stopped), EX_TEMPFAIL running but not in step, EX_UNAVAILABLE no such run. */
int status_command(const struct settings *settings, bool json);
int stop_command(const struct settings *settings);

/* The table for people. */
void status_print(const cJSON *status, FILE *out);
int status_exit_code(const cJSON *status);

#endif
