/* The conditions of a cut-over, before writes are paused. */
#ifndef DF2REDIS_SUPERVISOR_CUTOVER_CONDITIONS_H
#define DF2REDIS_SUPERVISOR_CUTOVER_CONDITIONS_H

#include "common/redis/capabilities.h"
#include "common/settings/settings.h"
#include "supervisor/cutover/order.h"

struct run;

/* ERROR_NONE: all hold. ERROR_RETRY: not yet, and they may hold in a moment. ERROR_FATAL: refused, with the way out. */
void conditions_check(struct run *run, const struct cutover_order *order, struct error *error);

/* Whether the copy is good enough: divergences, and suspects that are unknown, only where they are accepted. Otherwise
 * *error, ERROR_FATAL. Pure. */
bool conditions_accepted(unsigned long long divergences, unsigned long long unknown, bool accept,
                         struct error *error);

/* Whether the source, at this address, can become a replica of the target. Otherwise *error, ERROR_FATAL. Pure. */
bool conditions_reversible(const struct settings *settings, const char *source_host,
                           const struct capabilities *target, struct error *error);

#endif
