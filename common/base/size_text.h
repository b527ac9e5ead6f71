/* Numbers of bytes as people read them. */
#ifndef DF2REDIS_COMMON_BASE_SIZE_TEXT_H
#define DF2REDIS_COMMON_BASE_SIZE_TEXT_H

#include <stdint.h>

/* "812 B", "3.4 MiB". The text lives until the eighth next call. */
const char *size_text(uint64_t bytes);

#endif
