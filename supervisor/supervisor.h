/* A run: replicate or migrate, from the probe of the target to the summary. */
#ifndef DF2REDIS_SUPERVISOR_SUPERVISOR_H
#define DF2REDIS_SUPERVISOR_SUPERVISOR_H

struct options;

/* Runs until complete, stopped or failed; the log has the reason. Returns the exit code:
 *   0               complete (migrate), or stopped by an operator with everything received applied
 *   EX_DATAERR      the same, but some data could not be carried over, or a FLOW was given up
 *   EX_TEMPFAIL     stopped before the copy was complete; or the name is in use; try again
 *   EX_CANTCREAT    the target holds keys; or the state directory cannot be created
 *   EX_NOPERM       a password or a right is missing
 *   EX_UNAVAILABLE  source or target cannot be reached at the start
 *   EX_PROTOCOL     the source is not a Dragonfly, or its protocol is unknown
 *   others          as sysexits.h names them */
int supervisor_run(struct options *options);

#endif
