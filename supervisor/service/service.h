/* What makes a process a service: its pid file, its log, its user, its limits. */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_SERVICE_H
#define DF2REDIS_SUPERVISOR_SERVICE_SERVICE_H

#include "common/settings/settings.h"

#define SERVICE_USER "df2redis"

/* In this order: the pid file, a state directory that the user may write to, that user and never again more
 * rights, the log, limits. */
bool service_begin(const struct settings *settings, struct error *error);
/* Removes the pid file. */
void service_end(void);

#endif
