/* Landlock (Linux 5.13 and newer), also where the system's headers are older than its kernel. */
#ifndef DF2REDIS_COMMON_BASE_LANDLOCK_H
#define DF2REDIS_COMMON_BASE_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* The version of the kernel's interface; 0: it has none, or it is switched off. */
int landlock_version(void);

/* Only below the paths that follow may this process use files; connections stay free. -1 with errno. */
int landlock_begin(int version);
/* write: make, change and remove regular files too. A path that is not there is left out. */
bool landlock_allow(int ruleset, int version, const char *path, bool write);
/* For this thread and its children, for ever; closes the ruleset. */
bool landlock_enforce(int ruleset);

#endif
