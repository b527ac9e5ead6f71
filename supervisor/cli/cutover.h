/* `df2redis cutover`: orders the cut-over, shows its steps, and runs COMMAND when the run says so.
 *
 *   cutover.c ──→ cutover_exec.c   COMMAND and its guard
 *      └───────→ status.c          the connection to the run */
#ifndef DF2REDIS_SUPERVISOR_CLI_CUTOVER_H
#define DF2REDIS_SUPERVISOR_CLI_CUTOVER_H

#include "common/settings/settings.h"
#include "supervisor/cutover/order.h"

/* command: NULL without. Returns the exit code. */
int cutover_command(const struct settings *settings, const struct cutover_order *order, const char *command);

/* ---- cutover_exec.c ---- */

/* Starts COMMAND by /bin/sh -c under a guard, a process that kills COMMAND and all its children at the deadline and when
 * this process ends. environment: NAME=VALUE, NULL-terminated. Returns a descriptor that becomes readable at the end of
 * COMMAND; -1 and *error. */
int cutover_exec_start(const char *command, const char *const *environment, uint64_t deadline_ms,
                       struct error *error);
/* Closes it; COMMAND is killed if it still runs. Returns true if COMMAND has ended well; otherwise text: how it ended, "was
 * killed by signal 9". */
bool cutover_exec_end(int fd, char *text, size_t text_bytes);

#endif
