/* `df2redis clean`: removes from a target what a run has left there. */
#ifndef DF2REDIS_SUPERVISOR_CLI_CLEAN_H
#define DF2REDIS_SUPERVISOR_CLI_CLEAN_H

#include "common/settings/settings.h"

/* Removes the marks of settings->name and prints their number. Returns the exit code: 0; EX_TEMPFAIL: a worker of that
 * name is connected; EX_UNAVAILABLE: the target cannot be reached. */
int clean_command(const struct settings *settings);

#endif
