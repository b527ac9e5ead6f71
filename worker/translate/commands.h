/* The table of commands, one row for each journaled command. df2redis-commands(7) is printed from it
 * (tests/unit/worker/translate/test_commands_manual.c). */
#ifndef DF2REDIS_WORKER_TRANSLATE_COMMANDS_H
#define DF2REDIS_WORKER_TRANSLATE_COMMANDS_H

#include <stdio.h>

#include "worker/translate/command.h"
#include "worker/translate/translator.h"

/* Finds a row by name, case-insensitively; NULL: not in the table. */
const struct command *command_find(struct slice name);
/* The keys of a command sent to the target, including EVAL. */
size_t command_written_keys(const struct slice *argv, size_t argc, struct slice *keys, size_t max);
/* Prints the rows, one per line. */
void commands_print(FILE *out);

/* The rows (command_table.c, command_table_modules.c); each table ends with a row without name. */
extern const struct command command_table[], command_table_modules[];

#endif
