/* Keeps the bytes on which a worker died repeatedly, for a person to examine.
 *
 * STATE/NAME/flow-N.poison: the stream in the dead worker's spool, from the first byte not applied to 1 MiB after
 * the last byte decoded. */
#ifndef DF2REDIS_SUPERVISOR_FLOW_POISON_H
#define DF2REDIS_SUPERVISOR_FLOW_POISON_H

#include "common/ipc/cursor.h"

/* The worker of the FLOW is dead. Returns the file's name, which the caller frees; NULL and *error on failure. */
char *poison_save(const char *directory, uint32_t flow, const struct cursor_marks *marks,
                  struct error *error);

#endif
