/* A worker needs little: its files in the state directory, the system's for looking up names, and
 * connections. The kernel takes the rest from it, for good. */
#ifndef DF2REDIS_WORKER_CONFINE_H
#define DF2REDIS_WORKER_CONFINE_H

#include "common/settings/settings.h"

/* Before anything that came from outside is read. What the kernel lacks is left out and said at debug level:
 * the supervisor tells it once. False: nothing could be taken; *error tells why. */
bool confine_worker(const struct settings *settings, const char *directory, struct error *error);

#endif
