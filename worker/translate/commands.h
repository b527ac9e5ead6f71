/* The table of commands, one row for each that stands in a journal. The support matrix of the manual,
 * df2redis-commands(7), is printed from it (tests/unit/worker/translate/test_commands_manual.c). */
#ifndef DF2REDIS_WORKER_TRANSLATE_COMMANDS_H
#define DF2REDIS_WORKER_TRANSLATE_COMMANDS_H

#include <stdio.h>

#include "worker/translate/command.h"
#include "worker/translate/translator.h"

/* By name, in any case; NULL when not in the table. Fast: an open hash. */
const struct command *command_find(struct slice name);
/* The keys of a command as it is sent to the target, scripts included. */
size_t command_written_keys(const struct slice *argv, size_t argc, struct slice *keys, size_t max);
/* The rows as text, one a line. */
void commands_print(FILE *out);

/* The rows, in two tables (command_table.c, command_table_modules.c); each ends with a row without name. */
extern const struct command command_table[], command_table_modules[];

#endif
