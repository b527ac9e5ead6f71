/* What of a JSON text two implementations may take differently. Looks, builds nothing. */
#ifndef DF2REDIS_WORKER_TRANSLATE_JSON_SCAN_H
#define DF2REDIS_WORKER_TRANSLATE_JSON_SCAN_H

#include <stdbool.h>

#include "common/base/mem.h"

/* A name twice in one object, a number of 16 digits or more, or an exponent; or a text too deep or too large to tell. */
bool json_is_ambiguous(struct slice text);

#endif
