/* Text of others (servers, files, peers) on its way to a terminal, a log or a status. */
#ifndef DF2REDIS_COMMON_BASE_PRINTABLE_H
#define DF2REDIS_COMMON_BASE_PRINTABLE_H

#include <stddef.h>

/* In place, in a buffer of so many bytes: control characters but newlines and tabs, and what is not UTF-8, as \xNN. What
 * does not fit any more is cut off. */
void printable(char *text, size_t size);

#endif
