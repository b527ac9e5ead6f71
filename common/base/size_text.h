/* Human-readable byte counts. */
#ifndef DF2REDIS_COMMON_BASE_SIZE_TEXT_H
#define DF2REDIS_COMMON_BASE_SIZE_TEXT_H

#include <stdint.h>

/* "812 B", "3.4 MiB". The text is valid for the next seven calls. */
const char *size_text(uint64_t bytes);

#endif
