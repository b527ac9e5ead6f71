/* `df2redis check`: what a start of a run would find, and more, without writing anything.
 *
 *   check.c ──┬─> supervisor/run, source, target   the probes of every start
 *             ├─> ask_source.c, ask_target.c       questions beyond these
 *             ├─> look_here.c                      the machine
 *             ├─> judge.c ──> facts.c              the rules about the answers
 *             └─> report.c                         the document and the table
 *   acl.c                                          `df2redis check --acl` */
#ifndef DF2REDIS_SUPERVISOR_CHECK_CHECK_H
#define DF2REDIS_SUPERVISOR_CHECK_CHECK_H

#include "common/settings/settings.h"

/* Prints the table, or with json the document in one line. Ends within ten seconds. Returns the exit code: 0; 65 with
 * warnings; with errors the one of a start. */
int check_command(const struct settings *settings, bool json);
/* Prints the lines of ACL SETUSER for the users of source and target. */
int check_acl_command(const struct settings *settings);

#endif
