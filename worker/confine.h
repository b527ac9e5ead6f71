/* Confines the worker to its files in the state directory, the system's files for name resolution, and connections.
 * Irrevocable. */
#ifndef DF2REDIS_WORKER_CONFINE_H
#define DF2REDIS_WORKER_CONFINE_H

#include "common/settings/settings.h"

/* Call before any untrusted input is read. Features that the kernel lacks are skipped and logged at debug level; the
 * supervisor warns about them once. False: *error. */
bool confine_worker(const struct settings *settings, const char *directory, struct error *error);

#endif
