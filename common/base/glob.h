/* Redis's glob patterns over any bytes: * ? [abc] [^a] [a-z] \x. */
#ifndef DF2REDIS_COMMON_BASE_GLOB_H
#define DF2REDIS_COMMON_BASE_GLOB_H

#include "common/base/mem.h"

bool glob_match(struct slice pattern, struct slice text);

#endif
