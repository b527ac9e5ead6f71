/* Finds JSON text that two implementations may parse differently. Allocates nothing. */
#ifndef DF2REDIS_WORKER_TRANSLATE_JSON_SCAN_H
#define DF2REDIS_WORKER_TRANSLATE_JSON_SCAN_H

#include <stdbool.h>

#include "common/base/mem.h"

/* True: a duplicate name in an object, a number of 16 digits or more, an exponent, or a text too deep or too large to
 * check. */
bool json_is_ambiguous(struct slice text);

#endif
