/* df2redis verify: starts a worker that compares, shows what it tells, and prints the report.
 *
 *   verify.c ──> subject.c        what is compared: the settings of the run, or those given
 *      └───────> verify_print.c   the display, the table, the document */
#ifndef DF2REDIS_SUPERVISOR_VERIFY_VERIFY_H
#define DF2REDIS_SUPERVISOR_VERIFY_VERIFY_H

#include "supervisor/config/options.h"

/* Returns the exit code: 0, EX_DATAERR with differences, EX_TEMPFAIL with undecided keys or interrupted, or that of the
 * error. */
int verify_command(const struct options *options);

#endif
