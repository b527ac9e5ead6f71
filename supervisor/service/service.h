/* The process as a service: its pid file, user, log and limits. What calls what:
 *
 *   main.c ─> daemon.c     into the background
 *          ─> service.c    pid file, user, log, limits
 *          ─> terminal.c   Ctrl-Z
 *   run ────> operator.c ──┬─> notify.c                   the service manager
 *                          └─> http.c (observe), SIGHUP   the operator */
#ifndef DF2REDIS_SUPERVISOR_SERVICE_SERVICE_H
#define DF2REDIS_SUPERVISOR_SERVICE_SERVICE_H

#include "common/settings/settings.h"

#define SERVICE_USER "df2redis"

/* In this order: writes the pid file, gives the state directory to the user, becomes that user for good, opens the log,
 * sets limits. */
bool service_begin(const struct settings *settings, struct error *error);
/* Removes the pid file. */
void service_end(void);

#endif
