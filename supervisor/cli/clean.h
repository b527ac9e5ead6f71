/* `df2redis clean`: takes out of a target what a run has left there. */
#ifndef DF2REDIS_SUPERVISOR_CLI_CLEAN_H
#define DF2REDIS_SUPERVISOR_CLI_CLEAN_H

#include "common/settings/settings.h"

/* Removes the marks of settings->name and says on standard output how many. Exit code 0; EX_TEMPFAIL while a
 * worker of that name is connected; EX_UNAVAILABLE when the target cannot be reached. */
int clean_command(const struct settings *settings);

#endif
