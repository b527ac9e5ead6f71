/* Escapes text from servers, files and peers for a terminal, a log or the status. */
#ifndef DF2REDIS_COMMON_BASE_PRINTABLE_H
#define DF2REDIS_COMMON_BASE_PRINTABLE_H

#include <stddef.h>

/* In place, in a buffer of `size` bytes: control characters other than newline and tab, and invalid UTF-8, become
 * \xNN. Text that no longer fits is cut off. */
void printable(char *text, size_t size);

#endif
