/* Landlock (Linux 5.13 and newer). Needs no linux/landlock.h, which may be older than the running kernel. */
#ifndef DF2REDIS_COMMON_BASE_LANDLOCK_H
#define DF2REDIS_COMMON_BASE_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* ABI version of the running kernel; 0: not supported, or disabled. */
int landlock_version(void);

/* A ruleset that allows no files yet; connect(2) stays allowed. Returns its descriptor, or -1 with errno. */
int landlock_begin(int version);
/* Allows reading at and below path; write: also creating, changing and removing regular files. A path that
 * does not exist is skipped. */
bool landlock_allow(int ruleset, int version, const char *path, bool write);
/* Applies to this thread and its children, irrevocably; closes the ruleset. */
bool landlock_enforce(int ruleset);

#endif
