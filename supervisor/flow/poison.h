/* The bytes that a worker died on again and again, kept for whoever looks into it.
 *
 * STATE/NAME/flow-N.poison: the stream from the first byte not applied on, as the dead worker's spool has it,
 * so much as it may have decoded and 1 MiB more. */
#ifndef DF2REDIS_SUPERVISOR_FLOW_POISON_H
#define DF2REDIS_SUPERVISOR_FLOW_POISON_H

#include "common/ipc/cursor.h"

/* Of a FLOW whose worker is dead. The file's name, which the caller frees; NULL and *error. */
char *poison_save(const char *directory, uint32_t flow, const struct cursor_marks *marks,
                  struct error *error);

#endif
