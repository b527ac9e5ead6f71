/* What the last df2redis verify of this run has found, from its file in the run's directory. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_VERIFY_STATUS_H
#define DF2REDIS_SUPERVISOR_OBSERVE_VERIFY_STATUS_H

#include <cjson/cJSON.h>

/* directory: STATE/NAME. The caller frees it; NULL: nothing was verified, or the file is not readable. */
cJSON *verify_status(const char *directory);

#endif
