/* Redis's glob patterns over any bytes: * ? [abc] [^a] [a-z] \x. */
#ifndef DF2REDIS_COMMON_BASE_GLOB_H
#define DF2REDIS_COMMON_BASE_GLOB_H

#include "common/base/mem.h"

bool glob_match(struct slice pattern, struct slice text);
/* Writes a text that the pattern takes, unless a negated class is in the way. Returns its length; 0: it has no room. */
size_t glob_example(struct slice pattern, char *out, size_t out_bytes);

#endif
