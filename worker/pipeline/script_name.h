/* The name of a script in reports: its SHA-1, as in EVALSHA, and its first line. */
#ifndef DF2REDIS_WORKER_PIPELINE_SCRIPT_NAME_H
#define DF2REDIS_WORKER_PIPELINE_SCRIPT_NAME_H

#include "common/base/mem.h"

enum { SCRIPT_NAME_BYTES = 40 + 1 + 60 + 1 };

/* "<40 hex digits> <first line, at most 60 bytes of it>" */
void script_name(struct slice body, char *out, size_t bytes);

#endif
