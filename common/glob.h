/* Redis's glob patterns over any bytes: * ? [abc] [^a] [a-z] \x. */
#ifndef DF2REDIS_GLOB_H
#define DF2REDIS_GLOB_H

#include "common/mem.h"

bool glob_match(struct slice pattern, struct slice text);

#endif
